/* test_spool.c - truths about proxy/net/spool.h: written once, sealed, booked to the octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/spool.h"

#define MIB (UINT64_C(1) << 20)		/* the step by which a spool grows */

static struct spool_budget
budget_of(uint64_t max)
{
	return (struct spool_budget){ .shared = budgets_new(1), .row = 0, .max = max };
}

/* What is free, found by taking it. */
static uint64_t
left_of(const struct spool_budget *b)
{
	uint64_t n = 0;

	for (uint64_t bit = UINT64_C(1) << 40; bit > 0; bit >>= 1)
		if (budget_take(b->shared, BUDGET_SPOOL, 0, n + bit, b->max)) {
			budget_give(b->shared, BUDGET_SPOOL, 0, n + bit);
			n += bit;
		}
	return n;
}

static void
test_bytes(void **state)
{
	static const size_t sizes[] = { 0, 1, 511, 4096, 70000, 3u << 20 };

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++)
		for (size_t piece = sizes[i] > 5000 ? 9999 : 1; piece <= sizes[i] + 1; piece = piece * 3 + 1) {
			struct spool_budget b = budget_of(4 * MIB);
			struct spool *s = spool_open(&b, 0, NULL);
			struct slice whole = { mem_new(sizes[i]), sizes[i] };
			struct err err = { "" };

			assert_non_null(s);
			for (size_t at = 0; at < whole.len; at++)
				((char *)whole.at)[at] = (char)(at * 7 + at / 251);
			for (size_t at = 0; at < whole.len; at += piece)
				assert_int_equal(spool_put(s, slice_part(whole, at, piece), &err), 0);
			assert_int_equal(spool_size(s), sizes[i]);
			assert_int_equal(spool_seal(s, &err), 0);
			assert_true(slice_same(spool_bytes(s), whole));
			spool_close(&s);
			assert_null(s);
			spool_close(&s);
			assert_int_equal(left_of(&b), 4 * MIB);
			free((char *)whole.at);
		}
}

/* What is judged is what is delivered: nobody changes it, whoever holds the descriptor. */
static void
test_seal(void **state)
{
	struct spool_budget b = budget_of(4 * MIB);
	struct spool *s = spool_open(&b, 0, NULL);
	struct err err = { "" };
	char back[5];
	int fd;

	(void)state;
	assert_int_equal(spool_put(s, SLICE("hello"), &err), 0);
	assert_int_equal(spool_seal(s, &err), 0);
	fd = spool_fd(s);
	assert_int_equal(pwrite(fd, "J", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(pwrite(fd, "J", 1, 5), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 9), -1);
	assert_ptr_equal(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), -1);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(spool_put(s, SLICE("!"), &err), -1);
	assert_string_not_equal(err.text, "");
	assert_int_equal(spool_size(s), 5);

	/* A scanner that moves the shared offset changes nothing for us. */
	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	assert_true(slice_is(spool_bytes(s), "hello"));
	assert_int_equal(pread(fd, back, 5, 0), 5);
	assert_memory_equal(back, "hello", 5);
	spool_close(&s);
}

/* What is booked, in octets, after opening with a reserve and then putting so much. */
static const struct {
	uint64_t max, reserve, put;
	bool opens, fits;
	uint64_t booked;
} books[] = {
	{ 4 * MIB, 0, 0, true, true, 0 },
	{ 4 * MIB, 0, 1, true, true, MIB },
	{ 4 * MIB, 100, 100, true, true, 100 },
	{ 4 * MIB, 100, 101, true, true, 100 + MIB },
	{ 4 * MIB, MIB, MIB, true, true, MIB },
	{ 4 * MIB, MIB, MIB + 1, true, true, 2 * MIB },
	{ 4 * MIB, 4 * MIB, 4 * MIB, true, true, 4 * MIB },
	{ 4 * MIB, 0, 4 * MIB, true, true, 4 * MIB },
	{ 4 * MIB, 0, 4 * MIB + 1, true, false, 4 * MIB },
	{ 4 * MIB, 4 * MIB + 1, 0, false, false, 0 },
	{ 4 * MIB, UINT64_MAX, 0, false, false, 0 },
	{ MIB - 1, 0, 1, true, false, 0 },
	{ 0, 0, 0, true, true, 0 },
	{ 0, 0, 1, true, false, 0 },
};

static void
test_books(void **state)
{
	static char octets[(4u << 20) + 1];

	(void)state;
	for (size_t i = 0; i < NITEMS(books); i++) {
		struct spool_budget b = budget_of(books[i].max);
		struct err err = { "" };
		struct spool *s = spool_open(&b, books[i].reserve, &err);

		assert_int_equal(s != NULL, books[i].opens);
		if (s != NULL)
			assert_int_equal(spool_put(s, (struct slice){ octets, books[i].put }, &err), books[i].fits ? 0 : -1);
		assert_int_equal(left_of(&b), books[i].max - books[i].booked);
		assert_int_equal(err.text[0] != '\0', !books[i].opens || !books[i].fits);
		spool_close(&s);
		assert_int_equal(left_of(&b), books[i].max);
	}
}

static void
test_one_spools_gain_is_anothers_loss(void **state)
{
	struct spool_budget b = budget_of(3 * MIB);
	struct err err = { "" };
	struct spool *one = spool_open(&b, MIB, &err), *two = spool_open(&b, 2 * MIB, &err);

	(void)state;
	assert_non_null(one);
	assert_non_null(two);
	assert_null(spool_open(&b, 1, &err));
	spool_close(&two);
	two = spool_open(&b, 2 * MIB, &err);
	assert_non_null(two);
	spool_close(&one);
	spool_close(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_one_spools_gain_is_anothers_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
