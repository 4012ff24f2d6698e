#include "proxy/pop3/pop3_stuff.h"

#include <string.h>

#define STEP_MAX 4	/* octets that one octet of input can become, with the dot before it: ". " CR LF */

void
pop3_stuff_begin(struct pop3_stuff *s)
{
	memset(s, 0, sizeof(*s));
}

void
pop3_stuff_begin_top(struct pop3_stuff *s, uint64_t lines)
{
	memset(s, 0, sizeof(*s));
	s->limited = true;
	s->lines = lines;
}

/* A line is over. TOP (RFC 1939 section 7): the header, the empty line, then the number of lines asked for. */
static void
line_over(struct pop3_stuff *s)
{
	bool empty = !s->line_has_text;

	s->inside = s->cr = s->line_has_text = false;
	if (!s->limited)
		return;
	if (s->in_body)
		s->lines--;
	else
		s->in_body = empty;
	s->full = s->in_body && s->lines == 0;
}

/* Octets up to the next CR or LF, as many as there is room for. */
static size_t
text_run(struct slice in, size_t room)
{
	const char *stop;

	if (in.len > room)
		in.len = room;
	if ((stop = memchr(in.at, '\n', in.len)) != NULL)
		in.len = (size_t)(stop - in.at);
	if ((stop = memchr(in.at, '\r', in.len)) != NULL)
		in.len = (size_t)(stop - in.at);
	return in.len;
}

size_t
pop3_stuff_write(struct pop3_stuff *s, struct slice in, struct buf *out)
{
	size_t i = 0;

	while (i < in.len && !s->full && buf_room(out) >= STEP_MAX) {
		char c = in.at[i];

		if (c == '\n') {
			buf_puts(out, s->cr ? "\n" : "\r\n");
			line_over(s);
			i++;
		} else if (c == '\r') {
			if (s->cr)
				s->line_has_text = true;	/* the one before it stood alone */
			buf_putc(out, '\r');
			s->cr = true;
			i++;
		} else {
			size_t run;

			if ((!s->inside || s->cr) && c == '.')
				buf_putc(out, '.');
			run = text_run(slice_part(in, i, in.len), buf_room(out));
			buf_put(out, slice_part(in, i, run));
			s->inside = s->line_has_text = true;
			s->cr = false;
			i += run;
		}
	}
	return s->full ? in.len : i;
}

bool
pop3_stuff_finish(struct pop3_stuff *s, struct buf *out)
{
	/* Behind a lone CR a whole CR LF still has to come: its LF alone would make it a line's end. */
	return buf_puts(out, s->inside || s->cr || s->line_has_text ? "\r\n.\r\n" : ".\r\n");
}
