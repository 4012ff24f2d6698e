/* test_backend.c - truths about proxy/backend/backend.h: which address is tried next, and when all are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/backend/backend.h"
#include "proxy/base/mem.h"

static unsigned probes;

static void
on_probe(struct backend *b)
{
	(void)b;
	probes++;
}

static const struct backend_probe probe = { on_probe, on_probe };

static struct addr addresses[3];
static struct conf_backend conf = {
	.name = (char *)"store", .addresses = addresses, .naddresses = 3, .check_interval = 30, .grace = 0.05,
};

static struct backend *
backend_of(struct loop *loop)
{
	struct err err = { "" };
	struct backend *b;

	for (size_t i = 0; i < NITEMS(addresses); i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%zu:25", i + 1);
		assert_int_equal(addr_parse(&addresses[i], text, 0, &err), 0);
	}
	b = backend_new(loop, &conf, "mx.example.org", &probe, &err);
	assert_non_null(b);
	return b;
}

/* All addresses in the order in which they are tried, as "012". */
static void
order_of(const struct backend *b, uint64_t tried, char order[8])
{
	unsigned place;

	while (backend_address(b, tried, &place) != NULL) {
		assert_ptr_equal(backend_address(b, tried, &place), &addresses[place]);
		*order++ = (char)('0' + place);
		tried |= UINT64_C(1) << place;
	}
	*order = '\0';
}

static void
test_order(void **state)
{
	/* What happens one after the other: a digit has failed, a digit behind "+" has worked. */
	static const struct { const char *events, *order, *trouble; } cases[] = {
		{ "", "012", "no address to try" },
		{ "0", "120", "0 failed" },
		{ "1", "021", "1 failed" },
		{ "01", "201", "1 failed" },
		{ "10", "201", "0 failed" },		/* the last attempt's words */
		{ "012", "012", "2 failed" },		/* all are down: each is tried all the same */
		{ "012+1", "102", "2 failed" },
		{ "012+2", "201", "1 failed" },
		{ "0+0", "012", "no address to try" },
		{ "2+1", "012", "2 failed" },
		{ "00", "120", "0 failed" },
	};
	struct backend_caps caps = { .eightbit = true };
	struct loop *loop = loop_new();

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct backend *b = backend_of(loop);
		char order[8];

		for (const char *e = cases[i].events; *e != '\0'; e++) {
			char why[] = "x failed";

			why[0] = *e;
			if (*e == '+')
				backend_worked(b, (unsigned)(*++e - '0'), &caps);
			else
				backend_failed(b, (unsigned)(*e - '0'), why);
		}
		order_of(b, 0, order);
		assert_string_equal(order, cases[i].order);
		assert_string_equal(backend_trouble(b), cases[i].trouble);
		assert_int_equal(b->caps_known, strchr(cases[i].events, '+') != NULL);
		assert_int_equal(b->caps.eightbit, b->caps_known);
		order_of(b, 1, order);
		assert_null(strchr(order, '0'));	/* never twice */
		assert_int_equal(strlen(order), 2);
		order_of(b, 7, order);
		assert_string_equal(order, "");
		backend_free(&b);
	}
	loop_free(&loop);
}

static void
stop(void *loop)
{
	loop_stop(loop);
}

static void
run_for(struct loop *loop, double seconds)
{
	struct timer t;

	timer_init(&t, loop, stop, loop);
	timer_set(&t, seconds);
	loop_run(loop);
	timer_stop(&t);
}

static void
test_grace(void **state)
{
	struct backend_caps caps = { 0 };
	struct loop *loop = loop_new();
	struct backend *b = backend_of(loop);

	(void)state;
	run_for(loop, 0.01);
	assert_int_equal(probes, 1);		/* one at once; the next one is far away */
	backend_failed(b, 0, "x");
	backend_failed(b, 1, "x");
	run_for(loop, 0.1);
	assert_false(backend_is_lost(b));	/* one is not down */
	backend_failed(b, 2, "x");
	assert_false(backend_is_lost(b));
	run_for(loop, 0.1);
	backend_failed(b, 2, "x");		/* once more begins no new time of grace */
	assert_true(backend_is_lost(b));
	backend_worked(b, 1, &caps);
	assert_false(backend_is_lost(b));
	backend_free(&b);
	assert_null(b);
	loop_free(&loop);
}

/* The server that a client was on its way to: nobody looks after it, and it is never lost. */
static void
test_original(void **state)
{
	const struct conf_backend original = { .name = (char *)"there", .original = true, .check_interval = 0.01 };
	const struct backend_caps caps = { .eightbit = true };
	struct loop *loop = loop_new();
	struct err err = { "" };
	struct backend *b = backend_new(loop, &original, "mx.example.org", &probe, &err);
	unsigned before = probes, place;

	(void)state;
	assert_non_null(b);
	assert_false(timer_running(&b->check));
	assert_null(backend_address(b, 0, &place));
	backend_failed(b, 0, "refused");
	backend_worked(b, 0, &caps);
	assert_false(backend_is_lost(b));
	assert_false(b->caps_known);	/* another client's is another server */
	assert_int_equal(probes, before);
	backend_free(&b);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_original),
		cmocka_unit_test(test_original),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
