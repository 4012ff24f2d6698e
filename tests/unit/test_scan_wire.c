/* test_scan_wire.c - truths about filters/scan_wire.h: what worker and scanner say, and what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "filters/scan_wire.h"
#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

static struct facts
some_facts(const char *client, const struct slice *rcpts, size_t nrcpts)
{
	struct facts f = {
		.id = SLICE("4bX1"), .hostname = SLICE("mx.example.org"), .listener = SLICE("mx"),
		.helo = SLICE("mail.example.net"), .esmtp = true, .tls = SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384"),
		.from = SLICE("\"a b\"@example.net"), .rcpts = rcpts, .nrcpts = nrcpts,
	};

	if (client[0] != '\0')		/* else unknown */
		assert_int_equal(addr_parse(&f.client, client, 0, NULL), 0);
	return f;
}

static void
assert_same_facts(const struct facts *a, const struct facts *b)
{
	assert_true(slice_same(a->id, b->id) && slice_same(a->hostname, b->hostname) &&
		    slice_same(a->listener, b->listener) && slice_same(a->helo, b->helo) && slice_same(a->tls, b->tls) &&
		    slice_same(a->from, b->from) && addr_same(&a->client, &b->client) && a->esmtp == b->esmtp);
	for (size_t i = 0; i < b->nrcpts; i++)
		assert_true(slice_same(a->rcpts[i], b->rcpts[i]));
}

static void
test_jobs_come_through(void **state)
{
	static const char *const clients[] = { "192.0.2.1:49152", "[2001:db8::1]:1", "unix:/run/x.sock", "" };
	static const size_t counts[] = { 0, 1, 2, SCAN_RCPTS_MAX, SCAN_RCPTS_MAX + 1, 1000 };
	struct slice rcpts[1000];

	(void)state;
	for (size_t i = 0; i < NITEMS(rcpts); i++)
		rcpts[i] = i % 3 == 0 ? SLICE("") : i % 3 == 1 ? SLICE("ann@example.org") : SLICE("\"b\\\"c\"@example.org");
	for (size_t c = 0; c < NITEMS(clients); c++)
		for (size_t n = 0; n < NITEMS(counts); n++) {
			struct facts f = some_facts(clients[c], rcpts, counts[n]);
			struct scan_job job;
			struct buf b;

			buf_init(&b, CHAN_MAX);
			assert_true(scan_put_job(&b, UINT64_MAX, 12345678901, &f));
			assert_true(scan_get_job(buf_slice(&b), &job));
			assert_true(job.number == UINT64_MAX && job.size == 12345678901);
			assert_int_equal(job.facts.nrcpts, counts[n] < SCAN_RCPTS_MAX ? counts[n] : SCAN_RCPTS_MAX);
			assert_same_facts(&f, &job.facts);
			buf_free(&b);
		}
}

/* The largest job that a session can make fits into one message. */
static void
test_the_largest_job_fits(void **state)
{
	char *text = mem_new(400);
	struct slice rcpts[SCAN_RCPTS_MAX];
	struct facts f;
	struct buf b;

	(void)state;
	memset(text, 'x', 400);
	for (size_t i = 0; i < NITEMS(rcpts); i++)
		rcpts[i] = (struct slice){ text, 384 };
	f = some_facts("192.0.2.1:49152", rcpts, NITEMS(rcpts));
	f.from = f.helo = f.hostname = rcpts[0];
	buf_init(&b, CHAN_MAX);
	assert_true(scan_put_job(&b, 1, 1, &f));
	buf_free(&b);
	free(text);
}

enum kind { JOB, TAKEN, FINDINGS, TROUBLE, KILL, KINDS };

static void
put(enum kind kind, struct buf *b)
{
	struct slice rcpts[2] = { SLICE("ann@example.org"), SLICE("bob@example.org") };
	struct facts facts = some_facts("192.0.2.1:49152", rcpts, 2);
	struct findings *f = mem_new(sizeof(*f));
	bool fits = false;

	findings_add(f, FINDING_RULE, "A_RULE", -1500, "its text");
	findings_add(f, FINDING_VIRUS, "Win.Test-1", 0, NULL);
	findings_add(f, FINDING_LIMIT, "too-deep", 0, "");
	switch (kind) {
	case JOB:
		fits = scan_put_job(b, 77, 5, &facts);
		break;
	case TAKEN:
		fits = scan_put_taken(b, 77, 3);
		break;
	case FINDINGS:
		fits = scan_put_findings(b, 77, f);
		break;
	case TROUBLE:
		fits = scan_put_trouble(b, 77, "no room in the temporary directory");
		break;
	case KILL:
		fits = scan_put_kill(b, 3, 77);
		break;
	case KINDS:
		break;
	}
	assert_true(fits);
	free(f);
}

/* What was taken must keep its promises, whatever was sent: all inside, all capped, all printable. */
static bool
get(enum kind kind, struct slice bytes)
{
	static const enum scan_word words[KINDS] = { [TAKEN] = SCAN_TAKEN, [FINDINGS] = SCAN_FINDINGS, [TROUBLE] = SCAN_TROUBLE };
	static struct findings f;
	struct scan_job job;
	struct err err = { "" };
	enum scan_word word;
	uint64_t number;
	unsigned slot;

	if (kind == KILL)
		return scan_get_kill(bytes, &slot, &number);
	if (kind == JOB) {
		if (!scan_get_job(bytes, &job))
			return false;
		assert_in_range(job.facts.nrcpts, 0, SCAN_RCPTS_MAX);
		for (size_t i = 0; i < job.facts.nrcpts; i++)
			assert_in_range(job.facts.rcpts[i].len, 0, bytes.len);
		return true;
	}
	word = scan_get_word(bytes, 77, &slot, &f, &err);
	if (word == SCAN_FINDINGS) {
		assert_in_range(f.n, 0, FINDINGS_MAX);
		for (unsigned i = 0; i < f.n; i++) {
			assert_in_range(f.list[i].kind, FINDING_RULE, FINDING_LIMIT);
			assert_non_null(memchr(f.list[i].name, '\0', FINDING_NAME_MAX));
			assert_non_null(memchr(f.list[i].text, '\0', FINDING_TEXT_MAX));
			assert_true(f.list[i].name[0] != '\0');
			for (const char *c = f.list[i].name; *c != '\0'; c++)
				assert_in_range(*c, '!', '~');
		}
	}
	return word == words[kind];
}

/* In memory of exactly its size, so that a sanitizer sees a step beyond. */
static bool
get_copy(enum kind kind, struct slice bytes)
{
	char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
	bool good;

	assert_non_null(copy);
	if (bytes.len > 0)
		memcpy(copy, bytes.at, bytes.len);
	good = get(kind, (struct slice){ copy, bytes.len });
	free(copy);
	return good;
}

/* Cut anywhere, or an octet longer: no answer. */
static void
test_exact_length(void **state)
{
	(void)state;
	for (enum kind kind = JOB; kind < KINDS; kind++) {
		struct buf b;

		buf_init(&b, CHAN_MAX);
		put(kind, &b);
		assert_true(get_copy(kind, buf_slice(&b)));
		for (size_t len = 0; len < buf_len(&b); len++)
			assert_false(get_copy(kind, slice_part(buf_slice(&b), 0, len)));
		buf_putc(&b, '\0');
		assert_false(get_copy(kind, buf_slice(&b)));
		buf_free(&b);
	}
}

static void
test_flipped_octets(void **state)
{
	static const unsigned char flips[] = { 0x01, 0x80, 0xff, 0x20, 0x7f };

	(void)state;
	for (enum kind kind = JOB; kind < KINDS; kind++) {
		struct buf b;

		buf_init(&b, CHAN_MAX);
		put(kind, &b);
		for (size_t at = 0; at < buf_len(&b); at++)
			for (size_t i = 0; i < NITEMS(flips); i++) {
				char *octet = (char *)buf_slice(&b).at + at;

				*octet = (char)(*octet ^ flips[i]);
				if (get_copy(kind, buf_slice(&b)) && kind != JOB && kind != KILL)
					assert_in_range(at, 9, buf_len(&b));	/* never another word or another job's */
				*octet = (char)(*octet ^ flips[i]);
			}
		assert_true(get_copy(kind, buf_slice(&b)));
		buf_free(&b);
	}
}

static void
test_words(void **state)
{
	static struct findings f, back;
	struct err err = { "" };
	unsigned slot = 0;
	uint64_t number = 0;
	struct buf b;

	(void)state;
	buf_init(&b, CHAN_MAX);
	assert_true(scan_put_taken(&b, 5, 0xfffffffe));
	assert_int_equal(scan_get_word(buf_slice(&b), 5, &slot, NULL, NULL), SCAN_TAKEN);
	assert_int_equal(slot, 0xfffffffe);
	assert_int_equal(scan_get_word(buf_slice(&b), 6, &slot, NULL, NULL), SCAN_BAD);
	buf_clear(&b);

	assert_true(scan_put_trouble(&b, 5, "a sentence"));
	assert_int_equal(scan_get_word(buf_slice(&b), 5, NULL, NULL, &err), SCAN_TROUBLE);
	assert_string_equal(err.text, "a sentence");
	assert_int_equal(scan_get_word(buf_slice(&b), 4, NULL, NULL, &err), SCAN_BAD);
	buf_clear(&b);

	assert_true(scan_put_kill(&b, 9, UINT64_MAX));
	assert_true(scan_get_kill(buf_slice(&b), &slot, &number));
	assert_true(slot == 9 && number == UINT64_MAX);
	buf_clear(&b);

	f = (struct findings){ .mime_us = 1, .rules_us = 2, .av_us = UINT32_MAX };
	for (int i = 0; i < FINDINGS_MAX + 3; i++)
		findings_add(&f, FINDING_RULE, "A_RULE_OF_MANY", i % 2 == 0 ? 1001 : -1, "caf\xc3\xa9");
	findings_add(&f, FINDING_VIRUS, "Win.Test-1", 0, NULL);
	assert_true(scan_put_findings(&b, 5, &f));
	memset(&back, 0xff, sizeof(back));
	assert_int_equal(scan_get_word(buf_slice(&b), 5, NULL, &back, NULL), SCAN_FINDINGS);
	assert_true(back.score == f.score && back.n == f.n && back.dropped == f.dropped);
	assert_true(back.mime_us == 1 && back.rules_us == 2 && back.av_us == UINT32_MAX);
	for (unsigned i = 0; i < f.n; i++) {
		assert_int_equal(back.list[i].kind, f.list[i].kind);
		assert_int_equal(back.list[i].score, f.list[i].score);
		assert_string_equal(back.list[i].name, f.list[i].name);
		assert_string_equal(back.list[i].text, f.list[i].text);
	}
	buf_free(&b);
}

/* The largest findings that there can be fit into one message. */
static void
test_the_largest_findings_fit(void **state)
{
	static struct findings f;
	char name[FINDING_NAME_MAX + 10], text[FINDING_TEXT_MAX + 10];
	struct buf b;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(text, 't', sizeof(text) - 1);
	name[sizeof(name) - 1] = text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < FINDINGS_MAX; i++)
		findings_add(&f, FINDING_RULE, name, 1, text);
	buf_init(&b, CHAN_MAX);
	assert_true(scan_put_findings(&b, 5, &f));
	assert_int_equal(scan_get_word(buf_slice(&b), 5, NULL, &f, NULL), SCAN_FINDINGS);
	buf_free(&b);
}

/* One more than there may be, each of them good. */
static void
test_too_many_findings(void **state)
{
	static struct findings f;
	struct buf b;

	(void)state;
	for (unsigned n = FINDINGS_MAX; n <= FINDINGS_MAX + 1; n++) {
		buf_init(&b, CHAN_MAX);
		wire_put_u8(&b, SCAN_FINDINGS);
		wire_put_u64(&b, 5);
		for (int k = 0; k < 5; k++)
			wire_put_u32(&b, 0);
		wire_put_u16(&b, (uint16_t)n);
		for (unsigned i = 0; i < n; i++) {
			wire_put_u8(&b, FINDING_RULE);
			wire_put_i32(&b, 1);
			wire_put_bytes(&b, SLICE("RULE"));
			wire_put_bytes(&b, SLICE(""));
		}
		assert_int_equal(scan_get_word(buf_slice(&b), 5, NULL, &f, NULL), n <= FINDINGS_MAX ? SCAN_FINDINGS : SCAN_BAD);
		buf_free(&b);
	}
}

/* One finding, as a scanner that was taken over might send it. */
static const struct {
	unsigned word, n, kind;
	struct slice name, text;
	bool good;
} hostile[] = {
#define TEXT(literal) { "" literal, sizeof(literal) - 1 }
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), true },
	{ SCAN_FINDINGS, 1, FINDING_LIMIT, TEXT("!~"), TEXT(""), true },
	{ SCAN_FINDINGS, 1, FINDING_LIMIT + 1, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, 255, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, 0, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, 2, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, FINDINGS_MAX + 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, 65535, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT(""), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("TWO WORDS"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("A\r\nX-Injected: yes"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("A\0B"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("caf\xc3\xa9"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("DEL\x7f"), TEXT("text"), false },
	{ SCAN_FINDINGS, 1, FINDING_RULE, TEXT("RULE"), TEXT("te\0xt"), false },
	{ SCAN_BAD, 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ 0, 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_TAKEN, 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
	{ SCAN_TROUBLE, 1, FINDING_RULE, TEXT("RULE"), TEXT("text"), false },
};

static void
put_hostile(struct buf *b, size_t i, struct slice name, struct slice text)
{
	wire_put_u8(b, (uint8_t)hostile[i].word);
	wire_put_u64(b, 5);
	for (int k = 0; k < 5; k++)
		wire_put_u32(b, 0);
	wire_put_u16(b, (uint16_t)hostile[i].n);
	wire_put_u8(b, (uint8_t)hostile[i].kind);
	wire_put_i32(b, 1);
	wire_put_bytes(b, name);
	wire_put_bytes(b, text);
}

static void
test_hostile_scanner(void **state)
{
	static struct findings f;
	struct err err = { "" };
	unsigned slot;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < NITEMS(hostile); i++) {
		buf_init(&b, CHAN_MAX);
		put_hostile(&b, i, hostile[i].name, hostile[i].text);
		assert_int_equal(scan_get_word(buf_slice(&b), 5, &slot, &f, &err), hostile[i].good ? SCAN_FINDINGS : SCAN_BAD);
		buf_free(&b);
	}
	for (size_t len = 1; len < 300; len++) {		/* no name and no text is cut: too long is no answer */
		char *x = mem_new(300);

		memset(x, 'x', 300);
		buf_init(&b, CHAN_MAX);
		put_hostile(&b, 0, (struct slice){ x, len }, SLICE(""));
		assert_int_equal(scan_get_word(buf_slice(&b), 5, &slot, &f, &err), len < FINDING_NAME_MAX ? SCAN_FINDINGS : SCAN_BAD);
		buf_clear(&b);
		put_hostile(&b, 0, SLICE("RULE"), (struct slice){ x, len });
		assert_int_equal(scan_get_word(buf_slice(&b), 5, &slot, &f, &err), len < FINDING_TEXT_MAX ? SCAN_FINDINGS : SCAN_BAD);
		buf_free(&b);
		free(x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jobs_come_through),
		cmocka_unit_test(test_the_largest_job_fits),
		cmocka_unit_test(test_exact_length),
		cmocka_unit_test(test_flipped_octets),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_the_largest_findings_fit),
		cmocka_unit_test(test_too_many_findings),
		cmocka_unit_test(test_hostile_scanner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
