/* budget.h - what all workers may use together, counted in a page that they share.
 *
 * Each worker writes its own row only; master clears the row of one that died, so nothing that a
 * killed process held stays booked. Two workers that look at the same moment may both get the
 * last of a budget: it is overdrawn by one request then, never lost. (Not so sessions to backends: a server
 * that admits ten would refuse the eleventh. There both may be told to wait.) */
#ifndef PROXY_BASE_BUDGET_H
#define PROXY_BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum budget {
	BUDGET_SPOOL,			/* octets that spools hold */
	BUDGET_PROMISED,		/* and those that were announced (SIZE=) but have not come yet */
	BUDGET_SESSIONS,
	BUDGET_DELIVERING,		/* messages on their way into a server; who dies then leaves their outcome unknown */
	BUDGET_KINDS,
};

struct budgets;			/* the shared page */

struct budgets *budgets_new(unsigned rows);	/* before the workers are forked; NULL with errno */
void budgets_clear(struct budgets *, unsigned row);

/* Takes n for this row if all rows together then stay within max. */
bool budget_take(struct budgets *, enum budget, unsigned row, uint64_t n, uint64_t max);
void budget_give(struct budgets *, enum budget, unsigned row, uint64_t n);
uint64_t budget_used(const struct budgets *, enum budget);	/* by all rows together */
uint64_t budget_used_by(const struct budgets *, enum budget, unsigned row);

#define BUDGET_BACKENDS_MAX 256

/* One session to the backend with this number if all rows together then have at most max of them; max 0: any
 * number, but they are counted. */
bool budget_take_backend(struct budgets *, unsigned backend, unsigned row, unsigned max);
void budget_give_backend(struct budgets *, unsigned backend, unsigned row);

#endif
