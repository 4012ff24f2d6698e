/* test_smtp_ehlo.c - truths about proxy/smtp/smtp_ehlo.h: what a backend offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_ehlo.h"
#include "proxy/smtp/smtp_envelope.h"

/* The lines behind the greeting, each ended by LF here; what we read in them, words as describe() puts them. */
static const struct {
	const char *lines, *caps;
} cases[] = {
	{ "", "HELP" },			/* the last line, which stands behind all of these */
	{ "PIPELINING\n8BITMIME\nSTARTTLS\nSIZE 1000\n", "PIPELINING SIZE 8BITMIME HELP STARTTLS size=1000" },
	{ "pipelining\n8bitMime\nStartTLS\nsize 1000\n", "PIPELINING SIZE 8BITMIME HELP STARTTLS size=1000" },
	{ "SIZE\n", "SIZE HELP" },
	{ "SIZE 0\n", "SIZE HELP" },			/* RFC 1870 section 4: no limit told */
	{ "SIZE  52428800 \n", "SIZE HELP size=52428800" },
	{ "SIZE 18446744073709551615\n", "SIZE HELP size=18446744073709551615" },
	{ "SIZE 18446744073709551616\n", "SIZE HELP" },
	{ "SIZE -1\n", "SIZE HELP" },
	{ "SIZE 1k\n", "SIZE HELP" },
	{ "SIZE=1000\n", "HELP" },
	{ "SIZES 1000\n", "HELP" },
	{ "XPIPELINING\nPIPELINING2\n8BITMIME=x\n", "HELP" },
	{ "PIPELINING x\n", "PIPELINING HELP" },
	{ "\n\nPIPELINING\n", "PIPELINING HELP" },
	{ "SIZE 5\nSIZE 7\n", "SIZE HELP size=7" },
	{ "CHUNKING\nBINARYMIME\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\nREQUIRETLS\nPRDR\nETRN\nVRFY\nEXPN\n",
	  "SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING BINARYMIME REQUIRETLS PRDR ETRN VRFY EXPN HELP" },
	/* Mechanisms, in the form of the standard and in that of the last century. */
	{ "AUTH PLAIN LOGIN X-UNKNOWN scram-sha-256\n", "AUTH HELP mechanisms=35" },
	{ "AUTH=PLAIN LOGIN\n", "AUTH HELP mechanisms=3" },
	{ "AUTH=CRAM-MD5\nAUTH PLAIN\n", "AUTH HELP mechanisms=5" },
	{ "AUTH=\n", "AUTH HELP" },
	{ "AUTH\n", "AUTH HELP" },
	{ "AUTH PIPELINING STARTTLS\n", "AUTH HELP" },
	{ "AUTHPLAIN\n", "HELP" },
	/* Limits (RFC 9422), DELIVERBY (RFC 2852). */
	{ "LIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1\n", "LIMITS HELP rcptmax=20 mailmax=5" },
	{ "LIMITS rcptmax=7\n", "LIMITS HELP rcptmax=7" },
	{ "LIMITS RCPTMAX=0 MAILMAX=x RCPTMAX MAILMAX=\n", "LIMITS HELP" },
	{ "LIMITS\n", "LIMITS HELP" },
	{ "DELIVERBY\n", "DELIVERBY HELP" },
	{ "DELIVERBY 240\n", "DELIVERBY HELP by=240" },
	{ "DELIVERBY x\n", "DELIVERBY HELP" },
	/* What it takes of a client's identity. */
	{ "XCLIENT NAME ADDR PROTO HELO REVERSE LOGIN\n", "HELP XCLIENT xclient=59" },
	{ "XFORWARD name addr port proto helo ident source domain\n", "HELP XFORWARD xforward=799" },
	{ "XCLIENT\n", "HELP XCLIENT" },
};

static void
describe(struct buf *out, const struct backend_caps *caps)
{
	const struct { const char *name; uint64_t value; } numbers[] = {
		{ "size", caps->size }, { "mechanisms", caps->mechanisms }, { "by", caps->by_min }, { "rcptmax", caps->rcptmax },
		{ "mailmax", caps->mailmax }, { "xclient", caps->xclient }, { "xforward", caps->xforward },
	};

	for (unsigned bit = 1; bit != 0; bit <<= 1)
		if (caps->extensions & bit)
			buf_printf(out, "%s%s", buf_len(out) > 0 ? " " : "", smtp_extension_name(bit));
	for (size_t i = 0; i < NITEMS(numbers); i++)
		if (numbers[i].value != 0)
			buf_printf(out, " %s=%llu", numbers[i].name, (unsigned long long)numbers[i].value);
}

static void
test_read(void **state)
{
	struct smtp_reply r;

	(void)state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct backend_caps caps;
		struct slice rest = slice_of(cases[i].lines);
		struct buf said;
		char line[200];

		memset(&caps, 0xff, sizeof(caps));	/* what was read before must not shine through */
		assert_int_equal(smtp_reply_add(&r, SLICE("250-STARTTLS is my name")), REPLY_MORE);
		while (rest.len > 0) {
			struct slice one = slice_cut(&rest, '\n');

			snprintf(line, sizeof(line), "250-%.*s", (int)one.len, one.at);
			assert_int_equal(smtp_reply_add(&r, slice_of(line)), REPLY_MORE);
		}
		assert_int_equal(smtp_reply_add(&r, SLICE("250 HELP")), REPLY_WHOLE);
		smtp_ehlo_read(&r, &caps);
		assert_false(caps.tls);
		buf_init(&said, 1000);
		describe(&said, &caps);
		assert_string_equal(buf_str(&said), cases[i].caps);
		buf_free(&said);
		smtp_reply_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
