/* crowd.h - how many connections each client address has, over all workers, counted in a page that they share.
 *
 * An address is counted by a keyed hash, whose key nobody outside knows, in two counters; the smaller one counts.
 * So an address is mistaken for a crowd only when it shares both with one. IPv6 clients are counted by their /64. Each
 * worker writes its own row only; master clears the row of one that died. */
#ifndef PROXY_BASE_CROWD_H
#define PROXY_BASE_CROWD_H

#include "proxy/base/addr.h"

struct crowd;				/* the shared page */

struct crowd *crowd_new(unsigned rows);	/* before the workers are forked; NULL with errno */
void crowd_clear(struct crowd *, unsigned row);

/* Where somebody was counted; zeroed: nowhere. */
struct crowd_place {
	uint16_t one, other;
	bool in;
};

/* Counts this client unless `max` of its address are at this door already (a listener's name: each has its own
 * limit). max 0 and clients without an address (UNIX sockets) are not counted and always let in. */
bool crowd_enter(struct crowd *, unsigned row, struct slice door, const struct addr *, unsigned max, struct crowd_place *);
void crowd_leave(struct crowd *, unsigned row, struct crowd_place *);	/* once counts; more do nothing */

#endif
