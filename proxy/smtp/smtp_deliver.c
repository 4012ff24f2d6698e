/* Delivery, in rounds: one transaction with the backend for each set of header fields that recipients get.
 *
 * The transaction that MAIL and RCPT have built up serves the first round when its recipients are
 * the very ones; otherwise RSET, MAIL and the RCPTs are said again, and an answer that has changed is a 451. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

#define CHANGED "451 4.3.0 The mail server has changed its answer, please try again later"
#define LOST    "451 4.4.2 The mail server was lost, please try again later"

static void
round_fate(struct smtp_transaction *t, unsigned from, enum smtp_fate fate, const char *words)
{
	for (unsigned i = from; i < t->nround; i++)
		smtp_set_fate(&t->rcpts[t->round[i]], fate, words);
}

/* From the message's first octet to the server until the ledger knows its answer: should this worker die
 * meanwhile, master says that nobody knows who has it. */
static void
delivering(struct smtp_session *s)
{
	budget_take(s->server->budgets, BUDGET_DELIVERING, s->server->slot, 1, UINT64_MAX);
	s->t->delivering = true;
}

void
smtp_round_left(struct smtp_session *s)
{
	if (s->t->delivering)
		budget_give(s->server->budgets, BUDGET_DELIVERING, s->server->slot, 1);
	s->t->delivering = false;
}

/* What the ledger has to remember until the client has heard: who has the message. */
static void
commit(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	unsigned char (*keys)[8] = mem_array(t->nrcpts, sizeof(*keys));
	struct keeper_commit entry = { .reply = SLICE("") };
	size_t n = 0;

	for (unsigned i = 0; i < t->nround; i++) {
		const struct smtp_rcpt *r = &t->rcpts[t->round[i]];

		if (r->fate != FATE_DELIVERED)
			continue;
		if (n == 0)
			entry.reply = slice_of(r->words);
		smtp_rcpt_key(r, keys[n++]);
	}
	entry.rcpts = (const unsigned char (*)[8])keys;
	entry.nrcpts = n;
	if (n > 0 && s->site->conf->ledger) {
		keeper_ledger_commit(s->server->keeper, &t->key, &entry);	/* said now, or as soon as there is a keeper */
		t->committed = true;
	}
	free(keys);
}

/* Those of this round that have no answer yet get this one, and the next step follows. */
static void
put_off(struct smtp_session *s, const char *words, const char *why)
{
	struct smtp_transaction *t = s->t;

	if (t->answered > 0)		/* LMTP: some have it */
		commit(s);
	smtp_round_left(s);
	round_fate(t, t->answered, FATE_DEFERRED, words);
	t->verdict.word = "defer";
	snprintf(t->verdict.why, sizeof(t->verdict.why), "%s", why);
	t->mail_sent = false;
	t->standing = 0;
	smtp_settle(s);
}

static void
send_message(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	struct smtp_message msg = { buf_slice(&t->headers), spool_bytes(t->spool), t->trace.pieces, t->trace.npieces, t->nround,
		t->mail.body == BODY_BINARYMIME };

	t->round_step = ROUND_SEND;
	delivering(s);
	smtp_backend_send(s->link, &msg);
}

static void
send_rcpts(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	while (t->asked < t->nround && smtp_backend_outstanding(s->link) < SMTP_ORDERS_MAX - 1)
		smtp_backend_rcpt(s->link, &t->rcpts[t->round[t->asked++]].to);
}

static unsigned
round_needs(const struct smtp_transaction *t)
{
	unsigned needs = smtp_mail_needs(&t->mail);

	for (unsigned i = 0; i < t->nround; i++)
		needs |= smtp_to_needs(&t->rcpts[t->round[i]].to);
	return needs;
}

/* MAIL and RCPT are said again. */
static void
replay(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	if (round_needs(t) & ~smtp_backend_caps(s->link)->extensions) {
		put_off(s, "451 4.3.5 The mail server cannot take this extension any more, please try again later",
		    "the backend lacks an extension");
		return;
	}
	t->round_step = ROUND_MAIL;
	smtp_backend_mail(s->link, &t->mail, slice_of(t->id));
	if (smtp_backend_pipelines(s->link))
		send_rcpts(s);
}

void
smtp_round_ready(struct smtp_session *s)
{
	if (s->t->round_step == ROUND_LINK)
		replay(s);
}

static bool
is_in_round(struct smtp_transaction *t, const struct smtp_rcpt *first, const struct smtp_rcpt *r)
{
	const struct smtp_party *a = &t->parties[first->party], *b = &t->parties[r->party];

	return r->fate == FATE_OPEN &&
	       (a == b || t->findings == NULL || profile_same_headers(a->profile, &a->verdict, b->profile, &b->verdict));
}

static void
gather(struct smtp_transaction *t, const struct smtp_rcpt *first)
{
	if (t->round == NULL)
		t->round = mem_array(t->nrcpts, sizeof(*t->round));
	t->nround = t->asked = t->answered = 0;
	for (unsigned i = 0; i < t->nrcpts; i++)
		if (is_in_round(t, first, &t->rcpts[i]))
			t->round[t->nround++] = i;
}

/* Whether the backend's transaction is the one that this round needs. */
static bool
stands(const struct smtp_session *s)
{
	const struct smtp_transaction *t = s->t;

	return s->link != NULL && s->link_ready && t->mail_sent && t->standing == t->nround && t->nround == t->nrcpts;
}

void
smtp_round_begin(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	const struct smtp_rcpt *first = t->rcpts;

	while (first->fate != FATE_OPEN)
		first++;
	gather(t, first);
	t->round_step = ROUND_LINK;
	if (t->broken || smtp_auth_stranded(s)) {
		put_off(s, LOST, t->trouble);
	} else if (!smtp_headers(s, &t->parties[first->party])) {
		put_off(s, "451 4.3.0 Internal error, please try again later", "our headers do not fit");
	} else if (stands(s)) {
		send_message(s);
	} else if (s->link == NULL) {
		smtp_link_take(s, t->backend);
	} else if (s->link_ready) {
		if (t->mail_sent)
			smtp_backend_reset(s->link);
		t->mail_sent = false;
		t->standing = 0;
		replay(s);
	}
}

/* One round is over: the backend has answered for all of it. */
static void
round_over(struct smtp_session *s, bool clean)
{
	struct smtp_transaction *t = s->t;

	t->mail_sent = false;
	t->standing = 0;
	commit(s);
	smtp_round_left(s);
	if (!clean && smtp_is_bound(s))
		smtp_backend_reset(s->link);	/* nobody else gets it anyway */
	else if (!clean)
		smtp_link_give(s, false);
	smtp_settle(s);
}

/* The reply as one line for the client. */
static void
one_line(const struct smtp_reply *reply, char *out, size_t size)
{
	struct buf b;
	struct slice all, line;

	buf_init(&b, 65536);
	smtp_reply_say(reply, &b);
	all = buf_slice(&b);
	line = slice_cut(&all, '\r');
	snprintf(out, size, "%.*s", (int)line.len, line.at);
	if (out[0] != '\0' && out[1] != '\0' && out[2] != '\0' && out[3] == '-')
		out[3] = ' ';
	buf_free(&b);
}

static enum smtp_fate
fate_of(const struct smtp_reply *reply)
{
	return smtp_reply_class(reply) == 2 ? FATE_DELIVERED : smtp_reply_class(reply) == 5 ? FATE_REFUSED : FATE_DEFERRED;
}

static void
keep_answer(struct smtp_transaction *t, const struct smtp_reply *reply, unsigned covered)
{
	smtp_reply_free(&t->answer);
	t->answer.code = reply->code;
	t->answer.lines = reply->lines;
	buf_put(&t->answer.text, buf_slice(&reply->text));
	t->covered = covered;
	smtp_reply_text(reply, t->last_reply, sizeof(t->last_reply));
}

static void
message_answered(struct smtp_session *s, enum smtp_order order, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = s->t;
	bool lmtp = s->link_to->conf->protocol == CONF_LMTP && order == ORDER_BODY;
	char words[500];

	if (smtp_reply_class(reply) == 3 || (order == ORDER_DATA && smtp_reply_class(reply) == 2)) {
		smtp_link_drop(s);
		if (order == ORDER_BODY)
			log_warn("%s: backend: its answer to the message makes no sense; outcome unknown: it may have it", t->id);
		put_off(s, "451 4.3.0 The mail server's answer makes no sense, please try again later", "nonsense from the backend");
		return;
	}
	one_line(reply, words, sizeof(words));
	if (!lmtp) {
		keep_answer(t, reply, t->nround);
		round_fate(t, 0, fate_of(reply), words);
		t->answered = t->nround;
	} else {
		/* RFC 2033 section 4.2: one answer for each recipient. */
		keep_answer(t, reply, 1);
		smtp_set_fate(&t->rcpts[t->round[t->answered++]], fate_of(reply), words);
	}
	t->said_421 |= reply->code == 421;
	if (t->answered == t->nround)
		round_over(s, lmtp || smtp_reply_class(reply) == 2);
}

static void
changed(struct smtp_session *s, const struct smtp_reply *reply)
{
	char text[160], why[200];

	smtp_reply_text(reply, text, sizeof(text));
	snprintf(why, sizeof(why), "the backend's answer has changed: %s", text);
	smtp_link_drop(s);	/* answers to what was ordered already may still be on their way */
	put_off(s, CHANGED, why);
}

void
smtp_round_reply(struct smtp_session *s, enum smtp_order order, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = s->t;

	switch (t->round_step) {
	case ROUND_LINK:
		break;
	case ROUND_MAIL:
		if (smtp_reply_class(reply) != 2) {
			changed(s, reply);
			return;
		}
		t->mail_sent = true;
		t->round_step = ROUND_RCPT;
		send_rcpts(s);
		break;
	case ROUND_RCPT:
		if (smtp_reply_class(reply) != 2) {
			changed(s, reply);
			return;
		}
		send_rcpts(s);
		if (++t->standing == t->nround)
			send_message(s);
		break;
	case ROUND_SEND:
		message_answered(s, order, reply);
		break;
	}
}

void
smtp_round_lost(struct smtp_session *s, const char *why, bool sent)
{
	struct smtp_transaction *t = s->t;

	if (t->question != NULL) {	/* a copy is put into quarantine; a round finds another session */
		log_warn("%s: backend: %s", t->id, why);
		t->mail_sent = false;
		t->standing = 0;
		return;
	}
	/* RFC 1047: behind the dot nobody knows who has it. Twice is better than not at all. */
	log_warn("%s: backend: %s%s", t->id, why, sent ? "; outcome unknown: it may have the message" : "");
	put_off(s, LOST, why);
}
