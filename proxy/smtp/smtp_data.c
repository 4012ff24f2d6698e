#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

enum smtp_step
smtp_data(struct smtp_session *s, struct slice args)
{
	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 DATA takes no parameter");
	if (s->t.broken) {
		smtp_transaction_abort(s);
		smtp_enter(s, SMTP_READY);
		return smtp_ok(s, "451 4.4.2 The mail server was lost, please try again later");
	}
	if (s->t.nrcpts == 0)
		return smtp_refuse(s, "554 5.5.1 No valid recipients");
	smtp_enter(s, SMTP_DATA);
	conn_expect_much(s->client);
	return smtp_ok(s, "354 End data with <CR><LF>.<CR><LF>");
}

/* The message ends here without reaching the backend. */
static enum smtp_step
end_with(struct smtp_session *s, const char *reply)
{
	smtp_log_message(s, reply);
	smtp_say(s, "%s", reply);
	smtp_transaction_abort(s);
	smtp_enter(s, SMTP_READY);
	return STEP_NEXT;
}

static enum smtp_step
refuse_message(struct smtp_session *s, const char *reply, const char *why)
{
	s->t.verdict.word = reply[0] == '5' ? "refuse" : "defer";
	snprintf(s->t.verdict.why, sizeof(s->t.verdict.why), "%s", why);
	if (reply[0] == '5' && ++s->errors > s->listener->max_errors) {
		smtp_log_message(s, reply);
		return smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	}
	return end_with(s, reply);
}

void
smtp_facts(const struct smtp_session *s, struct facts *f, struct slice *rcpts)
{
	const struct smtp_transaction *t = &s->t;

	*f = (struct facts){
		.id = slice_of(t->id),
		.hostname = slice_of(s->site->conf->hostname),
		.listener = slice_of(s->listener->name),
		.client = s->peer,
		.helo = slice_of(s->helo),
		.esmtp = s->esmtp,
		.tls = slice_of(s->tls),
		.from = smtp_path_mailbox(&t->from),
		.rcpts = rcpts,
		.nrcpts = t->nrcpts,
	};
	for (size_t i = 0; i < t->nrcpts; i++)
		rcpts[i] = smtp_path_mailbox(&t->rcpts[i]);
}

/* The headers that go in front: Received, and what the verdict says. */
static bool
make_headers(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;
	struct slice *rcpts = mem_array(t->nrcpts, sizeof(*rcpts));
	struct facts facts;
	bool fits;

	smtp_facts(s, &facts, rcpts);
	fits = trace_received(&t->headers, &facts, time(NULL));
	free(rcpts);
	return fits && (t->findings == NULL || profile_headers(t->route->profile, t->findings, &t->verdict,
							s->site->conf->hostname, &t->headers));
}

static enum smtp_step
deliver(struct smtp_session *s)
{
	if (s->t.broken || s->link == NULL)
		return refuse_message(s, "451 4.4.2 The mail server was lost, please try again later", s->t.trouble);
	if (!make_headers(s))
		return refuse_message(s, "451 4.3.0 Internal error, please try again later", "our headers do not fit");
	smtp_enter(s, SMTP_DELIVER);
	s->waiting = true;
	smtp_backend_data(s->link);
	return STEP_WAIT;
}

static void
on_findings(void *owner, const struct findings *found, const char *why)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = &s->t;
	enum smtp_step step;

	t->ticket = NULL;
	t->judged_at = loop_now(s->server->loop);
	if (found == NULL) {
		profile_unjudged(&t->verdict, why);
	} else {
		t->findings = mem_new(sizeof(*t->findings));
		*t->findings = *found;
		profile_judge(t->route->profile, found, &t->verdict);
	}
	if (t->verdict.action >= CONF_DEFER)
		step = end_with(s, t->verdict.reply);
	else
		step = deliver(s);
	if (step == STEP_NEXT)
		smtp_resume(s);
}

static enum smtp_step
judge(struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	struct smtp_transaction *t = &s->t;
	struct scan_limits limits = { conf->scan_wait, conf->scan_timeout };
	struct slice *rcpts;
	struct facts facts;

	if (conf->nrules == 0 && !conf->antivirus.on) {
		t->verdict.word = "accept";
		return deliver(s);
	}
	rcpts = mem_array(t->nrcpts, sizeof(*rcpts));
	smtp_facts(s, &facts, rcpts);
	smtp_enter(s, SMTP_JUDGE);
	s->waiting = true;
	t->ticket = scan_submit(s->server->scanners, spool_fd(t->spool), spool_size(t->spool), &facts, limits, on_findings, s);
	free(rcpts);
	return STEP_WAIT;
}

/* The final dot has come. */
static enum smtp_step
message_whole(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;
	struct err err = { "" };

	t->dot_at = loop_now(s->server->loop);
	if (t->dot.faults != 0)
		return refuse_message(s, "550 5.6.0 Message holds a bare CR, a bare LF or a NUL", "malformed lines");
	if (t->too_big)
		return refuse_message(s, "552 5.3.4 Message too big", "too big");
	if (t->no_room)
		return refuse_message(s, "452 4.3.1 No room for this message now", "spool memory is spent");
	if (spool_seal(t->spool, &err) == -1) {
		log_error("%s: %s", t->id, err.text);
		return refuse_message(s, "451 4.3.0 Internal error, please try again later", err.text);
	}
	trace_read(&t->trace, spool_bytes(t->spool), profile_owns_field);
	if (t->trace.starts_blank)
		return refuse_message(s, "550 5.6.0 The first header line begins with a blank", "starts with a blank");
	if (t->trace.too_big)
		return refuse_message(s, "552 5.3.4 Message header too big", "header too big");
	if (t->trace.hops > s->listener->max_hops)
		return refuse_message(s, "554 5.4.6 Too many hops, this looks like a mail loop", "too many hops");
	return judge(s);
}

/* Decoded octets of the message. What cannot be kept is read on and thrown away, up to a bound. */
static void
keep(struct smtp_session *s, struct slice bytes)
{
	struct smtp_transaction *t = &s->t;
	struct err err = { "" };

	t->received += bytes.len;
	if (t->dot.faults != 0 || t->too_big || t->no_room)
		return;
	if (spool_size(t->spool) + bytes.len > s->listener->max_size) {
		t->too_big = true;
	} else if (spool_put(t->spool, bytes, &err) == -1) {
		log_warn("%s: %s", t->id, err.text);
		t->no_room = true;
	}
}

enum smtp_step
smtp_data_input(struct smtp_session *s)
{
	static char decoded[CONN_IN_MAX + 2];
	struct buf *in = conn_in(s->client);
	size_t used, len;
	bool whole;

	if (buf_len(in) == 0)
		return STEP_WAIT;
	whole = dot_read(&s->t.dot, buf_slice(in), &used, decoded, &len);
	buf_eat(in, used);
	s->t.taken_in += used;
	keep(s, (struct slice){ decoded, len });
	if (whole)
		return message_whole(s);
	if (s->t.taken_in > 2 * s->listener->max_size + CONN_IN_MAX) {
		refuse_message(s, "552 5.3.4 Message too big", "too big");
		return smtp_end(s, NULL, "message far too big");
	}
	return STEP_NEXT;
}

/* The transaction is over with this reply of the backend. */
static void
finish(struct smtp_session *s, const struct smtp_reply *reply)
{
	bool close = reply->code == 421;

	smtp_log_message(s, NULL);
	if (s->client != NULL)
		smtp_reply_say(reply, conn_out(s->client));
	if (smtp_reply_class(reply) == 2)
		s->errors = s->junk = 0;
	else
		smtp_link_drop(s);	/* what state it is in then differs between servers */
	smtp_transaction_end(s);
	smtp_enter(s, SMTP_READY);
	if (close)
		smtp_end(s, NULL, "the mail server said 421");
	else
		smtp_resume(s);
}

/* LMTP (RFC 2033 section 4.2): one answer for each recipient. All must agree, or the sender hears
 * 451 and the log names who has the message already. */
static void
lmtp_answer(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = &s->t;
	bool good = smtp_reply_class(reply) == 2;

	if (t->holds == NULL)
		t->holds = mem_array(t->nrcpts, sizeof(*t->holds));
	t->holds[t->replies] = good;
	t->taken += good;
	/* The answer for all is the mildest refusal, or else the first acceptance. */
	if (t->replies == 0 || (!good && (smtp_reply_class(&t->worst) == 2 || reply->code < t->worst.code))) {
		smtp_reply_free(&t->worst);
		t->worst.code = reply->code;
		t->worst.lines = reply->lines;
		buf_put(&t->worst.text, buf_slice(&reply->text));
		smtp_reply_text(reply, t->last_reply, sizeof(t->last_reply));
	}
	if (++t->replies < t->nrcpts)
		return;
	if (t->taken == 0 || t->taken == t->nrcpts) {
		finish(s, &t->worst);
		return;
	}
	t->verdict.word = "defer";
	snprintf(t->verdict.why, sizeof(t->verdict.why), "the recipients' answers differ: %u of %zu have it", t->taken, t->nrcpts);
	smtp_log_holders(s);
	smtp_link_drop(s);
	end_with(s, "451 4.3.0 Not all recipients could be served, please try again later");
	smtp_resume(s);
}

void
smtp_data_reply(struct smtp_session *s, enum smtp_order order, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = &s->t;

	if (order == ORDER_BODY && t->route->backend->protocol == CONF_LMTP && smtp_reply_class(reply) != 3) {
		lmtp_answer(s, reply);
		return;
	}
	smtp_reply_text(reply, t->last_reply, sizeof(t->last_reply));
	if (order == ORDER_DATA && reply->code == 354) {
		smtp_backend_body(s->link, buf_slice(&t->headers), spool_bytes(t->spool), t->trace.pieces, t->trace.npieces,
		    (unsigned)t->nrcpts);
	} else if ((order == ORDER_DATA && smtp_reply_class(reply) < 4) || smtp_reply_class(reply) == 3) {
		/* 250 to DATA, 354 to the dot: whatever it means, the message is not known to be anywhere. */
		smtp_link_drop(s);
		refuse_message(s, "451 4.3.0 The mail server's answer makes no sense, please try again later", "nonsense from the backend");
		smtp_resume(s);
	} else {
		finish(s, reply);
	}
}

void
smtp_data_link_lost(struct smtp_session *s, bool sent)
{
	struct smtp_transaction *t = &s->t;

	/* RFC 1047: behind the dot nobody knows who has it. Twice is better than not at all. */
	log_warn("%s: backend: %s%s", t->id, t->trouble, sent ? "; outcome unknown: it may have the message" : "");
	refuse_message(s, "451 4.4.2 The mail server was lost, please try again later", t->trouble);
	smtp_resume(s);
}
