/* test_smtp_verify.c - truths about proxy/smtp/smtp_verify.h, before a server in the same loop that knows: good*, bad*
 * (550), later* (450), and hang*, to which it says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/conn.h"
#include "proxy/net/line.h"
#include "proxy/smtp/smtp_verify.h"
#include "tests/unit/run_for.h"

struct scene {
	struct loop *loop;
	int listener;
	struct watch incoming;
	const char *to_mail;		/* what the server says to MAIL */
	unsigned open, most, rcpts;	/* sessions now and at the most; recipients it was asked about */
	struct conf_place place;
	struct conf_backend conf, rules;
	struct backend *backend;
	struct smtp_pool *pool;
	struct smtp_verify *verify;
};

struct session {
	struct scene *scene;
	struct conn *conn;
	struct line_reader lines;
};

static void
session_end(struct session *s)
{
	s->scene->open--;
	conn_finish(&s->conn);
	loop_free_later(s->scene->loop, s);
}

static const char *
answer_to(struct scene *scene, struct slice line)
{
	static const struct { const char *start, *answer; } answers[] = {
		{ "EHLO", "250-store\r\n250 PIPELINING\r\n" }, { "RSET", "250 ok\r\n" },
		{ "RCPT TO:<good", "250 ok\r\n" }, { "RCPT TO:<bad", "550-5.1.1 Nobody\r\n550 5.1.1 by that name\r\n" },
		{ "RCPT TO:<later", "450 4.2.0 Later\r\n" }, { "RCPT TO:<hang", "" }, { "RCPT TO:<mute", "550\r\n" },
	};

	if (slice_starts(line, "MAIL FROM:<>"))
		return scene->to_mail;
	scene->rcpts += slice_starts(line, "RCPT");
	for (size_t i = 0; i < NITEMS(answers); i++)
		if (slice_starts(line, answers[i].start))
			return answers[i].answer;
	return "500 what?\r\n";
}

static void
on_input(void *owner)
{
	struct session *s = owner;
	struct slice line;
	char room[1000];

	while (line_next(&s->lines, conn_in(s->conn), room, sizeof(room), &line) == LINE_OK) {
		if (slice_starts(line, "QUIT")) {
			session_end(s);
			return;
		}
		buf_puts(conn_out(s->conn), answer_to(s->scene, line));
	}
	if (conn_ended(s->conn))
		session_end(s);
}

static void
on_lost(void *owner, const char *why)
{
	struct session *s = owner;

	(void)why;
	s->conn = NULL;
	session_end(s);
}

static void
on_incoming(void *owner)
{
	static const struct conn_ops calls = { NULL, on_input, NULL, on_lost };
	struct scene *scene = owner;
	int fd = accept4(scene->listener, NULL, NULL, SOCK_NONBLOCK);
	struct session *s = mem_new(sizeof(*s));

	assert_int_not_equal(fd, -1);
	s->scene = scene;
	s->conn = conn_new(scene->loop, fd, &calls, s);
	buf_puts(conn_out(s->conn), "220 store\r\n");
	if (++scene->open > scene->most)
		scene->most = scene->open;
}

static void
no_probe(struct backend *b)
{
	(void)b;
}

static void
begin(struct scene *s)
{
	static const struct backend_probe probe = { no_probe, no_probe };
	static const struct backend_means no_means;
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct err err = { "" };

	*s = (struct scene){ .loop = loop_new(), .to_mail = "250 ok\r\n" };
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(s->listener, 100), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&sin, &len), 0);
	watch_start(&s->incoming, s->loop, s->listener, on_incoming, s);
	addr_from(&s->place.addr, (struct sockaddr *)&sin, len);
	s->conf = (struct conf_backend){ .name = (char *)"directory", .protocol = CONF_SMTP, .places = &s->place, .nplaces = 1,
		.connect_timeout = 2, .command_timeout = 30, .check_interval = 1000, .grace = 100, .keep_sessions = 5,
		.keep_time = 60, .session_age = 600 };
	s->rules = (struct conf_backend){ .verify_good = 100, .verify_bad = 100 };
	s->backend = backend_new(s->loop, &s->conf, "mx.example.org", &probe, &no_means, &err);
	s->pool = smtp_pool_new(s->loop);
	s->verify = smtp_verify_new(s->loop, s->pool);
}

static void
end(struct scene *s)
{
	smtp_verify_free(&s->verify);
	smtp_pool_free(&s->pool);
	for (int i = 0; i < 200 && s->open > 0; i++)
		run_for(s->loop, 0.01);
	assert_int_equal(s->open, 0);
	run_for(s->loop, 0.01);
	backend_free(&s->backend);
	watch_stop(&s->incoming);
	close(s->listener);
	loop_free(&s->loop);
}

struct asker {
	struct scene *scene;
	struct smtp_check *check, **gives_up;	/* another one's, by the answer */
	bool inside, answered;
	char refusal[300];		/* as the client hears it; empty: good */
};

static void
on_answer(void *owner, const struct smtp_reply *refusal)
{
	struct asker *a = owner;
	struct buf out;

	assert_false(a->inside);
	assert_false(a->answered);
	a->answered = true;
	a->check = NULL;
	buf_init(&out, 1000);
	if (refusal != NULL)
		smtp_reply_say(refusal, &out);
	slice_copy(buf_slice(&out), a->refusal, sizeof(a->refusal));
	buf_free(&out);
	if (a->gives_up != NULL)
		smtp_verify_cancel(a->gives_up);
	loop_stop(a->scene->loop);
}

static void
ask(struct scene *s, struct asker *a, const char *mailbox)
{
	struct smtp_to to = { .notify = NOTIFY_NEVER };
	char path[400];
	struct slice rest;

	*a = (struct asker){ .scene = s, .inside = true };
	snprintf(path, sizeof(path), "<%s>", mailbox);
	rest = slice_of(path);
	assert_int_equal(smtp_path_parse(&rest, &to.to, true), PATH_OK);
	a->check = smtp_verify_ask(s->verify, s->backend, &s->rules, &to, on_answer, a);
	a->inside = false;
}

static void
settle(struct asker *a)
{
	while (!a->answered)
		loop_run(a->scene->loop);
}

#define DOUBT "450 4.1.1 This recipient cannot be verified now, please try again later\r\n"

static void
test_answers(void **state)
{
	static const struct { const char *mailbox, *refusal; unsigned rcpts; } cases[] = {
		{ "good@example.org", "", 1 },
		{ "good@example.org", "", 1 },
		{ "good@EXAMPLE.org", "", 1 },
		{ "gooD@example.org", "500", 2 },		/* the server here does not know it: cases differ */
		{ "good@example.com", "", 3 },
		{ "bad@example.org", "550 5.1.1 Nobody\r\n", 4 },
		{ "bad@example.ORG", "550 5.1.1 Nobody\r\n", 4 },
		{ "later@example.org", DOUBT, 5 },
		{ "later@example.org", DOUBT, 6 },
		{ "mute@example.org", "550 5.1.1 No such recipient\r\n", 7 },
		{ "good-\xc3\xa4@example.org", DOUBT, 7 },	/* it knows no SMTPUTF8 */
		{ "good", "", 8 },
	};
	struct scene s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct asker a;

		ask(&s, &a, cases[i].mailbox);
		settle(&a);
		assert_memory_equal(a.refusal, cases[i].refusal, strlen(cases[i].refusal));
		assert_int_equal(a.refusal[0] == '\0', cases[i].refusal[0] == '\0');
		assert_int_equal(s.rcpts, cases[i].rcpts);
		run_for(s.loop, 0.01);
	}
	assert_int_equal(s.most, 1);	/* one session, kept */
	end(&s);
}

/* It dislikes the null sender: that says nothing of recipients, and is not remembered. */
static void
test_sender_refused(void **state)
{
	struct asker a;
	struct scene s;

	(void)state;
	begin(&s);
	s.to_mail = "550 5.7.1 We take no bounces\r\n";
	ask(&s, &a, "good@example.org");
	settle(&a);
	assert_string_equal(a.refusal, DOUBT);
	s.to_mail = "250 ok\r\n";
	run_for(s.loop, 0.01);
	ask(&s, &a, "good@example.org");
	settle(&a);
	assert_string_equal(a.refusal, "");
	end(&s);
}

static void
test_forgotten(void **state)
{
	struct asker a;
	struct scene s;

	(void)state;
	begin(&s);
	s.rules.verify_good = 0.05;
	s.rules.verify_bad = 0;
	for (unsigned i = 1; i <= 2; i++) {
		ask(&s, &a, "good@example.org");
		settle(&a);
		run_for(s.loop, 0.06);
		assert_int_equal(s.rcpts, 2 * i - 1);
		ask(&s, &a, "bad@example.org");
		settle(&a);
		run_for(s.loop, 0.01);
		assert_int_equal(s.rcpts, 2 * i);
	}
	end(&s);
}

/* One question for all who ask the same; it ends with the last of them, and its session. */
static void
test_shared(void **state)
{
	struct asker a[10];
	struct scene s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < NITEMS(a); i++)
		ask(&s, &a[i], "hang@example.org");
	run_for(s.loop, 0.05);
	assert_int_equal(s.rcpts, 1);
	for (size_t i = 0; i + 1 < NITEMS(a); i++)
		smtp_verify_cancel(&a[i].check);
	run_for(s.loop, 0.02);
	assert_int_equal(s.open, 1);
	smtp_verify_cancel(&a[9].check);
	assert_null(a[9].check);
	run_for(s.loop, 0.02);
	assert_int_equal(s.open, 0);
	smtp_verify_cancel(&a[9].check);
	end(&s);
}

/* A server has few sessions at a time; who waits has its turn when one has ended. So many questions and no more. */
static void
test_flood(void **state)
{
	static struct asker a[1002];
	char mailbox[40];
	struct scene s;

	(void)state;
	begin(&s);
	for (unsigned i = 0; i < NITEMS(a); i++) {
		snprintf(mailbox, sizeof(mailbox), "%s%u@example.org", i < 25 ? "hang" : "good", i);
		ask(&s, &a[i], mailbox);
	}
	settle(&a[1000]);
	settle(&a[1001]);
	run_for(s.loop, 0.1);
	assert_int_equal(s.most, 20);
	assert_true(a[1000].answered && a[1001].answered);
	assert_string_equal(a[1001].refusal, DOUBT);
	assert_false(a[999].answered);
	for (unsigned i = 0; i < 25; i++)
		smtp_verify_cancel(&a[i].check);
	for (unsigned i = 25; i < 1000; i++) {
		settle(&a[i]);
		assert_string_equal(a[i].refusal, "");
	}
	assert_in_range(s.most, 20, 40);	/* those that were dropped are still open on its side */
	end(&s);
}

/* Two answers of one turn: the first one's owner gives up the other. */
static void
test_given_up_in_an_answer(void **state)
{
	struct asker a[3];
	struct scene s;

	(void)state;
	begin(&s);
	ask(&s, &a[0], "good@example.org");
	settle(&a[0]);
	ask(&s, &a[0], "good@example.org");
	ask(&s, &a[1], "good@example.org");
	ask(&s, &a[2], "hang@example.org");
	a[0].gives_up = &a[1].check;
	settle(&a[0]);
	run_for(s.loop, 0.02);
	assert_false(a[1].answered);
	smtp_verify_cancel(&a[2].check);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_sender_refused),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_given_up_in_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
