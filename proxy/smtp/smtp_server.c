/* The server of this worker: who may come in, how many there are, and when they must go. */
#include <stdlib.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"
#include "proxy/smtp/smtp_verify.h"

static const char too_many[] = "421 4.7.0 Too many connections from your address";

struct smtp_server *
smtp_server_new(const struct smtp_means *means)
{
	struct smtp_server *server = mem_new(sizeof(*server));

	server->loop = means->loop;
	server->scanners = means->scanners;
	server->flagged = means->flagged;
	server->keeper = means->keeper;
	server->budgets = means->budgets;
	server->crowd = means->crowd;
	server->throttle = means->throttle;
	server->slot = means->slot;
	server->pool = smtp_pool_new(means->loop);
	server->verify = smtp_verify_new(means->loop, server->pool);
	spool_house_init(&server->spools, means->loop, means->budgets, means->slot);
	id_begin(&server->ids, means->slot);
	return server;
}

void
smtp_server_free(struct smtp_server **server)
{
	if (*server == NULL)
		return;
	smtp_verify_free(&(*server)->verify);
	smtp_pool_free(&(*server)->pool);
	spool_house_close(&(*server)->spools);
	free(*server);
	*server = NULL;
}

struct smtp_pool *
smtp_server_pool(struct smtp_server *server)
{
	return server->pool;
}

void
smtp_server_limits(struct smtp_server *server, const struct conf *conf)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->protocol == CONF_SMTP && conf->listeners[i]->max_size > largest)
			largest = conf->listeners[i]->max_size;
	server->sessions_max = conf->max_connections;
	spool_house_limits(&server->spools, conf->spool_memory, largest);
}

unsigned
smtp_server_sessions(const struct smtp_server *server)
{
	return server->sessions;
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
	if (reply == too_many)
		log_word(&line, "limit", SLICE("per-ip"));
	log_line(LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
	if (l->tls_mode != CONF_TLS_IMPLICIT)	/* there the client expects no words in the clear */
		buf_printf(conn_out(c), "%s\r\n", reply);
	conn_finish(&c);
}

/* Why this client cannot be served now, or NULL: then it is booked as a session. */
static const char *
reason_to_refuse(const struct smtp_server *server, const struct site *site, const struct conf_listener *l,
    const struct arrival *a, struct crowd_place *place)
{
	bool spoken_for = a->probe || gate_may_xclient(l, &a->client);	/* its clients are counted, not itself */
	bool lost = true;

	if (!a->probe && !gate_may_connect(l, &a->client))
		return "554 5.7.1 Access denied";
	for (size_t i = 0; i < site->conf->nbackends; i++)
		lost = lost && (site->conf->backends[i]->protocol == CONF_IMAP ||
				(site->conf->backends[i]->original ? l->mode == CONF_PLAIN : backend_is_lost(site->backends[i])));
	if (lost)
		return "421 4.3.2 The mail server cannot be reached now";
	if (!crowd_enter(server->crowd, server->slot, slice_of(l->name), &a->client, spoken_for ? 0 : l->max_per_address, place))
		return too_many;
	if (!budget_take(server->budgets, BUDGET_SESSIONS, server->slot, 1, server->sessions_max))
		return "421 4.3.2 Too many connections, please come again";
	return NULL;
}

void
smtp_accept(struct smtp_server *server, struct site *site, const struct conf_listener *l, const struct arrival *a)
{
	struct crowd_place place = { 0 };
	const char *refusal = reason_to_refuse(server, site, l, a, &place);

	if (refusal == NULL) {
		smtp_session_begin(server, site, l, a, &place);
		return;
	}
	crowd_leave(server->crowd, server->slot, &place);
	turn_away(server, &a->client, l, a->fd, refusal);
}

void
smtp_server_drain(struct smtp_server *server, void (*all_gone)(void *owner), void *owner)
{
	struct smtp_session *s, *next;

	server->draining = true;
	server->all_gone = all_gone;
	server->owner = owner;
	if (server->sessions == 0) {
		smtp_pool_retire(server->pool, NULL);
		all_gone(owner);
		return;
	}
	for (s = server->first; s != NULL; s = next) {
		next = s->next;
		smtp_session_drain(s);
	}
}
