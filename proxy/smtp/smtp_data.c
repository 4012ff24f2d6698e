/* The message comes in, by DATA or in chunks (BDAT, RFC 3030), into a spool. */
#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

/* The backend's session is let go while a slow client goes on: MAIL and RCPT are said again at the end. */
static void
on_park(void *owner)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = s->t;

	if ((s->state != SMTP_DATA && s->state != SMTP_BDAT) || smtp_is_bound(s) || s->link == NULL)
		return;
	log_debug("%s: parked", t->id);
	t->parked = true;
	t->mail_sent = false;
	t->standing = 0;
	smtp_backend_reset(s->link);
	smtp_link_leave(s);
}

/* The first octets of a message are about to come. */
static void
begin_message(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	const struct conf_listener *l = s->listener;

	t->dot.normalize = t->lines.normalize = l->bare_newline == CONF_NEWLINE_NORMALIZE;
	t->digest = digest_new();
	pace_begin(&t->pace, loop_now(s->server->loop), l->data_timeout, l->min_data_rate);
	timer_init(&t->park, s->server->loop, on_park, s);
	if (l->park_after > 0)
		timer_set(&t->park, l->park_after);
}

enum smtp_step
smtp_data(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = s->t;

	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 DATA takes no parameter");
	if (t->mail.body == BODY_BINARYMIME)
		return smtp_refuse(s, "503 5.5.1 BODY=BINARYMIME wants BDAT");
	if (t->broken) {
		smtp_transaction_abort(s);
		smtp_enter(s, SMTP_READY);
		return smtp_ok(s, "451 4.4.2 The mail server was lost, please try again later");
	}
	if (t->nrcpts == 0)
		return smtp_refuse(s, "554 5.5.1 No valid recipients");
	smtp_enter(s, SMTP_DATA);
	begin_message(s);
	conn_expect_much(s->client);
	return smtp_ok(s, "354 End data with <CR><LF>.<CR><LF>");
}

/* The message ends here, with this answer. */
static enum smtp_step
end_with(struct smtp_session *s, const char *reply)
{
	smtp_log_message(s, reply);
	smtp_say(s, "%s", reply);
	smtp_transaction_abort(s);
	smtp_enter(s, SMTP_READY);
	return STEP_NEXT;
}

enum smtp_step
smtp_refuse_message(struct smtp_session *s, const char *reply, const char *why)
{
	struct smtp_transaction *t = s->t;
	char whole[600];

	t->verdict.word = reply[0] == '5' ? "refuse" : "defer";
	snprintf(t->verdict.why, sizeof(t->verdict.why), "%s", why);
	snprintf(whole, sizeof(whole), "%s (id %s)", reply, t->id);
	if (reply[0] == '5' && ++s->errors > s->listener->max_errors) {
		smtp_log_message(s, whole);
		return smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	}
	return end_with(s, whole);
}

/* The last octet has come. */
static enum smtp_step
message_whole(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	struct err err = { "" };

	t->dot_at = loop_now(s->server->loop);
	timer_stop(&t->park);
	if ((t->dot.faults | t->lines.faults) != 0)
		return smtp_refuse_message(s, "550 5.6.0 Message holds a bare CR, a bare LF or a NUL", "malformed lines");
	if (t->too_big)
		return smtp_refuse_message(s, "552 5.3.4 Message too big", "too big");
	if (t->no_room)
		return smtp_refuse_message(s, "452 4.3.1 No room for this message now", "spool memory is spent");
	if (spool_seal(t->spool, &err) == -1) {
		log_error("%s: %s", t->id, err.text);
		return smtp_refuse_message(s, "451 4.3.0 Internal error, please try again later", err.text);
	}
	trace_read(&t->trace, spool_bytes(t->spool), profile_owns_field);
	if (t->trace.starts_blank)
		return smtp_refuse_message(s, "550 5.6.0 The first header line begins with a blank", "starts with a blank");
	if (t->trace.too_big)
		return smtp_refuse_message(s, "552 5.3.4 Message header too big", "header too big");
	if (t->trace.hops > s->listener->max_hops)
		return smtp_refuse_message(s, "554 5.4.6 Too many hops, this looks like a mail loop", "too many hops");
	return smtp_judge(s);
}

/* Decoded octets of the message. What cannot be kept is read on and thrown away, up to a bound. */
static void
keep(struct smtp_session *s, struct slice bytes)
{
	struct smtp_transaction *t = s->t;
	struct err err = { "" };

	t->received += bytes.len;
	if ((t->dot.faults | t->lines.faults) != 0 || t->too_big || t->no_room)
		return;
	if (spool_size(t->spool) + bytes.len > s->listener->max_size) {
		t->too_big = true;
	} else if (spool_put(t->spool, bytes, &err) == -1) {
		log_warn("%s: %s", t->id, err.text);
		t->no_room = true;
	} else {
		digest_add(t->digest, bytes);
	}
}

/* A message that cannot be kept ends here: what is still under way is not waited for. */
static enum smtp_step
no_room(struct smtp_session *s)
{
	smtp_refuse_message(s, "421 4.3.1 No room for this message now, please try again later", "gave way to an older message");
	return smtp_end(s, NULL, "spool memory is spent");
}

static enum smtp_step
far_too_big(struct smtp_session *s)
{
	smtp_refuse_message(s, "552 5.3.4 Message too big", "too big");
	return smtp_end(s, NULL, "message far too big");
}

static enum smtp_step
dot_input(struct smtp_session *s)
{
	static char decoded[2 * CONN_IN_MAX + 2];
	struct smtp_transaction *t = s->t;
	struct buf *in = conn_in(s->client);
	size_t used, len;
	bool whole = dot_read(&t->dot, buf_slice(in), &used, decoded, &len);

	buf_eat(in, used);
	t->taken_in += used;
	pace_feed(&t->pace, loop_now(s->server->loop), used);
	keep(s, (struct slice){ decoded, len });
	if (whole)
		return message_whole(s);
	if (t->no_room)
		return no_room(s);
	return t->taken_in > 2 * s->listener->max_size + CONN_IN_MAX ? far_too_big(s) : STEP_NEXT;
}

/* A chunk has come: its answer, or with the last one that to the message. */
static enum smtp_step
chunk_whole(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	const char *trouble = t->chunk_trouble;
	char rest[2];
	size_t len;

	if (trouble == NULL && t->last_chunk) {
		crlf_finish(&t->lines, rest, &len);
		keep(s, (struct slice){ rest, len });
		return message_whole(s);
	}
	if (trouble == NULL) {
		smtp_enter(s, SMTP_BDAT);
		smtp_say(s, "250 2.0.0 Chunk taken, %llu octets so far", (unsigned long long)t->received);
		return STEP_NEXT;
	}
	if (t->nrcpts == 0) {		/* recipients may still come */
		t->chunked = false;
		t->chunk_trouble = NULL;
		smtp_enter(s, SMTP_MAIL);
	} else if (t->last_chunk) {
		return smtp_refuse_message(s, trouble, trouble + 4);
	} else {
		smtp_enter(s, SMTP_BDAT);	/* until RSET: what follows hears the same (RFC 3030 section 2) */
	}
	return trouble[0] == '5' ? smtp_refuse(s, trouble) : smtp_ok(s, trouble);
}

static enum smtp_step
chunk_input(struct smtp_session *s)
{
	static char decoded[2 * CONN_IN_MAX + 2];
	struct smtp_transaction *t = s->t;
	struct buf *in = conn_in(s->client);
	struct slice got = buf_slice(in);
	size_t len;

	got = slice_part(got, 0, t->chunk_left < got.len ? (size_t)t->chunk_left : got.len);
	t->chunk_left -= got.len;
	t->taken_in += got.len;
	pace_feed(&t->pace, loop_now(s->server->loop), got.len);
	if (t->chunk_trouble == NULL && t->mail.body == BODY_BINARYMIME) {
		keep(s, got);
	} else if (t->chunk_trouble == NULL) {
		crlf_read(&t->lines, got, decoded, &len);
		keep(s, (struct slice){ decoded, len });
	}
	buf_eat(in, got.len);
	if (t->no_room)
		return no_room(s);
	return t->chunk_left == 0 ? chunk_whole(s) : STEP_NEXT;
}

enum smtp_step
smtp_data_input(struct smtp_session *s)
{
	if (s->t->chunk_left == 0 && s->t->chunked && s->state == SMTP_DATA)
		return chunk_whole(s);
	if (buf_len(conn_in(s->client)) == 0)
		return STEP_WAIT;
	return s->t->chunked ? chunk_input(s) : dot_input(s);
}

/* Why a chunk is not taken; its octets are read all the same. */
static const char *
reason_against_chunk(struct smtp_session *s, uint64_t octets)
{
	struct smtp_transaction *t = s->t;

	if (t->chunk_trouble != NULL)
		return t->chunk_trouble;
	if (t->broken)
		return "451 4.4.2 The mail server was lost, please try again later";
	if (t->nrcpts == 0)
		return "554 5.5.1 No valid recipients";
	if (octets > s->listener->max_size || t->received + octets > s->listener->max_size)
		return "552 5.3.4 Message too big";
	return NULL;
}

/* "BDAT 1000 LAST". What stands behind it is not a command, whatever we think of it: without the number
 * nobody knows where the next one begins. */
static bool
read_bdat(struct slice args, uint64_t *octets, bool *last)
{
	struct slice number = slice_word(&args), word = slice_word(&args);

	*last = word.len > 0;
	return slice_number(number, octets) && (word.len == 0 || slice_iis(word, "LAST")) && slice_trim(args).len == 0;
}

/* Octets that belong to no message: read and thrown away, then the answer. */
static enum smtp_step
throw_away(struct smtp_session *s, uint64_t octets, const char *reply)
{
	s->unwanted = octets;
	s->unwanted_reply = reply;
	return STEP_NEXT;
}

enum smtp_step
smtp_bdat(struct smtp_session *s, struct slice args)
{
	struct smtp_transaction *t = s->t;
	uint64_t octets;
	bool last;

	if (!read_bdat(args, &octets, &last))
		return smtp_end(s, "501 5.5.4 Syntax: BDAT octets [LAST]", "BDAT without its length");
	if (octets > 2 * s->listener->max_size + CONN_IN_MAX)
		return smtp_end(s, "552 5.3.4 Message too big", "chunk far too big");
	if (s->listener->without & CONF_EXT_CHUNKING)
		return throw_away(s, octets, "502 5.5.1 Command not implemented here");
	if (s->listener->tls_mode == CONF_TLS_REQUIRE && s->tls == NULL)
		return throw_away(s, octets, "530 5.7.0 Must issue a STARTTLS command first");
	if (t == NULL)
		return throw_away(s, octets, "503 5.5.1 Bad sequence of commands");
	if (t->taken_in + octets > 2 * s->listener->max_size + CONN_IN_MAX)
		return far_too_big(s);
	if (!t->chunked && t->nrcpts > 0)
		begin_message(s);
	t->chunk_trouble = reason_against_chunk(s, octets);
	t->chunked = true;
	t->chunk_left = octets;
	t->last_chunk = last;
	smtp_enter(s, SMTP_DATA);
	conn_expect_much(s->client);
	return STEP_NEXT;
}
