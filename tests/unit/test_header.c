/* Inside header fields: names, types, parameters, encoded words, charsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filters/charset.h"
#include "filters/header.h"
#include "filters/word.h"
#include "proxy/base/mem.h"

static void
test_names(void **state)
{
	static const struct {
		const char *line;
		size_t len;
	} cases[] = {
		{ "Subject: x", 7 },    { "Subject:", 7 },      { "Subject : x", 7 }, { "X\xfcY: z", 3 },
		{ "Subject", 0 },       { "two words: x", 0 },  { ": x", 0 },         { " Subject: x", 0 },
		{ "", 0 },              { "a\x01" "b: c", 0 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		assert_int_equal(header_name_len(slice_of(cases[i].line)), cases[i].len);
}

static void
test_types(void **state)
{
	static const struct {
		const char *value, *type;
	} cases[] = {
		{ "text/plain", "text/plain" },
		{ " TEXT / HTML ; charset=x", "text/html" },
		{ "(comment (nested \\) ) ) text/(x)html", "text/html" },
		{ "multipart/mixed boundary=x", "multipart/mixed" },
		{ "text", "" },
		{ "text/", "" },
		{ "/plain", "" },
		{ "", "" },
		{ "(never text/plain", "" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct header_in in = header_open(slice_of(cases[i].value));
		char type[128];

		assert_int_equal(header_type(&in, type, sizeof(type)), cases[i].type[0] != '\0');
		assert_string_equal(type, cases[i].type);
	}
}

/* NULL: there is none. */
static const struct {
	const char *value, *name, *plain, *joined;
} params[] = {
	{ "; boundary=abc", "boundary", "abc", NULL },
	{ "; Boundary=\"a b\"; x=y", "boundary", "a b", NULL },
	{ " boundary=abc", "boundary", "abc", NULL },				/* the semicolon forgotten */
	{ "; charset=us-ascii boundary=abc", "boundary", "abc", NULL },
	{ "; charset=us-ascii boundary=abc", "charset", "us-ascii", NULL },
	{ ";;; boundary = abc ;", "boundary", "abc", NULL },
	{ "; (x) boundary (y) = (z) abc", "boundary", "abc", NULL },		/* CVE-2026-116264 and its kin */
	{ "; bad param; boundary=abc", "boundary", "abc", NULL },
	{ "; =x; boundary=abc", "boundary", "abc", NULL },
	{ "; x=\"y;boundary=no\"; boundary=abc", "boundary", "abc", NULL },
	{ "; (never closed; boundary=abc", "boundary", "abc", NULL },
	{ "; boundary=\"never closed; x=y", "boundary", "never closed", NULL },
	{ "; name=bill (1).pdf; x=y", "name", "bill (1).pdf", NULL },
	{ "; name=my bill.pdf", "name", "my bill.pdf", NULL },
	{ "; name=\"C:\\temp\\a \\\"b\\\".exe\"", "name", "C:\\temp\\a \"b\".exe", NULL },
	{ "; name*=utf-8'en'%e2%82%ac.exe", "name", NULL, "\xe2\x82\xac.exe" },
	{ "; name*=iso-8859-1''caf%E9", "name", NULL, "caf\xc3\xa9" },
	{ "; name*0=a; name*1=.ex; name*2=e", "name", NULL, "a.exe" },
	{ "; name*2=e; name*0=a; name*1=.ex", "name", NULL, "a.exe" },		/* in any order */
	{ "; name*0*=utf-8''%41; name*1=\"%42\"; name*2*=%43", "name", NULL, "A%42C" },
	{ "; name*1=b; name*5=c", "name", NULL, "bc" },				/* with gaps */
	{ "; name=plain; name*=utf-8''rfc2231", "name", "plain", "rfc2231" },
	{ "; name*=%4", "name", NULL, "%4" },
	{ "; name=", "name", "", NULL },
	{ "; other=x", "name", NULL, NULL },
};

static void
check_value(bool found, struct buf *b, const char *wanted)
{
	assert_int_equal(found, wanted != NULL);
	if (wanted != NULL)
		assert_string_equal(buf_str(b), wanted);
	buf_free(b);
}

static void
test_params(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(params); i++) {
		struct header_in in = header_open(slice_of(params[i].value));
		struct header_params list;
		struct buf b;

		header_params(&in, &list);
		buf_init(&b, 1000);
		check_value(header_plain(&list, params[i].name, 0, &b), &b, params[i].plain);
		check_value(header_joined(&list, params[i].name, &b), &b, params[i].joined);
	}
}

static void
test_params_are_bounded(void **state)
{
	struct header_params list;
	struct header_in in;
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	while (buf_puts(&b, ";a=b"))
		;
	in = header_open(buf_slice(&b));
	header_params(&in, &list);
	assert_int_equal(list.n, HEADER_PARAMS_MAX);
	buf_free(&b);
}

static void
test_words(void **state)
{
	static const struct {
		const char *value, *decoded;
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "=?utf-8?B?aGVsbG8=?=", "hello" },
		{ "=?UTF-8?q?h=C3=A9llo_you?=", "h\xc3\xa9llo you" },
		{ "a =?iso-8859-1?Q?=E9?= b", "a \xc3\xa9 b" },
		{ "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },			/* RFC 2047 section 8 */
		{ "=?utf-8?q?a?=\t =?utf-8?b?Yg==?= c", "ab c" },
		{ "=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c" },
		{ "=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "\xe2\x82\xac" },	/* a character cut in two */
		{ "=?iso-8859-1*en?q?x?=", "x" },				/* RFC 2231 section 5 */
		{ "=?koi8-r?b?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82" },
		{ "=?utf-8?q?what?\?=", "what?" },
		{ "=?utf-8?q?two words?=", "two words" },
		{ "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
		{ "=?utf-8?q?never closed", "=?utf-8?q?never closed" },
		{ "=?=?utf-8?q?a?=", "=?a" },
		{ "=??q?a?=", "=??q?a?=" },
		{ "=?nobody-knows?q?=E9?=", "\xc3\xa9" },
		{ "raw \xe9", "raw \xc3\xa9" },					/* Latin-1 */
		{ "raw \xc3\xa9", "raw \xc3\xa9" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b;

		buf_init(&b, 1000);
		assert_true(word_decode(&b, slice_of(cases[i].value)));
		assert_string_equal(buf_str(&b), cases[i].decoded);
		buf_free(&b);
		buf_init(&b, 0);
		assert_int_equal(word_decode(&b, slice_of(cases[i].value)), cases[i].value[0] == '\0');
	}
}

static bool
put(void *owner, struct slice utf8)
{
	return buf_put(owner, utf8);
}

static void
test_charsets(void **state)
{
	static const struct {
		const char *charset, *in, *utf8;
	} cases[] = {
		{ "utf-8", "h\xc3\xa9", "h\xc3\xa9" },
		{ "utf-8", "a\xe9z\xf0\x9f\x98", "a\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "", "h\xc3\xa9", "h\xc3\xa9" },
		{ "", "h\xe9", "h\xc3\xa9" },
		{ "US-ASCII", "\x80", "\xe2\x82\xac" },
		{ "iso-8859-1", "\xe9\x93", "\xc3\xa9\xe2\x80\x9c" },
		{ "no-such-thing", "\xe9", "\xc3\xa9" },
		{ "iso-8859-15", "\xa4", "\xe2\x82\xac" },
		{ "windows-1251", "\xcf", "\xd0\x9f" },
		{ "Shift_JIS", "\x82\xa0", "\xe3\x81\x82" },
		{ "iso-2022-jp", "\x1b$B$\"\x1b(B", "\xe3\x81\x82" },
		{ "iso-2022-jp", "\x1b$B$\"", "\xe3\x81\x82" },
		{ "iso-2022-jp", "abc", "abc" },				/* not in the state that was left */
		{ "gb2312", "\xc4\xe3", "\xe4\xbd\xa0" },
		{ "big5", "\xa7\x41", "\xe4\xbd\xa0" },
		{ "euc-kr", "\xb0\xa1", "\xea\xb0\x80" },
		{ "utf-7", "+AOk-", "\xc3\xa9" },
		{ "utf-16le", "a", "\xef\xbf\xbd" },				/* half a character */
		{ "euc-kr", "a\xff" "b", "a\xef\xbf\xbd" "b" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b;

		buf_init(&b, 1000);
		charset_utf8(slice_of(cases[i].charset), slice_of(cases[i].in), put, &b);
		assert_string_equal(buf_str(&b), cases[i].utf8);
		buf_free(&b);
	}
}

/* Long texts come in pieces; none may cut a character or lose one. */
static bool
count_latin(void *owner, struct slice utf8)
{
	assert_int_equal(utf8.len % 2, 0);
	*(size_t *)owner += utf8.len;
	return true;
}

static void
test_charset_pieces(void **state)
{
	static const char *const names[] = { "iso-8859-1", "iso-8859-2" };
	static char in[100000];

	(void)state;
	memset(in, 0xe9, sizeof(in));
	for (size_t i = 0; i < NITEMS(names); i++) {
		size_t total = 0;

		charset_utf8(slice_of(names[i]), (struct slice){ in, sizeof(in) }, count_latin, &total);
		assert_int_equal(total, 2 * sizeof(in));
	}
}

static int
setup(void **state)
{
	(void)state;
	return charset_init() > 30 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	charset_free();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_params_are_bounded),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_charset_pieces),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
