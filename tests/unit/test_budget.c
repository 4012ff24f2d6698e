/* test_budget.c - truths about proxy/base/budget.h: what all workers may use together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/budget.h"
#include "proxy/base/mem.h"

enum what { TAKE, GIVE, CLEAR };

/* One after the other, on one page of three rows, within 100. */
static const struct {
	enum what what;
	unsigned row;
	uint64_t n;
	bool taken;
} steps[] = {
	{ TAKE, 0, 0, true },
	{ TAKE, 0, 101, false },
	{ TAKE, 0, UINT64_MAX, false },
	{ TAKE, 0, 60, true },
	{ TAKE, 1, 41, false },			/* all rows together */
	{ TAKE, 1, 40, true },
	{ TAKE, 2, 1, false },
	{ TAKE, 2, 0, true },
	{ GIVE, 0, 10, false },
	{ TAKE, 2, 11, false },
	{ TAKE, 2, 10, true },
	{ TAKE, 1, UINT64_MAX, false },		/* no overflow makes room */
	{ CLEAR, 1, 0, false },			/* who died holds nothing */
	{ TAKE, 2, 41, false },
	{ TAKE, 2, 40, true },
	{ CLEAR, 0, 0, false },
	{ CLEAR, 2, 0, false },
	{ TAKE, 1, 100, true },
	{ TAKE, 0, 1, false },
};

static void
test_steps(void **state)
{
	struct budgets *b = budgets_new(3);

	(void)state;
	assert_non_null(b);
	for (size_t i = 0; i < NITEMS(steps); i++)
		switch (steps[i].what) {
		case TAKE:
			assert_int_equal(budget_take(b, BUDGET_SPOOL, steps[i].row, steps[i].n, 100), steps[i].taken);
			break;
		case GIVE:
			budget_give(b, BUDGET_SPOOL, steps[i].row, steps[i].n);
			break;
		case CLEAR:
			budgets_clear(b, steps[i].row);
			break;
		}
	assert_true(budget_take(b, BUDGET_SESSIONS, 0, 100, 100));	/* each kind has its own */
	assert_false(budget_take(b, BUDGET_SPOOL, 0, 0, 99));		/* a reload may have made it smaller */
}

static void
test_processes_share_it(void **state)
{
	struct budgets *b = budgets_new(2);
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(b);
	pid = fork();
	if (pid == 0)
		_exit(budget_take(b, BUDGET_SESSIONS, 1, 7, 10) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(budget_take(b, BUDGET_SESSIONS, 0, 4, 10));
	assert_true(budget_take(b, BUDGET_SESSIONS, 0, 3, 10));
}

/* Sessions to backends: each backend has its own number, and it is never overdrawn. */
static void
test_backends(void **state)
{
	static const struct { enum what what; unsigned backend, row, max; bool taken; } each[] = {
		{ TAKE, 0, 0, 2, true },
		{ TAKE, 0, 1, 2, true },
		{ TAKE, 0, 2, 2, false },
		{ TAKE, 0, 2, 2, false },		/* who was refused holds nothing */
		{ TAKE, 255, 2, 1, true },
		{ TAKE, 0, 2, 0, true },		/* any number, but counted */
		{ GIVE, 0, 0, 0, true },
		{ TAKE, 0, 0, 2, false },
		{ GIVE, 0, 2, 0, true },
		{ TAKE, 0, 0, 2, true },
		{ CLEAR, 0, 1, 0, true },
		{ TAKE, 0, 2, 2, true },
		{ TAKE, 255, 0, 1, false },
	};
	struct budgets *b = budgets_new(3);

	(void)state;
	for (size_t i = 0; i < NITEMS(each); i++)
		if (each[i].what == TAKE)
			assert_int_equal(budget_take_backend(b, each[i].backend, each[i].row, each[i].max), each[i].taken);
		else if (each[i].what == GIVE)
			budget_give_backend(b, each[i].backend, each[i].row);
		else
			budgets_clear(b, each[i].row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_processes_share_it),
		cmocka_unit_test(test_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
