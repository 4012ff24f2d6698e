#include "proxy/net/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/mem.h"
#include "proxy/net/loop_int.h"

struct loop {
	struct ev_loop *ev;
	struct ev_prepare turn_end;
	struct loop_task *first, **last;
	void **dead;
	size_t ndead;
	unsigned peers;
};

static void
on_turn_end(struct ev_loop *ev, struct ev_prepare *w, int revents)
{
	struct loop *loop = w->data;
	struct loop_task *task;

	(void)ev;
	(void)revents;
	while ((task = loop->first) != NULL) {
		loop->first = task->next;
		if (loop->first == NULL)
			loop->last = &loop->first;
		task->queued = false;
		task->run(task->owner);
	}
	for (size_t i = 0; i < loop->ndead; i++)
		free(loop->dead[i]);
	free(loop->dead);
	loop->dead = NULL;
	loop->ndead = 0;
}

struct loop *
loop_new(void)
{
	struct loop *loop = mem_new(sizeof(*loop));

	loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (loop->ev == NULL) {
		free(loop);
		return NULL;
	}
	loop->last = &loop->first;
	ev_prepare_init(&loop->turn_end, on_turn_end);
	ev_set_priority(&loop->turn_end, EV_MINPRI);	/* behind all that happened */
	loop->turn_end.data = loop;
	ev_prepare_start(loop->ev, &loop->turn_end);
	return loop;
}

void
loop_free(struct loop **loopp)
{
	struct loop *loop = *loopp;

	if (loop == NULL)
		return;
	on_turn_end(loop->ev, &loop->turn_end, 0);
	ev_loop_destroy(loop->ev);
	free(loop);
	*loopp = NULL;
}

void
loop_run(struct loop *loop)
{
	ev_run(loop->ev, 0);
}

void
loop_stop(struct loop *loop)
{
	ev_break(loop->ev, EVBREAK_ALL);
}

double
loop_now(const struct loop *loop)
{
	return ev_now(loop->ev);
}

struct ev_loop *
loop_ev(struct loop *loop)
{
	return loop->ev;
}

void
loop_count_peer(struct loop *loop, int more)
{
	loop->peers += (unsigned)more;
}

unsigned
loop_peers(const struct loop *loop)
{
	return loop->peers;
}

void
loop_at_turn_end(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->last = task;
	loop->last = &task->next;
	/* An event that was fed at the turn's end (octets inside TLS) is run before the loop sleeps, and
	 * what it leaves must not lie there meanwhile: that is another turn, and it ends, too. */
	ev_feed_event(loop->ev, &loop->turn_end, EV_PREPARE);
}

void
loop_forget(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at = &loop->first;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (task->next == NULL)
		loop->last = at;
	task->queued = false;
}

void
loop_free_later(struct loop *loop, void *mem)
{
	*(void **)mem_push(&loop->dead, &loop->ndead, sizeof(void *)) = mem;
}

static void
on_timer(struct ev_loop *ev, struct ev_timer *w, int revents)
{
	struct timer *t = w->data;

	(void)revents;
	ev_timer_stop(ev, w);
	t->expired(t->owner);
}

void
timer_init(struct timer *t, struct loop *loop, void (*expired)(void *owner), void *owner)
{
	*t = (struct timer){ .loop = loop, .expired = expired, .owner = owner };
	ev_init(&t->ev, on_timer);
	t->ev.data = t;
}

void
timer_set(struct timer *t, double seconds)
{
	t->ev.repeat = seconds > 0 ? seconds : 0.000001;
	ev_timer_again(t->loop->ev, &t->ev);
}

void
timer_stop(struct timer *t)
{
	if (t->loop != NULL)
		ev_timer_stop(t->loop->ev, &t->ev);
}

bool
timer_running(const struct timer *t)
{
	return ev_is_active(&t->ev);
}

static void
on_readable(struct ev_loop *ev, struct ev_io *w, int revents)
{
	struct watch *watch = w->data;

	(void)ev;
	(void)revents;
	watch->readable(watch->owner);
}

void
watch_start(struct watch *w, struct loop *loop, int fd, void (*readable)(void *owner), void *owner)
{
	*w = (struct watch){ .loop = loop, .readable = readable, .owner = owner };
	ev_io_init(&w->ev, on_readable, fd, EV_READ);
	w->ev.data = w;
	ev_io_start(loop->ev, &w->ev);
}

void
watch_stop(struct watch *w)
{
	if (w->loop != NULL)
		ev_io_stop(w->loop->ev, &w->ev);
	w->loop = NULL;
}

const char *
loop_library(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d.%d", ev_version_major(), ev_version_minor());
	return text;
}
