#include <string.h>

#include "filters/mime_int.h"
#include "filters/word.h"

#define BEGIN     "begin "
#define BEGIN_LEN (sizeof(BEGIN) - 1)

void
uu_begin(struct mime *m, bool wanted)
{
	m->uu.wanted = wanted;
	m->uu.line_start = true;
	m->uu.len = 0;
}

/* "begin 644 name": the name, or an empty slice when the line is none. Three or four octal digits. */
static struct slice
begin_name(struct slice line)
{
	struct slice mode;

	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	line = slice_part(line, BEGIN_LEN, line.len);
	mode = slice_word(&line);
	if (mode.len < 3 || mode.len > 4)
		return SLICE("");
	for (size_t i = 0; i < mode.len; i++)
		if (mode.at[i] < '0' || mode.at[i] > '7')
			return SLICE("");
	return slice_trim(line);
}

static void
open_file(struct mime *m, struct slice name)
{
	struct uu *u = &m->uu;
	const struct mime_part *parent = &part_top(m)->part;
	struct buf text;

	if (part_is_last(m)) {
		part_top(m)->part.flags |= MIME_TOO_MANY_PARTS;
		return;
	}
	u->part = (struct mime_part){
		.parent = parent,
		.number = m->parts++,
		.depth = parent->depth + 1,
		.attachment = true,
		.in_epilogue = parent->in_epilogue,
		.encoding = MIME_UUENCODE,
	};
	slice_copy(SLICE("application/octet-stream"), u->part.type, sizeof(u->part.type));
	buf_init(&text, 4 * sizeof(u->line));
	word_decode(&text, name);
	part_set_name(&u->part, buf_slice(&text));
	buf_free(&text);
	decode_init(&u->decode, MIME_UUENCODE);
	u->open = true;
	if (m->ops->begin != NULL)
		m->ops->begin(m->owner, &u->part);
}

static void
file_data(struct mime *m, struct slice decoded)
{
	if (decoded.len > 0 && m->ops->data != NULL)
		m->ops->data(m->owner, &m->uu.part, decoded);
}

static void
close_file(struct mime *m)
{
	struct uu *u = &m->uu;
	char out[DECODE_ROOM];

	file_data(m, (struct slice){ out, decode_end(&u->decode, out, sizeof(out)) });
	if (u->decode.junk)
		u->part.flags |= MIME_BAD_DATA;
	if (m->ops->end != NULL)
		m->ops->end(m->owner, &u->part);
	m->flags |= u->part.flags;
	u->open = false;
}

static void
feed_file(struct mime *m, struct slice *in)
{
	struct uu *u = &m->uu;
	char out[4096];

	file_data(m, (struct slice){ out, decode_feed(&u->decode, in, out, sizeof(out)) });
	if (!u->decode.ended)
		return;
	close_file(m);
	u->line_start = true;
	u->len = 0;
}

/* Takes octets of a line for as long as it may become a "begin" line. */
static void
gather(struct mime *m, struct slice *in)
{
	struct uu *u = &m->uu;

	while (in->len > 0) {
		char c = in->at[0];
		struct slice name;

		if (u->len < BEGIN_LEN ? c != BEGIN[u->len] : u->len == sizeof(u->line)) {
			u->line_start = false;
			return;
		}
		*in = slice_part(*in, 1, in->len);
		if (c != '\n') {
			u->line[u->len++] = c;
			continue;
		}
		name = begin_name((struct slice){ u->line, u->len });
		u->len = 0;
		if (name.len > 0) {
			open_file(m, name);
			return;
		}
	}
}

/* Goes to the next line that may be a "begin" line: one whose first octets are, as far as they
 * are here. */
static void
find_line(struct uu *u, struct slice *in)
{
	static const char wanted[] = "\n" BEGIN;
	const char *at = memmem(in->at, in->len, wanted, sizeof(wanted) - 1);
	struct slice tail = slice_part(*in, in->len < BEGIN_LEN ? 0 : in->len - BEGIN_LEN, in->len);

	if (at == NULL)
		at = memrchr(tail.at, '\n', tail.len);
	u->line_start = at != NULL;
	u->len = 0;
	*in = slice_part(*in, at != NULL ? (size_t)(at + 1 - in->at) : in->len, in->len);
}

void
uu_look(struct mime *m, struct slice decoded)
{
	struct uu *u = &m->uu;

	while (decoded.len > 0) {
		if (u->open)
			feed_file(m, &decoded);
		else if (u->line_start)
			gather(m, &decoded);
		else
			find_line(u, &decoded);
	}
}

void
uu_end(struct mime *m)
{
	if (m->uu.open)
		close_file(m);
	m->uu.wanted = false;
}
