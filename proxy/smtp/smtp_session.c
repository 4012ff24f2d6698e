/* One client's session: its lines, its deadlines, its end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

#define JUNK_MAX      100	/* commands that do nothing, between two messages */
#define FAULTY_WAIT   5.0	/* seconds for the rest of a message that is refused already */

static const char *const state_words[] = { "greeted", "ready", "mail", "rcpt", "bdat", "data", "judge", "deliver" };

static void on_up(void *), on_input(void *), on_drained(void *), on_lost(void *, const char *);
static const struct conn_ops client_calls = { on_up, on_input, on_drained, on_lost };

void
smtp_enter(struct smtp_session *s, enum smtp_state state)
{
	if (s->state != state)
		log_debug("%s: %s -> %s", s->id, state_words[s->state], state_words[state]);
	s->state = state;
}

void
smtp_say(struct smtp_session *s, const char *fmt, ...)
{
	char line[600];
	va_list args;

	if (s->client == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line) - 2, fmt, args);
	va_end(args);
	buf_printf(conn_out(s->client), "%s\r\n", line);
}

enum smtp_step
smtp_ok(struct smtp_session *s, const char *reply)
{
	smtp_say(s, "%s", reply);
	return STEP_NEXT;
}

/* Nothing of the session is left behind but its memory, which goes with the turn. */
static void
session_free(struct smtp_session *s, const char *why)
{
	struct smtp_server *server = s->server;

	smtp_log_connection(s, why);
	smtp_link_drop(s);
	smtp_transaction_end(s);
	smtp_auth_free(s);
	free(s->xclient);
	free(s->xforward);
	free(s->text);
	free(s->helo);
	free(s->tls);
	free(s->user);
	free(s->original_caps);
	free(s->original);
	free(s->relay);
	timer_stop(&s->deadline);
	site_unref(&s->site);
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	server->sessions--;
	budget_give(server->budgets, BUDGET_SESSIONS, server->slot, 1);
	crowd_leave(server->crowd, server->slot, &s->place);
	loop_free_later(server->loop, s);
	if (server->draining && server->sessions == 0) {
		smtp_pool_retire(server->pool, NULL);
		server->all_gone(server->owner);
	}
}

/* Nobody else gets a session that was left in the middle of something. */
static void
leave_backend(struct smtp_session *s)
{
	if (s->link == NULL || !s->link_ready || s->state == SMTP_DELIVER)
		return;
	smtp_pool_give(s->server->pool, &s->link, !s->own && s->auth == NULL && s->t == NULL && !s->waiting);
	s->link_ready = false;
}

enum smtp_step
smtp_end(struct smtp_session *s, const char *reply, const char *why)
{
	if (s->last_words)
		return STEP_GONE;
	s->last_words = true;
	if (reply != NULL)
		smtp_say(s, "%s", reply);
	leave_backend(s);
	if (s->quit)
		conn_bye(&s->client);
	else
		conn_finish(&s->client);
	session_free(s, why);
	return STEP_GONE;
}

enum smtp_step
smtp_refuse(struct smtp_session *s, const char *reply)
{
	if (++s->errors > s->listener->max_errors)
		return smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	smtp_say(s, "%s", reply);
	return STEP_NEXT;
}

/* The client is gone, or has closed its side and was told all that it asked for. When the backend
 * may have the message already its answer is waited for, so that the log tells what became of it. */
static void
client_gone(struct smtp_session *s, const char *why)
{
	if (s->state == SMTP_DELIVER && s->waiting)
		return;
	if (s->t != NULL && s->state >= SMTP_BDAT)
		smtp_log_message(s, "");
	smtp_end(s, NULL, why);
}

/* The verbs of another protocol: a browser made to send its bytes here (ALPACA and its kin). */
static bool
is_foreign(struct slice verb)
{
	static const char *const verbs[] = { "GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "PATCH", "Host:" };

	for (size_t i = 0; i < NITEMS(verbs); i++)
		if (slice_iis(verb, verbs[i]))
			return true;
	return false;
}

/* The client has read our answer to its message: nothing has to be remembered of that any more. */
static void
heard(struct smtp_session *s)
{
	if (s->heard_due)
		keeper_ledger_heard(s->server->keeper, &s->heard);
	s->heard_due = false;
}

static enum smtp_step
dispatch(struct smtp_session *s, struct slice line)
{
	struct slice verb = slice_word(&line);
	const struct smtp_cmd *cmd = smtp_cmd_find(verb);

	heard(s);
	if (cmd == NULL && is_foreign(verb))
		return smtp_end(s, "554 5.5.0 This is a mail server", "another protocol");
	if (cmd == NULL)
		return smtp_refuse(s, "500 5.5.2 Command not recognized");
	if (s->listener->tls_mode == CONF_TLS_REQUIRE && s->tls == NULL && !(cmd->flags & CMD_PRE_TLS))
		return smtp_refuse(s, "530 5.7.0 Must issue a STARTTLS command first");
	if (s->listener->auth_required && !smtp_auth_done(s) && !(cmd->flags & CMD_PRE_AUTH))
		return smtp_refuse(s, "530 5.7.0 Authentication required");
	if (!(cmd->states & (1u << s->state)))
		return smtp_refuse(s, s->state == SMTP_GREETED ? "503 5.5.1 Say EHLO first" : "503 5.5.1 Bad sequence of commands");
	/* Going on would run what the client meant as a body, or as words inside TLS, as commands. */
	if ((cmd->flags & CMD_LAST) && buf_len(conn_in(s->client)) > 0)
		return smtp_end(s, "554 5.5.0 Improper pipelining", "improper pipelining");
	if ((cmd->flags & CMD_JUNK) && ++s->junk > JUNK_MAX)
		return smtp_end(s, "421 4.7.0 Too many commands without mail", "too many junk commands");
	return cmd->run(s, line);
}

/* One octet now and then does not move the deadline on, least of all for what is refused already. */
static void
set_data_deadline(struct smtp_session *s)
{
	double left = pace_left(&s->t->pace, loop_now(s->server->loop));

	timer_set(&s->deadline, (s->t->dot.faults | s->t->lines.faults) != 0 && left > FAULTY_WAIT ? FAULTY_WAIT : left);
}

/* It has a server's session that it does not use: not for longer than an idle one is kept (keep-time). */
static bool
is_resting(const struct smtp_session *s)
{
	return s->state <= SMTP_READY && s->t == NULL && s->link != NULL && s->link_ready && !s->own &&
	       s->link_to->conf->keep_time < s->listener->idle_timeout;
}

/* An answer comes from elsewhere. */
static bool
is_busy(const struct smtp_session *s)
{
	return s->waiting || (s->t != NULL && s->t->nasks > 0);
}

/* What the client's next octets are waited for, and how long. */
static void
set_deadline(struct smtp_session *s)
{
	const struct conf_listener *l = s->listener;
	bool busy = is_busy(s), chunk = s->unwanted_reply != NULL;
	bool in_line = !busy && s->state != SMTP_DATA && (buf_len(conn_in(s->client)) > 0 || s->lines.swallowing || chunk);

	if (busy)
		timer_stop(&s->deadline);
	else if (s->state == SMTP_DATA)
		set_data_deadline(s);
	else if (!in_line)
		timer_set(&s->deadline, s->handshake ? l->command_timeout / 2 : is_resting(s) ? s->link_to->conf->keep_time : l->idle_timeout);
	else if (!s->line_begun)
		timer_set(&s->deadline, chunk ? l->data_timeout : l->command_timeout);	/* for the whole of it, however it drips */
	s->line_begun = in_line;
}

/* Whether the client's next words may be looked at. While the backend is asked about recipients only more
 * of them may: they go to a server that takes commands in groups (RFC 2920), and are answered in their turn. */
static bool
may_go_on(const struct smtp_session *s)
{
	struct slice next;

	if (s->waiting || s->t == NULL || s->t->nasks == 0)
		return !s->waiting;
	next = slice_part(buf_slice(conn_in(s->client)), 0, 5);
	return s->t->nasks < SMTP_ASKS_MAX && s->t->backend->conf->verify_at == NULL && s->link != NULL && s->link_ready &&
	       smtp_backend_pipelines(s->link) && slice_iis(next, "RCPT ");
}

/* A chunk that belongs to no message: its octets are no commands, whatever they look like. */
static enum smtp_step
throw_away(struct smtp_session *s)
{
	struct buf *in = conn_in(s->client);
	size_t here = buf_len(in);
	const char *reply = s->unwanted_reply;

	if (here > s->unwanted)
		here = (size_t)s->unwanted;
	buf_eat(in, here);
	s->unwanted -= here;
	if (s->unwanted > 0)
		return STEP_WAIT;
	s->unwanted_reply = NULL;
	return smtp_refuse(s, reply);
}

static enum smtp_step
take_line(struct smtp_session *s, struct slice line)
{
	s->line_begun = false;
	return s->auth != NULL ? smtp_auth_line(s, line) : dispatch(s, line);
}

/* Takes one line. STEP_WAIT when there is none yet. */
static enum smtp_step
next_line(struct smtp_session *s)
{
	static char room[SMTP_AUTH_LINE_MAX + SMTP_LINE_MAX];
	enum smtp_step step;
	struct slice line;

	switch (line_next(&s->lines, conn_in(s->client), room, smtp_auth_line_max(s), &line)) {
	case LINE_OK:
		step = take_line(s, line);
		mem_wipe(room, line.len);	/* it may have been a password */
		return step;
	case LINE_TOO_LONG:
		return s->auth != NULL ? smtp_auth_too_long(s) : smtp_refuse(s, "500 5.5.2 Line too long");
	case LINE_BARE:
		return smtp_end(s, "521 5.5.2 A line ends in CR LF and holds no NUL", "malformed line");
	case LINE_MORE:
		break;
	}
	return STEP_WAIT;
}

/* Room for the next answer and those that are under way: a client that does not read is not listened to either. */
static bool
can_answer(struct smtp_session *s)
{
	const struct smtp_transaction *t = s->t;
	size_t need = SMTP_ANSWER_ROOM;

	if (t != NULL)
		need += t->nasks * SMTP_REPLY_ROOM + (t->mail.prdr ? t->nrcpts * SMTP_PRDR_ROOM : 0);
	return buf_room(conn_out(s->client)) >= need;
}

/* Whose program ends with our answer unread has the kernel send a reset; who closes in order behind an
 * answer that has all arrived has read it, also without a QUIT. */
static void
ended_in_order(struct smtp_session *s)
{
	uint64_t taken;

	if (s->heard_due && s->spoke_last && conn_untaken(s->client, &taken) == 0)
		heard(s);
}

static void
run(struct smtp_session *s)
{
	enum smtp_step step = STEP_NEXT;

	if (smtp_auth_stranded(s) && !is_busy(s) && s->t == NULL) {
		smtp_end(s, "421 4.4.2 The mail server was lost, please come again", "the backend's session was lost");
		return;
	}
	while (step == STEP_NEXT && may_go_on(s) && can_answer(s)) {
		if (s->unwanted_reply != NULL)
			step = throw_away(s);
		else if (s->state == SMTP_DATA)
			step = smtp_data_input(s);
		else
			step = next_line(s);
	}
	if (step == STEP_GONE || s->last_words)
		return;
	if (conn_ended(s->client) && (step != STEP_NEXT || is_busy(s))) {
		/* Its answer is still to come, and it may have shut down only its own side behind a QUIT. */
		if (is_busy(s) && (s->state != SMTP_JUDGE || buf_len(conn_in(s->client)) > 0))
			return;
		ended_in_order(s);
		client_gone(s, s->state == SMTP_DATA || s->waiting ? "client closed in the middle" : "client closed");
		return;
	}
	if (s->server->draining && !is_busy(s) && s->state <= SMTP_READY && buf_len(conn_in(s->client)) == 0) {
		smtp_end(s, "421 4.3.2 Shutting down, please come again", "shutdown");
		return;
	}
	set_deadline(s);
}

static void
on_input(void *owner)
{
	run(owner);
}

/* It has read our answers. */
static void
on_drained(void *owner)
{
	struct smtp_session *s = owner;

	if (!is_busy(s) && (buf_len(conn_in(s->client)) > 0 || conn_ended(s->client)))
		run(s);
}

void
smtp_resume(struct smtp_session *s)
{
	s->waiting = false;
	if (s->client == NULL)
		smtp_end(s, NULL, "client closed before our answer");
	else if (!s->last_words)
		run(s);
}

static void
greet(struct smtp_session *s)
{
	smtp_say(s, "220 %s ESMTP Gatepost", s->site->conf->hostname);
	set_deadline(s);
}

/* A TLS handshake is done: implicit, or behind STARTTLS. */
static void
on_up(void *owner)
{
	struct smtp_session *s = owner;
	char text[TLS_TEXT_MAX];

	conn_tls_text(s->client, text);
	s->tls = mem_str(text);
	s->handshake = false;
	if (s->listener->tls_mode == CONF_TLS_IMPLICIT)
		greet(s);
	else
		set_deadline(s);
}

static void
on_lost(void *owner, const char *why)
{
	struct smtp_session *s = owner;

	s->client = NULL;
	client_gone(s, why != NULL ? why : "client closed");
}

static void
on_deadline(void *owner)
{
	struct smtp_session *s = owner;
	bool data = s->state == SMTP_DATA || s->state == SMTP_BDAT;

	if (!s->handshake && !s->line_begun && is_resting(s)) {
		timer_set(&s->deadline, s->listener->idle_timeout - s->link_to->conf->keep_time);
		smtp_link_leave(s);
		return;
	}
	if (data)
		smtp_log_message(s, "421 timeout");
	smtp_end(s, data ? "421 4.4.2 Timeout in the message" : "421 4.4.2 Timeout", data ? "timeout in DATA" : "timeout");
}

/* Words, or TLS, to begin with. */
static void
begin(struct smtp_session *s)
{
	struct err err = { "" };

	if (s->listener->tls_mode != CONF_TLS_IMPLICIT)
		greet(s);
	else if (conn_starttls(s->client, site_tls(s->site, s->listener), NULL, &err) == -1)
		smtp_end(s, NULL, err.text);
	else
		timer_set(&s->deadline, s->listener->command_timeout / 2);	/* for the whole handshake: nobody types it */
}

/* The backend that is wherever this client was going, where mail of it may go there; NULL: none. */
static struct backend *
original_backend(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;

	for (size_t i = 0; s->original != NULL && i < conf->nroutes; i++)
		if (conf->routes[i]->backend->original)
			return site_backend(s->site, conf->routes[i]->backend);
	return NULL;
}

void
smtp_greet(struct smtp_session *s)
{
	s->opening = s->waiting = false;
	s->original_caps = mem_new(sizeof(*s->original_caps));
	*s->original_caps = *smtp_backend_caps(s->link);
	conn_pause(s->client, false);
	if (s->server->draining)
		smtp_end(s, NULL, "shutdown");
	else
		begin(s);
}

void
smtp_session_begin(struct smtp_server *server, struct site *site, const struct conf_listener *l, const struct arrival *a,
    const struct crowd_place *place)
{
	struct smtp_session *s = mem_new(sizeof(*s));
	struct backend *first;

	s->server = server;
	s->site = site_ref(site);
	s->listener = l;
	s->peer = a->client;
	s->local = a->local;
	if (a->original.len > 0) {
		s->original = mem_new(sizeof(*s->original));
		*s->original = a->original;
	}
	s->place = *place;
	s->probe = a->probe;
	s->began = loop_now(server->loop);
	id_next(&server->ids, s->id);
	timer_init(&s->deadline, server->loop, on_deadline, s);
	s->next = server->first;
	if (s->next != NULL)
		s->next->prev = &s->next;
	s->prev = &server->first;
	server->first = s;
	server->sessions++;
	s->client = conn_new(server->loop, a->fd, &client_calls, s);
	buf_secret(conn_in(s->client), l->auth != CONF_AUTH_OFF);	/* until it has authenticated */
	first = original_backend(s);
	if (first == NULL) {
		begin(s);
		return;
	}
	/* What this server can do decides what we offer; a client whose server is down hears so at once. */
	s->opening = s->waiting = true;
	conn_pause(s->client, true);
	smtp_link_take(s, first);
}

void
smtp_session_drain(struct smtp_session *s)
{
	if (!is_busy(s) && s->state <= SMTP_READY && s->client != NULL)
		smtp_end(s, "421 4.3.2 Shutting down, please come again", "shutdown");
}
