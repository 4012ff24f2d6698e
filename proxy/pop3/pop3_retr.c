#include <string.h>

#include "proxy/base/log.h"
#include "proxy/pop3/pop3_int.h"

#define TOP_PART  16384			/* octets of the first part that TOP asks for */
#define TOP_WHOLE 10000			/* lines from which on all of the message is asked for: fetchmail's way to retrieve */
#define GONE      "-ERR This message is gone from the mailbox"
#define OUT_HIGH (CONN_OUT_MAX / 2)	/* octets waiting for the client at which the server is paused */

static void on_fetched(void *, const struct imap_answer *);
static void on_looked(void *, const struct imap_answer *);

void
pop3_retr_end(struct pop3_session *s)
{
	buf_free(&s->retr.spill);
	memset(&s->retr, 0, sizeof(s->retr));
}

/* TOP of a few lines does not pay for all of a large message: parts, each twice as large as the one before. */
static void
fetch_part(struct pop3_session *s)
{
	struct pop3_retr *r = &s->retr;

	r->part = r->top && r->lines < TOP_WHOLE ? (r->offset > 0 ? 2 * r->part : TOP_PART) : 0;
	r->got = 0;
	r->whole = false;
	imap_fetch_body(s->mailbox, r->mail->uid, r->offset, r->part, on_fetched);
}

static void
fetch(struct pop3_session *s)
{
	struct pop3_retr *r = &s->retr;

	if (r->top)
		pop3_stuff_begin_top(&r->stuff, r->lines);
	else
		pop3_stuff_begin(&r->stuff);
	r->swallow = r->missing = r->whole = false;
	r->got = r->offset = 0;
	fetch_part(s);
}

static enum pop3_step
begin(struct pop3_session *s, struct pop3_mail *mail, bool top, uint64_t lines)
{
	if (pop3_drop_is_gone(&s->drop, mail)) {
		pop3_say(s, GONE);
		return STEP_NEXT;
	}
	s->retr.mail = mail;
	s->retr.top = top;
	s->retr.lines = lines;
	buf_init(&s->retr.spill, CONN_IN_MAX);
	s->waiting = true;
	fetch(s);
	return STEP_WAIT;
}

enum pop3_step
pop3_retr(struct pop3_session *s, struct slice args)
{
	enum pop3_step step = STEP_NEXT;
	struct pop3_mail *mail = pop3_named_mail(s, args, &step);

	return mail != NULL ? begin(s, mail, false, 0) : step;
}

enum pop3_step
pop3_top(struct pop3_session *s, struct slice args)
{
	enum pop3_step step = STEP_NEXT;
	struct slice number = slice_word(&args);
	struct pop3_mail *mail;
	uint64_t lines;

	if (!slice_number(args, &lines))
		return pop3_err(s, "TOP needs a message number and a number of lines");
	mail = pop3_named_mail(s, number, &step);
	return mail != NULL ? begin(s, mail, true, lines) : step;
}

static uint64_t
expected_size(const struct pop3_retr *r)
{
	return r->part > 0 && r->mail->size > r->part ? r->part : r->mail->size;
}

/* The size decides whether this is the message that was listed. Courier answers a message that is gone
 * with a forged one; Exchange only estimates sizes. So what has another size is thrown away first, and
 * fetched again when the server says that the message is still there. */
static void
body_begins(struct pop3_session *s, const struct imap_untagged *u)
{
	struct pop3_retr *r = &s->retr;

	if (r->begun)
		r->whole = u->is_nil && r->offset > 0;	/* a part behind the end: NIL is empty, too */
	if (r->begun || r->swallow)
		return;
	r->missing = u->is_nil;
	r->swallow = u->is_nil || (u->size != expected_size(r) && !r->looked && !s->sizes_are_estimates);
	if (r->swallow)
		return;
	r->begun = true;
	if (r->top)
		pop3_ok(s, "The beginning follows");
	else
		pop3_say(s, "+OK %llu octets", (unsigned long long)u->size);
}

/* Out of the spill first; the server goes on when the client has room again. */
static void
pour(struct pop3_session *s)
{
	struct pop3_retr *r = &s->retr;
	struct buf *out = conn_out(s->client);

	buf_eat(&r->spill, pop3_stuff_write(&r->stuff, buf_slice(&r->spill), out));
	imap_client_pause(s->mailbox, buf_len(&r->spill) > 0 || buf_len(out) > OUT_HIGH);
}

static void
body_data(struct pop3_session *s, struct slice data)
{
	struct pop3_retr *r = &s->retr;
	size_t taken = 0;

	if (!r->begun || r->swallow)
		return;
	s->octets += data.len;
	r->got += data.len;
	if (buf_len(&r->spill) == 0)
		taken = pop3_stuff_write(&r->stuff, data, conn_out(s->client));
	/* What does not fit is one piece at the most: the server is paused behind it. */
	if (!buf_put(&r->spill, slice_part(data, taken, data.len))) {
		log_error("%s: the server did not pause", s->id);
		pop3_end(s, NULL, "the server did not pause");
		return;
	}
	pour(s);
}

/* The last word of a RETR, when everything before it has gone into the client's buffer. */
static void
finish(struct pop3_session *s)
{
	struct pop3_retr *r = &s->retr;

	if (buf_len(&r->spill) > 0 || !pop3_stuff_finish(&r->stuff, conn_out(s->client)))
		return;			/* again when the client's buffer has drained */
	if (r->top) {
		s->ntop++;
	} else {
		s->nretr++;
		r->mail->read = true;
	}
	pop3_retr_end(s);
	pop3_resume(s);
}

void
pop3_retr_drained(struct pop3_session *s)
{
	if (!s->retr.begun)
		return;
	pour(s);
	if (s->retr.whole && s->retr.answered)
		finish(s);
}

void
pop3_retr_untagged(struct pop3_session *s, const struct imap_untagged *u)
{
	if (u->kind == IMAP_BODY_BEGIN)
		body_begins(s, u);
	else if (u->kind == IMAP_BODY_DATA)
		body_data(s, u->data);
	else
		s->retr.whole = true;
}

static void
gone(struct pop3_session *s)
{
	s->retr.mail->vanished = true;
	pop3_retr_end(s);
	pop3_say(s, GONE);		/* no fault of the client's: it does not count as an error */
	pop3_resume(s);
}

static void
on_fetched(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;
	struct pop3_retr *r = &s->retr;

	if (r->begun && r->whole && r->part > 0 && r->got == r->part && !r->stuff.full) {
		r->offset += r->part;
		fetch_part(s);
	} else if (r->begun && r->whole) {
		r->answered = true;
		finish(s);
	} else if (r->begun) {
		pop3_end(s, NULL, "the server ended a message early");
	} else if (r->missing || (a->result == IMAP_OK && !r->swallow)) {
		gone(s);
	} else if (r->swallow) {
		imap_noop(s->mailbox, on_looked);	/* a vanished message is told now at the latest */
	} else {
		pop3_retr_end(s);
		if (pop3_err(s, "[SYS/TEMP] The server did not give this message") != STEP_GONE)
			pop3_resume(s);
	}
}

static void
on_looked(void *owner, const struct imap_answer *a)
{
	struct pop3_session *s = owner;

	(void)a;
	if (pop3_drop_is_gone(&s->drop, s->retr.mail)) {
		gone(s);
		return;
	}
	/* It is there: this server's sizes are not to be taken at their word. */
	s->sizes_are_estimates = true;
	s->retr.looked = true;
	fetch(s);
}
