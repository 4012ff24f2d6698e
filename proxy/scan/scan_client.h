/* scan_client.h - a worker's way to have a message judged.
 *
 * A job is lent to the scanners of the current generation over its job socket; its answer comes
 * on a channel of its own. What can go wrong ends as "could not judge", never as silence: a
 * scanner that dies, hangs, talks nonsense, or none at all. */
#ifndef PROXY_SCAN_SCAN_CLIENT_H
#define PROXY_SCAN_SCAN_CLIENT_H

#include "policy/facts.h"
#include "policy/findings.h"
#include "proxy/net/loop.h"

struct scan_pool;
struct scan_ticket;

/* The sending ends that a generation of scanners listens to; taken over by the pool. */
struct scan_generation_fds {
	int small, large, kill;		/* nonblocking */
};

struct scan_pool *scan_pool_new(struct loop *);
void scan_pool_free(struct scan_pool **);

/* From now on jobs go to this generation; those that an older one has are still answered by it. */
void scan_pool_use(struct scan_pool *, const struct scan_generation_fds *, unsigned scanners);

struct scan_limits {
	double wait;			/* seconds until a scanner must have taken it */
	double timeout;			/* seconds from then until the findings */
	double budget;			/* seconds for both together */
	bool last;			/* lent only when nothing else waits, and one such at a time: it has broken scanners before */
};

struct scan_answer {
	const struct findings *found;	/* NULL: it could not be judged */
	const char *why;		/* not */
	bool broke;			/* a scanner died of it, hung or talked nonsense: it may be the message that did that */
};

/* The spool must be sealed and stay open until the answer, which comes exactly once and never inside
 * this call, and is valid during it. */
struct scan_ticket *scan_submit(struct scan_pool *, int spool, uint64_t size, const struct facts *,
    struct scan_limits, void (*answer)(void *owner, const struct scan_answer *), void *owner);
void scan_cancel(struct scan_ticket **);	/* no answer will come; the job is void */

#endif
