/* A client's session to a backend: taken from the pool, asked, and given back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

static void on_ready(void *), on_reply(void *, enum smtp_order, const struct smtp_reply *), on_failed(void *, const char *, bool);
static const struct smtp_backend_ops link_calls = { on_ready, on_reply, on_failed };

void
smtp_link_take(struct smtp_session *s, struct backend *to)
{
	const struct conf_listener *l = s->listener;
	/* A redirected connection has the client's port in the kernel's tables already, from its address to this server. */
	struct smtp_client client = {
		.original = s->original,
		.source = l->keep_source ? &s->peer : NULL,
		.same_port = l->mode == CONF_TPROXY,
		.flagged = s->server->flagged,
		.peer = s->peer,
		.local = s->original != NULL ? *s->original : s->local,
		.helo = slice_of(s->helo),
		.esmtp = s->esmtp,
		.login = s->user_mech == CONF_MECH_EXTERNAL ? slice_of(s->user) : SLICE(""),
		.id = slice_of(s->id),
		.own = s->own,
	};

	smtp_told_client(s, &client);
	s->link_ready = false;
	s->link_forwarded = s->xforward != NULL && to->conf->identity != CONF_IDENTITY_NONE;
	s->link_to = to;
	s->link = smtp_pool_take(s->server->pool, to, &client, &link_calls, s);
}

bool
smtp_link_own(struct smtp_session *s, struct backend *to)
{
	if (s->link != NULL && s->own && s->link_to == to && s->link_ready)
		return true;
	smtp_link_give(s, true);
	smtp_link_drop(s);
	s->own = true;
	smtp_link_take(s, to);
	return false;
}

static bool
is_no_use_to_others(const struct smtp_session *s)
{
	const struct conf_backend *b = s->link_to->conf;

	return s->listener->keep_source || b->original || b->keep_sessions == 0 ||
	       (b->identity != CONF_IDENTITY_NONE && b->identity != CONF_IDENTITY_XFORWARD);
}

/* Then this client's next message may have it, unless others wait for one of max-sessions. */
static bool
is_kept_here(const struct smtp_session *s)
{
	return s->own || (is_no_use_to_others(s) && !s->link_forwarded && smtp_pool_is_good(s->link) &&
			  !smtp_pool_is_wanted(s->server->pool, s->link_to));
}

void
smtp_link_give(struct smtp_session *s, bool clean)
{
	if (s->link == NULL || (clean && s->link_ready && is_kept_here(s)))
		return;
	if (s->link_ready)
		smtp_pool_give(s->server->pool, &s->link, clean);
	else
		smtp_backend_drop(&s->link);
	s->link = NULL;
	s->link_to = NULL;
	s->link_ready = false;
}

void
smtp_link_leave(struct smtp_session *s)
{
	if (s->link != NULL && s->link_ready)
		smtp_pool_give(s->server->pool, &s->link, true);	/* QUIT, where it is of no use to others */
	smtp_link_drop(s);
}

bool
smtp_is_bound(const struct smtp_session *s)
{
	return s->own && s->link != NULL && s->user_mech != 0 && s->user_mech != CONF_MECH_EXTERNAL;
}

void
smtp_link_drop(struct smtp_session *s)
{
	smtp_backend_drop(&s->link);
	s->link_to = NULL;
	s->link_ready = false;
}

/* A route that this client's mail may take. */
static bool
may_take(const struct smtp_session *s, const struct conf_route *r)
{
	bool is_ours = r->ndomains != 1 || strcmp(r->domains[0], "*") != 0;

	return conf_route_is_at(r, s->listener) && (r->nusers == 0 || s->user_mech != 0) && (is_ours || smtp_may_relay(s));
}

static bool
same_backends(const struct conf_route *a, const struct conf_route *b)
{
	return a->nbackends == b->nbackends && memcmp(a->backends, b->backends, a->nbackends * sizeof(a->backends[0])) == 0;
}

const struct conf_route *
smtp_only_route(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	const struct conf_route *only = NULL;

	for (size_t i = 0; i < conf->nroutes; i++) {
		const struct conf_route *r = conf->routes[i];

		if (!may_take(s, r))
			continue;
		if (only != NULL && !same_backends(only, r))
			return NULL;
		only = r;
	}
	return only;
}

/* A command for the server that has one answer and no transaction around it. */
enum smtp_step
smtp_ask_text(struct smtp_session *s, const char *verb, struct slice args)
{
	const struct conf_route *r = smtp_only_route(s);
	struct backend *to = s->link != NULL ? s->link_to : r != NULL ? site_backend(s->site, r->backend) : NULL;
	struct buf text;

	if (to == NULL)
		return smtp_refuse(s, "502 5.5.1 Command not implemented here");
	if (s->link != NULL && s->link_ready) {
		smtp_backend_text(s->link, verb, args);
	} else {
		buf_init(&text, SMTP_LINE_MAX);
		buf_printf(&text, "%s %.*s", verb, (int)args.len, args.at);
		free(s->text);
		s->text = mem_slice(buf_slice(&text));
		buf_free(&text);
		if (s->link == NULL)
			smtp_link_take(s, to);
	}
	s->waiting = s->asking = true;
	return STEP_WAIT;
}

static void
forget_text(struct smtp_session *s)
{
	free(s->text);
	s->text = NULL;
}

static void
send_text(struct smtp_session *s)
{
	struct slice args = slice_of(s->text), verb = slice_word(&args);
	char word[16];

	slice_copy(verb, word, sizeof(word));
	smtp_backend_text(s->link, word, slice_trim(args));
	forget_text(s);
}

bool
smtp_pass_on(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct buf *out = s->client != NULL ? conn_out(s->client) : NULL;
	unsigned others = s->t != NULL ? s->t->nasks : 0;

	/* A client that does not read loses words before it loses an answer. */
	if (out != NULL && buf_room(out) < SMTP_ANSWER_ROOM + others * SMTP_REPLY_ROOM)
		smtp_reply_say_short(reply, out);
	else if (out != NULL)
		smtp_reply_say(reply, out);
	if (reply->code != 421)		/* RFC 5321 section 3.8 */
		return true;
	smtp_end(s, NULL, "the mail server said 421");
	return false;
}

static void
on_ready(void *owner)
{
	struct smtp_session *s = owner;

	s->link_ready = true;
	if (s->opening)
		smtp_greet(s);
	else if (s->auth != NULL)
		smtp_auth_ready(s);
	else if (s->text != NULL)
		send_text(s);
	else if (s->state == SMTP_DELIVER)
		smtp_round_ready(s);
	else if (s->t != NULL)
		smtp_mail_ready(s);
}

static void
text_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	s->asking = false;
	if (smtp_reply_class(reply) > 3)
		s->errors++;
	if (!smtp_pass_on(s, reply))
		return;
	if (s->t == NULL)
		smtp_link_give(s, true);
	smtp_resume(s);
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	struct smtp_session *s = owner;

	if (order == ORDER_AUTH)
		smtp_auth_reply(s, reply);
	else if (order == ORDER_TEXT)
		text_answered(s, reply);
	else if (s->state == SMTP_DELIVER)
		smtp_round_reply(s, order, reply);
	else if (order == ORDER_MAIL)
		smtp_mail_answered(s, reply);
	else
		smtp_rcpt_answered(s, reply);
}

static void
text_lost(struct smtp_session *s)
{
	s->asking = false;
	smtp_say(s, "451 4.4.1 The mail server cannot be reached now, please try again later");
	smtp_resume(s);
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct smtp_session *s = owner;
	bool was_ready = s->link_ready;

	s->link = NULL;
	s->link_to = NULL;
	s->link_ready = false;
	forget_text(s);
	if (s->opening) {
		log_warn("%s: backend: %s", s->id, why);
		smtp_end(s, s->listener->tls_mode != CONF_TLS_IMPLICIT ? "421 4.4.1 The mail server cannot be reached now" : NULL, why);
		return;
	}
	smtp_auth_lost(s, why);
	if (s->auth != NULL) {
		return;
	} else if (s->state == SMTP_DELIVER) {
		smtp_round_lost(s, why, sent);
	} else if (s->t != NULL) {
		smtp_transaction_lost(s, why, was_ready);
	} else if (s->waiting) {
		log_warn("%s: backend: %s", s->id, why);
		text_lost(s);
	} else if (smtp_auth_stranded(s)) {
		smtp_resume(s);		/* it ends now, not when the client speaks again */
	}
}
