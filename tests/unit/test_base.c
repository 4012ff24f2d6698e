/* test_base.c - truths about proxy/base: slice, buf, str, log's words, wire, mem. (addr and
 * chan have tests of their own.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/slice.h"
#include "proxy/base/str.h"
#include "proxy/base/wire.h"

/* A row's text may hold NULs: its length is the literal's. */
#define T(literal) { "" literal, sizeof(literal) - 1 }

static void
check_slice(const char *what, struct slice got, struct slice want)
{
	if (!slice_same(got, want))
		fail_msg("%s: got \"%.*s\" (%zu), expected \"%.*s\" (%zu)", what, (int)got.len, got.len > 0 ? got.at : "",
		    got.len, (int)want.len, want.len > 0 ? want.at : "", want.len);
}

/* ---- slice ---- */

static void
test_slice_part(void **state)
{
	static const struct { const char *text; size_t from, len; const char *want; } cases[] = {
		{ "abcdef", 0, 6, "abcdef" },
		{ "abcdef", 0, 3, "abc" },
		{ "abcdef", 2, 2, "cd" },
		{ "abcdef", 4, 99, "ef" },
		{ "abcdef", 6, 1, "" },
		{ "abcdef", 7, 1, "" },
		{ "abcdef", SIZE_MAX, SIZE_MAX, "" },
		{ "abcdef", 1, SIZE_MAX, "bcdef" },		/* from + len would wrap around */
		{ "", 0, 0, "" },
		{ NULL, 0, 5, "" },
		{ NULL, 5, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		check_slice("slice_part", slice_part(slice_of(cases[i].text), cases[i].from, cases[i].len),
		    slice_of(cases[i].want));
}

static void
test_slice_compare(void **state)
{
	static const struct {
		struct slice s;
		const char *str;
		bool is, iis, starts, istarts, iends;
	} cases[] = {
		{ T("mail"),    "mail", true,  true,  true,  true,  true },
		{ T("MAIL"),    "mail", false, true,  false, true,  true },
		{ T("mailbox"), "mail", false, false, true,  true,  false },
		{ T("MailBox"), "mail", false, false, false, true,  false },
		{ T("email"),   "mail", false, false, false, false, true },
		{ T("eMAIL"),   "mail", false, false, false, false, true },
		{ T("mai"),     "mail", false, false, false, false, false },
		{ T("mail\0"),  "mail", false, false, true,  true,  false },
		{ T(""),        "mail", false, false, false, false, false },
		{ T("mail"),    "",     false, false, true,  true,  true },
		{ T(""),        "",     true,  true,  true,  true,  true },
		{ { NULL, 0 },  "",     true,  true,  true,  true,  true },
		{ { NULL, 0 },  "mail", false, false, false, false, false },
		/* ASCII only: [ and { differ in the bit that makes a letter small, E9/C9 are Latin-1's e acute */
		{ T("["),       "{",    false, false, false, false, false },
		{ T("@"),       "`",    false, false, false, false, false },
		{ T("\xc9"),    "\xe9", false, false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(slice_is(cases[i].s, cases[i].str), cases[i].is);
		assert_int_equal(slice_same(cases[i].s, slice_of(cases[i].str)), cases[i].is);
		assert_int_equal(slice_iis(cases[i].s, cases[i].str), cases[i].iis);
		assert_int_equal(slice_starts(cases[i].s, cases[i].str), cases[i].starts);
		assert_int_equal(slice_istarts(cases[i].s, cases[i].str), cases[i].istarts);
		assert_int_equal(slice_iends(cases[i].s, cases[i].str), cases[i].iends);
	}
	assert_true(slice_has(SLICE("a\0b"), '\0'));
	assert_true(slice_has(SLICE("abc"), 'c'));
	assert_false(slice_has(slice_part(SLICE("abc"), 0, 2), 'c'));
	assert_false(slice_has(SLICE("abc"), '\0'));	/* the literal's own end is outside */
	assert_false(slice_has(slice_of(NULL), '\0'));
}

static void
test_slice_cut(void **state)
{
	static const struct { const char *text; const char *head, *rest; } cases[] = {
		{ "a:b", "a", "b" },
		{ "a:b:c", "a", "b:c" },
		{ ":b", "", "b" },
		{ "a:", "a", "" },
		{ ":", "", "" },
		{ "ab", "ab", "" },
		{ "", "", "" },
		{ NULL, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice rest = slice_of(cases[i].text);

		check_slice("slice_cut", slice_cut(&rest, ':'), slice_of(cases[i].head));
		check_slice("slice_cut's rest", rest, slice_of(cases[i].rest));
	}
}

static void
test_slice_words(void **state)
{
	static const struct { const char *text; const char *words[4]; const char *trimmed; } cases[] = {
		{ "one", { "one" }, "one" },
		{ "one two", { "one", "two" }, "one two" },
		{ " \tone\t \ttwo  ", { "one", "two" }, "one\t \ttwo" },
		{ "one two\r\n", { "one", "two\r\n" }, "one two\r\n" },	/* a line's end is no blank */
		{ "   ", { NULL }, "" },
		{ "", { NULL }, "" },
		{ NULL, { NULL }, "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice rest = slice_of(cases[i].text);

		for (size_t k = 0; cases[i].words[k] != NULL; k++)
			check_slice("slice_word", slice_word(&rest), slice_of(cases[i].words[k]));
		check_slice("slice_word at the end", slice_word(&rest), SLICE(""));
		assert_int_equal(rest.len, 0);
		check_slice("slice_trim", slice_trim(slice_of(cases[i].text)), slice_of(cases[i].trimmed));
	}
}

static void
test_slice_number(void **state)
{
	static const struct { struct slice s; bool ok; uint64_t n; } cases[] = {
		{ T("0"), true, 0 },
		{ T("25"), true, 25 },
		{ T("0000000000000000000000025"), true, 25 },
		{ T("18446744073709551615"), true, UINT64_MAX },
		{ T("18446744073709551616"), false, 0 },
		{ T("18446744073709551620"), false, 0 },
		{ T("99999999999999999999"), false, 0 },
		{ T("184467440737095516150"), false, 0 },
		{ T(""), false, 0 },
		{ T("+1"), false, 0 },
		{ T("-1"), false, 0 },
		{ T(" 1"), false, 0 },
		{ T("1 "), false, 0 },
		{ T("1\0"), false, 0 },
		{ T("0x10"), false, 0 },
		{ T("1e3"), false, 0 },
		{ T("\xb2"), false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		uint64_t n = 77;

		assert_int_equal(slice_number(cases[i].s, &n), cases[i].ok);
		assert_int_equal(n, cases[i].ok ? cases[i].n : 77);
	}
}

static void
test_slice_copy(void **state)
{
	static const struct { struct slice s; size_t size; bool ok; const char *want; } cases[] = {
		{ T("abc"), 4, true, "abc" },
		{ T("abc"), 3, false, "" },
		{ T("abc"), 8, true, "abc" },
		{ T("a\0c"), 8, false, "" },
		{ T(""), 1, true, "" },
		{ { NULL, 0 }, 1, true, "" },
		{ T("a"), 1, false, "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		char out[9];

		memset(out, '#', sizeof(out));
		assert_int_equal(slice_copy(cases[i].s, out, cases[i].size), cases[i].ok);
		assert_string_equal(out, cases[i].want);
		assert_int_equal(out[cases[i].size], '#');
	}
}

/* ---- buf ---- */

/* Whatever the sizes of what goes in and out, what leaves is what came, in order. */
static void
test_buf_queue(void **state)
{
	static const size_t caps[] = { 1, 2, 7, 511, 512, 513, 1000, 4096 };

	(void)state;
	for (size_t c = 0; c < NITEMS(caps); c++)
		for (size_t piece = 1; piece <= caps[c] && piece < 700; piece += piece < 20 ? 1 : 61) {
			struct buf b;
			char in = 0, want = 0, bytes[700];

			buf_init(&b, caps[c]);
			for (int turn = 0; turn < 300; turn++) {
				bool fits = buf_room(&b) >= piece;

				for (size_t i = 0; i < piece; i++)
					bytes[i] = (char)(in + (char)i);
				assert_int_equal(buf_put(&b, (struct slice){ bytes, piece }), fits);
				if (fits)
					in = (char)(in + (char)piece);
				assert_true(buf_len(&b) <= caps[c] && b.size <= caps[c]);
				assert_int_equal(buf_len(&b) + buf_room(&b), caps[c]);
				for (size_t n = fits && turn % 3 != 0 ? 0 : (piece + 1) / 2 + (size_t)turn % 5; n > 0 && buf_len(&b) > 0; n--) {
					assert_int_equal(buf_slice(&b).at[0], want);
					want++;
					buf_eat(&b, 1);
				}
			}
			buf_free(&b);
		}
}

static void
test_buf_all_or_nothing(void **state)
{
	static const struct { size_t max; const char *first, *second; bool ok; } cases[] = {
		{ 10, "12345", "67890", true },
		{ 10, "12345", "678901", false },
		{ 5, "", "12345", true },
		{ 5, "", "123456", false },
		{ 0, "", "", true },
		{ 0, "", "1", false },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (int formatted = 0; formatted < 2; formatted++) {
			struct buf b;
			char want[20];

			buf_init(&b, cases[i].max);
			assert_true(buf_puts(&b, cases[i].first));
			assert_int_equal(formatted ? buf_printf(&b, "%s", cases[i].second) : buf_puts(&b, cases[i].second), cases[i].ok);
			snprintf(want, sizeof(want), "%s%s", cases[i].first, cases[i].ok ? cases[i].second : "");
			check_slice("buf", buf_slice(&b), slice_of(want));
			assert_int_equal(buf_room(&b), cases[i].max - strlen(want));
			buf_free(&b);
		}
}

/* buf_printf has a small way and a big one; both sides of the border, and of the cap. */
static void
test_buf_printf_sizes(void **state)
{
	static const size_t lens[] = { 0, 1, 510, 511, 512, 513, 1024, 5000 };
	char text[5001];

	(void)state;
	for (size_t i = 0; i < NITEMS(lens); i++)
		for (int short_by = 0; short_by < 2; short_by++) {
			struct buf b;

			if (lens[i] == 0 && short_by)
				continue;
			memset(text, 'x', lens[i]);
			text[lens[i]] = '\0';
			buf_init(&b, lens[i] - (size_t)short_by);
			assert_int_equal(buf_printf(&b, "%s", text), !short_by);
			check_slice("buf_printf", buf_slice(&b), short_by ? SLICE("") : slice_of(text));
			buf_free(&b);
		}
}

static void
test_buf_space(void **state)
{
	struct buf b;
	size_t room;
	char *at;

	(void)state;
	buf_init(&b, 1000);
	at = buf_space(&b, 100, &room);
	assert_non_null(at);
	assert_in_range(room, 100, 1000);
	memset(at, 'a', room);		/* all of it is ours: a sanitizer would say otherwise */
	buf_filled(&b, 60);
	at = buf_space(&b, 5000, &room);
	assert_int_equal(room, 940);
	memset(at, 'b', room);
	buf_filled(&b, 940);
	assert_int_equal(buf_len(&b), 1000);
	assert_null(buf_space(&b, 1, &room));
	assert_int_equal(room, 0);
	assert_null(buf_str(&b));	/* no room for a NUL */
	buf_eat(&b, 50);
	at = buf_space(&b, 1, &room);
	assert_in_range(room, 1, 50);
	memset(at, 'c', room);
	buf_filled(&b, 1);
	assert_string_equal(buf_str(&b) + 948, "bbc");	/* 10 a, 940 b, one c */
	buf_free(&b);
}

static void
test_buf_idle_holds_nothing(void **state)
{
	struct buf b;
	size_t room;

	(void)state;
	buf_init(&b, 4096);
	assert_null(b.mem);
	assert_true(buf_put(&b, SLICE("")));
	assert_null(b.mem);
	buf_puts(&b, "abc");
	assert_non_null(b.mem);
	buf_eat(&b, 2);
	assert_non_null(b.mem);
	buf_eat(&b, 1);
	assert_null(b.mem);
	buf_puts(&b, "abc");
	buf_eat(&b, 999);
	assert_null(b.mem);
	buf_space(&b, 100, &room);
	buf_filled(&b, 0);		/* a read that brought nothing */
	assert_null(b.mem);
	buf_puts(&b, "abc");
	buf_clear(&b);
	assert_null(b.mem);
	assert_int_equal(buf_room(&b), 4096);
	assert_true(buf_putc(&b, 'x'));
	assert_string_equal(buf_str(&b), "x");
	assert_int_equal(buf_len(&b), 1);	/* the NUL is not counted */
	buf_free(&b);
	assert_string_equal(buf_str(&b), "");
	buf_free(&b);
}

/* ---- str ---- */

static void
test_utf8(void **state)
{
	static const struct { struct slice s; size_t len; } cases[] = {
		{ T("a"), 1 }, { T("\x7f"), 1 }, { T("\0"), 1 }, { T(""), 0 }, { { NULL, 0 }, 0 },
		{ T("\xc2\x80"), 2 }, { T("\xdf\xbf"), 2 }, { T("\xc3\xa9tude"), 2 },
		{ T("\xe0\xa0\x80"), 3 }, { T("\xef\xbf\xbf"), 3 }, { T("\xed\x9f\xbf"), 3 }, { T("\xee\x80\x80"), 3 },
		{ T("\xf0\x90\x80\x80"), 4 }, { T("\xf4\x8f\xbf\xbf"), 4 },
		/* overlong, surrogate, above U+10FFFF, never a first octet, cut short, no continuation */
		{ T("\xc0\x80"), 0 }, { T("\xc1\xbf"), 0 }, { T("\xe0\x9f\xbf"), 0 }, { T("\xf0\x8f\xbf\xbf"), 0 },
		{ T("\xed\xa0\x80"), 0 }, { T("\xed\xbf\xbf"), 0 }, { T("\xf4\x90\x80\x80"), 0 }, { T("\xf5\x80\x80\x80"), 0 },
		{ T("\x80"), 0 }, { T("\xbf"), 0 }, { T("\xf8\x88\x80\x80\x80"), 0 }, { T("\xfe"), 0 }, { T("\xff"), 0 },
		{ T("\xc3"), 0 }, { T("\xe2\x82"), 0 }, { T("\xf0\x9f\x98"), 0 },
		{ T("\xc3" "a"), 0 }, { T("\xe2\x82" "a"), 0 }, { T("\xe2" "a\x82"), 0 }, { T("\xf0\x9f\x98\xc0"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		assert_int_equal(str_utf8_len(cases[i].s), cases[i].len);
}

static void
test_escape(void **state)
{
	static const struct { struct slice s; size_t max; const char *want; } cases[] = {
		{ T("plain words, 100 %"), 100, "plain words, 100 %" },
		{ T("a\r\nb\tc\0d"), 100, "a\\x0D\\x0Ab\\x09c\\x00d" },
		{ T("\x1b[31m\x7f"), 100, "\\x1B[31m\\x7F" },
		{ T("a\"b\\c"), 100, "a\\x22b\\x5Cc" },
		{ T("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 100, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ T("\xc3"), 100, "\\xC3" },
		{ T("\xc3\xc3\xa9"), 100, "\\xC3\xc3\xa9" },
		{ T("\xed\xa0\x80"), 100, "\\xED\\xA0\\x80" },
		{ T("\xc2\x85|\xc2\x9b|\xc2\xa0"), 100, "\\xC2\\x85|\\xC2\\x9B|\xc2\xa0" },	/* NEL, CSI; not NBSP */
		{ T("\xe2\x80\xae|\xe2\x80\x8e|\xe2\x80\xa8|\xe2\x80\xaa"), 100,	/* RLO, LRM, LS, LRE */
		    "\\xE2\\x80\\xAE|\\xE2\\x80\\x8E|\\xE2\\x80\\xA8|\\xE2\\x80\\xAA" },
		{ T("\xe2\x81\xa6|\xe2\x81\xa9|\xe2\x81\xa5|\xe2\x80\x8d"), 100,	/* LRI, PDI; not 2065, ZWJ */
		    "\\xE2\\x81\\xA6|\\xE2\\x81\\xA9|\xe2\x81\xa5|\xe2\x80\x8d" },
		{ T("abcdef"), 6, "abcdef" },
		{ T("abcdef"), 5, "abcde..." },
		{ T("abcdef"), 0, "..." },
		{ T(""), 0, "" },
		{ T("ab\n"), 5, "ab..." },		/* never half an escape */
		{ T("\n\n\n"), 11, "\\x0A\\x0A..." },
		{ T("ab\xe2\x82\xac"), 4, "ab..." },	/* nor half a character */
		{ T("\xe2\x80\xae"), 11, "..." },
		{ { NULL, 0 }, 10, "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		size_t need = strlen(cases[i].want);

		for (size_t cap = need; cap + 1 >= need && cap <= need; cap--) {	/* just enough; one short */
			struct buf b;

			buf_init(&b, cap);
			assert_int_equal(str_escape(&b, cases[i].s, cases[i].max), cap == need);
			if (cap == need)
				check_slice("str_escape", buf_slice(&b), slice_of(cases[i].want));
			buf_free(&b);
		}
	}
}

static void
test_json(void **state)
{
	static const struct { struct slice s; const char *want; } cases[] = {
		{ T(""), "\"\"" },
		{ { NULL, 0 }, "\"\"" },
		{ T("plain / words"), "\"plain / words\"" },
		{ T("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ T("\r\n\t"), "\"\\r\\n\\t\"" },
		{ T("\0\x01\x1f\x7f\b"), "\"\\u0000\\u0001\\u001f\\u007f\\u0008\"" },
		{ T("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
		{ T("\xc3|\xff"), "\"\\ufffd|\\ufffd\"" },
		{ T("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"" },
		{ T("\xe2\x82"), "\"\\ufffd\\ufffd\"" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t cap = 0; cap <= strlen(cases[i].want); cap++) {
			struct buf b;

			buf_init(&b, cap);
			assert_int_equal(str_json(&b, cases[i].s), cap == strlen(cases[i].want));
			if (cap == strlen(cases[i].want))
				check_slice("str_json", buf_slice(&b), slice_of(cases[i].want));
			buf_free(&b);
		}
}

/* A log line is words: what a peer sends must not be able to end one, or to begin the next. */
static void
test_log_words(void **state)
{
	static const struct { struct slice s; const char *want; } cases[] = {
		{ T("plain"), "a=1 k=plain" },
		{ T(""), "a=1 k=\"\"" },
		{ T("two words"), "a=1 k=\"two words\"" },
		{ T("x\" verdict=\"accept"), "a=1 k=\"x\\x22 verdict=\\x22accept\"" },
		{ T("x\nverdict=accept"), "a=1 k=x\\x0Averdict=accept" },
		{ T("x\tverdict=accept"), "a=1 k=\"x\\x09verdict=accept\"" },
	};
	struct buf b;
	char many[400];

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		buf_init(&b, LOG_LINE_MAX);
		log_wordf(&b, "a", "%d", 1);
		log_word(&b, "k", cases[i].s);
		check_slice("log_word", buf_slice(&b), slice_of(cases[i].want));
		buf_free(&b);
	}
	memset(many, 'y', sizeof(many));
	buf_init(&b, LOG_LINE_MAX);
	log_word(&b, "k", (struct slice){ many, sizeof(many) });
	assert_int_equal(buf_len(&b), 2 + 256 + 3);	/* k= 256 octets ... */
	buf_free(&b);
}

/* ---- wire ---- */

static void
put_one_of_each(struct buf *b)
{
	assert_true(wire_put_u8(b, 0xfe));
	assert_true(wire_put_u16(b, 0x0102));
	assert_true(wire_put_u32(b, 0x01020304));
	assert_true(wire_put_u64(b, 0x0102030405060708u));
	assert_true(wire_put_i32(b, -2));
	assert_true(wire_put_bytes(b, SLICE("a\0b")));
	assert_true(wire_put_bytes(b, SLICE("")));
}

static const char one_of_each[] = "\xfe\x01\x02\x01\x02\x03\x04\x01\x02\x03\x04\x05\x06\x07\x08\xff\xff\xff\xfe"
				  "\0\0\0\x03" "a\0b" "\0\0\0\0";

static void
test_wire_whole(void **state)
{
	struct wire_in in;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	put_one_of_each(&b);
	check_slice("wire", buf_slice(&b), (struct slice){ one_of_each, sizeof(one_of_each) - 1 });
	in = wire_open(buf_slice(&b));
	assert_int_equal(wire_u8(&in), 0xfe);
	assert_int_equal(wire_u16(&in), 0x0102);
	assert_int_equal(wire_u32(&in), 0x01020304);
	assert_int_equal(wire_u64(&in), 0x0102030405060708u);
	assert_false(wire_done(&in));	/* something is left over */
	assert_int_equal(wire_i32(&in), -2);
	check_slice("wire_bytes", wire_bytes(&in), SLICE("a\0b"));
	check_slice("wire_bytes", wire_bytes(&in), SLICE(""));
	assert_true(wire_done(&in));
	assert_int_equal(wire_u8(&in), 0);
	assert_false(wire_done(&in));	/* one too many */
	buf_free(&b);
}

/* Cut anywhere, the input is bad, and stays bad; nothing behind the cut is made up. */
static void
test_wire_cut(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(one_of_each) - 1; len++) {
		char *exact = malloc(len > 0 ? len : 1);	/* its very size: a sanitizer sees one octet too far */
		struct wire_in in;
		struct slice a, b;

		memcpy(exact, one_of_each, len);
		in = wire_open((struct slice){ exact, len });
		assert_int_equal(wire_u8(&in), len >= 1 ? 0xfe : 0);
		assert_int_equal(wire_u16(&in), len >= 3 ? 0x0102 : 0);
		assert_int_equal(wire_u32(&in), len >= 7 ? 0x01020304 : 0);
		assert_int_equal(wire_u64(&in), len >= 15 ? 0x0102030405060708u : 0);
		assert_int_equal(wire_i32(&in), len >= 19 ? -2 : 0);
		a = wire_bytes(&in);
		b = wire_bytes(&in);
		check_slice("cut bytes", a, len >= 26 ? SLICE("a\0b") : SLICE(""));
		check_slice("cut bytes", b, SLICE(""));
		assert_true(in.bad);
		assert_false(wire_done(&in));
		assert_int_equal(wire_u8(&in), 0);
		free(exact);
	}
}

static void
test_wire_lies(void **state)
{
	static const struct slice cases[] = {
		T("\0\0\0\x04" "abc"),		/* one more than there is */
		T("\xff\xff\xff\xff" "abc"),
		T("\x80\0\0\0"),
		T("\0\0\0"),
		T(""),
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct wire_in in = wire_open(cases[i]);

		check_slice("a lying length", wire_bytes(&in), SLICE(""));
		assert_true(in.bad);
		assert_int_equal(wire_u8(&in), 0);	/* what stands behind a lie is not read */
	}
}

static void
test_wire_cap(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 8; cap++) {
		struct buf b;

		buf_init(&b, cap);
		assert_int_equal(wire_put_u64(&b, 1), false);
		assert_int_equal(wire_put_bytes(&b, SLICE("abcd")), false);
		assert_int_equal(buf_len(&b), 0);	/* not even the length */
		assert_int_equal(wire_put_u32(&b, 1), cap >= 4);
		buf_free(&b);
	}
}

/* ---- mem ---- */

static void
test_mem_push(void **state)
{
	struct pair { int a, b; } *list = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct pair *p = mem_push(&list, &n, sizeof(*list));

		assert_ptr_equal(p, &list[i]);
		assert_int_equal(p->a + p->b, 0);	/* zeroed, whatever realloc gave */
		p->a = i;
		p->b = -i - 1;
	}
	assert_int_equal(n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(list[i].a, i);
	free(list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slice_part),
		cmocka_unit_test(test_slice_compare),
		cmocka_unit_test(test_slice_cut),
		cmocka_unit_test(test_slice_words),
		cmocka_unit_test(test_slice_number),
		cmocka_unit_test(test_slice_copy),
		cmocka_unit_test(test_buf_queue),
		cmocka_unit_test(test_buf_all_or_nothing),
		cmocka_unit_test(test_buf_printf_sizes),
		cmocka_unit_test(test_buf_space),
		cmocka_unit_test(test_buf_idle_holds_nothing),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_log_words),
		cmocka_unit_test(test_wire_whole),
		cmocka_unit_test(test_wire_cut),
		cmocka_unit_test(test_wire_lies),
		cmocka_unit_test(test_wire_cap),
		cmocka_unit_test(test_mem_push),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
