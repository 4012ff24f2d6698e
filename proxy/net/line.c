#include "proxy/net/line.h"

#include <string.h>

/* The rest of a line that was too long: thrown away, but its end is a line's end like any other. */
static enum line_result
swallow(struct line_reader *r, struct buf *in)
{
	struct slice have = buf_slice(in);
	const char *lf = have.len > 0 ? memchr(have.at, '\n', have.len) : NULL;

	if (lf == NULL) {
		/* A CR may be half of what we wait for. */
		buf_eat(in, have.len > 0 && have.at[have.len - 1] == '\r' ? have.len - 1 : have.len);
		return LINE_MORE;
	}
	if (lf == have.at || lf[-1] != '\r')
		return LINE_BARE;
	buf_eat(in, (size_t)(lf - have.at) + 1);
	r->swallowing = false;
	return LINE_OK;
}

enum line_result
line_next(struct line_reader *r, struct buf *in, char *room, size_t size, struct slice *line)
{
	enum line_result swallowed = r->swallowing ? swallow(r, in) : LINE_OK;
	struct slice have = buf_slice(in);
	const char *lf = have.len > 0 ? memchr(have.at, '\n', have.len) : NULL;
	size_t len = lf != NULL ? (size_t)(lf - have.at) : have.len;

	*line = (struct slice){ room, 0 };
	if (swallowed != LINE_OK)
		return swallowed;
	if (len > size + 1) {			/* the CR may be among them */
		r->swallowing = true;
		return LINE_TOO_LONG;
	}
	if (lf == NULL)
		return LINE_MORE;
	if (len == 0 || have.at[--len] != '\r')
		return LINE_BARE;
	if (memchr(have.at, '\r', len) != NULL || memchr(have.at, '\0', len) != NULL)
		return LINE_BARE;
	memcpy(room, have.at, len);
	line->len = len;
	buf_eat(in, len + 2);
	return LINE_OK;
}
