#include "policy/findings.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/str.h"

#define SCORE_MAX 1000000

static int32_t
clamp(int64_t score)
{
	return (int32_t)(score > SCORE_MAX ? SCORE_MAX : score < -SCORE_MAX ? -SCORE_MAX : score);
}

static void
copy_name(char out[FINDING_NAME_MAX], const char *name)
{
	size_t len = 0;

	for (; name[len] != '\0' && len < FINDING_NAME_MAX - 1; len++)
		out[len] = name[len] > ' ' && name[len] <= '~' ? name[len] : '_';
	out[len] = '\0';
}

/* Characters that a terminal would obey are those that str_escape() does not leave alone. */
static bool
is_harmless(struct slice ch)
{
	struct buf escaped;
	bool same;

	if (ch.len == 1)
		return ch.at[0] >= ' ' && ch.at[0] <= '~';	/* quotes and backslashes too */
	buf_init(&escaped, 64);
	str_escape(&escaped, ch, 64);
	same = slice_same(buf_slice(&escaped), ch);
	buf_free(&escaped);
	return same;
}

/* Whole UTF-8 characters only: a text that is cut stays well-formed. */
static void
copy_text(char out[FINDING_TEXT_MAX], const char *text)
{
	struct slice rest = slice_of(text);
	size_t used = 0;

	while (rest.len > 0) {
		size_t len = str_utf8_len(rest);
		bool keep = len > 0 && is_harmless(slice_part(rest, 0, len));

		if (used + (keep ? len : 1) > FINDING_TEXT_MAX - 1)
			break;
		if (keep)
			memcpy(out + used, rest.at, len);
		else
			out[used] = '?';
		used += keep ? len : 1;
		rest = slice_part(rest, len > 0 ? len : 1, rest.len);
	}
	out[used] = '\0';
}

/* Where to put one more when the list is full. Malware and limits must not drown in rule hits,
 * whose scores count anyway: they take the place of the hit that matters least. */
static struct finding *
displace(struct findings *f, enum finding_kind kind)
{
	struct finding *least = NULL;

	f->dropped++;
	for (unsigned i = 0; i < f->n && kind != FINDING_RULE; i++) {
		struct finding *x = &f->list[i];

		if (x->kind == FINDING_RULE && (least == NULL || abs(x->score) < abs(least->score)))
			least = x;
	}
	return least;
}

void
findings_add(struct findings *f, enum finding_kind kind, const char *name, int32_t score, const char *text)
{
	struct finding *x = f->n < FINDINGS_MAX ? &f->list[f->n++] : displace(f, kind);

	if (kind != FINDING_RULE)
		score = 0;
	f->score = clamp((int64_t)f->score + clamp(score));
	if (x == NULL)
		return;
	x->kind = kind;
	x->score = clamp(score);
	copy_name(x->name, name);
	copy_text(x->text, text != NULL ? text : "");
}
