#include "policy/gate/access.h"

static bool
any_has(const struct net *nets, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (net_has(&nets[i], a))
			return true;
	return false;
}

bool
gate_may_connect(const struct conf_listener *l, const struct addr *client)
{
	if (any_has(l->deny, l->ndeny, client))
		return false;
	return l->nallow == 0 || any_has(l->allow, l->nallow, client);
}

bool
gate_may_relay(const struct conf_listener *l, const struct addr *client)
{
	return any_has(l->relay_from, l->nrelay_from, client);
}

/* RFC 5321 section 4.5.1: <postmaster> without a domain must always be accepted. */
static const struct conf_route *
postmaster_route(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nroutes; i++)
		if (conf->routes[i]->domains[0][0] != '*')
			return conf->routes[i];
	return conf->nroutes > 0 ? conf->routes[0] : NULL;
}

enum gate_rcpt
gate_recipient(const struct conf *conf, const struct conf_listener *l, const struct addr *client,
    struct slice domain, const struct conf_route **route)
{
	bool ours = true;

	*route = domain.len == 0 ? postmaster_route(conf) : conf_route_for(conf, domain, &ours);
	if (*route != NULL && ours)
		return GATE_RCPT_ROUTE;
	if (!gate_may_relay(l, client))
		return GATE_RCPT_RELAY_DENIED;
	return *route != NULL ? GATE_RCPT_ROUTE : GATE_RCPT_NO_ROUTE;
}
