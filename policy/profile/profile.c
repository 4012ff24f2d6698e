#include "policy/profile/profile.h"

#include <stdio.h>
#include <string.h>

#define LINE_WIDTH 76	/* of a folded header field */

static const char *const words[] = {
	[CONF_ACCEPT] = "accept",
	[CONF_TAG] = "tag",
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

void
profile_judge(const struct conf_profile *p, const struct findings *found, struct verdict *v)
{
	const struct finding *virus = first_of(found, FINDING_VIRUS), *limit = first_of(found, FINDING_LIMIT);
	char why[VERDICT_TEXT_MAX], score[16], most[16];

	memset(v, 0, sizeof(*v));
	v->action = CONF_ACCEPT;
	if (virus != NULL) {
		snprintf(why, sizeof(why), "virus %.90s", virus->name);
		weigh(v, p->virus, why);
	}
	if (limit != NULL) {
		snprintf(why, sizeof(why), "unscannable %.90s", limit->name);
		weigh(v, p->unscannable, why);
	}
	if (found->score >= p->tag_score) {
		bool refuse = found->score >= p->refuse_score;

		profile_score_text(found->score, score);
		profile_score_text(refuse ? p->refuse_score : p->tag_score, most);
		snprintf(why, sizeof(why), "score %s of %s", score, most);
		weigh(v, refuse ? CONF_REFUSE : CONF_TAG, why);
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

bool
profile_headers(const struct conf_profile *p, const struct findings *found, const struct verdict *v,
    const char *hostname, struct buf *out)
{
	char score[16], required[16], word[300];
	bool tagged = v->action == CONF_TAG;
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
	return false;
}
