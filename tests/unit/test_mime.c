/* Messages and what a lenient reader finds in them, read whole and in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/trace.h"

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"

static const struct {
	const char *wire, *trace;
} cases[] = {
	/* Header sections. */
	{ "", "<text/plain>" },
	{ "\n", "<text/plain>" },
	{ "A: b\n\nhello\n", "A=b;<text/plain{hello\n}>" },
	{ "A: b\r\n\r\nhello\r\n", "A=b;<text/plain{hello\r\n}>" },
	{ "A: b\rC: d\r\rhello\r", "A=b;C=d;<text/plain{hello\r}>" },		/* lone CRs */
	{ "A: b", "A=b;<text/plain>" },
	{ "A: b\n", "A=b;<text/plain>" },
	{ "A: b\r", "A=b;<text/plain>" },
	{ "A:\n b\n\tc \n\nx", "A=b\tc;<text/plain{x}>" },
	{ "A: b\n \n\nx", "A=b;<text/plain{x}>" },				/* a blank fold ends nothing */
	{ "A : b\n\n", "A=b;<text/plain>" },
	{ "From x@y Thu Jan 1\nA: b\n\nx", "A=b;<text/plain{x} !BAD_HEADER>" },
	{ ">From x\nFrom: b\n\nx", "From=b;<text/plain{x} !BAD_HEADER>" },
	{ "\r\n\nA: b\n\nx", "A=b;<text/plain{x} !BAD_HEADER>" },
	{ "some garbage\nA: b\n\nx", "A=b;<text/plain{x} !BAD_HEADER>" },
	{ "some garbage\n\nA: b\n\nx", "A=b;<text/plain{x} !BAD_HEADER>" },
	{ " A: b\nC: d\n\nx", "A=b;C=d;<text/plain{x} !BAD_HEADER>" },
	{ "A: b\ngarbage\nC: d\n\nx", "A=b;C=d;<text/plain{x} !BAD_HEADER>" },
	{ "A: b\nno empty\nline here\n", "A=b;<text/plain{no empty\nline here\n} !BAD_HEADER>" },
	{ "A: b\nno empty\n\nline here\n", "A=b;<text/plain{no empty\n\nline here\n} !BAD_HEADER>" },
	{ "A: b\none\ntwo\nC: d\n\nx", "A=b;<text/plain{one\ntwo\nC: d\n\nx} !BAD_HEADER>" },
	{ "A: b\nlast", "A=b;<text/plain{last} !BAD_HEADER>" },
	{ "just\ntext\n", "<text/plain{just\ntext\n} !BAD_HEADER>" },
	{ "\n\njust\ntext\n", "<text/plain{\njust\ntext\n} !BAD_HEADER>" },

	/* What the fields say. */
	{ "Content-Type: TEXT/Html; charset=\"UTF-8\"\n\nx", "<text/html;utf-8{x}>" },
	{ "Content-Type: nonsense\n\nx", "<text/plain{x}>" },
	{ "Content-Type: a/b; name=\"=?utf-8?q?x=2Eexe?=\"\n\n", "<a/b \"x.exe\">" },
	{ "Content-Type: a/b; name=n\nContent-Disposition: attachment; filename=f\n\n", "<a/b +\"f\">" },
	{ "Content-Disposition: attachment; filename=f\nContent-Type: a/b; name=n\n\n", "<a/b +\"f\">" },
	{ "Content-Disposition: inline; filename*0=f.e;\n filename*1=xe\n\n", "<text/plain \"f.exe\">" },
	{ "Content-Disposition: strange\n\n", "<text/plain +\"\">" },		/* RFC 2183 section 2.8 */
	{ "Content-Type: a/b\nContent-Type: c/d\n\nx", "<a/b{x} !DUPLICATE_FIELD>" },

	/* Transfer encodings. */
	{ "Content-Transfer-Encoding: base64\n\naGk=\n", "<text/plain{hi}>" },
	{ "Content-Transfer-Encoding: base64; x=y\n\naGk=\n", "<text/plain{hi}>" },
	{ "Content-Transfer-Encoding: (x) \"BASE64\"\n\naGk=\n", "<text/plain{hi}>" },
	{ "Content-Transfer-Encoding: quoted-printable (y)\n\n=41=\n=42\n", "<text/plain{AB\n}>" },
	{ "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 f\n#0V%T\n`\nend\n", "<text/plain{Cat}>" },
	{ "Content-Transfer-Encoding: rot13\n\nx", "<text/plain{x} !BAD_ENCODING>" },
	{ "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\naGk=", "<text/plain{hi} !DUPLICATE_FIELD>" },
	{ "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n\naGk=", "<text/plain{hi} !DUPLICATE_FIELD>" },
	{ "Content-Transfer-Encoding: base64\n\na*Gk=", "<text/plain{hi} !BAD_DATA>" },
	{ "Content-Transfer-Encoding: base64\naGk=\n\n", "<text/plain{hi} !BAD_HEADER>" },	/* no empty line */

	/* Multiparts. */
	{ MIXED "--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\n",
	  "<multipart/mixed<text/plain{one}><text/html{two}>>" },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\r\n--b--\r\n",
	  "<multipart/mixed<text/plain{one\r\n}>>" },
	{ "Content-Type: multipart/mixed; boundary=b\r\r--b\r\rone\r--b--\r", "<multipart/mixed<text/plain{one}>>" },
	{ MIXED "--b\n\none\n--b--", "<multipart/mixed<text/plain{one}>>" },
	{ MIXED "--b\n\none\n--b", "<multipart/mixed !UNCLOSED<text/plain{one}><text/plain>>" },
	{ MIXED "--b \t\n\none\n--b-- \n", "<multipart/mixed<text/plain{one}>>" },
	{ MIXED "--b\n--b\n--b--\n", "<multipart/mixed<text/plain><text/plain>>" },
	{ MIXED "--b\nA: b\n--b--\n", "<multipart/mixedA=b;<text/plain>>" },
	{ MIXED "--b\n\n-\n--\n--bb\n--b-\n --b\nx--b\n-\r--c\n--b--\n",
	  "<multipart/mixed<text/plain{-\n--\n--bb\n--b-\n --b\nx--b\n-\r--c}>>" },
	{ MIXED "--b\nno empty line\n--b--\n", "<multipart/mixed<text/plain{no empty line} !BAD_HEADER>>" },
	{ MIXED "--b\n Content-Type: text/html\n\nx\n--b--\n", "<multipart/mixed<text/html{x} !BAD_HEADER>>" },
	{ MIXED "--b\n\nnever closed\n", "<multipart/mixed !UNCLOSED<text/plain{never closed\n}>>" },
	{ MIXED "nothing but text\n", "<multipart/mixed !UNCLOSED<text/plain @{nothing but text\n}>>" },
	{ "Content-Type: multipart/mixed; boundary=b\n--b\n\nx\n--b--\n", "<multipart/mixed<text/plain{x}>>" },
	{ "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\nx\n--b--\n",
	  "<multipart/digest<message/rfc822A=b;<text/plain{x}>>>" },

	/* What stands around parts. */
	{ MIXED " \r\npreamble\n--b\n\nx\n--b--\nepilogue\n",
	  "<multipart/mixed<text/plain @{preamble}><text/plain{x}><text/plain @{epilogue\n}>>" },
	{ "Content-Type: multipart/digest; boundary=b\n\npreamble\n--b--\n",
	  "<multipart/digest<text/plain @{preamble}>>" },
	{ MIXED "--b\n\nx\n--b--\n--b\nContent-Type: a/b\n\ny\n--b--\n", "<multipart/mixed<text/plain{x}><a/b @{y}>>" },

	/* Nested ones. */
	{ MIXED "--b\nContent-Type: multipart/alternative; boundary=\"bc\"\n\n--bc\n\nx\n--bc--\n--b\n\ny\n--b--\n",
	  "<multipart/mixed<multipart/alternative<text/plain{x}>><text/plain{y}>>" },
	{ MIXED "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--\n",
	  "<multipart/mixed<multipart/alternative !UNCLOSED<text/plain{x}>><text/plain{y}>>" },
	{ MIXED "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b\n\ny\n--b--\n",
	  "<multipart/mixed<multipart/mixed<text/plain{x}>><text/plain{y}>>" },

	/* Ambiguous ones: every reading is split. */
	{ "Content-Type: multipart/mixed; boundary=b; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--\n",
	  "<multipart/mixed !DUPLICATE_FIELD<text/plain{x}><text/plain{y}>>" },
	{ "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
	  "<text/plain !DUPLICATE_FIELD<text/plain{x}>>" },
	{ "Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=c\n\n--b\n\nx\n--c\n\ny\n--c--\n",
	  "<multipart/mixed !DUPLICATE_FIELD<text/plain{x}><text/plain{y}>>" },
	{ "Content-Type: multipart/mixed; boundary*0=x; boundary*1=y\n\n--xy\n\nx\n--xy--\n",
	  "<multipart/mixed<text/plain{x}>>" },
	{ "Content-Type: multipart/mixed; boundary=x (y)\n\n--x\n\nx\n--x--\n", "<multipart/mixed<text/plain{x}>>" },
	{ "Content-Type: multipart/mixed; boundary=\"x (y)\"\n\n--x\n--x (y)\n\nx\n--x (y)--\n",
	  "<multipart/mixed<text/plain @{--x}><text/plain{x}>>" },
	{ "Content-Type: multipart/mixed; boundary=\"=?utf-8?q?abc?=\"\n\n--abc\n\nx\n--=?utf-8?q?abc?=--\n",
	  "<multipart/mixed<text/plain{x}>>" },
	{ "Content-Type: text/plain, multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
	  "<text/plain !DUPLICATE_FIELD<text/plain{x}>>" },
	{ "Content-Type: multipart; boundary=b\n\n--b\n\nx\n--b--\n", "<text/plain<text/plain{x}>>" },
	{ "Content-Type: text/plain; boundary=b\n\n--b\n\nx\n--b--\n", "<text/plain{--b\n\nx\n--b--\n}>" },
	{ "Content-Type: multipart/mixed\n\n--guess\n\nx\n--guess--\n", "<multipart/mixed !NO_BOUNDARY<text/plain{x}>>" },
	{ "Content-Type: multipart/mixed\n\nfirst\n--guess\n\nx\n--guess--\n",
	  "<multipart/mixed !NO_BOUNDARY<text/plain @{first}><text/plain{x}>>" },

	/* Messages inside. */
	{ "Content-Type: message/rfc822\n\nA: b\n\nx\n", "<message/rfc822A=b;<text/plain{x\n}>>" },
	{ MIXED "--b\nContent-Type: message/rfc822\n\n" MIXED "--b\n\nx\n--b--\n--b--\n",
	  "<multipart/mixed<message/rfc822<multipart/mixed<text/plain{x}>>>>" },
	{ "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgoKaGVsbG8K\n",
	  "<message/rfc822 !BAD_ENCODINGA=b;<text/plain{hello\n}>>" },
	{ "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
	  "Content-Type: multipart/mixed; boundary=3Dc\n\n=2D-c\n\n=41=\nB\n--c--\n",
	  "<message/rfc822 !BAD_ENCODING<multipart/mixed<text/plain{AB}>>>" },
	/* base64 of: Content-Type: message/rfc822, Content-Transfer-Encoding: base64, and in that "A: b", "x" */
	{ MIXED "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
	  "Q29udGVudC1UeXBlOiBtZXNzYWdlL3JmYzgyMgpDb250ZW50LVRyYW5zZmVyLUVuY29kaW5n\n"
	  "OiBiYXNlNjQKClFUb2dZZ29LZUE9PQo=\n--b\n\ny\n--b--\n",
	  "<multipart/mixed<message/rfc822 !BAD_ENCODING<message/rfc822 !BAD_ENCODINGA=b;<text/plain{x}>>>"
	  "<text/plain{y}>>" },
	/* a multipart in base64: "--b", "", "x", "--b--" */
	{ "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\nLS1iCgp4Ci0tYi0tCg==\n",
	  "<multipart/mixed !BAD_ENCODING !UNCLOSED<multipart/mixed @ !BAD_ENCODING<text/plain @{x}>>>" },
	{ "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\n"
	  "pre=61mble\n--b\n\nx\n--b--\n",
	  "<multipart/mixed !BAD_ENCODING<multipart/mixed @ !BAD_ENCODING !UNCLOSED<text/plain @{preamble}>><text/plain{x}>>" },
	{ "Content-Type: message/partial; number=1\n\nA: b\n\nx", "<message/partial !PARTIALA=b;<text/plain{x}>>" },
	{ "Content-Type: message/delivery-status\n\nA: b\n", "<message/delivery-status{A: b\n}>" },

	/* uuencoded files in text. */
	{ "A: b\n\nhi\nbegin 644 c a.t\n#0V%T\n`\nend\nbye\n",
	  "A=b;<text/plain{hi\nbegin 644 c a.t\n#0V%T\n`\nend\nbye\n}<application/octet-stream +\"c a.t\"{Cat}>>" },
	{ "A: b\n\nbegin 644 f\n#0V%T\n", "A=b;<text/plain{begin 644 f\n#0V%T\n}<application/octet-stream +\"f\"{Cat}>>" },
	{ "A: b\n\nbegin at the end\nbegin 64 f\n\nbegin 644 \n", "A=b;<text/plain{begin at the end\nbegin 64 f\n\nbegin 644 \n}>" },
	{ "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\nbegin 600 f\n#0V%=54\nend\n",
	  "<text/html{begin 600 f\n#0V%T\nend\n}<application/octet-stream +\"f\"{Cat}>>" },
};

static void
check(size_t row, size_t piece)
{
	struct trace t;

	trace_mime(&t, slice_of(cases[row].wire), piece);
	if (!slice_is(buf_slice(&t.line), cases[row].trace))
		fail_msg("\"%s\" in pieces of %zu gives\n%s\nnot\n%s", cases[row].wire, piece, buf_str(&t.line),
		    cases[row].trace);
	trace_free(&t);
}

static void
test_every_piece(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].wire) + 1; piece++)
			check(i, piece);
}

/* One message and what must come of it, in some piece sizes; `wire` is used up. */
static void
check_long(struct buf *wire, const char *trace, unsigned flags)
{
	static const size_t pieces[] = { 1, 7, 511, 512, 4096, 1u << 30 };

	for (size_t i = 0; i < NITEMS(pieces); i++) {
		struct trace t;

		assert_int_equal(trace_mime(&t, buf_slice(wire), pieces[i]), flags);
		assert_string_equal(buf_str(&t.line), trace);
		trace_free(&t);
	}
	buf_free(wire);
}

static void
put_times(struct buf *b, size_t n, const char *what)
{
	while (n-- > 0)
		assert_true(buf_puts(b, what));
}

static void
test_long_delimiter_lines(void **state)
{
	struct buf b;

	(void)state;
	/* Blanks behind a delimiter, more than are kept: it is one, whatever comes then. */
	buf_init(&b, 1u << 20);
	buf_puts(&b, MIXED "--b\n\nx\n--b");
	put_times(&b, 2000, " ");
	buf_puts(&b, "junk\n\ny\n--b--\n");
	check_long(&b, "<multipart/mixed<text/plain{x}><text/plain{y}>>", 0);

	/* A boundary longer than is kept. */
	buf_puts(&b, "Content-Type: multipart/mixed; boundary=");
	put_times(&b, 300, "b");
	buf_puts(&b, "\n\n--");
	put_times(&b, 300, "b");
	buf_puts(&b, "\n\nx\n--");
	put_times(&b, 300, "b");
	buf_puts(&b, "--\n");
	check_long(&b, "<multipart/mixed<text/plain{x}>>", 0);
}

/* A line that looks like a delimiter up to its end, and longer than all that is held. */
static void
test_long_line_is_no_delimiter(void **state)
{
	struct buf b, trace;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_init(&trace, 1u << 20);
	buf_puts(&b, MIXED "--b\n\n--b");
	put_times(&b, 2000, "-");
	buf_puts(&b, "\n--b--\n");
	buf_puts(&trace, "<multipart/mixed<text/plain{--b");
	put_times(&trace, 2000, "-");
	buf_puts(&trace, "}>>");
	check_long(&b, buf_str(&trace), 0);
	buf_free(&trace);
}

static void
test_long_body_without_empty_line(void **state)
{
	struct buf b, trace;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_init(&trace, 1u << 20);
	buf_puts(&b, "A: b\n");
	put_times(&b, 200000, "x");
	buf_puts(&trace, "A=b;<text/plain{");
	put_times(&trace, 200000, "x");
	buf_puts(&trace, "} !BAD_HEADER>");
	check_long(&b, buf_str(&trace), MIME_BAD_HEADER);
	buf_free(&trace);
}

static void
test_nesting_is_bounded(void **state)
{
	struct buf b, trace;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_init(&trace, 1u << 20);
	put_times(&b, 200, "Content-Type: message/rfc822\n\n");
	put_times(&trace, MIME_DEPTH_MAX, "<message/rfc822");
	buf_puts(&trace, "<message/rfc822{");
	put_times(&trace, 200 - MIME_DEPTH_MAX - 1, "Content-Type: message/rfc822\n\n");
	buf_puts(&trace, "} !TOO_DEEP>");
	put_times(&trace, MIME_DEPTH_MAX, ">");
	check_long(&b, buf_str(&trace), MIME_TOO_DEEP);
	buf_free(&trace);
}

/* As many layers as may be: each message is wrapped in quoted-printable, which ASCII passes unchanged. */
static void
test_layers_are_bounded(void **state)
{
	static const char wrap[] = "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n";
	struct buf b;
	struct trace t;

	(void)state;
	buf_init(&b, 1u << 20);
	put_times(&b, 200, wrap);
	assert_int_equal(trace_mime(&t, buf_slice(&b), 1000), MIME_TOO_DEEP | MIME_BAD_ENCODING);
	assert_int_equal(t.nparts, MIME_ENCODINGS_MAX + 1);
	assert_int_equal(buf_len(&t.parts[MIME_ENCODINGS_MAX].data), (200 - MIME_ENCODINGS_MAX - 1) * strlen(wrap));
	trace_free(&t);
	buf_free(&b);
}

static void
test_parts_are_bounded(void **state)
{
	struct buf b;
	struct trace t;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_puts(&b, MIXED);
	put_times(&b, 2 * MIME_PARTS_MAX, "--b\n\nx\n");
	assert_int_equal(trace_mime(&t, buf_slice(&b), 1000), MIME_TOO_MANY_PARTS | MIME_UNCLOSED);
	assert_int_equal(t.nparts, MIME_PARTS_MAX);
	assert_false(t.broken);
	/* The last one holds all that stands behind it. */
	assert_true(buf_len(&t.parts[MIME_PARTS_MAX - 1].data) > MIME_PARTS_MAX * strlen("--b\n\nx\n"));
	trace_free(&t);
	buf_free(&b);
}

static void
test_fields_are_bounded(void **state)
{
	struct buf b;
	struct trace t;

	(void)state;
	buf_init(&b, 1u << 24);
	buf_puts(&b, "A: ");
	put_times(&b, MIME_FIELD_MAX, "x");
	buf_puts(&b, "\nB: y\n\nz");
	assert_int_equal(trace_mime(&t, buf_slice(&b), 1000), MIME_FIELD_TOO_LONG);
	assert_true(buf_len(&t.line) <= MIME_FIELD_MAX + 100);
	assert_non_null(strstr(buf_str(&t.line), ";B=y;<text/plain{z}"));
	trace_free(&t);

	buf_clear(&b);
	put_times(&b, MIME_FIELDS_MAX + 1, "A: x\n");
	buf_puts(&b, "Content-Type: a/b\n\nz");
	assert_int_equal(trace_mime(&t, buf_slice(&b), 1000), MIME_HEADER_TOO_BIG);
	assert_int_equal(buf_len(&t.fields[0]), MIME_FIELDS_MAX * strlen("A=x;"));
	assert_string_equal(t.parts[0].info.type, "a/b");	/* still understood */
	trace_free(&t);

	buf_clear(&b);
	for (size_t i = 0; i < 20; i++) {
		buf_puts(&b, "A: ");
		put_times(&b, 90000, "x");
		buf_puts(&b, "\n");
	}
	assert_int_equal(trace_mime(&t, buf_slice(&b), 1000), MIME_HEADER_TOO_BIG);
	assert_true(buf_len(&t.fields[0]) <= MIME_HEADER_MAX);
	trace_free(&t);
	buf_free(&b);
}

static void
test_nul(void **state)
{
	struct trace t;

	(void)state;
	assert_int_equal(trace_mime(&t, SLICE("A: b\n\nx\0y"), 3), MIME_NUL);
	assert_int_equal(buf_len(&t.parts[0].data), 3);
	trace_free(&t);
	assert_int_equal(trace_mime(&t, SLICE("A: b\0c\n\nx"), 3), MIME_NUL);
	trace_free(&t);
}

/* A name too long keeps its extension, and no character is cut. */
static void
test_long_name(void **state)
{
	struct buf b;
	struct trace t;

	(void)state;
	buf_init(&b, 10000);
	buf_puts(&b, "Content-Type: a/b; name=\"");
	put_times(&b, 150, "\xc3\xa9");
	buf_puts(&b, ".pdf.exe\"\n\n");
	trace_mime(&t, buf_slice(&b), 1000);
	assert_true(slice_iends(slice_of(t.parts[0].info.name), "\xc3\xa9.pdf.exe"));
	assert_non_null(strstr(t.parts[0].info.name, "\xc3\xa9...\xc3\xa9"));
	trace_free(&t);
	buf_free(&b);
}

/* Long lines in base64 pass from layer to layer in many steps. */
static void
test_large_encoded_message(void **state)
{
	struct buf b;
	struct trace t;

	(void)state;
	buf_init(&b, 1u << 24);
	buf_puts(&b, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgoK");
	put_times(&b, 100000, "QUJDREVGR0hJSktM");	/* ABCDEFGHIJKL, no line end at all */
	trace_mime(&t, buf_slice(&b), 50000);
	assert_int_equal(t.nparts, 2);
	assert_int_equal(buf_len(&t.parts[1].data), 100000 * 12);
	trace_free(&t);
	buf_free(&b);
}

static void
test_body_at(void **state)
{
	static const struct {
		const char *wire;
		size_t at;
	} rows[] = {
		{ "A: b\n\nx", 6 },      { "A: b\r\n\r\nx", 8 }, { "A: b\n", 5 },   { "\n\nx\ny\n", 1 },
		{ "\nA: b\n\nx", 7 },    { "A: b\nno\nx\n", 5 }, { "", 0 },         { "\n", 1 },
		{ "Content-Type: message/rfc822\n\nA: b\n\n", 30 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++)
		for (size_t piece = 1; piece <= strlen(rows[i].wire) + 1; piece++) {
			struct trace t;

			trace_mime(&t, slice_of(rows[i].wire), piece);
			assert_int_equal(t.parts[0].info.body_at, rows[i].at);
			trace_free(&t);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece),
		cmocka_unit_test(test_long_delimiter_lines),
		cmocka_unit_test(test_long_line_is_no_delimiter),
		cmocka_unit_test(test_long_body_without_empty_line),
		cmocka_unit_test(test_nesting_is_bounded),
		cmocka_unit_test(test_layers_are_bounded),
		cmocka_unit_test(test_parts_are_bounded),
		cmocka_unit_test(test_fields_are_bounded),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_large_encoded_message),
		cmocka_unit_test(test_body_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
