/* pace.h - whether something comes in fast enough, on average over a window of time.
 *
 * In each window so many octets have to come; as soon as they have, a new one begins. So a peer that falls
 * silent is known after one window at the most, and one octet now and then moves nothing on. Nothing here looks at
 * a clock or sets a timer: whoever feeds it asks how long to wait for more. */
#ifndef PROXY_NET_PACE_H
#define PROXY_NET_PACE_H

#include <stdint.h>

struct pace {
	double window, until;	/* seconds; loop_now() at which it is late */
	uint64_t least, got;	/* octets in a window */
};

/* From now on at least `rate` octets a second, on average over `window` seconds. rate 0: any octet will do. */
void pace_begin(struct pace *, double now, double window, uint64_t rate);
void pace_feed(struct pace *, double now, uint64_t octets);
double pace_left(const struct pace *, double now);	/* seconds until it is late; never below 0 */

#endif
