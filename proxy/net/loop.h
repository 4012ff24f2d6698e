/* loop.h - the event loop of one process: timers, watched descriptors, and the end of a turn.
 *
 * A turn is one pass over what happened. What was put into buffers during a turn is written
 * once, at its end, so that several small answers leave in one packet; what was closed during a
 * turn is freed at its end, so no callback ever touches freed memory. */
#ifndef PROXY_NET_LOOP_H
#define PROXY_NET_LOOP_H

#include <ev.h>
#include <stdbool.h>

struct loop;

struct loop *loop_new(void);
const char *loop_library(void);				/* libev's version */
void loop_free(struct loop **);
void loop_run(struct loop *);				/* until loop_stop() */
void loop_stop(struct loop *);
unsigned loop_peers(const struct loop *);		/* conns that have not ended, those that say their last words included */
double loop_now(const struct loop *);			/* seconds; the start of this turn, for differences only */

/* Work for the end of this turn. A task sits in its owner's struct and is queued at most once;
 * one queued while the turn's tasks run still runs in the same turn. */
struct loop_task {
	void (*run)(void *owner);
	void *owner;
	struct loop_task *next;
	bool queued;
};
void loop_at_turn_end(struct loop *, struct loop_task *);
void loop_forget(struct loop *, struct loop_task *);	/* no longer wanted; needed before its memory goes */
void loop_free_later(struct loop *, void *mem);		/* free(3) when the turn is over */

/* A deadline. Zeroed memory after timer_init() is idle; timer_set() starts or moves it. */
struct timer {
	struct ev_timer ev;
	struct loop *loop;
	void (*expired)(void *owner);
	void *owner;
};
void timer_init(struct timer *, struct loop *, void (*expired)(void *owner), void *owner);
void timer_set(struct timer *, double seconds);
void timer_stop(struct timer *);
bool timer_running(const struct timer *);

/* A descriptor that may be read from. */
struct watch {
	struct ev_io ev;
	struct loop *loop;
	void (*readable)(void *owner);
	void *owner;
};
void watch_start(struct watch *, struct loop *, int fd, void (*readable)(void *owner), void *owner);
void watch_stop(struct watch *);

#endif
