#include "proxy/scan/scan_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filters/scan_wire.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define SEND_AGAIN 0.02		/* seconds until a full job socket is tried again */

struct generation {
	unsigned refs;		/* the pool while it is current, and each ticket that it has */
	struct scan_generation_fds fds;
	unsigned scanners;	/* at most that many of our jobs are lent at once */
};

enum ticket_state {
	TICKET_QUEUED,		/* waits here */
	TICKET_SENT,		/* lies in the job socket */
	TICKET_TAKEN,		/* a scanner works on it */
};

struct scan_ticket {
	struct scan_pool *pool;
	struct scan_ticket *next;	/* in the queue */
	struct generation *gen;		/* once sent */
	enum ticket_state state;
	uint64_t number, size;
	int spool, channel;		/* channel -1: not sent */
	struct buf job;			/* the job's bytes, kept for a second try */
	struct scan_limits limits;
	unsigned slot;
	bool retried;
	bool declined;			/* the scanner said that it cannot judge it */
	struct watch watch;
	struct timer deadline;
	double ends;			/* loop_now() when its budget is spent */
	void (*answer)(void *owner, const struct scan_answer *);
	void *owner;
};

struct scan_pool {
	struct loop *loop;
	struct generation *current;	/* NULL: none yet */
	unsigned lent;			/* tickets that the current generation has */
	bool last_lent;			/* one of those with limits.last is lent */
	uint64_t last_number;
	struct scan_ticket *first, **last;
	struct timer send_again;
};

static void pump(void *owner);
static void on_channel(void *owner);
static void on_deadline(void *owner);

struct scan_pool *
scan_pool_new(struct loop *loop)
{
	struct scan_pool *pool = mem_new(sizeof(*pool));

	pool->loop = loop;
	pool->last = &pool->first;
	pool->last_number = (uint64_t)getpid() << 32;	/* numbers of different workers differ */
	timer_init(&pool->send_again, loop, pump, pool);
	return pool;
}

static void
generation_unref(struct generation **gen)
{
	if (*gen != NULL && --(*gen)->refs == 0) {
		close((*gen)->fds.kill);	/* first: the nursery then knows why its scanners leave */
		close((*gen)->fds.small);
		close((*gen)->fds.large);
		free(*gen);
	}
	*gen = NULL;
}

void
scan_pool_use(struct scan_pool *pool, const struct scan_generation_fds *fds, unsigned scanners)
{
	struct generation *gen = mem_new(sizeof(*gen));

	gen->refs = 1;
	gen->fds = *fds;
	gen->scanners = scanners;
	generation_unref(&pool->current);
	pool->current = gen;
	pool->lent = 0;
	timer_set(&pool->send_again, 0);	/* what waits goes to the new one */
}

void
scan_pool_free(struct scan_pool **poolp)
{
	struct scan_pool *pool = *poolp;

	if (pool == NULL)
		return;
	timer_stop(&pool->send_again);
	generation_unref(&pool->current);
	free(pool);
	*poolp = NULL;
}

static void
enqueue(struct scan_pool *pool, struct scan_ticket *t)
{
	t->state = TICKET_QUEUED;
	t->next = NULL;
	*pool->last = t;
	pool->last = &t->next;
}

static void
unqueue(struct scan_pool *pool, struct scan_ticket *t)
{
	struct scan_ticket **at = &pool->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (t->next == NULL)
		pool->last = at;
}

/* Takes the ticket back from the scanners: closing the channel makes the job void. */
static void
take_back(struct scan_ticket *t)
{
	if (t->state == TICKET_QUEUED) {
		unqueue(t->pool, t);
		return;
	}
	watch_stop(&t->watch);
	close(t->channel);
	t->channel = -1;
	if (t->gen == t->pool->current && t->pool->lent > 0)
		t->pool->lent--;
	if (t->limits.last)
		t->pool->last_lent = false;
	generation_unref(&t->gen);
}

static void
ticket_free(struct scan_ticket *t)
{
	struct scan_pool *pool = t->pool;

	take_back(t);
	timer_stop(&t->deadline);
	buf_free(&t->job);
	loop_free_later(pool->loop, t);
	if (pool->first != NULL)
		timer_set(&pool->send_again, 0);
}

static void
give_answer(struct scan_ticket *t, const struct findings *found, const char *why)
{
	/* A scanner that had it and did not answer as it should; one that says that it cannot judge is well. */
	struct scan_answer a = { found, why, found == NULL && t->state == TICKET_TAKEN && !t->declined };
	void (*answer)(void *, const struct scan_answer *) = t->answer;
	void *owner = t->owner;

	ticket_free(t);
	answer(owner, &a);
}

/* 0 sent; -1 with errno: EAGAIN and EPIPE mean that it must wait. */
static int
lend(struct scan_ticket *t)
{
	struct generation *gen = t->pool->current;
	int pair[2], fds[SCAN_JOB_FDS], rc;
	struct slice job = buf_slice(&t->job);
	int to = t->size > SCAN_SMALL ? gen->fds.large : gen->fds.small;

	if (chan_pair(pair, NULL) == -1)
		return -1;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	fds[SCAN_FD_SPOOL] = t->spool;
	fds[SCAN_FD_CHANNEL] = pair[1];
	rc = chan_send(to, job, fds, SCAN_JOB_FDS);
	close(pair[1]);
	if (rc == -1) {
		int saved = errno;

		close(pair[0]);
		errno = saved;
		return -1;
	}
	t->channel = pair[0];
	t->state = TICKET_SENT;
	t->pool->last_lent |= t->limits.last;
	t->gen = gen;
	gen->refs++;
	t->pool->lent++;
	watch_start(&t->watch, t->pool->loop, t->channel, on_channel, t);
	return 0;
}

/* In order; those that must come last when nothing else waits. */
static struct scan_ticket *
next_to_lend(const struct scan_pool *pool)
{
	struct scan_ticket *t = pool->first;

	while (t != NULL && t->limits.last)
		t = t->next;
	return t != NULL || pool->last_lent || pool->lent > 0 ? t : pool->first;
}

/* Sends what waits, as far as scanners are free. */
static void
pump(void *owner)
{
	struct scan_pool *pool = owner;
	struct scan_ticket *t;

	while (pool->current != NULL && pool->lent < pool->current->scanners && (t = next_to_lend(pool)) != NULL) {
		unqueue(pool, t);
		if (lend(t) == -1) {
			/* Back to the front; its own deadline bounds the wait. */
			t->next = pool->first;
			if (pool->first == NULL)
				pool->last = &t->next;
			pool->first = t;
			timer_set(&pool->send_again, SEND_AGAIN);
			return;
		}
	}
}

struct scan_ticket *
scan_submit(struct scan_pool *pool, int spool, uint64_t size, const struct facts *facts,
    struct scan_limits limits, void (*answer)(void *owner, const struct scan_answer *), void *owner)
{
	struct scan_ticket *t = mem_new(sizeof(*t));

	t->pool = pool;
	t->number = ++pool->last_number;
	t->size = size;
	t->spool = spool;
	t->channel = -1;
	t->limits = limits;
	t->answer = answer;
	t->owner = owner;
	buf_init(&t->job, CHAN_MAX);
	timer_init(&t->deadline, pool->loop, on_deadline, t);
	t->ends = loop_now(pool->loop) + limits.budget;
	timer_set(&t->deadline, limits.wait < limits.budget ? limits.wait : limits.budget);
	/* 100 recipients of at most 320 octets each and the rest of the facts stay far below the cap. */
	if (!scan_put_job(&t->job, t->number, size, facts)) {
		log_error("the facts of a message do not fit a job; it will be deferred");
		timer_set(&t->deadline, 0);
	}
	enqueue(pool, t);
	pump(pool);
	return t;
}

void
scan_cancel(struct scan_ticket **t)
{
	if (*t == NULL)
		return;
	ticket_free(*t);
	*t = NULL;
}

/* The channel ended without findings. Died before TAKEN, the message did not do it: once again. */
static void
scanner_gone(struct scan_ticket *t, const char *why)
{
	if (t->state == TICKET_SENT && !t->retried) {
		take_back(t);
		t->retried = true;
		enqueue(t->pool, t);
		pump(t->pool);
		return;
	}
	give_answer(t, NULL, why);
}

static double
time_left(const struct scan_ticket *t)
{
	double left = t->ends - loop_now(t->pool->loop);

	return left > t->limits.timeout ? t->limits.timeout : left > 0 ? left : 0;
}

static void
on_channel(void *owner)
{
	struct scan_ticket *t = owner;
	static char msg[CHAN_MAX];
	static struct findings found;
	struct err trouble = { "" };
	char why[ERR_MAX + 64];
	ssize_t n = chan_recv(t->channel, msg, sizeof(msg), NULL, NULL);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		scanner_gone(t, "the scanner died");
		return;
	}
	switch (scan_get_word((struct slice){ msg, (size_t)n }, t->number, &t->slot, &found, &trouble)) {
	case SCAN_TAKEN:
		if (t->state != TICKET_SENT)
			break;
		t->state = TICKET_TAKEN;
		timer_set(&t->deadline, time_left(t));
		on_channel(t);		/* the findings are often there already */
		return;
	case SCAN_FINDINGS:
		if (t->state != TICKET_TAKEN)
			break;
		give_answer(t, &found, NULL);
		return;
	case SCAN_TROUBLE:
		t->declined = true;
		snprintf(why, sizeof(why), "the scanner could not judge: %s", trouble.text);
		give_answer(t, NULL, why);
		return;
	case SCAN_BAD:
		break;
	}
	log_error("scanner %u answered nonsense to job %llx", t->slot, (unsigned long long)t->number);
	give_answer(t, NULL, "the scanner answered nonsense");
}

static void
on_deadline(void *owner)
{
	struct scan_ticket *t = owner;
	struct buf msg;

	if (t->state != TICKET_TAKEN) {
		give_answer(t, NULL, t->pool->current != NULL ? "no scanner was free in time" : "no scanners are running");
		return;
	}
	buf_init(&msg, 64);
	scan_put_kill(&msg, t->slot, t->number);
	if (chan_send(t->gen->fds.kill, buf_slice(&msg), NULL, 0) == -1)
		log_error("the nursery could not be told to kill scanner %u: %m", t->slot);
	buf_free(&msg);
	give_answer(t, NULL, "the scanner took too long");
}
