#include "proxy/base/budget.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

struct row {
	_Atomic uint64_t used[BUDGET_KINDS];
	char apart[64 - BUDGET_KINDS * sizeof(uint64_t)];	/* whole cache lines for each worker */
	_Atomic uint32_t backends[BUDGET_BACKENDS_MAX];
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
	for (unsigned i = 0; i < BUDGET_BACKENDS_MAX; i++)
		atomic_store(&b->row[row].backends[i], 0);
}

uint64_t
budget_used(const struct budgets *b, enum budget kind)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < b->rows; i++)
		used += atomic_load_explicit(&b->row[i].used[kind], memory_order_relaxed);
	return used;
}

uint64_t
budget_used_by(const struct budgets *b, enum budget kind, unsigned row)
{
	return atomic_load_explicit(&b->row[row].used[kind], memory_order_relaxed);
}

bool
budget_take(struct budgets *b, enum budget kind, unsigned row, uint64_t n, uint64_t max)
{
	uint64_t used = budget_used(b, kind);

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

/* Booked first and counted then: of two who come at the same moment the later one, at least, sees the other. */
bool
budget_take_backend(struct budgets *b, unsigned backend, unsigned row, unsigned max)
{
	uint64_t used = 0;

	atomic_fetch_add(&b->row[row].backends[backend], 1);
	for (unsigned i = 0; i < b->rows; i++)
		used += atomic_load(&b->row[i].backends[backend]);
	if (max == 0 || used <= max)
		return true;
	budget_give_backend(b, backend, row);
	return false;
}

void
budget_give_backend(struct budgets *b, unsigned backend, unsigned row)
{
	atomic_fetch_sub(&b->row[row].backends[backend], 1);
}
