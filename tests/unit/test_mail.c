/* A message as the rules see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filters/charset.h"
#include "filters/mail.h"
#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

static void
check_bytes(const char *at, size_t len, const char *wanted)
{
	struct buf b;

	buf_init(&b, len + 1);
	buf_put(&b, (struct slice){ at, len });
	assert_string_equal(buf_str(&b), wanted);
	buf_free(&b);
}

static const struct {
	const char *wire, *text, *rawtext;
} cases[] = {
	{ "", "", "" },
	{ "A: b\n\nhello\nworld\n\nagain\n", "hello world\nagain\n", "hello\nworld\n\nagain\n" },
	{ "Subject: =?utf-8?q?One=20two?=\n\nhello\n", "One two\nhello\n", "hello\n" },
	{ "subject: one\n two\n\n\n", "one two\n", "\n" },
	{ "Content-Transfer-Encoding: base64\n\naGVsbG8gIHdvcmxk\n", "hello world\n", "hello  world" },
	{ "Content-Type: text/plain; charset=iso-8859-1\n\nh\xe9\n", "h\xc3\xa9\n", "h\xe9\n" },
	{ "Content-Type: text/html\n\n<p>a<b>b</b>&amp;<p>c", "ab&\nc\n", "<p>a<b>b</b>&amp;<p>c" },
	{ "Content-Type: multipart/alternative; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Type: text/html\n\n"
	  "<i>two</i>\n--b\nContent-Disposition: attachment\n\nthree\n--b\nContent-Type: a/b\n\nfour\n--b--\nfive\n",
	  "one\ntwo\n", "one<i>two</i>" },
	/* No part was found: then the reader shows what there is. */
	{ "Content-Type: multipart/mixed; boundary=b\n\nall there is\n", "all there is\n", "all there is\n" },
	{ "Content-Type: message/rfc822\n\nSubject: inner\n\ntext\n", "text\n", "text\n" },
};

static void
test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct mail *m = mail_read(slice_of(cases[i].wire));

		check_bytes(m->text, m->text_len, cases[i].text);
		check_bytes(m->rawtext, m->rawtext_len, cases[i].rawtext);
		for (size_t p = 0; p < m->nparagraphs; p++)
			assert_int_equal(m->text[m->paragraphs[p] - 1], '\n');
		if (m->nparagraphs > 0)
			assert_int_equal(m->paragraphs[m->nparagraphs - 1], m->text_len);
		assert_false(m->truncated);
		mail_free(&m);
		assert_null(m);
	}
}

static void
test_fields(void **state)
{
	static const char wire[] = "Received: one\r\nSubject: =?utf-8?b?aMOp?=\r\n  x \r\nRECEIVED:two\r\n\r\nbody\r\n";
	struct mail *m = mail_read(slice_of(wire));
	const struct mail_field *f;

	(void)state;
	assert_int_equal(m->nfields, 3);
	assert_int_equal(m->header.len, strlen(wire) - strlen("body\r\n"));
	assert_ptr_equal(m->header.at, wire);
	f = mail_field(m, "received", 1);
	assert_string_equal(f->name, "RECEIVED");
	check_bytes(f->value, f->value_len, "two");
	check_bytes(f->raw, f->raw_len, "two");
	f = mail_field(m, "Subject", 0);
	check_bytes(f->raw, f->raw_len, " =?utf-8?b?aMOp?=\r\n  x ");
	check_bytes(f->value, f->value_len, "=?utf-8?b?aMOp?=  x");
	check_bytes(f->decoded, f->decoded_len, "h\xc3\xa9  x");
	assert_null(mail_field(m, "Received", 2));
	assert_null(mail_field(m, "Subjec", 0));
	mail_free(&m);
}

static void
test_parts(void **state)
{
	static const char wire[] =
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\ntext\nbegin 644 c.exe\n#0V%T\nend\n"
	    "--b\nContent-Type: application/zip; name=x.zip\nContent-Transfer-Encoding: base64\n\nUEsFBg==\n"
	    "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nz\n--b--\n";
	static const struct {
		const char *type, *name, *data;
		int parent;
		bool is_text;
	} wanted[] = {
		{ "multipart/mixed", "", "", -1, false },
		{ "text/plain", "", "text\nbegin 644 c.exe\n#0V%T\nend", 0, true },
		{ "application/octet-stream", "c.exe", "Cat", 1, false },
		{ "application/zip", "x.zip", "PK\5\6", 0, false },
		{ "message/rfc822", "", "", 0, false },
		{ "text/plain", "", "z", 4, true },
	};
	struct mail *m = mail_read(slice_of(wire));

	(void)state;
	assert_int_equal(m->nparts, NITEMS(wanted));
	for (size_t i = 0; i < NITEMS(wanted); i++) {
		assert_string_equal(m->parts[i].info.type, wanted[i].type);
		assert_string_equal(m->parts[i].info.name, wanted[i].name);
		check_bytes(m->parts[i].data, m->parts[i].len, wanted[i].data);
		assert_int_equal(m->parts[i].parent, wanted[i].parent);
		assert_int_equal(m->parts[i].is_text, wanted[i].is_text);
	}
	assert_int_equal(m->nfields, 1);	/* the message's own only */
	mail_free(&m);
}

static struct mail *
read_long(const char *head, char fill, size_t n)
{
	struct buf b;
	struct mail *m;
	char line[] = "xxxxxxx\n";
	size_t len = strlen(line);

	for (size_t i = 0; i + 1 < len; i++)
		line[i] = fill;
	buf_init(&b, strlen(head) + n + len);
	buf_puts(&b, head);
	for (size_t used = 0; used < n; used += len)
		buf_puts(&b, line);
	m = mail_read(buf_slice(&b));
	m->full = m->header = SLICE("");
	buf_free(&b);
	return m;
}

static void
test_caps(void **state)
{
	static const char *const heads[] = { "A: b\n\n", "Content-Type: text/html; charset=iso-8859-2\n\n" };
	struct mail *m;

	(void)state;
	for (size_t i = 0; i < NITEMS(heads); i++) {
		m = read_long(heads[i], 'x', MAIL_TEXT_MAX + 1000);
		assert_true(m->text_cut);
		assert_false(m->truncated);	/* every part is there whole */
		assert_int_equal(m->rawtext_len, MAIL_TEXT_MAX);
		assert_in_range(m->text_len, MAIL_TEXT_MAX - 10, MAIL_TEXT_MAX);
		assert_int_equal(m->paragraphs[m->nparagraphs - 1], m->text_len);
		assert_int_equal(m->parts[0].len, MAIL_TEXT_MAX + 1000);
		mail_free(&m);
	}
	m = read_long("Content-Type: a/b\n\n", 'x', MAIL_DECODED_MAX + 1000);
	assert_true(m->truncated);
	assert_int_equal(m->parts[0].len, MAIL_DECODED_MAX);
	mail_free(&m);
}

static int
setup(void **state)
{
	(void)state;
	return charset_init() > 0 ? 0 : -1;
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
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
