#include <string.h>

#include "proxy/base/log.h"
#include "proxy/pop3/pop3_int.h"

/* QUIT in the TRANSACTION state is the UPDATE state of RFC 1939 section 6: \Seen for what was read, then
 * \Deleted and UID EXPUNGE for what was marked. The client hears +OK only when all of it was done. Only
 * UIDs are named, and only ours: what other clients have marked stays. */

static void store_seen(struct pop3_session *), store_deleted(struct pop3_session *), expunge(struct pop3_session *);
static void look_for_foreign(struct pop3_session *);

static bool
is_ours(const struct pop3_mail *m)
{
	return m->deleted;		/* a UID that is gone means nothing to the server */
}

static bool
is_newly_read(const struct pop3_mail *m)
{
	return m->read && !m->seen && !m->deleted;
}

static void
good_bye(struct pop3_session *s)
{
	if (s->update_failed)
		pop3_end(s, "-ERR [SYS/TEMP] Some deleted messages were not removed", "quit, not all was deleted");
	else
		pop3_end(s, "+OK Bye", "quit");
}

/* The next set of UIDs that a step is about; false: there are no more. */
static bool
next_set(struct pop3_session *s, bool (*want)(const struct pop3_mail *))
{
	buf_clear(&s->set);
	pop3_drop_set(&s->drop, want, &s->set_from, &s->set);
	if (buf_len(&s->set) > 0)
		return true;
	s->set_from = 0;
	return false;
}

static void
failed(struct pop3_session *s, const char *what, const struct imap_answer *a)
{
	log_warn("%s: %s at QUIT: %s", s->id, what, a->text);
	s->update_failed = true;
}

static void
on_seen(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (a->result != IMAP_OK)	/* a mark that is missing harms nobody */
		log_warn("%s: \\Seen was not stored: %s", s->id, a->text);
	store_seen(s);
}

static void
store_seen(struct pop3_session *s)
{
	if (next_set(s, is_newly_read))
		imap_store(s->mailbox, buf_slice(&s->set), "\\Seen", on_seen);
	else
		store_deleted(s);
}

static void
on_deleted(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (a->result == IMAP_OK) {
		store_deleted(s);
		return;
	}
	failed(s, "\\Deleted", a);
	good_bye(s);			/* nothing is expunged that might be only half marked */
}

static void
store_deleted(struct pop3_session *s)
{
	if (next_set(s, is_ours))
		imap_store(s->mailbox, buf_slice(&s->set), "\\Deleted", on_deleted);
	else if (imap_client_caps(s->mailbox)->uidplus)
		expunge(s);
	else
		look_for_foreign(s);
}

static void
on_expunged(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (a->result != IMAP_OK)
		failed(s, "UID EXPUNGE", a);
	expunge(s);
}

static void
expunge(struct pop3_session *s)
{
	if (next_set(s, is_ours))
		imap_uid_expunge(s->mailbox, buf_slice(&s->set), on_expunged);
	else
		good_bye(s);
}

/* Without UIDPLUS (RFC 4315) only EXPUNGE is there, which takes everybody's \Deleted messages. It is used
 * when those are exactly ours; otherwise ours keep their mark and stay hidden from POP3. */
static void
on_expunged_all(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (a->result != IMAP_OK)
		failed(s, "EXPUNGE", a);
	good_bye(s);
}

static void
on_searched(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	if (a->result != IMAP_OK) {
		failed(s, "UID SEARCH", a);
		good_bye(s);
	} else if (s->foreign > 0) {
		log_info("%s: other clients have deleted messages too: ours stay marked, nothing was expunged", s->id);
		good_bye(s);
	} else {
		imap_expunge(s->mailbox, on_expunged_all);
	}
}

static void
look_for_foreign(struct pop3_session *s)
{
	size_t from = 0;

	buf_clear(&s->set);
	pop3_drop_set(&s->drop, is_ours, &from, &s->set);
	if (buf_len(&s->set) == 0)
		good_bye(s);
	else
		imap_search_deleted(s->mailbox, on_searched);
}

void
pop3_quit_untagged(struct pop3_session *s, const struct imap_untagged *u)
{
	const struct pop3_mail *mail = pop3_drop_uid(&s->drop, u->number);

	if (mail == NULL || !is_ours(mail))
		s->foreign++;
}

enum pop3_step
pop3_quit(struct pop3_session *s, struct slice args)
{
	if (args.len > 0)
		return pop3_err(s, "QUIT takes no argument");
	if (s->state != POP3_TRANSACTION)
		return pop3_end(s, "+OK Bye", "quit");
	s->waiting = true;
	s->set_from = 0;
	store_seen(s);
	return s->last_words ? STEP_GONE : STEP_WAIT;
}
