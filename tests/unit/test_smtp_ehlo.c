/* test_smtp_ehlo.c - truths about proxy/smtp/smtp_ehlo.h: what a backend offers, and what we do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_ehlo.h"

/* The lines behind the greeting, each ended by LF here. Read as p(ipelining) 8 (bitmime)
 * t(ls) s(ize), then the size. */
static const struct {
	const char *lines, *caps;
	uint64_t size;
} cases[] = {
	{ "", "", 0 },
	{ "HELP\n", "", 0 },
	{ "PIPELINING\n8BITMIME\nSTARTTLS\nSIZE 1000\n", "p8ts", 1000 },
	{ "pipelining\n8bitMime\nStartTLS\nsize 1000\n", "p8ts", 1000 },
	{ "SIZE\n", "s", 0 },
	{ "SIZE 0\n", "s", 0 },			/* RFC 1870 section 4: no limit told */
	{ "SIZE  52428800 \n", "s", 52428800 },
	{ "SIZE 18446744073709551615\n", "s", UINT64_MAX },
	{ "SIZE 18446744073709551616\n", "s", 0 },
	{ "SIZE -1\n", "s", 0 },
	{ "SIZE 1k\n", "s", 0 },
	{ "SIZE=1000\n", "", 0 },
	{ "SIZES 1000\n", "", 0 },
	{ "XPIPELINING\nPIPELINING2\n8BITMIME=x\n", "", 0 },
	{ "AUTH PIPELINING STARTTLS\n", "", 0 },
	{ "PIPELINING x\n", "p", 0 },
	{ "\n\nPIPELINING\n", "p", 0 },
	{ "SIZE 5\nSIZE 7\n", "s", 7 },
};

static void
test_read(void **state)
{
	struct smtp_reply r;

	(void)state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		/* What was read before must not shine through. */
		struct backend_caps caps = { true, true, true, true, 99 };
		struct slice rest = slice_of(cases[i].lines);
		char line[200], flags[8];

		assert_int_equal(smtp_reply_add(&r, SLICE("250-STARTTLS is my name")), REPLY_MORE);
		while (rest.len > 0) {
			struct slice one = slice_cut(&rest, '\n');

			snprintf(line, sizeof(line), "250-%.*s", (int)one.len, one.at);
			assert_int_equal(smtp_reply_add(&r, slice_of(line)), REPLY_MORE);
		}
		assert_int_equal(smtp_reply_add(&r, SLICE("250 HELP")), REPLY_WHOLE);
		smtp_ehlo_read(&r, &caps);
		snprintf(flags, sizeof(flags), "%s%s%s%s", caps.pipelining ? "p" : "", caps.eightbit ? "8" : "",
		    caps.starttls ? "t" : "", caps.has_size ? "s" : "");
		assert_string_equal(flags, cases[i].caps);
		assert_int_equal(caps.size, cases[i].size);
		smtp_reply_free(&r);
	}
}

static void
test_say(void **state)
{
	static const struct {
		struct smtp_offer offer;
		const char *said;
	} says[] = {
		{ { "mx.example.org", 1000, false, false },
		    "250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n" },
		{ { "mx.example.org", UINT64_MAX, true, false },
		    "250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 18446744073709551615\r\n250-8BITMIME\r\n"
		    "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n" },
		{ { "mx", 5, true, true },
		    "250-mx\r\n250-PIPELINING\r\n250-SIZE 5\r\n250-8BITMIME\r\n250-STARTTLS\r\n"
		    "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(says); i++)
		for (size_t room = 0; room < 300; room++) {
			bool fits = room >= strlen(says[i].said);
			struct buf out;

			buf_init(&out, room);
			assert_int_equal(smtp_ehlo_say(&says[i].offer, &out), fits);
			assert_true(slice_is(buf_slice(&out), fits ? says[i].said : ""));
			buf_free(&out);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
