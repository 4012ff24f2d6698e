#include "policy/keeper/keeper_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"

#define ASK_WAIT      0.25		/* seconds for an answer */
#define HOLD_WAIT     30.0
#define SAY_AGAIN     0.005		/* seconds until a full channel is tried again */
#define AWAY_MAX      1.0		/* seconds without a keeper until it is not asked any more */
#define SAID_MAX      (1u << 20)	/* octets of what was said lately */
#define SAID_KEPT     2.0		/* seconds: longer than a keeper needs to write it down, and to be replaced */
#define TICKETS_MAX   4096		/* questions at the same time */
#define WARN_EVERY    10.0		/* seconds between two lines about lost words */
#define READ_IN_A_TURN 64

struct keeper_ticket {
	LIST_ENTRY(keeper_ticket) all;
	struct keeper *keeper;
	enum keeper_word word;		/* what was asked */
	uint64_t number;
	struct keeper_key key;
	struct timer deadline;
	const char *why;		/* nothing is held when it passes */
	bool sent;
	union {
		void (*held)(void *owner, const char *id, const char *why_not);
		void (*known)(void *owner, const struct keeper_commit *);
		void (*poison)(void *owner, unsigned failures);
	} call;
	void *owner;
};

/* Words that must not be lost are kept for a while: those that the channel had no room for go out when it has,
 * and a keeper that follows one that died hears all of them again. None of them does harm when heard twice. */
struct said {
	STAILQ_ENTRY(said) next;
	double time;
	struct keeper_key key;
	bool counts, counted;		/* in the hints; for this keeper already */
	size_t len;
	char bytes[];
};

struct keeper {
	struct loop *loop;
	struct keeper_hints *hints;
	struct watch watch;
	int channel;			/* -1: nobody there */
	double away_since;
	bool ledger;
	uint64_t last_number;
	LIST_HEAD(ticket_list, keeper_ticket) tickets;
	unsigned ntickets;
	STAILQ_HEAD(said_list, said) said;
	struct said *unsaid;		/* the first that has not gone out; NULL: all have */
	size_t said_octets;
	double warned;			/* when it was last logged that words were lost, */
	unsigned lost;			/* and how many since */
	struct timer again;
	bool asking;			/* there are questions that are not sent */
	void (*release)(void *owner, const struct keeper_release *);
	void *release_owner;
};

static void say_unsaid(void *owner);

struct keeper *
keeper_client_new(struct loop *loop, struct keeper_hints *hints)
{
	struct keeper *k = mem_new(sizeof(*k));

	k->loop = loop;
	k->hints = hints;
	k->channel = -1;
	k->away_since = loop_now(loop);
	k->ledger = true;
	k->last_number = (uint64_t)getpid() << 32;
	LIST_INIT(&k->tickets);
	STAILQ_INIT(&k->said);
	timer_init(&k->again, loop, say_unsaid, k);
	return k;
}

static void
ticket_free(struct keeper_ticket *t)
{
	timer_stop(&t->deadline);
	LIST_REMOVE(t, all);
	t->keeper->ntickets--;
	loop_free_later(t->keeper->loop, t);
}

void
keeper_cancel(struct keeper_ticket **tp)
{
	if (*tp != NULL)
		ticket_free(*tp);
	*tp = NULL;
}

static void
answer_known(struct keeper_ticket *t, const struct keeper_commit *commit)
{
	void (*known)(void *, const struct keeper_commit *) = t->call.known;
	void *owner = t->owner;

	ticket_free(t);
	known(owner, commit);
}

static void
answer_poison(struct keeper_ticket *t, unsigned failures)
{
	void (*poison)(void *, unsigned) = t->call.poison;
	void *owner = t->owner;

	ticket_free(t);
	poison(owner, failures);
}

static void
answer_held(struct keeper_ticket *t, const char *id, const char *why_not)
{
	void (*held)(void *, const char *, const char *) = t->call.held;
	void *owner = t->owner;

	ticket_free(t);
	held(owner, id, why_not);
}

/* What holds when nobody answers. */
static void
answer_nothing(struct keeper_ticket *t)
{
	switch (t->word) {
	case KEEPER_ASK:
		log_debug("the keeper does not answer about the ledger");
		answer_known(t, NULL);
		return;
	case KEEPER_POISON_ASK:
		answer_poison(t, 0);
		return;
	default:
		answer_held(t, NULL, t->why);
		return;
	}
}

static void
on_deadline(void *owner)
{
	answer_nothing(owner);
}

/* Nobody who gave a copy away knows whether it was written: it is "not held", and the sender comes again. Questions
 * wait for the next keeper, as long as they may. */
static void
lose_holds(struct keeper *k)
{
	struct keeper_ticket *t, *next;

	for (t = LIST_FIRST(&k->tickets); t != NULL; t = next) {
		next = LIST_NEXT(t, all);
		if (t->word == KEEPER_HOLD) {
			t->why = "the keeper died while it wrote the message";
			timer_set(&t->deadline, 0);
		}
	}
}

static void
hang_up(struct keeper *k)
{
	if (k->channel == -1)
		return;
	watch_stop(&k->watch);
	close(k->channel);
	k->channel = -1;
	k->away_since = loop_now(k->loop);
	k->unsaid = STAILQ_FIRST(&k->said);	/* all of it is for the next one, however long that takes */
	lose_holds(k);
}

void
keeper_client_free(struct keeper **kp)
{
	struct keeper *k = *kp;
	struct said *s;

	if (k == NULL)
		return;
	hang_up(k);
	timer_stop(&k->again);
	while (!LIST_EMPTY(&k->tickets))
		ticket_free(LIST_FIRST(&k->tickets));
	while ((s = STAILQ_FIRST(&k->said)) != NULL) {
		STAILQ_REMOVE_HEAD(&k->said, next);
		free(s);
	}
	free(k);
	*kp = NULL;
}

static int
say(struct keeper *k, const struct keeper_msg *m, const int *fds, size_t nfds)
{
	struct buf b;
	int rc = -1;

	if (k->channel == -1)
		return -1;
	buf_init(&b, CHAN_MAX);
	if (keeper_put(&b, m))
		rc = chan_send(k->channel, buf_slice(&b), fds, nfds);
	else
		errno = EMSGSIZE;
	buf_free(&b);
	return rc;
}

static void
warn_lost(struct keeper *k)
{
	double now = loop_now(k->loop);

	k->lost++;
	if (k->warned != 0 && now - k->warned < WARN_EVERY)
		return;
	log_warn("the keeper is too slow or away: what it should know of %u messages is lost", k->lost);
	k->warned = now;
	k->lost = 0;
}

static void
forget_oldest(struct keeper *k)
{
	struct said *s = STAILQ_FIRST(&k->said);

	if (k->unsaid == s) {
		k->unsaid = STAILQ_NEXT(s, next);
		warn_lost(k);
	}
	STAILQ_REMOVE_HEAD(&k->said, next);
	k->said_octets -= s->len;
	free(s);
}

static void
forget_old(struct keeper *k)
{
	double now = loop_now(k->loop);
	struct said *s;

	while ((s = STAILQ_FIRST(&k->said)) != NULL && s != k->unsaid && now - s->time > SAID_KEPT)
		forget_oldest(k);
	while (k->said_octets > SAID_MAX)
		forget_oldest(k);
}

static void
send_questions(struct keeper *k)
{
	struct keeper_ticket *t;

	LIST_FOREACH(t, &k->tickets, all) {
		struct keeper_msg m = { .word = t->word, .number = t->number, .key = t->key };

		if (t->word != KEEPER_HOLD && !t->sent)
			t->sent = say(k, &m, NULL, 0) == 0;	/* else its deadline answers, or the next keeper */
	}
}

/* The count stands before anyone can hear of the key: see keeper_hints.h. Questions come behind what was said before
 * them, which may be about the same. */
static void
say_unsaid(void *owner)
{
	struct keeper *k = owner;

	while (k->channel != -1 && k->unsaid != NULL) {
		struct said *s = k->unsaid;

		if (s->counts && !s->counted)
			keeper_hints_add(k->hints, HINT_LEDGER, &s->key);
		s->counted = true;
		if (chan_send(k->channel, (struct slice){ s->bytes, s->len }, NULL, 0) == -1) {
			if (errno == EAGAIN)
				timer_set(&k->again, SAY_AGAIN);
			return;		/* else: the end of the channel is about to be read */
		}
		k->unsaid = STAILQ_NEXT(s, next);
	}
	if (k->asking)
		send_questions(k);
	k->asking = false;
}

/* Whether it is on its way now. */
static bool
tell(struct keeper *k, const struct keeper_msg *m)
{
	struct said *s;
	struct buf b;

	buf_init(&b, CHAN_MAX);
	if (!keeper_put(&b, m)) {
		buf_free(&b);
		return false;
	}
	s = mem_new(sizeof(*s) + buf_len(&b));
	s->time = loop_now(k->loop);
	s->key = m->key;
	s->counts = m->word == KEEPER_COMMIT;
	s->len = buf_len(&b);
	memcpy(s->bytes, buf_slice(&b).at, s->len);
	buf_free(&b);
	STAILQ_INSERT_TAIL(&k->said, s, next);
	k->said_octets += s->len;
	if (k->unsaid == NULL) {
		k->unsaid = s;
		say_unsaid(k);
	}
	forget_old(k);
	return k->unsaid == NULL;
}

static struct keeper_ticket *
find_ticket(struct keeper *k, uint64_t number, enum keeper_word word)
{
	struct keeper_ticket *t;

	LIST_FOREACH(t, &k->tickets, all)
		if (t->number == number)
			return t->word == word ? t : NULL;
	return NULL;
}

static void
hear_release(struct keeper *k, const struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	struct keeper_copy c = { .spool = -1 };
	struct err err = { "" };
	struct buf b;

	buf_init(&b, KEEPER_RECORD_MAX);
	if (keeper_read_memfd(fds[1], KEEPER_RECORD_MAX, &b, &err) == 0 && keeper_get_copy(buf_slice(&b), &c) &&
	    keeper_is_sealed(fds[0], m->size) && k->release != NULL) {
		k->release(k->release_owner, &(struct keeper_release){ .number = m->number, .id = c.id, .backend = c.backend,
		    .from = c.from, .envelope = c.envelope, .headers = c.headers, .rcpts = c.rcpts, .nrcpts = c.nrcpts,
		    .size = m->size, .spool = fds[0] });
	} else {
		keeper_released(k, m->number, false, "this worker cannot release messages");
		close(fds[0]);
	}
	keeper_copy_free(&c);
	buf_free(&b);
	close(fds[1]);
}

static void
understand(struct keeper *k, const struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	struct keeper_ticket *t;
	char text[KEEPER_TEXT_MAX + 1] = "";

	switch (m->word) {
	case KEEPER_KNOWN:
	case KEEPER_UNKNOWN:
		if ((t = find_ticket(k, m->number, KEEPER_ASK)) != NULL)
			answer_known(t, m->word == KEEPER_KNOWN ? &m->commit : NULL);
		return;
	case KEEPER_POISONED:
		if ((t = find_ticket(k, m->number, KEEPER_POISON_ASK)) != NULL)
			answer_poison(t, m->count);
		return;
	case KEEPER_HELD:
	case KEEPER_NOT_HELD:
		slice_copy(m->word == KEEPER_HELD ? m->id : m->text, text, sizeof(text));
		if ((t = find_ticket(k, m->number, KEEPER_HOLD)) != NULL)
			answer_held(t, m->word == KEEPER_HELD ? text : NULL, m->word == KEEPER_HELD ? NULL : text);
		else if (m->word == KEEPER_HELD)
			log_warn("held=%s: its sender was not told in time and may send it again", text);
		return;
	case KEEPER_RELEASE:
		hear_release(k, m, fds);
		return;
	default:
		return;
	}
}

static void
on_channel(void *owner)
{
	struct keeper *k = owner;
	char *bytes = mem_new(CHAN_MAX);

	for (unsigned i = 0; i < READ_IN_A_TURN && k->channel != -1; i++) {
		int fds[KEEPER_FDS_MAX];
		size_t nfds = KEEPER_FDS_MAX;
		ssize_t n = chan_try_recv(k->channel, bytes, CHAN_MAX, fds, &nfds);
		struct keeper_msg m;

		if (n == -1 && errno == EAGAIN)
			break;
		if (n > 0 && keeper_get((struct slice){ bytes, (size_t)n }, KEEPER_TO_WORKER, &m) &&
		    nfds == (m.word == KEEPER_RELEASE ? KEEPER_FDS_MAX : 0)) {
			understand(k, &m, fds);
			continue;
		}
		for (size_t f = 0; n > 0 && f < nfds; f++)
			close(fds[f]);
		if (n != 0)
			log_error("the keeper says what makes no sense");
		hang_up(k);
	}
	free(bytes);
}

void
keeper_client_use(struct keeper *k, int channel)
{
	struct keeper_ticket *t;
	struct said *s;

	hang_up(k);
	fcntl(channel, F_SETFL, O_NONBLOCK);
	k->channel = channel;
	watch_start(&k->watch, k->loop, channel, on_channel, k);
	forget_old(k);
	for (s = STAILQ_FIRST(&k->said); s != NULL; s = STAILQ_NEXT(s, next))
		s->counted = false;
	for (t = LIST_FIRST(&k->tickets); t != NULL; t = LIST_NEXT(t, all))
		t->sent = false;
	k->unsaid = STAILQ_FIRST(&k->said);
	k->asking = true;
	say_unsaid(k);
}

void
keeper_client_ledger(struct keeper *k, bool on)
{
	k->ledger = on;
}

static struct keeper_ticket *
ticket_new(struct keeper *k, enum keeper_word word, double wait, void *owner)
{
	struct keeper_ticket *t = mem_new(sizeof(*t));

	t->keeper = k;
	t->word = word;
	t->number = ++k->last_number;
	t->owner = owner;
	t->why = "the keeper does not answer";
	timer_init(&t->deadline, k->loop, on_deadline, t);
	timer_set(&t->deadline, k->ntickets < TICKETS_MAX ? wait : 0);
	LIST_INSERT_HEAD(&k->tickets, t, all);
	k->ntickets++;
	return t;
}

/* Whether there is anybody to ask: for a moment a keeper that died is waited for. */
static bool
is_there(const struct keeper *k)
{
	return k->channel != -1 || loop_now(k->loop) - k->away_since < AWAY_MAX;
}

static struct keeper_ticket *
ask(struct keeper *k, enum keeper_word word, const struct keeper_key *key, void *owner)
{
	struct keeper_ticket *t = ticket_new(k, word, is_there(k) ? ASK_WAIT : 0, owner);

	t->key = *key;
	k->asking = true;
	if (k->unsaid == NULL)
		say_unsaid(k);
	return t;
}

bool
keeper_ledger_may_know(const struct keeper *k, const struct keeper_key *key)
{
	return k->ledger && keeper_hints_may_know(k->hints, HINT_LEDGER, key) && is_there(k);
}

struct keeper_ticket *
keeper_ledger_ask(struct keeper *k, const struct keeper_key *key, void (*known)(void *, const struct keeper_commit *), void *owner)
{
	struct keeper_ticket *t = ask(k, KEEPER_ASK, key, owner);

	t->call.known = known;
	return t;
}

bool
keeper_ledger_commit(struct keeper *k, const struct keeper_key *key, const struct keeper_commit *c)
{
	return !k->ledger || tell(k, &(struct keeper_msg){ .word = KEEPER_COMMIT, .key = *key, .commit = *c });
}

void
keeper_ledger_heard(struct keeper *k, const struct keeper_key *key)
{
	if (k->ledger)
		tell(k, &(struct keeper_msg){ .word = KEEPER_HEARD, .key = *key });
}

bool
keeper_poison_may_know(const struct keeper *k, const struct keeper_key *key)
{
	return keeper_hints_may_know(k->hints, HINT_POISON, key) && is_there(k);
}

struct keeper_ticket *
keeper_poison_ask(struct keeper *k, const struct keeper_key *key, void (*known)(void *, unsigned), void *owner)
{
	struct keeper_ticket *t = ask(k, KEEPER_POISON_ASK, key, owner);

	t->call.poison = known;
	return t;
}

/* Said once: heard twice it would count twice. */
void
keeper_poison_add(struct keeper *k, const struct keeper_key *key)
{
	if (k->channel == -1)
		return;
	keeper_hints_add(k->hints, HINT_POISON, key);
	say(k, &(struct keeper_msg){ .word = KEEPER_POISON, .key = *key }, NULL, 0);
}

static bool
send_copy(struct keeper *k, struct keeper_ticket *t, const struct keeper_copy *c)
{
	struct keeper_msg m = { .word = KEEPER_HOLD, .number = t->number, .size = c->size };
	int fds[KEEPER_FDS_MAX] = { c->spool, -1 };
	struct buf b;
	bool sent;

	buf_init(&b, KEEPER_RECORD_MAX);
	if (keeper_put_copy(&b, c))
		fds[1] = memfd_of("gatepost-record", buf_slice(&b), NULL);
	buf_free(&b);
	sent = fds[1] != -1 && say(k, &m, fds, KEEPER_FDS_MAX) == 0;
	if (fds[1] != -1)
		close(fds[1]);
	return sent;
}

struct keeper_ticket *
keeper_hold(struct keeper *k, const struct keeper_copy *c, void (*held)(void *, const char *, const char *), void *owner)
{
	struct keeper_ticket *t = ticket_new(k, KEEPER_HOLD, HOLD_WAIT, owner);

	t->call.held = held;
	if (!send_copy(k, t, c)) {
		t->why = "the keeper cannot be told";
		timer_set(&t->deadline, 0);
	}
	return t;
}

void
keeper_on_release(struct keeper *k, void (*release)(void *, const struct keeper_release *), void *owner)
{
	k->release = release;
	k->release_owner = owner;
}

void
keeper_released(struct keeper *k, uint64_t number, bool delivered, const char *reply)
{
	say(k, &(struct keeper_msg){ .word = KEEPER_RELEASED, .number = number, .yes = delivered, .text = slice_of(reply) }, NULL, 0);
}
