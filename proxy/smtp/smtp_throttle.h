/* smtp_throttle.h - how often somebody may fail to authenticate: per client address, per user name.
 *
 * One page that all workers share, made before they are forked: an attacker who is spread over the
 * workers is counted once. An attempt is booked when it begins and given back when it succeeds, so
 * a hundred at the same moment are a hundred. A count begins with its first attempt and is
 * forgotten ten minutes later. The page has room for 65,536 names and addresses; where it is full the
 * one that began first makes room. Names are hashed with a key that is made at each start: nobody can
 * choose whom he pushes out.
 *
 * Who fails in somebody else's name on purpose must not lock him out: an address from which a user has
 * succeeded is trusted with that name for a week, and its failures are its own alone. */
#ifndef PROXY_SMTP_SMTP_THROTTLE_H
#define PROXY_SMTP_SMTP_THROTTLE_H

#include "proxy/base/addr.h"

#define SMTP_THROTTLE_WINDOW 600		/* seconds */
#define SMTP_THROTTLE_TRUST  (7 * 86400)

struct smtp_throttle;

struct smtp_throttle *smtp_throttle_new(void);		/* NULL with errno */
void smtp_throttle_free(struct smtp_throttle **);

/* Who is counted: an address (of IPv6 its /64, which is what one customer has), a name (ASCII case ignored). */
uint64_t smtp_throttle_address(const struct smtp_throttle *, const struct addr *);
uint64_t smtp_throttle_user(const struct smtp_throttle *, struct slice name);
uint64_t smtp_throttle_both(const struct smtp_throttle *, const struct addr *, struct slice name);	/* to be trusted */

/* Books an attempt, unless `max` are booked already (0: any number). now: seconds of a clock that all
 * workers share. *booked: how many are, this one included. */
bool smtp_throttle_take(struct smtp_throttle *, uint64_t who, unsigned max, uint64_t now, unsigned *booked);
void smtp_throttle_give(struct smtp_throttle *, uint64_t who, uint64_t now);

void smtp_throttle_trust(struct smtp_throttle *, uint64_t both, uint64_t now);
bool smtp_throttle_trusts(struct smtp_throttle *, uint64_t both, uint64_t now);

/* Seconds that the answer to a failure waits, when so many are booked: 1, 2, 4, 8, 8... */
double smtp_throttle_delay(unsigned booked);

#endif
