/* test_smtp_told.c - truths about proxy/smtp/smtp_told.h: what XCLIENT and XFORWARD tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_told.h"

/* What is told, as text; NULL: it is refused. Of an address with its port; "-": told to be unknown. */
static const struct {
	const char *args;
	bool forward;
	const char *name, *helo, *login, *addr, *destination, *ident;
	enum smtp_told_proto proto;
} cases[] = {
	{ "NAME=spike.example.net ADDR=192.0.2.7 PORT=40000 PROTO=ESMTP HELO=spike.example.net LOGIN=ann DESTADDR=198.51.100.2 DESTPORT=25",
		false, "spike.example.net", "spike.example.net", "ann", "192.0.2.7 40000", "198.51.100.2 25", "", TOLD_ESMTP },
	{ "NAME=spike ADDR=192.0.2.7 PORT=40000 PROTO=smtp HELO=spike IDENT=4XYZ SOURCE=LOCAL", true, "spike", "spike", "",
		"192.0.2.7 40000", "", "4XYZ", TOLD_SMTP },
	{ "addr=IPV6:2001:db8::7", false, "", "", "", "2001:db8::7 0", "", "", TOLD_NO_PROTO },
	{ "ADDR=ipv6:2001:DB8::7", true, "", "", "", "2001:db8::7 0", "", "", TOLD_NO_PROTO },
	{ "ADDR=2001:db8::7", false, "", "", "", "2001:db8::7 0", "", "", TOLD_NO_PROTO },
	{ "ADDR=IPV6:::ffff:192.0.2.7", false, "", "", "", "192.0.2.7 0", "", "", TOLD_NO_PROTO },
	{ "NAME=[UNAVAILABLE] ADDR=[unavailable] HELO=[TEMPUNAVAIL] PROTO=[UNAVAILABLE] PORT=[UNAVAILABLE]", false, "", "", "", "-", "", "", TOLD_NO_PROTO },
	{ "  HELO=a+2Bb\tLOGIN=a+3Db+40c  ", false, "", "a+b", "a=b@c", "", "", "", TOLD_NO_PROTO },
	{ "LOGIN=a+c3+A4", false, "", "", "a\xc3\xa4", "", "", "", TOLD_NO_PROTO },
	{ "LOGIN=two+20words", false, "", "", "two words", "", "", "", TOLD_NO_PROTO },
	{ "HELO=one HELO=two", false, "", "two", "", "", "", "", TOLD_NO_PROTO },
	{ "HELO=x=y", false, "", "x=y", "", "", "", "", TOLD_NO_PROTO },
	{ "PORT=0 DESTPORT=65535", false, "", "", "", "", "", "", TOLD_NO_PROTO },
	/* refused */
	{ "", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "=x", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "WHAT=x", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "IDENT=x", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "LOGIN=x", true, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "DESTADDR=192.0.2.1", true, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=ok WHAT=x", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },		/* all or nothing */
	{ "NAME=a+0Ab", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+0D+0Ab", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+00", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+7F", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+20b", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+C3+A4", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "IDENT=a+1B", true, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+4", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "NAME=a+4G", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=192.0.2", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=192.0.2.7:25", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=[192.0.2.7]", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=IPV6:192.0.2.7", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=IPV6:fe80::1%lo", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "ADDR=localhost", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "PORT=65536", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "PORT=-1", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "PORT=99999999999999999999", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
	{ "PROTO=LMTP", false, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
};

static void
check_addr(const struct addr *a, bool told, unsigned port, const char *want)
{
	char host[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX + 16];

	assert_int_equal(told, want[0] != '\0');
	if (want[0] == '-')
		assert_int_equal(a->len, 0);
	if (want[0] == '\0' || want[0] == '-')
		return;
	addr_host(a, host);
	snprintf(text, sizeof(text), "%s %u", host, port);
	assert_string_equal(text, want);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct smtp_told told = { 0 }, nothing = { 0 };
		char *exact = mem_new(strlen(cases[i].args));	/* without a NUL, so that a sanitizer sees one octet too much */
		struct slice args = { exact, strlen(cases[i].args) };
		const char *reply;

		memcpy(exact, cases[i].args, args.len);
		reply = cases[i].forward ? smtp_told_xforward(&told, args) : smtp_told_xclient(&told, args);
		if ((reply == NULL) != (cases[i].name != NULL))
			fail_msg("%s: %s", cases[i].args, reply);
		free(exact);
		if (reply != NULL) {
			assert_memory_equal(reply, "501 5.5.4 ", 10);
			assert_memory_equal(&told, &nothing, sizeof(told));
			continue;
		}
		assert_string_equal(told.name, cases[i].name);
		assert_string_equal(told.helo, cases[i].helo);
		assert_string_equal(told.login, cases[i].login);
		assert_string_equal(told.ident, cases[i].ident);
		assert_int_equal(told.proto, cases[i].proto);
		check_addr(&told.addr, told.has_addr, told.port, cases[i].addr);
		check_addr(&told.destination, told.has_destination, told.destination_port, cases[i].destination);
	}
}

/* Command after command adds to what was told; one that is refused leaves it as it is. */
static void
test_one_after_another(void **state)
{
	struct smtp_told told = { 0 };

	(void)state;
	assert_null(smtp_told_xforward(&told, SLICE("NAME=one ADDR=192.0.2.7")));
	assert_null(smtp_told_xforward(&told, SLICE("HELO=two")));
	assert_non_null(smtp_told_xforward(&told, SLICE("NAME=three HELO=")));
	assert_string_equal(told.name, "one");
	assert_string_equal(told.helo, "two");
	assert_null(smtp_told_xforward(&told, SLICE("NAME=[UNAVAILABLE]")));
	assert_string_equal(told.name, "");
	assert_true(told.has_addr);
}

static void
test_lengths(void **state)
{
	char args[600] = "NAME=";

	(void)state;
	for (size_t len = SMTP_TOLD_MAX - 1; len <= SMTP_TOLD_MAX + 1; len++) {
		struct smtp_told told = { 0 };

		memset(args + 5, 'x', len);
		args[5 + len] = '\0';
		assert_int_equal(smtp_told_xclient(&told, slice_of(args)) == NULL, len <= SMTP_TOLD_MAX);
		assert_int_equal(strlen(told.name), len <= SMTP_TOLD_MAX ? len : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_one_after_another),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
