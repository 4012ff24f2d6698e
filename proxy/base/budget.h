/* budget.h - what all workers may use together, counted in a page that they share.
 *
 * Each worker writes its own row only; master clears the row of one that died, so nothing that a
 * killed process held stays booked. Two workers that look at the same moment may both get the
 * last of a budget: it is overdrawn by one request then, never lost. */
#ifndef PROXY_BASE_BUDGET_H
#define PROXY_BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum budget { BUDGET_SPOOL, BUDGET_SESSIONS, BUDGET_KINDS };

struct budgets;			/* the shared page */

struct budgets *budgets_new(unsigned rows);	/* before the workers are forked; NULL with errno */
void budgets_clear(struct budgets *, unsigned row);

/* Takes n for this row if all rows together then stay within max. */
bool budget_take(struct budgets *, enum budget, unsigned row, uint64_t n, uint64_t max);
void budget_give(struct budgets *, enum budget, unsigned row, uint64_t n);

#endif
