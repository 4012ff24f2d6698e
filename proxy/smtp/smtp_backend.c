#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/b64.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/net/proxyproto.h"
#include "proxy/sasl/plain.h"
#include "proxy/smtp/smtp_backend_int.h"
#include "proxy/smtp/smtp_ehlo.h"
#include "proxy/smtp/smtp_identity.h"

static const char *const phase_words[] = {
	[PHASE_SLOT] = "waiting for one of max-sessions",
	[PHASE_DIAL] = "connecting",
	[PHASE_GREETING] = "waiting for the greeting",
	[PHASE_EHLO] = "EHLO",
	[PHASE_STARTTLS] = "STARTTLS",
	[PHASE_TLS] = "the TLS handshake",
	[PHASE_EHLO_TLS] = "EHLO after TLS",
	[PHASE_XCLIENT] = "XCLIENT",
	[PHASE_EHLO_XCLIENT] = "EHLO after XCLIENT",
	[PHASE_AUTH] = "our AUTH",
	[PHASE_READY] = "a command",
	[PHASE_BODY] = "sending the message",
	[PHASE_OVER] = "a command",
};

static void on_up(void *), on_input(void *), on_drained(void *), on_lost(void *, const char *), on_tell_ready(void *);
static const struct conn_ops conn_calls = { on_up, on_input, on_drained, on_lost };

static void
release(struct smtp_backend *b)
{
	smtp_pool_forget(b);
	backend_await_no_more(&b->names);
	loop_forget(b->loop, &b->tell_ready);
	conn_close(&b->wire.conn);
	timer_stop(&b->deadline);
	smtp_reply_free(&b->reply);
	buf_free(&b->words);
	buf_free(&b->xclient);
	free(b->helo);
	free(b->login);
	free(b->id);
	loop_free_later(b->loop, b);
}

/* Ends the session and tells the owner, unless it has gone already. */
static void
fail(struct smtp_backend *b, const char *why)
{
	const struct smtp_backend_ops *ops = b->ops;
	void *owner = b->owner;
	char text[256];

	if (b->phase == PHASE_DIAL || b->phase == PHASE_OVER)
		snprintf(text, sizeof(text), "%s", why);
	else
		snprintf(text, sizeof(text), "%s (%s)", why, phase_words[b->phase]);
	if (ops == NULL)
		log_debug("backend %s: a kept session ends: %s", b->backend->conf->name, text);
	release(b);
	if (ops != NULL)
		ops->failed(owner, text, b->out);
}

/* Before the owner was told "ready" another address may still do. */
static void
address_failed(struct smtp_backend *b, const char *why)
{
	snprintf(b->trouble, sizeof(b->trouble), "%.100s (%s)", why, phase_words[b->phase]);
	backend_failed(b->backend, b->wire.place, b->trouble);
	conn_close(&b->wire.conn);
	smtp_reply_free(&b->reply);
	smtp_backend_dial(b);
}

/* A kept wire has gone before it answered: whatever it was asked is asked again on a new one. */
static void
replace(struct smtp_backend *b, const char *why)
{
	log_debug("backend %s: a kept session was gone (%s), another is opened", b->backend->conf->name, why);
	conn_close(&b->wire.conn);
	smtp_reply_free(&b->reply);
	b->fresh = b->early = b->reset_due = false;
	b->replay = true;
	b->old_caps = b->wire.caps;
	b->nsent = 0;
	smtp_backend_dial(b);
}

void
smtp_backend_trouble(struct smtp_backend *b, const char *why)
{
	if (b->phase < PHASE_READY)
		address_failed(b, why);
	else if (b->fresh && b->ops != NULL)
		replace(b, why);
	else
		fail(b, why);
}

void
smtp_backend_fail_soon(struct smtp_backend *b, const char *why)
{
	conn_close(&b->wire.conn);
	snprintf(b->trouble, sizeof(b->trouble), "%.150s", why);
	b->phase = PHASE_OVER;
	timer_set(&b->deadline, 0);
}

void
smtp_backend_say_why(struct smtp_backend *b)
{
	char why[160];

	smtp_reply_text(&b->reply, why, 120);
	smtp_backend_trouble(b, why);
}

/* The next one that was not tried yet; a client's own destination is the only one. */
static const struct addr *
next_address(struct smtp_backend *b)
{
	const struct addr *to = NULL;

	b->wire.place = 0;
	if (!b->backend->conf->original)
		to = backend_address(b->backend, b->tried, &b->wire.place);
	else if (b->tried == 0 && b->original.len > 0)
		to = &b->original;
	if (to != NULL)
		b->tried |= UINT64_C(1) << b->wire.place;
	return to;
}

static bool
says_proxy(const struct smtp_backend *b)
{
	enum conf_identity identity = b->backend->conf->identity;

	return identity == CONF_IDENTITY_PROXY_V1 || identity == CONF_IDENTITY_PROXY_V2;
}

/* *asked: it is the server's fault if this fails. */
static struct conn *
dial(struct smtp_backend *b, const struct addr *to, bool *asked, struct err *err)
{
	bool they_begin = b->backend->conf->tls_mode != CONF_TLS_IMPLICIT && !says_proxy(b);
	int fd;

	*asked = true;
	if (b->source.len == 0 && b->backend->conf->original)
		return conn_dial(b->loop, to, they_begin, &conn_calls, b, err);
	if (b->source.len == 0)
		return backend_dial(b->backend, b->wire.place, they_begin, &conn_calls, b, err);
	fd = flagged_connect(b->client.flagged, &b->source, b->client.same_port, to, asked, err);
	return fd != -1 ? conn_dialed(b->loop, fd, they_begin, &conn_calls, b) : NULL;
}

void
smtp_backend_dial(struct smtp_backend *b)
{
	const struct addr *to;
	struct err err = { "" };
	bool asked;

	b->phase = PHASE_DIAL;
	b->wire = (struct smtp_wire){ .opened = loop_now(b->loop), .clean = true };
	if (backend_pending(b->backend)) {
		timer_set(&b->deadline, b->backend->conf->connect_timeout);
		backend_await(b->backend, &b->names);
		return;
	}
	while ((to = next_address(b)) != NULL) {
		b->wire.addr = *to;
		timer_set(&b->deadline, b->backend->conf->connect_timeout);
		b->wire.conn = dial(b, to, &asked, &err);
		if (b->wire.conn != NULL)
			return;
		snprintf(b->trouble, sizeof(b->trouble), "%.150s", err.text);
		if (asked)
			backend_failed(b->backend, b->wire.place, err.text);
	}
	if (b->trouble[0] == '\0')
		snprintf(b->trouble, sizeof(b->trouble), "%.150s", backend_trouble(b->backend));
	timer_set(&b->deadline, 0);	/* the owner hears of it, but never inside the call that opened us */
}

static void
on_deadline(void *owner)
{
	struct smtp_backend *b = owner;

	if (b->phase == PHASE_SLOT) {
		snprintf(b->trouble, sizeof(b->trouble), "all of its max-sessions %u are in use", b->backend->conf->max_sessions);
		fail(b, b->trouble);
	} else if (b->wire.conn == NULL) {
		fail(b, b->trouble[0] != '\0' ? b->trouble : backend_trouble(b->backend));
	} else if (b->phase == PHASE_DIAL && conn_stands(b->wire.conn)) {
		b->phase = PHASE_GREETING;	/* up() waits for its first octets; they may take longer than connecting */
		timer_set(&b->deadline, b->backend->conf->command_timeout);
	} else if (b->phase == PHASE_BODY && smtp_send_progress(b)) {
		timer_set(&b->deadline, b->backend->conf->data_timeout);
	} else {
		b->fresh = false;		/* it is there, and slow: the next one would be, too */
		smtp_backend_trouble(b, "no answer in time");
	}
}

/* The DNS has answered, or will not. */
static void
on_names(void *owner)
{
	smtp_backend_dial(owner);
}

static char *
copy(struct slice s)
{
	return s.len > 0 ? mem_slice(s) : NULL;
}

static void
copy_client(struct smtp_backend *b, const struct smtp_client *client)
{
	b->client = *client;
	b->own = client->own;
	if (client->original != NULL)
		b->original = *client->original;
	if (client->source != NULL)
		b->source = *client->source;
	b->client.original = b->client.source = NULL;
	b->helo = copy(client->helo);
	b->login = copy(client->login);
	b->id = copy(client->id);
	b->client.helo = slice_of(b->helo);
	b->client.login = slice_of(b->login);
	b->client.id = slice_of(b->id);
}

struct smtp_backend *
smtp_backend_new(struct loop *loop, struct backend *backend, const struct smtp_client *client,
    const struct smtp_backend_ops *ops, void *owner)
{
	struct smtp_backend *b = mem_new(sizeof(*b));

	b->loop = loop;
	b->backend = backend;
	b->ops = ops;
	b->owner = owner;
	b->probe = client == NULL;
	if (client != NULL)
		copy_client(b, client);
	smtp_reply_init(&b->reply);
	buf_init(&b->words, WORDS_MAX);
	buf_init(&b->xclient, IDENTITY_ROOM);
	timer_init(&b->deadline, loop, on_deadline, b);
	b->names = (struct backend_waiter){ .known = on_names, .owner = b };
	b->tell_ready = (struct loop_task){ .run = on_tell_ready, .owner = b };
	return b;
}

struct smtp_backend *
smtp_backend_open(struct loop *loop, struct backend *backend, const struct smtp_client *client,
    const struct smtp_backend_ops *ops, void *owner)
{
	struct smtp_backend *b = smtp_backend_new(loop, backend, client, ops, owner);

	smtp_backend_dial(b);
	return b;
}

/* While a wire that was gone is replaced the new one must become able to do what the old one was. */
const struct backend_caps *
smtp_backend_caps(const struct smtp_backend *b)
{
	return b->replay ? &b->old_caps : &b->wire.caps;
}

const struct addr *
smtp_backend_addr(const struct smtp_backend *b)
{
	return &b->wire.addr;
}

bool
smtp_backend_pipelines(const struct smtp_backend *b)
{
	return (smtp_backend_caps(b)->extensions & CONF_EXT_PIPELINING) != 0;
}

static void
wait_in(struct smtp_backend *b, enum phase phase)
{
	b->phase = phase;
	timer_set(&b->deadline, b->backend->conf->command_timeout);
}

/* A name that can be said as it is. */
static bool
is_plain_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]", name.at[i]) == NULL)
			return false;
	return name.len > 0 && name.len <= 255;
}

static void
say_hello(struct smtp_backend *b, enum phase phase)
{
	const char *verb = b->backend->conf->protocol == CONF_LMTP ? "LHLO" : b->wire.helo ? "HELO" : "EHLO";
	const char *name = b->backend->hostname;

	/* Behind XCLIENT it is the client that speaks: Postfix takes this name for the client's, whatever HELO= said. */
	if (phase == PHASE_EHLO_XCLIENT && is_plain_name(b->client.helo))
		name = b->helo;
	buf_printf(conn_out(b->wire.conn), "%s %s\r\n", verb, name);
	wait_in(b, phase);
}

static void
start_tls(struct smtp_backend *b)
{
	struct err err = { "" };

	b->phase = PHASE_TLS;
	timer_set(&b->deadline, b->backend->conf->connect_timeout);
	if (conn_starttls(b->wire.conn, b->backend->tls, backend_name(b->backend, b->wire.place), &err) == -1)
		smtp_backend_trouble(b, err.text);
}

/* In front of everything, TLS included. Version 1 has no word for a connection of our own that Postfix would take
 * (it hangs up on UNKNOWN): a health check names itself as its client. */
static void
say_proxy(struct smtp_backend *b)
{
	struct buf *out = conn_out(b->wire.conn);
	struct addr from = b->client.peer, to = b->client.local;

	if (b->probe) {
		conn_local(b->wire.conn, &from);
		conn_peer(b->wire.conn, &to);
	}
	if (b->backend->conf->identity == CONF_IDENTITY_PROXY_V1)
		proxyproto_v1(out, &from, &to);
	else
		proxyproto_v2(out, b->probe ? NULL : &from, &to);
}

static void
on_up(void *owner)
{
	struct smtp_backend *b = owner;
	bool implicit = b->backend->conf->tls_mode == CONF_TLS_IMPLICIT;

	if (b->phase == PHASE_DIAL && says_proxy(b))
		say_proxy(b);
	if (b->phase == PHASE_DIAL && implicit)
		start_tls(b);
	else if (b->phase == PHASE_TLS && !implicit)
		say_hello(b, PHASE_EHLO_TLS);	/* what was offered in the clear no longer counts (RFC 3207 section 4.2) */
	else
		wait_in(b, PHASE_GREETING);
}

/* Said once for each backend, however many sessions see it. */
static void
complain(struct smtp_backend *b, unsigned about, const char *what)
{
	if (b->backend->told & about)
		return;
	b->backend->told |= about;
	log_warn("backend %s: %s; mail goes on without", b->backend->conf->name, what);
}

static void
get_ready(struct smtp_backend *b)
{
	b->phase = PHASE_READY;
	timer_stop(&b->deadline);
	backend_worked(b->backend, b->wire.place, &b->wire.caps);
	if (b->backend->conf->identity == CONF_IDENTITY_XFORWARD && b->wire.caps.xforward == 0)
		complain(b, BACKEND_TOLD_XFORWARD, "it does not offer XFORWARD to us (Postfix: smtpd_authorized_xforward_hosts)");
	if (b->replay)
		smtp_orders_replay(b);
	if (b->phase != PHASE_READY)
		return;
	if (!b->announced) {
		b->announced = true;
		b->ops->ready(b->owner);
	} else {
		smtp_orders_flush(b);
	}
}

static void
on_tell_ready(void *owner)
{
	struct smtp_backend *b = owner;

	if (b->phase == PHASE_READY && !b->announced) {
		b->announced = true;
		b->ops->ready(b->owner);
	}
}

/* AUTH PLAIN with its initial response (RFC 4954 section 4, RFC 4616). */
static bool
say_plain(struct smtp_backend *b)
{
	const struct conf_backend *conf = b->backend->conf;
	struct slice password = { conf->login_password.bytes, conf->login_password.len };
	struct sasl_plain words = { .user = slice_of(conf->login_user), .password = slice_cut(&password, '\n') };
	struct buf raw, *out = conn_out(b->wire.conn);
	bool fits;

	if (words.password.len > 0 && words.password.at[words.password.len - 1] == '\r')
		words.password.len--;
	buf_init(&raw, 1024);
	buf_secret(&raw, true);
	buf_secret(out, true);
	fits = sasl_plain_write(&raw, &words) && buf_puts(out, "AUTH PLAIN ") && b64_encode(out, buf_slice(&raw)) &&
	       buf_puts(out, "\r\n");
	buf_free(&raw);
	return fits;
}

/* Our own name and password, where they are configured; the client's own AUTH comes instead of them. */
static void
log_in(struct smtp_backend *b)
{
	if (b->backend->conf->login_user == NULL || b->own)
		get_ready(b);
	else if (!b->wire.caps.tls)
		smtp_backend_trouble(b, "our password is not said without TLS: set tls-mode require or implicit");
	else if (!(b->wire.caps.mechanisms & CONF_MECH_PLAIN))
		smtp_backend_trouble(b, "the server offers no AUTH PLAIN, which login-user needs");
	else if (!say_plain(b))
		smtp_backend_trouble(b, "login-user and login-password are too long");
	else
		wait_in(b, PHASE_AUTH);
}

/* The next of the commands that XCLIENT takes; its 220 is the server's greeting again. */
static void
say_xclient(struct smtp_backend *b)
{
	struct slice rest = buf_slice(&b->xclient), line = slice_cut(&rest, '\n');

	buf_put(conn_out(b->wire.conn), (struct slice){ line.at, line.len + 1 });
	buf_eat(&b->xclient, line.len + 1);
	wait_in(b, PHASE_XCLIENT);
}

/* Capabilities are known, TLS stands where it is wanted: who the client is, then who we are. */
static void
introduce(struct smtp_backend *b)
{
	bool told = b->probe || b->backend->conf->identity != CONF_IDENTITY_XCLIENT;

	buf_clear(&b->xclient);
	if (!told && identity_say(&b->xclient, "XCLIENT", b->wire.caps.xclient, &b->client, b->client.id) > 0) {
		say_xclient(b);
		return;
	}
	if (!told)
		complain(b, BACKEND_TOLD_XCLIENT, "it does not offer XCLIENT to us (Postfix: smtpd_authorized_xclient_hosts)");
	log_in(b);
}

static void
hello_answered(struct smtp_backend *b)
{
	enum conf_tls_mode mode = b->backend->conf->tls_mode;
	bool inside = mode == CONF_TLS_IMPLICIT || b->phase == PHASE_EHLO_TLS ||
		      (b->phase == PHASE_EHLO_XCLIENT && b->wire.caps.tls);
	bool starttls;

	smtp_ehlo_read(&b->reply, &b->wire.caps);
	if (b->wire.helo)
		b->wire.caps = (struct backend_caps){ 0 };
	b->wire.caps.tls = inside;
	starttls = (b->wire.caps.extensions & CONF_EXT_STARTTLS) != 0;
	if (b->phase == PHASE_EHLO_XCLIENT) {
		log_in(b);
	} else if (inside || mode == CONF_TLS_NONE || (mode == CONF_TLS_OFFER && !starttls)) {
		introduce(b);
	} else if (!starttls) {
		smtp_backend_trouble(b, "the server offers no STARTTLS, which tls-mode requires");
	} else {
		buf_puts(conn_out(b->wire.conn), "STARTTLS\r\n");
		wait_in(b, PHASE_STARTTLS);
	}
}

/* A server older than RFC 1869 knows no EHLO, and mail has to reach it all the same (RFC 5321
 * section 3.2). Where TLS is required it is of no use. */
static bool
try_helo(struct smtp_backend *b)
{
	const struct conf_backend *conf = b->backend->conf;

	if (b->phase != PHASE_EHLO || b->wire.helo || conf->protocol != CONF_SMTP || smtp_reply_class(&b->reply) != 5 ||
	    conf->tls_mode == CONF_TLS_REQUIRE)
		return false;
	b->wire.helo = true;
	say_hello(b, PHASE_EHLO);
	return true;
}

/* What a refusal means that we can live with. */
static bool
goes_on_without(struct smtp_backend *b)
{
	if (b->phase == PHASE_STARTTLS && b->backend->conf->tls_mode == CONF_TLS_OFFER) {
		introduce(b);		/* TLS where it is to be had; here it is not, just now */
		return true;
	}
	if (b->phase == PHASE_XCLIENT && smtp_reply_class(&b->reply) == 5) {
		complain(b, BACKEND_TOLD_XCLIENT, "it refuses what XCLIENT says");
		log_in(b);		/* what it said to EHLO still holds */
		return true;
	}
	return try_helo(b);
}

/* A reply before we are ready. */
static void
greeting_step(struct smtp_backend *b)
{
	/* What stands behind an answer would be taken for the next command's. Behind that to STARTTLS it was not even
	 * said inside TLS: somebody put it there. */
	if (buf_len(conn_in(b->wire.conn)) > 0) {
		smtp_backend_trouble(b, "octets behind its answer, before it was asked anything more");
		return;
	}
	if (smtp_reply_class(&b->reply) != 2) {
		if (!goes_on_without(b))
			smtp_backend_say_why(b);
		return;
	}
	switch (b->phase) {
	case PHASE_GREETING:
		say_hello(b, PHASE_EHLO);
		break;
	case PHASE_EHLO:
	case PHASE_EHLO_TLS:
	case PHASE_EHLO_XCLIENT:
		hello_answered(b);
		break;
	case PHASE_STARTTLS:
		if (b->reply.code != 220)	/* RFC 3207 section 4: nothing else begins TLS */
			smtp_backend_say_why(b);
		else
			start_tls(b);
		break;
	case PHASE_XCLIENT:
		if (buf_len(&b->xclient) > 0)
			say_xclient(b);
		else
			say_hello(b, PHASE_EHLO_XCLIENT);
		break;
	case PHASE_AUTH:
		buf_secret(conn_out(b->wire.conn), false);
		get_ready(b);
		break;
	default:
		smtp_backend_trouble(b, "a reply that nobody asked for");
		break;
	}
}

static void
on_reply(struct smtp_backend *b)
{
	if (b->phase < PHASE_READY)
		greeting_step(b);
	else
		smtp_orders_answered(b);
}

static void
on_input(void *owner)
{
	struct smtp_backend *b = owner;
	struct conn *conn = b->wire.conn;
	char room[SMTP_REPLY_LINE_MAX];
	struct slice line;

	/* Each step may end the session or this connection, or give it to another session: then b's conn is another
	 * one or none. The memory of both lives till the turn ends. */
	while (b->wire.conn == conn && b->phase != PHASE_TLS)
		switch (line_next(&b->wire.lines, conn_in(conn), room, sizeof(room), &line)) {
		case LINE_MORE:
			if (conn_ended(conn))
				smtp_backend_trouble(b, "the server closed the connection");
			return;
		case LINE_BARE:
		case LINE_TOO_LONG:
			smtp_backend_trouble(b, "the server's reply is no SMTP");
			return;
		case LINE_OK:
			switch (smtp_reply_add(&b->reply, line)) {
			case REPLY_MORE:
				break;
			case REPLY_BAD:
				smtp_backend_trouble(b, "the server's reply is no SMTP");
				return;
			case REPLY_WHOLE:
				on_reply(b);
				if (b->wire.conn == conn)
					smtp_reply_free(&b->reply);
				break;
			}
			break;
		}
}

static void
on_drained(void *owner)
{
	struct smtp_backend *b = owner;

	if (b->phase == PHASE_BODY)
		smtp_send_on(b);
	else if (b->phase == PHASE_READY)
		smtp_orders_flush(b);
}

static void
on_lost(void *owner, const char *why)
{
	struct smtp_backend *b = owner;

	b->wire.conn = NULL;
	smtp_backend_trouble(b, why != NULL ? why : "the server closed the connection");
}

void
smtp_backend_take_wire(struct smtp_backend *b, struct smtp_backend *kept)
{
	b->wire = kept->wire;
	b->slot = kept->slot;
	kept->wire.conn = NULL;
	kept->slot = false;
	conn_pass(b->wire.conn, &conn_calls, b);
	release(kept);
	b->phase = PHASE_READY;
	b->fresh = true;
	b->reset_due = !b->wire.clean;
	timer_stop(&b->deadline);
	loop_at_turn_end(b->loop, &b->tell_ready);
}

void
smtp_backend_quit(struct smtp_backend **bp)
{
	struct smtp_backend *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	/* Nobody waits for the 221: Postfix's own client does not either (smtp_skip_quit_response). */
	if (b->wire.conn != NULL && b->phase == PHASE_READY && buf_puts(conn_out(b->wire.conn), "QUIT\r\n"))
		conn_bye(&b->wire.conn);
	release(b);
}

void
smtp_backend_drop(struct smtp_backend **bp)
{
	if (*bp != NULL)
		release(*bp);
	*bp = NULL;
}
