#include <string.h>

#include "filters/mime_int.h"

/* How much of a run is looked at in one go. What a layer below cannot take at once is looked at
 * again, so there the stretch must be short. */
#define STRETCH       65536
#define STRETCH_BELOW 8192

#define HASH_START 2166136261u	/* FNV-1a */

static uint32_t
hash_octet(uint32_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 16777619u;
}

static uint32_t
hash_of(struct slice s)
{
	uint32_t hash = HASH_START;

	for (size_t i = 0; i < s.len; i++)
		hash = hash_octet(hash, s.at[i]);
	return hash;
}

static struct slice
trim_end(struct slice s)
{
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

int
delimiter_count(const struct mime *m, int owner)
{
	int n = 0;

	for (int i = m->ndelimiters - 1; i >= 0 && m->delimiters[i].owner == owner; i--)
		n++;
	return n;
}

void
delimiter_add(struct mime *m, int owner, struct slice boundary)
{
	int n = delimiter_count(m, owner), i;
	struct slice kept;

	boundary = trim_end(boundary);	/* RFC 2046: it never ends in a blank */
	kept = slice_part(boundary, 0, BOUNDARY_MAX);
	if (kept.len == 0 || n == BOUNDARIES_MAX)
		return;
	for (i = m->ndelimiters - n; i < m->ndelimiters; i++)
		if (m->delimiters[i].len == boundary.len && memcmp(m->boundaries[i], kept.at, kept.len) == 0)
			return;
	m->delimiters[i] = (struct delimiter){ .hash = hash_of(kept), .len = boundary.len, .owner = owner };
	memcpy(m->boundaries[i], kept.at, kept.len);
	m->ndelimiters++;
}

void
delimiter_copy(struct mime *m, int from, int to)
{
	int n = delimiter_count(m, from);

	for (int i = 0; i < n; i++, m->ndelimiters++) {
		m->delimiters[m->ndelimiters] = m->delimiters[m->ndelimiters - n];
		m->delimiters[m->ndelimiters].owner = to;
		memcpy(m->boundaries[m->ndelimiters], m->boundaries[m->ndelimiters - n], BOUNDARY_MAX);
	}
}

void
delimiter_drop(struct mime *m, int owner)
{
	while (m->ndelimiters > 0 && m->delimiters[m->ndelimiters - 1].owner >= owner)
		m->ndelimiters--;
}

static bool
line_is(const struct mime *m, int i, struct slice line, uint32_t hash, uint32_t hash_closed, bool *closes)
{
	const struct delimiter *d = &m->delimiters[i];
	struct slice boundary = { m->boundaries[i], d->len < BOUNDARY_MAX ? d->len : BOUNDARY_MAX };
	bool dashes = line.len > 2 && line.at[line.len - 1] == '-' && line.at[line.len - 2] == '-';

	if (d->len > BOUNDARY_MAX) {	/* not all of it is kept: what begins alike is taken for it */
		*closes = dashes && line.len == d->len + 2;
		return d->hash == hash && slice_same(slice_part(line, 0, BOUNDARY_MAX), boundary);
	}
	*closes = false;
	if (d->hash == hash && slice_same(line, boundary))
		return true;
	*closes = dashes && d->hash == hash_closed;
	return *closes && slice_same(slice_part(line, 0, line.len - 2), boundary);
}

/* Which multipart's delimiter is `line`? The whole line must be it, but for blanks at its end:
 * RFC 2046 section 5.1.1 lets more follow, hardly any reader does. The innermost multipart wins,
 * one not closed yet before all that are. */
bool
delimiter_find(const struct mime *m, const struct layer *l, struct slice line, int *owner, bool *closes)
{
	const struct layer *below = layer_below(m, l);
	uint32_t hash, hash_closed;
	int last, found = -1;
	bool found_closes = false;

	if (!slice_starts(line, "--") || l->blind)
		return false;
	last = below != NULL ? below->owner : m->nopen;	/* parts from there on are read further below */
	line = trim_end(slice_part(line, 2, line.len));
	hash = hash_of(slice_part(line, 0, BOUNDARY_MAX));
	hash_closed = line.len > 2 ? hash_of(slice_part(slice_part(line, 0, line.len - 2), 0, BOUNDARY_MAX)) : 0;
	for (int i = m->ndelimiters - 1; i >= 0 && m->delimiters[i].owner >= l->owner; i--) {
		const struct delimiter *d = &m->delimiters[i];
		bool closing;

		if (d->owner >= last || (d->hash != hash && d->hash != hash_closed) ||
		    !line_is(m, i, line, hash, hash_closed, &closing))
			continue;
		if (found < 0 || !m->open[d->owner]->closed) {
			found = d->owner;
			found_closes = closing;
		}
		if (!m->open[found]->closed)
			break;
	}
	*owner = found;
	*closes = found_closes;
	return found >= 0;
}

/* The multipart whose preamble this is and that names no boundary, or -1. */
static int
without_boundary(const struct mime *m, const struct layer *l)
{
	int top = m->nopen - 1;

	if (layer_below(m, l) != NULL || l->blind)
		return -1;
	if (m->open[top]->part.in_epilogue && m->open[top]->kind == KIND_LEAF && top > 0)
		top--;			/* its preamble is a part already */
	return m->open[top]->kind == KIND_MULTIPART && delimiter_count(m, top) == 0 ? top : -1;
}

/* A multipart that names no boundary is split where its first likely delimiter stands. */
static bool
guess(struct mime *m, const struct layer *l, struct slice line)
{
	int owner = without_boundary(m, l);

	if (owner < 0)
		return false;
	delimiter_add(m, owner, slice_part(line, 2, line.len));
	return delimiter_count(m, owner) > 0;
}

static bool
may_split(const struct mime *m, const struct layer *l)
{
	const struct open_part *top = part_top(m);

	/* Asking too often is harmless; a message without any multipart is passed on unread. */
	return !l->blind && (m->ndelimiters > 0 || top->kind == KIND_MULTIPART || top->part.in_epilogue);
}

static size_t
until_line_end(struct slice s)
{
	size_t len = 0;

	while (len < s.len && s.at[len] != '\r' && s.at[len] != '\n')
		len++;
	return len;
}

/* Is the line at the start of `s` surely no delimiter? Only what is here whole, and no longer than what
 * is held of a line, can be judged. *len becomes the line's length. */
static bool
is_text_line(const struct mime *m, const struct layer *l, struct slice s, size_t *len)
{
	bool closes;
	int owner;

	*len = 1;
	if (s.len > 1 && s.at[1] != '-')
		return true;
	*len = until_line_end(slice_part(s, 0, HOLD_MAX - 2));
	return *len < s.len && *len < HOLD_MAX - 2 && without_boundary(m, l) < 0 &&
	       !delimiter_find(m, l, slice_part(s, 0, *len), &owner, &closes);
}

static size_t
without_line_end(struct slice s)
{
	if (s.len > 0 && s.at[s.len - 1] == '\r')
		return s.len - 1;
	if (s.len > 0 && s.at[s.len - 1] == '\n')
		s.len -= s.len > 1 && s.at[s.len - 2] == '\r' ? 2 : 1;
	return s.len;
}

/* How many octets there are before a line end behind which a delimiter may stand; a line end at
 * the very end of `s` may be one. */
static size_t
run_len(const struct mime *m, const struct layer *l, struct slice s)
{
	struct slice left = s;
	const char *at;

	while (left.len > 0 && (at = memchr(left.at, '-', left.len)) != NULL) {
		size_t before = (size_t)(at - s.at), len = 1;

		left = slice_part(s, before, s.len);
		if (before > 0 && (at[-1] == '\n' || at[-1] == '\r')) {
			if (!is_text_line(m, l, left, &len))
				return without_line_end(slice_part(s, 0, before));
		} else {
			while (len < left.len && left.at[len] == '-')
				len++;
		}
		left = slice_part(left, len, left.len);
	}
	return without_line_end(s);
}

static void
pass_run(struct mime *m, struct layer *l)
{
	struct slice in = slice_part(layer_input(l), 0, layer_below(m, l) != NULL ? STRETCH_BELOW : STRETCH);
	size_t run = may_split(m, l) ? run_len(m, l, in) : in.len;

	if (run > 0) {
		layer_eat(l, part_data(m, l, slice_part(in, 0, run)));
		return;
	}
	l->hold[0] = in.at[0];		/* of CR LF the LF follows in look_at_line() */
	l->hold_len = l->hold_end_len = 1;
	l->line_start = true;
	layer_eat(l, 1);
}

/* What was held is no delimiter. It is short, so a layer below takes it whole. */
static void
pass_hold(struct mime *m, struct layer *l)
{
	struct slice held = { l->hold, l->hold_len };

	l->line_start = false;
	l->hold_len = 0;
	while (held.len > 0)
		held = slice_part(held, part_data(m, l, held), held.len);
}

static bool
take_delimiter(struct mime *m, struct layer *l)
{
	struct slice line = { l->hold + l->hold_end_len, l->hold_len - l->hold_end_len };

	if (!slice_starts(line, "--") ||
	    (!delimiter_find(m, l, line, &l->target, &l->closes) &&
	     !(guess(m, l, line) && delimiter_find(m, l, line, &l->target, &l->closes))))
		return false;
	l->state = LAYER_SWITCH;
	l->line_start = false;
	l->hold_len = 0;
	return true;
}

/* Behind a line end: holds what may become a delimiter until that is known. */
static void
look_at_line(struct mime *m, struct layer *l)
{
	struct slice in = layer_input(l);
	size_t used = 0;
	bool full = false, decided = false;
	char c = '\0';

	for (; used < in.len && !full; used++) {
		size_t have = l->hold_len - l->hold_end_len;

		c = in.at[used];
		if (l->hold_len == 1 && l->hold_end_len == 1 && l->hold[0] == '\r' && c == '\n')
			l->hold_end_len = 2;
		else if (have < 2 ? c != '-' : c == '\r' || c == '\n') {
			decided = true;
			break;
		}
		l->hold[l->hold_len++] = c;
		full = l->hold_len == sizeof(l->hold);
	}
	if (!decided && !full) {
		layer_eat(l, used);
		return;
	}
	if (take_delimiter(m, l)) {
		l->skip_line = full;
		l->skip_lf = !full && c == '\r';
		layer_eat(l, used + !full);
	} else {
		layer_eat(l, used);
		pass_hold(m, l);
	}
}

void
body_skip_line(struct layer *l)
{
	struct slice in = layer_input(l);
	size_t len = until_line_end(in);

	if (len < in.len) {
		l->skip_line = false;
		l->skip_lf = in.at[len] == '\r';
		len++;
	}
	layer_eat(l, len);
}

void
body_step(struct mime *m, struct layer *l)
{
	if (l->line_start && may_split(m, l))
		look_at_line(m, l);
	else if (l->hold_len > 0)
		pass_hold(m, l);
	else
		pass_run(m, l);
}

void
body_end_of_input(struct mime *m, struct layer *l)
{
	if (!take_delimiter(m, l))
		pass_hold(m, l);
}
