/* Where a client can authenticate, and how. */
#include <stdio.h>

#include "proxy/sasl/sasl.h"
#include "proxy/smtp/smtp_auth.h"

/* Whether this client could authenticate there: not where LMTP is spoken, nor where we have authenticated ourselves. */
static bool
is_open(const struct smtp_session *s, const struct conf_backend *b)
{
	return b->protocol == CONF_SMTP && b->login_user == NULL && (!b->original || s->original != NULL);
}

/* The first of a route's backends that is up, else the first; NULL: nobody who came in here could authenticate at one. */
static const struct conf_backend *
backend_of(const struct smtp_session *s, const struct conf_route *r)
{
	const struct conf_backend *first = NULL;

	for (size_t i = 0; i < r->nbackends && conf_route_is_at(r, s->listener); i++) {
		const struct conf_backend *b = r->backends[i];

		if (!is_open(s, b))
			continue;
		if (b->original || backend_is_up(site_backend(s->site, b)))
			return b;
		if (first == NULL)
			first = b;
	}
	return first;
}

/* The first route that fits; for a name that is not known yet, the first without users, or the first of all. */
const struct conf_backend *
smtp_auth_backend(const struct smtp_session *s, struct slice user)
{
	const struct conf *conf = s->site->conf;
	struct conf_ask who = { .listener = s->listener, .user = user, .authenticated = user.len > 0 };
	const struct conf_backend *first = NULL;

	for (size_t i = 0; i < conf->nroutes; i++) {
		const struct conf_backend *b = backend_of(s, conf->routes[i]);

		if (b != NULL && conf_route_fits(conf->routes[i], &who))
			return b;
		if (first == NULL)
			first = b;
	}
	return first;
}

/* What every backend has that smtp_auth_backend() may choose. */
static unsigned
relayed_mechanisms(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	unsigned all = 0;
	bool any = false, last = false;

	for (size_t i = 0; i < conf->nroutes && !last; i++) {
		const struct conf_backend *b = backend_of(s, conf->routes[i]);
		const struct backend_caps *caps;

		if (b == NULL)
			continue;
		caps = smtp_known_caps(s, site_backend(s->site, b));
		all = (any ? all : ~0u) & (caps != NULL ? caps->mechanisms : 0);
		any = true;
		last = conf->routes[i]->nusers == 0;
	}
	return all;
}

static bool
has_certificate(const struct smtp_session *s)
{
	char name[TLS_NAME_MAX];

	return s->client != NULL && conn_tls_peer_name(s->client, name);
}

bool
smtp_auth_is_on(const struct conf_listener *l)
{
	return l->auth != CONF_AUTH_OFF && !(l->without & CONF_EXT_AUTH);
}

unsigned
smtp_auth_offers(const struct smtp_session *s)
{
	const struct conf_listener *l = s->listener;
	unsigned offers;

	if (!smtp_auth_is_on(l) || (l->auth == CONF_AUTH_TLS && s->tls == NULL))
		return 0;
	offers = relayed_mechanisms(s) & ~(unsigned)SASL_EXTERNAL;
	if (has_certificate(s))
		offers |= SASL_EXTERNAL;
	return offers & l->auth_mechanisms;
}

void
smtp_auth_offer_text(const struct smtp_session *s, char *out, size_t size)
{
	unsigned offers = smtp_auth_offers(s);
	size_t used = 0;

	out[0] = '\0';
	for (unsigned bit = 1; bit != 0 && bit <= offers; bit <<= 1)
		if ((offers & bit) && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", sasl_mechanism_name(bit));
}
