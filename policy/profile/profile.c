#include "policy/profile/profile.h"

#include <stdio.h>
#include <string.h>

#define LINE_WIDTH 76	/* of a folded header field */
#define WORD_MAX   120	/* octets of what a {word} of a refuse-text stands for */
#define VIRUS_WORD "virus "	/* begins the reason of a verdict */

static const char *const words[] = {
	[CONF_ACCEPT] = "accept",
	[CONF_TAG] = "tag",
	[CONF_QUARANTINE] = "quarantine",
	[CONF_DEFER] = "defer",
	[CONF_REFUSE] = "refuse",
};

void
profile_score_text(int32_t score, char out[16])
{
	int32_t tenths = (int32_t)(((int64_t)score + (score < 0 ? -50 : 50)) / 100);

	snprintf(out, 16, "%s%d.%d", tenths < 0 ? "-" : "", tenths < 0 ? -tenths / 10 : tenths / 10,
	    tenths < 0 ? -tenths % 10 : tenths % 10);
}

static const struct finding *
first_of(const struct findings *found, enum finding_kind kind)
{
	for (unsigned i = 0; i < found->n; i++)
		if (found->list[i].kind == kind)
			return &found->list[i];
	return NULL;
}

/* An action that is graver than what stands there takes its place. */
static void
weigh(struct verdict *v, enum conf_action action, const char *why)
{
	if (action <= v->action)
		return;
	v->action = action;
	snprintf(v->why, sizeof(v->why), "%s", why);
}

static void
fill_reply(const struct conf_profile *p, const struct findings *found, struct verdict *v)
{
	const struct finding *virus = first_of(found, FINDING_VIRUS);

	v->word = words[v->action];
	v->reply[0] = '\0';
	if (v->action == CONF_DEFER)
		snprintf(v->reply, sizeof(v->reply), "451 4.7.1 Message deferred, please try again later");
	else if (v->action == CONF_REFUSE && virus != NULL && p->virus == CONF_REFUSE)
		snprintf(v->reply, sizeof(v->reply), "550 5.7.1 %.100s: malware found (%.60s)", p->refuse_text, virus->name);
	else if (v->action == CONF_REFUSE)
		snprintf(v->reply, sizeof(v->reply), "550 5.7.1 %.150s", p->refuse_text);
}

/* What a score that is at least tag_score leads to, and which threshold it has reached. A quarantine_score below
 * tag_score is none. */
static enum conf_action
action_of(const struct conf_profile *p, int32_t score, int32_t *threshold)
{
	if (score >= p->refuse_score) {
		*threshold = p->refuse_score;
		return CONF_REFUSE;
	}
	if (p->quarantine_score != CONF_NO_SCORE && p->quarantine_score >= p->tag_score && score >= p->quarantine_score) {
		*threshold = p->quarantine_score;
		return CONF_QUARANTINE;
	}
	*threshold = p->tag_score;
	return CONF_TAG;
}

void
profile_judge(const struct conf_profile *p, const struct findings *found, struct verdict *v)
{
	const struct finding *virus = first_of(found, FINDING_VIRUS), *limit = first_of(found, FINDING_LIMIT);
	char why[VERDICT_TEXT_MAX], score[16], most[16];
	int32_t threshold;

	memset(v, 0, sizeof(*v));
	v->action = CONF_ACCEPT;
	if (virus != NULL) {
		snprintf(why, sizeof(why), VIRUS_WORD "%.90s", virus->name);
		weigh(v, p->virus, why);
	}
	if (limit != NULL) {
		snprintf(why, sizeof(why), "unscannable %.90s", limit->name);
		weigh(v, p->unscannable, why);
	}
	if (found->score >= p->tag_score) {
		enum conf_action action = action_of(p, found->score, &threshold);

		profile_score_text(found->score, score);
		profile_score_text(threshold, most);
		snprintf(why, sizeof(why), "score %s of %s", score, most);
		weigh(v, action, why);
	}
	fill_reply(p, found, v);
}

void
profile_unjudged(struct verdict *v, const char *why)
{
	memset(v, 0, sizeof(*v));
	v->action = CONF_DEFER;
	v->word = words[CONF_DEFER];
	snprintf(v->why, sizeof(v->why), "%s", why);
	snprintf(v->reply, sizeof(v->reply), "451 4.7.1 Message could not be judged now, please try again later");
}

/* A stranger's word: each octet that could be more than a sign on a line becomes a "?". */
static void
put_plain(struct buf *out, struct slice word)
{
	word = slice_part(word, 0, WORD_MAX);
	for (size_t i = 0; i < word.len; i++)
		buf_putc(out, word.at[i] >= ' ' && word.at[i] <= '~' ? word.at[i] : '?');
}

/* The word of ours at the start of the text, and how long it stands there; NULL: none. */
static const struct slice *
word_at(struct slice text, const struct profile_words *w, size_t *len)
{
	const struct { const char *name; const struct slice *word; } known[] = {
		{ "{id}", &w->id }, { "{from}", &w->from }, { "{to}", &w->to }, { "{host}", &w->host },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_starts(text, known[i].name)) {
			*len = strlen(known[i].name);
			return known[i].word;
		}
	return NULL;
}

/* Once through the text: what a word stands for is never looked at again. What does not fit is cut off. */
static void
fill_in(struct buf *out, struct slice text, const struct profile_words *w)
{
	while (text.len > 0) {
		size_t len = 1;
		const struct slice *word = word_at(text, w, &len);

		put_plain(out, word != NULL ? *word : slice_part(text, 0, len));
		text = slice_part(text, len, text.len);
	}
}

void
profile_refusal(const struct conf_profile *p, struct verdict *v, const struct profile_words *w)
{
	bool is_virus = slice_starts(slice_of(v->why), VIRUS_WORD), names_id = strstr(p->refuse_text, "{id}") != NULL;
	struct buf text, tail;

	if (v->action != CONF_REFUSE)
		return;
	buf_init(&tail, VERDICT_REPLY_MAX / 2);
	if (is_virus)
		buf_printf(&tail, ": malware found (%.60s)", v->why + strlen(VIRUS_WORD));
	if (!names_id && w->id.len > 0) {
		buf_puts(&tail, " (id ");
		put_plain(&tail, w->id);
		buf_puts(&tail, ")");
	}
	buf_init(&text, VERDICT_REPLY_MAX - 1 - buf_len(&tail));
	buf_puts(&text, "550 5.7.1 ");
	fill_in(&text, slice_of(p->refuse_text), w);
	snprintf(v->reply, sizeof(v->reply), "%.*s%.*s", (int)buf_len(&text), buf_slice(&text).at,
	    (int)buf_len(&tail), buf_len(&tail) > 0 ? buf_slice(&tail).at : "");
	buf_free(&text);
	buf_free(&tail);
}

/* Adds a word to the field, on a new line when it would make this one too long (RFC 5322 section 2.2.3). */
static bool
put_folded(struct buf *out, size_t *column, const char *word)
{
	size_t len = strlen(word);

	if (*column + len > LINE_WIDTH && *column > 1) {
		if (!buf_puts(out, "\r\n\t"))
			return false;
		*column = 8;
	}
	*column += len;
	return buf_puts(out, word);
}

static bool
put_tests(struct buf *out, size_t *column, const struct findings *found)
{
	char word[FINDING_NAME_MAX + 8];
	bool first = true;

	if (!put_folded(out, column, "tests="))
		return false;
	for (unsigned i = 0; i < found->n; i++) {
		snprintf(word, sizeof(word), "%s%s", first ? "" : ",", found->list[i].name);
		if (!put_folded(out, column, word))
			return false;
		first = false;
	}
	return !first || put_folded(out, column, "none");
}

/* A message that is graver than one to be tagged bears the mark too, should it be released one day. */
static bool
is_tagged(const struct verdict *v)
{
	return v->action != CONF_ACCEPT;
}

bool
profile_same_headers(const struct conf_profile *a, const struct verdict *va, const struct conf_profile *b, const struct verdict *vb)
{
	char required[16], other[16];

	profile_score_text(a->tag_score, required);
	profile_score_text(b->tag_score, other);
	return is_tagged(va) == is_tagged(vb) && strcmp(required, other) == 0;
}

bool
profile_headers(const struct conf_profile *p, const struct findings *found, const struct verdict *v,
    const char *hostname, struct buf *out)
{
	char score[16], required[16], word[300];
	bool tagged = is_tagged(v);
	size_t column;

	profile_score_text(found->score, score);
	profile_score_text(p->tag_score, required);
	if (tagged && !buf_puts(out, "X-Spam-Flag: YES\r\n"))
		return false;
	if (!buf_printf(out, "X-Spam-Score: %s\r\n", score))
		return false;
	snprintf(word, sizeof(word), "X-Spam-Status: %s, score=%s required=%s ", tagged ? "Yes" : "No", score, required);
	column = strlen(word);
	if (!buf_puts(out, word) || !put_tests(out, &column, found))
		return false;
	snprintf(word, sizeof(word), " by=%.255s", hostname);
	return put_folded(out, &column, word) && buf_puts(out, "\r\n");
}

bool
profile_owns_field(struct slice name)
{
	static const char *const ours[] = { "X-Spam-Flag", "X-Spam-Score", "X-Spam-Status", "X-Spam-Level" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (slice_iis(name, ours[i]))
			return true;
	return slice_istarts(name, "X-Gatepost-");
}
