/* What this client is offered: ours, and what every server offers that its mail may go to. */
#include "policy/gate/access.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

/* Done here, whatever the server behind can do. */
#define OURS (CONF_EXT_PIPELINING | CONF_EXT_SIZE | CONF_EXT_ENHANCED | CONF_EXT_CHUNKING | CONF_EXT_PRDR | CONF_EXT_LIMITS | \
	      CONF_EXT_HELP)
/* Passed on, and only offered when all of them have it. */
#define THEIRS (CONF_EXT_8BITMIME | CONF_EXT_SMTPUTF8 | CONF_EXT_DSN | CONF_EXT_BINARYMIME | CONF_EXT_DELIVERBY | \
		CONF_EXT_REQUIRETLS | CONF_EXT_ETRN | CONF_EXT_VRFY | CONF_EXT_EXPN)

struct together {		/* what several servers have in common */
	unsigned extensions;
	uint64_t size, by_min, rcptmax;	/* the smallest, the largest, the smallest; 0: not limited */
	bool any;
};

const struct backend_caps *
smtp_known_caps(const struct smtp_session *s, const struct backend *b)
{
	if (s->own && s->link_ready && s->link_to == b)
		return smtp_backend_caps(s->link);
	if (b->conf->original)
		return s->original_caps;
	return b->caps_known ? &b->caps : NULL;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static void
add_caps(struct together *all, const struct backend *b, const struct backend_caps *caps)
{
	unsigned has = caps != NULL ? caps->extensions : 0;

	/* BINARYMIME goes by BDAT or not at all (RFC 3030); REQUIRETLS asks for TLS on the way there (RFC 8689). */
	if (!(has & CONF_EXT_CHUNKING) || !b->conf->chunking)
		has &= ~(unsigned)CONF_EXT_BINARYMIME;
	if (caps == NULL || !caps->tls)
		has &= ~(unsigned)CONF_EXT_REQUIRETLS;
	all->extensions &= has;
	all->any = true;
	if (caps == NULL)
		return;
	if (caps->size > SMTP_HEADERS_ALLOWANCE)
		all->size = smaller(all->size, caps->size - SMTP_HEADERS_ALLOWANCE);
	all->rcptmax = smaller(all->rcptmax, caps->rcptmax);
	if (caps->by_min > all->by_min)
		all->by_min = caps->by_min;
}

/* Whether mail of this client may take a route, as far as is known before a recipient was named. */
static bool
may_take(const struct smtp_session *s, const struct conf_route *r)
{
	return conf_route_is_at(r, s->listener) && (r->nusers == 0 || s->user != NULL || s->listener->auth != CONF_AUTH_OFF);
}

static struct together
in_common(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	struct together all = { .extensions = THEIRS };

	if (smtp_is_bound(s) && s->link_ready) {
		add_caps(&all, s->link_to, smtp_known_caps(s, s->link_to));
		return all;
	}
	for (size_t i = 0; i < conf->nroutes; i++)
		for (size_t k = 0; k < conf->routes[i]->nbackends && may_take(s, conf->routes[i]); k++) {
			const struct backend *b = site_backend(s->site, conf->routes[i]->backends[k]);

			add_caps(&all, b, smtp_known_caps(s, b));
		}
	if (!all.any)
		all.extensions = 0;
	return all;
}

static bool
can_start_tls(const struct smtp_session *s)
{
	enum conf_tls_mode mode = s->listener->tls_mode;

	return s->tls == NULL && (mode == CONF_TLS_OFFER || mode == CONF_TLS_REQUIRE);
}

static unsigned
offer_from(const struct smtp_session *s, const struct together *all)
{
	unsigned offer = OURS | all->extensions;

	if (s->tls == NULL)
		offer &= ~(unsigned)CONF_EXT_REQUIRETLS;
	if (can_start_tls(s))
		offer |= CONF_EXT_STARTTLS;
	if (smtp_auth_offers(s) != 0)
		offer |= CONF_EXT_AUTH;
	if (gate_may_xclient(s->listener, smtp_relay(s)))
		offer |= CONF_EXT_XCLIENT | CONF_EXT_XFORWARD;
	offer &= ~s->listener->without;
	if (!(offer & CONF_EXT_CHUNKING))
		offer &= ~(unsigned)CONF_EXT_BINARYMIME;
	return offer;
}

unsigned
smtp_can_offer(const struct smtp_session *s)
{
	struct together all = in_common(s);

	return offer_from(s, &all);
}

uint64_t
smtp_size_limit(const struct smtp_session *s)
{
	struct together all = in_common(s);

	return smaller(s->listener->max_size, all.size);
}

void
smtp_say_ehlo(struct smtp_session *s)
{
	struct together all = in_common(s);
	char auth[SMTP_AUTH_OFFER_MAX];
	struct smtp_offer offer = {
		.hostname = s->site->conf->hostname,
		.extensions = offer_from(s, &all),
		.size = smaller(s->listener->max_size, all.size),
		.rcptmax = (unsigned)smaller(s->listener->max_recipients, all.rcptmax),
		.mailmax = s->listener->max_messages,
		.by_min = all.by_min,
		.auth = auth,
	};

	smtp_auth_offer_text(s, auth, sizeof(auth));
	s->offered = offer.extensions;
	smtp_offer_say(&offer, conn_out(s->client));
}
