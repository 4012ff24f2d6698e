/* spool.h - one message on its way: a memfd that is written once, sealed, and then only read.
 *
 * After spool_seal() nobody can change it, whoever holds the descriptor: what is judged is what
 * is delivered. The descriptor's offset is shared with a scanner, so we read by mapping only. */
#ifndef PROXY_NET_SPOOL_H
#define PROXY_NET_SPOOL_H

#include "proxy/base/budget.h"
#include "proxy/base/err.h"
#include "proxy/base/slice.h"

/* Where a worker's spools are booked, and what all workers' may hold together. */
struct spool_budget {
	struct budgets *shared;
	unsigned row;
	uint64_t max;		/* octets */
};

struct spool;

/* reserve: octets set aside now; NULL with err when the budget has not that much. */
struct spool *spool_open(const struct spool_budget *, uint64_t reserve, struct err *);
int spool_put(struct spool *, struct slice, struct err *);	/* -1: budget spent or no memory */
uint64_t spool_size(const struct spool *);
int spool_seal(struct spool *, struct err *);		/* and maps it */
struct slice spool_bytes(const struct spool *);		/* sealed ones only; valid until spool_close */
int spool_fd(const struct spool *);
void spool_close(struct spool **);

#endif
