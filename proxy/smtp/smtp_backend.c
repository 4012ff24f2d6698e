#include "proxy/smtp/smtp_backend.h"

#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/net/conn.h"
#include "proxy/net/dot.h"
#include "proxy/net/line.h"
#include "proxy/smtp/smtp_ehlo.h"

#define ORDERS_MAX 8	/* outstanding at once: RSET, MAIL, RCPT */
#define HELD_MAX   1024	/* octets of one MAIL with its parameters */

enum phase {
	PHASE_DIAL,
	PHASE_GREETING,
	PHASE_EHLO,
	PHASE_STARTTLS,
	PHASE_TLS,
	PHASE_EHLO_TLS,
	PHASE_READY,		/* orders run */
	PHASE_BODY,		/* the message goes out */
};

static const char *const phase_words[] = { "connecting", "waiting for the greeting", "EHLO", "STARTTLS",
	"the TLS handshake", "EHLO after TLS", "a command", "sending the message" };

enum { ORDER_RSET = ORDER_BODY + 1 };	/* ours: the owner hears nothing of it */

struct smtp_backend {
	struct loop *loop;
	struct backend *backend;
	const struct smtp_backend_ops *ops;
	void *owner;
	struct conn *conn;
	enum phase phase;
	uint64_t tried;				/* places tried so far, a bit each */
	unsigned place;				/* the one in use */
	struct addr addr;
	struct addr original, source;		/* the client's; len 0: not to be used */
	bool same_port;
	struct flagged *flagged;
	char trouble[160];			/* why the last address did not do */
	struct backend_caps caps;
	bool helo;				/* EHLO was refused: HELO, with no extensions */
	struct line_reader lines;
	struct smtp_reply reply;
	int orders[ORDERS_MAX];			/* what was asked and not answered yet, in order */
	unsigned norders;
	struct buf held;			/* an order that waits for the answer to RSET */
	bool early;				/* the server had said more when it was asked this */
	unsigned body_replies;			/* still to come */
	struct timer deadline;
	/* The message while it goes out. */
	struct slice message;
	const struct trace_piece *pieces;
	size_t npieces, piece, piece_done;
	struct dot_writer dot;
	bool dot_sent;
};

static void dial_next(struct smtp_backend *);
static void on_up(void *), on_input(void *), on_drained(void *), on_lost(void *, const char *);
static const struct conn_ops conn_calls = { on_up, on_input, on_drained, on_lost };

static void
release(struct smtp_backend *b)
{
	conn_close(&b->conn);
	timer_stop(&b->deadline);
	smtp_reply_free(&b->reply);
	buf_free(&b->held);
	loop_free_later(b->loop, b);
}

/* Ends the session and tells the owner, unless it has gone already. */
static void
fail(struct smtp_backend *b, const char *why)
{
	const struct smtp_backend_ops *ops = b->ops;
	void *owner = b->owner;
	char text[256];

	if (b->phase == PHASE_DIAL)
		snprintf(text, sizeof(text), "%s", why);
	else
		snprintf(text, sizeof(text), "%s (%s)", why, phase_words[b->phase]);
	release(b);
	if (ops != NULL)
		ops->failed(owner, text, b->dot_sent);
}

/* Before the owner was told "ready" another address may still do. */
static void
address_failed(struct smtp_backend *b, const char *why)
{
	snprintf(b->trouble, sizeof(b->trouble), "%.100s (%s)", why, phase_words[b->phase]);
	backend_failed(b->backend, b->place, b->trouble);
	conn_close(&b->conn);
	smtp_reply_free(&b->reply);
	dial_next(b);
}

static void
trouble(struct smtp_backend *b, const char *why)
{
	if (b->phase < PHASE_READY)
		address_failed(b, why);
	else
		fail(b, why);
}

/* The next one that was not tried yet; a client's own destination is the only one. */
static const struct addr *
next_address(struct smtp_backend *b)
{
	const struct addr *to = NULL;

	b->place = 0;
	if (!b->backend->conf->original)
		to = backend_address(b->backend, b->tried, &b->place);
	else if (b->tried == 0 && b->original.len > 0)
		to = &b->original;
	if (to != NULL)
		b->tried |= UINT64_C(1) << b->place;
	return to;
}

/* *asked: it is the server's fault if this fails. */
static struct conn *
dial(struct smtp_backend *b, const struct addr *to, bool *asked, struct err *err)
{
	bool they_begin = b->backend->conf->tls_mode != CONF_TLS_IMPLICIT;
	int fd;

	*asked = true;
	if (b->source.len == 0)
		return conn_dial(b->loop, to, they_begin, &conn_calls, b, err);
	fd = flagged_connect(b->flagged, &b->source, b->same_port, to, asked, err);
	return fd != -1 ? conn_dialed(b->loop, fd, they_begin, &conn_calls, b) : NULL;
}

static void
dial_next(struct smtp_backend *b)
{
	const struct addr *to;
	struct err err = { "" };
	bool asked;

	b->phase = PHASE_DIAL;
	b->lines = (struct line_reader){ false };
	b->helo = false;
	while ((to = next_address(b)) != NULL) {
		b->addr = *to;
		timer_set(&b->deadline, b->backend->conf->connect_timeout);
		b->conn = dial(b, to, &asked, &err);
		if (b->conn != NULL)
			return;
		snprintf(b->trouble, sizeof(b->trouble), "%.150s", err.text);
		if (asked)
			backend_failed(b->backend, b->place, err.text);
	}
	b->conn = NULL;
	timer_set(&b->deadline, 0);	/* the owner hears of it, but never inside the call that opened us */
}

static void
on_deadline(void *owner)
{
	struct smtp_backend *b = owner;

	if (b->conn == NULL) {
		fail(b, b->trouble);
	} else if (b->phase == PHASE_DIAL && conn_stands(b->conn)) {
		b->phase = PHASE_GREETING;	/* up() waits for its first octets; they may take longer than connecting */
		timer_set(&b->deadline, b->backend->conf->command_timeout);
	} else {
		trouble(b, "no answer in time");
	}
}

struct smtp_backend *
smtp_backend_open(struct loop *loop, struct backend *backend, const struct smtp_client *client,
    const struct smtp_backend_ops *ops, void *owner)
{
	struct smtp_backend *b = mem_new(sizeof(*b));

	if (client != NULL && client->original != NULL)
		b->original = *client->original;
	if (client != NULL && client->source != NULL) {
		b->source = *client->source;
		b->same_port = client->same_port;
		b->flagged = client->flagged;
	}

	b->loop = loop;
	b->backend = backend;
	b->ops = ops;
	b->owner = owner;
	smtp_reply_init(&b->reply);
	buf_init(&b->held, HELD_MAX);
	timer_init(&b->deadline, loop, on_deadline, b);
	dial_next(b);
	return b;
}

const struct backend_caps *
smtp_backend_caps(const struct smtp_backend *b)
{
	return &b->caps;
}

const struct addr *
smtp_backend_addr(const struct smtp_backend *b)
{
	return &b->addr;
}

static void
say_hello(struct smtp_backend *b, enum phase phase)
{
	const char *verb = b->backend->conf->protocol == CONF_LMTP ? "LHLO" : b->helo ? "HELO" : "EHLO";

	b->phase = phase;
	buf_printf(conn_out(b->conn), "%s %s\r\n", verb, b->backend->hostname);
	timer_set(&b->deadline, b->backend->conf->command_timeout);
}

static void
start_tls(struct smtp_backend *b)
{
	struct err err = { "" };

	b->phase = PHASE_TLS;
	timer_set(&b->deadline, b->backend->conf->connect_timeout);
	if (conn_starttls(b->conn, b->backend->tls, b->backend->conf->tls_name, &err) == -1)
		trouble(b, err.text);
}

/* Connected, or TLS is up. */
static void
on_up(void *owner)
{
	struct smtp_backend *b = owner;
	bool implicit = b->backend->conf->tls_mode == CONF_TLS_IMPLICIT;

	if (b->phase == PHASE_DIAL && implicit) {
		start_tls(b);
	} else if (b->phase == PHASE_TLS && !implicit) {
		say_hello(b, PHASE_EHLO_TLS);	/* what was offered in the clear no longer counts (RFC 3207 section 4.2) */
	} else {
		b->phase = PHASE_GREETING;
		timer_set(&b->deadline, b->backend->conf->command_timeout);
	}
}

static void
get_ready(struct smtp_backend *b)
{
	b->phase = PHASE_READY;
	timer_stop(&b->deadline);
	backend_worked(b->backend, b->place, &b->caps);
	if (b->ops != NULL)
		b->ops->ready(b->owner);
}

static void
hello_answered(struct smtp_backend *b)
{
	enum conf_tls_mode mode = b->backend->conf->tls_mode;

	smtp_ehlo_read(&b->reply, &b->caps);
	if (b->phase == PHASE_EHLO_TLS || mode == CONF_TLS_NONE || mode == CONF_TLS_IMPLICIT ||
	    (mode == CONF_TLS_OFFER && !b->caps.starttls)) {
		get_ready(b);
	} else if (!b->caps.starttls) {
		trouble(b, "the server offers no STARTTLS, which tls-mode requires");
	} else {
		b->phase = PHASE_STARTTLS;
		buf_puts(conn_out(b->conn), "STARTTLS\r\n");
		timer_set(&b->deadline, b->backend->conf->command_timeout);
	}
}

static void
say_why(struct smtp_backend *b)
{
	char why[160];

	smtp_reply_text(&b->reply, why, 120);
	trouble(b, why);
}

/* A server older than RFC 1869 knows no EHLO, and mail has to reach it all the same (RFC 5321
 * section 3.2). Where TLS is required it is of no use. */
static bool
try_helo(struct smtp_backend *b)
{
	if (b->phase != PHASE_EHLO || b->helo || b->backend->conf->protocol != CONF_SMTP || smtp_reply_class(&b->reply) != 5 ||
	    b->backend->conf->tls_mode == CONF_TLS_REQUIRE)
		return false;
	b->helo = true;
	say_hello(b, PHASE_EHLO);
	return true;
}

/* A reply before we are ready. */
static void
greeting_step(struct smtp_backend *b)
{
	bool good = smtp_reply_class(&b->reply) == 2;

	if (!good && try_helo(b))
		return;
	if (!good && b->phase == PHASE_STARTTLS && b->backend->conf->tls_mode == CONF_TLS_OFFER) {
		get_ready(b);		/* TLS where it is to be had; here it is not, just now */
		return;
	}
	if (!good) {
		say_why(b);
		return;
	}
	switch (b->phase) {
	case PHASE_GREETING:
		say_hello(b, PHASE_EHLO);
		break;
	case PHASE_EHLO:
	case PHASE_EHLO_TLS:
		hello_answered(b);
		break;
	case PHASE_STARTTLS:
		if (b->reply.code != 220) {	/* RFC 3207 section 4: nothing else begins TLS */
			say_why(b);
			return;
		}
		/* What stands behind the 220 was not said inside TLS: somebody put it there. */
		if (buf_len(conn_in(b->conn)) > 0)
			trouble(b, "octets behind the answer to STARTTLS");
		else
			start_tls(b);
		break;
	default:
		trouble(b, "a reply that nobody asked for");
		break;
	}
}

/* The answer to the oldest order. */
static void
order_answered(struct smtp_backend *b)
{
	int order;

	if (b->phase == PHASE_BODY && (!b->dot_sent || buf_len(conn_out(b->conn)) > 0)) {
		say_why(b);	/* in the middle of the message; it never gets its dot */
		return;
	}
	if (b->norders == 0 || b->early) {
		trouble(b, b->reply.code == 421 ? "421 service not available" : "a reply that nobody asked for");
		return;
	}
	order = b->orders[0];
	if (order == ORDER_BODY && b->body_replies > 1) {
		b->body_replies--;
	} else {
		b->norders--;
		memmove(b->orders, b->orders + 1, b->norders * sizeof(b->orders[0]));
		if (order == ORDER_BODY)
			b->phase = PHASE_READY;
	}
	if (b->norders == 0)
		timer_stop(&b->deadline);
	buf_put(conn_out(b->conn), buf_slice(&b->held));
	buf_clear(&b->held);
	if (order == ORDER_RSET && smtp_reply_class(&b->reply) != 2)
		trouble(b, "RSET was refused");
	else if (order != ORDER_RSET && b->ops != NULL)
		b->ops->reply(b->owner, (enum smtp_order)order, &b->reply);
}

static void
on_reply(struct smtp_backend *b)
{
	if (b->phase < PHASE_READY)
		greeting_step(b);
	else
		order_answered(b);
}

static void
on_input(void *owner)
{
	struct smtp_backend *b = owner;
	struct conn *conn = b->conn;
	char room[SMTP_REPLY_LINE_MAX];
	struct slice line;

	/* Each step may end the session or this connection: then b->conn is another one or none. The
	 * memory of both lives till the turn ends. */
	while (b->conn == conn && b->phase != PHASE_TLS)
		switch (line_next(&b->lines, conn_in(conn), room, sizeof(room), &line)) {
		case LINE_MORE:
			if (conn_ended(conn))
				trouble(b, "the server closed the connection");
			return;
		case LINE_BARE:
		case LINE_TOO_LONG:
			trouble(b, "the server's reply is no SMTP");
			return;
		case LINE_OK:
			switch (smtp_reply_add(&b->reply, line)) {
			case REPLY_MORE:
				break;
			case REPLY_BAD:
				trouble(b, "the server's reply is no SMTP");
				return;
			case REPLY_WHOLE:
				on_reply(b);
				if (b->conn == conn)
					smtp_reply_free(&b->reply);
				break;
			}
			break;
		}
}

static void
on_lost(void *owner, const char *why)
{
	struct smtp_backend *b = owner;

	b->conn = NULL;
	trouble(b, why != NULL ? why : "the server closed the connection");
}

static void
order(struct smtp_backend *b, int what)
{
	if (b->norders == ORDERS_MAX) {
		log_error("backend %s: too many orders at once", b->backend->conf->name);
		return;
	}
	b->early |= b->norders == 0 && buf_len(conn_in(b->conn)) > 0;
	b->orders[b->norders++] = what;
	timer_set(&b->deadline, what == ORDER_BODY ? b->backend->conf->data_timeout : b->backend->conf->command_timeout);
}

/* Where the words of the next order go: a server that does not offer PIPELINING (RFC 2920) hears
 * them when it has answered what was asked before. */
static struct buf *
words(struct smtp_backend *b)
{
	return b->norders > 0 && !b->caps.pipelining ? &b->held : conn_out(b->conn);
}

void
smtp_backend_mail(struct smtp_backend *b, struct slice from, uint64_t size, bool eightbit)
{
	struct buf *out = words(b);

	buf_printf(out, "MAIL FROM:<%.*s>", (int)from.len, from.at);
	if (size > 0 && b->caps.has_size)
		buf_printf(out, " SIZE=%llu", (unsigned long long)size);
	if (eightbit && b->caps.eightbit)
		buf_puts(out, " BODY=8BITMIME");
	buf_puts(out, "\r\n");
	order(b, ORDER_MAIL);
}

void
smtp_backend_rcpt(struct smtp_backend *b, struct slice to)
{
	buf_printf(words(b), "RCPT TO:<%.*s>\r\n", (int)to.len, to.at);
	order(b, ORDER_RCPT);
}

void
smtp_backend_data(struct smtp_backend *b)
{
	buf_puts(words(b), "DATA\r\n");
	order(b, ORDER_DATA);
}

void
smtp_backend_reset(struct smtp_backend *b)
{
	buf_puts(words(b), "RSET\r\n");
	order(b, ORDER_RSET);
}

/* As much of the message as the buffer takes; called again when it has drained. */
static void
fill(struct smtp_backend *b)
{
	struct buf *out = conn_out(b->conn);

	while (b->piece < b->npieces) {
		const struct trace_piece *p = &b->pieces[b->piece];
		struct slice rest = slice_part(b->message, p->from + b->piece_done, p->len - b->piece_done);

		b->piece_done += dot_write(&b->dot, rest, out);
		if (b->piece_done < p->len)
			return;
		b->piece++;
		b->piece_done = 0;
	}
	if (!b->dot_sent)
		b->dot_sent = dot_finish(&b->dot, out);
}

static void
on_drained(void *owner)
{
	struct smtp_backend *b = owner;

	if (b->phase != PHASE_BODY || b->dot_sent)
		return;
	timer_set(&b->deadline, b->backend->conf->data_timeout);
	fill(b);
}

void
smtp_backend_body(struct smtp_backend *b, struct slice headers, struct slice message,
    const struct trace_piece *pieces, size_t npieces, unsigned nrcpts)
{
	b->phase = PHASE_BODY;
	b->message = message;
	b->pieces = pieces;
	b->npieces = npieces;
	b->piece = b->piece_done = 0;
	b->dot = (struct dot_writer){ false };
	b->dot_sent = false;
	b->body_replies = b->backend->conf->protocol == CONF_LMTP ? nrcpts : 1;
	order(b, ORDER_BODY);
	/* Our fields never begin with a dot and end in CR LF: they need no stuffing. */
	buf_put(conn_out(b->conn), headers);
	fill(b);
}

void
smtp_backend_quit(struct smtp_backend **bp)
{
	struct smtp_backend *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	if (b->conn == NULL || b->phase != PHASE_READY) {
		release(b);
		return;
	}
	/* Nobody waits for the 221: Postfix's own client does not either (smtp_skip_quit_response). */
	buf_puts(conn_out(b->conn), "QUIT\r\n");
	conn_bye(&b->conn);
	release(b);
}

void
smtp_backend_drop(struct smtp_backend **bp)
{
	if (*bp != NULL)
		release(*bp);
	*bp = NULL;
}
