/* Transfer encodings: each row whole, in pieces of every size, and into outputs of several sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filters/decode.h"
#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

static const struct {
	enum mime_encoding encoding;
	const char *wire, *out;
	bool junk;
} cases[] = {
	{ MIME_7BIT, "as it\r\n is=41", "as it\r\n is=41", false },

	{ MIME_BASE64, "", "", false },
	{ MIME_BASE64, "aGVsbG8=", "hello", false },
	{ MIME_BASE64, "aGVs\r\nbG8=\r\n", "hello", false },
	{ MIME_BASE64, "aGVsb\nG8=", "hello", false },			/* a line that is no whole number of groups */
	{ MIME_BASE64, "aGVsbG8", "hello", false },			/* padding forgotten */
	{ MIME_BASE64, "aGVsbG", "hell", false },
	{ MIME_BASE64, "aGVsb", "hel", true },				/* one character is no octet */
	{ MIME_BASE64, "aGVs*b.G8=", "hello", true },			/* junk is skipped */
	{ MIME_BASE64, "aGVsbG8=IHdvcmxk", "hello world", true },	/* data behind padding goes on */
	{ MIME_BASE64, "RQ==SQ==Qw==", "EIC", true },			/* each octet padded */
	{ MIME_BASE64, "RUlD=QVI=", "EICAR", true },			/* padding where none belongs */
	{ MIME_BASE64, "====aGk=", "hi", true },
	{ MIME_BASE64, "-_-_+/+/", "\xfb\xff\xbf\xfb\xff\xbf", true },	/* URL-safe, RFC 4648 section 5 */
	{ MIME_BASE64, "aG k\t=", "hi", false },

	{ MIME_QP, "a=3Db=20c", "a=b c", false },
	{ MIME_QP, "caf=c3=a9", "caf\xc3\xa9", false },			/* lower case, though RFC 2045 forbids it */
	{ MIME_QP, "one=\r\ntwo=\nthree", "onetwothree", false },	/* soft line breaks */
	{ MIME_QP, "one= \t \r\ntwo", "onetwo", false },		/* blanks added in transport */
	{ MIME_QP, "one=\rtwo", "onetwo", false },
	{ MIME_QP, "one \r\ntwo", "one \r\ntwo", false },
	{ MIME_QP, "a=zb", "a=zb", true },
	{ MIME_QP, "a=4zb", "a=4zb", true },
	{ MIME_QP, "a==41b", "a=Ab", true },
	{ MIME_QP, "a=4=41", "a=4A", true },
	{ MIME_QP, "a= b", "a= b", true },
	{ MIME_QP, "a= =41", "a= A", true },
	{ MIME_QP, "end=", "end", false },				/* its line end belongs to the delimiter */
	{ MIME_QP, "end=4", "end=4", false },

	{ MIME_UUENCODE, "begin 644 f\n#0V%T\n`\nend\n", "Cat", false },
	{ MIME_UUENCODE, "begin 644 f\r\n#0V%T\r\n \r\nend\r\n", "Cat", false },
	{ MIME_UUENCODE, "#0V%T\n#0V%T\n", "CatCat", false },		/* without begin and end */
	{ MIME_UUENCODE, "\"2&D \n", "Hi", false },
	{ MIME_UUENCODE, "\"2&D", "Hi", false },			/* a blank at the end lost, and the line end */
	{ MIME_UUENCODE, "lower case\n#0V%T\n", "Cat", true },
	{ MIME_UUENCODE, "#0V%T\nM23456789-123456789-123456789-123456789-123456789-123456789-123456789-123456789-"
	  "123456789-123456789-123456789-123456789-123456789-\n#0V%T\n", "CatCat", true },	/* no line is that long */
	{ MIME_UUENCODE, "#0V%T\nend\n#0V%T\n", "Cat", false },		/* nothing behind the end */
};

static void
check(size_t row, size_t piece, size_t room)
{
	struct slice wire = slice_of(cases[row].wire), out = slice_of(cases[row].out);
	struct decode d;
	struct buf got;
	char mem[4096];

	assert_true(room <= sizeof(mem));
	buf_init(&got, 4096);
	decode_init(&d, cases[row].encoding);
	while (wire.len > 0 && !d.ended) {
		struct slice in = slice_part(wire, 0, piece);

		wire = slice_part(wire, piece, wire.len);
		while (in.len > 0 && !d.ended)
			assert_true(buf_put(&got, (struct slice){ mem, decode_feed(&d, &in, mem, room) }));
	}
	assert_true(buf_put(&got, (struct slice){ mem, decode_end(&d, mem, sizeof(mem)) }));
	if (!slice_same(buf_slice(&got), out) || d.junk != cases[row].junk)
		fail_msg("\"%s\" in pieces of %zu gives \"%s\", junk %d", cases[row].wire, piece, buf_str(&got), d.junk);
	buf_free(&got);
}

static void
test_every_piece(void **state)
{
	static const size_t rooms[] = { DECODE_ROOM, DECODE_ROOM + 1, 4096 };

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].wire) + 1; piece++)
			for (size_t r = 0; r < NITEMS(rooms); r++)
				check(i, piece, rooms[r]);
}

/* An '=' with more blanks behind it than are kept is text, in whatever pieces it comes. */
static void
test_many_blanks(void **state)
{
	char wire[1001], out[2048];

	(void)state;
	memset(wire, ' ', sizeof(wire));
	wire[0] = '=';
	wire[1000] = '\n';
	for (size_t piece = 1; piece < 300; piece++) {
		struct slice left = { wire, sizeof(wire) };
		struct decode d;
		size_t used = 0;

		decode_init(&d, MIME_QP);
		while (left.len > 0) {
			struct slice in = slice_part(left, 0, piece);

			left = slice_part(left, piece, left.len);
			while (in.len > 0)
				used += decode_feed(&d, &in, out + used, sizeof(out) - used);
		}
		assert_int_equal(used, sizeof(wire));
		assert_memory_equal(out, wire, sizeof(wire));
		assert_true(d.junk);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece),
		cmocka_unit_test(test_many_blanks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
