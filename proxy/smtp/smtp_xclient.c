#include <stdlib.h>
#include <string.h>

#include "policy/gate/access.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

const struct addr *
smtp_relay(const struct smtp_session *s)
{
	return s->relay != NULL ? s->relay : &s->peer;
}

/* Why this command may not be said now, or NULL. Strangers hear the same whatever they say. */
static const char *
trouble(const struct smtp_session *s)
{
	if (!gate_may_xclient(s->listener, smtp_relay(s)))
		return "550 5.7.0 You may not speak for others";
	if (s->t != NULL)
		return "503 5.5.1 A transaction is in progress";
	return NULL;
}

/* From here on the client is who we were told. */
static void
believe(struct smtp_session *s)
{
	const struct smtp_told *told = s->xclient;

	if (s->relay == NULL) {
		s->relay = mem_new(sizeof(*s->relay));
		*s->relay = s->peer;
	}
	if (told->has_addr) {
		s->peer = told->addr;
		addr_set_port(&s->peer, told->port);
	} else if (told->has_port) {
		addr_set_port(&s->peer, told->port);
	}
	if (told->has_destination)
		s->local = told->destination;
	if (told->has_destination_port)
		addr_set_port(&s->local, told->destination_port);
	free(s->user);
	s->user = told->login[0] != '\0' ? mem_str(told->login) : NULL;
	s->user_mech = s->user != NULL ? CONF_MECH_EXTERNAL : 0;
	free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	s->offered = 0;
	buf_secret(conn_in(s->client), s->listener->auth != CONF_AUTH_OFF);	/* it may authenticate anew */
}

/* What a backend knows of the client before is of no use for the next one. */
static void
leave_link(struct smtp_session *s)
{
	smtp_link_leave(s);
	s->own = false;
}

/* The session begins anew, as that of the client that was told (Postfix's XCLIENT_README). TLS stays: it is the
 * relay's. */
enum smtp_step
smtp_xclient(struct smtp_session *s, struct slice args)
{
	struct smtp_server *server = s->server;
	struct smtp_told told = s->xclient != NULL ? *s->xclient : (struct smtp_told){ 0 };
	const char *reply = trouble(s);

	if (reply == NULL)
		reply = smtp_told_xclient(&told, args);
	if (reply != NULL)
		return smtp_refuse(s, reply);
	if (s->xclient == NULL)
		s->xclient = mem_new(sizeof(*s->xclient));
	*s->xclient = told;
	smtp_transaction_abort(s);
	leave_link(s);
	believe(s);
	smtp_enter(s, SMTP_GREETED);
	if (told.has_addr && !gate_may_connect(s->listener, &s->peer))
		return smtp_end(s, "554 5.7.1 Access denied", "access denied");
	crowd_leave(server->crowd, server->slot, &s->place);
	if (told.has_addr && !crowd_enter(server->crowd, server->slot, slice_of(s->listener->name), &s->peer,
				 s->listener->max_per_address, &s->place))
		return smtp_end(s, "421 4.7.0 Too many connections from your address", "too many connections from its address");
	smtp_say(s, "220 %s ESMTP Gatepost", s->site->conf->hostname);
	return STEP_NEXT;
}

/* For the next transaction only, and believed only for the record: who may do what is the relay's matter. */
enum smtp_step
smtp_xforward(struct smtp_session *s, struct slice args)
{
	struct smtp_told told = s->xforward != NULL ? *s->xforward : (struct smtp_told){ 0 };
	const char *reply = trouble(s);

	if (reply == NULL)
		reply = smtp_told_xforward(&told, args);
	if (reply != NULL)
		return smtp_refuse(s, reply);
	if (s->xforward == NULL)
		s->xforward = mem_new(sizeof(*s->xforward));
	*s->xforward = told;
	if (!smtp_is_bound(s) && !smtp_auth_stranded(s))	/* who has authenticated at a server stays there; it hears nothing of this */
		leave_link(s);
	return smtp_ok(s, "250 2.0.0 Ok");
}

void
smtp_xforward_end(struct smtp_session *s)
{
	free(s->xforward);
	s->xforward = NULL;
}

/* Postfix lets the relay's own EHLO win. But the relay says its own name there, or the client's again; what it
 * told is the client's for certain. */
void
smtp_xclient_hello(struct smtp_session *s)
{
	const struct smtp_told *told = s->xclient;

	if (told == NULL)
		return;
	if (told->helo[0] != '\0') {
		free(s->helo);
		s->helo = mem_str(told->helo);
	}
	if (told->proto != TOLD_NO_PROTO)
		s->esmtp = told->proto == TOLD_ESMTP;
}

void
smtp_told_facts(const struct smtp_session *s, struct facts *f)
{
	const struct smtp_told *told = s->xforward;

	if (told == NULL)
		return;
	if (told->has_addr && told->addr.len > 0)
		f->client = told->addr;
	if (told->helo[0] != '\0')
		f->helo = slice_of(told->helo);
	if (told->proto != TOLD_NO_PROTO)
		f->esmtp = told->proto == TOLD_ESMTP;
}

void
smtp_told_client(const struct smtp_session *s, struct smtp_client *c)
{
	const struct smtp_told *told = s->xforward;

	if (told == NULL)
		return;
	if (told->has_addr && told->addr.len > 0) {
		c->peer = told->addr;
		addr_set_port(&c->peer, told->port);
	}
	if (told->helo[0] != '\0')
		c->helo = slice_of(told->helo);
	if (told->proto != TOLD_NO_PROTO)
		c->esmtp = told->proto == TOLD_ESMTP;
}

void
smtp_told_log(const struct smtp_session *s, struct buf *line)
{
	const struct smtp_told *told = s->xforward;
	char text[ADDR_TEXT_MAX];

	if (s->xclient != NULL) {
		addr_text(smtp_relay(s), text);
		log_word(line, "relay", slice_of(text));
		if (s->xclient->name[0] != '\0')
			log_word(line, "name", slice_of(s->xclient->name));
	}
	if (told == NULL)
		return;
	if (told->addr.len > 0) {
		addr_host(&told->addr, text);
		log_word(line, "forwarded-for", slice_of(text));
	}
	if (told->helo[0] != '\0')
		log_word(line, "forwarded-helo", slice_of(told->helo));
	if (told->ident[0] != '\0')
		log_word(line, "forwarded-id", slice_of(told->ident));
}
