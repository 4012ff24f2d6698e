/* test_smtp_envelope.c - truths about proxy/smtp/smtp_envelope.h: the parameters of MAIL and RCPT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_envelope.h"

#define ALL ~0u

/* What is read, and how it is said to a server with these extensions; or the code with which it is refused. */
static const struct {
	const char *args;
	unsigned offered, has;
	const char *said, *code;
} mails[] = {
	{ "FROM:<ann@example.net>", 0, 0, "<ann@example.net>", NULL },
	{ "from: <ann@example.net>", 0, 0, "<ann@example.net>", NULL },
	{ "FROM:<>", 0, 0, "<>", NULL },
	{ "FROM:<@a,@b:ann@example.net>", 0, 0, "<ann@example.net>", NULL },
	{ "FROM:<ann@example.net> SIZE=100", 0, ALL, NULL, "555" },	/* after HELO there are no parameters */
	{ "FROM:<ann@example.net> SIZE=100", ALL, ALL, "<ann@example.net> SIZE=100", NULL },
	{ "FROM:<ann@example.net> SIZE=100", ALL, 0, "<ann@example.net>", NULL },
	{ "FROM:<ann@example.net> size=0", ALL, ALL, "<ann@example.net>", NULL },
	{ "FROM:<ann@example.net> SIZE", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> SIZE=-1", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> SIZE=18446744073709551616", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> SIZE=1 SIZE=1", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BODY=8BITMIME", ALL, ALL, "<ann@example.net> BODY=8BITMIME", NULL },
	{ "FROM:<ann@example.net> BODY=7bit", ALL, ALL, "<ann@example.net> BODY=7BIT", NULL },
	{ "FROM:<ann@example.net> BODY=7BIT", ALL, 0, "<ann@example.net>", NULL },
	{ "FROM:<ann@example.net> BODY=BINARYMIME", ALL, ALL, "<ann@example.net> BODY=BINARYMIME", NULL },
	{ "FROM:<ann@example.net> BODY=BINARYMIME", CONF_EXT_8BITMIME, ALL, NULL, "550" },
	{ "FROM:<ann@example.net> BODY=9BIT", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> SMTPUTF8", ALL, ALL, "<ann@example.net> SMTPUTF8", NULL },
	{ "FROM:<ann@example.net> SMTPUTF8=1", ALL, ALL, NULL, "501" },
	{ "FROM:<\xc3\xa4@example.net> SMTPUTF8", ALL, ALL, "<\xc3\xa4@example.net> SMTPUTF8", NULL },
	{ "FROM:<\xc3\xa4@example.net>", ALL, ALL, NULL, "553" },
	{ "FROM:<\xc3\xa4@example.net> SMTPUTF8", ALL & ~(unsigned)CONF_EXT_SMTPUTF8, ALL, NULL, "553" },
	{ "FROM:<ann@example.net> RET=full ENVID=a+2Bb", ALL, ALL, "<ann@example.net> RET=FULL ENVID=a+2Bb", NULL },
	{ "FROM:<ann@example.net> RET=FULL ENVID=a", ALL, 0, "<ann@example.net>", NULL },
	{ "FROM:<ann@example.net> RET=BODY", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> ENVID=a+2b", ALL, ALL, NULL, "501" },	/* RFC 3461 section 4: capitals only */
	{ "FROM:<ann@example.net> ENVID=a+2", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> ENVID=+", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> ENVID=\xc3\xa4", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> AUTH=<>", ALL, ALL, "<ann@example.net> AUTH=<>", NULL },
	{ "FROM:<ann@example.net> AUTH=e+3Dmc2@example.com", ALL, ALL, "<ann@example.net> AUTH=e+3Dmc2@example.com", NULL },
	{ "FROM:<ann@example.net> AUTH=<x>y z", ALL, ALL, NULL, "555" },
	{ "FROM:<ann@example.net> BY=120;R", ALL, ALL, "<ann@example.net> BY=120;R", NULL },
	{ "FROM:<ann@example.net> BY=-9;nt", ALL, ALL, "<ann@example.net> BY=-9;NT", NULL },
	{ "FROM:<ann@example.net> BY=0;R", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BY=-1;R", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BY=1234567890;N", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BY=1;X", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BY=1", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> BY=--1;N", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> REQUIRETLS", ALL, ALL, "<ann@example.net> REQUIRETLS", NULL },
	{ "FROM:<ann@example.net> PRDR", ALL, ALL, "<ann@example.net>", NULL },	/* ours alone */
	{ "FROM:<ann@example.net> PRDR=1", ALL, ALL, NULL, "501" },
	{ "FROM:<ann@example.net> X=1", ALL, ALL, NULL, "555" },
	{ "FROM:<ann@example.net>SIZE=1", ALL, ALL, NULL, "501" },
	{ "FROM:ann@example.net", ALL, ALL, NULL, "501" },
	{ "TO:<ann@example.net>", ALL, ALL, NULL, "501" },
	{ "", ALL, ALL, NULL, "501" },
};

static const struct {
	const char *args;
	unsigned offered, has;
	const char *said, *code;
} rcpts[] = {
	{ "TO:<bob@example.org>", 0, 0, "<bob@example.org>", NULL },
	{ "TO:<postmaster>", 0, 0, "<postmaster>", NULL },
	{ "TO:<bob@example.org> NOTIFY=NEVER", 0, ALL, NULL, "555" },
	{ "TO:<bob@example.org> NOTIFY=NEVER", ALL, ALL, "<bob@example.org> NOTIFY=NEVER", NULL },
	{ "TO:<bob@example.org> NOTIFY=delay,SUCCESS", ALL, ALL, "<bob@example.org> NOTIFY=SUCCESS,DELAY", NULL },
	{ "TO:<bob@example.org> NOTIFY=delay,SUCCESS", ALL, 0, "<bob@example.org>", NULL },
	{ "TO:<bob@example.org> NOTIFY=NEVER,DELAY", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> NOTIFY=DELAY,DELAY", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> NOTIFY=DELAY,", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> NOTIFY=", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> NOTIFY", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> ORCPT=rfc822;Bob@example.org", ALL, ALL, "<bob@example.org> ORCPT=rfc822;Bob@example.org", NULL },
	{ "TO:<bob@example.org> ORCPT=rfc822;", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> ORCPT=;a", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> ORCPT=rfc 822;a", ALL, ALL, NULL, "501" },
	{ "TO:<bob@example.org> ORCPT=utf-8;b\\x{E4}", ALL, ALL, "<bob@example.org> ORCPT=utf-8;b\\x{E4}", NULL },
	{ "TO:<bob@example.org> ORCPT=utf-8;b\xc3\xa4", ALL, ALL, NULL, "501" },	/* without SMTPUTF8 */
	{ "TO:<bob@example.org> SIZE=1", ALL, ALL, NULL, "555" },
	{ "TO:<>", ALL, ALL, "<>", NULL },			/* who calls refuses that */
	{ "TO:<\xc3\xa4@example.org>", ALL, ALL, NULL, "553" },
};

static void
test_mail(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(mails); i++) {
		struct backend_caps caps = { .extensions = mails[i].has };
		struct smtp_mail m;
		const char *trouble = smtp_mail_read(&m, slice_of(mails[i].args), mails[i].offered);
		char said[SMTP_MAIL_MAX];
		struct buf out;

		if (mails[i].code != NULL) {
			assert_non_null(trouble);
			assert_memory_equal(trouble, mails[i].code, 3);
			continue;
		}
		assert_null(trouble);
		buf_init(&out, SMTP_MAIL_MAX);
		assert_true(smtp_mail_say(&m, &caps, &out));
		snprintf(said, sizeof(said), "MAIL FROM:%s\r\n", mails[i].said);
		assert_string_equal(buf_str(&out), said);
		assert_false(smtp_mail_say(&m, &caps, &out));	/* no room for what might come */
		buf_free(&out);
	}
}

static void
test_rcpt(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(rcpts); i++) {
		struct backend_caps caps = { .extensions = rcpts[i].has };
		struct smtp_to to;
		const char *trouble = smtp_to_read(&to, slice_of(rcpts[i].args), rcpts[i].offered, false);
		char said[SMTP_RCPT_MAX];
		struct buf out;

		if (rcpts[i].code != NULL) {
			assert_non_null(trouble);
			assert_memory_equal(trouble, rcpts[i].code, 3);
			continue;
		}
		assert_null(trouble);
		buf_init(&out, SMTP_RCPT_MAX);
		assert_true(smtp_to_say(&to, &caps, &out));
		snprintf(said, sizeof(said), "RCPT TO:%s\r\n", rcpts[i].said);
		assert_string_equal(buf_str(&out), said);
		buf_free(&out);
		smtp_to_free(&to);
	}
}

/* The longest that can be said fits. */
static void
test_longest(void **state)
{
	static const struct backend_caps all = { .extensions = ALL };
	struct smtp_mail m = { .size = UINT64_MAX, .body = BODY_BINARYMIME, .utf8 = true, .requiretls = true, .ret = RET_FULL, .by = true,
		.by_seconds = -999999999, .by_mode = "NT" };
	struct smtp_to to = { .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY };
	struct buf out;

	(void)state;
	memset(m.from.mailbox, 'x', SMTP_MAILBOX_MAX);
	memset(m.envid, 'x', SMTP_ENVID_MAX);
	memset(m.auth, 'x', SMTP_AUTH_MAX);
	memset(to.to.mailbox, 'x', SMTP_MAILBOX_MAX);
	to.orcpt = mem_new(SMTP_ORCPT_MAX + 1);
	memset(to.orcpt, 'x', SMTP_ORCPT_MAX);
	buf_init(&out, SMTP_MAIL_MAX);
	assert_true(smtp_mail_say(&m, &all, &out));
	buf_clear(&out);
	buf_free(&out);
	buf_init(&out, SMTP_RCPT_MAX);
	assert_true(smtp_to_say(&to, &all, &out));
	buf_free(&out);
	smtp_to_free(&to);
}

static void
test_pack(void **state)
{
	struct smtp_mail m, again;
	struct smtp_to tos[2], *back;
	struct buf bytes;
	size_t n;

	(void)state;
	assert_null(smtp_mail_read(&m, SLICE("FROM:<ann@example.net> SIZE=5 RET=HDRS ENVID=x BY=9;N SMTPUTF8"), ALL));
	assert_null(smtp_to_read(&tos[0], SLICE("TO:<bob@example.org> NOTIFY=DELAY"), ALL, true));
	assert_null(smtp_to_read(&tos[1], SLICE("TO:<c\xc3\xa4@example.org> ORCPT=utf-8;\xc3\xa4"), ALL, true));
	buf_init(&bytes, 10000);
	assert_true(smtp_envelope_pack(&m, tos, 2, &bytes));
	assert_true(smtp_envelope_unpack(buf_slice(&bytes), &again, &back, &n));
	assert_int_equal(n, 2);
	assert_memory_equal(&again, &m, sizeof(m));
	assert_string_equal(back[0].to.mailbox, "bob@example.org");
	assert_int_equal(back[0].notify, NOTIFY_DELAY);
	assert_string_equal(back[1].orcpt, "utf-8;\xc3\xa4");
	smtp_tos_free(&back, n);
	for (size_t cut = 0; cut < buf_len(&bytes); cut++) {	/* what is not whole is nothing */
		assert_false(smtp_envelope_unpack(slice_part(buf_slice(&bytes), 0, cut), &again, &back, &n));
		assert_null(back);
	}
	buf_free(&bytes);
	smtp_to_free(&tos[0]);
	smtp_to_free(&tos[1]);
}

static void
test_needs(void **state)
{
	struct smtp_mail m;

	(void)state;
	assert_null(smtp_mail_read(&m, SLICE("FROM:<a@b> SIZE=5 PRDR"), ALL));
	assert_int_equal(smtp_mail_needs(&m), 0);
	assert_null(smtp_mail_read(&m, SLICE("FROM:<a@b> BODY=BINARYMIME ENVID=x"), ALL));
	assert_int_equal(smtp_mail_needs(&m), CONF_EXT_BINARYMIME | CONF_EXT_CHUNKING | CONF_EXT_DSN);
	assert_null(smtp_mail_read(&m, SLICE("FROM:<a@b> BODY=8BITMIME SMTPUTF8 REQUIRETLS BY=1;R"), ALL));
	assert_int_equal(smtp_mail_needs(&m), CONF_EXT_8BITMIME | CONF_EXT_SMTPUTF8 | CONF_EXT_REQUIRETLS | CONF_EXT_DELIVERBY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
