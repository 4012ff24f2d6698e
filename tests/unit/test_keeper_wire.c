/* test_keeper_wire.c - truths about policy/keeper/keeper_wire.h: what is said to the keeper and what is nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/keeper/keeper_wire.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"

static const unsigned char rcpts8[2][8] = { "1234567", "7654321" };

static struct keeper_msg
some_msg(enum keeper_word word)
{
	struct keeper_msg m = { .word = word, .number = UINT64_MAX, .size = 12345678901, .count = 7, .yes = true,
		.commit = { rcpts8, 2, SLICE("250 2.0.0 queued as 4bX1") }, .id = SLICE("1ng4gea0585g0.1.2"), .text = SLICE("550 no") };

	for (unsigned i = 0; i < KEEPER_KEY_LEN; i++)
		m.key.bytes[i] = (unsigned char)(i * 7);
	return m;
}

static enum keeper_from
from_of(enum keeper_word word)
{
	return word <= KEEPER_RELEASED ? KEEPER_FROM_WORKER : word <= KEEPER_RELEASE ? KEEPER_TO_WORKER :
	       word <= KEEPER_DELETE   ? KEEPER_FROM_CTL : KEEPER_TO_CTL;
}

/* Every word comes through, said by its own side only; no part of it and nothing longer is a word. */
static void
test_words(void **state)
{
	(void)state;
	for (unsigned word = 1; word < KEEPER_WORDS; word++) {
		struct keeper_msg m = some_msg((enum keeper_word)word), got;
		struct buf b, again;
		struct slice wire;

		buf_init(&b, CHAN_MAX);
		buf_init(&again, CHAN_MAX);
		assert_true(keeper_put(&b, &m));
		wire = buf_slice(&b);
		for (unsigned from = KEEPER_FROM_WORKER; from <= KEEPER_TO_CTL; from++)
			assert_int_equal(keeper_get(wire, (enum keeper_from)from, &got), from == from_of(m.word));
		assert_true(keeper_get(wire, from_of(m.word), &got));
		assert_true(keeper_put(&again, &got));
		assert_true(slice_same(wire, buf_slice(&again)));
		for (size_t len = 0; len < wire.len; len++) {
			char *part = mem_slice(slice_part(wire, 0, len));	/* of its own, for the sanitizer to see */

			assert_false(keeper_get((struct slice){ part, len }, from_of(m.word), &got));
			free(part);
		}
		buf_putc(&b, '\0');
		assert_false(keeper_get(buf_slice(&b), from_of(m.word), &got));
		buf_free(&b);
		buf_free(&again);
	}
	for (unsigned word = KEEPER_WORDS; word <= 256; word++) {
		char wire[] = { (char)word, 0, 0, 0, 0, 0, 0, 0, 0 };
		struct keeper_msg got;

		for (unsigned from = KEEPER_FROM_WORKER; from <= KEEPER_TO_CTL; from++)
			assert_false(keeper_get((struct slice){ wire, sizeof(wire) }, (enum keeper_from)from, &got));
	}
}

static const struct { const char *id; bool good; } ids[] = {
	{ "1ng4gea0585g0.1", true }, { "a", true }, { "A-1.2", true }, { "", false }, { ".", false }, { "..", false },
	{ ".a", false }, { "a.", false }, { "-a", false }, { "a/b", false }, { "../a", false }, { "a b", false }, { "a\n", false },
	{ "\xc3\xa4", false },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
};

/* An id becomes a file's name. */
static void
test_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(ids); i++)
		assert_int_equal(keeper_id_good(slice_of(ids[i].id)), ids[i].good);
	assert_false(keeper_id_good((struct slice){ "a\0b", 3 }));
}

static void
test_long_texts_are_cut(void **state)
{
	char *text = mem_new(1000);
	struct keeper_msg m = some_msg(KEEPER_NOT_HELD), got;
	struct buf b;

	(void)state;
	memset(text, 'x', 1000);
	m.text = (struct slice){ text, 1000 };
	buf_init(&b, CHAN_MAX);
	assert_true(keeper_put(&b, &m));
	assert_true(keeper_get(buf_slice(&b), KEEPER_TO_WORKER, &got));
	assert_int_equal(got.text.len, KEEPER_TEXT_MAX);
	buf_free(&b);
	free(text);
}

/* The largest entry of the ledger fits into one message; one more recipient does not. */
static void
test_largest_commit(void **state)
{
	unsigned char (*many)[8] = mem_array(KEEPER_COMMIT_MAX + 1, 8);
	struct keeper_msg m = some_msg(KEEPER_COMMIT), got;
	struct buf b;

	(void)state;
	m.commit.rcpts = (const unsigned char (*)[8])many;
	m.commit.nrcpts = KEEPER_COMMIT_MAX;
	buf_init(&b, CHAN_MAX);
	assert_true(keeper_put(&b, &m));
	assert_true(keeper_get(buf_slice(&b), KEEPER_FROM_WORKER, &got));
	assert_int_equal(got.commit.nrcpts, KEEPER_COMMIT_MAX);
	buf_clear(&b);
	m.commit.nrcpts++;
	assert_false(keeper_put(&b, &m));
	buf_free(&b);
	free(many);
}

static struct keeper_copy
some_copy(const struct slice *rcpts, size_t n)
{
	static const struct keeper_piece pieces[] = { { 0, 10 }, { 20, 5 } };
	struct keeper_copy c = { .id = SLICE("1ng4gea0585g0.1"), .why = SLICE("score 16.2 of 15"), .verdict = SLICE("refuse"),
		.listener = SLICE("mx"), .profile = SLICE("default"), .backend = SLICE("store"), .helo = SLICE("mail.example.net"),
		.user = SLICE("ann"), .tls = SLICE("TLSv1.3"), .from = SLICE("ann@example.net"), .rcpts = rcpts, .nrcpts = n,
		.envelope = SLICE("\0\1\2"), .headers = SLICE("Received: x\r\n"), .pieces = pieces, .npieces = 2, .spool = -1 };

	assert_int_equal(addr_parse(&c.client, "[2001:db8::1]:25", 0, NULL), 0);
	return c;
}

/* A relay that tells by XCLIENT who its client is need not tell the port. */
static void
test_client_without_port(void **state)
{
	static const char *const clients[] = { "192.0.2.7", "[2001:db8::1]", "192.0.2.7:25", "[2001:db8::1]:65535" };
	struct slice rcpts[1] = { SLICE("bob@example.org") };

	(void)state;
	for (size_t i = 0; i < NITEMS(clients); i++) {
		struct keeper_copy c = some_copy(rcpts, 1), got;
		char text[ADDR_TEXT_MAX];
		struct buf b;

		assert_true(addr_read(&c.client, clients[i]));
		buf_init(&b, KEEPER_RECORD_MAX);
		assert_true(keeper_put_copy(&b, &c));
		assert_true(keeper_get_copy(buf_slice(&b), &got));
		addr_text(&got.client, text);
		assert_string_equal(text, clients[i]);
		keeper_copy_free(&got);
		buf_free(&b);
	}
}

static void
test_copies(void **state)
{
	struct slice rcpts[3] = { SLICE("bob@example.org"), SLICE(""), SLICE("\"c d\"@example.org") };

	(void)state;
	for (size_t n = 1; n <= 3; n++) {
		struct keeper_held held = { 1700000000, 4711, 3, SLICE("550 no"), some_copy(rcpts, n) }, got;
		struct buf b, again;

		buf_init(&b, KEEPER_RECORD_MAX);
		buf_init(&again, KEEPER_RECORD_MAX);
		assert_true(keeper_put_held(&b, &held));
		assert_true(keeper_get_held(buf_slice(&b), &got));
		assert_int_equal(got.copy.nrcpts, n);
		assert_int_equal(got.copy.npieces, 2);
		assert_true(keeper_put_held(&again, &got));
		assert_true(slice_same(buf_slice(&b), buf_slice(&again)));
		keeper_copy_free(&got.copy);
		for (size_t len = 0; len < buf_len(&b); len++) {
			char *part = mem_slice(slice_part(buf_slice(&b), 0, len));

			assert_false(keeper_get_held((struct slice){ part, len }, &got));
			keeper_copy_free(&got.copy);
			free(part);
		}
		buf_free(&b);
		buf_free(&again);
	}
}

/* What cannot be read is not put. */
static void
test_bad_copies(void **state)
{
	char *text = mem_new(KEEPER_MAILBOX_MAX + 1);
	struct slice rcpt = SLICE("bob@example.org"), long_one = { text, KEEPER_MAILBOX_MAX + 1 };
	struct keeper_copy c;
	struct buf b;

	(void)state;
	memset(text, 'x', KEEPER_MAILBOX_MAX + 1);
	buf_init(&b, KEEPER_RECORD_MAX);
	c = some_copy(&rcpt, 0);
	assert_false(keeper_put_copy(&b, &c));
	c = some_copy(&long_one, 1);
	assert_false(keeper_put_copy(&b, &c));
	c = some_copy(&rcpt, 1);
	c.from = long_one;
	assert_false(keeper_put_copy(&b, &c));
	c = some_copy(&rcpt, 1);
	c.id = SLICE("../etc/passwd");
	assert_false(keeper_put_copy(&b, &c));
	c = some_copy(&rcpt, 1);
	c.npieces = KEEPER_PIECES_MAX + 1;
	assert_false(keeper_put_copy(&b, &c));
	buf_free(&b);
	free(text);
}

/* A count that promises more than there is takes no memory. */
static void
test_lying_counts(void **state)
{
	struct slice rcpt = SLICE("bob@example.org");
	struct keeper_copy c = some_copy(&rcpt, 1), got;
	unsigned lies = 0;
	struct buf b;
	char *wire;
	size_t len;

	(void)state;
	buf_init(&b, KEEPER_RECORD_MAX);
	assert_true(keeper_put_copy(&b, &c));
	len = buf_len(&b);
	wire = mem_slice(buf_slice(&b));
	for (size_t i = 0; i + 4 <= len; i++) {
		char kept[4];

		memcpy(kept, wire + i, 4);
		memcpy(wire + i, "\x00\x01\x86\xa0", 4);	/* 100,000 */
		lies += !keeper_get_copy((struct slice){ wire, len }, &got);
		assert_true(got.nrcpts <= len && got.npieces <= len);
		keeper_copy_free(&got);
		memcpy(wire + i, kept, 4);
	}
	assert_true(lies > 10);
	free(wire);
	buf_free(&b);
}

static void
test_memfds(void **state)
{
	int sealed = memfd_of("gatepost-record", SLICE("hello"), NULL), open_one = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING), pair[2];
	struct err err;
	struct buf b;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	buf_init(&b, 100);
	assert_true(keeper_is_sealed(sealed, 5));
	assert_false(keeper_is_sealed(sealed, 4));
	assert_int_equal(keeper_read_memfd(sealed, 4, &b, &err), -1);
	assert_int_equal(keeper_read_memfd(sealed, 5, &b, &err), 0);
	assert_true(slice_is(buf_slice(&b), "hello"));
	assert_int_equal(pwrite(open_one, "hello", 5, 0), 5);
	assert_int_equal(keeper_read_memfd(open_one, 5, &b, &err), -1);	/* it could change */
	assert_int_equal(keeper_read_memfd(pair[0], 5, &b, &err), -1);	/* it could block */
	buf_free(&b);
	close(sealed);
	close(open_one);
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_largest_commit),
		cmocka_unit_test(test_client_without_port),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_bad_copies),
		cmocka_unit_test(test_lying_counts),
		cmocka_unit_test(test_memfds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
