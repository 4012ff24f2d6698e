#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/pop3/pop3_int.h"

#define LIST_LINE_MAX 48	/* octets of one line of LIST or UIDL */

bool
pop3_may_log_in(const struct pop3_session *s)
{
	return s->tls[0] != '\0' || s->listener->plaintext_login;
}

bool
pop3_can_start_tls(const struct pop3_session *s)
{
	enum conf_tls_mode mode = s->listener->tls_mode;

	return s->state == POP3_AUTHORIZATION && s->tls[0] == '\0' && (mode == CONF_TLS_OFFER || mode == CONF_TLS_REQUIRE);
}

/* RFC 2449, RFC 3206: what is usable now, and what always is. */
static enum pop3_step
cmd_capa(struct pop3_session *s, struct slice args)
{
	struct buf *out = conn_out(s->client);

	(void)args;
	pop3_ok(s, "Capabilities follow");
	buf_puts(out, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n");
	if (s->state == POP3_AUTHORIZATION && pop3_may_log_in(s))
		buf_puts(out, "USER\r\nSASL PLAIN\r\n");
	if (pop3_can_start_tls(s))
		buf_puts(out, "STLS\r\n");
	buf_puts(out, ".\r\n");
	return STEP_NEXT;
}

/* RFC 2595 section 4. What the client said before is forgotten, and nothing may stand behind the command. */
static enum pop3_step
cmd_stls(struct pop3_session *s, struct slice args)
{
	struct err err = { "" };

	if (args.len > 0)
		return pop3_err(s, "STLS takes no argument");
	if (!pop3_can_start_tls(s))
		return pop3_err(s, s->tls[0] != '\0' ? "TLS is active already" : "TLS is not available here");
	if (buf_len(conn_in(s->client)) > 0)
		return pop3_end(s, "-ERR Octets behind STLS", "octets behind STLS");
	pop3_ok(s, "Begin TLS");
	s->user[0] = '\0';
	if (conn_starttls(s->client, site_tls(s->site, s->listener), NULL, &err) == -1) {
		log_warn("%s: STLS: %s", s->id, err.text);
		return pop3_end(s, NULL, "STLS failed");
	}
	return STEP_WAIT;
}

static enum pop3_step
cmd_stat(struct pop3_session *s, struct slice args)
{
	uint64_t mails, octets;

	if (args.len > 0)
		return pop3_err(s, "STAT takes no argument");
	pop3_drop_count(&s->drop, &mails, &octets);
	pop3_say(s, "+OK %llu %llu", (unsigned long long)mails, (unsigned long long)octets);
	return STEP_NEXT;
}

struct pop3_mail *
pop3_named_mail(struct pop3_session *s, struct slice arg, enum pop3_step *step)
{
	struct pop3_mail *mail;
	uint64_t n;

	if (!slice_number(arg, &n)) {
		*step = pop3_err(s, "A message number is needed");
		return NULL;
	}
	mail = pop3_drop_mail(&s->drop, n);
	if (mail == NULL)
		*step = pop3_err(s, "There is no such message");
	return mail;
}

static void
put_size(const struct pop3_session *s, const struct pop3_mail *m, char *out, size_t size)
{
	snprintf(out, size, "%zu %llu", (size_t)(m - s->drop.mails) + 1, (unsigned long long)m->size);
}

static void
put_uidl(const struct pop3_session *s, const struct pop3_mail *m, char *out, size_t size)
{
	char uidl[24];

	pop3_drop_uidl(&s->drop, m, uidl);
	snprintf(out, size, "%zu %s", (size_t)(m - s->drop.mails) + 1, uidl);
}

/* The next part of a listing, as much as the client's buffer takes; the rest when that has drained. */
static bool
list_some(struct pop3_session *s)
{
	struct buf *out = conn_out(s->client);
	char line[LIST_LINE_MAX];

	for (; s->list.next < s->drop.nmails; s->list.next++) {
		const struct pop3_mail *m = &s->drop.mails[s->list.next];

		if (buf_room(out) < LIST_LINE_MAX + 8)
			return false;
		if (m->deleted)
			continue;
		s->list.put(s, m, line, sizeof(line));
		buf_printf(out, "%s\r\n", line);
	}
	buf_puts(out, ".\r\n");
	return true;
}

void
pop3_list_drained(struct pop3_session *s)
{
	if (!list_some(s))
		return;
	s->list.put = NULL;
	pop3_resume(s);
}

static enum pop3_step
list(struct pop3_session *s, struct slice args,
    void (*put)(const struct pop3_session *, const struct pop3_mail *, char *out, size_t size))
{
	enum pop3_step step = STEP_NEXT;
	const struct pop3_mail *mail;
	uint64_t mails, octets;
	char line[LIST_LINE_MAX];

	if (args.len > 0) {
		if ((mail = pop3_named_mail(s, args, &step)) == NULL)
			return step;
		put(s, mail, line, sizeof(line));
		return pop3_ok(s, line);
	}
	pop3_drop_count(&s->drop, &mails, &octets);
	pop3_say(s, "+OK %llu messages", (unsigned long long)mails);
	s->list.put = put;
	s->list.next = 0;
	if (list_some(s)) {
		s->list.put = NULL;
		return STEP_NEXT;
	}
	s->waiting = true;
	return STEP_WAIT;
}

static enum pop3_step
cmd_list(struct pop3_session *s, struct slice args)
{
	return list(s, args, put_size);
}

static enum pop3_step
cmd_uidl(struct pop3_session *s, struct slice args)
{
	return list(s, args, put_uidl);
}

static enum pop3_step
cmd_dele(struct pop3_session *s, struct slice args)
{
	enum pop3_step step = STEP_NEXT;
	struct pop3_mail *mail = pop3_named_mail(s, args, &step);

	if (mail == NULL)
		return step;
	mail->deleted = true;
	s->ndele++;
	return pop3_ok(s, "Marked to be deleted");
}

static enum pop3_step
cmd_rset(struct pop3_session *s, struct slice args)
{
	if (args.len > 0)
		return pop3_err(s, "RSET takes no argument");
	pop3_drop_reset(&s->drop);
	s->ndele = 0;
	return pop3_ok(s, "Nothing is marked any more");
}

static enum pop3_step
cmd_noop(struct pop3_session *s, struct slice args)
{
	(void)args;
	return pop3_ok(s, "Nothing done");
}

static const struct pop3_cmd pop3_cmds[] = {
	/* verb   handler     legal in */
	{ "CAPA", cmd_capa,   IN_ANY },
	{ "STLS", cmd_stls,   IN(AUTHORIZATION) },
	{ "USER", pop3_user,  IN(AUTHORIZATION) },
	{ "PASS", pop3_pass,  IN(AUTHORIZATION) },
	{ "AUTH", pop3_auth,  IN(AUTHORIZATION) },
	{ "STAT", cmd_stat,   IN(TRANSACTION) },
	{ "LIST", cmd_list,   IN(TRANSACTION) },
	{ "UIDL", cmd_uidl,   IN(TRANSACTION) },
	{ "RETR", pop3_retr,  IN(TRANSACTION) },
	{ "TOP",  pop3_top,   IN(TRANSACTION) },
	{ "DELE", cmd_dele,   IN(TRANSACTION) },
	{ "RSET", cmd_rset,   IN(TRANSACTION) },
	{ "NOOP", cmd_noop,   IN(TRANSACTION) },
	{ "QUIT", pop3_quit,  IN_ANY },
};

const struct pop3_cmd *
pop3_cmd_find(struct slice verb)
{
	for (size_t i = 0; i < NITEMS(pop3_cmds); i++)
		if (slice_iis(verb, pop3_cmds[i].verb))
			return &pop3_cmds[i];
	return NULL;
}
