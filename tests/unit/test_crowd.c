/* test_crowd.c - truths about proxy/base/crowd.h and hash.h: connections of each address, over all workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/crowd.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"

/* Of the paper's appendix A: the key is 00 01 ... 0f, the text 00 01 ... of each length. */
static const uint64_t vectors[] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
	0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
};

static void
test_hash(void **state)
{
	unsigned char key[HASH_KEY_LEN];
	char text[NITEMS(vectors)];

	(void)state;
	for (unsigned i = 0; i < NITEMS(vectors); i++) {
		key[i] = (unsigned char)i;
		text[i] = (char)i;
	}
	for (size_t len = 0; len < NITEMS(vectors); len++)
		assert_int_equal(hash_keyed(key, (struct slice){ text, len }), vectors[len]);
}

/* One after the other, in a crowd of three rows, three of each address allowed. Each line is a place, which 'l'eaves later. */
static const struct {
	char what;		/* 'e'nter, 'l'eave, 'c'lear a row */
	unsigned row, place;
	const char *door, *addr;
	unsigned max;
	bool in;
} steps[] = {
	{ 'e', 0, 0, "mx", "192.0.2.1:1", 3, true },
	{ 'e', 1, 1, "mx", "192.0.2.1:2", 3, true },		/* any port, any worker */
	{ 'e', 2, 2, "mx", "192.0.2.1:3", 3, true },
	{ 'e', 0, 3, "mx", "192.0.2.1:4", 3, false },
	{ 'l', 0, 3, NULL, NULL, 0, false },			/* was never in */
	{ 'e', 0, 3, "mx", "192.0.2.1:4", 3, false },
	{ 'e', 0, 3, "pop", "192.0.2.1:4", 3, true },		/* another door */
	{ 'e', 0, 4, "mx", "192.0.2.2:1", 3, true },		/* another address */
	{ 'e', 0, 5, "mx", "192.0.2.1:4", 4, true },		/* a reload may have made it more */
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 4, false },
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 2, false },
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 0, true },		/* any number, and not counted */
	{ 'l', 0, 6, NULL, NULL, 0, false },
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 4, false },
	{ 'l', 1, 1, NULL, NULL, 0, false },
	{ 'l', 1, 1, NULL, NULL, 0, false },			/* twice is once */
	{ 'e', 1, 1, "mx", "192.0.2.1:5", 4, true },
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 4, false },
	{ 'c', 1, 0, NULL, NULL, 0, false },			/* a worker died */
	{ 'e', 0, 6, "mx", "192.0.2.1:4", 4, true },
	/* IPv6: all of a /64 is one */
	{ 'e', 0, 7, "mx", "[2001:db8:0:1::1]:1", 2, true },
	{ 'e', 1, 8, "mx", "[2001:db8:0:1:ffff::2]:1", 2, true },
	{ 'e', 2, 9, "mx", "[2001:db8:0:1::3]:1", 2, false },
	{ 'e', 2, 9, "mx", "[2001:db8:0:2::3]:1", 2, true },
	{ 'e', 0, 10, "mx", "unix:/run/x", 1, true },		/* has no address */
	{ 'e', 0, 11, "mx", "unix:/run/x", 1, true },
};

static void
test_steps(void **state)
{
	struct crowd_place places[NITEMS(steps)] = { { 0 } };
	struct crowd *c = crowd_new(3);
	struct addr a;

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < NITEMS(steps); i++)
		switch (steps[i].what) {
		case 'e':
			assert_int_equal(addr_parse(&a, steps[i].addr, 1, NULL), 0);
			if (crowd_enter(c, steps[i].row, slice_of(steps[i].door), &a, steps[i].max, &places[steps[i].place]) != steps[i].in)
				fail_msg("step %zu", i + 1);
			break;
		case 'l':
			crowd_leave(c, steps[i].row, &places[steps[i].place]);
			break;
		case 'c':
			crowd_clear(c, steps[i].row);
			break;
		}
}

/* Thousands of others are no crowd for anyone, and when all have left it is empty. */
static void
test_many(void **state)
{
	static struct crowd_place places[20000];
	struct crowd *c = crowd_new(2);
	unsigned refused = 0;
	struct crowd_place p;
	struct addr a;
	char text[64];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < NITEMS(places); i++) {
			snprintf(text, sizeof(text), "10.%u.%u.%u:25", round, i / 256, i % 256);
			assert_int_equal(addr_parse(&a, text, 1, NULL), 0);
			refused += !crowd_enter(c, i % 2, SLICE("mx"), &a, 5, &places[i]);
		}
		assert_in_range(refused, 0, 20);
		for (unsigned i = 0; i < NITEMS(places); i++)
			crowd_leave(c, i % 2, &places[i]);
	}
	assert_int_equal(addr_parse(&a, "10.0.0.0:25", 1, NULL), 0);
	assert_true(crowd_enter(c, 0, SLICE("mx"), &a, 1, &p));
	assert_false(crowd_enter(c, 1, SLICE("mx"), &a, 1, &p));
}

static void
test_full_counter(void **state)
{
	static struct crowd_place places[70000];
	struct crowd *c = crowd_new(1);
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse(&a, "192.0.2.1:25", 1, NULL), 0);
	for (unsigned i = 0; i < NITEMS(places); i++)
		assert_int_equal(crowd_enter(c, 0, SLICE("mx"), &a, 1000000, &places[i]), i < 65535);
	for (unsigned i = 0; i < NITEMS(places); i++)
		crowd_leave(c, 0, &places[i]);
	assert_true(crowd_enter(c, 0, SLICE("mx"), &a, 1, &places[0]));
}

static void
test_processes_share_it(void **state)
{
	struct crowd *c = crowd_new(2);
	struct crowd_place p;
	struct addr a;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(addr_parse(&a, "192.0.2.1:25", 1, NULL), 0);
	pid = fork();
	if (pid == 0)
		_exit(crowd_enter(c, 1, SLICE("mx"), &a, 1, &p) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(crowd_enter(c, 0, SLICE("mx"), &a, 1, &p));
	crowd_clear(c, 1);
	assert_true(crowd_enter(c, 0, SLICE("mx"), &a, 1, &p));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_full_counter),
		cmocka_unit_test(test_processes_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
