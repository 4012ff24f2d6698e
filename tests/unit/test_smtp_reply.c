/* test_smtp_reply.c - truths about proxy/smtp/smtp_reply.h: a backend's reply, read with suspicion and rebuilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_reply.h"

/* The lines of a reply, each ended by LF here. What each line means: m(ore), W(hole), B(ad); then
 * what a client hears of a whole one, and what a log says. */
static const struct {
	const char *lines, *steps, *said, *text;
} cases[] = {
	{ "250 2.1.0 Ok\n", "W", "250 2.1.0 Ok\r\n", "250 2.1.0 Ok" },
	{ "250 Ok\n", "W", "250 2.0.0 Ok\r\n", "250 Ok" },
	{ "250\n", "W", "250 2.0.0 \r\n", "250 " },
	{ "250 \n", "W", "250 2.0.0 \r\n", "250 " },
	{ "250-\n250\n", "mW", "250-2.0.0 \r\n250 2.0.0 \r\n", "250 " },
	{ "250-one\n250-2.1.5 two\n250 three\n", "mmW", "250-2.0.0 one\r\n250-2.1.5 two\r\n250 2.0.0 three\r\n", "250 one" },
	{ "354 go on\n", "W", "354 go on\r\n", "354 go on" },		/* RFC 2034: not with 3yz */
	{ "354 3.0.0 go on\n", "W", "354 3.0.0 go on\r\n", "354 3.0.0 go on" },
	{ "451 4.7.1 Later\n", "W", "451 4.7.1 Later\r\n", "451 4.7.1 Later" },
	{ "550 5.1.1\n", "W", "550 5.1.1\r\n", "550 5.1.1" },
	{ "599 x\n", "W", "599 5.0.0 x\r\n", "599 x" },
	/* an enhanced code (RFC 2034 section 4) or what only looks like one */
	{ "550 5.999.999 x\n", "W", "550 5.999.999 x\r\n", "550 5.999.999 x" },
	{ "550 5.1.1000 x\n", "W", "550 5.0.0 5.1.1000 x\r\n", "550 5.1.1000 x" },
	{ "550 5.1000.1 x\n", "W", "550 5.0.0 5.1000.1 x\r\n", "550 5.1000.1 x" },
	{ "550 4.1.1 x\n", "W", "550 5.0.0 4.1.1 x\r\n", "550 4.1.1 x" },
	{ "550 5.1 x\n", "W", "550 5.0.0 5.1 x\r\n", "550 5.1 x" },
	{ "550 5.1. x\n", "W", "550 5.0.0 5.1. x\r\n", "550 5.1. x" },
	{ "550 5..1 x\n", "W", "550 5.0.0 5..1 x\r\n", "550 5..1 x" },
	{ "550 5.1.1x\n", "W", "550 5.0.0 5.1.1x\r\n", "550 5.1.1x" },
	{ "550 5.1.1.1 x\n", "W", "550 5.0.0 5.1.1.1 x\r\n", "550 5.1.1.1 x" },
	{ "550 55.1.1 x\n", "W", "550 5.0.0 55.1.1 x\r\n", "550 55.1.1 x" },
	{ "550 5.1.\n", "W", "550 5.0.0 5.1.\r\n", "550 5.1." },
	{ "550 5.1.1\tx\n", "W", "550 5.0.0 5.1.1?x\r\n", "550 5.1.1\tx" },
	/* printable ASCII only goes on; a log escapes by itself */
	{ "250 caf\xc3\xa9 \x1b[31m\x7f\n", "W", "250 2.0.0 caf?? ?[31m?\r\n", "250 caf\xc3\xa9 \x1b[31m\x7f" },
	/* no reply */
	{ "\n", "B", NULL, NULL },
	{ "25\n", "B", NULL, NULL },
	{ "2500 x\n", "B", NULL, NULL },
	{ "250x\n", "B", NULL, NULL },
	{ "250\t-x\n", "B", NULL, NULL },
	{ " 250 x\n", "B", NULL, NULL },
	{ "150 x\n", "B", NULL, NULL },		/* SMTP has no 1yz */
	{ "650 x\n", "B", NULL, NULL },
	{ "050 x\n", "B", NULL, NULL },
	{ "2a0 x\n", "B", NULL, NULL },
	{ "25: x\n", "B", NULL, NULL },
	{ "+OK\n", "B", NULL, NULL },
	{ "250-one\n251 two\n", "mB", NULL, NULL },
	{ "250-one\n550 two\n", "mB", NULL, NULL },
	{ "250-one\ntwo\n", "mB", NULL, NULL },
	{ "250-one\n\n", "mB", NULL, NULL },
};

static enum smtp_reply_step
add_all(struct smtp_reply *r, const char *lines, struct buf *steps)
{
	enum smtp_reply_step step = REPLY_MORE;
	struct slice rest = slice_of(lines);

	while (rest.len > 0) {
		step = smtp_reply_add(r, slice_cut(&rest, '\n'));
		buf_putc(steps, step == REPLY_MORE ? 'm' : step == REPLY_WHOLE ? 'W' : 'B');
	}
	return step;
}

static void
test_replies(void **state)
{
	struct smtp_reply r;

	(void)state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf steps, said;
		char text[100];

		buf_init(&steps, 100);
		buf_init(&said, 10000);
		add_all(&r, cases[i].lines, &steps);
		assert_string_equal(buf_str(&steps), cases[i].steps);
		if (cases[i].said != NULL) {
			assert_int_equal(smtp_reply_class(&r), cases[i].said[0] - '0');
			assert_true(smtp_reply_say(&r, &said));
			assert_string_equal(buf_str(&said), cases[i].said);
			smtp_reply_text(&r, text, sizeof(text));
			assert_string_equal(text, cases[i].text);
		}
		buf_free(&steps);
		buf_free(&said);
		smtp_reply_free(&r);	/* and ready for the next one */
	}
}

static void
test_log_text_is_cut(void **state)
{
	struct smtp_reply r;

	(void)state;
	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_add(&r, SLICE("250 abcdef")), REPLY_WHOLE);
	for (size_t size = 1; size < 20; size++) {
		char text[20];

		memset(text, '#', sizeof(text));
		smtp_reply_text(&r, text, size);
		assert_int_equal(strlen(text), size - 1 < 10 ? size - 1 : 10);
		assert_true(strncmp(text, "250 abcdef", size - 1) == 0);
		assert_int_equal(text[19], '#');
	}
	smtp_reply_free(&r);
}

/* Bounds: lines, octets; and of a long one only the first lines are passed on, each in its width. */
static void
test_bounds(void **state)
{
	char line[SMTP_REPLY_LINE_MAX];
	struct smtp_reply r;
	struct slice rest;
	struct buf said;
	unsigned n = 0;

	(void)state;
	smtp_reply_init(&r);
	buf_init(&said, 65536);
	for (int i = 0; i < SMTP_REPLY_LINES; i++)
		assert_int_equal(smtp_reply_add(&r, SLICE("250-x")), REPLY_MORE);
	assert_int_equal(smtp_reply_add(&r, SLICE("250 x")), REPLY_BAD);
	smtp_reply_free(&r);

	memset(line, 'y', sizeof(line));
	memcpy(line, "550-", 4);
	for (size_t octets = 0; octets + sizeof(line) - 4 + 1 <= SMTP_REPLY_TEXT; octets += sizeof(line) - 4 + 1)
		assert_int_equal(smtp_reply_add(&r, (struct slice){ line, sizeof(line) }), REPLY_MORE);
	assert_int_equal(smtp_reply_add(&r, (struct slice){ line, sizeof(line) }), REPLY_BAD);
	smtp_reply_free(&r);

	for (int i = 0; i < 30; i++)
		assert_int_equal(smtp_reply_add(&r, (struct slice){ line, 520 }), REPLY_MORE);
	assert_int_equal(smtp_reply_add(&r, SLICE("550 last")), REPLY_WHOLE);
	assert_true(smtp_reply_say(&r, &said));
	for (rest = buf_slice(&said); rest.len > 0; n++) {
		struct slice one = slice_cut(&rest, '\n');

		assert_in_range(one.len, 10, 511);	/* RFC 5321 section 4.5.3.1.5: 512 with CR LF */
		assert_true(slice_starts(one, rest.len > 0 ? "550-5.0.0 yyy" : "550 5.0.0 yyy"));
		assert_int_equal(one.at[one.len - 1], '\r');
	}
	assert_int_equal(n, 10);
	buf_free(&said);
	smtp_reply_free(&r);
}

/* Never half a reply, whatever room there is. */
static void
test_say_all_or_nothing(void **state)
{
	struct smtp_reply r;
	size_t least = 0;

	(void)state;
	smtp_reply_init(&r);
	smtp_reply_add(&r, SLICE("250-one"));
	smtp_reply_add(&r, SLICE("250 two"));
	for (size_t room = 0; room < 2000; room++) {
		struct buf out;

		buf_init(&out, room);
		if (smtp_reply_say(&r, &out)) {
			assert_true(slice_is(buf_slice(&out), "250-2.0.0 one\r\n250 2.0.0 two\r\n"));
			least = least > 0 ? least : room;
		} else {
			assert_int_equal(buf_len(&out), 0);
			assert_int_equal(least, 0);
		}
		buf_free(&out);
	}
	assert_in_range(least, 30, 1999);
	smtp_reply_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_log_text_is_cut),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_say_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
