/* What becomes of each recipient's copy, and what the client hears.
 *
 * Copies that are to be held are held first, then those that are to be delivered go out in rounds, then
 * what a server has refused behind the dot for some only is held, too: what was accepted for one
 * recipient has been accepted, and is never dropped for another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

#define ENVELOPE_MAX (8u << 20)	/* octets of the parameters of MAIL and RCPT with a held copy: as many recipients as may be */

bool
smtp_prdr(const struct smtp_session *s)
{
	return s->t->mail.prdr && s->t->nrcpts > 1;
}

void
smtp_set_fate(struct smtp_rcpt *r, enum smtp_fate fate, const char *words)
{
	char *copy = mem_str(words);

	free(r->words);
	r->words = copy;
	r->fate = fate;
}

/* The headers that go in front: Received, and what the verdict says. */
bool
smtp_headers(struct smtp_session *s, const struct smtp_party *party)
{
	struct smtp_transaction *t = s->t;
	struct slice *rcpts = mem_array(t->nrcpts, sizeof(*rcpts));
	struct facts facts;
	bool fits;

	buf_clear(&t->headers);
	smtp_facts(s, &facts, rcpts);
	fits = trace_received(&t->headers, &facts, time(NULL));
	free(rcpts);
	return fits && (t->findings == NULL ||
			profile_headers(party->profile, t->findings, &party->verdict, s->site->conf->hostname, &t->headers));
}

static size_t
count(const struct smtp_transaction *t, enum smtp_fate fate)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nrcpts; i++)
		n += t->rcpts[i].fate == fate;
	return n;
}

const struct smtp_rcpt *
smtp_first_with(const struct smtp_transaction *t, enum smtp_fate fate)
{
	for (size_t i = 0; i < t->nrcpts; i++)
		if (t->rcpts[i].fate == fate)
			return &t->rcpts[i];
	return NULL;
}

static bool
same_words(const struct smtp_rcpt *a, const struct smtp_rcpt *b)
{
	return a->words == NULL || b->words == NULL ? a->words == b->words : strcmp(a->words, b->words) == 0;
}

/* Those who are held together with this one: the same headers, for the same reason. */
static void
gather_held(struct smtp_transaction *t, const struct smtp_rcpt *first)
{
	if (t->round == NULL)
		t->round = mem_array(t->nrcpts, sizeof(*t->round));
	t->nround = 0;
	for (unsigned i = 0; i < t->nrcpts; i++)
		if (t->rcpts[i].fate == FATE_TO_HOLD && t->rcpts[i].party == first->party && same_words(&t->rcpts[i], first))
			t->round[t->nround++] = i;
}

static void
remember_held(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	unsigned char (*keys)[8] = mem_array(t->nround, sizeof(*keys));
	struct keeper_commit entry = { (const unsigned char (*)[8])keys, t->nround, SLICE("250 2.0.0 Message accepted") };

	for (unsigned i = 0; i < t->nround; i++)
		smtp_rcpt_key(&t->rcpts[t->round[i]], keys[i]);
	if (s->site->conf->ledger) {
		keeper_ledger_commit(s->server->keeper, &t->key, &entry);	/* said now, or as soon as there is a keeper */
		t->committed = true;
	}
	free(keys);
}

static void
on_held(void *owner, const char *id, const char *why_not)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = s->t;
	char words[200];
	size_t used = strlen(t->held);

	t->question = NULL;
	if (id != NULL) {
		snprintf(t->held + used, sizeof(t->held) - used, "%s%s", used > 0 ? "," : "", id);
		snprintf(words, sizeof(words), "250 2.0.0 Message accepted (id %s)", t->id);
		remember_held(s);
	} else {
		log_error("%s: not put into quarantine: %s", t->id, why_not);
		snprintf(words, sizeof(words), "451 4.3.0 Message cannot be kept now, please try again later (id %s)", t->id);
		snprintf(t->verdict.why, sizeof(t->verdict.why), "quarantine: %s", why_not);
	}
	for (unsigned i = 0; i < t->nround; i++)
		smtp_set_fate(&t->rcpts[t->round[i]], id != NULL ? FATE_HELD : FATE_DEFERRED, words);
	smtp_settle(s);
}

static void
hold(struct smtp_session *s, const struct smtp_rcpt *first)
{
	struct smtp_transaction *t = s->t;
	const struct smtp_party *party = &t->parties[first->party];
	bool by_server = party->verdict.action < CONF_QUARANTINE;	/* the verdict was to deliver it */
	struct keeper_piece *pieces;
	struct smtp_to *tos;
	struct slice *rcpts;
	struct buf envelope;
	char why[600];

	gather_held(t, first);
	tos = mem_array(t->nround, sizeof(*tos));
	rcpts = mem_array(t->nround, sizeof(*rcpts));
	pieces = mem_array(t->trace.npieces + 1, sizeof(*pieces));
	for (size_t i = 0; i < t->trace.npieces; i++)
		pieces[i] = (struct keeper_piece){ t->trace.pieces[i].from, t->trace.pieces[i].len };
	for (unsigned i = 0; i < t->nround; i++) {
		tos[i] = t->rcpts[t->round[i]].to;	/* lent: what they point at stays the transaction's */
		rcpts[i] = smtp_path_mailbox(&tos[i].to);
	}
	buf_init(&envelope, ENVELOPE_MAX);
	snprintf(why, sizeof(why), "%s%.400s", by_server ? "the mail server refused it: " : "", by_server ? first->words : party->verdict.why);
	if (!smtp_headers(s, party) || !smtp_envelope_pack(&t->mail, tos, t->nround, &envelope)) {
		on_held(s, NULL, "its envelope is too big");
	} else {
		struct keeper_copy copy = {
			.id = slice_of(t->id), .why = slice_of(why), .verdict = slice_of(by_server ? "refuse" : party->verdict.word),
			.listener = slice_of(s->listener->name), .profile = slice_of(party->profile->name),
			.backend = slice_of(t->backend->conf->name), .client = s->peer, .helo = slice_of(s->helo), .user = slice_of(s->user),
			.tls = slice_of(s->tls), .from = smtp_path_mailbox(&t->mail.from), .rcpts = rcpts, .nrcpts = t->nround,
			.envelope = buf_slice(&envelope), .headers = buf_slice(&t->headers),
			.pieces = pieces, .npieces = t->trace.npieces, .size = spool_size(t->spool),
			.spool = spool_fd(t->spool),
		};

		t->question = keeper_hold(s->server->keeper, &copy, on_held, s);
	}
	buf_free(&envelope);
	free(pieces);
	free(rcpts);
	free(tos);
}

/* RFC 5321 section 4.2.5: what was accepted for some cannot be refused for others in the same answer. */
static bool
hold_refused(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	size_t refused = count(t, FATE_REFUSED);

	if (smtp_prdr(s) || refused == 0 || refused == t->nrcpts || count(t, FATE_DEFERRED) > 0)
		return false;
	log_error("%s: the mail server refused the message for %zu of %zu recipients when others had it: put into quarantine", t->id,
	    refused, t->nrcpts);
	for (size_t i = 0; i < t->nrcpts; i++)
		if (t->rcpts[i].fate == FATE_REFUSED)
			t->rcpts[i].fate = FATE_TO_HOLD;
	return true;
}

/* Without PRDR a copy that is put off puts off the rest: there is one answer, and the fewer have the message by then
 * the less depends on the ledger. */
static void
put_off_rest(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	const struct smtp_rcpt *deferred = smtp_first_with(t, FATE_DEFERRED);

	for (size_t i = 0; deferred != NULL && !smtp_prdr(s) && i < t->nrcpts; i++)
		if (t->rcpts[i].fate == FATE_OPEN || t->rcpts[i].fate == FATE_TO_HOLD)
			smtp_set_fate(&t->rcpts[i], FATE_DEFERRED, deferred->words);
}

static bool
is_accepted(enum smtp_fate fate)
{
	return fate == FATE_DELIVERED || fate == FATE_HELD || fate == FATE_KNOWN;
}

/* The answer to the message, when there is one for all. */
static void
one_answer(const struct smtp_session *s, char *out, size_t size)
{
	const struct smtp_transaction *t = s->t;
	const struct smtp_rcpt *r = smtp_first_with(t, FATE_DEFERRED);

	if (r != NULL && count(t, FATE_DEFERRED) < t->nrcpts) {
		snprintf(out, size, "451 4.3.0 Not all recipients could be served, please try again later (id %s)", t->id);
		return;
	}
	for (size_t i = 0; r == NULL && i < t->nrcpts; i++)
		if (is_accepted(t->rcpts[i].fate))
			r = &t->rcpts[i];
	if (r == NULL)
		r = &t->rcpts[0];
	snprintf(out, size, "%s", r->words);
}

/* draft-hall-prdr-00 section 4.5: 353, an answer for each recipient, one for the message. */
static void
say_block(struct smtp_session *s, char *last, size_t size)
{
	struct smtp_transaction *t = s->t;
	bool accepted = false, deferred = false;
	int width = s->client != NULL ? (int)((buf_room(conn_out(s->client)) - SMTP_ANSWER_ROOM / 2) / t->nrcpts) - 2 : 0;

	smtp_say(s, "353 Per-recipient responses follow");
	for (size_t i = 0; i < t->nrcpts; i++) {
		accepted |= is_accepted(t->rcpts[i].fate);
		deferred |= t->rcpts[i].fate == FATE_DEFERRED;
		smtp_say(s, "%.*s", width, t->rcpts[i].words);	/* of many each has few words */
	}
	snprintf(last, size, "%s (id %s)", accepted ? "250 2.0.0 Message accepted" :
	    deferred ? "450 4.3.0 Message not accepted now" : "550 5.7.1 Message not accepted", t->id);
	smtp_say(s, "%s", last);
}

static bool
fates_differ(const struct smtp_transaction *t)
{
	for (size_t i = 1; i < t->nrcpts; i++)
		if (is_accepted(t->rcpts[i].fate) != is_accepted(t->rcpts[0].fate) ||
		    (t->rcpts[i].fate == FATE_REFUSED) != (t->rcpts[0].fate == FATE_REFUSED))
			return true;
	return false;
}

static void
say_answer(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	char text[600];

	if (t->covered == t->nrcpts && t->answer.code != 0 && !fates_differ(t)) {
		smtp_log_message(s, NULL);
		if (s->client != NULL)
			smtp_reply_say(&t->answer, conn_out(s->client));
		return;
	}
	if (smtp_prdr(s) && fates_differ(t)) {
		say_block(s, text, sizeof(text));
	} else {
		one_answer(s, text, sizeof(text));
		smtp_say(s, "%s", text);
	}
	smtp_log_message(s, text);
	if (t->nrcpts > 1)
		smtp_log_fates(s);
}

static void
answer(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	size_t deferred = count(t, FATE_DEFERRED), refused = count(t, FATE_REFUSED);
	bool over = t->said_421;

	say_answer(s);
	if (deferred + refused < t->nrcpts)
		s->errors = s->junk = 0;
	if (count(t, FATE_KNOWN) == t->nrcpts) {
		keeper_ledger_heard(s->server->keeper, &t->key);	/* an entry answers one retry and no more */
	} else if (t->committed || count(t, FATE_KNOWN) > 0) {
		/* Who hears that some are put off will come again for those: then it matters who has it. */
		s->heard = t->key;
		s->heard_due = deferred == 0 || smtp_prdr(s);
		s->spoke_last = s->client != NULL && !conn_ended(s->client);
	}
	if (t->mail_sent && s->link != NULL)
		smtp_backend_reset(s->link);
	smtp_transaction_end(s);
	smtp_link_give(s, true);
	smtp_enter(s, SMTP_READY);
	if (over)
		smtp_end(s, NULL, "the mail server said 421");
	else
		smtp_resume(s);
}

void
smtp_settle(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	put_off_rest(s);
	if (count(t, FATE_TO_HOLD) > 0)
		hold(s, smtp_first_with(t, FATE_TO_HOLD));
	else if (count(t, FATE_OPEN) > 0)
		smtp_round_begin(s);
	else if (hold_refused(s))
		smtp_settle(s);
	else
		answer(s);
}
