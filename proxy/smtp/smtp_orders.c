#include <string.h>

#include "proxy/base/log.h"
#include "proxy/smtp/smtp_backend_int.h"
#include "proxy/smtp/smtp_identity.h"

/* RFC 2920 section 3.1: nothing may be said behind these before they are answered. We say nothing in front of
 * them either: what they do depends on the answers. */
static bool
stands_alone(int what)
{
	return what == ORDER_AUTH || what == ORDER_TEXT || what == ORDER_DATA || what == ORDER_BODY;
}

/* A server that does not offer PIPELINING hears one order when it has answered the one before. */
static bool
may_say(const struct smtp_backend *b)
{
	if (b->phase != PHASE_READY || b->nsent == b->norders)
		return false;
	if (b->nsent == 0)
		return true;
	return smtp_backend_pipelines(b) && !stands_alone(b->orders[b->nsent - 1].what) &&
	       !stands_alone(b->orders[b->nsent].what);
}

/* The words of what was sent are needed no more. */
static void
forget_said(struct smtp_backend *b)
{
	for (unsigned i = 0; i < b->nsent; i++)
		b->orders[i].len = 0;
	buf_eat(&b->words, b->said);
	b->said = 0;
	if (buf_len(&b->words) == 0)
		buf_secret(&b->words, false);
}

static void
note_said(struct smtp_backend *b, int what)
{
	b->wire.clean = what == ORDER_RSET || (b->wire.clean && what != ORDER_MAIL);
	timer_set(&b->deadline, b->backend->conf->command_timeout);
	if (what == ORDER_BODY)
		smtp_send_begin(b);
}

void
smtp_orders_flush(struct smtp_backend *b)
{
	while (may_say(b)) {
		struct smtp_order_row *row = &b->orders[b->nsent];

		b->early |= b->nsent == 0 && buf_len(conn_in(b->wire.conn)) > 0;
		if (!buf_put(conn_out(b->wire.conn), slice_part(buf_slice(&b->words), b->said, row->len)))
			return;		/* it goes on when that has drained */
		b->said += row->len;
		b->nsent++;
		if (!b->fresh)
			forget_said(b);
		note_said(b, row->what);
	}
}

void
smtp_orders_push(struct smtp_backend *b, int what, size_t len)
{
	if (b->phase == PHASE_OVER)
		return;
	if (b->norders == ORDERS_ROOM || (len == 0 && what != ORDER_BODY)) {
		smtp_backend_fail_soon(b, "more orders at once than there is room for");
		return;
	}
	b->orders[b->norders++] = (struct smtp_order_row){ .what = (uint8_t)what, .len = (uint32_t)len };
	smtp_orders_flush(b);
}

/* What the new server has not got that the old one had, or says otherwise, may stand in the words already. */
static bool
can_do_the_same(const struct backend_caps *now, const struct backend_caps *then)
{
	return (then->extensions & ~now->extensions) == 0;
}

void
smtp_orders_replay(struct smtp_backend *b)
{
	bool same_xforward = b->wire.caps.xforward == b->old_caps.xforward;
	struct slice words = buf_slice(&b->words);
	struct buf again;
	unsigned n = 0;
	size_t at = 0;

	b->replay = false;
	if (!can_do_the_same(&b->wire.caps, &b->old_caps)) {
		smtp_backend_fail_soon(b, "the server can do less than when its last session began");
		return;
	}
	buf_init(&again, WORDS_MAX);
	for (unsigned i = 0; i < b->norders; i++) {
		struct smtp_order_row row = b->orders[i];

		if (row.what != ORDER_RSET && (row.what != ORDER_XFORWARD || same_xforward)) {
			buf_put(&again, slice_part(words, at, row.len));
			b->orders[n++] = row;
		}
		at += row.len;
	}
	b->norders = n;
	b->said = 0;
	buf_free(&b->words);
	b->words = again;
}

/* A row is done: it leaves the queue. */
static int
pop(struct smtp_backend *b)
{
	int what = b->orders[0].what;

	buf_eat(&b->words, b->orders[0].len);	/* it will not be said again */
	b->said -= b->orders[0].len;
	b->norders--;
	b->nsent--;
	memmove(b->orders, b->orders + 1, b->norders * sizeof(b->orders[0]));
	if (b->nsent == 0)
		timer_stop(&b->deadline);
	else
		timer_set(&b->deadline, b->backend->conf->command_timeout);
	return what;
}

/* What a reply tells about the session, whoever it is for. */
static void
note_reply(struct smtp_backend *b, int what)
{
	int class = smtp_reply_class(&b->reply);

	if (b->reply.code == 421)
		b->wire.worn = true;
	if (what == ORDER_RCPT || (what == ORDER_MAIL && class != 2))
		b->wire.refused = class == 2 ? 0 : b->wire.refused + 1;
	if (what == ORDER_AUTH)
		buf_secret(conn_out(b->wire.conn), false);
	if (what == ORDER_BODY)
		b->wire.messages++;
	/* What state it is in after it refused a message differs between servers. In LMTP one recipient's refusal is
	 * nothing unusual. */
	if ((what == ORDER_DATA || (what == ORDER_BODY && b->backend->conf->protocol != CONF_LMTP)) && class != 2)
		b->wire.worn = true;
}

static void
pass_on(struct smtp_backend *b, int what)
{
	struct smtp_reply reply = b->reply;

	/* The owner may end this session while it reads. */
	smtp_reply_init(&b->reply);
	if (b->ops != NULL)
		b->ops->reply(b->owner, (enum smtp_order)what, &reply);
	smtp_reply_free(&reply);
}

static void
xforward_refused(struct smtp_backend *b)
{
	char why[120];

	smtp_reply_text(&b->reply, why, sizeof(why));
	if (!(b->backend->told & BACKEND_TOLD_XFORWARD))
		log_warn("backend %s: XFORWARD was refused: %s; mail goes on without", b->backend->conf->name, why);
	b->backend->told |= BACKEND_TOLD_XFORWARD;
}

/* 354 to DATA: the message may come. */
static void
data_answered(struct smtp_backend *b)
{
	pop(b);
	memmove(b->orders + 1, b->orders, b->norders * sizeof(b->orders[0]));
	b->orders[0] = (struct smtp_order_row){ .what = ORDER_BODY };
	b->norders++;
	b->nsent = 1;
	smtp_send_begin(b);
}

/* A message for several recipients has several replies in LMTP (RFC 2033 section 4.2). */
static bool
more_to_come(struct smtp_backend *b)
{
	if (b->orders[0].what != ORDER_BODY || --b->body_replies == 0)
		return false;
	timer_set(&b->deadline, b->backend->conf->data_timeout);
	return true;
}

void
smtp_orders_answered(struct smtp_backend *b)
{
	int what = b->orders[0].what;

	if (b->phase == PHASE_BODY && !b->out) {
		smtp_backend_say_why(b);	/* in the middle of the message; it never gets its end */
		return;
	}
	if (b->nsent == 0 || b->early) {
		smtp_backend_trouble(b, b->reply.code == 421 ? "421 service not available" : "a reply that nobody asked for");
		return;
	}
	if (b->fresh && (b->reply.code == 421 || (what == ORDER_RSET && smtp_reply_class(&b->reply) != 2))) {
		smtp_backend_say_why(b);
		return;
	}
	if (b->fresh && what != ORDER_RSET && what != ORDER_XFORWARD) {
		b->fresh = false;
		forget_said(b);
	}
	if (what == ORDER_DATA && b->reply.code == 354) {
		data_answered(b);
		return;
	}
	note_reply(b, what);
	if (!more_to_come(b)) {
		pop(b);
		if (b->phase == PHASE_BODY) {
			b->phase = PHASE_READY;
			b->out = false;		/* what became of it is known */
		}
	}
	if (what == ORDER_RSET && smtp_reply_class(&b->reply) != 2) {
		smtp_backend_trouble(b, "RSET was refused");
		return;
	}
	if (what == ORDER_XFORWARD && smtp_reply_class(&b->reply) != 2)
		xforward_refused(b);
	smtp_orders_flush(b);
	if (what < ORDER_RSET)
		pass_on(b, what);
	else
		smtp_pool_rested(b);
}

/* Puts a line's parts into `words`; its octets, 0 when there is no room. */
static size_t
put_words(struct smtp_backend *b, const char *verb, struct slice one, struct slice two)
{
	size_t before = buf_len(&b->words);

	if (buf_room(&b->words) < strlen(verb) + one.len + two.len + 4)
		return 0;
	buf_puts(&b->words, verb);
	if (one.len > 0 && verb[0] != '\0')
		buf_putc(&b->words, ' ');
	buf_put(&b->words, one);
	if (two.len > 0)
		buf_putc(&b->words, ' ');
	buf_put(&b->words, two);
	buf_puts(&b->words, "\r\n");
	return buf_len(&b->words) - before;
}

/* The buffers that it passes through are wiped. */
static void
say_secret(struct smtp_backend *b, const char *verb, struct slice one, struct slice two)
{
	buf_secret(&b->words, true);
	if (b->wire.conn != NULL)
		buf_secret(conn_out(b->wire.conn), true);
	smtp_orders_push(b, ORDER_AUTH, put_words(b, verb, one, two));
}

void
smtp_backend_auth(struct smtp_backend *b, struct slice mechanism, struct slice initial)
{
	say_secret(b, "AUTH", mechanism, initial);
}

void
smtp_backend_auth_more(struct smtp_backend *b, struct slice line)
{
	say_secret(b, "", line, (struct slice){ NULL, 0 });
}

void
smtp_backend_text(struct smtp_backend *b, const char *verb, struct slice args)
{
	smtp_orders_push(b, ORDER_TEXT, put_words(b, verb, args, (struct slice){ NULL, 0 }));
}

void
smtp_backend_reset(struct smtp_backend *b)
{
	struct slice none = { NULL, 0 };

	b->reset_due = false;
	smtp_orders_push(b, ORDER_RSET, put_words(b, "RSET", none, none));
}

/* Who the client of this message is, for a server that takes it (a new one each time: RSET and the end of a
 * transaction undo it). */
static void
say_xforward(struct smtp_backend *b, struct slice id)
{
	struct buf lines;
	struct slice rest;

	buf_init(&lines, IDENTITY_ROOM);
	identity_say(&lines, "XFORWARD", smtp_backend_caps(b)->xforward, &b->client, id);
	rest = buf_slice(&lines);
	while (rest.len > 0) {
		struct slice line = slice_cut(&rest, '\n');

		line.len++;
		smtp_orders_push(b, ORDER_XFORWARD, buf_put(&b->words, line) ? line.len : 0);
	}
	buf_free(&lines);
}

void
smtp_backend_mail(struct smtp_backend *b, const struct smtp_mail *mail, struct slice id)
{
	struct smtp_mail ours = *mail;	/* what it points at stays the caller's */
	size_t before;

	if (b->reset_due)
		smtp_backend_reset(b);
	/* RFC 1870 section 5: a message that turns out larger than was declared may be refused. */
	if (ours.size > 0)
		ours.size += SMTP_HEADERS_ALLOWANCE;
	if (b->backend->conf->identity == CONF_IDENTITY_XFORWARD && !b->probe)
		say_xforward(b, id);
	before = buf_len(&b->words);
	smtp_mail_say(&ours, smtp_backend_caps(b), &b->words);
	smtp_orders_push(b, ORDER_MAIL, buf_len(&b->words) - before);
}

void
smtp_backend_rcpt(struct smtp_backend *b, const struct smtp_to *to)
{
	size_t before = buf_len(&b->words);

	smtp_to_say(to, smtp_backend_caps(b), &b->words);
	smtp_orders_push(b, ORDER_RCPT, buf_len(&b->words) - before);
}

unsigned
smtp_backend_outstanding(const struct smtp_backend *b)
{
	return b->norders;
}
