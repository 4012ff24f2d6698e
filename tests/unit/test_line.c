/* test_line.c - truths about proxy/net/line.h: a line ends in CR LF, and anything else is no line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/line.h"

#define SIZE 8		/* octets of a line here, without CR LF */

#define WIRE(literal) { "" literal, sizeof(literal) - 1 }

/* [text] a line, L too long, ! bare CR, bare LF or NUL: then there is nothing more to be had. */
static const struct {
	struct slice wire;
	const char *read;
} cases[] = {
	{ WIRE(""), "" },
	{ WIRE("NOOP\r\n"), "[NOOP]" },
	{ WIRE("\r\n"), "[]" },
	{ WIRE("a\r\n\r\nb\r\n"), "[a][][b]" },
	{ WIRE("a\r\nb"), "[a]" },
	{ WIRE("a\r"), "" },
	{ WIRE("\xff \t.\r\n"), "[\xff \t.]" },		/* octets are octets; their meaning is others' */
	{ WIRE("12345678\r\n"), "[12345678]" },
	{ WIRE("12345678\r"), "" },
	{ WIRE("12345678\r\n12345678\r\n"), "[12345678][12345678]" },
	/* too long: said once, and the next line is read again */
	{ WIRE("123456789\r\n"), "L" },
	{ WIRE("123456789\r\nb\r\n"), "L[b]" },
	{ WIRE("1234567890123456789\r\n\r\nb\r\n"), "L[][b]" },
	{ WIRE("1234567890123456789"), "L" },
	{ WIRE("1234567890\r"), "L" },
	{ WIRE("123456789\r\n123456789\r\nb\r\n"), "LL[b]" },
	{ WIRE("12345678\r\r\nb\r\n"), "L[b]" },
	{ WIRE("1234567890\rabc\0\r\nb\r\n"), "L[b]" },	/* the tail is thrown away, whatever it holds... */
	{ WIRE("1234567890\nNOOP\r\n"), "L!" },		/* ...but ends in CR LF only */
	{ WIRE("1234567890abc\nNOOP\r\n"), "L!" },
	{ WIRE("1234567890\r\r\n\nb\r\n"), "L!" },
	/* no line at all */
	{ WIRE("\n"), "!" },
	{ WIRE("NOOP\n"), "!" },
	{ WIRE("a\r\n\nb\r\n"), "[a]!" },
	{ WIRE("123456789\n"), "!" },
	{ WIRE("a\nb\r\n"), "!" },
	{ WIRE("a\r\r\n"), "!" },
	{ WIRE("\r\r\n"), "!" },
	{ WIRE("a\rb\r\n"), "!" },
	{ WIRE("\ra\r\n"), "!" },
	{ WIRE("\0\r\n"), "!" },
	{ WIRE("a\0\r\n"), "!" },
	{ WIRE("a\0b\r\n"), "!" },
	{ WIRE("a\r\nb\0c\r\nd\r\n"), "[a]!" },
	{ WIRE("a\r\0\n"), "!" },
};

/* All that can be read now; false when it ended in something that is no line. */
static bool
read_all(struct line_reader *r, struct buf *in, struct buf *out)
{
	struct slice line;
	char room[SIZE];

	for (;;)
		switch (line_next(r, in, room, sizeof(room), &line)) {
		case LINE_OK:
			assert_ptr_equal(line.at, room);
			buf_putc(out, '[');
			buf_put(out, line);
			buf_putc(out, ']');
			break;
		case LINE_MORE:
			return true;
		case LINE_TOO_LONG:
			buf_putc(out, 'L');
			break;
		case LINE_BARE:
			assert_int_equal(line_next(r, in, room, sizeof(room), &line), LINE_BARE);	/* never passed over */
			buf_putc(out, '!');
			return false;
		}
}

static void
check(struct slice wire, size_t piece, const char *want)
{
	struct line_reader r = { 0 };
	struct buf in, out;
	bool good = true;

	buf_init(&in, 100);
	buf_init(&out, 100);
	for (size_t at = 0; good && at < wire.len; at += piece) {
		buf_put(&in, slice_part(wire, at, piece));
		good = read_all(&r, &in, &out);
	}
	assert_string_equal(buf_str(&out), want);
	buf_free(&in);
	buf_free(&out);
}

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= cases[i].wire.len; piece++)
			check(cases[i].wire, piece, cases[i].read);
}

/* An endless line takes no room: what is behind its limit is gone at once. */
static void
test_an_endless_line_is_not_kept(void **state)
{
	struct line_reader r = { 0 };
	struct buf in, out;

	(void)state;
	buf_init(&in, 100);
	buf_init(&out, 100);
	for (int i = 0; i < 10000; i++) {
		assert_true(buf_puts(&in, "aaaaaaaaaaaaaaaaaaa\r"));
		assert_true(read_all(&r, &in, &out));
		assert_in_range(buf_len(&in), 0, 1);
	}
	assert_true(buf_puts(&in, "\nNOOP\r\n"));
	assert_true(read_all(&r, &in, &out));
	assert_string_equal(buf_str(&out), "L[NOOP]");
	buf_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_an_endless_line_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
