/* test_imap_client.c - truths about proxy/imap/imap_client.h: sessions with a server that plays its lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/imap/imap_int.h"
#include "tests/unit/dns.h"
#include "tests/unit/imap_trace.h"

/* SLICE() for tables. */
#define OCTETS(literal) { "" literal, sizeof(literal) - 1 }

static struct conf_tls tls_conf = { .certificate.path = (char *)"c.pem", .key.path = (char *)"k.pem" };
static struct tls_ctx *server_tls;

/* One conversation, both sides of the client and the server in one loop. */
struct play {
	struct loop *loop;
	struct backend *backend;
	struct conf_backend conf;
	struct conf_place places[2];
	int listener;
	struct watch incoming;
	struct conn *server;
	const char *script;		/* what is left of it; see cases[] */
	bool script_over;
	struct imap_client *client;
	const char *orders;		/* what is left */
	struct buf story;
	struct slice user, password;
	bool over;			/* failed, quit or dropped */
	struct timer patience;
};

static void
look_if_over(struct play *p)
{
	if (p->over && p->script_over)
		loop_stop(p->loop);
}

/* Does what the script says until it waits for the client. */
static void
play_on(struct play *p)
{
	struct err err;

	while (p->server != NULL && !p->script_over) {
		struct slice in = buf_slice(conn_in(p->server)), got = slice_cut(&in, '\n');
		struct slice rest = slice_of(p->script), line = slice_cut(&rest, '\n'), text = slice_part(line, 2, line.len);

		switch (line.len > 0 ? line.at[0] : '.') {
		case 'S':
			buf_put(conn_out(p->server), text);
			buf_puts(conn_out(p->server), "\r\n");
			break;
		case 'R':
			buf_put(conn_out(p->server), text);
			break;
		case 'C':
			if (!slice_has(buf_slice(conn_in(p->server)), '\n'))
				return;
			if (!slice_iends(got, "\r") || !slice_same(slice_part(got, 0, got.len - 1), text))
				fail_msg("the client said \"%.*s\", not \"%.*s\"", (int)got.len, got.at, (int)text.len, text.at);
			buf_eat(conn_in(p->server), got.len + 1);
			break;
		case 'T':
			assert_int_equal(buf_len(conn_in(p->server)), 0);
			assert_int_equal(conn_starttls(p->server, server_tls, NULL, &err), 0);
			break;
		case 'X':
			conn_bye(&p->server);
			break;
		case 'E':			/* the client has to leave */
			if (!conn_ended(p->server))
				return;
			assert_int_equal(buf_len(conn_in(p->server)), 0);
			break;
		default:
			p->script_over = true;
			break;
		}
		p->script = rest.at;
		if (rest.len == 0)
			p->script_over = true;
		if (line.at[0] == 'T')
			break;
	}
	look_if_over(p);
}

static void
server_input(void *owner)
{
	play_on(owner);
}

static void
server_lost(void *owner, const char *why)
{
	struct play *p = owner;

	(void)why;
	p->server = NULL;
	if (slice_starts(slice_of(p->script), "E"))
		p->script_over = true;
	look_if_over(p);
}

static const struct conn_ops server_calls = { server_input, server_input, NULL, server_lost };

static void
on_incoming(void *owner)
{
	struct play *p = owner;
	int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	assert_int_not_equal(fd, -1);
	p->server = conn_new(p->loop, fd, &server_calls, p);
	play_on(p);
}

static void next(struct play *);

static void
on_done(void *owner, const struct imap_answer *answer)
{
	static const char *const words[] = { "OK", "NO", "BAD" };
	struct play *p = owner;

	buf_printf(&p->story, "%s[%s]%s ", words[answer->result], answer->code, answer->text);
	next(p);
}

/* Gives the next order; several at once behind a "+". */
static void
next(struct play *p)
{
	bool more;

	do {
		struct imap_client *c = p->client;
		char order = *p->orders != '\0' ? *p->orders++ : '.';

		more = *p->orders == '+';
		p->orders += more;
		switch (order) {
		case 'l': imap_login(c, p->user, p->password, on_done); break;
		case 's': imap_select(c, "INBOX", on_done); break;
		case 'S': imap_select(c, "a\"b\\c", on_done); break;
		case 'U': imap_select(c, "a\r\nb", on_done); break;
		case 'f': imap_fetch_list(c, on_done); break;
		case 'b': imap_fetch_body(c, 7, 0, 0, on_done); break;
		case 'p': imap_fetch_body(c, 7, 10, 5, on_done); break;
		case 'd': imap_store(c, SLICE("1:3,7"), "\\Deleted", on_done); break;
		case 'D': imap_store(c, SLICE("1 2"), "\\Deleted", on_done); break;
		case 'x': imap_uid_expunge(c, SLICE("1:3,7"), on_done); break;
		case 'e': imap_expunge(c, on_done); break;
		case '?': imap_search_deleted(c, on_done); break;
		case 'n': imap_noop(c, on_done); break;
		case 'q': imap_client_quit(&p->client); p->over = true; break;
		case 'Q': imap_client_drop(&p->client); p->over = true; break;
		default: break;
		}
	} while (more);
	look_if_over(p);
}

static void
on_ready(void *owner)
{
	struct play *p = owner;

	buf_puts(&p->story, imap_client_secure(p->client) ? "ready(TLS) " : "ready ");
	next(p);
}

static void
on_untagged(void *owner, const struct imap_untagged *data)
{
	struct play *p = owner;

	imap_trace_data(&p->story, &(struct imap_item){ .data = *data });
}

static void
on_failed(void *owner, const char *why, bool connected)
{
	struct play *p = owner;

	buf_printf(&p->story, "failed: %s%s", why, connected ? "" : ", never ready");
	p->client = NULL;
	p->over = true;
	look_if_over(p);
}

static const struct imap_client_ops client_calls = { on_ready, on_untagged, on_failed };

static void
on_patience(void *owner)
{
	struct play *p = owner;

	fail_msg("nothing happens any more; so far: %s; left of the script: %s", buf_str(&p->story), p->script);
}

static void
on_check(struct backend *b)
{
	(void)b;
}

static const struct backend_means no_means;

static void
begin(struct play *p, enum conf_tls_mode mode)
{
	static const struct backend_probe no_probe = { on_check, on_check };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct err err = { "" };

	*p = (struct play){ .loop = loop_new(), .user = SLICE("ann"), .password = SLICE("secret"), .script = "", .orders = "" };
	buf_init(&p->story, 1u << 20);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(p->listener, 10), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&sin, &len), 0);
	addr_from(&p->places[0].addr, (struct sockaddr *)&sin, len);
	p->conf = (struct conf_backend){ .name = (char *)"store", .protocol = CONF_IMAP, .places = p->places, .nplaces = 1,
		.tls_mode = mode, .connect_timeout = 2, .command_timeout = 0.3, .check_interval = 100, .grace = 100 };
	p->backend = backend_new(p->loop, &p->conf, "gate.example.org", &no_probe, &no_means, &err);
	assert_non_null(p->backend);
	watch_start(&p->incoming, p->loop, p->listener, on_incoming, p);
	timer_init(&p->patience, p->loop, on_patience, p);
	timer_set(&p->patience, 5);
}

static void
run(struct play *p, const char *script, const char *orders)
{
	p->script = script;
	p->orders = orders;
	p->client = imap_client_open(p->loop, p->backend, &client_calls, p);
	loop_run(p->loop);
}

static void
stop(void *loop)
{
	loop_stop(loop);
}

static void
end(struct play *p)
{
	imap_client_drop(&p->client);
	conn_close(&p->server);
	watch_stop(&p->incoming);
	close(p->listener);
	backend_free(&p->backend);
	timer_stop(&p->patience);
	timer_init(&p->patience, p->loop, stop, p->loop);
	for (int i = 0; i < 1000 && loop_peers(p->loop) > 0; i++) {	/* last words are still said */
		timer_set(&p->patience, 0.001);
		loop_run(p->loop);
	}
	timer_stop(&p->patience);
	assert_int_equal(loop_peers(p->loop), 0);
	loop_free(&p->loop);
	buf_free(&p->story);
}

/* S: the server says a line; R: without its end; C: the client has to say it; T: TLS begins; X: the
 * server closes; E: the client has to leave without another word. */
#define HELLO  "S * OK hi\nC g1 CAPABILITY\nS * CAPABILITY IMAP4rev1\nS g1 OK\n"
#define CAPS   "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS] hi\n"
#define PLAIN  "AGFubgBzZWNyZXQ="
#define LOGIN  CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 OK [CAPABILITY IMAP4rev1 UIDPLUS] in\n"
#define IN     "ready OK[CAPABILITY]in "
#define BODY   LOGIN "C g2 UID FETCH 7 (UID BODY.PEEK[])\n"
#define PART   LOGIN "C g2 UID FETCH 7 (UID BODY.PEEK[]<10.5>)\n"
#define LIST   LOGIN "C g2 UID FETCH 1:* (UID RFC822.SIZE FLAGS)\n"
#define NOOP   LOGIN "C g2 NOOP\n"

static const struct {
	enum conf_tls_mode tls;
	const char *script, *orders, *story;
} cases[] = {
	/* greetings */
	{ CONF_TLS_NONE, HELLO "E\n", "Q", "ready " },
	{ CONF_TLS_NONE, CAPS "E\n", "Q", "ready " },
	{ CONF_TLS_NONE, CAPS "C g1 LOGOUT\nE\n", "q", "ready " },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS * NO wait\nS * 1 EXISTS\nS * CAPABILITY IMAP4rev1\nS g1 OK\nE\n", "Q", "ready " },
	{ CONF_TLS_NONE, "S * PREAUTH hi\nE\n", "", "failed: the server takes us for somebody already (PREAUTH) (waiting for the greeting), never ready" },
	{ CONF_TLS_REQUIRE, "S * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\nE\n", "",
	    "failed: the server takes us for somebody already (PREAUTH) (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S * BYE too \x1b[31m many\nX\n", "", "failed: the server said BYE: too ?[31m many (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S * NO hi\nE\n", "", "failed: the server's greeting is no IMAP (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S g1 OK hi\nE\n", "", "failed: the server's greeting is no IMAP (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S + hi\nE\n", "", "failed: the server's greeting is no IMAP (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S +OK hi\nE\n", "", "failed: the server's greeting is no IMAP (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S 220 hi\nE\n", "",
	    "failed: what the server says is no IMAP: a tagged response that is neither OK, NO nor BAD (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "X\n", "", "failed: the server closed the connection (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "R * O\nX\n", "", "failed: the server closed the connection (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "R * O\nE\n", "", "failed: no answer in time (waiting for the greeting), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS g1 BAD what\nE\n", "", "failed: the server refused: what (CAPABILITY), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS g1 OK\nE\n", "", "failed: the server does not say what it can do (CAPABILITY), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS g2 OK\nE\n", "", "failed: an answer to nothing that was asked (CAPABILITY), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS + go on\nE\n", "",
	    "failed: a continuation request that nobody asked for (CAPABILITY), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nS * BYE x\nE\n", "", "failed: the server said BYE: x (CAPABILITY), never ready" },
	{ CONF_TLS_NONE, "S * OK hi\nC g1 CAPABILITY\nE\n", "", "failed: no answer in time (CAPABILITY), never ready" },

	/* TLS */
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 OK go\nT\nC g2 CAPABILITY\nS * CAPABILITY AUTH=PLAIN\nS g2 OK\n"
	    "C g3 LOGOUT\nE\n", "q", "ready(TLS) " },
	{ CONF_TLS_OFFER, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 OK go\nT\nC g2 CAPABILITY\nS * CAPABILITY\nS g2 OK\nE\n", "Q", "ready(TLS) " },
	{ CONF_TLS_IMPLICIT, "T\nS * OK hi\nC g1 CAPABILITY\nS * CAPABILITY\nS g1 OK\nE\n", "Q", "ready(TLS) " },
	{ CONF_TLS_IMPLICIT, "T\nS * OK [CAPABILITY STARTTLS] hi\nE\n", "Q", "ready(TLS) " },
	{ CONF_TLS_OFFER, HELLO "E\n", "Q", "ready " },
	{ CONF_TLS_OFFER, "S * OK [CAPABILITY IMAP4rev1] hi\nC g1 CAPABILITY\nS * CAPABILITY IMAP4rev1\nS g1 OK\nE\n", "Q", "ready " },
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY IMAP4rev1] hi\nC g1 CAPABILITY\nS * CAPABILITY STARTTLS\nS g1 OK\nC g2 STARTTLS\nS g2 OK\nT\n"
	    "C g3 CAPABILITY\nS * CAPABILITY\nS g3 OK\nE\n", "Q", "ready(TLS) " },
	{ CONF_TLS_REQUIRE, HELLO "E\n", "",
	    "failed: the server offers no STARTTLS, which tls-mode requires (CAPABILITY), never ready" },
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 NO not now\nE\n", "",
	    "failed: the server refused: not now (STARTTLS), never ready" },
	{ CONF_TLS_OFFER, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 NO not now\nE\n", "",
	    "failed: the server refused: not now (STARTTLS), never ready" },
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 OK go\nS * CAPABILITY AUTH=PLAIN\nE\n", "",
	    "failed: octets behind the answer to STARTTLS (STARTTLS), never ready" },
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS] hi\nC g1 STARTTLS\nS g1 OK go\nR x\nE\n", "",
	    "failed: octets behind the answer to STARTTLS (STARTTLS), never ready" },
	/* what was offered in the clear does not count inside */
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN] hi\nC g1 STARTTLS\nS g1 OK\nT\nC g2 CAPABILITY\nS g2 OK\nE\n", "",
	    "failed: the server does not say what it can do (CAPABILITY after TLS), never ready" },
	{ CONF_TLS_REQUIRE, "S * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN] hi\nC g1 STARTTLS\nS g1 OK\nT\nC g2 CAPABILITY\nS * CAPABILITY\nS g2 OK\n"
	    "C g3 LOGIN \"ann\" \"secret\"\nS g3 OK [CAPABILITY X] in\nE\n", "lQ", "ready(TLS) OK[CAPABILITY]in " },

	/* logins */
	{ CONF_TLS_NONE, LOGIN "E\n", "lQ", IN },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS * CAPABILITY X\nS g1 OK in\nE\n", "lQ", "ready OK[]in " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 OK in\nC g2 CAPABILITY\nS * CAPABILITY X\nS g2 OK\nE\n", "lQ", "ready OK[]in " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 OK in\nC g2 CAPABILITY\nS g2 BAD x\nE\n", "lQ", "ready OK[]in " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 NO [authenticationfailed] wrong\nE\n", "lQ", "ready NO[AUTHENTICATIONFAILED]wrong " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 BAD \xc3\xa4\nE\n", "lQ", "ready BAD[]?? " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS + more\nE\n", "l",
	    "ready failed: a continuation request that nobody asked for (the login)" },
	{ CONF_TLS_NONE, "S * OK [CAPABILITY AUTH=PLAIN] hi\nC g1 AUTHENTICATE PLAIN\nS +\nC " PLAIN "\nS g1 OK [CAPABILITY X] in\nE\n", "lQ", IN },
	{ CONF_TLS_NONE, "S * OK [CAPABILITY AUTH=PLAIN] hi\nC g1 AUTHENTICATE PLAIN\nS g1 NO no\nE\n", "lQ", "ready NO[]no " },
	{ CONF_TLS_NONE, "S * OK [CAPABILITY AUTH=PLAIN] hi\nC g1 AUTHENTICATE PLAIN\nS g1 OK in\nE\n", "l",
	    "ready failed: OK to a command that was not said to its end (the login)" },
	{ CONF_TLS_NONE, "S * OK [CAPABILITY AUTH=PLAIN] hi\nC g1 AUTHENTICATE PLAIN\nS +\nC " PLAIN "\nS + again\nE\n", "l",
	    "ready failed: a continuation request that nobody asked for (the login)" },
	{ CONF_TLS_NONE, HELLO "C g2 LOGIN \"ann\" \"secret\"\nS g2 OK [CAPABILITY X] in\nE\n", "lQ", IN },
	{ CONF_TLS_NONE, "S * OK [CAPABILITY LOGINDISABLED] hi\nE\n", "lQ", "ready NO[PRIVACYREQUIRED]the server takes no passwords without TLS " },
	/* LOGIN alone is disabled; who offers PLAIN takes it. */
	{ CONF_TLS_NONE, "S * OK [CAPABILITY LOGINDISABLED AUTH=PLAIN SASL-IR] hi\nC g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 OK [CAPABILITY X] in\nE\n", "lQ",
	    "ready OK[CAPABILITY]in " },
	{ CONF_TLS_IMPLICIT, "T\nS * OK [CAPABILITY LOGINDISABLED] hi\nE\n", "lQ",
	    "ready(TLS) NO[UNAVAILABLE]the server offers no way to log in that we know " },
	{ CONF_TLS_IMPLICIT, "T\nS * OK [CAPABILITY LOGINDISABLED AUTH=PLAIN SASL-IR] hi\nC g1 AUTHENTICATE PLAIN " PLAIN "\nS g1 OK [CAPABILITY X] in\nE\n", "lQ",
	    "ready(TLS) OK[CAPABILITY]in " },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS * BYE too many\nS g1 NO [UNAVAILABLE] no\nE\n", "l",
	    "ready NO[UNAVAILABLE]no failed: the server said BYE: too many (idle)" },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nS * BYE too many\nX\n", "l", "ready failed: the server said BYE: too many (the login)" },
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nE\n", "l", "ready failed: no answer in time (the login)" },
	/* never pipelined behind it, nor behind anything */
	{ CONF_TLS_NONE, CAPS "C g1 AUTHENTICATE PLAIN " PLAIN "\nR g1\nS  OK in\nC g2 CAPABILITY\nS * CAPABILITY X\nS g2 OK\nC g3 SELECT \"INBOX\"\nS g3 OK x\nC g4 NOOP\nS g4 OK y\nE\n",
	    "l+s+n..Q", "ready OK[]in OK[]x OK[]y " },

	/* SELECT */
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS * FLAGS (\\Seen)\nS * 3 EXISTS\nS * 0 RECENT\nS * OK [UIDVALIDITY 7] x\nS * OK [UIDNEXT 9] x\n"
	    "S * OK [PERMANENTFLAGS (\\*)] x\nS g2 OK [READ-WRITE] done\nE\n", "lsQ", IN "3EXISTS 7UIDVALIDITY OK[READ-WRITE]done " },
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS * OK [UIDVALIDITY 0]\nE\n", "ls", IN "failed: a UIDVALIDITY that is none (SELECT)" },
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS * OK [UIDVALIDITY 4294967296] x\nE\n", "ls", IN "failed: a UIDVALIDITY that is none (SELECT)" },
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS * NO [UIDVALIDITY 7] x\nS g2 NO no\nE\n", "lsQ", IN "NO[]no " },
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"a\\\"b\\\\c\"\nS g2 NO no\nE\n", "lSQ", IN "NO[]no " },
	{ CONF_TLS_NONE, LOGIN "E\n", "lUQ", IN "NO[CLIENTBUG]no name of a mailbox " },

	/* the list */
	{ CONF_TLS_NONE, LIST "S * 1 FETCH (UID 7 RFC822.SIZE 9 FLAGS (\\Seen))\nS * OK Still here\nS * 2 FETCH (FLAGS (\\Deleted) RFC822.SIZE 10 UID 8)\nS * 5 EXISTS\nS g2 OK x\nE\n",
	    "lfQ", IN "(1u7s9fS) (2u8s10fD) 5EXISTS OK[]x " },
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS * 0 EXISTS\nS g2 OK x\nE\n", "lsfQ", IN "0EXISTS OK[]x OK[] " },
	/* an EXISTS that was not said is not 0 */
	{ CONF_TLS_NONE, LOGIN "C g2 SELECT \"INBOX\"\nS g2 OK x\nC g3 UID FETCH 1:* (UID RFC822.SIZE FLAGS)\nS g3 OK y\nE\n", "lsfQ", IN "OK[]x OK[]y " },
	{ CONF_TLS_NONE, LIST "S * 1 FETCH (UID 0)\nE\n", "lf", IN "failed: what the server says is no IMAP: a UID that is none (UID FETCH)" },
	{ CONF_TLS_NONE, LIST "S * 1 FETCH (UID 7 BODY[] {1}\nS x)\nE\n", "lf", IN "failed: a message that nobody asked for (UID FETCH)" },

	/* bodies */
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] {5}\nS abc\nS )\nS g2 OK x\nE\n", "lbQ", IN "{1.7:5}abc\r\n.(1u7) OK[]x " },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (BODY[] {3}\nS abc FLAGS (\\Seen) UID 7)\nS * 2 FETCH (UID 9 FLAGS ())\nS g2 OK x\nE\n", "lbQ",
	    IN "{1.0:3}abc.(1u7fS) (2u9f) OK[]x " },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] \"\")\nS g2 OK x\nE\n", "lbQ", IN "{1.7:0}.(1u7) OK[]x " },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] NIL)\nS * 1 EXPUNGE\nS g2 OK [EXPUNGEISSUED] x\nE\n", "lbQ", IN "{1.7:NIL}(1u7) 1EXPUNGE OK[EXPUNGEISSUED]x " },
	{ CONF_TLS_NONE, BODY "S g2 OK x\nE\n", "lbQ", IN "OK[]x " },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] {9}\nR abc\nX\n", "lb", IN "{1.7:9}abcfailed: the server closed the connection (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] {3}\nR abc\nX\n", "lb", IN "{1.7:3}abc.failed: the server closed the connection (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] {9}\nR abc\nE\n", "lb", IN "{1.7:9}abcfailed: no answer in time (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 8 BODY[] {1}\nE\n", "lb", IN "failed: another message than was asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (BODY[] {1}\nS x UID 8)\nE\n", "lb", IN "{1.0:1}x.failed: another message than was asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[] {1}\nS x)\nS * 1 FETCH (UID 7 BODY[] {1}\nE\n", "lb",
	    IN "{1.7:1}x.(1u7) failed: a message that nobody asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, BODY "S * 1 FETCH (UID 7 BODY[]<0> {1}\nE\n", "lb", IN "failed: another part of a message than was asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[]<10> {5}\nS abcde)\nS g2 OK x\nE\n", "lpQ", IN "{1.7:5}abcde.(1u7) OK[]x " },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[]<10> \"\")\nS g2 OK x\nE\n", "lpQ", IN "{1.7:0}.(1u7) OK[]x " },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[] NIL)\nS g2 OK x\nE\n", "lpQ", IN "{1.7:NIL}(1u7) OK[]x " },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[]<10> {6}\nE\n", "lp", IN "failed: another part of a message than was asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[]<0> {5}\nE\n", "lp", IN "failed: another part of a message than was asked for (UID FETCH of a message)" },
	{ CONF_TLS_NONE, PART "S * 1 FETCH (UID 7 BODY[] {5}\nE\n", "lp", IN "failed: another part of a message than was asked for (UID FETCH of a message)" },

	/* the rest */
	{ CONF_TLS_NONE, LOGIN "C g2 UID STORE 1:3,7 +FLAGS.SILENT (\\Deleted)\nS g2 OK x\nC g3 UID EXPUNGE 1:3,7\nS * 4 EXPUNGE\nS g3 OK y\nC g4 EXPUNGE\nS g4 OK z\n"
	    "C g5 UID SEARCH DELETED\nS * SEARCH 5 6\nS g5 OK w\nC g6 LOGOUT\nE\n", "ldxe?q", IN "OK[]x 4EXPUNGE OK[]y OK[]z ?5 ?6 OK[]w " },
	{ CONF_TLS_NONE, LOGIN "E\n", "lDQ", IN "NO[CLIENTBUG]no set of UIDs " },
	{ CONF_TLS_NONE, LOGIN "C g2 NOOP\nS * BYE bye\nE\n", "ln", IN "failed: the server said BYE: bye (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S * BYE bye\nS g2 OK x\nE\n", "ln", IN "OK[]x failed: the server said BYE: bye (idle)" },
	{ CONF_TLS_NONE, NOOP "S * BYE bye\nS g2 OK x\nE\n", "ln+n", IN "OK[]x failed: the server said BYE: bye (idle)" },
	{ CONF_TLS_NONE, NOOP "S g2 OK x\nS * 4 EXISTS\nS * BYE bye\nE\n", "ln", IN "OK[]x 4EXISTS failed: the server said BYE: bye (idle)" },
	{ CONF_TLS_NONE, NOOP "S g2 OK x\nX\n", "ln", IN "OK[]x failed: the server closed the connection (idle)" },
	{ CONF_TLS_NONE, NOOP "S g2 OK x\nS g2 OK x\nE\n", "ln", IN "OK[]x failed: an answer to nothing that was asked (idle)" },
	{ CONF_TLS_NONE, NOOP "S g2 OK x\nS x OK x\nE\n", "ln", IN "OK[]x failed: an answer to nothing that was asked (idle)" },
	{ CONF_TLS_NONE, NOOP "S g3 OK x\nE\n", "ln", IN "failed: an answer to nothing that was asked (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S g1 OK x\nE\n", "ln", IN "failed: an answer to nothing that was asked (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S x OK x\nE\n", "ln", IN "failed: an answer to nothing that was asked (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S + x\nE\n", "ln", IN "failed: a continuation request that nobody asked for (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S * PREAUTH x\nE\n", "ln", IN "failed: PREAUTH where no greeting is (NOOP)" },
	{ CONF_TLS_NONE, NOOP "S g2 OK x\nE\n", "lnQ", IN "OK[]x " },
	{ CONF_TLS_NONE, LOGIN "E\n", "ln+q", IN },		/* with a command outstanding there is no goodbye */
};

static void
test_conversations(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct play p;

		begin(&p, cases[i].tls);
		run(&p, cases[i].script, cases[i].orders);
		if (!slice_is(buf_slice(&p.story), cases[i].story))
			print_error("case %zu:\n%s\n", i, cases[i].script);
		assert_string_equal(buf_len(&p.story) > 0 ? buf_str(&p.story) : "", cases[i].story);
		end(&p);
	}
}


/* What a login says, by what the server can do; the answer to each "+" is a line of its own. */
static const struct {
	const char *caps;
	struct slice user, password;
	const char *script, *story;
} logins[] = {
	{ "X", OCTETS("a\"b\\c"), OCTETS(" p w "), "C g1 LOGIN \"a\\\"b\\\\c\" \" p w \"\n", "OK[]in " },
	{ "X", OCTETS("\xc3\xa4"), OCTETS("x"), "C g1 LOGIN {2}\nS + go\nC \xc3\xa4 \"x\"\n", "OK[]in " },
	{ "X", OCTETS("\xc3\xa4"), OCTETS("\xff"), "C g1 LOGIN {2}\nS +\nC \xc3\xa4 {1}\nS + go\nC \xff\n", "OK[]in " },
	{ "LITERAL+", OCTETS("\xc3\xa4"), OCTETS("\xff"), "C g1 LOGIN {2+}\nC \xc3\xa4 {1+}\nC \xff\n", "OK[]in " },
	{ "LITERAL-", OCTETS("\xc3\xa4"), OCTETS("x"), "C g1 LOGIN {2+}\nC \xc3\xa4 \"x\"\n", "OK[]in " },
	{ "AUTH=PLAIN SASL-IR", OCTETS("\xc3\xa4"), OCTETS("\"\\"), "C g1 AUTHENTICATE PLAIN AMOkACJc\n", "OK[]in " },
	{ "auth=plain sasl-ir", OCTETS("a"), OCTETS("b"), "C g1 AUTHENTICATE PLAIN AGEAYg==\n", "OK[]in " },
	{ "AUTH=PLAINER SASL-IR", OCTETS("a"), OCTETS("b"), "C g1 LOGIN \"a\" \"b\"\n", "OK[]in " },
	/* neither said to a server nor cut */
	{ "X", OCTETS("a\r\nb"), OCTETS("x"), NULL, NULL },
	{ "X", OCTETS("a"), OCTETS("x\ny"), NULL, NULL },
	{ "X", OCTETS("a"), OCTETS("x\r"), NULL, NULL },
	{ "X", OCTETS("a\0b"), OCTETS("x"), NULL, NULL },
	{ "AUTH=PLAIN SASL-IR", OCTETS("a"), OCTETS("x\0y"), NULL, NULL },
	{ "X", OCTETS(""), OCTETS("x"), NULL, NULL },
	{ "X", OCTETS("a"), OCTETS(""), NULL, NULL },
	{ "X", OCTETS("a"), { NULL, IMAP_LOGIN_MAX + 1 }, NULL, NULL },
	{ "X", { NULL, IMAP_LOGIN_MAX + 1 }, OCTETS("x"), NULL, NULL },
};

static void
test_logins(void **state)
{
	static char many[IMAP_LOGIN_MAX + 1];

	(void)state;
	memset(many, 'y', sizeof(many));
	for (size_t i = 0; i < NITEMS(logins); i++) {
		struct play p;
		struct buf script, story;

		begin(&p, CONF_TLS_NONE);
		buf_init(&script, 10000);
		buf_init(&story, 10000);
		p.user = logins[i].user.at != NULL ? logins[i].user : (struct slice){ many, logins[i].user.len };
		p.password = logins[i].password.at != NULL ? logins[i].password : (struct slice){ many, logins[i].password.len };
		buf_printf(&script, "S * OK [CAPABILITY %s] hi\n%s%sE\n", logins[i].caps, logins[i].script != NULL ? logins[i].script : "",
		    logins[i].script != NULL ? "S * CAPABILITY X\nS g1 OK in\n" : "");
		buf_printf(&story, "ready %s", logins[i].script != NULL ? logins[i].story :
		    "NO[AUTHENTICATIONFAILED]the name or the password cannot be said in IMAP ");
		run(&p, buf_str(&script), "lQ");
		assert_string_equal(buf_str(&p.story), buf_str(&story));
		end(&p);
		buf_free(&script);
		buf_free(&story);
	}
}

/* The longest ones still go out whole, whatever they hold. */
static void
test_longest_login(void **state)
{
	static const char *const caps[] = { "X", "AUTH=PLAIN SASL-IR", "AUTH=PLAIN" };
	static char many[IMAP_LOGIN_MAX];
	struct imap_caps has;

	(void)state;
	memset(many, '\\', sizeof(many));
	for (size_t i = 0; i < NITEMS(caps); i++) {
		struct imap_order *order = imap_order_new(ORDER_LOGIN, "x", NULL);

		buf_put(&order->secret, (struct slice){ many, sizeof(many) });
		buf_put(&order->secret, (struct slice){ many, sizeof(many) });
		order->user_len = sizeof(many);
		imap_caps_read(&has, slice_of(caps[i]));
		imap_login_say(order, &has, false);
		assert_false(order->answered);
		assert_true(slice_iends(buf_slice(&order->said), "\r\n"));
		assert_int_equal(buf_len(&order->said), i == 0 ? 6 + 2 * (2 * sizeof(many) + 2) + 3 : 18 + (i == 1) + (i == 2) * 2 + (2 * sizeof(many) + 2 + 2) / 3 * 4 + 2);
		assert_int_equal(buf_len(&order->secret), 0);
		imap_order_free(&order);
	}
}

/* A name is waited for, until the DNS says it or says that there is none. */
static void
test_name(void **state)
{
	static const struct { const char *table, *story; bool silent; } names[] = {
		{ "store.test A 127.0.0.1\n", "ready ", false },
		{ "", "failed: store.test has no address in the DNS, never ready", false },
		{ "store.test A 127.0.0.1\n", "failed: the DNS has not answered yet, never ready", true },
	};
	struct backend_means means = { 0 };
	struct dns dns;
	struct err err;
	struct play p;

	(void)state;
	for (size_t i = 0; i < NITEMS(names); i++) {
		begin(&p, CONF_TLS_NONE);
		dns_start(&dns, p.loop, names[i].table);
		dns.silent = names[i].silent;
		means.resolver = resolver_new(p.loop, &dns.addr, 1, &err);
		p.places[0] = (struct conf_place){ .host = (char *)"store.test", .port = addr_port(&p.places[0].addr) };
		p.conf.connect_timeout = 0.3;
		backend_free(&p.backend);
		p.backend = backend_new(p.loop, &p.conf, "gate.example.org", &(struct backend_probe){ on_check, on_check }, &means, &err);
		p.script_over = i > 0;
		run(&p, i > 0 ? "" : HELLO "E\n", i > 0 ? "" : "Q");
		assert_string_equal(buf_str(&p.story), names[i].story);
		backend_free(&p.backend);
		resolver_free(&means.resolver);
		dns_stop(&dns);
		end(&p);
	}
}

/* The first address that greets is taken; what the others said is forgotten. */
static void
test_second_address(void **state)
{
	struct err err;
	struct play p;

	(void)state;
	begin(&p, CONF_TLS_NONE);
	p.places[1] = p.places[0];
	assert_int_equal(addr_parse(&p.places[0].addr, "127.0.0.1:1", 0, &err), 0);
	backend_free(&p.backend);
	p.conf.nplaces = 2;
	p.backend = backend_new(p.loop, &p.conf, "gate.example.org", &(struct backend_probe){ on_check, on_check }, &no_means, &err);
	run(&p, HELLO "E\n", "Q");
	assert_string_equal(buf_str(&p.story), "ready ");
	end(&p);

	begin(&p, CONF_TLS_NONE);
	p.places[1] = p.places[0];
	backend_free(&p.backend);
	p.conf.nplaces = 2;
	p.backend = backend_new(p.loop, &p.conf, "gate.example.org", &(struct backend_probe){ on_check, on_check }, &no_means, &err);
	run(&p, "S * OK [CAPABILITY AUTH=PLAIN SASL-IR] hi\nE\n", "Q");	/* the first one, at once */
	assert_string_equal(buf_str(&p.story), "ready ");
	end(&p);

	begin(&p, CONF_TLS_NONE);
	assert_int_equal(addr_parse(&p.places[0].addr, "127.0.0.1:1", 0, &err), 0);
	backend_free(&p.backend);
	p.backend = backend_new(p.loop, &p.conf, "gate.example.org", &(struct backend_probe){ on_check, on_check }, &no_means, &err);
	p.script_over = true;
	run(&p, "", "");
	assert_string_equal(buf_str(&p.story), "failed: Connection refused (connecting), never ready");
	end(&p);
}

/* Many responses to one command: as many as there are messages, and some. */
static void
test_flood(void **state)
{
	(void)state;
	for (unsigned more = 0; more <= 1; more++) {
		struct buf script;
		struct play p;

		begin(&p, CONF_TLS_NONE);
		buf_init(&script, 1u << 20);
		buf_puts(&script, LOGIN "C g2 NOOP\nS * 2 EXISTS\n");
		/* Each counts, EXISTS and the tagged one too. */
		for (unsigned i = 0; i < IMAP_RESPONSES_MAX + 4 * 2 - 2 + more; i++)
			buf_puts(&script, "S * X\n");
		buf_puts(&script, "S g2 OK x\nE\n");
		p.conf.command_timeout = 3;
		run(&p, buf_str(&script), "lnQ");
		assert_string_equal(buf_str(&p.story), more == 0 ? IN "2EXISTS OK[]x " : IN "2EXISTS failed: too many responses (NOOP)");
		end(&p);
		buf_free(&script);
	}
}

static void
on_resume(void *owner)
{
	struct play *p = owner;

	buf_puts(&p->story, "| ");
	imap_client_pause(p->client, false);
}

static void
pause_at_data(void *owner, const struct imap_untagged *data)
{
	struct play *p = owner;

	on_untagged(p, data);
	if (data->kind == IMAP_BODY_DATA) {
		imap_client_pause(p->client, true);
		timer_set(&p->patience, 0.7);	/* longer than command-timeout: only the server's silence counts */
	}
}

/* Nothing comes while it is paused, though all is here; then it goes on by itself. */
static void
test_pause(void **state)
{
	static const struct imap_client_ops calls = { on_ready, pause_at_data, on_failed };
	struct play p;

	(void)state;
	begin(&p, CONF_TLS_NONE);
	timer_stop(&p.patience);
	timer_init(&p.patience, p.loop, on_resume, &p);
	p.script = BODY "S * 1 FETCH (UID 7 BODY[] {3}\nS abc)\nS g2 OK x\nE\n";
	p.orders = "lbQ";
	p.client = imap_client_open(p.loop, p.backend, &calls, &p);
	loop_run(p.loop);
	assert_string_equal(buf_str(&p.story), IN "{1.7:3}abc| .(1u7) OK[]x ");
	end(&p);
}

static void
on_drip(void *owner)
{
	struct play *p = owner;

	if (p->server == NULL)
		return;
	buf_puts(conn_out(p->server), ++p->places[1].addr.len < 8 ? "x" : ")\r\ng2 OK x\r\n");
	timer_set(&p->patience, 0.1);
}

/* Each octet puts the deadline off. */
static void
test_drip(void **state)
{
	struct play p;

	(void)state;
	begin(&p, CONF_TLS_NONE);
	timer_stop(&p.patience);
	timer_init(&p.patience, p.loop, on_drip, &p);
	timer_set(&p.patience, 0.1);
	p.places[1].addr.len = 0;
	run(&p, BODY "S * 1 FETCH (UID 7 BODY[] {7}\nE\n", "lbQ");
	assert_string_equal(buf_str(&p.story), IN "{1.7:7}xxxxxxx.(1u7) OK[]x ");
	end(&p);
}

/* Dropped inside a call: nothing is called, nothing touched any more. */
static char drop_at;

static void
drop_if(struct play *p, char where)
{
	if (where != drop_at)
		return;
	imap_client_drop(&p->client);
	assert_null(p->client);
	buf_puts(&p->story, "dropped");
	p->over = true;
}

static void
drop_in_ready(void *owner)
{
	struct play *p = owner;

	if (drop_at != 'r')
		on_ready(p);
	drop_if(p, 'r');
}

static void
drop_in_untagged(void *owner, const struct imap_untagged *data)
{
	on_untagged(owner, data);
	drop_if(owner, data->kind == IMAP_BODY_BEGIN ? 'b' : data->kind == IMAP_BODY_DATA ? 'd' : data->kind == IMAP_BODY_END ? 'e' : 'f');
}

static void
test_drop_inside(void **state)
{
	static const struct imap_client_ops calls = { drop_in_ready, drop_in_untagged, on_failed };
	static const struct { char at; const char *story; } rows[] = {
		{ 'r', "dropped" },
		{ 'b', IN "{1.7:3}dropped" },
		{ 'd', IN "{1.7:3}abcdropped" },
		{ 'e', IN "{1.7:3}abc.dropped" },
		{ 'f', IN "{1.7:3}abc.(1u7) dropped" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++) {
		struct play p;

		begin(&p, CONF_TLS_NONE);
		drop_at = rows[i].at;
		p.script = rows[i].at == 'r' ? CAPS "E\n" : BODY "S * 1 FETCH (UID 7 BODY[] {3}\nS abc)\nE\n";
		p.orders = "lb";
		p.client = imap_client_open(p.loop, p.backend, &calls, &p);
		loop_run(p.loop);
		assert_string_equal(buf_str(&p.story), rows[i].story);
		end(&p);
	}
}

/* The health check: backend_worked() and backend_failed() are said, and nothing is left. */
static void
test_probe(void **state)
{
	static const struct { const char *script; bool down; } rows[] = {
		{ CAPS "C g1 LOGOUT\nE\n", false },
		{ HELLO "C g2 LOGOUT\nE\n", false },
		{ "S * BYE full\nX\n", true },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++) {
		struct play p;

		begin(&p, CONF_TLS_NONE);
		p.script = rows[i].script;
		p.over = true;
		imap_probe.start(p.backend);
		assert_non_null(p.backend->probing);
		loop_run(p.loop);
		for (int turn = 0; turn < 100 && p.backend->probing != NULL; turn++) {
			timer_stop(&p.patience);
			timer_init(&p.patience, p.loop, stop, p.loop);
			timer_set(&p.patience, 0.01);
			loop_run(p.loop);
		}
		assert_null(p.backend->probing);
		assert_int_equal(p.backend->down_since > 0, rows[i].down);
		assert_int_equal(p.backend->caps_known, !rows[i].down);
		end(&p);
	}
}

/* A key and a certificate for it, as PEM; what a server needs to be one. */
static int
make_tls(void **state)
{
	const struct conf_tls *one = &tls_conf;
	const struct tls_server_means means = { .protocol = CONF_IMAP };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *pem[2] = { BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()) };
	struct err err = { "" };
	char *at;

	(void)state;
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_X509(pem[0], cert) && PEM_write_bio_PrivateKey(pem[1], key, NULL, NULL, 0, NULL, NULL));
	tls_conf.certificate.len = (size_t)BIO_get_mem_data(pem[0], &at);
	tls_conf.certificate.bytes = mem_slice((struct slice){ at, tls_conf.certificate.len });
	tls_conf.key.len = (size_t)BIO_get_mem_data(pem[1], &at);
	tls_conf.key.bytes = mem_slice((struct slice){ at, tls_conf.key.len });
	BIO_free(pem[0]);
	BIO_free(pem[1]);
	X509_free(cert);
	EVP_PKEY_free(key);
	server_tls = tls_server_ctx(&one, 1, &means, &err);
	return server_tls != NULL ? 0 : -1;
}

static int
free_tls(void **state)
{
	(void)state;
	tls_ctx_free(&server_tls);
	free(tls_conf.certificate.bytes);
	free(tls_conf.key.bytes);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_longest_login),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_second_address),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_drop_inside),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, make_tls, free_tls);
}
