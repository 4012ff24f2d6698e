/* test_smtp_backend.c - truths about proxy/smtp/smtp_backend.h and smtp_pool.h, against a server that follows a script
 * in the same loop: what it hears, in which order, and what the owners hear. */
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
#include "proxy/smtp/smtp_path.h"
#include "proxy/smtp/smtp_pool.h"

#define WAIT    1.0	/* seconds for what must come */
#define QUIET   0.02	/* seconds in which nothing may come */
#define SERVERS 6
#define OWNERS  4

/* A step of a script. The first character is who, the second what:
 *	1< TEXT    the server's first connection hears this line ("*": anything); (connect) and (end), too
 *	1> TEXT    it says this; "|" stands for CR LF, one more stands behind it
 *	1x         it closes
 *	a! WORDS   the owner does something: see act()
 *	a: TEXT    it hears this: ready; mail 250 Ok; failed WHY
 *	--         nobody hears anything more for now */
struct scene {
	struct loop *loop;
	struct watch listening;
	int fd;
	struct conf_place place;
	struct conf_backend conf;
	struct backend *backend;
	struct smtp_pool *pool;
	struct server { struct scene *scene; struct conn *conn; char name; bool raw, slow; struct buf octets; } servers[SERVERS];
	unsigned nservers;
	struct owner { struct scene *scene; struct smtp_backend *b; char name; bool busy; } owners[OWNERS];
	char heard[400][300];		/* "1< TEXT", "a: TEXT" */
	size_t nheard;
};

static const char *playing = "";	/* for messages */
static char doc[] = "Subject: x\r\n\r\n.dot\r\nlast\r\n";
static const struct trace_piece whole = { 0, sizeof(doc) - 1 };

static void
note(struct scene *s, char who, char what, const char *text)
{
	assert_in_range(s->nheard, 0, NITEMS(s->heard) - 1);
	snprintf(s->heard[s->nheard++], sizeof(s->heard[0]), "%c%c %s", who, what, text);
}

/* ---- the server ---- */

static void
on_server_input(void *owner)
{
	struct server *v = owner;
	struct buf *in = conn_in(v->conn);
	const char *lf;

	while (!v->raw && (lf = memchr(buf_slice(in).at, '\n', buf_len(in))) != NULL) {
		size_t len = (size_t)(lf - buf_slice(in).at);
		char line[290];

		snprintf(line, sizeof(line), "%.*s", (int)len - 1, buf_slice(in).at);
		note(v->scene, v->name, '<', line);
		buf_eat(in, len + 1);
	}
	if (v->raw) {
		buf_put(&v->octets, buf_slice(in));
		buf_clear(in);
		conn_pause(v->conn, v->slow);
	}
	if (conn_ended(v->conn)) {
		note(v->scene, v->name, '<', "(end)");
		conn_close(&v->conn);
	}
}

static void
on_server_lost(void *owner, const char *why)
{
	struct server *v = owner;

	(void)why;
	v->conn = NULL;
	note(v->scene, v->name, '<', "(end)");
}

static void
on_connection(void *owner)
{
	static const struct conn_ops calls = { NULL, on_server_input, NULL, on_server_lost };
	struct scene *s = owner;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct server *v = &s->servers[s->nservers++];

	assert_in_range(s->nservers, 1, SERVERS);
	*v = (struct server){ .scene = s, .name = (char)('0' + s->nservers) };
	buf_init(&v->octets, 1u << 22);
	v->conn = conn_new(s->loop, fd, &calls, v);
	note(s, v->name, '<', "(connect)");
}

/* ---- the owners ---- */

static void
on_ready(void *owner)
{
	struct owner *o = owner;

	assert_false(o->busy);		/* never inside the call that took it */
	note(o->scene, o->name, ':', "ready");
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	static const char *const words[] = { "auth", "text", "mail", "rcpt", "data", "body" };
	struct owner *o = owner;
	char text[200], line[250];

	smtp_reply_text(reply, text, sizeof(text));
	snprintf(line, sizeof(line), "%s %s", words[order], text);
	note(o->scene, o->name, ':', line);
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct owner *o = owner;
	char text[280];

	assert_false(o->busy);
	o->b = NULL;
	snprintf(text, sizeof(text), "failed%s %s", sent ? ", sent," : "", why);
	note(o->scene, o->name, ':', text);
}

static const struct smtp_backend_ops calls = { on_ready, on_reply, on_failed };

static void
act(struct owner *o, const char *what)
{
	struct scene *s = o->scene;
	struct smtp_client client = { .helo = SLICE("client.example.net"), .esmtp = true };
	struct smtp_message msg = { .headers = SLICE("X: y\r\n"), .message = { doc, sizeof(doc) - 1 }, .pieces = &whole,
		.npieces = 1, .nrcpts = 1 };
	struct smtp_mail mail = { .size = 0 };
	struct smtp_to to = { .notify = NOTIFY_SUCCESS };
	unsigned n = 1;

	o->busy = true;
	if (sscanf(what, "rcpts %u", &n) == 1 || strcmp(what, "rcpt") == 0) {
		for (unsigned i = 0; i < n; i++) {
			snprintf(to.to.mailbox, sizeof(to.to.mailbox), "r%u@example.org", i);
			smtp_backend_rcpt(o->b, &to);
		}
	} else if (strncmp(what, "take", 4) == 0) {
		client.own = strcmp(what, "take own") == 0;
		o->b = smtp_pool_take(s->pool, s->backend, &client, &calls, o);
	} else if (strcmp(what, "probe") == 0) {
		o->b = smtp_backend_open(s->loop, s->backend, NULL, &calls, o);
	} else if (strcmp(what, "mail") == 0) {
		snprintf(mail.from.mailbox, sizeof(mail.from.mailbox), "%c@example.net", o->name);
		smtp_backend_mail(o->b, &mail, SLICE("id.1"));
	} else if (sscanf(what, "send %u", &n) == 1 || strcmp(what, "send") == 0) {
		msg.nrcpts = n;
		smtp_backend_send(o->b, &msg);
	} else if (strcmp(what, "send binary") == 0) {
		msg.binary = true;
		smtp_backend_send(o->b, &msg);
	} else if (strcmp(what, "auth") == 0) {
		smtp_backend_auth(o->b, SLICE("PLAIN"), SLICE("AGFubgBzZXNhbWU="));
	} else if (strcmp(what, "auth login") == 0) {
		smtp_backend_auth(o->b, SLICE("LOGIN"), SLICE(""));
	} else if (strcmp(what, "more") == 0) {
		smtp_backend_auth_more(o->b, SLICE("c2VzYW1l"));
	} else if (strcmp(what, "vrfy") == 0) {
		smtp_backend_text(o->b, "VRFY", SLICE("bob"));
	} else if (strcmp(what, "reset") == 0) {
		smtp_backend_reset(o->b);
	} else if (strcmp(what, "give") == 0 || strcmp(what, "give unclean") == 0) {
		smtp_pool_give(s->pool, &o->b, what[4] == '\0');
	} else if (strcmp(what, "quit") == 0) {
		smtp_backend_quit(&o->b);
	} else if (strcmp(what, "drop") == 0) {
		smtp_backend_drop(&o->b);
	} else if (strcmp(what, "reload") == 0) {	/* the site goes, and what is kept with it */
		backend_free(&s->backend);
	} else {
		fail_msg("no such act: %s", what);
	}
	o->busy = false;
}

/* ---- the script ---- */

static void
on_stop(void *loop)
{
	loop_stop(loop);
}

static void
run_for(struct scene *s, double seconds)
{
	struct timer t;

	timer_init(&t, s->loop, on_stop, s->loop);
	timer_set(&t, seconds);
	loop_run(s->loop);
	timer_stop(&t);
}

static bool
matches(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return matches(pattern + 1, text) || (*text != '\0' && matches(pattern, text + 1));
	return *pattern == *text && (*text == '\0' || matches(pattern + 1, text + 1));
}

/* The next that this one hears. */
static void
expect(struct scene *s, const char *step)
{
	for (double waited = 0; waited < WAIT; waited += 0.002) {
		for (size_t i = 0; i < s->nheard; i++)
			if (s->heard[i][0] == step[0]) {
				if (!matches(step, s->heard[i]))
					fail_msg("%s: expected \"%s\", came \"%s\"", playing, step, s->heard[i]);
				memmove(s->heard[i], s->heard[i + 1], (--s->nheard - i) * sizeof(s->heard[0]));
				return;
			}
		run_for(s, 0.002);
	}
	fail_msg("%s: nothing came instead of \"%s\"; %zu others, the first: %s", playing, step, s->nheard,
	    s->nheard > 0 ? s->heard[0] : "");
}

static void
say(struct scene *s, unsigned n, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		buf_puts(conn_out(s->servers[n].conn), *c == '|' ? "\r\n" : (char[2]){ *c, '\0' });
	buf_puts(conn_out(s->servers[n].conn), "\r\n");
	run_for(s, 0.001);
}

static void
play(struct scene *s, const char *step)
{
	if (step[0] == '-') {
		run_for(s, QUIET);
		if (s->nheard > 0)
			fail_msg("%s: came \"%s\"", playing, s->heard[0]);
	} else if (step[1] == '>') {
		say(s, (unsigned)(step[0] - '1'), step + 3);
	} else if (step[1] == 'x') {
		conn_close(&s->servers[step[0] - '1'].conn);
		run_for(s, 0.001);
	} else if (step[1] == '!') {
		act(&s->owners[step[0] - 'a'], step + 3);
	} else {
		expect(s, step);
	}
}

static void
begin(struct scene *s)
{
	static const struct backend_probe probe = { NULL, NULL };
	static const struct backend_means means;
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in4);
	struct err err = { "" };

	s->loop = loop_new();
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in4, len), 0);
	assert_int_equal(listen(s->fd, 10), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in4, &len), 0);
	addr_from(&s->place.addr, (struct sockaddr *)&in4, len);
	watch_start(&s->listening, s->loop, s->fd, on_connection, s);
	s->conf.name = (char *)"store";
	s->conf.places = &s->place;
	s->conf.nplaces = 1;
	s->conf.connect_timeout = s->conf.command_timeout = s->conf.data_timeout = s->conf.grace = 5;
	s->conf.check_interval = 1000;
	if (s->conf.session_wait == 0)
		s->conf.session_wait = 5;
	if (s->conf.session_age == 0)
		s->conf.session_age = 100;
	s->conf.keep_time = 100;
	s->backend = backend_new(s->loop, &s->conf, "mx.example.org", &probe, &means, &err);
	assert_non_null(s->backend);
	timer_stop(&s->backend->check);
	s->pool = smtp_pool_new(s->loop);
	for (int i = 0; i < OWNERS; i++)
		s->owners[i] = (struct owner){ .scene = s, .name = (char)('a' + i) };
}

static void
end(struct scene *s)
{
	for (int i = 0; i < OWNERS; i++)
		smtp_backend_drop(&s->owners[i].b);
	smtp_pool_free(&s->pool);
	run_for(s, 0.005);
	if (s->backend != NULL) {
		assert_int_equal(s->backend->sessions, 0);
		backend_free(&s->backend);
	}
	for (unsigned i = 0; i < s->nservers; i++) {
		conn_close(&s->servers[i].conn);
		buf_free(&s->servers[i].octets);
	}
	assert_int_equal(loop_peers(s->loop), 0);
	watch_stop(&s->listening);
	close(s->fd);
	loop_free(&s->loop);
}

#define STEPS 60
#define GREETED(n, caps) n "< (connect)", n "> 220 hello", n "< EHLO mx.example.org", n "> " caps
#define READY(who, n, caps) who "! take", GREETED(n, caps), who ": ready"
#define PIPE "250-x|250 PIPELINING"

static const struct {
	const char *what;
	struct conf_backend conf;
	const char *steps[STEPS];
} cases[] = {
	{ "orders travel together, their replies come in order", { .chunking = true }, {
		READY("a", "1", PIPE), "a! mail", "a! rcpts 3", "1< MAIL FROM:<a@example.net>",
		"1< RCPT TO:<r0@*", "1< RCPT TO:<r1@*", "1< RCPT TO:<r2@*",
		"1> 250 m|550 0|250-1|250 one|451 2", "a: mail 250 m", "a: rcpt 550 0", "a: rcpt 250 1",
		"a: rcpt 451 2", "--" } },
	{ "without PIPELINING one by one", { .chunking = true }, {
		READY("a", "1", "250 x"), "a! mail", "a! rcpts 2", "1< MAIL FROM:*", "--", "1> 250 m",
		"a: mail 250 m", "1< RCPT TO:<r0@*", "--", "1> 250 0", "a: rcpt 250 0", "1< RCPT TO:<r1@*",
		"1> 250 1", "a: rcpt 250 1" } },
	{ "all that may be outstanding", { 0 }, {
		READY("a", "1", PIPE), "a! mail", "a! rcpts 127", "1< MAIL *", "1< RCPT TO:<r0@*",
		"1> 250 m", "a: mail 250 m" } },
	{ "more than there is room for ends the session, later", { 0 }, {
		READY("a", "1", PIPE), "a! rcpts 300", "a: failed more orders at once*", "1< (end)" } },
	{ "DATA when its recipients are answered", { 0 }, {
		READY("a", "1", PIPE), "a! mail", "a! rcpt", "a! send", "1< MAIL *", "1< RCPT *", "--",
		"1> 250 m|250 r", "a: mail*", "a: rcpt*", "1< DATA", "--", "1> 354 go", "1< X: y",
		"1< Subject: x", "1< ", "1< ..dot", "1< last", "1< .", "--", "1> 250 queued",
		"a: body 250 queued" } },
	{ "DATA refused, or answered with nonsense", { 0 }, {
		READY("a", "1", PIPE), "a! send", "1< DATA", "1> 451 no", "a: data 451 no", "a! send",
		"1< DATA", "1> 250 no", "a: data 250 no" } },
	{ "the first line of EHLO's answer is a name", { .chunking = true }, {
		READY("a", "1", "250 CHUNKING"), "a! send", "1< DATA" } },
	{ "BDAT in one chunk, dots as they are", { .chunking = true }, {
		READY("a", "1", "250-x|250 CHUNKING"), "a! send", "1< BDAT 32 LAST", "1< X: y",
		"1< Subject: x", "1< ", "1< .dot", "1< last", "--", "1> 250 ok", "a: body 250 ok",
		"a! vrfy", "1< VRFY bob", "1> 252 maybe", "a: text 252 maybe" } },
	{ "chunking off", { 0 }, {
		READY("a", "1", "250-x|250 CHUNKING"), "a! send", "1< DATA" } },
	{ "a binary message goes by BDAT, chunking or not", { 0 }, {
		READY("a", "1", "250-x|250-BINARYMIME|250 CHUNKING"), "a! send binary",
		"1< BDAT 32 LAST" } },
	{ "or not at all", { .chunking = true }, {
		READY("a", "1", "250-x|250 CHUNKING"), "a! send binary",
		"a: failed the message is BINARYMIME*", "1< (end)" } },
	{ "LMTP answers for each recipient", { .protocol = CONF_LMTP, .chunking = true }, {
		"a! take", "1< (connect)", "1> 220 hello", "1< LHLO mx.example.org",
		"1> 250-x|250 CHUNKING", "a: ready", "a! send 3", "1< BDAT 32 LAST", "1< X: y",
		"1< Subject: x", "1< ", "1< .dot", "1< last", "1> 250 one", "a: body 250 one", "--",
		"1> 450 two|250 three", "a: body 450 two", "a: body 250 three", "1> 250 four",
		"a: failed a reply that nobody asked for*" } },
	{ "a reply in the middle of the message", { 0 }, {
		READY("a", "1", PIPE), "a! send", "1< DATA", "1> 354 go|250 done",
		"a: failed 250 done (sending the message)" } },
	{ "the end behind the dot: it may have it", { 0 }, {
		READY("a", "1", PIPE), "a! send", "1< DATA", "1> 354 go", "1< X: y", "1< S*", "1< ",
		"1< ..dot", "1< last", "1< .", "1x", "a: failed, sent, *" } },
	{ "354 to anything else is an answer like others", { 0 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 354 go", "a: mail 354 go" } },
	{ "AUTH, said once; 334 is an answer", { 0 }, {
		"a! take own", GREETED("1", "250-x|250 AUTH PLAIN LOGIN"), "a: ready", "a! auth login",
		"1< AUTH LOGIN", "1> 334 VXNlcm5hbWU6", "a: auth 334 VXNlcm5hbWU6", "a! more",
		"1< c2VzYW1l", "1> 235 ok", "a: auth 235 ok", "a! auth", "1< AUTH PLAIN AGFubgBzZXNhbWU=",
		"1> 535 no", "a: auth 535 no", "a! give", "1< QUIT", "1< (end)" } },
	{ "nothing is kept where nothing is to be kept", { 0 }, {
		READY("a", "1", PIPE), "a! give", "1< QUIT", "1< (end)" } },
	{ "kept, and the next one's", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 550 no", "a: mail 550 no", "a! give",
		"--", "b! take", "b: ready", "b! mail", "b! rcpt", "1< RSET", "1< MAIL FROM:<b@*",
		"1< RCPT*", "1> 250 r|250 m|250 r", "b: mail 250 m", "b: rcpt 250 r" } },
	{ "RSET by the owner spares another", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 250 m", "a: mail*", "a! reset",
		"a! give", "1< RSET", "1> 250 r", "b! take", "b: ready", "b! mail", "1< MAIL FROM:<b@*",
		"1> 250 m", "b: mail 250 m" } },
	{ "while RSET is not answered another one is opened", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 250 m", "a: mail*", "a! reset",
		"a! give", "1< RSET", "b! take", GREETED("2", PIPE), "b: ready" } },
	{ "unclean: not kept", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 250 m", "a: mail*", "a! give unclean",
		"1< QUIT", "1< (end)" } },
	{ "with an answer outstanding: not kept", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "a! give", "1< QUIT", "1< (end)" } },
	{ "no more than keep-sessions, the oldest go", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), READY("b", "2", PIPE), "a! give", "--", "b! give", "1< QUIT",
		"1< (end)", "--", "c! take", "c: ready", "c! vrfy", "2< VRFY*" } },
	{ "its own session is nobody else's", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take own", GREETED("2", PIPE), "b: ready", "b! give",
		"2< QUIT", "2< (end)" } },
	{ "LIMITS MAILMAX retires it", { .keep_sessions = 1 }, {
		READY("a", "1", "250-x|250 LIMITS MAILMAX=1"), "a! send", "1< DATA", "1> 354 go",
		"1< X: y", "1< S*", "1< ", "1< ..dot", "1< last", "1< .", "1> 250 ok", "a: body*",
		"a! give", "1< QUIT", "1< (end)" } },
	{ "age retires it", { .keep_sessions = 1, .session_age = 0.01 }, {
		READY("a", "1", PIPE), "--", "a! give", "1< QUIT", "1< (end)" } },
	{ "gone when it is used: another one, and everything again", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take", "b: ready", "b! mail", "b! rcpts 2",
		"1< MAIL*", "1< RCPT*", "1< RCPT*", "1x", GREETED("2", PIPE), "2< MAIL FROM:<b@*",
		"2< RCPT TO:<r0@*", "2< RCPT TO:<r1@*", "--", "2> 250 m|250 r|550 r", "b: mail 250 m",
		"b: rcpt 250 r", "b: rcpt 550 r" } },
	{ "what is ordered while another one is dialed comes behind it", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take", "b: ready", "b! mail", "1< MAIL*", "1x",
		"2< (connect)", "b! rcpt", "2> 220 hello", "2< EHLO*", "2> 250 x",
		"b: failed the server can do less*", "2< (end)" } },
	{ "with the parameters that both take", { .keep_sessions = 1 }, {
		READY("a", "1", "250-x|250 DSN"), "a! give", "b! take", "b: ready", "b! mail", "1< MAIL*",
		"1x", "2< (connect)", "b! rcpt", "2> 220 hello", "2< EHLO*", "2> 250-x|250 DSN",
		"2< MAIL*", "2> 250 m", "b: mail*", "2< RCPT TO:<r0@example.org> NOTIFY=SUCCESS" } },
	{ "the new one can do all that the old one could", { .keep_sessions = 1 }, {
		READY("a", "1", "250 x"), "a! give", "b! take", "b: ready", "b! mail", "b! rcpt",
		"1< MAIL*", "1x", GREETED("2", PIPE), "2< MAIL*", "2< RCPT*" } },
	{ "gone after an answer: the owner hears it", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take", "b: ready", "b! mail", "b! rcpt", "1< MAIL*",
		"1< RCPT*", "1> 250 m", "b: mail 250 m", "1x", "b: failed *" } },
	{ "gone when RSET was answered and MAIL was not", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! mail", "1< MAIL*", "1> 550 no", "a: mail*", "a! give",
		"b! take", "b: ready", "b! mail", "b! rcpt", "1< RSET", "1< MAIL*", "1< RCPT*", "1> 250 r",
		"1x", GREETED("2", PIPE), "2< MAIL FROM:<b@example.net>", "2< RCPT TO:<r0@*", "--",
		"2> 250 m|250 r", "b: mail 250 m", "b: rcpt 250 r" } },
	{ "it had spoken unasked, just then", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take", "1> 250 surprise", "b: ready",
		GREETED("2", PIPE), "b! vrfy", "2< VRFY*" } },
	{ "421 at RCPT is the owner's", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take", "b: ready", "b! mail", "b! rcpt", "1< MAIL*",
		"1< RCPT*", "1> 250 m|421 no", "b: mail 250 m", "b: rcpt 421 no", "b! give", "1< QUIT",
		"1< (end)" } },
	{ "gone while it is idle", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "1x", "b! take", GREETED("2", PIPE), "b: ready" } },
	{ "it speaks while it is idle", { .keep_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "1> 421 timeout", "1< (end)", "b! take",
		GREETED("2", PIPE), "b: ready" } },
	{ "no more than max-sessions: who waits gets the one that is given",
	  { .keep_sessions = 1, .max_sessions = 1 }, {
		READY("a", "1", PIPE), "b! take", "c! take", "--", "a! give", "b: ready", "--", "b! give",
		"c: ready", "c! vrfy", "1< VRFY*" } },
	{ "or a new one when that is gone", { .keep_sessions = 1, .max_sessions = 1 }, {
		READY("a", "1", PIPE), "b! take", "--", "a! drop", "1< (end)", GREETED("2", PIPE),
		"b: ready" } },
	{ "an idle one gives way to who cannot use it", { .keep_sessions = 1, .max_sessions = 1 }, {
		READY("a", "1", PIPE), "a! give", "b! take own", "1< QUIT", "1< (end)", GREETED("2", PIPE),
		"b: ready" } },
	{ "waiting has its end", { .max_sessions = 1, .session_wait = 0.03 }, {
		READY("a", "1", PIPE), "b! take", "b: failed all of its max-sessions 1 are in use*",
		"a! quit", "1< QUIT", "c! take", GREETED("2", PIPE), "c: ready" } },
	{ "who waits may go", { .max_sessions = 1 }, {
		READY("a", "1", PIPE), "b! take", "c! take", "b! drop", "a! quit", "1< QUIT",
		GREETED("2", PIPE), "c: ready" } },
	{ "a session that fails makes room", { .max_sessions = 1 }, {
		READY("a", "1", PIPE), "b! take", "1x", "a: failed *", GREETED("2", PIPE), "b: ready" } },
	{ "a backend that goes takes what is kept along", { .keep_sessions = 3 }, {
		READY("a", "1", PIPE), READY("b", "2", PIPE), "a! give", "b! give", "--", "a! reload",
		"1< QUIT", "1< (end)", "2< QUIT", "2< (end)" } },
	{ "XFORWARD in front of MAIL, in several commands where it is long, and the session is anybody's",
	  { .keep_sessions = 1, .identity = CONF_IDENTITY_XFORWARD }, {
		READY("a", "1", "250-x|250-PIPELINING|250 XFORWARD HELO IDENT"), "a! mail",
		"1< XFORWARD HELO=client.example.net IDENT=id.1", "1< MAIL*", "1> 501 no|250 m",
		"a: mail 250 m", "a! reset", "1< RSET", "1> 250 r", "a! give", "b! take", "b: ready",
		"b! mail", "1< XFORWARD*", "1< MAIL*", "1x", GREETED("2", "250-x|250 PIPELINING"),
		"b: failed the server can do less*" } },
	{ "a health check is nobody's, and says QUIT", { .identity = CONF_IDENTITY_XCLIENT }, {
		"a! probe", GREETED("1", "250-x|250 XCLIENT HELO"), "a: ready", "a! quit", "1< QUIT",
		"1< (end)" } },
	{ "XCLIENT, and EHLO again in the client's name", { .identity = CONF_IDENTITY_XCLIENT }, {
		"a! take", GREETED("1", "250-x|250 XCLIENT HELO"), "1< XCLIENT HELO=client.example.net",
		"1> 220 again", "1< EHLO client.example.net", "1> 250 x", "a: ready" } },
};

static void
test_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct scene s = { .conf = cases[i].conf };

		playing = cases[i].what;
		begin(&s);
		for (size_t k = 0; k < STEPS && cases[i].steps[k] != NULL; k++)
			play(&s, cases[i].steps[k]);
		end(&s);
	}
}

/* ---- messages of all sizes, through servers that read slowly ---- */

/* The wire as RFC 5321 section 4.5.2 has it, octet by octet. */
static void
stuff(struct buf *out, struct slice message)
{
	bool start = true;

	for (size_t i = 0; i < message.len; i++) {
		if (start && message.at[i] == '.')
			buf_putc(out, '.');
		buf_putc(out, message.at[i]);
		start = message.at[i] == '\n';
	}
	buf_puts(out, start ? ".\r\n" : "\r\n.\r\n");
}

static void
fill_message(char *at, size_t len, unsigned every)
{
	for (size_t i = 0; i < len; i++)
		at[i] = every != 0 && i % every == every - 2 ? '\r' : every != 0 && i % every == every - 1 ? '\n' :
			every != 0 && i % every == 0 && i / every % 3 == 0 ? '.' : (char)('a' + i % 26);
}

static void
check_message(size_t len, unsigned every, bool bdat, size_t cut)
{
	static char message[1u << 20];
	/* Two pieces with something cut out between them, behind a line's end. */
	struct trace_piece pieces[2] = { { 0, cut }, { cut, len - cut } };
	struct smtp_message msg = { .headers = SLICE("Received: x\r\n"), .message = { message, len }, .pieces = pieces,
		.npieces = 2, .nrcpts = 1 };
	struct scene s = { .conf = { .chunking = bdat } };
	struct buf want;
	char words[64];

	fill_message(message, len, every);
	begin(&s);
	play(&s, "a! take");
	play(&s, "1< (connect)");
	play(&s, "1> 220 hello");
	play(&s, "1< EHLO mx.example.org");
	play(&s, "1> 250-x|250 CHUNKING");
	play(&s, "a: ready");
	buf_init(&want, 1u << 22);
	if (bdat) {
		snprintf(words, sizeof(words), "BDAT %zu LAST\r\n", len + 13);
		buf_puts(&want, words);
		buf_put(&want, msg.headers);
		buf_put(&want, msg.message);
		s.servers[0].raw = true;
		smtp_backend_send(s.owners[0].b, &msg);
	} else {
		struct buf body;

		smtp_backend_send(s.owners[0].b, &msg);
		play(&s, "1< DATA");
		s.servers[0].raw = true;
		buf_init(&body, 1u << 22);
		buf_put(&want, msg.headers);
		buf_put(&body, msg.message);
		stuff(&want, buf_slice(&body));
		buf_free(&body);
		play(&s, "1> 354 go");
	}
	for (int i = 0; i < 500 && buf_len(&s.servers[0].octets) < buf_len(&want); i++) {
		conn_pause(s.servers[0].conn, i % 2 == 0 && i < 20);	/* the socket fills up, too */
		run_for(&s, 0.001);
	}
	conn_pause(s.servers[0].conn, false);
	assert_true(slice_same(buf_slice(&s.servers[0].octets), buf_slice(&want)));
	play(&s, "1> 250 ok");
	play(&s, "a: body 250 ok");
	buf_free(&want);
	end(&s);
}

static void
test_messages(void **state)
{
	static const size_t lens[] = { 0, 1, 5, 16383, 16384, 16400, 131072, 140000, 1u << 20 };
	static const unsigned lines[] = { 0, 4, 78, 40000 };

	(void)state;
	for (size_t i = 0; i < NITEMS(lens); i++)
		for (size_t k = 0; k < NITEMS(lines); k++)
			for (int bdat = 0; bdat <= 1; bdat++)
				check_message(lens[i], lines[k], bdat == 1, lines[k] != 0 ? lens[i] / 2 / lines[k] * lines[k] : lens[i] / 2);
}

/* A challenge as long as RFC 4954 section 4 allows, and one octet more. */
static void
test_long_challenge(void **state)
{
	(void)state;
	for (size_t len = 12288; len <= 12289; len++) {
		struct scene s = { .conf = { .chunking = true } };

		begin(&s);
		play(&s, "a! take own");
		play(&s, "1< (connect)");
		play(&s, "1> 220 hello");
		play(&s, "1< EHLO mx.example.org");
		play(&s, "1> 250-x|250 AUTH LOGIN");
		play(&s, "a: ready");
		play(&s, "a! auth login");
		play(&s, "1< AUTH LOGIN");
		buf_puts(conn_out(s.servers[0].conn), "334 ");
		for (size_t i = 0; i < len; i++)
			buf_putc(conn_out(s.servers[0].conn), 'A');
		buf_puts(conn_out(s.servers[0].conn), "\r\n");
		play(&s, len == 12288 ? "a: auth 334 AAAA*" : "a: failed the server's reply is no SMTP*");
		end(&s);
	}
}

/* A server that takes a message slowly is waited for as long as it takes some of it; one that stops is not. */
static void
test_slow_reader(void **state)
{
	static char message[1u << 21];
	const struct trace_piece piece = { 0, sizeof(message) };

	(void)state;
	fill_message(message, sizeof(message), 78);
	for (int stops = 0; stops <= 1; stops++) {
		struct smtp_message msg = { .headers = SLICE("X: y\r\n"), .message = { message, sizeof(message) }, .pieces = &piece,
			.npieces = 1, .nrcpts = 1 };
		struct scene s = { .conf = { .chunking = true } };
		int small = 4096;

		begin(&s);
		setsockopt(s.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		s.conf.data_timeout = 0.1;
		play(&s, "a! take");
		play(&s, "1< (connect)");
		play(&s, "1> 220 hello");
		play(&s, "1< EHLO mx.example.org");
		play(&s, "1> 250-x|250 CHUNKING");
		play(&s, "a: ready");
		s.servers[0].raw = s.servers[0].slow = true;
		smtp_backend_send(s.owners[0].b, &msg);
		for (int i = 0; i < 16; i++) {
			if (s.servers[0].conn != NULL)
				conn_pause(s.servers[0].conn, stops);
			run_for(&s, 0.02);
		}
		if (stops) {
			play(&s, "a: failed*no answer in time*");
		} else {
			assert_non_null(s.owners[0].b);
			assert_in_range(buf_len(&s.servers[0].octets), 10000, sizeof(message) / 2);
		}
		end(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_long_challenge),
		cmocka_unit_test(test_slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
