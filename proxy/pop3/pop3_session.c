#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/pop3/pop3_int.h"

static void on_up(void *), on_input(void *), on_drained(void *), on_lost(void *, const char *);
static const struct conn_ops client_calls = { on_up, on_input, on_drained, on_lost };

struct pop3_server *
pop3_server_new(struct loop *loop, struct budgets *budgets, struct crowd *crowd, unsigned slot)
{
	struct pop3_server *server = mem_new(sizeof(*server));

	server->loop = loop;
	server->budgets = budgets;
	server->crowd = crowd;
	server->slot = slot;
	id_begin(&server->ids, slot);
	return server;
}

void
pop3_server_free(struct pop3_server **server)
{
	free(*server);
	*server = NULL;
}

void
pop3_server_limits(struct pop3_server *server, unsigned sessions)
{
	server->sessions_max = sessions;
}

unsigned
pop3_server_sessions(const struct pop3_server *server)
{
	return server->sessions;
}

void
pop3_say(struct pop3_session *s, const char *fmt, ...)
{
	char line[512];		/* RFC 2449 section 4: a reply line has at most 512 octets */
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line) - 2, fmt, args);
	va_end(args);
	buf_printf(conn_out(s->client), "%s\r\n", line);
}

enum pop3_step
pop3_ok(struct pop3_session *s, const char *text)
{
	pop3_say(s, "+OK %s", text);
	return STEP_NEXT;
}

enum pop3_step
pop3_err(struct pop3_session *s, const char *text)
{
	if (++s->errors > s->listener->max_errors)
		return pop3_end(s, "-ERR Too many errors", "too many errors");
	pop3_say(s, "-ERR %s", text);
	return STEP_NEXT;
}

static void
session_free(struct pop3_session *s, const char *why)
{
	struct pop3_server *server = s->server;

	pop3_log(s, why);
	imap_client_drop(&s->mailbox);
	buf_free(&s->password);
	pop3_retr_end(s);
	pop3_drop_free(&s->drop);
	buf_free(&s->set);
	timer_stop(&s->deadline);
	site_unref(&s->site);
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	server->sessions--;
	budget_give(server->budgets, BUDGET_SESSIONS, server->slot, 1);
	crowd_leave(server->crowd, server->slot, &s->place);
	loop_free_later(server->loop, s);
	if (server->draining && server->sessions == 0)
		server->all_gone(server->owner);
}

enum pop3_step
pop3_end(struct pop3_session *s, const char *reply, const char *why)
{
	if (s->last_words)
		return STEP_GONE;
	s->last_words = true;
	if (reply != NULL && s->client != NULL)
		pop3_say(s, "%s", reply);
	if (s->mailbox_ready)
		imap_client_quit(&s->mailbox);
	conn_finish(&s->client);
	session_free(s, why);
	return STEP_GONE;
}

static bool
is_foreign(struct slice verb)
{
	static const char *const verbs[] = { "GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "Host:", "EHLO", "HELO", "MAIL" };

	for (size_t i = 0; i < NITEMS(verbs); i++)
		if (slice_iis(verb, verbs[i]))
			return true;
	return false;
}

static enum pop3_step
dispatch(struct pop3_session *s, struct slice line)
{
	struct slice args = line, verb = slice_cut(&args, ' ');
	const struct pop3_cmd *cmd;

	if (s->state == POP3_SASL)
		return pop3_sasl_answer(s, line);
	cmd = pop3_cmd_find(verb);
	if (cmd == NULL && is_foreign(verb))
		return pop3_end(s, "-ERR This is a POP3 server", "another protocol");
	if (cmd == NULL)
		return pop3_err(s, "Unknown command");
	if (line.len > POP3_COMMAND_MAX && !slice_iis(verb, "AUTH"))
		return pop3_err(s, "Line too long");
	if (!(cmd->states & (1u << s->state)))
		return pop3_err(s, s->state == POP3_TRANSACTION ? "You are logged in already" : "Log in first");
	return cmd->run(s, args);
}

static void
set_deadline(struct pop3_session *s)
{
	const struct conf_listener *l = s->listener;
	bool in_line = !s->waiting && buf_len(conn_in(s->client)) > 0;

	if (s->waiting && pop3_in_answer(s))
		timer_set(&s->deadline, l->idle_timeout);	/* moved on by every octet that the client takes */
	else if (s->waiting)
		timer_stop(&s->deadline);
	else if (!in_line)
		timer_set(&s->deadline, l->idle_timeout);
	else if (!s->line_begun)
		timer_set(&s->deadline, l->command_timeout);
	s->line_begun = in_line;
}

static enum pop3_step
next_line(struct pop3_session *s)
{
	static char room[POP3_LINE_MAX];	/* PASS and AUTH stand in it: wiped behind each */
	enum pop3_step step;
	struct slice line;

	switch (line_next(&s->lines, conn_in(s->client), room, sizeof(room), &line)) {
	case LINE_OK:
		s->line_begun = false;
		step = dispatch(s, line);
		mem_wipe(room, line.len);
		return step;
	case LINE_TOO_LONG:
		return pop3_end(s, "-ERR Line too long", "line too long");
	case LINE_BARE:
		return pop3_end(s, "-ERR A line ends in CR LF and holds no NUL", "malformed line");
	case LINE_MORE:
		break;
	}
	return STEP_WAIT;
}

static void
run(struct pop3_session *s)
{
	enum pop3_step step = STEP_NEXT;

	/* A client that sends a hundred commands at once gets its answers as it reads them. */
	while (step == STEP_NEXT && !s->waiting && buf_room(conn_out(s->client)) > CONN_OUT_MAX / 2)
		step = next_line(s);
	if (step == STEP_GONE || s->last_words)
		return;
	if (!s->waiting && conn_ended(s->client) && step == STEP_WAIT) {
		pop3_end(s, NULL, "client closed");
		return;
	}
	if (s->server->draining && !s->waiting) {
		pop3_end(s, "-ERR [SYS/TEMP] Shutting down, please come again", "shutdown");
		return;
	}
	set_deadline(s);
}

static void
on_input(void *owner)
{
	run(owner);
}

bool
pop3_in_answer(const struct pop3_session *s)
{
	return s->retr.begun || s->list.put != NULL;
}

void
pop3_resume(struct pop3_session *s)
{
	s->waiting = false;
	if (!s->last_words)
		run(s);
}

static void
on_drained(void *owner)
{
	struct pop3_session *s = owner;

	if (s->waiting && s->list.put != NULL) {
		set_deadline(s);
		pop3_list_drained(s);
	} else if (s->waiting && s->retr.mail != NULL) {
		set_deadline(s);
		pop3_retr_drained(s);
	} else if (!s->waiting) {
		run(s);
	}
}

static void
greet(struct pop3_session *s)
{
	pop3_say(s, "+OK %s POP3 Gatepost", s->site->conf->hostname);
	set_deadline(s);
}

static void
on_up(void *owner)
{
	struct pop3_session *s = owner;

	conn_tls_text(s->client, s->tls);
	if (s->listener->tls_mode == CONF_TLS_IMPLICIT)
		greet(s);
	else
		set_deadline(s);
}

static void
on_lost(void *owner, const char *why)
{
	struct pop3_session *s = owner;

	s->client = NULL;
	pop3_end(s, NULL, why != NULL ? why : "client closed");
}

static void
on_deadline(void *owner)
{
	struct pop3_session *s = owner;

	uint64_t taken;

	if (conn_untaken(s->client, &taken) > 0 && taken != s->taken) {
		s->taken = taken;	/* slow, but it reads */
		timer_set(&s->deadline, s->listener->idle_timeout);
		return;
	}
	/* In the middle of a message no word of ours may stand: it would look like its text. */
	pop3_end(s, pop3_in_answer(s) || conn_untaken(s->client, &taken) > 0 ? NULL : "-ERR [SYS/TEMP] Timeout", "timeout");
}

/* Why this client cannot be served now, or NULL: then it is booked as a session. */
static const char *
reason_to_refuse(const struct pop3_server *server, const struct site *site, const struct conf_listener *l,
    const struct arrival *a, struct crowd_place *place)
{
	if (!a->probe && !gate_may_connect(l, &a->client))
		return "-ERR [SYS/PERM] Access denied";
	if (backend_is_lost(site_backend(site, l->backend)))
		return "-ERR [SYS/TEMP] The mail server cannot be reached now";
	if (!crowd_enter(server->crowd, server->slot, slice_of(l->name), &a->client, a->probe ? 0 : l->max_per_address, place))
		return "-ERR [SYS/TEMP] Too many connections from your address";
	if (!budget_take(server->budgets, BUDGET_SESSIONS, server->slot, 1, server->sessions_max))
		return "-ERR [SYS/TEMP] Too many connections, please come again";
	return NULL;
}

static void
turn_away(struct pop3_server *server, const struct addr *peer, const struct conf_listener *l, int fd, const char *reply)
{
	static const struct conn_ops none = { NULL, NULL, NULL, NULL };
	struct conn *c = conn_new(server->loop, fd, &none, NULL);
	char text[ADDR_TEXT_MAX];

	addr_text(peer, text);
	log_info("client=%s listener=%s refused=\"%s\"", text, l->name, reply);
	if (l->tls_mode != CONF_TLS_IMPLICIT)
		buf_printf(conn_out(c), "%s\r\n", reply);
	conn_finish(&c);
}

void
pop3_accept(struct pop3_server *server, struct site *site, const struct conf_listener *l, const struct arrival *a)
{
	struct crowd_place place = { 0 };
	const char *refusal = reason_to_refuse(server, site, l, a, &place);
	struct pop3_session *s;
	struct err err = { "" };

	if (refusal != NULL) {
		crowd_leave(server->crowd, server->slot, &place);
		turn_away(server, &a->client, l, a->fd, refusal);
		return;
	}
	s = mem_new(sizeof(*s));
	s->server = server;
	s->site = site_ref(site);
	s->listener = l;
	s->peer = a->client;
	s->place = place;
	s->probe = a->probe;
	s->began = loop_now(server->loop);
	id_next(&server->ids, s->id);
	buf_init(&s->password, POP3_LINE_MAX);
	buf_init(&s->set, 8000);	/* octets of an IMAP command line that every server takes */
	timer_init(&s->deadline, server->loop, on_deadline, s);
	s->next = server->first;
	if (s->next != NULL)
		s->next->prev = &s->next;
	s->prev = &server->first;
	server->first = s;
	server->sessions++;
	s->client = conn_new(server->loop, a->fd, &client_calls, s);
	buf_secret(conn_in(s->client), true);	/* passwords come in here */
	buf_secret(&s->password, true);
	if (l->tls_mode != CONF_TLS_IMPLICIT)
		greet(s);
	else if (conn_starttls(s->client, site_tls(site, l), NULL, &err) == -1)
		pop3_end(s, NULL, err.text);
	else
		set_deadline(s);
}

void
pop3_server_drain(struct pop3_server *server, void (*all_gone)(void *owner), void *owner)
{
	struct pop3_session *s, *next;

	server->draining = true;
	server->all_gone = all_gone;
	server->owner = owner;
	if (server->sessions == 0) {
		all_gone(owner);
		return;
	}
	for (s = server->first; s != NULL; s = next) {
		next = s->next;
		if (!s->waiting)
			pop3_end(s, "-ERR [SYS/TEMP] Shutting down, please come again", "shutdown");
	}
}
