/* test_smtp_identity.c - truths about proxy/smtp/smtp_identity.h: who the client is, as XCLIENT and XFORWARD say it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_identity.h"

#define ALL (ATTRIBUTE_NAME | ATTRIBUTE_ADDR | ATTRIBUTE_PORT | ATTRIBUTE_PROTO | ATTRIBUTE_HELO | ATTRIBUTE_LOGIN | \
	     ATTRIBUTE_DESTADDR | ATTRIBUTE_DESTPORT)

static const struct {
	unsigned attributes;
	const char *peer, *local, *helo, *login, *id;
	bool smtp;
	const char *said;
} cases[] = {
	{ 0, "192.0.2.7:40000", "", "x", "", "", false, "" },
	{ ATTRIBUTE_ADDR, "192.0.2.7:40000", "", "", "", "", false, "V ADDR=192.0.2.7\r\n" },
	{ ATTRIBUTE_ADDR | ATTRIBUTE_PORT, "[2001:db8::7]:40000", "", "", "", "", false, "V PORT=40000 ADDR=IPV6:2001:db8::7\r\n" },
	{ ATTRIBUTE_ADDR | ATTRIBUTE_PORT, "", "", "", "", "", false, "V PORT=[UNAVAILABLE] ADDR=[UNAVAILABLE]\r\n" },
	{ ATTRIBUTE_ADDR | ATTRIBUTE_PORT, "unix:/run/x", "", "", "", "", false, "V PORT=[UNAVAILABLE] ADDR=[UNAVAILABLE]\r\n" },
	{ ATTRIBUTE_PROTO | ATTRIBUTE_HELO, "", "", "a b+c=d\x7f", "", "", true, "V PROTO=SMTP HELO=a+20b+2Bc+3Dd+7F\r\n" },
	{ ATTRIBUTE_LOGIN | ATTRIBUTE_HELO, "", "", "", "", "", false, "V HELO=[UNAVAILABLE]\r\n" },
	{ ATTRIBUTE_LOGIN, "", "", "", "", "", false, "" },
	{ ATTRIBUTE_LOGIN, "", "", "", "ann@example.org", "", false, "V LOGIN=ann@example.org\r\n" },
	{ ATTRIBUTE_IDENT | ATTRIBUTE_SOURCE, "", "", "", "", "1ng4.1", false, "V IDENT=1ng4.1 SOURCE=REMOTE\r\n" },
	{ ALL, "192.0.2.7:40000", "198.51.100.1:25", "client.example.net", "ann", "", false,
	  "V NAME=[UNAVAILABLE] PORT=40000 PROTO=ESMTP HELO=client.example.net LOGIN=ann DESTADDR=198.51.100.1 DESTPORT=25 "
	  "ADDR=192.0.2.7\r\n" },
};

static struct addr
address(const char *text)
{
	struct addr a = { .len = 0 };
	struct err err = { "" };

	if (text[0] != '\0')
		assert_int_equal(addr_parse(&a, text, 0, &err), 0);
	return a;
}

static void
test_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct smtp_client c = { .peer = address(cases[i].peer), .local = address(cases[i].local), .helo = slice_of(cases[i].helo),
			.login = slice_of(cases[i].login), .esmtp = !cases[i].smtp };
		struct buf out;

		buf_init(&out, IDENTITY_ROOM);
		assert_int_equal(identity_say(&out, "V", cases[i].attributes, &c, slice_of(cases[i].id)), cases[i].said[0] != '\0');
		assert_true(slice_is(buf_slice(&out), cases[i].said));
		buf_free(&out);
	}
}

/* Whatever the lengths: no command beyond 512 octets, ADDR at the very end, nothing cut in the middle. */
static void
test_lengths(void **state)
{
	char helo[600], login[600];

	(void)state;
	for (size_t hl = 0; hl < sizeof(helo); hl += 7)
		for (size_t ll = 0; ll < sizeof(login); ll += 11)
			for (int odd = 0; odd <= 1; odd++) {
				struct smtp_client c = { .peer = address("[2001:db8::7]:40000"), .helo = { helo, hl }, .login = { login, ll } };
				struct slice rest;
				unsigned n, lines = 0;
				struct buf out;

				memset(helo, odd ? '=' : 'h', sizeof(helo));
				memset(login, odd ? ' ' : 'l', sizeof(login));
				buf_init(&out, IDENTITY_ROOM);
				n = identity_say(&out, "XCLIENT", ALL, &c, SLICE(""));
				rest = buf_slice(&out);
				while (rest.len > 0) {
					struct slice line = slice_cut(&rest, '\n');

					assert_in_range(line.len + 1, 1, IDENTITY_LINE);
					assert_true(slice_starts(line, "XCLIENT ") && line.at[line.len - 1] == '\r');
					lines++;
					if (rest.len == 0)
						assert_true(slice_iends(line, " ADDR=IPV6:2001:db8::7\r"));
				}
				assert_int_equal(lines, n);
				if (hl * (odd ? 3 : 1) > 480)
					assert_non_null(memmem(out.mem + out.start, buf_len(&out), " HELO=[UNAVAILABLE]", 19));
				buf_free(&out);
			}
}

static void
test_names(void **state)
{
	(void)state;
	assert_int_equal(identity_attribute(SLICE("addr")), ATTRIBUTE_ADDR);
	assert_int_equal(identity_attribute(SLICE("DESTPORT")), ATTRIBUTE_DESTPORT);
	assert_int_equal(identity_attribute(SLICE("REVERSE")), 0);
	assert_int_equal(identity_attribute(SLICE("")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_say),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
