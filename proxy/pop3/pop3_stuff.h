/* pop3_stuff.h - a message as POP3 sends it (RFC 1939 section 3): lines end in CR LF, a dot at the start
 * of a line is doubled, and the end is CR LF . CR LF.
 *
 * The message comes out of a mailbox and may hold anything. A bare LF becomes CR LF. A bare CR stays,
 * but what follows it counts as the start of a line, as some clients see it. Without that, or with
 * the first octet left unstuffed, a stored message could end its own retrieval and go on as forged
 * server replies. */
#ifndef PROXY_POP3_POP3_STUFF_H
#define PROXY_POP3_POP3_STUFF_H

#include "proxy/base/buf.h"

struct pop3_stuff {
	bool inside;		/* behind an octet that is not a line's end */
	bool cr;		/* the last octet was CR */
	bool limited;		/* TOP: stop after the header and `lines` more */
	bool in_body, line_has_text, full;
	uint64_t lines;		/* of the body that may still come */
};

void pop3_stuff_begin(struct pop3_stuff *);
void pop3_stuff_begin_top(struct pop3_stuff *, uint64_t lines);

/* Encodes a piece, as much as `out` has room for; returns how many octets of it were taken. All is
 * taken, and nothing more put, once TOP has what it wants (then `full` is set). */
size_t pop3_stuff_write(struct pop3_stuff *, struct slice in, struct buf *out);
bool pop3_stuff_finish(struct pop3_stuff *, struct buf *out);	/* false: no room, nothing put */

#endif
