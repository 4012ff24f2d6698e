/* MAIL and RCPT, live to the backend: each answer is its own, or our refusal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"
#include "proxy/smtp/smtp_verify.h"

static struct smtp_transaction *
transaction_new(struct smtp_session *s)
{
	struct smtp_transaction *t = mem_new(sizeof(*t));

	snprintf(t->id, sizeof(t->id), "%.13s.%u", s->id, ++s->messages % 1000000);
	t->began = loop_now(s->server->loop);
	buf_init(&t->headers, 65536);
	smtp_reply_init(&t->answer);
	return t;
}

static struct smtp_ask *
first_ask(struct smtp_transaction *t)
{
	return &t->asks[t->first_ask];
}

static void
drop_ask(struct smtp_transaction *t)
{
	smtp_to_free(&first_ask(t)->to);
	t->first_ask = (t->first_ask + 1) % SMTP_ASKS_MAX;
	t->nasks--;
}

void
smtp_transaction_end(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	smtp_xforward_end(s);
	if (t == NULL)
		return;
	smtp_round_left(s);
	scan_cancel(&t->ticket);
	keeper_cancel(&t->question);
	smtp_verify_cancel(&t->check);
	timer_stop(&t->park);
	spool_close(&t->spool);
	digest_end(&t->digest, NULL);
	trace_free(&t->trace);
	buf_free(&t->headers);
	smtp_reply_free(&t->answer);
	while (t->nasks > 0)
		drop_ask(t);
	for (size_t i = 0; i < t->nrcpts; i++) {
		smtp_to_free(&t->rcpts[i].to);
		free(t->rcpts[i].words);
	}
	free(t->rcpts);
	free(t->parties);
	free(t->round);
	free(t->findings);
	loop_free_later(s->server->loop, t);
	s->t = NULL;
}

void
smtp_transaction_abort(struct smtp_session *s)
{
	if (s->t != NULL && s->t->mail_sent && s->link != NULL)
		smtp_backend_reset(s->link);
	smtp_transaction_end(s);
	smtp_link_give(s, true);
}

/* The backend was lost: what is asked now and whatever follows hears it. */
static void
break_transaction(struct smtp_transaction *t, const char *why)
{
	t->broken = true;
	snprintf(t->trouble, sizeof(t->trouble), "%s", why);
}

/* Of the servers that a message may go to, the first that is up; else the first that was not tried. */
static struct backend *
next_choice(const struct smtp_session *s, struct smtp_transaction *t)
{
	for (int up = 1; up >= 0; up--)
		for (unsigned i = 0; i < t->nchoices && i < 32; i++) {
			struct backend *b = site_backend(s->site, t->choices[i]);

			if ((t->tried & 1u << i) || (up && !backend_is_up(b)))
				continue;
			t->tried |= 1u << i;
			return b;
		}
	return NULL;
}

static void
choose(struct smtp_session *s, const struct conf_route *route)
{
	struct smtp_transaction *t = s->t;

	t->choices = route->backends;
	t->nchoices = route->nbackends;
	t->tried = 0;
	t->backend = smtp_is_bound(s) ? s->link_to : next_choice(s, t);
}

/* Goes to the backend with what the client's command is about: MAIL first where it has not heard that yet. */
static enum smtp_step
open_backend(struct smtp_session *s)
{
	s->waiting = true;
	if (s->link != NULL && s->link_to != s->t->backend)
		smtp_link_leave(s);
	if (s->link == NULL)
		smtp_link_take(s, s->t->backend);
	else if (s->link_ready)
		smtp_mail_ready(s);
	return STEP_WAIT;
}

/* A spool that had to give way to an older one. */
static void
on_give_up(void *owner)
{
	struct smtp_session *s = owner;

	smtp_refuse_message(s, "421 4.3.1 No room for this message now, please try again later", "gave way to an older message");
	smtp_end(s, NULL, "spool memory is spent");
}

static enum smtp_step
mail_refused(struct smtp_session *s, const char *reply)
{
	smtp_transaction_end(s);
	return reply[0] == '5' ? smtp_refuse(s, reply) : smtp_ok(s, reply);
}

static const char *
reason_against_mail(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = s->t;
	const char *trouble = smtp_mail_read(&t->mail, args, s->offered);
	struct err err = { "" };

	if (trouble == NULL && t->mail.from.mailbox[0] != '\0' && smtp_path_domain(&t->mail.from).len == 0)
		trouble = "501 5.1.7 A sender needs a domain";
	if (trouble == NULL && t->mail.size > smtp_size_limit(s))
		trouble = "552 5.3.4 Message too big";
	if (trouble != NULL)
		return trouble;
	/* Who has not authenticated cannot vouch for who has written it (RFC 4954 section 5). */
	if (t->mail.auth[0] != '\0' && s->user_mech == 0)
		snprintf(t->mail.auth, sizeof(t->mail.auth), "<>");
	t->spool = spool_open(&s->server->spools, t->mail.size, on_give_up, s, &err);
	if (t->spool != NULL)
		return NULL;
	log_warn("%s: %s", t->id, err.text);
	return "452 4.3.1 No room for another message now";
}

enum smtp_step
smtp_mail(struct smtp_session *s, struct slice args)
{
	const struct conf_route *route;
	const char *trouble;

	if (s->listener->max_messages > 0 && s->messages >= s->listener->max_messages)
		return smtp_end(s, "421 4.7.0 Enough messages in one connection, please connect again", "max-messages");
	smtp_auth_leave(s);
	s->t = transaction_new(s);
	trouble = reason_against_mail(s, args);
	if (trouble != NULL)
		return mail_refused(s, trouble);
	route = smtp_only_route(s);
	if (route != NULL || smtp_is_bound(s)) {
		if (route != NULL)
			choose(s, route);
		s->t->backend = smtp_is_bound(s) ? s->link_to : s->t->backend;
		return open_backend(s);
	}
	smtp_enter(s, SMTP_MAIL);
	return smtp_ok(s, "250 2.1.0 Ok");
}

/* What the backend has not got although it was offered: then what it offered when we offered it no longer holds. */
static const char *
lacking(const struct smtp_session *s, unsigned needs)
{
	unsigned lacks = needs & ~smtp_backend_caps(s->link)->extensions;

	if (lacks == 0)
		return NULL;
	log_warn("%s: backend %s no longer offers %s", s->t->id, s->link_to->conf->name, smtp_extension_name(lacks & ~(lacks - 1)));
	return "451 4.3.5 The mail server cannot take this extension any more, please try again later";
}

/* Says what a client's RCPT has come to. */
static void
answer_ask(struct smtp_session *s, const char *reply)
{
	drop_ask(s->t);
	if (reply[0] == '5')
		s->errors++;
	smtp_say(s, "%s", reply);
}

/* What stands in front of the queue and is ours to answer. */
static void
answer_ours(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	while (t->nasks > 0 && first_ask(t)->refusal != NULL)
		answer_ask(s, first_ask(t)->refusal);
}

static void
send_rcpt(struct smtp_session *s, struct smtp_ask *ask)
{
	const char *lacks = lacking(s, smtp_to_needs(&ask->to));

	if (lacks != NULL)
		ask->refusal = lacks;
	else
		smtp_backend_rcpt(s->link, &ask->to);
}

/* An answer was said: a dictionary of names that is tried one by one ends at max-errors. */
static void
go_on(struct smtp_session *s)
{
	if (s->errors > s->listener->max_errors)
		smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	else
		smtp_resume(s);
}

void
smtp_mail_ready(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	const char *lacks;

	if (!s->waiting || t->broken)
		return;
	if (t->mail_sent) {
		send_rcpt(s, first_ask(t));
		s->waiting = false;
		answer_ours(s);
		smtp_resume(s);
		return;
	}
	lacks = lacking(s, smtp_mail_needs(&t->mail));
	if (lacks == NULL) {
		smtp_backend_mail(s->link, &t->mail, slice_of(t->id));
		return;
	}
	smtp_link_give(s, true);
	if (s->state != SMTP_READY) {
		answer_ask(s, lacks);
	} else {
		smtp_say(s, "%s", lacks);
		smtp_transaction_end(s);
	}
	smtp_resume(s);
}

/* All RCPTs that wait hear this, in their turn. */
static void
fail_asks(struct smtp_session *s, const char *refusal)
{
	struct smtp_transaction *t = s->t;

	smtp_verify_cancel(&t->check);
	while (t->nasks > 0) {
		if (first_ask(t)->refusal == NULL)
			first_ask(t)->refusal = refusal;
		answer_ours(s);
	}
}

static void
protocol_broken(struct smtp_session *s)
{
	static const char nonsense[] = "451 4.3.0 The mail server's answer makes no sense, please try again later";

	smtp_link_drop(s);
	break_transaction(s->t, "the mail server's answer makes no sense");
	if (s->t->nasks == 0)
		smtp_say(s, "%s", nonsense);
	fail_asks(s, nonsense);
}

void
smtp_mail_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = s->t;
	bool good = smtp_reply_class(reply) == 2, for_mail = s->state == SMTP_READY;

	t->mail_sent = good;
	if (good && !for_mail) {
		smtp_mail_ready(s);	/* the recipient that made us choose this backend */
		return;
	}
	if (smtp_reply_class(reply) == 3) {
		protocol_broken(s);
	} else {
		if (!good)
			s->errors++;
		if (!smtp_pass_on(s, reply))
			return;
		if (good)
			smtp_enter(s, SMTP_MAIL);
		else if (!for_mail)
			drop_ask(t);
	}
	if (!good && for_mail)
		smtp_transaction_end(s);
	if (!good)
		smtp_link_give(s, true);
	go_on(s);
}

static unsigned
party_of(struct smtp_transaction *t, const struct conf_profile *profile)
{
	for (unsigned i = 0; i < t->nparties; i++)
		if (t->parties[i].profile == profile)
			return i;
	((struct smtp_party *)mem_push(&t->parties, &t->nparties, sizeof(*t->parties)))->profile = profile;
	return (unsigned)t->nparties - 1;
}

static void
take_rcpt(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	struct smtp_ask *ask = first_ask(t);
	struct smtp_rcpt *r = mem_push(&t->rcpts, &t->nrcpts, sizeof(*t->rcpts));

	r->to = ask->to;
	r->party = party_of(t, ask->profile);
	ask->to.orcpt = NULL;
	t->standing++;
	smtp_enter(s, SMTP_RCPT);
}

void
smtp_rcpt_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = s->t;

	if (t == NULL || t->nasks == 0)
		return;
	if (smtp_reply_class(reply) == 3) {
		protocol_broken(s);
		go_on(s);
		return;
	}
	if (smtp_reply_class(reply) == 2)
		take_rcpt(s);
	else
		s->errors++;
	drop_ask(t);
	if (!smtp_pass_on(s, reply))
		return;
	answer_ours(s);
	go_on(s);
}

/* Other recipients' words when the profile says that verdicts must not differ within one message. */
static bool
goes_together(const struct smtp_transaction *t, const struct conf_profile *profile)
{
	const struct conf_profile *first = t->nparties > 0 ? t->parties[0].profile : NULL;

	if (t->nparties == 0 && t->nasks > 0)
		first = t->asks[t->first_ask].profile;
	return t->mail.prdr || first == NULL || first == profile ||
	       (first->split != CONF_SPLIT_DEFER && profile->split != CONF_SPLIT_DEFER);
}

static bool
is_choice(const struct conf_route *r, const struct conf_backend *b)
{
	for (size_t i = 0; i < r->nbackends; i++)
		if (r->backends[i] == b)
			return true;
	return false;
}

bool
smtp_may_relay(const struct smtp_session *s)
{
	return gate_may_relay(s->listener, &s->peer) || (s->user_mech != 0 && s->listener->auth_relays);
}

/* Where this recipient's mail goes, and by which profile it is judged; or why it is refused. */
static const char *
place(struct smtp_session *s, struct smtp_ask *ask)
{
	struct smtp_transaction *t = s->t;
	struct conf_ask who = { .listener = s->listener, .user = slice_of(s->user), .authenticated = s->user_mech != 0,
		.local = smtp_path_local(&ask->to.to), .domain = smtp_path_domain(&ask->to.to) };
	bool none = t->nrcpts == 0 && t->nasks == 0;
	const struct conf_route *route;

	if (who.domain.len == 0 && !slice_iis(who.local, "postmaster"))
		return "501 5.1.3 Syntax: RCPT TO:<address>";
	if (t->broken)
		return "451 4.4.2 The mail server was lost, please try again later";
	if (t->nrcpts + t->nasks >= s->listener->max_recipients || (t->mail.prdr && t->nrcpts + t->nasks >= SMTP_PRDR_MAX))
		return "452 4.5.3 Too many recipients";
	if (smtp_path_is_routed(&ask->to.to) && !smtp_may_relay(s))
		return "550 5.7.1 Relaying denied";
	switch (gate_route(s->site->conf, &s->peer, s->user_mech != 0, &who, &route)) {
	case GATE_RCPT_RELAY_DENIED:
		return "550 5.7.1 Relaying denied";
	case GATE_RCPT_NO_ROUTE:
		return "550 5.1.2 No route to this domain";
	case GATE_RCPT_ROUTE:
		break;
	}
	ask->profile = conf_profile_find(s->site->conf, &who, route);
	if (!goes_together(t, ask->profile))
		return "452 4.5.3 This recipient needs a transaction of its own";
	if (t->backend != NULL && (smtp_is_bound(s) || is_choice(route, t->backend->conf)))
		return NULL;
	if (!none)
		return "452 4.5.3 This recipient needs a transaction of its own";
	/* Another server has MAIL, but no recipient of it stayed. */
	if (t->mail_sent && s->link != NULL)
		smtp_backend_reset(s->link);
	t->mail_sent = false;
	choose(s, route);
	return NULL;
}

static struct smtp_ask *
push_ask(struct smtp_transaction *t, const struct smtp_ask *ask)
{
	struct smtp_ask *at = &t->asks[(t->first_ask + t->nasks++) % SMTP_ASKS_MAX];

	*at = *ask;
	return at;
}

/* Our own answer comes in its turn, behind those that are awaited. */
static enum smtp_step
refuse_rcpt(struct smtp_session *s, struct smtp_ask *ask, const char *refusal)
{
	smtp_to_free(&ask->to);
	if (s->t->nasks == 0)
		return refusal[0] == '5' ? smtp_refuse(s, refusal) : smtp_ok(s, refusal);
	ask->refusal = refusal;
	push_ask(s->t, ask);
	return STEP_NEXT;
}

static enum smtp_step
ask_backend(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	if (!t->mail_sent || s->link == NULL || s->link_to != t->backend)
		return open_backend(s);
	send_rcpt(s, &t->asks[(t->first_ask + t->nasks - 1) % SMTP_ASKS_MAX]);
	answer_ours(s);
	return STEP_NEXT;
}

/* What the server that knows the recipients says of this one. */
static void
on_verified(void *owner, const struct smtp_reply *refusal)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = s->t;

	t->check = NULL;
	if (refusal == NULL) {
		s->waiting = false;
		if (ask_backend(s) == STEP_NEXT)
			smtp_resume(s);
		return;
	}
	s->errors++;
	drop_ask(t);
	if (smtp_pass_on(s, refusal))
		go_on(s);
}

enum smtp_step
smtp_rcpt(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = s->t;
	struct smtp_ask ask = { .refusal = NULL };
	const char *refusal = smtp_to_read(&ask.to, args, s->offered, t->mail.utf8);

	if (refusal == NULL)
		refusal = place(s, &ask);
	if (refusal != NULL)
		return refuse_rcpt(s, &ask, refusal);
	push_ask(t, &ask);
	if (t->backend->conf->verify_at == NULL)
		return ask_backend(s);
	s->waiting = true;
	t->check = smtp_verify_ask(s->server->verify, site_backend(s->site, t->backend->conf->verify_at), t->backend->conf, &ask.to,
	    on_verified, s);
	return STEP_WAIT;
}

/* The next server may do, as long as none has taken MAIL. */
static bool
try_another(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	struct backend *next;

	if (t->mail_sent || s->state >= SMTP_BDAT || smtp_auth_stranded(s) || !s->waiting || s->asking)
		return false;
	next = next_choice(s, t);
	if (next == NULL)
		return false;
	t->backend = next;
	smtp_link_take(s, next);
	return true;
}

/* The link is gone before the message was whole or judged. */
void
smtp_transaction_lost(struct smtp_session *s, const char *why, bool was_ready)
{
	struct smtp_transaction *t = s->t;
	unsigned nasks = t->nasks;

	log_warn("%s: backend: %s", t->id, why);
	if (t->check != NULL && !t->mail_sent)
		return;			/* it is not needed yet */
	if (try_another(s))
		return;
	s->asking = false;
	if (s->state == SMTP_DATA || s->state == SMTP_BDAT || s->state == SMTP_JUDGE) {
		t->parked = true;	/* MAIL and RCPT are said again when there is something to deliver */
		t->mail_sent = false;
		t->standing = 0;
		return;
	}
	if (t->mail_sent || !s->waiting)
		break_transaction(t, why);
	if (!s->waiting && nasks == 0)
		return;
	if (nasks == 0)
		smtp_say(s, "451 4.4.%d The mail server cannot be reached now, please try again later", was_ready ? 2 : 1);
	fail_asks(s, was_ready ? "451 4.4.2 The mail server cannot be reached now, please try again later" :
				 "451 4.4.1 The mail server cannot be reached now, please try again later");
	if (s->state == SMTP_READY)
		smtp_transaction_end(s);
	smtp_resume(s);
}
