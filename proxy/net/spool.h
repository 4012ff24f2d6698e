/* spool.h - one message on its way: a memfd that is written once, sealed, and then only read.
 *
 * After spool_seal() nobody can change it, whoever holds the descriptor: what is judged is what
 * is delivered. The descriptor's offset is shared with a scanner, so we read by mapping only.
 *
 * The spools of a worker live in a house, and all houses draw on one budget. Who is in need when
 * it is spent never waits: first the house's own reserve helps, then the message whose first octet
 * came last is given up, and so on, so that the oldest one always finishes. What a client says with
 * SIZE= is a promise: it keeps other announced messages from being begun in vain, but it takes no
 * room from one that is really there, and it lapses when the octets do not come. */
#ifndef PROXY_NET_SPOOL_H
#define PROXY_NET_SPOOL_H

#include "proxy/base/budget.h"
#include "proxy/base/err.h"
#include "proxy/base/slice.h"
#include "proxy/net/loop.h"

struct spool;

/* The spools of one worker. Fields are spool.c's. */
struct spool_house {
	struct budgets *shared;
	unsigned row;
	uint64_t max, reserve, drawn;
	struct spool *newest;		/* of those that hold octets and are not sealed: whose first octet came last */
	struct spool *promised;		/* those with a promise that stands */
	struct timer look;
};

void spool_house_init(struct spool_house *, struct loop *, struct budgets *, unsigned row);
void spool_house_close(struct spool_house *);	/* without spools */

/* From now on: the octets that the spools of all workers may hold together, and those that this worker's
 * may hold beyond that, so that its oldest message finishes: the size of the largest message allowed. */
void spool_house_limits(struct spool_house *, uint64_t max, uint64_t reserve);

/* announced: octets that the client says will come; 0: it did not say. NULL with err when there is no room
 * for it now, which is to be heard at MAIL (452 4.3.1).
 *
 * give_up() is called when the spool has lost its octets to an older one: it holds no room any more and takes
 * none; the owner tells its client (421 4.3.1) and closes the spool, then or later. The call comes out of
 * another spool's spool_put(). Sealed spools, and those without a single octet, are left alone. */
struct spool *spool_open(struct spool_house *, uint64_t announced, void (*give_up)(void *owner), void *owner, struct err *);

/* -1: given up, or itself the one that has to give way (without a call): its owner does the same as in give_up(). Or
 * the system has no memory. */
int spool_put(struct spool *, struct slice, struct err *);
uint64_t spool_size(const struct spool *);
int spool_seal(struct spool *, struct err *);		/* and maps it */
struct slice spool_bytes(const struct spool *);		/* sealed ones only; valid until spool_close */
int spool_fd(const struct spool *);
void spool_close(struct spool **);

#endif
