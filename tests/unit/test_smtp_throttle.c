/* test_smtp_throttle.c - truths about proxy/smtp/smtp_throttle.h: failed attempts, counted for all workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_throttle.h"

enum what { TAKE, GIVE };

/* One after the other, at most 3. */
static const struct {
	enum what what;
	char who;
	uint64_t now;
	bool taken;
	unsigned booked;
} steps[] = {
	{ TAKE, 'a', 1000, true, 1 },
	{ TAKE, 'a', 1001, true, 2 },
	{ TAKE, 'b', 1001, true, 1 },
	{ GIVE, 'a', 1002, false, 0 },			/* that one succeeded */
	{ TAKE, 'a', 1003, true, 2 },
	{ TAKE, 'a', 1004, true, 3 },
	{ TAKE, 'a', 1005, false, 3 },
	{ TAKE, 'a', 1599, false, 3 },
	{ TAKE, 'b', 1599, true, 2 },
	{ TAKE, 'a', 1600, true, 1 },			/* ten minutes after the first: forgotten */
	{ GIVE, 'a', 1601, false, 0 },
	{ GIVE, 'a', 1601, false, 0 },			/* nothing is left to give */
	{ GIVE, 'c', 1601, false, 0 },
	{ TAKE, 'a', 1602, true, 1 },
	{ TAKE, 'd', (1u << 26) - 1, true, 1 },		/* where the clock's bits turn over */
	{ TAKE, 'd', (1u << 26) + 1, true, 2 },
	{ TAKE, 'd', (1u << 26) + 598, true, 3 },
	{ TAKE, 'd', (1u << 26) + 598, false, 3 },
	{ TAKE, 'd', (1u << 26) + 599, true, 1 },
};

static void
test_steps(void **state)
{
	struct smtp_throttle *t = smtp_throttle_new();
	unsigned booked;

	(void)state;
	assert_non_null(t);
	for (size_t i = 0; i < NITEMS(steps); i++) {
		uint64_t who = smtp_throttle_user(t, (struct slice){ &steps[i].who, 1 });

		if (steps[i].what == GIVE) {
			smtp_throttle_give(t, who, steps[i].now);
			continue;
		}
		if (smtp_throttle_take(t, who, 3, steps[i].now, &booked) != steps[i].taken || booked != steps[i].booked)
			fail_msg("step %zu: %u are booked", i, booked);
	}
	smtp_throttle_free(&t);
	assert_null(t);
}

static const struct { const char *one, *other; bool same; } addresses[] = {
	{ "192.0.2.1:25", "192.0.2.1:4711", true },
	{ "192.0.2.1:25", "192.0.2.2:25", false },
	{ "[2001:db8:1:2::1]:25", "[2001:db8:1:2:ffff::2]:26", true },
	{ "[2001:db8:1:2::1]:25", "[2001:db8:1:3::1]:25", false },
	{ "[::ffff:192.0.2.1]:25", "192.0.2.1:25", true },
	{ "unix:/a", "unix:/b", true },
	{ "unix:/a", "192.0.2.1:25", false },
};

static void
test_who(void **state)
{
	struct smtp_throttle *t = smtp_throttle_new(), *other = smtp_throttle_new();
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < NITEMS(addresses); i++) {
		assert_int_equal(addr_parse(&a, addresses[i].one, 0, NULL), 0);
		assert_int_equal(addr_parse(&b, addresses[i].other, 0, NULL), 0);
		if ((smtp_throttle_address(t, &a) == smtp_throttle_address(t, &b)) != addresses[i].same)
			fail_msg("%s and %s", addresses[i].one, addresses[i].other);
	}
	assert_true(smtp_throttle_user(t, SLICE("Ann@Example.org")) == smtp_throttle_user(t, SLICE("ann@example.ORG")));
	assert_false(smtp_throttle_user(t, SLICE("ann")) == smtp_throttle_user(t, SLICE("bob")));
	assert_false(smtp_throttle_user(t, SLICE("ann")) == smtp_throttle_user(other, SLICE("ann")));	/* a key for each start */
	smtp_throttle_free(&t);
	smtp_throttle_free(&other);
}

/* Many more than there is room for: the page stays as it is, and who failed just now is still known. */
static void
test_full(void **state)
{
	struct smtp_throttle *t = smtp_throttle_new();
	unsigned booked, known = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		assert_true(smtp_throttle_take(t, smtp_throttle_user(t, slice_of(name)), 3, 1000 + i / 1000, &booked));
	}
	for (unsigned i = 200000 - 10000; i < 200000; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		assert_true(smtp_throttle_take(t, smtp_throttle_user(t, slice_of(name)), 3, 1200, &booked));
		known += booked == 2;
	}
	assert_in_range(known, 9900, 10000);
	smtp_throttle_free(&t);
}

/* Four processes fail 500 times each at the same moment: no more than 700 get through together. */
static void
test_processes_share_it(void **state)
{
	struct smtp_throttle *t = smtp_throttle_new();
	uint64_t who = smtp_throttle_user(t, SLICE("ann"));
	unsigned booked;
	pid_t pids[4];
	int status;

	(void)state;
	for (size_t i = 0; i < NITEMS(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			for (unsigned k = 0; k < 500; k++)
				smtp_throttle_take(t, who, 700, 1000, &booked);
			_exit(0);
		}
	}
	for (size_t i = 0; i < NITEMS(pids); i++)
		assert_true(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	assert_false(smtp_throttle_take(t, who, 700, 1000, &booked));
	assert_int_equal(booked, 700);
	assert_true(smtp_throttle_take(t, who, 0, 1000, &booked));	/* no limit: counted all the same */
	assert_int_equal(booked, 701);
	for (unsigned k = 0; k < 400; k++)
		assert_true(smtp_throttle_take(t, who, 0, 1000, &booked));
	assert_int_equal(booked, 1022);					/* and no further than the bits go */
	smtp_throttle_free(&t);
}

static void
test_trust(void **state)
{
	struct smtp_throttle *t = smtp_throttle_new();
	uint64_t here, there, user = smtp_throttle_user(t, SLICE("ann"));
	struct addr a, b;
	unsigned booked;

	(void)state;
	assert_int_equal(addr_parse(&a, "192.0.2.1:25", 0, NULL), 0);
	assert_int_equal(addr_parse(&b, "192.0.2.2:25", 0, NULL), 0);
	here = smtp_throttle_both(t, &a, SLICE("Ann"));
	there = smtp_throttle_both(t, &b, SLICE("ann"));
	assert_true(here == smtp_throttle_both(t, &a, SLICE("ann")) && here != there && here != user);
	assert_false(smtp_throttle_trusts(t, here, 1000));
	smtp_throttle_trust(t, here, 1000);
	assert_true(smtp_throttle_trusts(t, here, 1000));
	assert_true(smtp_throttle_trusts(t, here, 1000 + SMTP_THROTTLE_TRUST - 1));
	assert_false(smtp_throttle_trusts(t, here, 1000 + SMTP_THROTTLE_TRUST));
	assert_false(smtp_throttle_trusts(t, there, 1001));
	assert_true(smtp_throttle_take(t, there, 3, 1001, &booked));	/* failures are no trust, however many */
	for (unsigned i = 0; i < 2000; i++)
		assert_true(smtp_throttle_take(t, there, 0, 1001, &booked));
	assert_false(smtp_throttle_trusts(t, there, 1001));
	smtp_throttle_free(&t);
}

static void
test_delay(void **state)
{
	static const double delays[] = { 1, 1, 2, 4, 8, 8, 8 };

	(void)state;
	for (unsigned i = 0; i < NITEMS(delays); i++)
		assert_true(smtp_throttle_delay(i) == delays[i]);
	assert_true(smtp_throttle_delay(1000000) == 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_processes_share_it),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
