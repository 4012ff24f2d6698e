#include "proxy/backend/backend_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define CHECK_DOWN  2.0		/* seconds between health checks while all are down */
#define CHECK_LEAST 0.25	/* seconds between two checks, however many addresses there are */

static unsigned
count_live(const struct backend *b, bool down)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->nplaces; i++)
		n += b->places[i].live && (!down || b->places[i].down);
	return n;
}

/* The one that was spoken to longest ago; -1: there is none. */
static int
oldest_place(const struct backend *b)
{
	int oldest = -1;

	for (unsigned i = 0; i < b->nplaces; i++)
		if (b->places[i].live && (oldest == -1 || b->places[i].looked < b->places[oldest].looked))
			oldest = (int)i;
	return oldest;
}

/* Each address has its turn once in check-interval, those that clients speak to as well: a probe is cheap,
 * and where none is looked at a server that is up again would stay the last choice for ever. */
static double
next_check(const struct backend *b)
{
	unsigned live = count_live(b, false);
	double next = live > 1 ? b->conf->check_interval / live : b->conf->check_interval;

	if (b->down_since > 0 && next > CHECK_DOWN)
		next = CHECK_DOWN;
	return live > 1 && next < CHECK_LEAST ? CHECK_LEAST : next;
}

static void
on_check(void *owner)
{
	struct backend *b = owner;

	timer_set(&b->check, next_check(b));
	if (b->probing != NULL || count_live(b, false) == 0)
		return;
	b->checked = oldest_place(b);
	b->probe->start(b);
	b->checked = -1;
}

/* The written addresses have their places from the start; names take theirs when they are known. */
static void
place_addresses(struct backend *b)
{
	const struct conf_backend *conf = b->conf;

	for (unsigned i = 0; i < conf->nplaces; i++) {
		b->nnames += conf->places[i].host != NULL;
		b->weighted |= conf->places[i].weight > 0;
	}
	b->nplaces = b->nnames > 0 || conf->nplaces > BACKEND_ADDRESSES_MAX ? BACKEND_ADDRESSES_MAX : (unsigned)conf->nplaces;
	b->places = mem_array(b->nplaces, sizeof(*b->places));
	b->shares = mem_array(conf->nplaces, sizeof(*b->shares));
	for (unsigned i = 0, n = 0; i < conf->nplaces && n < b->nplaces; i++)
		if (conf->places[i].host == NULL)
			b->places[n++] = (struct backend_place){ .addr = conf->places[i].addr, .word = i, .live = true };
}

struct backend *
backend_new(struct loop *loop, const struct conf_backend *conf, const char *hostname,
    const struct backend_probe *probe, const struct backend_means *means, struct err *err)
{
	struct backend *b = mem_new(sizeof(*b));

	b->conf = conf;
	b->loop = loop;
	b->hostname = hostname;
	b->probe = probe;
	b->means = *means;
	b->checked = -1;
	b->dice = ((unsigned)(loop_now(loop) * 1e6) ^ means->slot * 2654435761u) | 1;
	timer_init(&b->check, loop, on_check, b);
	place_addresses(b);
	if (conf->tls_mode != CONF_TLS_NONE) {
		b->tls = tls_client_ctx(conf, err);
		if (b->tls == NULL) {
			backend_free(&b);
			return NULL;
		}
	}
	if (!conf->original)		/* who is met only by chance is not looked after */
		timer_set(&b->check, 0);
	backend_names_begin(b);
	return b;
}

void
backend_free(struct backend **bp)
{
	struct backend *b = *bp;

	if (b == NULL)
		return;
	if (b->nkept > 0)
		b->let_go(b->keeper, b);
	timer_stop(&b->check);
	if (b->probing != NULL)
		b->probe->cancel(b);
	while (b->waiters != NULL)
		backend_await_no_more(b->waiters);
	backend_names_end(b);
	tls_ctx_free(&b->tls);
	for (unsigned i = 0; i < b->nplaces; i++)
		free(b->places[i].host);
	free(b->places);
	free(b->shares);
	loop_free_later(b->loop, b);
	*bp = NULL;
}

static bool
may_try(const struct backend *b, unsigned i, uint64_t tried, bool down)
{
	return b->places[i].live && b->places[i].down == down && (tried & UINT64_C(1) << i) == 0;
}

static bool
word_may_try(const struct backend *b, unsigned word, uint64_t tried, bool down)
{
	for (unsigned i = 0; i < b->nplaces; i++)
		if (b->places[i].word == word && may_try(b, i, tried, down))
			return true;
	return false;
}

/* The word of "address" whose turn it is; -1: none is left. With weights: nginx's smooth round robin, in which every
 * word gains its weight and who has most pays for all. Servers that are down have no shares: one after the other. */
static int
pick_word(struct backend *b, uint64_t tried, bool down)
{
	const struct conf_place *words = b->conf->places;
	int64_t paid = 0;
	int best = -1;

	for (unsigned w = 0; w < b->conf->nplaces; w++) {
		int64_t weight = words[w].weight > 0 ? words[w].weight : 1;

		if (!word_may_try(b, w, tried, down))
			continue;
		if (!b->weighted || down)
			return (int)w;
		b->shares[w] += weight;
		paid += weight;
		if (best == -1 || b->shares[w] > b->shares[best])
			best = (int)w;
	}
	if (best != -1)
		b->shares[best] -= paid;
	return best;
}

/* xorshift32: for fairness alone. */
static unsigned
roll(unsigned *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 17;
	return *dice ^= *dice << 5;
}

/* Of the addresses of a word: as the DNS answered; of a domain's mail servers those with the best preference, equals
 * by chance (RFC 5321 section 5.1). */
static int
pick_place(struct backend *b, unsigned word, uint64_t tried, bool down)
{
	unsigned equals = 0;
	int best = -1;

	for (unsigned i = 0; i < b->nplaces; i++) {
		const struct backend_place *p = &b->places[i], *q = best != -1 ? &b->places[best] : NULL;

		if (p->word != word || !may_try(b, i, tried, down))
			continue;
		if (q == NULL || p->preference < q->preference)
			equals = 0;
		else if (p->preference > q->preference)
			continue;
		equals++;
		if (equals == 1 || (b->conf->places[word].mx ? roll(&b->dice) % equals == 0 : p->rank < q->rank))
			best = (int)i;
	}
	return best;
}

const struct addr *
backend_address(struct backend *b, uint64_t tried, unsigned *place)
{
	bool checks = b->checked != -1 && (tried & UINT64_C(1) << b->checked) == 0;
	int found = checks ? b->checked : -1, word;

	for (int down = 0; down <= 1 && found == -1; down++)
		if ((word = pick_word(b, tried, down == 1)) != -1)
			found = pick_place(b, (unsigned)word, tried, down == 1);
	if (found == -1)
		return NULL;
	*place = (unsigned)found;
	return &b->places[found].addr;
}

/* What follows from which addresses there are and which of them are down. */
void
backend_settle(struct backend *b)
{
	unsigned live = count_live(b, false);
	bool all = count_live(b, true) == live && !backend_pending(b);

	if (!all) {
		b->down_since = 0;
	} else if (b->down_since <= 0) {
		b->down_since = loop_now(b->loop);
		if (b->conf->check_interval > CHECK_DOWN)
			timer_set(&b->check, CHECK_DOWN);
	}
}

void
backend_worked(struct backend *b, unsigned place, const struct backend_caps *caps)
{
	struct backend_place *p = &b->places[place];
	char text[ADDR_TEXT_MAX];

	if (b->conf->original)
		return;
	b->caps = *caps;
	b->caps_known = true;
	if (!p->live)
		return;
	if (p->down) {
		addr_text(&p->addr, text);
		log_info("backend %s: %s is up again", b->conf->name, text);
	}
	p->down = false;
	p->looked = loop_now(b->loop);
	backend_settle(b);
}

void
backend_failed(struct backend *b, unsigned place, const char *why)
{
	struct backend_place *p = &b->places[place];
	char text[ADDR_TEXT_MAX];

	if (b->conf->original || !p->live)
		return;
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->failure = ++b->failures;
	if (!p->down) {
		addr_text(&p->addr, text);
		log_warn("backend %s: %s is down: %s", b->conf->name, text, why);
	}
	p->down = true;
	p->looked = loop_now(b->loop);
	backend_settle(b);
}

struct conn *
backend_dial(struct backend *b, unsigned place, bool they_begin, const struct conn_ops *ops, void *owner, struct err *err)
{
	const struct addr *to = &b->places[place].addr;

	if (to->ss.ss_family == AF_UNIX && b->means.flagged != NULL)
		return flagged_dial(b->means.flagged, to, they_begin, ops, owner);
	return conn_dial(b->loop, to, they_begin, ops, owner, err);
}

const char *
backend_name(const struct backend *b, unsigned place)
{
	if (b->conf->tls_name != NULL || b->conf->original)
		return b->conf->tls_name;
	return b->places[place].host;
}

bool
backend_pending(const struct backend *b)
{
	bool asked = false;

	for (size_t i = 0; i < b->nnames; i++)
		asked |= !b->names[i].answered;
	return asked && count_live(b, false) == 0;
}

void
backend_await(struct backend *b, struct backend_waiter *w)
{
	struct backend_waiter **last = &b->waiters;

	backend_await_no_more(w);
	while (*last != NULL)
		last = &(*last)->next;
	*last = w;
	w->next = NULL;
	w->waits_for = b;
}

void
backend_await_no_more(struct backend_waiter *w)
{
	struct backend_waiter **at;

	if (w->waits_for == NULL)
		return;
	for (at = &w->waits_for->waiters; *at != w; at = &(*at)->next)
		continue;
	*at = w->next;
	w->waits_for = NULL;
}

void
backend_inherit(struct backend *b, const struct backend *old)
{
	if (b->caps_known || !old->caps_known)
		return;
	b->caps = old->caps;
	b->caps_known = true;
}

bool
backend_was_asked(const struct backend *b)
{
	return b->conf->original || b->caps_known || b->failures > 0;
}

bool
backend_is_up(const struct backend *b)
{
	return b->conf->original || backend_pending(b) || count_live(b, true) < count_live(b, false);
}

bool
backend_is_lost(const struct backend *b)
{
	return b->down_since > 0 && loop_now(b->loop) - b->down_since > b->conf->grace;
}

const char *
backend_trouble(const struct backend *b)
{
	const char *why = backend_pending(b) ? "the DNS has not answered yet" : "no address to try";
	unsigned last = 0;

	for (unsigned i = 0; i < b->nplaces; i++)
		if (b->places[i].live && b->places[i].down && b->places[i].failure > last) {
			last = b->places[i].failure;
			why = b->places[i].why;
		}
	for (size_t i = 0; i < b->nnames; i++)
		if (b->names[i].failure > last) {
			last = b->names[i].failure;
			why = b->names[i].why;
		}
	return why;
}

static bool
is_counted_together(const struct backend *b)
{
	return b->means.budgets != NULL && b->conf->slot < BUDGET_BACKENDS_MAX;
}

bool
backend_session_begin(struct backend *b)
{
	unsigned max = b->conf->original ? 0 : b->conf->max_sessions;	/* original: as many servers as clients like */

	if (is_counted_together(b)) {
		if (!budget_take_backend(b->means.budgets, b->conf->slot, b->means.slot, max))
			return false;
	} else if (max > 0 && b->sessions >= max) {
		return false;
	}
	b->sessions++;
	return true;
}

void
backend_session_end(struct backend *b)
{
	b->sessions--;
	if (is_counted_together(b))
		budget_give_backend(b->means.budgets, b->conf->slot, b->means.slot);
}
