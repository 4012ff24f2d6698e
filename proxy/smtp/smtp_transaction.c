#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

#define RESERVE_UNSAID (1u << 20)	/* octets set aside for a message whose SIZE was not said */

static void on_ready(void *), on_reply(void *, enum smtp_order, const struct smtp_reply *), on_failed(void *, const char *, bool);
static const struct smtp_backend_ops link_calls = { on_ready, on_reply, on_failed };

void
smtp_transaction_begin(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;

	memset(t, 0, sizeof(*t));
	snprintf(t->id, sizeof(t->id), "%.13s.%u", s->id, ++s->messages % 1000000);
	t->began = loop_now(s->server->loop);
	buf_init(&t->headers, 65536);
	smtp_reply_init(&t->worst);
}

void
smtp_transaction_end(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;

	if (t->id[0] == '\0')
		return;
	scan_cancel(&t->ticket);
	spool_close(&t->spool);
	trace_free(&t->trace);
	buf_free(&t->headers);
	free(t->holds);
	smtp_reply_free(&t->worst);
	free(t->rcpts);
	free(t->findings);
	memset(t, 0, sizeof(*t));
}

void
smtp_link_open(struct smtp_session *s, struct backend *to)
{
	const struct conf_listener *l = s->listener;
	/* A redirected connection has the client's port in the kernel's tables already, from its address to this server. */
	struct smtp_client client = { .original = &s->original, .source = l->keep_source ? &s->peer : NULL,
		.same_port = l->mode == CONF_TPROXY, .flagged = s->server->flagged };

	s->link_ready = false;
	s->link_to = to;
	s->link = smtp_backend_open(s->server->loop, to, &client, &link_calls, s);
}

void
smtp_link_drop(struct smtp_session *s)
{
	smtp_backend_drop(&s->link);
	s->link_to = NULL;
	s->link_ready = false;
}

void
smtp_transaction_abort(struct smtp_session *s)
{
	if (s->t.mail_sent && s->link != NULL)
		smtp_backend_reset(s->link);
	smtp_transaction_end(s);
}

/* The one backend that mail from this client can go to, or NULL when a recipient has to say. */
static struct backend *
only_backend(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	bool relay = gate_may_relay(s->listener, &s->peer);
	const struct conf_backend *only = NULL;

	for (size_t i = 0; i < conf->nroutes; i++) {
		const struct conf_route *r = conf->routes[i];

		if (r->ndomains == 1 && strcmp(r->domains[0], "*") == 0 && !relay)
			continue;
		if (only != NULL && only != r->backend)
			return NULL;
		only = r->backend;
	}
	return only != NULL ? site_backend(s->site, only) : NULL;
}

/* The backend was lost, or could not be had: what is asked now and whatever follows hears it. */
static void
break_transaction(struct smtp_session *s, const char *why)
{
	s->t.broken = true;
	snprintf(s->t.trouble, sizeof(s->t.trouble), "%s", why);
}

/* Sends what the client's command is about: MAIL first where the backend has not heard it yet. */
static void
ask(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;

	if (!t->mail_sent)
		smtp_backend_mail(s->link, smtp_path_mailbox(&t->from), t->size_said, t->eightbit);
	else
		smtp_backend_rcpt(s->link, smtp_path_mailbox(&t->rcpt));
}

static enum smtp_step
ask_backend(struct smtp_session *s)
{
	struct backend *to = s->t.backend;

	s->waiting = true;
	if (s->link != NULL && s->link_to != to)
		smtp_backend_quit(&s->link);
	if (s->link == NULL)
		smtp_link_open(s, to);
	else
		ask(s);
	return STEP_WAIT;
}

/* MAIL's parameters (RFC 1870, RFC 6152). NULL when all is well, else the reply. */
static const char *
read_mail_params(struct smtp_session *s, struct slice rest)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	bool size = false, body = false;
	struct smtp_offer offer;
	size_t n;

	if (!smtp_params_parse(rest, params, &n))
		return "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]";
	for (size_t i = 0; i < n; i++) {
		struct smtp_param *p = &params[i];

		if (s->esmtp && slice_iis(p->key, "SIZE")) {
			if (size || p->value.at == NULL || !slice_number(p->value, &s->t.size_said))
				return "501 5.5.4 Syntax: SIZE=number, once";
			size = true;
		} else if (s->esmtp && slice_iis(p->key, "BODY")) {
			if (body || (!slice_iis(p->value, "7BIT") && !slice_iis(p->value, "8BITMIME")))
				return "501 5.5.4 Syntax: BODY=7BIT or BODY=8BITMIME, once";
			body = true;
			s->t.eightbit = slice_iis(p->value, "8BITMIME");
		} else {
			return "555 5.5.4 Parameter not recognized";
		}
	}
	smtp_offer(s, &offer);
	if (s->t.eightbit && !offer.eightbit)
		return "550 5.6.3 8BITMIME is not offered here";
	return s->t.size_said > offer.size ? "552 5.3.4 Message too big" : NULL;
}

static const char *
path_trouble(enum smtp_path_result r, bool sender)
{
	switch (r) {
	case PATH_OK:
		return NULL;
	case PATH_LONG:
		return sender ? "501 5.1.7 Address too long" : "501 5.1.3 Address too long";
	case PATH_UTF8:
		return sender ? "553 5.6.7 Address needs SMTPUTF8, which is not offered here" :
				"553 5.6.7 Address needs SMTPUTF8, which is not offered here";
	case PATH_SYNTAX:
		break;
	}
	return sender ? "501 5.1.7 Syntax: MAIL FROM:<address>" : "501 5.1.3 Syntax: RCPT TO:<address>";
}

/* "FROM:<...>" or "TO:<...>"; blanks behind the colon are wrong (RFC 5321 section 3.3) and common. */
static enum smtp_path_result
read_path(struct slice *args, const char *word, struct smtp_path *path)
{
	if (!slice_istarts(*args, word))
		return PATH_SYNTAX;
	*args = slice_trim(slice_part(*args, strlen(word), args->len));
	return smtp_path_parse(args, path);
}

static enum smtp_step
mail_refused(struct smtp_session *s, const char *reply)
{
	smtp_transaction_end(s);
	return smtp_refuse(s, reply);
}

enum smtp_step
smtp_mail(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = &s->t;
	const char *trouble;
	struct err err = { "" };

	smtp_transaction_begin(s);
	trouble = path_trouble(read_path(&args, "FROM:", &t->from), true);
	if (trouble == NULL)
		trouble = read_mail_params(s, args);
	if (trouble == NULL && t->from.mailbox[0] != '\0' && smtp_path_domain(&t->from).len == 0)
		trouble = "501 5.1.7 A sender needs a domain";
	if (trouble != NULL)
		return mail_refused(s, trouble);
	t->spool = spool_open(&s->server->spools, t->size_said > 0 ? t->size_said : RESERVE_UNSAID, &err);
	if (t->spool == NULL) {
		log_warn("%s: %s", t->id, err.text);
		smtp_transaction_end(s);
		return smtp_ok(s, "452 4.3.1 No room for another message now");
	}
	t->backend = only_backend(s);
	if (t->backend != NULL)
		return ask_backend(s);
	smtp_enter(s, SMTP_MAIL);
	return smtp_ok(s, "250 2.1.0 Ok");
}

/* A recipient that goes with those before it: the same backend, and (until verdicts are kept for
 * each recipient) the same profile. */
static bool
goes_together(const struct smtp_transaction *t, const struct conf_route *route)
{
	return t->route == NULL || (t->route->backend == route->backend && t->route->profile == route->profile);
}

enum smtp_step
smtp_rcpt(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = &s->t;
	const struct conf_route *route;
	const char *trouble = path_trouble(read_path(&args, "TO:", &t->rcpt), false);
	struct slice domain;

	if (trouble == NULL && slice_trim(args).len > 0)
		trouble = "555 5.5.4 Parameter not recognized";
	domain = smtp_path_domain(&t->rcpt);
	if (trouble == NULL && domain.len == 0 && !slice_iis(smtp_path_local(&t->rcpt), "postmaster"))
		trouble = "501 5.1.3 Syntax: RCPT TO:<address>";
	if (trouble != NULL)
		return smtp_refuse(s, trouble);
	if (t->broken)
		return smtp_ok(s, "451 4.4.2 The mail server was lost, please try again later");
	if (t->nrcpts >= s->listener->max_recipients)
		return smtp_ok(s, "452 4.5.3 Too many recipients");
	if (smtp_path_is_routed(&t->rcpt) && !gate_may_relay(s->listener, &s->peer))
		return smtp_refuse(s, "550 5.7.1 Relaying denied");
	switch (gate_recipient(s->site->conf, s->listener, &s->peer, domain, &route)) {
	case GATE_RCPT_RELAY_DENIED:
		return smtp_refuse(s, "550 5.7.1 Relaying denied");
	case GATE_RCPT_NO_ROUTE:
		return smtp_refuse(s, "550 5.1.2 No route to this domain");
	case GATE_RCPT_ROUTE:
		break;
	}
	if (!goes_together(t, route))
		return smtp_ok(s, "452 4.5.3 This recipient needs a transaction of its own");
	if (t->backend != site_backend(s->site, route->backend))
		t->mail_sent = false;	/* another one has MAIL, but no recipient of it stayed */
	t->backend = site_backend(s->site, route->backend);
	t->route = route;
	return ask_backend(s);
}

/* The link is ready for what waits; or nobody waits any more. */
static void
on_ready(void *owner)
{
	struct smtp_session *s = owner;

	s->link_ready = true;
	if (s->opening)
		smtp_greet(s);
	else if (s->waiting)
		ask(s);
}

/* Says a backend's reply to the client; a 421 ends the session (RFC 5321 section 3.8). False: it did. */
static bool
pass_on(struct smtp_session *s, const struct smtp_reply *reply)
{
	if (s->client != NULL)
		smtp_reply_say(reply, conn_out(s->client));
	if (reply->code == 421) {
		smtp_end(s, NULL, "the mail server said 421");
		return false;
	}
	return true;
}

/* The backend's answer was said: a dictionary of names that is tried one by one ends at max-errors. */
static void
go_on(struct smtp_session *s)
{
	if (s->errors > s->listener->max_errors)
		smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	else
		smtp_resume(s);
}

static void
protocol_broken(struct smtp_session *s)
{
	smtp_link_drop(s);
	break_transaction(s, "the mail server's answer makes no sense");
	smtp_say(s, "451 4.3.0 The mail server's answer makes no sense, please try again later");
}

static void
mail_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = &s->t;
	bool good = smtp_reply_class(reply) == 2, for_mail = s->state == SMTP_READY;

	t->mail_sent = good;
	if (smtp_reply_class(reply) == 3) {
		protocol_broken(s);
	} else if (good && !for_mail) {
		ask(s);			/* the recipient that made us choose this backend */
		return;
	} else if (!pass_on(s, reply)) {
		return;
	} else if (good) {
		smtp_enter(s, SMTP_MAIL);
	} else {
		s->errors++;
	}
	if (for_mail && !good)
		smtp_transaction_end(s);
	else if (!good)
		t->route = t->nrcpts > 0 ? t->route : NULL;
	go_on(s);
}

static void
rcpt_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_transaction *t = &s->t;

	if (smtp_reply_class(reply) == 3) {
		protocol_broken(s);
	} else if (!pass_on(s, reply)) {
		return;
	} else if (smtp_reply_class(reply) == 2) {
		*(struct smtp_path *)mem_push(&t->rcpts, &t->nrcpts, sizeof(*t->rcpts)) = t->rcpt;
		smtp_enter(s, SMTP_RCPT);
	} else {
		s->errors++;
		t->route = t->nrcpts > 0 ? t->route : NULL;
	}
	go_on(s);
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	struct smtp_session *s = owner;

	switch (order) {
	case ORDER_MAIL:
		mail_answered(s, reply);
		break;
	case ORDER_RCPT:
		rcpt_answered(s, reply);
		break;
	case ORDER_DATA:
	case ORDER_BODY:
		smtp_data_reply(s, order, reply);
		break;
	}
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct smtp_session *s = owner;
	bool was_ready = s->link_ready;

	s->link = NULL;
	s->link_to = NULL;
	s->link_ready = false;
	if (s->opening) {
		log_warn("%s: backend: %s", s->id, why);
		smtp_end(s, s->listener->tls_mode != CONF_TLS_IMPLICIT ? "421 4.4.1 The mail server cannot be reached now" : NULL, why);
		return;
	}
	if (s->state == SMTP_DELIVER) {
		break_transaction(s, why);
		smtp_data_link_lost(s, sent);
		return;
	}
	if (s->t.id[0] == '\0')
		return;			/* between messages: the next MAIL opens another */
	log_warn("%s: backend: %s", s->t.id, why);
	if (!s->waiting || s->state == SMTP_JUDGE || s->state == SMTP_DATA) {
		break_transaction(s, why);
		return;
	}
	smtp_say(s, "451 4.4.%d The mail server cannot be reached now, please try again later", was_ready ? 2 : 1);
	if (s->state == SMTP_READY)
		smtp_transaction_end(s);
	else if (s->t.mail_sent)
		break_transaction(s, why);
	else
		s->t.route = NULL;
	smtp_resume(s);
}
