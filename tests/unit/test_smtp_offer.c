/* test_smtp_offer.c - truths about proxy/smtp/smtp_offer.h: what EHLO is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_offer.h"

static const struct {
	struct smtp_offer offer;
	const char *said;
} cases[] = {
	{ { .hostname = "mx.example.org" }, "250 mx.example.org\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_HELP }, "250-mx\r\n250 HELP\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_SIZE | CONF_EXT_PIPELINING, .size = UINT64_MAX },
	    "250-mx\r\n250-PIPELINING\r\n250 SIZE 18446744073709551615\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_LIMITS, .rcptmax = 100 }, "250-mx\r\n250 LIMITS RCPTMAX=100\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_LIMITS, .rcptmax = 100, .mailmax = 7 },
	    "250-mx\r\n250 LIMITS RCPTMAX=100 MAILMAX=7\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_DELIVERBY }, "250-mx\r\n250 DELIVERBY\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_DELIVERBY, .by_min = 60 }, "250-mx\r\n250 DELIVERBY 60\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_AUTH | CONF_EXT_ENHANCED, .auth = "PLAIN LOGIN" },
	    "250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_CHUNKING | CONF_EXT_BINARYMIME | CONF_EXT_DSN | CONF_EXT_SMTPUTF8 | CONF_EXT_8BITMIME },
	    "250-mx\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250 BINARYMIME\r\n" },
	{ { .hostname = "mx", .extensions = CONF_EXT_STARTTLS | CONF_EXT_REQUIRETLS | CONF_EXT_PRDR | CONF_EXT_ETRN },
	    "250-mx\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n250-PRDR\r\n250 ETRN\r\n" },
};

static void
test_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf out;

		buf_init(&out, 2000);
		assert_true(smtp_offer_say(&cases[i].offer, &out));
		assert_string_equal(buf_str(&out), cases[i].said);
		buf_free(&out);
		buf_init(&out, strlen(cases[i].said) - 1);
		assert_false(smtp_offer_say(&cases[i].offer, &out));
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
