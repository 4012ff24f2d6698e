/* line.h - one line of a mail protocol: it ends in CR LF, and anything else is no line.
 *
 * RFC 5321 section 2.3.8: CR and LF only ever stand together. A bare one, or a NUL, in a command
 * or a reply is how one side is made to see other lines than the other; it is never passed over. */
#ifndef PROXY_NET_LINE_H
#define PROXY_NET_LINE_H

#include "proxy/base/buf.h"

enum line_result {
	LINE_OK,
	LINE_MORE,		/* not here yet */
	LINE_BARE,		/* a CR or LF that stands alone, or a NUL */
	LINE_TOO_LONG,		/* said once; its tail is swallowed by the next calls */
};

struct line_reader {
	bool swallowing;
};

/* Takes the next line out of `in` and copies it, without its CR LF, into room[size]; *line then
 * points there. size counts the line's octets without CR LF. */
enum line_result line_next(struct line_reader *, struct buf *in, char *room, size_t size, struct slice *line);

#endif
