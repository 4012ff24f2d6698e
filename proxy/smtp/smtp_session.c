#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

#define JUNK_MAX      100	/* commands that do nothing, between two messages */
#define DATA_STEP     1024	/* octets of a message that must come in one data-timeout */
#define FAULTY_WAIT   5.0	/* seconds for the rest of a message that is refused already */
#define ANSWER_ROOM   16384	/* octets for the next answer: a client that does not read is not listened to either */

static const char *const state_words[] = { "greeted", "ready", "mail", "rcpt", "data", "judge", "deliver" };

static void on_up(void *), on_input(void *), on_drained(void *), on_lost(void *, const char *);
static const struct conn_ops client_calls = { on_up, on_input, on_drained, on_lost };

struct smtp_server *
smtp_server_new(struct loop *loop, struct scan_pool *scanners, struct flagged *flagged, struct budgets *budgets, unsigned slot)
{
	struct smtp_server *server = mem_new(sizeof(*server));

	server->loop = loop;
	server->scanners = scanners;
	server->flagged = flagged;
	server->slot = slot;
	server->spools = (struct spool_budget){ .shared = budgets, .row = slot };
	id_begin(&server->ids, slot);
	return server;
}

void
smtp_server_free(struct smtp_server **server)
{
	free(*server);
	*server = NULL;
}

void
smtp_server_limits(struct smtp_server *server, unsigned sessions, uint64_t spool_memory)
{
	server->sessions_max = sessions;
	server->spools.max = spool_memory;
}

unsigned
smtp_server_sessions(const struct smtp_server *server)
{
	return server->sessions;
}

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
	timer_stop(&s->deadline);
	site_unref(&s->site);
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	server->sessions--;
	budget_give(server->spools.shared, BUDGET_SESSIONS, server->slot, 1);
	loop_free_later(server->loop, s);
	if (server->draining && server->sessions == 0)
		server->all_gone(server->owner);
}

enum smtp_step
smtp_end(struct smtp_session *s, const char *reply, const char *why)
{
	if (s->last_words)
		return STEP_GONE;
	s->last_words = true;
	if (reply != NULL)
		smtp_say(s, "%s", reply);
	if (s->link_ready && s->state < SMTP_JUDGE)
		smtp_backend_quit(&s->link);
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
	if (s->t.id[0] != '\0' && s->state >= SMTP_DATA)
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

static enum smtp_step
dispatch(struct smtp_session *s, struct slice line)
{
	struct slice verb = slice_word(&line);
	const struct smtp_cmd *cmd = smtp_cmd_find(verb);

	if (cmd == NULL && is_foreign(verb))
		return smtp_end(s, "554 5.5.0 This is a mail server", "another protocol");
	if (cmd == NULL)
		return smtp_refuse(s, "500 5.5.2 Command not recognized");
	if (s->listener->tls_mode == CONF_TLS_REQUIRE && s->tls[0] == '\0' && !(cmd->flags & CMD_PRE_TLS))
		return smtp_refuse(s, "530 5.7.0 Must issue a STARTTLS command first");
	if (!(cmd->states & (1u << s->state)))
		return smtp_refuse(s, s->state == SMTP_GREETED ? "503 5.5.1 Say EHLO first" : "503 5.5.1 Bad sequence of commands");
	/* Going on would run what the client meant as a body, or as words inside TLS, as commands. */
	if ((cmd->flags & CMD_LAST) && buf_len(conn_in(s->client)) > 0)
		return smtp_end(s, "554 5.5.0 Improper pipelining", "improper pipelining");
	if ((cmd->flags & CMD_JUNK) && ++s->junk > JUNK_MAX)
		return smtp_end(s, "421 4.7.0 Too many commands without mail", "too many junk commands");
	return cmd->run(s, line);
}

/* A message has to grow by a step in each data-timeout: one octet now and then does not move the
 * deadline on. */
static void
set_data_deadline(struct smtp_session *s)
{
	struct smtp_transaction *t = &s->t;

	if (t->dot.faults != 0) {
		timer_set(&s->deadline, FAULTY_WAIT);
	} else if (t->taken_in == 0 || t->taken_in - t->deadline_at >= DATA_STEP) {
		t->deadline_at = t->taken_in;
		timer_set(&s->deadline, s->listener->data_timeout);
	}
}

/* What the client's next octets are waited for, and how long. */
static void
set_deadline(struct smtp_session *s)
{
	const struct conf_listener *l = s->listener;
	bool in_line = !s->waiting && s->state != SMTP_DATA && (buf_len(conn_in(s->client)) > 0 || s->lines.swallowing);

	if (s->waiting)
		timer_stop(&s->deadline);
	else if (s->state == SMTP_DATA)
		set_data_deadline(s);
	else if (!in_line)
		timer_set(&s->deadline, s->handshake ? l->command_timeout : l->idle_timeout);
	else if (!s->line_begun)
		timer_set(&s->deadline, l->command_timeout);	/* for the whole of it, however it drips */
	s->line_begun = in_line;
}

/* Takes one line. STEP_WAIT when there is none yet. */
static enum smtp_step
next_line(struct smtp_session *s)
{
	char room[SMTP_LINE_MAX];
	struct slice line;

	switch (line_next(&s->lines, conn_in(s->client), room, sizeof(room), &line)) {
	case LINE_OK:
		s->line_begun = false;
		return dispatch(s, line);
	case LINE_TOO_LONG:
		return smtp_refuse(s, "500 5.5.2 Line too long");
	case LINE_BARE:
		return smtp_end(s, "521 5.5.2 A line ends in CR LF and holds no NUL", "malformed line");
	case LINE_MORE:
		break;
	}
	return STEP_WAIT;
}

static bool
can_answer(struct smtp_session *s)
{
	return buf_room(conn_out(s->client)) >= ANSWER_ROOM;
}

static void
run(struct smtp_session *s)
{
	enum smtp_step step = STEP_NEXT;

	while (step == STEP_NEXT && !s->waiting && can_answer(s)) {
		if (s->state == SMTP_DATA)
			step = smtp_data_input(s);
		else
			step = next_line(s);
	}
	if (step == STEP_GONE || s->last_words)
		return;
	if (conn_ended(s->client) && (step != STEP_NEXT || s->waiting)) {
		/* Its answer is still to come, and it may have shut down only its own side behind a QUIT. */
		if (s->waiting && (s->state != SMTP_JUDGE || buf_len(conn_in(s->client)) > 0))
			return;
		client_gone(s, s->state == SMTP_DATA || s->waiting ? "client closed in the middle" : "client closed");
		return;
	}
	if (s->server->draining && !s->waiting && s->state <= SMTP_READY && buf_len(conn_in(s->client)) == 0) {
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

	if (!s->waiting && (buf_len(conn_in(s->client)) > 0 || conn_ended(s->client)))
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

	conn_tls_text(s->client, s->tls);
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
	bool data = s->state == SMTP_DATA;

	if (data)
		smtp_log_message(s, "421 timeout");
	smtp_end(s, data ? "421 4.4.2 Timeout in the message" : "421 4.4.2 Timeout", data ? "timeout in DATA" : "timeout");
}

/* Says one line to somebody who gets no session. */
static void
turn_away(struct smtp_server *server, const struct addr *peer, const struct conf_listener *l, int fd, const char *reply)
{
	static const struct conn_ops none = { NULL, NULL, NULL, NULL };
	struct conn *c = conn_new(server->loop, fd, &none, NULL);
	struct buf line;
	char text[ADDR_TEXT_MAX];

	addr_text(peer, text);
	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "client", slice_of(text));
	log_word(&line, "listener", slice_of(l->name));
	log_word(&line, "refused", slice_of(reply));
	log_line(LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
	if (l->tls_mode != CONF_TLS_IMPLICIT)	/* there the client expects no words in the clear */
		buf_printf(conn_out(c), "%s\r\n", reply);
	conn_finish(&c);
}

/* Why this client cannot be served now, or NULL: then it is booked as a session. */
static const char *
reason_to_refuse(const struct smtp_server *server, const struct site *site, const struct conf_listener *l, const struct addr *peer)
{
	bool lost = true;

	if (!gate_may_connect(l, peer))
		return "554 5.7.1 Access denied";
	for (size_t i = 0; i < site->conf->nbackends; i++)
		lost = lost && (site->conf->backends[i]->protocol == CONF_IMAP ||
				(site->conf->backends[i]->original ? l->mode == CONF_PLAIN : backend_is_lost(site->backends[i])));
	if (lost)
		return "421 4.3.2 The mail server cannot be reached now";
	if (!budget_take(server->spools.shared, BUDGET_SESSIONS, server->slot, 1, server->sessions_max))
		return "421 4.3.2 Too many connections, please come again";
	return NULL;
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
		timer_set(&s->deadline, s->listener->command_timeout);	/* for the whole handshake */
}

/* The backend that is wherever this client was going, where mail of it may go there; NULL: none. */
static struct backend *
original_backend(const struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;

	for (size_t i = 0; s->original.len > 0 && i < conf->nroutes; i++)
		if (conf->routes[i]->backend->original)
			return site_backend(s->site, conf->routes[i]->backend);
	return NULL;
}

void
smtp_greet(struct smtp_session *s)
{
	s->opening = s->waiting = false;
	s->original_caps = *smtp_backend_caps(s->link);
	conn_pause(s->client, false);
	if (s->server->draining)
		smtp_end(s, NULL, "shutdown");
	else
		begin(s);
}

void
smtp_accept(struct smtp_server *server, struct site *site, const struct conf_listener *l, int fd, const struct addr *peer,
    const struct addr *original)
{
	const char *refusal = reason_to_refuse(server, site, l, peer);
	struct backend *first;
	struct smtp_session *s;

	if (refusal != NULL) {
		turn_away(server, peer, l, fd, refusal);
		return;
	}
	s = mem_new(sizeof(*s));
	s->server = server;
	s->site = site_ref(site);
	s->listener = l;
	s->peer = *peer;
	s->original = *original;
	s->began = loop_now(server->loop);
	id_next(&server->ids, s->id);
	timer_init(&s->deadline, server->loop, on_deadline, s);
	s->next = server->first;
	if (s->next != NULL)
		s->next->prev = &s->next;
	s->prev = &server->first;
	server->first = s;
	server->sessions++;
	s->client = conn_new(server->loop, fd, &client_calls, s);
	first = original_backend(s);
	if (first == NULL) {
		begin(s);
		return;
	}
	/* What this server can do decides what we offer; a client whose server is down hears so at once. */
	s->opening = s->waiting = true;
	conn_pause(s->client, true);
	smtp_link_open(s, first);
}

void
smtp_server_drain(struct smtp_server *server, void (*all_gone)(void *owner), void *owner)
{
	struct smtp_session *s, *next;

	server->draining = true;
	server->all_gone = all_gone;
	server->owner = owner;
	if (server->sessions == 0) {
		all_gone(owner);
		return;
	}
	for (s = server->first; s != NULL; s = next) {
		next = s->next;
		if (!s->waiting && s->state <= SMTP_READY && s->client != NULL)
			smtp_end(s, "421 4.3.2 Shutting down, please come again", "shutdown");
	}
}
