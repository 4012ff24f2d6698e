#include "proxy/net/dot.h"

#include <string.h>

/* A run inside a line: everything up to the next CR, LF or NUL goes out as it is. */
static size_t
text_run(struct slice in, char *out)
{
	const char *lf = memchr(in.at, '\n', in.len), *stop;
	size_t len = lf != NULL ? (size_t)(lf - in.at) : in.len;

	if ((stop = memchr(in.at, '\r', len)) != NULL)
		len = (size_t)(stop - in.at);
	if ((stop = memchr(in.at, '\0', len)) != NULL)
		len = (size_t)(stop - in.at);
	memcpy(out, in.at, len);
	return len;
}

bool
dot_read(struct dot_reader *d, struct slice in, size_t *used, char *out, size_t *out_len)
{
	size_t i = 0, n = 0;

	while (i < in.len && d->state != DOT_OVER) {
		char c = in.at[i];

		switch (d->state) {
		case DOT_START:
			d->state = c == '.' ? DOT_DOT : DOT_TEXT;
			i += c == '.';
			break;
		case DOT_TEXT:
			if (c == '\r') {
				d->state = DOT_CR;
				i++;
			} else if (c == '\n' || c == '\0') {
				d->faults |= c == '\n' ? DOT_BARE_LF : DOT_NUL;
				i++;
			} else if (d->faults != 0) {
				/* Octet by octet: where lines are no lines, each search of a run could
				 * see all the rest of the piece. */
				out[n++] = c;
				i++;
			} else {
				size_t run = text_run(slice_part(in, i, in.len), out + n);

				i += run;
				n += run;
			}
			break;
		case DOT_CR:
			if (c == '\n') {
				out[n++] = '\r';
				out[n++] = '\n';
				d->state = DOT_START;
				i++;
			} else {
				d->faults |= DOT_BARE_CR;
				d->state = DOT_TEXT;	/* looks at c again; another CR may begin the line's end */
			}
			break;
		case DOT_DOT:		/* a dot at the start of a line: the end, or stuffing */
			d->state = c == '\r' ? DOT_DOT_CR : DOT_TEXT;
			i += c == '\r';
			break;
		case DOT_DOT_CR:
			if (c == '\n') {
				d->state = DOT_OVER;
				i++;
			} else {
				d->faults |= DOT_BARE_CR;
				d->state = DOT_TEXT;
			}
			break;
		case DOT_OVER:
			break;
		}
	}
	*used = i;
	*out_len = n;
	return d->state == DOT_OVER;
}

size_t
dot_write(struct dot_writer *w, struct slice in, struct buf *out)
{
	size_t done = 0;

	while (done < in.len) {
		bool stuff = !w->inside && in.at[done] == '.';
		size_t room = buf_room(out), len;
		struct slice rest;
		const char *next;

		if (room <= stuff)
			return done;
		/* Everything up to the next line that begins with a dot goes out in one piece. */
		rest = slice_part(in, done, room - stuff);
		next = memmem(rest.at, rest.len, "\n.", 2);
		len = next != NULL ? (size_t)(next - rest.at) + 1 : rest.len;
		if (stuff)
			buf_putc(out, '.');
		buf_put(out, slice_part(rest, 0, len));
		w->inside = rest.at[len - 1] != '\n';
		done += len;
	}
	return done;
}

bool
dot_finish(struct dot_writer *w, struct buf *out)
{
	return buf_puts(out, w->inside ? "\r\n.\r\n" : ".\r\n");
}
