/* test_pace.c - truths about proxy/net/pace.h: so many octets in each window, or it is late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/base/mem.h"
#include "proxy/net/pace.h"

/* What comes when, and how many seconds are left behind each; the first feed at 0 is the beginning. */
static const struct {
	double window;
	uint64_t rate;
	struct {
		double now;
		uint64_t octets;
		double left;
	} feeds[8];
} cases[] = {
	/* any octet will do */
	{ 10, 0, { { 0, 0, 10 }, { 9, 0, 1 }, { 9, 1, 10 }, { 18, 1, 10 }, { 28, 0, 0 }, { 29, 5, 0 } } },
	/* 100 octets in 10 s */
	{ 10, 10, { { 0, 99, 10 }, { 9, 0, 1 }, { 9, 1, 10 }, { 12, 50, 7 }, { 18, 49, 1 }, { 19, 0, 0 } } },
	{ 10, 10, { { 1, 1, 9 }, { 2, 1, 8 }, { 9, 1, 1 }, { 11, 1, 0 }, { 11, 1000000, 0 } } },	/* drips; late is late */
	{ 10, 10, { { 1, 1000000, 10 }, { 11, 0, 0 } } },		/* a burst buys no more than one window */
	{ 10, 10, { { 0, 100, 10 }, { 5, 100, 10 }, { 10, 99, 5 }, { 10, 1, 10 }, { 20, 100, 10 } } },	/* just in time */
	{ 0.5, 1, { { 0, 0, 0.5 }, { 0.25, 1, 0.5 } } },		/* less than an octet a window: one */
	{ 86400, UINT64_MAX, { { 0, UINT64_MAX, 86400 }, { 1, UINT64_MAX, 86400 } } },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (int start = 0; start <= 1000; start += 1000) {
			struct pace p;

			pace_begin(&p, start, cases[i].window, cases[i].rate);
			for (size_t k = 0; k < NITEMS(cases[i].feeds) && (k == 0 || cases[i].feeds[k].now > 0); k++) {
				double left;

				pace_feed(&p, start + cases[i].feeds[k].now, cases[i].feeds[k].octets);
				left = pace_left(&p, start + cases[i].feeds[k].now);
				if (left != cases[i].feeds[k].left)
					fail_msg("case %zu, feed %zu: %g left", i + 1, k + 1, left);
			}
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
