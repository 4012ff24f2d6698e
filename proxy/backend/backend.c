#include "proxy/backend/backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define CHECK_DOWN  2.0		/* seconds between health checks while all are down */

struct backend_place {
	bool down;
	unsigned failure;	/* the how manieth of the backend it was */
	char why[128];
};

static void
on_check(void *owner)
{
	struct backend *b = owner;
	double next = b->down_since > 0 && b->conf->check_interval > CHECK_DOWN ? CHECK_DOWN : b->conf->check_interval;

	timer_set(&b->check, next);
	if (b->probing == NULL)
		b->probe->start(b);
}

struct backend *
backend_new(struct loop *loop, const struct conf_backend *conf, const char *hostname,
    const struct backend_probe *probe, struct err *err)
{
	struct backend *b = mem_new(sizeof(*b));

	b->conf = conf;
	b->loop = loop;
	b->hostname = hostname;
	b->probe = probe;
	b->places = mem_array(conf->naddresses, sizeof(*b->places));
	timer_init(&b->check, loop, on_check, b);
	if (conf->tls_mode != CONF_TLS_NONE) {
		/* Opportunistic TLS to a backend (RFC 3207 section 4.1's "may") is not verified: it may be absent altogether. */
		b->tls = tls_client_ctx(&conf->tls_ca, conf->tls_verify && conf->tls_mode != CONF_TLS_OFFER, err);
		if (b->tls == NULL) {
			backend_free(&b);
			return NULL;
		}
	}
	if (!conf->original)		/* who is met only by chance is not looked after */
		timer_set(&b->check, 0);
	return b;
}

void
backend_free(struct backend **bp)
{
	struct backend *b = *bp;

	if (b == NULL)
		return;
	timer_stop(&b->check);
	if (b->probing != NULL)
		b->probe->cancel(b);
	tls_ctx_free(&b->tls);
	free(b->places);
	loop_free_later(b->loop, b);
	*bp = NULL;
}

const struct addr *
backend_address(const struct backend *b, uint64_t tried, unsigned *place)
{
	for (int down = 0; down <= 1; down++)
		for (unsigned i = 0; i < b->conf->naddresses && i < BACKEND_ADDRESSES_MAX; i++)
			if (b->places[i].down == (down == 1) && (tried & UINT64_C(1) << i) == 0) {
				*place = i;
				return &b->conf->addresses[i];
			}
	return NULL;
}

void
backend_worked(struct backend *b, unsigned place, const struct backend_caps *caps)
{
	char text[ADDR_TEXT_MAX];

	if (b->conf->original)
		return;
	if (b->places[place].down) {
		addr_text(&b->conf->addresses[place], text);
		log_info("backend %s: %s is up again", b->conf->name, text);
	}
	b->places[place].down = false;
	b->down_since = 0;
	b->caps = *caps;
	b->caps_known = true;
}

void
backend_failed(struct backend *b, unsigned place, const char *why)
{
	struct backend_place *p = &b->places[place];
	char text[ADDR_TEXT_MAX];
	bool all = true;

	if (b->conf->original)
		return;
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->failure = ++b->failures;
	if (!p->down) {
		addr_text(&b->conf->addresses[place], text);
		log_warn("backend %s: %s is down: %s", b->conf->name, text, why);
	}
	p->down = true;
	for (unsigned i = 0; i < b->conf->naddresses; i++)
		all = all && b->places[i].down;
	if (all && b->down_since <= 0) {
		b->down_since = loop_now(b->loop);
		if (b->conf->check_interval > CHECK_DOWN)
			timer_set(&b->check, CHECK_DOWN);
	}
}

bool
backend_is_lost(const struct backend *b)
{
	return b->down_since > 0 && loop_now(b->loop) - b->down_since > b->conf->grace;
}

const char *
backend_trouble(const struct backend *b)
{
	const struct backend_place *last = NULL;

	for (unsigned i = 0; i < b->conf->naddresses; i++)
		if (b->places[i].down && (last == NULL || b->places[i].failure > last->failure))
			last = &b->places[i];
	return last != NULL ? last->why : "no address to try";
}
