#include "proxy/net/line.h"

#include <string.h>

enum line_result
line_next(struct line_reader *r, struct buf *in, char *room, size_t size, struct slice *line)
{
	struct slice have = buf_slice(in);
	const char *lf = have.len > 0 ? memchr(have.at, '\n', have.len) : NULL;
	size_t len;

	*line = (struct slice){ room, 0 };
	if (r->swallowing) {
		buf_eat(in, lf != NULL ? (size_t)(lf - have.at) + 1 : have.len);
		if (lf == NULL)
			return LINE_MORE;
		r->swallowing = false;
		return line_next(r, in, room, size, line);
	}
	len = lf != NULL ? (size_t)(lf - have.at) : have.len;
	if (lf == NULL && len <= size + 1)	/* the CR may be here already */
		return LINE_MORE;
	if (lf != NULL && len > 0 && have.at[len - 1] == '\r')
		len--;
	else if (lf != NULL)
		return LINE_BARE;
	if (len > size) {
		r->swallowing = lf == NULL;
		buf_eat(in, lf != NULL ? (size_t)(lf - have.at) + 1 : have.len);
		return LINE_TOO_LONG;
	}
	if (memchr(have.at, '\r', len) != NULL || memchr(have.at, '\0', len) != NULL)
		return LINE_BARE;
	memcpy(room, have.at, len);
	line->len = len;
	buf_eat(in, len + 2);
	return LINE_OK;
}
