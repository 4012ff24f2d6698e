/* HTML to text: each row whole and in pieces of every size. '|' in what is expected ends a paragraph. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/html.h"
#include "proxy/base/mem.h"

static const struct {
	const char *html, *text;
} cases[] = {
	{ "", "" },
	{ "hello", "hello|" },
	{ "  two \n\n words ", "two words|" },
	{ "<p>one<p>two</p>", "one|two|" },
	{ "<DIV CLASS=x>one</DIV>two", "one|two|" },
	{ "a<b>b</b>c", "abc|" },
	{ "a<br>b<br><BR/>c", "a b|c|" },
	{ "<td>a</td><td>b</td>", "a b|" },
	{ "<pre>a\nb\n\nc</pre>d\n\ne", "a b|c|d e|" },
	{ "a<!-- x > -- --->b<!-->c<!--->d<!-- --!>e", "abcde|" },
	{ "a<!doctype html>b<?xml x?>c<![if x]>d", "abcd|" },
	{ "<a title='x>y' href=\"<p>\" z=x>a</a>", "a|" },
	{ "<a b=\"never closed>a", "" },
	{ "<script>if (a</b && '<p>') x();</script >a", "a|" },
	{ "<STYLE>p{}</Style\n>a<title>t</title>b", "a b|" },
	{ "<script>never closed", "" },
	{ "<script/>x</script>a", "a|" },
	{ "<scripty>a", "a|" },
	{ "1 < 2 <3 <", "1 < 2 <3 <|" },
	{ "</>a</ x>b</", "ab|" },
	{ "&amp;&lt;&gt;&quot;&nbsp;x", "&<>\" x|" },
	{ "&amp;amp;", "&amp;|" },
	{ "&eacute;&Eacute;&euro;&hearts;", "\xc3\xa9\xc3\x89\xe2\x82\xac\xe2\x99\xa5|" },
	{ "&#65;&#x42;&#X43;&#8364;&#x20aC;", "ABC\xe2\x82\xac\xe2\x82\xac|" },
	{ "&#65&#66 &#150;", "AB \xe2\x80\x93|" },			/* no semicolon; Windows-1252 */
	{ "&#0;&#xd800;&#99999999999;", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|" },
	{ "&copy2025 &eurox &euro;", "\xc2\xa9" "2025 &eurox \xe2\x82\xac|" },
	{ "&nosuch; & &; &# &#x; &#zz", "&nosuch; & &; &# &#x; &#zz|" },
	{ "&averyveryverylongnamethatnobodyhasheardof;", "&averyveryverylongnamethatnobodyhasheardof;|" },
	{ "v&shy;i&ZeroWidthSpace;a", "v\xc2\xadi\xe2\x80\x8b" "a|" },
	{ "a&", "a&|" },
	{ "a&amp", "a&|" },
	{ "a\xc2\xa0\xc2\xa0" "b\xc3\xa9", "a b\xc3\xa9|" },
};

static void
check(const char *html, size_t piece, const char *wanted)
{
	struct slice left = slice_of(html);
	struct text text;
	struct html *h;
	char *got;

	text_init(&text, 1000);
	h = html_new(&text);
	while (left.len > 0) {
		size_t len = piece < left.len ? piece : left.len;

		while (len < left.len && ((unsigned char)left.at[len] & 0xc0) == 0x80)
			len++;		/* whole characters only */
		html_feed(h, slice_part(left, 0, len));
		left = slice_part(left, len, left.len);
	}
	html_end(&h);
	got = mem_slice(buf_slice(&text.buf));
	for (size_t i = 0; i < text.nparagraphs; i++) {
		assert_int_equal(got[text.paragraphs[i] - 1], '\n');
		got[text.paragraphs[i] - 1] = '|';
	}
	if (strcmp(got, wanted) != 0)
		fail_msg("\"%s\" in pieces of %zu gives \"%s\"", html, piece, got);
	text_free(&text);
	free(got);
}

static void
test_every_piece(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].html) + 1; piece++)
			check(cases[i].html, piece, cases[i].text);
}

static void
test_plain(void **state)
{
	struct text text;

	(void)state;
	text_init(&text, 1000);
	text_put(&text, SLICE("one\r\ntwo \t three\r\n \r\nfour\n"));
	text_end(&text);
	text_end(&text);
	assert_string_equal(buf_str(&text.buf), "one two three\nfour\n");
	assert_int_equal(text.nparagraphs, 2);
	assert_int_equal(text.paragraphs[0], 14);
	text_free(&text);
}

/* Whatever the cap, a paragraph that has begun gets its end. */
static void
test_cap(void **state)
{
	(void)state;
	for (size_t max = 0; max < 20; max++) {
		struct text text;
		bool fits;

		text_init(&text, max);
		fits = text_put(&text, SLICE("one two\n\nthree"));
		text_end(&text);
		assert_int_equal(fits, max >= 14);
		assert_int_equal(text.full, !fits);
		if (buf_len(&text.buf) > 0)
			assert_int_equal(text.paragraphs[text.nparagraphs - 1], buf_len(&text.buf));
		text_free(&text);
	}
}

/* Every name is found, so the table is sorted. */
static void
test_entities(void **state)
{
	static const char *const names[] = { "AElig", "zwnj", "amp", "ZeroWidthSpace", "yuml", "Alpha", "apos", "nbsp" };

	(void)state;
	for (size_t i = 0; i < NITEMS(names); i++)
		assert_int_not_equal(html_entity(slice_of(names[i])), 0);
	assert_int_equal(html_entity(SLICE("AMPLE")), 0);
	assert_int_equal(html_entity(SLICE("")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_entities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
