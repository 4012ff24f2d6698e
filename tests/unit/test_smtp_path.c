/* test_smtp_path.c - truths about proxy/smtp/smtp_path.h: the arguments of MAIL and RCPT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_path.h"

/* What is understood: the mailbox, its domain and what stands behind it. */
static const struct {
	const char *wire, *mailbox, *domain, *rest;
} good[] = {
	{ "<ann@example.org>", "ann@example.org", "example.org", "" },
	{ "<ann@example.org> SIZE=5", "ann@example.org", "example.org", " SIZE=5" },
	{ "<ann@example.org>x", "ann@example.org", "example.org", "x" },	/* whoever asked sees to it */
	{ "<>", "", "", "" },
	{ "<> BODY=8BITMIME", "", "", " BODY=8BITMIME" },
	{ "<postmaster>", "postmaster", "", "" },
	{ "<PostMaster@Example.ORG>", "PostMaster@Example.ORG", "Example.ORG", "" },
	{ "<a.b+c-d=e_f@x-y.example>", "a.b+c-d=e_f@x-y.example", "x-y.example", "" },
	{ "<!#$%&'*+-/=?^_`{|}~.@a>", "!#$%&'*+-/=?^_`{|}~.@a", "a", "" },
	{ "<.a..b.@example.org>", ".a..b.@example.org", "example.org", "" },	/* such mailboxes exist */
	{ "<a@_srv.example.org>", "a@_srv.example.org", "_srv.example.org", "" },
	{ "<a@example.org.>", "a@example.org", "example.org", "" },
	{ "<\"a b\"@example.org>", "\"a b\"@example.org", "example.org", "" },
	{ "<\"a>b\"@example.org>", "\"a>b\"@example.org", "example.org", "" },
	{ "<\"a\\\"b\\\\\"@example.org>", "\"a\\\"b\\\\\"@example.org", "example.org", "" },
	{ "<\"a@b\"@example.org>", "\"a@b\"@example.org", "example.org", "" },
	{ "<\"\"@example.org>", "\"\"@example.org", "example.org", "" },
	{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", "[192.0.2.1]", "" },
	{ "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "" },
	/* source routes are read and dropped (RFC 5321 section 3.6.1) */
	{ "<@a.example:ann@example.org>", "ann@example.org", "example.org", "" },
	{ "<@a.example,@b.example:ann@example.org>", "ann@example.org", "example.org", "" },
	{ "<@[192.0.2.1]:ann@example.org>", "ann@example.org", "example.org", "" },
};

static const struct {
	const char *wire;
	enum smtp_path_result why;
} bad[] = {
	{ "", PATH_SYNTAX },
	{ "<", PATH_SYNTAX },
	{ "ann@example.org", PATH_SYNTAX },
	{ " <ann@example.org>", PATH_SYNTAX },
	{ "<ann@example.org", PATH_SYNTAX },
	{ "<ann@example.org SIZE=5", PATH_SYNTAX },
	{ "<ann@>", PATH_SYNTAX },
	{ "<@example.org>", PATH_SYNTAX },
	{ "<ann@@example.org>", PATH_SYNTAX },
	{ "<ann@example.org@example.net>", PATH_SYNTAX },
	{ "<ann@.example.org>", PATH_SYNTAX },
	{ "<ann@example..org>", PATH_SYNTAX },
	{ "<ann@.>", PATH_SYNTAX },
	{ "<ann@example.org..>", PATH_SYNTAX },
	{ "<ann b@example.org>", PATH_SYNTAX },
	{ "<ann@example org>", PATH_SYNTAX },
	{ "< ann@example.org>", PATH_SYNTAX },
	{ "<ann@example.org >", PATH_SYNTAX },
	{ "<ann(x)@example.org>", PATH_SYNTAX },
	{ "<ann\t@example.org>", PATH_SYNTAX },
	{ "<ann\x7f@example.org>", PATH_SYNTAX },
	{ "<<ann@example.org>>", PATH_SYNTAX },
	{ "<ann@exa;mple.org>", PATH_SYNTAX },
	{ "<ann@exa:mple.org>", PATH_SYNTAX },
	{ "<\"ann@example.org>", PATH_SYNTAX },
	{ "<\"ann\"bob@example.org>", PATH_SYNTAX },
	{ "<ann\"bob\"@example.org>", PATH_SYNTAX },
	{ "<\"ann\\\"@example.org>", PATH_SYNTAX },
	{ "<\"ann\\", PATH_SYNTAX },
	{ "<\"a\tb\"@example.org>", PATH_SYNTAX },
	{ "<\"a\\\tb\"@example.org>", PATH_SYNTAX },
	{ "<a@[]>", PATH_SYNTAX },
	{ "<a@[192.0.2.1>", PATH_SYNTAX },
	{ "<a@[192.0.2.1]x>", PATH_SYNTAX },
	{ "<a@[192.0.2.1 ]>", PATH_SYNTAX },
	{ "<@a.example:>", PATH_SYNTAX },
	{ "<@a.example,:ann@example.org>", PATH_SYNTAX },
	{ "<@a.example,ann@example.org>", PATH_SYNTAX },
	{ "<@a.example ann@example.org>", PATH_SYNTAX },
	{ "<@:ann@example.org>", PATH_SYNTAX },
	/* without SMTPUTF8 (RFC 6531) no other octet may be there */
	{ "<\xc3\xa4@example.org>", PATH_UTF8 },
	{ "<a@\xc3\xa4.example>", PATH_UTF8 },
	{ "\xc3\xa4", PATH_UTF8 },
};

/* Of exactly its size, so that a sanitizer sees a step beyond. */
static enum smtp_path_result
parse(const char *wire, struct smtp_path *path, struct buf *left)
{
	size_t len = strlen(wire);
	char *copy = malloc(len > 0 ? len : 1);
	struct slice rest = { copy, len };
	enum smtp_path_result result;

	assert_non_null(copy);
	memcpy(copy, wire, len);
	result = smtp_path_parse(&rest, path, false);
	buf_put(left, rest);
	free(copy);
	return result;
}

static void
test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(good); i++) {
		struct smtp_path path;
		struct buf rest;

		buf_init(&rest, 1000);
		assert_int_equal(parse(good[i].wire, &path, &rest), PATH_OK);
		assert_string_equal(path.mailbox, good[i].mailbox);
		assert_true(slice_is(smtp_path_mailbox(&path), good[i].mailbox));
		assert_true(slice_is(smtp_path_domain(&path), good[i].domain));
		assert_int_equal(smtp_path_local(&path).len + (good[i].domain[0] != '\0') + strlen(good[i].domain),
		    strlen(good[i].mailbox));
		assert_string_equal(buf_str(&rest), good[i].rest);
		buf_free(&rest);
	}
	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct smtp_path path;
		struct buf rest;

		buf_init(&rest, 1000);
		assert_int_equal(parse(bad[i].wire, &path, &rest), bad[i].why);
		assert_string_equal(path.mailbox, "");
		buf_free(&rest);
	}
}

/* A path that is cut anywhere is none. */
static void
test_cut_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(good); i++)
		for (size_t len = 0; len + strlen(good[i].rest) < strlen(good[i].wire); len++) {
			char *cut = mem_slice((struct slice){ good[i].wire, len });
			struct smtp_path path;
			struct buf rest;

			buf_init(&rest, 1000);
			assert_int_equal(parse(cut, &path, &rest), PATH_SYNTAX);
			buf_free(&rest);
			free(cut);
		}
}

static void
test_nul(void **state)
{
	struct slice in_local = SLICE("<a\0b@example.org>"), in_domain = SLICE("<a@b\0c>"), quoted = SLICE("<\"a\0b\"@c>");
	struct smtp_path path;

	(void)state;
	assert_int_equal(smtp_path_parse(&in_local, &path, false), PATH_SYNTAX);
	assert_int_equal(smtp_path_parse(&in_domain, &path, false), PATH_SYNTAX);
	assert_int_equal(smtp_path_parse(&quoted, &path, false), PATH_SYNTAX);
}

static void
test_lengths(void **state)
{
	static const struct {
		size_t local, domain;
		bool dot, fits;
	} cases[] = {
		{ 1, 1, false, true },
		{ SMTP_LOCAL_MAX, SMTP_DOMAIN_MAX, false, true },
		{ SMTP_LOCAL_MAX, SMTP_DOMAIN_MAX, true, true },	/* the root's dot does not count */
		{ SMTP_LOCAL_MAX + 1, 1, false, false },
		{ 1, SMTP_DOMAIN_MAX + 1, false, false },
		{ SMTP_LOCAL_MAX + 1, 0, false, false },
		{ SMTP_LOCAL_MAX, 0, false, true },
		{ 5000, 5000, true, false },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct smtp_path path;
		struct buf wire, rest;

		buf_init(&wire, 20000);
		buf_init(&rest, 20000);
		buf_putc(&wire, '<');
		for (size_t n = 0; n < cases[i].local; n++)
			buf_putc(&wire, 'l');
		for (size_t n = 0; n < cases[i].domain; n++)
			buf_puts(&wire, n == 0 ? "@d" : "d");
		buf_puts(&wire, cases[i].dot ? ".>" : ">");
		assert_int_equal(parse(buf_str(&wire), &path, &rest), cases[i].fits ? PATH_OK : PATH_LONG);
		if (cases[i].fits) {
			assert_int_equal(smtp_path_local(&path).len, cases[i].local);
			assert_int_equal(smtp_path_domain(&path).len, cases[i].domain);
		}
		buf_free(&wire);
		buf_free(&rest);
	}
}

static void
test_routed(void **state)
{
	static const struct {
		const char *wire;
		bool routed;
	} cases[] = {
		{ "<ann@example.org>", false },
		{ "<>", false },
		{ "<postmaster>", false },
		{ "<a.b+c@example.org>", false },
		{ "<\"a b\"@example.org>", false },
		{ "<ann%other.example@example.org>", true },
		{ "<other.example!ann@example.org>", true },
		{ "<\"ann@other.example\"@example.org>", true },
		{ "<\"ann\\@other.example\"@example.org>", true },
		{ "<\"@a:b\"@example.org>", true },
		{ "<ann%other.example>", true },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice wire = slice_of(cases[i].wire);
		struct smtp_path path;

		assert_int_equal(smtp_path_parse(&wire, &path, false), PATH_OK);
		assert_int_equal(smtp_path_is_routed(&path), cases[i].routed);
	}
}

/* RFC 6531 section 3.3: UTF-8 where it may stand, and nothing that only looks like it. */
static void
test_utf8(void **state)
{
	static const struct { const char *wire, *mailbox; } cases[] = {
		{ "<j\xc3\xb6rg@example.org>", "j\xc3\xb6rg@example.org" },
		{ "<ann@b\xc3\xbc" "cher.example>", "ann@b\xc3\xbc" "cher.example" },
		{ "<\"j\xc3\xb6 rg\"@example.org>", "\"j\xc3\xb6 rg\"@example.org" },
		{ "<\xf0\x9f\x93\xae@example.org>", "\xf0\x9f\x93\xae@example.org" },
		{ "<@r\xc3\xb6m.example:ann@example.org>", "ann@example.org" },
		{ "<ann@example.org>", "ann@example.org" },
		{ "<\xc3@example.org>", NULL },
		{ "<\xc3\x28@example.org>", NULL },
		{ "<\xc0\xaf@example.org>", NULL },			/* overlong */
		{ "<\xed\xa0\x80@example.org>", NULL },		/* a surrogate */
		{ "<\xc2\x85@example.org>", NULL },			/* a control */
		{ "<\"\xc2\x80\"@example.org>", NULL },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice wire = slice_of(cases[i].wire);
		struct smtp_path path;
		bool parsed = smtp_path_parse(&wire, &path, true) == PATH_OK;

		assert_int_equal(parsed, cases[i].mailbox != NULL);
		if (parsed)
			assert_string_equal(path.mailbox, cases[i].mailbox);
	}
}

/* "key=value;key;" in order, NULL where it must be refused. */
static void
test_params(void **state)
{
	static const struct { const char *wire, *read; } cases[] = {
		{ "", "" },
		{ " ", "" },
		{ " SIZE=1000", "SIZE=1000;" },
		{ " size=1000", "size=1000;" },
		{ "  SIZE=1000   BODY=8BITMIME ", "SIZE=1000;BODY=8BITMIME;" },
		{ " SMTPUTF8", "SMTPUTF8;" },
		{ " X-a-1=~!@", "X-a-1=~!@;" },
		{ " ORCPT=rfc822;a+0Ab@example.org", "ORCPT=rfc822;a+0Ab@example.org;" },	/* xtext stays as it is */
		{ " A B C D E F G H", "A;B;C;D;E;F;G;H;" },
		{ " A B C D E F G H I J K L M N O P", "A;B;C;D;E;F;G;H;I;J;K;L;M;N;O;P;" },
		{ " A B C D E F G H I J K L M N O P Q", NULL },
		{ "SIZE=1000", NULL },
		{ "\tSIZE=1000", NULL },
		{ "x", NULL },
		{ " =x", NULL },
		{ " SIZE=", NULL },
		{ " SIZE=1=2", NULL },
		{ " S_ZE=1", NULL },
		{ " SI\x01ZE", NULL },
		{ " SIZE=1\x7f", NULL },
		{ " ORCPT=utf-8;\xc3\xa4", "ORCPT=utf-8;\xc3\xa4;" },	/* RFC 6533: whoever reads it looks closer */
		{ " \xc3\xa4=1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct smtp_param params[SMTP_PARAMS_MAX];
		struct buf read;
		size_t n;

		assert_int_equal(smtp_params_parse(slice_of(cases[i].wire), params, &n), cases[i].read != NULL);
		buf_init(&read, 1000);
		for (size_t k = 0; cases[i].read != NULL && k < n; k++) {
			buf_put(&read, params[k].key);
			if (params[k].value.at != NULL)
				buf_printf(&read, "=%.*s", (int)params[k].value.len, params[k].value.at);
			buf_putc(&read, ';');
		}
		if (cases[i].read != NULL)
			assert_string_equal(buf_str(&read), cases[i].read);
		buf_free(&read);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_cut_paths),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_routed),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
