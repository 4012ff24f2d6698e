#include <stdio.h>
#include <string.h>

#include "proxy/base/b64.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/pop3/pop3_int.h"
#include "proxy/sasl/plain.h"

#define FAILED_LOGINS_MAX 3	/* on one connection */

static void on_ready(void *), on_untagged(void *, const struct imap_untagged *), on_failed(void *, const char *, bool);
static void on_login(void *, const struct imap_answer *), on_select(void *, const struct imap_answer *);
static void on_list(void *, const struct imap_answer *);
static const struct imap_client_ops mailbox_calls = { on_ready, on_untagged, on_failed };

static enum pop3_step
log_in(struct pop3_session *s)
{
	s->state = POP3_AUTHORIZATION;
	s->waiting = true;
	s->mailbox_ready = s->login_done = s->selected = s->has_exists = false;
	s->list_trouble[0] = '\0';
	s->mailbox = imap_client_open(s->server->loop, site_backend(s->site, s->listener->backend), &mailbox_calls, s);
	return STEP_WAIT;
}

/* The login came to nothing: the mailbox is let go and the client hears why. */
static void
refuse_login(struct pop3_session *s, const char *reply, const char *why)
{
	log_info("%s: login of \"%s\" failed: %s", s->id, s->user, why);
	buf_free(&s->password);
	imap_client_drop(&s->mailbox);
	s->mailbox_ready = false;
	pop3_drop_free(&s->drop);
	s->user[0] = '\0';
	if (++s->failed_logins >= FAILED_LOGINS_MAX) {
		pop3_end(s, reply, "too many failed logins");
		return;
	}
	pop3_say(s, "%s", reply);
	pop3_resume(s);
}

static void
unavailable(struct pop3_session *s, const char *why)
{
	refuse_login(s, "-ERR [SYS/TEMP] The mailbox is not available now", why);
}

/* The server's NO or BAD to LOGIN. Only what clearly is about the password is told as [AUTH]: a client
 * that is told so forgets the password it has (RFC 3206 section 4, RFC 5530 for the codes). */
static void
login_refused(struct pop3_session *s, const struct imap_answer *a)
{
	static const char *const temporary[] = { "UNAVAILABLE", "LIMIT", "INUSE", "SERVERBUG", "OVERQUOTA", "ALERT",
		"PRIVACYREQUIRED", "CLIENTBUG" };

	char why[100];

	/* The server's words stay out of the log: some repeat the password. Codes are from a list. */
	snprintf(why, sizeof(why), "the server answered %s %.64s", a->result == IMAP_BAD ? "BAD" : "NO", a->code);
	for (size_t i = 0; i < NITEMS(temporary); i++)
		if (strcmp(a->code, temporary[i]) == 0) {
			unavailable(s, why);
			return;
		}
	if (a->result == IMAP_BAD || a->bye)
		unavailable(s, why);
	else
		refuse_login(s, "-ERR [AUTH] Login failed", why);
}

static void
on_ready(void *owner)
{
	struct pop3_session *s = owner;

	s->mailbox_ready = true;
	imap_login(s->mailbox, slice_of(s->user), buf_slice(&s->password), on_login);
	buf_free(&s->password);
}

static void
on_login(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	s->login_done = a->result == IMAP_OK;
	if (s->login_done)
		imap_select(s->mailbox, "INBOX", on_select);
	else
		login_refused(s, a);
}

static void
logged_in(struct pop3_session *s)
{
	struct err err = { "" };
	uint64_t mails, octets;

	if (pop3_drop_finish(&s->drop, &err) == -1) {
		unavailable(s, err.text);	/* rather no maildrop than one that lacks messages */
		return;
	}
	s->state = POP3_TRANSACTION;
	buf_secret(conn_in(s->client), false);
	pop3_drop_count(&s->drop, &mails, &octets);
	pop3_say(s, "+OK Maildrop has %llu messages (%llu octets)", (unsigned long long)mails, (unsigned long long)octets);
	pop3_resume(s);
}

static void
on_select(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	s->selected = true;
	if (a->result == IMAP_NO)
		refuse_login(s, "-ERR [SYS/PERM] There is no INBOX for this user", a->text);
	else if (a->result == IMAP_BAD)
		unavailable(s, a->text);
	else if (!s->has_exists)
		unavailable(s, "the server told no EXISTS");
	else if (s->drop.uidvalidity == 0)
		unavailable(s, "the server told no UIDVALIDITY");
	else if (s->drop.exists == 0)
		logged_in(s);		/* some servers call 1:* of an empty mailbox an error */
	else
		imap_fetch_list(s->mailbox, on_list);
}

static void
on_list(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (s->list_trouble[0] != '\0')
		unavailable(s, s->list_trouble);
	else if (a->result != IMAP_OK)
		unavailable(s, a->text);
	else
		logged_in(s);
}

/* One message of the list, or a part of what is to be known of it. Trouble is remembered and told when
 * the list is over: a call cannot end its caller. */
static void
listed(struct pop3_session *s, const struct imap_untagged *u)
{
	struct pop3_listed l = {
		.seq = u->seq, .uid = u->uid, .size = u->size, .has_size = u->has_size,
		.has_flags = u->has_flags, .seen = u->seen, .deleted = u->deleted,
	};
	struct err err = { "" };

	if (s->list_trouble[0] != '\0' || (u->uid == 0 && !u->has_size))
		return;			/* flags alone, which another client changed meanwhile */
	if (pop3_drop_add(&s->drop, &l, &err) == -1)
		snprintf(s->list_trouble, sizeof(s->list_trouble), "%.150s", err.text);
}

static void
on_untagged(void *owner, const struct imap_untagged *u)
{
	struct pop3_session *s = owner;

	switch (u->kind) {
	case IMAP_EXISTS:
		if (!s->selected) {	/* mail that comes later is for the next session */
			s->drop.exists = u->number;
			s->has_exists = true;
		}
		break;
	case IMAP_UIDVALIDITY:
		s->drop.uidvalidity = u->number;
		break;
	case IMAP_EXPUNGE:
		pop3_drop_expunged(&s->drop, u->number, s->state == POP3_TRANSACTION);
		break;
	case IMAP_FETCH:
		if (s->state == POP3_AUTHORIZATION)
			listed(s, u);
		break;
	case IMAP_BODY_BEGIN:
	case IMAP_BODY_DATA:
	case IMAP_BODY_END:
		if (s->retr.mail != NULL)
			pop3_retr_untagged(s, u);
		break;
	case IMAP_SEARCH:
		pop3_quit_untagged(s, u);
		break;
	}
}

static void
on_failed(void *owner, const char *why, bool connected)
{
	struct pop3_session *s = owner;

	if (connected && !s->login_done)
		why = "the server ended the session at login";	/* its words may hold the password */
	s->mailbox = NULL;
	s->mailbox_ready = false;
	if (s->state != POP3_TRANSACTION && s->waiting)
		unavailable(s, why);
	else
		/* No final dot after a cut message: the client must not take what it has for the whole. */
		pop3_end(s, pop3_in_answer(s) ? NULL : "-ERR [SYS/TEMP] The mail server was lost; nothing was deleted", why);
}

enum pop3_step
pop3_user(struct pop3_session *s, struct slice args)
{
	if (!pop3_may_log_in(s))
		return pop3_err(s, "[SYS/PERM] Passwords need TLS here: say STLS first");
	if (args.len == 0 || !slice_copy(args, s->user, sizeof(s->user)))
		return pop3_err(s, "A user name is needed");
	return pop3_ok(s, "Say PASS");	/* to any name: who exists is nobody's business */
}

/* Everything behind the one space is the password, blanks and 8-bit octets too. */
enum pop3_step
pop3_pass(struct pop3_session *s, struct slice args)
{
	if (!pop3_may_log_in(s))
		return pop3_err(s, "[SYS/PERM] Passwords need TLS here: say STLS first");
	if (s->user[0] == '\0')
		return pop3_err(s, "Say USER first");
	if (args.len == 0)
		return pop3_err(s, "A password is needed");
	buf_put(&s->password, args);
	return log_in(s);
}

static enum pop3_step
sasl_plain(struct pop3_session *s, struct slice text)
{
	struct sasl_plain plain;
	struct buf message;
	bool good;

	s->state = POP3_AUTHORIZATION;
	buf_init(&message, POP3_LINE_MAX);
	buf_secret(&message, true);
	good = b64_decode(&message, text) && sasl_plain_read(buf_slice(&message), &plain) &&
	       (plain.authzid.len == 0 || slice_same(plain.authzid, plain.user)) && slice_copy(plain.user, s->user, sizeof(s->user));
	if (good)
		buf_put(&s->password, plain.password);
	buf_free(&message);
	return good ? log_in(s) : pop3_err(s, "This is no PLAIN response");
}

/* RFC 5034. Without an argument: the list of mechanisms, as old Outlooks ask for it. */
enum pop3_step
pop3_auth(struct pop3_session *s, struct slice args)
{
	struct slice mechanism = slice_word(&args);

	if (!pop3_may_log_in(s))
		return pop3_err(s, "[SYS/PERM] Passwords need TLS here: say STLS first");
	if (mechanism.len == 0) {
		pop3_ok(s, "Mechanisms follow");
		buf_puts(conn_out(s->client), "PLAIN\r\n.\r\n");
		return STEP_NEXT;
	}
	if (!slice_iis(mechanism, "PLAIN"))
		return pop3_err(s, "This mechanism is not supported");
	if (args.len > 0)
		return sasl_plain(s, args);
	buf_puts(conn_out(s->client), "+ \r\n");
	s->state = POP3_SASL;
	return STEP_NEXT;
}

enum pop3_step
pop3_sasl_answer(struct pop3_session *s, struct slice line)
{
	if (slice_is(line, "*")) {
		s->state = POP3_AUTHORIZATION;
		return pop3_err(s, "Cancelled");
	}
	return sasl_plain(s, line);
}
