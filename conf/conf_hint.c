#include "conf/conf_hint.h"

#include <stdio.h>

#include "proxy/base/slice.h"

#define ABBREVIATED 3	/* octets from which on a beginning counts as the whole word with a slip */

struct conf_hint
conf_hint_for(const char *word)
{
	return (struct conf_hint){ .word = word };
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, taken out, replaced or swapped with their neighbour, ASCII case
 * ignored. Row i of the table speaks of the first i letters of `a`; three rows are enough. */
static unsigned
distance_of(struct slice a, struct slice b)
{
	unsigned rows[3][CONF_HINT_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= b.len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			int ca = ascii_lower((unsigned char)a.at[i - 1]), cb = ascii_lower((unsigned char)b.at[j - 1]);

			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == ascii_lower((unsigned char)b.at[j - 2]) &&
			    cb == ascii_lower((unsigned char)a.at[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b.len];
}

void
conf_hint_try(struct conf_hint *hint, const char *candidate)
{
	struct slice a = slice_of(hint->word), b = slice_of(candidate);
	unsigned distance, most = a.len < 5 ? 1 : a.len < 9 ? 2 : 3;

	if (a.len == 0 || b.len == 0 || a.len > CONF_HINT_MAX || b.len > CONF_HINT_MAX)
		return;
	distance = distance_of(a, b);
	if (a.len >= ABBREVIATED && a.len < b.len && slice_starts(b, hint->word))
		distance = 1;
	if (distance == 0 || distance > most || distance >= b.len || (hint->best != NULL && distance >= hint->distance))
		return;
	hint->best = candidate;
	hint->distance = distance;
}

const char *
conf_hint_text(const struct conf_hint *hint, char out[CONF_HINT_TEXT_MAX])
{
	out[0] = '\0';
	if (hint->best != NULL)
		snprintf(out, CONF_HINT_TEXT_MAX, ", did you mean \"%s\"?", hint->best);
	return out;
}
