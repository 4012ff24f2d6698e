/* test_keeper_ledger.c - truths about the keeper's tables: who has what, for how long, and that hints never leak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/keeper/ledger.h"
#include "proxy/base/mem.h"

#define DAY 86400

static char dir[64];

static struct keeper_key
key_of(unsigned n)
{
	struct keeper_key key = { { 0 } };

	for (unsigned i = 0; i < 4; i++)
		key.bytes[i] = key.bytes[31 - i] = (unsigned char)(n >> (8 * i));
	return key;
}

static void
commit(struct table *t, struct keeper_hints *h, unsigned n, const char *rcpts, int64_t now)
{
	unsigned char list[16][8] = { { 0 } };
	struct keeper_commit c = { (const unsigned char (*)[8])list, 0, SLICE("250 ok") };
	struct keeper_key key = key_of(n);

	for (; *rcpts != '\0'; rcpts++)
		list[c.nrcpts++][0] = (unsigned char)*rcpts;
	keeper_hints_add(h, HINT_LEDGER, &key);	/* as the worker does */
	ledger_commit(t, h, &key, &c, now);
}

/* The recipients' letters, or NULL when nothing is known. */
static const char *
known(struct table *t, unsigned n)
{
	static char letters[17];
	struct keeper_key key = key_of(n);
	struct keeper_commit c;

	if (!ledger_ask(t, &key, &c))
		return NULL;
	for (size_t i = 0; i < c.nrcpts; i++)
		letters[i] = (char)c.rcpts[i][0];
	letters[c.nrcpts] = '\0';
	return letters;
}

static void
heard(struct table *t, unsigned n)
{
	struct keeper_key key = key_of(n);

	ledger_heard(t, &key);
}

static struct keeper_hints *
hints(void)
{
	struct keeper_hints *h = keeper_hints_new();

	assert_non_null(h);
	keeper_hints_loaded(h);
	return h;
}

static void
assert_no_hint_left(struct keeper_hints *h)
{
	for (unsigned n = 0; n < 65536; n++) {
		struct keeper_key key = { { (unsigned char)(n >> 8), (unsigned char)n } };

		assert_false(keeper_hints_may_know(h, HINT_LEDGER, &key));
		assert_false(keeper_hints_may_know(h, HINT_POISON, &key));
	}
}

static void
test_ledger(void **state)
{
	struct keeper_hints *h = hints();
	struct table *t = table_new(&ledger_kind, h);

	(void)state;
	assert_null(known(t, 1));
	commit(t, h, 1, "a", 100);
	assert_string_equal(known(t, 1), "a");
	assert_null(known(t, 2));
	commit(t, h, 1, "ba", 101);		/* one of them is new */
	assert_string_equal(known(t, 1), "ab");
	commit(t, h, 1, "", 102);
	assert_string_equal(known(t, 1), "ab");
	heard(t, 1);
	assert_null(known(t, 1));
	heard(t, 1);				/* again: nothing */
	commit(t, h, 1, "c", 103);		/* what was heard is over */
	assert_string_equal(known(t, 1), "c");
	heard(t, 1);
	assert_no_hint_left(h);
	table_free(&t);
}

static void
test_a_day(void **state)
{
	struct keeper_hints *h = hints();
	struct table *t = table_new(&ledger_kind, h);

	(void)state;
	commit(t, h, 1, "a", 1000);
	commit(t, h, 2, "b", 2000);
	commit(t, h, 1, "c", 3000);		/* more of the first makes it no younger */
	table_expire(t, 1000 + DAY - 1);
	assert_string_equal(known(t, 1), "ac");
	table_expire(t, 1000 + DAY);
	assert_null(known(t, 1));
	assert_string_equal(known(t, 2), "b");
	commit(t, h, 3, "d", 9000000);		/* the clock was wrong, and is set back */
	table_expire(t, 2000 + DAY);
	table_expire(t, 2000 + DAY);
	assert_string_equal(known(t, 3), "d");
	table_expire(t, 2000 + 2 * DAY);
	assert_null(known(t, 3));
	assert_no_hint_left(h);
	table_free(&t);
}

static void
test_full(void **state)
{
	static const struct table_kind small = { STORE_LEDGER, HINT_LEDGER, .entries = 10, .octets = 1000, .life = DAY };
	struct keeper_hints *h = hints();
	struct table *t = table_new(&small, h);

	(void)state;
	for (unsigned n = 1; n <= 25; n++)
		commit(t, h, n, "a", n);
	assert_int_equal(table_entries(t), 10);
	assert_null(known(t, 15));
	assert_string_equal(known(t, 16), "a");
	commit(t, h, 100, "abcdefghijklmnop", 30);	/* 128 octets and more: 10 of them do not fit */
	for (unsigned n = 101; n < 110; n++)
		commit(t, h, n, "abcdefghijklmnop", 31);
	assert_true(table_entries(t) < 10);
	assert_non_null(known(t, 109));
	table_free(&t);
	assert_no_hint_left(h);
}

static void
test_poison(void **state)
{
	struct keeper_hints *h = hints();
	struct table *t = table_new(&poison_kind, h);
	struct keeper_key a = key_of(1), b = key_of(2);

	(void)state;
	assert_int_equal(poison_ask(t, &a), 0);
	for (unsigned n = 1; n <= 3; n++) {
		keeper_hints_add(h, HINT_POISON, &a);
		poison_add(t, h, &a, 100 + n);
		assert_int_equal(poison_ask(t, &a), n);
	}
	assert_int_equal(poison_ask(t, &b), 0);
	table_expire(t, 101 + DAY);
	assert_int_equal(poison_ask(t, &a), 0);
	assert_no_hint_left(h);
	table_free(&t);
}

static void
test_hints_saturate(void **state)
{
	struct keeper_hints *h = keeper_hints_new();
	struct keeper_key key = key_of(1), other = key_of(2);

	(void)state;
	assert_true(keeper_hints_may_know(h, HINT_LEDGER, &key));	/* not loaded yet: anything may be known */
	keeper_hints_loaded(h);
	assert_false(keeper_hints_may_know(h, HINT_LEDGER, &key));
	keeper_hints_drop(h, HINT_LEDGER, &key);			/* never below 0 */
	assert_false(keeper_hints_may_know(h, HINT_LEDGER, &key));
	for (unsigned i = 0; i < 70000; i++)
		keeper_hints_add(h, HINT_LEDGER, &key);
	for (unsigned i = 0; i < 140000; i++)
		keeper_hints_drop(h, HINT_LEDGER, &key);
	assert_true(keeper_hints_may_know(h, HINT_LEDGER, &key));	/* nobody knows how many it was */
	assert_false(keeper_hints_may_know(h, HINT_POISON, &key));
	assert_false(keeper_hints_may_know(h, HINT_LEDGER, &other));
	keeper_hints_clear(h);
	assert_true(keeper_hints_may_know(h, HINT_LEDGER, &other));
}

/* Workers count while the keeper counts down: nothing is lost. */
static void
test_hints_are_shared(void **state)
{
	struct keeper_hints *h = hints();
	struct keeper_key key = key_of(1);
	pid_t pids[4];
	int status;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		keeper_hints_add(h, HINT_LEDGER, &key);
	for (size_t p = 0; p < NITEMS(pids); p++)
		if ((pids[p] = fork()) == 0) {
			for (unsigned i = 0; i < 5000; i++) {
				keeper_hints_add(h, HINT_LEDGER, &key);
				keeper_hints_drop(h, HINT_LEDGER, &key);
			}
			_exit(0);
		}
	for (size_t p = 0; p < NITEMS(pids); p++)
		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
	for (unsigned i = 0; i < 4999; i++)
		keeper_hints_drop(h, HINT_LEDGER, &key);
	assert_true(keeper_hints_may_know(h, HINT_LEDGER, &key));
	keeper_hints_drop(h, HINT_LEDGER, &key);
	assert_false(keeper_hints_may_know(h, HINT_LEDGER, &key));
}

static struct store *
open_store(const char *name)
{
	char path[128];
	struct err err = { "" };
	struct store *s;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	s = store_open(path, &err);
	if (s == NULL)
		fail_msg("%s", err.text);
	return s;
}

static bool
write_changes(struct table *t, struct store *s)
{
	struct store_batch b;
	struct err err = { "" };
	bool any;

	store_batch_init(&b);
	table_changes(t, &b);
	any = buf_len(&b.bytes) > 0;
	assert_false(table_has_changes(t));
	if (store_write(s, &b, false, &err) == -1)
		fail_msg("%s", err.text);
	store_batch_free(&b);
	return any;
}

/* What was written is there again, the oldest first to go; what came and went in between was never written. */
static void
test_reopen(void **state)
{
	struct keeper_hints *h = hints(), *h2 = hints();
	struct table *t = table_new(&ledger_kind, h), *t2;
	struct store *s = open_store("reopen.mdb");
	struct err err;

	(void)state;
	commit(t, h, 1, "a", 1000);
	heard(t, 1);
	assert_false(write_changes(t, s));
	for (unsigned n = 2; n < 100; n++)
		commit(t, h, n, "a", 1000 + (n * 37) % 98);
	assert_true(write_changes(t, s));
	assert_false(write_changes(t, s));
	heard(t, 3);
	heard(t, 4);
	commit(t, h, 4, "z", 2000);
	commit(t, h, 5, "b", 2000);
	assert_true(write_changes(t, s));
	store_close(&s);

	s = open_store("reopen.mdb");
	t2 = table_new(&ledger_kind, h2);
	assert_int_equal(table_load(t2, s, 3000, &err), 0);
	assert_int_equal(table_entries(t2), table_entries(t));
	assert_null(known(t2, 1));
	assert_null(known(t2, 3));
	assert_string_equal(known(t2, 4), "z");
	assert_string_equal(known(t2, 5), "ab");
	assert_string_equal(known(t2, 99), "a");
	table_expire(t2, 1050 + DAY);
	assert_string_equal(known(t2, 4), "z");
	assert_true(table_entries(t2) < 60 && table_entries(t2) > 40);
	table_expire(t2, 2000 + DAY);
	assert_int_equal(table_entries(t2), 0);
	assert_no_hint_left(h2);
	assert_true(write_changes(t2, s));
	table_free(&t2);

	t2 = table_new(&ledger_kind, h2);
	assert_int_equal(table_load(t2, s, 3000, &err), 0);
	assert_int_equal(table_entries(t2), 0);		/* expired on the disk, too */
	table_free(&t2);
	table_free(&t);
	store_close(&s);
}

struct seen {
	unsigned pairs, first, whole;
};

static void
see(void *owner, struct slice key, struct slice value)
{
	struct seen *seen = owner;

	seen->pairs++;
	seen->whole += slice_same(key, slice_part(value, 0, key.len));
}

/* Whoever writes is killed, at any moment: each batch of ten is there whole or not at all. */
static void
test_killed_writers(void **state)
{
	struct seen seen = { 0 };
	unsigned before = 0;

	(void)state;
	srand(4711);
	for (unsigned round = 0; round < 120; round++) {
		int status;
		pid_t pid = fork();
		struct store *s;
		struct err err;

		if (pid == 0) {
			s = open_store("killed.mdb");
			for (unsigned n = round << 16;; n++) {
				struct store_batch b;

				store_batch_init(&b);
				for (unsigned i = 0; i < 10; i++) {
					char value[2000] = "", key[32];

					snprintf(key, sizeof(key), "%08x-%u", n, i);
					memcpy(value, key, sizeof(key));
					store_batch_put(&b, STORE_POISON, (struct slice){ key, sizeof(key) }, (struct slice){ value, sizeof(value) });
				}
				if (store_write(s, &b, false, &err) == -1)
					_exit(1);
				store_batch_free(&b);
			}
		}
		usleep((useconds_t)(rand() % 20000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		s = open_store("killed.mdb");
		seen = (struct seen){ 0 };
		assert_int_equal(store_read(s, STORE_POISON, see, &seen, &err), 0);
		assert_int_equal(seen.pairs % 10, 0);
		assert_int_equal(seen.whole, seen.pairs);
		assert_true(seen.pairs >= before);
		before = seen.pairs;
		store_close(&s);
	}
	assert_true(before > 1000);
}

static int
make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/gp-ledger-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
remove_dir(void **state)
{
	static const char *const files[] = { "reopen.mdb", "reopen.mdb-lock", "killed.mdb", "killed.mdb-lock" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < NITEMS(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_a_day),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_hints_saturate),
		cmocka_unit_test(test_hints_are_shared),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_killed_writers),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
