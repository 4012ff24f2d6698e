#include "proxy/smtp/smtp_pool.h"

#include <stdlib.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_backend_int.h"

#define SWEEP        0.5	/* seconds between looks at what is kept */
#define POLL         0.05	/* seconds between tries while others' workers hold all sessions */
#define REFUSED_MAX  10		/* recipients in a row; beyond that servers grow slow, and say 421 (Postfix: smtpd_hard_error_limit) */

struct smtp_pool {
	struct loop *loop;
	struct smtp_backend *idle;		/* the youngest first */
	struct smtp_backend *waiting, **last;	/* who came first */
	struct timer sweep, poll;
	struct loop_task serve;			/* something that they wait for may be there */
};

static void on_sweep(void *), on_poll(void *), on_serve(void *);

struct smtp_pool *
smtp_pool_new(struct loop *loop)
{
	struct smtp_pool *pool = mem_new(sizeof(*pool));

	pool->loop = loop;
	pool->last = &pool->waiting;
	pool->serve = (struct loop_task){ .run = on_serve, .owner = pool };
	timer_init(&pool->sweep, loop, on_sweep, pool);
	timer_init(&pool->poll, loop, on_poll, pool);
	return pool;
}

void
smtp_pool_free(struct smtp_pool **poolp)
{
	struct smtp_pool *pool = *poolp;

	*poolp = NULL;
	if (pool == NULL)
		return;
	smtp_pool_retire(pool, NULL);
	timer_stop(&pool->sweep);
	timer_stop(&pool->poll);
	loop_forget(pool->loop, &pool->serve);
	free(pool);
}

static void
unlink_session(struct smtp_pool *pool, struct smtp_backend *b)
{
	if (b->prev == NULL)
		return;
	*b->prev = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
	else if (!b->kept)
		pool->last = b->prev;
	b->next = NULL;
	b->prev = NULL;
	if (b->kept)
		b->backend->nkept--;
	b->kept = false;
}

void
smtp_pool_forget(struct smtp_backend *b)
{
	if (b->pool == NULL)
		return;
	unlink_session(b->pool, b);
	if (b->slot) {
		b->slot = false;
		backend_session_end(b->backend);
		if (b->pool->waiting != NULL)
			loop_at_turn_end(b->pool->loop, &b->pool->serve);
	}
}

void
smtp_pool_rested(struct smtp_backend *b)
{
	if (b->kept && b->norders == 0 && b->pool->waiting != NULL)
		loop_at_turn_end(b->pool->loop, &b->pool->serve);
}

static void
end_kept(struct smtp_backend *b)
{
	smtp_backend_quit(&b);
}

void
smtp_pool_retire(struct smtp_pool *pool, const struct backend *backend)
{
	for (struct smtp_backend *b = pool->idle, *next; b != NULL; b = next) {
		next = b->next;
		if (backend == NULL || b->backend == backend)
			end_kept(b);
	}
}

static void
let_go(void *keeper, struct backend *backend)
{
	smtp_pool_retire(keeper, backend);
}

/* The server cannot tell this client from another: it hears neither a name nor an address of it, but what
 * XFORWARD says of one message. */
static bool
is_anybody(const struct smtp_backend *b)
{
	enum conf_identity identity = b->backend->conf->identity;

	return !b->own && b->source.len == 0 && !b->backend->conf->original &&
	       (identity == CONF_IDENTITY_NONE || identity == CONF_IDENTITY_XFORWARD);
}

static bool
is_too_old(const struct smtp_backend *b)
{
	return loop_now(b->loop) - b->wire.opened > b->backend->conf->session_age;
}

bool
smtp_pool_is_good(const struct smtp_backend *b)
{
	const struct conf_backend *conf = b->backend->conf;
	uint64_t most = conf->session_messages;

	if (b->wire.caps.mailmax > 0 && (most == 0 || b->wire.caps.mailmax < most))
		most = b->wire.caps.mailmax;
	return b->phase == PHASE_READY && !b->early && !b->wire.worn && b->wire.refused < REFUSED_MAX && !is_too_old(b) &&
	       (most == 0 || b->wire.messages < most);
}

/* Good for another client, now or once RSET is answered. */
static bool
is_fit(const struct smtp_backend *b)
{
	return smtp_pool_is_good(b) && is_anybody(b) &&
	       (b->norders == 0 || (b->norders == 1 && b->orders[0].what == ORDER_RSET && b->nsent == 1));
}

/* A kept one that can be used at once. */
static struct smtp_backend *
find_kept(struct smtp_pool *pool, const struct backend *backend)
{
	for (struct smtp_backend *b = pool->idle; b != NULL; b = b->next)
		if (b->backend == backend && b->norders == 0 && !is_too_old(b) && conn_is_quiet(b->wire.conn))
			return b;
	return NULL;
}

static struct smtp_backend *
oldest_kept(struct smtp_pool *pool, const struct backend *backend)
{
	struct smtp_backend *oldest = NULL;

	for (struct smtp_backend *b = pool->idle; b != NULL; b = b->next)
		if (b->backend == backend)
			oldest = b;
	return oldest;
}

/* One that was kept is of use to this client as soon as it has answered RSET. */
static bool
is_worth_waiting(struct smtp_pool *pool, const struct smtp_backend *b)
{
	for (const struct smtp_backend *kept = pool->idle; kept != NULL; kept = kept->next)
		if (kept->backend == b->backend && kept->norders > 0)
			return is_anybody(b);
	return false;
}

/* One of max-sessions; a kept one that this client cannot use gives way. */
static bool
take_slot(struct smtp_pool *pool, struct smtp_backend *b)
{
	b->slot = backend_session_begin(b->backend);
	if (!b->slot && b->backend->nkept > 0 && !is_worth_waiting(pool, b)) {
		end_kept(oldest_kept(pool, b->backend));
		b->slot = backend_session_begin(b->backend);
	}
	return b->slot;
}

/* False: there is nothing for it now. */
static bool
begin(struct smtp_pool *pool, struct smtp_backend *b)
{
	struct smtp_backend *kept = b->backend->nkept > 0 && is_anybody(b) ? find_kept(pool, b->backend) : NULL;

	if (kept != NULL)
		smtp_backend_take_wire(b, kept);
	else if (take_slot(pool, b))
		smtp_backend_dial(b);
	else
		return false;
	return true;
}

static void
wait_for_slot(struct smtp_pool *pool, struct smtp_backend *b)
{
	b->phase = PHASE_SLOT;
	timer_set(&b->deadline, b->backend->conf->session_wait);
	b->prev = pool->last;
	*pool->last = b;
	pool->last = &b->next;
	if (!timer_running(&pool->poll))
		timer_set(&pool->poll, POLL);
}

static bool
others_wait(const struct smtp_pool *pool, const struct backend *backend)
{
	for (const struct smtp_backend *b = pool->waiting; b != NULL; b = b->next)
		if (b->backend == backend)
			return true;
	return false;
}

struct smtp_backend *
smtp_pool_take(struct smtp_pool *pool, struct backend *backend, const struct smtp_client *client,
    const struct smtp_backend_ops *ops, void *owner)
{
	struct smtp_backend *b = smtp_backend_new(pool->loop, backend, client, ops, owner);

	b->pool = pool;
	if (others_wait(pool, backend) || !begin(pool, b))
		wait_for_slot(pool, b);
	return b;
}

static void
on_serve(void *owner)
{
	struct smtp_pool *pool = owner;

	for (struct smtp_backend *b = pool->waiting, *next; b != NULL; b = next) {
		next = b->next;
		if (begin(pool, b))
			unlink_session(pool, b);
	}
}

/* Another worker's session may have ended, of which nobody tells us. */
static void
on_poll(void *owner)
{
	struct smtp_pool *pool = owner;

	on_serve(pool);
	if (pool->waiting != NULL)
		timer_set(&pool->poll, POLL);
}

/* All of max-sessions are in use: by other workers' clients that wait, perhaps. */
static bool
is_wanted(struct backend *backend)
{
	if (backend->conf->max_sessions == 0)
		return false;
	if (!backend_session_begin(backend))
		return true;
	backend_session_end(backend);
	return false;
}

bool
smtp_pool_is_wanted(const struct smtp_pool *pool, struct backend *backend)
{
	return others_wait(pool, backend) || is_wanted(backend);
}

static void
on_sweep(void *owner)
{
	struct smtp_pool *pool = owner;
	double now = loop_now(pool->loop);

	for (struct smtp_backend *b = pool->idle, *next; b != NULL; b = next) {
		double idle = now - b->kept_since;

		next = b->next;
		if (idle >= b->backend->conf->keep_time || is_too_old(b) || (idle >= SWEEP && is_wanted(b->backend)))
			end_kept(b);
	}
	if (pool->idle != NULL)
		timer_set(&pool->sweep, SWEEP);
}

static void
keep(struct smtp_pool *pool, struct smtp_backend *b)
{
	struct backend *backend = b->backend;

	b->ops = NULL;
	b->owner = NULL;
	b->fresh = b->reset_due = false;
	b->kept = true;
	b->kept_since = loop_now(pool->loop);
	b->next = pool->idle;
	if (b->next != NULL)
		b->next->prev = &b->next;
	b->prev = &pool->idle;
	pool->idle = b;
	backend->nkept++;
	backend->keeper = pool;
	backend->let_go = let_go;
	if (!timer_running(&pool->sweep))
		timer_set(&pool->sweep, SWEEP);
}

void
smtp_pool_give(struct smtp_pool *pool, struct smtp_backend **bp, bool clean)
{
	struct smtp_backend *b = *bp;
	struct backend *backend;

	*bp = NULL;
	if (b == NULL)
		return;
	if (!clean || !is_fit(b)) {
		smtp_backend_quit(&b);
		return;
	}
	backend = b->backend;
	keep(pool, b);
	if (others_wait(pool, backend))
		loop_at_turn_end(pool->loop, &pool->serve);
	else if (backend->nkept > backend->conf->keep_sessions)
		end_kept(oldest_kept(pool, backend));
}
