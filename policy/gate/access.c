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

bool
gate_is_proxy(const struct conf_listener *l, const struct addr *peer)
{
	return any_has(l->proxy_from, l->nproxy_from, peer);
}

bool
gate_may_xclient(const struct conf_listener *l, const struct addr *peer)
{
	return any_has(l->xclient_from, l->nxclient_from, peer);
}

static bool
is_of_domains(const struct conf_route *r)
{
	return r->ndomains > 0 && r->domains[0][0] != '*' && !slice_has(slice_of(r->domains[0]), '@');
}

/* RFC 5321 section 4.5.1: <postmaster> without a domain must always be accepted. */
static const struct conf_route *
postmaster_route(const struct conf *conf, const struct conf_ask *ask)
{
	for (size_t i = 0; i < conf->nroutes; i++)
		if (is_of_domains(conf->routes[i]) && conf_route_fits(conf->routes[i], ask))
			return conf->routes[i];
	for (size_t i = 0; i < conf->nroutes; i++)
		if (conf_route_fits(conf->routes[i], ask))
			return conf->routes[i];
	return conf->nroutes > 0 ? conf->routes[0] : NULL;
}

enum gate_rcpt
gate_route(const struct conf *conf, const struct addr *client, bool authenticated, const struct conf_ask *ask,
    const struct conf_route **route)
{
	bool ours = true;

	*route = ask->domain.len == 0 ? postmaster_route(conf, ask) : conf_route_find(conf, ask, &ours);
	if (*route != NULL && ours)
		return GATE_RCPT_ROUTE;
	if (!gate_may_relay(ask->listener, client) && !(authenticated && ask->listener->auth_relays))
		return GATE_RCPT_RELAY_DENIED;
	return *route != NULL ? GATE_RCPT_ROUTE : GATE_RCPT_NO_ROUTE;
}
