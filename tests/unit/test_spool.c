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

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define FIRST (64 * KIB)		/* what each spool books at the start */

static struct loop *loop;

static int
begin_loop(void **state)
{
	(void)state;
	loop = loop_new();
	return loop == NULL ? -1 : 0;
}

static int
end_loop(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

static struct spool_house
house_of(uint64_t max)
{
	struct spool_house house;

	spool_house_init(&house, loop, budgets_new(2), 0);
	spool_house_limits(&house, max, 0);
	return house;
}

static void
never(void *owner)
{
	(void)owner;
	fail_msg("given up");
}

static void
test_bytes(void **state)
{
	static const size_t sizes[] = { 0, 1, 511, 4096, 70000, 3u << 20 };

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++)
		for (size_t piece = sizes[i] > 5000 ? 9999 : 1; piece <= sizes[i] + 1; piece = piece * 3 + 1) {
			struct spool_house house = house_of(4 * MIB);
			struct spool *s = spool_open(&house, 0, never, NULL, NULL);
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
			assert_int_equal(budget_used(house.shared, BUDGET_SPOOL), 0);
			free((char *)whole.at);
		}
}

/* What is judged is what is delivered: nobody changes it, whoever holds the descriptor. */
static void
test_seal(void **state)
{
	struct spool_house house = house_of(4 * MIB);
	struct spool *s = spool_open(&house, 0, never, NULL, NULL);
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

/* What is booked and what is promised, in octets, after opening with an announcement and then putting so much. */
static const struct {
	uint64_t max, announced, put;
	bool opens, fits;
	uint64_t booked, promised;
} books[] = {
	{ 4 * MIB, 0, 0, true, true, FIRST, 0 },
	{ 4 * MIB, 0, 1, true, true, FIRST, 0 },
	{ 4 * MIB, 0, FIRST, true, true, FIRST, 0 },
	{ 4 * MIB, 0, FIRST + 1, true, true, 2 * FIRST, 0 },	/* as much again */
	{ 4 * MIB, 100, 100, true, true, FIRST, 0 },
	{ 4 * MIB, MIB, 0, true, true, FIRST, 0 },		/* not worth a promise */
	{ 4 * MIB, MIB + 1, 0, true, true, FIRST, MIB + 1 - FIRST },
	{ 4 * MIB, 4 * MIB, 0, true, true, FIRST, 4 * MIB - FIRST },
	{ 4 * MIB, 4 * MIB, FIRST + 1, true, true, 2 * FIRST, 4 * MIB - 2 * FIRST },
	{ 4 * MIB, 4 * MIB, 4 * MIB, true, true, 4 * MIB, 0 },
	{ 4 * MIB, 2 * MIB, 4 * MIB, true, true, 4 * MIB, 0 },	/* more than was announced */
	{ 4 * MIB, 0, 4 * MIB, true, true, 4 * MIB, 0 },
	{ 4 * MIB, 0, 4 * MIB + 1, true, false, FIRST, 0 },
	{ 4 * MIB, 4 * MIB + 1, 0, false, false, 0, 0 },
	{ 4 * MIB, UINT64_MAX, 0, false, false, 0, 0 },
	{ FIRST - 1, 0, 0, false, false, 0, 0 },
	{ 0, 0, 0, false, false, 0, 0 },
};

static void
test_books(void **state)
{
	static char octets[(4u << 20) + 1];

	(void)state;
	for (size_t i = 0; i < NITEMS(books); i++) {
		struct spool_house house = house_of(books[i].max);
		struct err err = { "" };
		struct spool *s = spool_open(&house, books[i].announced, never, NULL, &err);

		assert_int_equal(s != NULL, books[i].opens);
		if (s != NULL)
			assert_int_equal(spool_put(s, (struct slice){ octets, books[i].put }, &err), books[i].fits ? 0 : -1);
		assert_int_equal(budget_used(house.shared, BUDGET_SPOOL), books[i].booked);
		assert_int_equal(budget_used(house.shared, BUDGET_PROMISED), books[i].promised);
		assert_int_equal(err.text[0] != '\0', !books[i].opens || !books[i].fits);
		spool_close(&s);
		assert_int_equal(budget_used(house.shared, BUDGET_SPOOL), 0);
		assert_int_equal(budget_used(house.shared, BUDGET_PROMISED), 0);
		assert_false(timer_running(&house.look));
		spool_house_close(&house);
	}
}

/* Two houses, A to D live in the first and E to H in the second. 8 MiB for both, a reserve of 4 MiB each. */
#define SPOOLS 8

static const struct {
	const char *name;
	struct {
		char what;	/* 'o'pen (announcing n), 'p'ut n, 's'eal, 'c'lose, '!': has given up; n: is the size */
		char who;
		uint64_t n;
		bool fails;
	} steps[20];
} stories[] = {
	{ "Who announced and sends nothing keeps other announced messages away, and nothing else", {
		{ 'o', 'A', 8 * MIB, false }, { 'o', 'B', 2 * MIB, true }, { 'o', 'E', 2 * MIB, true },
		{ 'o', 'B', 0, false }, { 'p', 'B', 7 * MIB, false }, { 's', 'B', 7 * MIB, false },
		{ 'p', 'A', 4 * MIB, false } } },	/* its reserve helps */
	{ "The reserve lets one finish, whoever it is", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'p', 'A', 4 * MIB, false }, { 'p', 'B', 4 * MIB, false },
		{ 'p', 'B', 4 * MIB - 64 * KIB, false }, { 's', 'B', 8 * MIB - 64 * KIB, false }, { 'c', 'B', 0, false },
		{ 'p', 'A', 4 * MIB, false }, { 's', 'A', 8 * MIB, false } } },
	{ "The newest gives way to the oldest, then the next", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'o', 'C', 0, false },
		{ 'p', 'A', 3 * MIB, false }, { 'p', 'B', 3 * MIB, false }, { 'p', 'C', MIB, false },
		{ 'p', 'B', 4 * MIB, false },		/* draws on the reserve */
		{ 'p', 'A', 4 * MIB, false }, { '!', 'C', 0, false }, { '!', 'B', 0, false }, { 'p', 'A', MIB, false },
		{ 's', 'A', 8 * MIB, false } } },
	{ "The newest is told itself, and nobody else has to go", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'p', 'A', 7 * MIB, false }, { 'p', 'B', 5 * MIB, false },
		{ 'p', 'B', MIB, true }, { 'c', 'B', 0, false }, { 'p', 'A', MIB, false }, { 's', 'A', 8 * MIB, false } } },
	{ "Age counts from the first octet", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'p', 'B', 7 * MIB, false }, { 'p', 'A', 2 * MIB, false },
		{ 'p', 'B', 4 * MIB, false }, { '!', 'A', 0, false }, { 's', 'B', 11 * MIB, false } } },
	{ "What is whole, and what holds nothing, is left alone", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'o', 'C', 0, false }, { 'p', 'A', MIB, false },
		{ 'p', 'B', 6 * MIB, false }, { 's', 'B', 6 * MIB, false }, { 'p', 'A', 4 * MIB, false },
		{ 'p', 'A', MIB, true }, { 's', 'C', 0, false } } },
	{ "Another worker's spools are not given up, and one's reserve is no other's", {
		{ 'o', 'A', 0, false }, { 'o', 'E', 0, false }, { 'p', 'E', 7 * MIB, false }, { 'p', 'A', 4 * MIB, false },
		{ 'p', 'A', 2 * MIB, true }, { 'c', 'A', 0, false }, { 'p', 'E', 4 * MIB, false }, { 's', 'E', 11 * MIB, false } } },
	{ "Who was given up takes no more", {
		{ 'o', 'A', 0, false }, { 'o', 'B', 0, false }, { 'p', 'A', 7 * MIB, false }, { 'p', 'B', MIB, false },
		{ 'p', 'A', 5 * MIB, false }, { '!', 'B', 0, false }, { 'p', 'B', 1, true }, { 'c', 'A', 0, false },
		{ 'p', 'B', 1, true } } },
	{ "No room for a new one while all is held", {
		{ 'o', 'A', 0, false }, { 'p', 'A', 8 * MIB, false }, { 'o', 'B', 0, true }, { 'o', 'E', 0, true },
		{ 'c', 'A', 0, false }, { 'o', 'E', 0, false } } },
};

static void
on_give_up(void *owner)
{
	*(bool *)owner = true;
}

static void
test_stories(void **state)
{
	static char octets[8u << 20];

	(void)state;
	for (size_t i = 0; i < NITEMS(stories); i++) {
		struct spool *spools[SPOOLS] = { NULL };
		bool gone[SPOOLS] = { false };
		struct spool_house houses[2];
		struct budgets *shared = budgets_new(2);

		for (unsigned h = 0; h < 2; h++) {
			spool_house_init(&houses[h], loop, shared, h);
			spool_house_limits(&houses[h], 8 * MIB, 4 * MIB);
		}
		for (size_t k = 0; k < NITEMS(stories[i].steps) && stories[i].steps[k].what != 0; k++) {
			unsigned who = (unsigned)(stories[i].steps[k].who - 'A');
			uint64_t n = stories[i].steps[k].n;
			struct err err = { "" };
			int rc = 0;

			switch (stories[i].steps[k].what) {
			case 'o':
				spools[who] = spool_open(&houses[who / 4], n, on_give_up, &gone[who], &err);
				rc = spools[who] == NULL ? -1 : 0;
				break;
			case 'p':
				/* In pieces, as they come from the net. */
				for (uint64_t at = 0; at < n && rc == 0; at += 50000)
					rc = spool_put(spools[who], slice_part((struct slice){ octets, n }, at, 50000), &err);
				break;
			case 's':
				rc = spool_seal(spools[who], &err);
				assert_int_equal(spool_size(spools[who]), n);
				break;
			case 'c':
				spool_close(&spools[who]);
				break;
			case '!':
				assert_true(gone[who]);
				gone[who] = false;
				break;
			}
			if (rc != (stories[i].steps[k].fails ? -1 : 0))
				fail_msg("%s: step %zu: %d %s", stories[i].name, k + 1, rc, err.text);
		}
		for (size_t k = 0; k < SPOOLS; k++) {
			if (gone[k])
				fail_msg("%s: %c was given up", stories[i].name, (char)('A' + k));
			spool_close(&spools[k]);
		}
		assert_int_equal(budget_used(shared, BUDGET_SPOOL), 0);
		assert_int_equal(budget_used(shared, BUDGET_PROMISED), 0);
		for (unsigned h = 0; h < 2; h++) {
			assert_int_equal(houses[h].drawn, 0);
			spool_house_close(&houses[h]);
		}
	}
}

/* A promise lapses when its octets do not come, and stands while they do. */
static void
test_patience(void **state)
{
	static const char octets[1u << 20];
	enum { IDLE = 20 * MIB - FIRST, BUSY = 18 * MIB };
	static const uint64_t left[] = { IDLE + BUSY, IDLE + BUSY, IDLE + BUSY, IDLE + BUSY, BUSY, 0 };
	struct spool_house house = house_of(64 * MIB);
	struct spool *idle = spool_open(&house, 20 * MIB, never, NULL, NULL);
	struct spool *busy = spool_open(&house, 20 * MIB, never, NULL, NULL);
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(spool_put(busy, (struct slice){ octets, sizeof(octets) }, NULL), 0);
	for (size_t i = 0; i < NITEMS(left); i++) {
		assert_int_equal(budget_used(house.shared, BUDGET_PROMISED), left[i]);
		assert_int_equal(timer_running(&house.look), left[i] > 0);
		if (left[i] > 0)
			house.look.expired(&house);
	}
	spool_close(&idle);
	spool_close(&busy);
	spool_house_close(&house);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_patience),
	};

	return cmocka_run_group_tests(tests, begin_loop, end_loop);
}
