#include "proxy/base/log.h"
#include "proxy/sasl/sasl.h"
#include "proxy/smtp/smtp_int.h"

#define RCPTS_SHOWN 20		/* recipients named in a line; the number of all stands beside them */
#define TESTS_SHOWN 12

static void
log_client(struct buf *line, const struct smtp_session *s)
{
	char peer[ADDR_TEXT_MAX];

	addr_text(&s->peer, peer);
	log_word(line, "client", slice_of(peer));
	log_word(line, "listener", slice_of(s->listener->name));
	if (s->original != NULL) {
		addr_text(s->original, peer);
		log_word(line, "original", slice_of(peer));
	}
	smtp_told_log(s, line);
	log_word(line, "helo", slice_of(s->helo));
	log_word(line, "tls", s->tls != NULL ? slice_of(s->tls) : SLICE("none"));
	if (s->user_mech != 0) {
		log_word(line, "user", slice_of(s->user));
		log_word(line, "mechanism", slice_of(sasl_mechanism_name(s->user_mech)));
	}
}

static int
milliseconds(double from, double to)
{
	return from > 0 && to > from ? (int)((to - from) * 1000 + 0.5) : 0;
}

void
smtp_log_connection(const struct smtp_session *s, const char *why)
{
	struct buf line;

	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "connection", slice_of(s->id));
	log_client(&line, s);
	log_wordf(&line, "messages", "%u", s->messages);
	log_wordf(&line, "errors", "%u", s->errors);
	log_word(&line, "end", slice_of(why != NULL ? why : "closed"));
	log_wordf(&line, "ms", "%d", milliseconds(s->began, loop_now(s->server->loop)));
	log_line(s->probe && s->messages == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
}

static void
log_envelope(struct buf *line, const struct smtp_transaction *t)
{
	struct buf rcpts;

	buf_init(&rcpts, 2048);
	for (size_t i = 0; i < t->nrcpts && i < RCPTS_SHOWN; i++) {
		struct slice rcpt = smtp_path_mailbox(&t->rcpts[i].to.to);

		buf_printf(&rcpts, "%s<%.*s>", i > 0 ? "," : "", (int)rcpt.len, rcpt.at);
	}
	log_wordf(line, "from", "<%s>", t->mail.from.mailbox);
	log_word(line, "to", buf_slice(&rcpts));
	if (t->nrcpts > 1)
		log_wordf(line, "recipients", "%zu", t->nrcpts);
	buf_free(&rcpts);
}

static void
log_findings(struct buf *line, const struct findings *f)
{
	char score[16];
	struct buf tests;

	profile_score_text(f->score, score);
	log_word(line, "score", slice_of(score));
	if (f->n == 0)
		return;
	buf_init(&tests, 1024);
	for (unsigned i = 0; i < f->n && i < TESTS_SHOWN; i++)
		buf_printf(&tests, "%s%s", i > 0 ? "," : "", f->list[i].name);
	if (f->n > TESTS_SHOWN)
		buf_printf(&tests, ",+%u", f->n - TESTS_SHOWN);
	log_word(line, "tests", buf_slice(&tests));
	buf_free(&tests);
}

/* reply: what the client hears; NULL when it is the backend's own answer. */
void
smtp_log_message(const struct smtp_session *s, const char *reply)
{
	const struct smtp_transaction *t = s->t;
	double now = loop_now(s->server->loop), judged = t->judged_at > 0 ? t->judged_at : t->dot_at;
	char backend[ADDR_TEXT_MAX];
	struct buf line;

	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "message", slice_of(t->id));
	log_client(&line, s);
	log_envelope(&line, t);
	log_wordf(&line, "size", "%llu", (unsigned long long)t->received);
	log_word(&line, "verdict", slice_of(t->verdict.word != NULL ? t->verdict.word : "none"));
	if (t->verdict.why[0] != '\0')
		log_word(&line, "why", slice_of(t->verdict.why));
	if (t->findings != NULL)
		log_findings(&line, t->findings);
	if (t->trace.stripped > 0)
		log_wordf(&line, "stripped", "%u", t->trace.stripped);
	if (s->link != NULL && s->link_ready) {
		addr_text(smtp_backend_addr(s->link), backend);
		log_wordf(&line, "backend", "%s/%s", s->link_to->conf->name, backend);
	}
	if (t->last_reply[0] != '\0')
		log_word(&line, "answer", slice_of(t->last_reply));
	if (t->held[0] != '\0')
		log_word(&line, "held", slice_of(t->held));
	if (s->client == NULL || (reply != NULL && reply[0] == '\0'))
		log_word(&line, "client-heard", SLICE("nothing"));
	else if (reply != NULL)
		log_word(&line, "reply", slice_of(reply));
	log_wordf(&line, "ms", "%d/%d/%d", milliseconds(t->began, t->dot_at > 0 ? t->dot_at : now),
	    milliseconds(t->dot_at, judged), milliseconds(judged, now));
	log_line(LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
}

void
smtp_log_fates(const struct smtp_session *s)
{
	static const char *const fates[] = {
		[FATE_OPEN] = "open", [FATE_TO_HOLD] = "open", [FATE_KNOWN] = "delivered-before", [FATE_DELIVERED] = "delivered",
		[FATE_HELD] = "held", [FATE_REFUSED] = "refused", [FATE_DEFERRED] = "deferred",
	};
	const struct smtp_transaction *t = s->t;
	struct buf line;

	for (size_t i = 0; i < t->nrcpts; i++) {
		const struct smtp_rcpt *r = &t->rcpts[i];

		buf_init(&line, LOG_LINE_MAX);
		log_word(&line, "message", slice_of(t->id));
		log_wordf(&line, "recipient", "<%s>", r->to.to.mailbox);
		log_word(&line, "fate", slice_of(fates[r->fate]));
		if (r->words != NULL)
			log_word(&line, "words", slice_of(r->words));
		log_line(LOG_LEVEL_INFO, buf_slice(&line));
		buf_free(&line);
	}
}
