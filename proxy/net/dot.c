#include "proxy/net/dot.h"

#include <string.h>

#define BLOCK 64	/* octets looked through at once */

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

/* What stands where only CR LF may. When it is mended *n octets more are out. */
static void
bare(unsigned kind, bool normalize, unsigned *faults, unsigned *mended, char *out, size_t *n)
{
	if (!normalize || kind == DOT_NUL) {
		*faults |= kind;
		return;
	}
	*mended |= kind;
	if (kind == DOT_BARE_LF)
		out[(*n)++] = '\r';
	out[(*n)++] = kind == DOT_BARE_LF ? '\n' : ' ';
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
		case DOT_SOFT_START:	/* behind a mended LF a dot may be stuffing; it is never the end */
			d->state = DOT_TEXT;
			i += c == '.';
			break;
		case DOT_TEXT:
			if (c == '\r') {
				d->state = DOT_CR;
				i++;
			} else if (c == '\n' || c == '\0') {
				bare(c == '\n' ? DOT_BARE_LF : DOT_NUL, d->normalize, &d->faults, &d->mended, out, &n);
				if (c == '\n' && d->normalize)
					d->state = DOT_SOFT_START;
				i++;
			} else if ((d->faults | d->mended) != 0) {
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
				bare(DOT_BARE_CR, d->normalize, &d->faults, &d->mended, out, &n);
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
				bare(DOT_BARE_CR, d->normalize, &d->faults, &d->mended, out, &n);
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

void
crlf_read(struct crlf_reader *r, struct slice in, char *out, size_t *out_len)
{
	size_t i = 0, n = 0;

	while (i < in.len) {
		char c = in.at[i];

		if (r->cr && c == '\n') {
			out[n++] = '\r';
			out[n++] = '\n';
		} else if (r->cr) {
			bare(DOT_BARE_CR, r->normalize, &r->faults, &r->mended, out, &n);
		} else if (c == '\n' || c == '\0') {
			bare(c == '\n' ? DOT_BARE_LF : DOT_NUL, r->normalize, &r->faults, &r->mended, out, &n);
		} else if (c != '\r' && (r->faults | r->mended) != 0) {
			out[n++] = c;
		} else if (c != '\r') {
			size_t run = text_run(slice_part(in, i, in.len), out + n);

			i += run;
			n += run;
			continue;
		}
		/* Behind a bare CR the octet is looked at again. */
		i += !r->cr || c == '\n';
		r->cr = !r->cr && c == '\r';
	}
	*out_len = n;
}

void
crlf_finish(struct crlf_reader *r, char *out, size_t *out_len)
{
	*out_len = 0;
	if (r->cr)
		bare(DOT_BARE_CR, r->normalize, &r->faults, &r->mended, out, out_len);
	r->cr = false;
}

/* Whether one of the next BLOCK lines' ends stands in front of a dot; reads one octet more. In this form the compiler
 * compares 16 octets at once, many times faster than memmem() finds two. */
static bool
has_dotted_line(const char *at)
{
	unsigned char any = 0;

	for (size_t i = 0; i < BLOCK; i++)
		any |= (unsigned char)((at[i] == '\n') & (at[i + 1] == '.'));
	return any != 0;
}

/* Octets up to the next line that begins with a dot. */
static size_t
plain_run(struct slice in)
{
	size_t i = 0;
	const char *lf;

	while (in.len - i > BLOCK && !has_dotted_line(in.at + i))
		i += BLOCK;
	lf = memmem(in.at + i, in.len - i, "\n.", 2);
	return lf != NULL ? (size_t)(lf - in.at) + 1 : in.len;
}

static const char the_dot[] = ".";

struct slice
dot_next(const struct dot_writer *w, struct slice in)
{
	if (!w->inside && !w->doubled && in.len > 0 && in.at[0] == '.')
		return (struct slice){ the_dot, 1 };
	return in.len > 0 ? slice_part(in, 0, plain_run(in)) : in;
}

size_t
dot_wrote(struct dot_writer *w, struct slice next, size_t n)
{
	if (n == 0)
		return 0;
	w->doubled = next.at == the_dot;
	if (w->doubled)
		return 0;
	w->inside = next.at[n - 1] != '\n';
	return n;
}

struct slice
dot_end(const struct dot_writer *w)
{
	return w->inside ? SLICE("\r\n.\r\n") : SLICE(".\r\n");
}
