#include "proxy/base/budget.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

struct row {
	_Atomic uint64_t used[BUDGET_KINDS];
	char apart[64 - BUDGET_KINDS * sizeof(uint64_t)];	/* a cache line for each worker */
};

struct budgets {
	unsigned rows;
	char apart[60];
	struct row row[];
};

struct budgets *
budgets_new(unsigned rows)
{
	struct budgets *b = mmap(NULL, sizeof(*b) + rows * sizeof(struct row), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return NULL;
	b->rows = rows;
	return b;
}

void
budgets_clear(struct budgets *b, unsigned row)
{
	for (unsigned k = 0; k < BUDGET_KINDS; k++)
		atomic_store(&b->row[row].used[k], 0);
}

bool
budget_take(struct budgets *b, enum budget kind, unsigned row, uint64_t n, uint64_t max)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < b->rows; i++)
		used += atomic_load_explicit(&b->row[i].used[kind], memory_order_relaxed);
	if (used > max || max - used < n)
		return false;
	atomic_fetch_add_explicit(&b->row[row].used[kind], n, memory_order_relaxed);
	return true;
}

void
budget_give(struct budgets *b, enum budget kind, unsigned row, uint64_t n)
{
	atomic_fetch_sub_explicit(&b->row[row].used[kind], n, memory_order_relaxed);
}
