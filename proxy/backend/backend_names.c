/* The names among a backend's addresses: asked for in rounds, a round being a name's MX records and its hosts' addresses. */
#include "proxy/backend/backend_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define MAIL_HOSTS_MAX 16	/* of a domain, by preference */
#define TTL_LEAST      5.0	/* seconds between two rounds, however short an answer's life */
#define TTL_NONE       60.0	/* at the most, where the DNS said that there is nothing */
#define PAUSE_FIRST    2.0	/* seconds to the next round after one that failed; doubles... */
#define PAUSE_MAX      60.0	/* ...up to this */
#define PLACE_KEPT     600.0	/* seconds that the number of an address that is gone stays its own */

struct backend_question {
	struct backend_name *name;
	char host[256];
	unsigned preference;
	struct resolver_query *query;
};

static void ask(void *);

static const struct conf_place *
word_of(const struct backend_name *n)
{
	return &n->backend->conf->places[n->word];
}

static bool
is_of(const struct backend_name *n, const struct backend_place *p)
{
	return p->live && p->word == n->word && p->host != NULL;
}

static void
remember_failure(struct backend_name *n, const char *host, const char *why)
{
	n->failed = true;
	snprintf(n->why, sizeof(n->why), "%.80s: %.70s", host, why != NULL ? why : "the DNS does not answer");
	n->failure = ++n->backend->failures;
}

/* An empty place: one that was never used, else the one that has been empty longest, if that is long enough. */
static struct backend_place *
empty_place(struct backend *b)
{
	struct backend_place *best = NULL;

	for (unsigned i = 0; i < b->nplaces; i++) {
		struct backend_place *p = &b->places[i];

		if (!p->live && (best == NULL || p->gone < best->gone))
			best = p;
	}
	if (best != NULL && best->gone > 0 && loop_now(b->loop) - best->gone < PLACE_KEPT)
		return NULL;
	return best;
}

/* The place of this address: where it stands, or stood before, or an empty one. */
static struct backend_place *
place_for(struct backend_name *n, const struct addr *addr, const char *host)
{
	struct backend *b = n->backend;
	struct backend_place *p;

	for (unsigned i = 0; i < b->nplaces; i++) {
		p = &b->places[i];
		if (p->host != NULL && p->word == n->word && strcasecmp(p->host, host) == 0 && addr_same(&p->addr, addr))
			return p;
	}
	if ((p = empty_place(b)) == NULL) {
		n->full = true;
		return NULL;
	}
	free(p->host);
	*p = (struct backend_place){ .addr = *addr, .word = n->word, .host = mem_str(host) };
	return p;
}

/* An address that was lost sight of begins anew: nothing is known of it. */
static void
come_to_life(struct backend_name *n, struct backend_place *p)
{
	p->live = true;
	p->down = false;
	p->looked = 0;
	n->changed = true;
}

static void
take_addresses(struct backend_question *q, const struct resolver_answer *a)
{
	struct backend_name *n = q->name;

	for (size_t i = 0; i < a->n; i++) {
		struct addr addr = a->addresses[i];
		struct backend_place *p;

		addr_set_port(&addr, word_of(n)->port);
		if ((p = place_for(n, &addr, q->host)) == NULL)
			continue;
		if (!p->live)
			come_to_life(n, p);
		p->named = true;
		p->preference = q->preference;
		p->rank = (unsigned)i;
	}
}

/* What is known of a host, or of all of them (NULL), stays as it is. */
static void
keep_known(struct backend_name *n, const char *host)
{
	for (unsigned i = 0; i < n->backend->nplaces; i++) {
		struct backend_place *p = &n->backend->places[i];

		if (is_of(n, p) && (host == NULL || strcasecmp(p->host, host) == 0))
			p->named = true;
	}
}

static unsigned
forget_unnamed(struct backend_name *n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n->backend->nplaces; i++) {
		struct backend_place *p = &n->backend->places[i];

		if (!is_of(n, p))
			continue;
		if (p->named) {
			kept++;
			continue;
		}
		p->live = p->down = false;
		p->gone = loop_now(n->backend->loop);
		n->changed = n->lost = true;
	}
	return kept;
}

static void
log_addresses(const struct backend_name *n)
{
	char text[ADDR_TEXT_MAX];
	struct buf line;

	buf_init(&line, 1024);
	for (unsigned i = 0; i < n->backend->nplaces; i++)
		if (is_of(n, &n->backend->places[i])) {
			addr_text(&n->backend->places[i].addr, text);
			buf_printf(&line, " %s", text);
		}
	log_info("backend %s: %s is now%s", n->backend->conf->name, word_of(n)->host, buf_str(&line));
	buf_free(&line);
}

/* Whoever hears may end what it likes, this backend included: its memory lasts till the turn ends. */
static void
wake_waiters(struct backend *b)
{
	while (b->waiters != NULL && !backend_pending(b)) {
		struct backend_waiter *w = b->waiters;

		backend_await_no_more(w);
		w->known(w->owner);
	}
}

/* The round is over. */
static void
conclude(struct backend_name *n)
{
	struct backend *b = n->backend;
	bool was_failing = n->pause > 0, first = !n->answered;
	unsigned known = forget_unnamed(n);

	free(n->questions);
	n->questions = NULL;
	n->nquestions = 0;
	n->answered = true;
	if (n->failed && !was_failing && known > 0)
		log_warn("backend %s: %s; %u addresses that were known are kept", b->conf->name, n->why, known);
	else if ((n->failed && !was_failing) || (!n->failed && known == 0 && (n->changed || first)))
		log_warn("backend %s: %s; it cannot be reached", b->conf->name, n->why);
	if (n->full)
		log_warn("backend %s: %s has too many addresses, or they change too often: not all are used", b->conf->name, word_of(n)->host);
	if (n->changed && known > 0)
		log_addresses(n);
	if (n->failed) {
		n->pause = !was_failing ? PAUSE_FIRST : n->pause * 2 < PAUSE_MAX ? n->pause * 2 : PAUSE_MAX;
		timer_set(&n->again, n->pause);
	} else {
		n->pause = 0;
		n->failure = known == 0 ? n->failure : 0;
		timer_set(&n->again, n->ttl > TTL_LEAST ? n->ttl : TTL_LEAST);
	}
	if (n->changed)
		timer_set(&b->check, 0);	/* who is new is looked at */
	if (n->lost && b->nkept > 0)
		b->let_go(b->keeper, b);	/* some may lead to where the server was */
	backend_settle(b);
	wake_waiters(b);
}

/* An answer that tells nothing new for a while. */
static void
limit_ttl(struct backend_name *n, const struct resolver_answer *a)
{
	unsigned ttl = a->result == RESOLVER_NONE && a->ttl > TTL_NONE ? (unsigned)TTL_NONE : a->ttl;

	if (ttl < n->ttl)
		n->ttl = ttl;
}

static void
on_addresses(void *owner, const struct resolver_answer *a)
{
	struct backend_question *q = owner;
	struct backend_name *n = q->name;

	q->query = NULL;
	limit_ttl(n, a);
	if (a->result == RESOLVER_FOUND) {
		take_addresses(q, a);
	} else if (a->result == RESOLVER_FAILED) {
		remember_failure(n, q->host, a->why);
		keep_known(n, q->host);
	} else if (n->nquestions == 1) {
		snprintf(n->why, sizeof(n->why), "%.80s has no address in the DNS", q->host);
		n->failure = ++n->backend->failures;
	}
	if (--n->open == 0)
		conclude(n);
	else
		wake_waiters(n->backend);
}

static void
ask_hosts(struct backend_name *n, const struct resolver_mx *hosts, size_t count)
{
	struct resolver *r = n->backend->means.resolver;

	n->nquestions = n->open = count < MAIL_HOSTS_MAX ? count : MAIL_HOSTS_MAX;
	n->questions = mem_array(n->nquestions, sizeof(*n->questions));
	for (size_t i = 0; i < n->nquestions; i++) {
		struct backend_question *q = &n->questions[i];

		q->name = n;
		q->preference = hosts[i].preference;
		snprintf(q->host, sizeof(q->host), "%s", hosts[i].host);
		q->query = resolver_addresses(r, q->host, on_addresses, q);
	}
}

static void
on_mail_hosts(void *owner, const struct resolver_answer *a)
{
	struct backend_name *n = owner;

	n->mail_hosts = NULL;
	limit_ttl(n, a);
	if (a->result == RESOLVER_FOUND && a->n > 0) {
		ask_hosts(n, a->mx, a->n);
		return;
	}
	if (a->result == RESOLVER_FAILED) {
		remember_failure(n, word_of(n)->host, a->why);
		keep_known(n, NULL);
	} else {
		snprintf(n->why, sizeof(n->why), "%.80s takes no mail: %.60s", word_of(n)->host, a->why != NULL ? a->why : "it has no MX");
		n->failure = ++n->backend->failures;
	}
	conclude(n);
}

/* Begins a round. */
static void
ask(void *owner)
{
	struct backend_name *n = owner;
	struct backend *b = n->backend;
	struct resolver_mx only = { 0 };

	for (unsigned i = 0; i < b->nplaces; i++)
		if (is_of(n, &b->places[i]))
			b->places[i].named = false;
	n->failed = n->changed = n->lost = n->full = false;
	n->ttl = UINT32_MAX;
	if (b->means.resolver == NULL) {
		remember_failure(n, word_of(n)->host, "there is no resolver to ask");
		conclude(n);
	} else if (word_of(n)->mx) {
		n->mail_hosts = resolver_mail_hosts(b->means.resolver, word_of(n)->host, on_mail_hosts, n);
	} else {
		snprintf(only.host, sizeof(only.host), "%s", word_of(n)->host);
		ask_hosts(n, &only, 1);
	}
}

void
backend_names_begin(struct backend *b)
{
	size_t k = 0;

	b->names = mem_array(b->nnames, sizeof(*b->names));
	for (unsigned i = 0; i < b->conf->nplaces; i++) {
		if (b->conf->places[i].host == NULL)
			continue;
		b->names[k] = (struct backend_name){ .backend = b, .word = i };
		timer_init(&b->names[k].again, b->loop, ask, &b->names[k]);
		timer_set(&b->names[k++].again, 0);
	}
}

void
backend_names_end(struct backend *b)
{
	for (size_t i = 0; b->names != NULL && i < b->nnames; i++) {
		struct backend_name *n = &b->names[i];

		timer_stop(&n->again);
		if (n->mail_hosts != NULL)
			resolver_cancel(&n->mail_hosts);
		for (size_t k = 0; k < n->nquestions; k++)
			if (n->questions[k].query != NULL)
				resolver_cancel(&n->questions[k].query);
		free(n->questions);
	}
	if (b->names != NULL)
		loop_free_later(b->loop, b->names);
	b->names = NULL;
	b->nnames = 0;
}
