#include "filters/text.h"

#include <stdlib.h>

#include "proxy/base/mem.h"

void
text_init(struct text *t, size_t max)
{
	*t = (struct text){ 0 };
	buf_init(&t->buf, max);
}

void
text_free(struct text *t)
{
	buf_free(&t->buf);
	free(t->paragraphs);
	t->paragraphs = NULL;
	t->nparagraphs = 0;
}

static size_t
paragraph_start(const struct text *t)
{
	return t->nparagraphs > 0 ? t->paragraphs[t->nparagraphs - 1] : 0;
}

void
text_end(struct text *t)
{
	t->blank = false;
	t->lines = 0;
	if (buf_len(&t->buf) == paragraph_start(t))
		return;
	/* text_put() leaves room for this octet. */
	buf_putc(&t->buf, '\n');
	*(size_t *)mem_push(&t->paragraphs, &t->nparagraphs, sizeof(size_t)) = buf_len(&t->buf);
}

void
text_blank(struct text *t)
{
	t->blank = true;
}

void
text_line(struct text *t)
{
	t->blank = true;
	t->lines++;
}

/* White space becomes what it means when a character follows. */
static void
settle_blank(struct text *t)
{
	if (t->lines > 1)
		text_end(t);
	else if (t->blank && buf_len(&t->buf) > paragraph_start(t) && buf_room(&t->buf) > 1)
		buf_putc(&t->buf, ' ');
	t->blank = false;
	t->lines = 0;
}

/* Length of the white space at the start: ASCII's, and U+00A0. */
static size_t
white_len(struct slice s)
{
	unsigned char c = (unsigned char)s.at[0];

	if (c <= ' ')
		return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
	return c == 0xc2 && s.len > 1 && (unsigned char)s.at[1] == 0xa0 ? 2 : 0;
}

/* How much can be copied as it stands: words with single blanks between them. */
static size_t
run_len(struct slice s)
{
	size_t len = 0;

	while (len < s.len) {
		unsigned char c = (unsigned char)s.at[len];

		if (c > ' ' && c != 0xc2)
			len++;
		else if (c == ' ' && len + 1 < s.len && (unsigned char)s.at[len + 1] > ' ' &&
			 (unsigned char)s.at[len + 1] != 0xc2)
			len += 2;
		else if (white_len(slice_part(s, len, 2)) > 0)
			break;
		else
			len++;
	}
	return len;
}

bool
text_put(struct text *t, struct slice s)
{
	while (s.len > 0 && !t->full) {
		size_t white = white_len(s), len;

		if (white > 0) {
			if (s.at[0] == '\n' && !t->flowing)
				text_line(t);
			t->blank = true;
			s = slice_part(s, white, s.len);
			continue;
		}
		settle_blank(t);
		len = run_len(s);
		/* A paragraph's line end needs room too, so it never fails. */
		if (len + 1 > buf_room(&t->buf)) {
			t->full = true;
			break;
		}
		buf_put(&t->buf, slice_part(s, 0, len));
		s = slice_part(s, len, s.len);
	}
	return !t->full;
}
