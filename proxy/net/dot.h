/* dot.h - the DATA stream: lines, dot-stuffing and the one true end (RFC 5321 sections 4.1.1.4, 4.5.2).
 *
 * Only CR LF . CR LF ends the data (or . CR LF as the very first line). A bare CR, a bare LF or
 * a NUL is noted as a fault and the stream is read on to its true end, so that the sender hears
 * the refusal in its place and no server behind us can see another end than we did. */
#ifndef PROXY_NET_DOT_H
#define PROXY_NET_DOT_H

#include "proxy/base/buf.h"

enum { DOT_BARE_CR = 1, DOT_BARE_LF = 2, DOT_NUL = 4 };	/* faults */

struct dot_reader {		/* zeroed: at the start of a stream */
	enum { DOT_START, DOT_TEXT, DOT_CR, DOT_DOT, DOT_DOT_CR, DOT_OVER } state;
	unsigned faults;
};

/* Decodes a piece: *used octets of it were taken, and what they mean was put into out, which has
 * room for in.len + 2. True when the end was among them (then *used may be less than in.len).
 * Once a fault is noted what is put out no longer matters. */
bool dot_read(struct dot_reader *, struct slice in, size_t *used, char *out, size_t *out_len);

struct dot_writer {		/* zeroed: at the start of a stream */
	bool inside;		/* inside a line: behind anything but CR LF */
};

/* Encodes a piece of a message that holds no bare CR or LF: as much as `out` has room for.
 * Returns how many octets of `in` were taken. */
size_t dot_write(struct dot_writer *, struct slice in, struct buf *out);

/* The end: CR LF if the last line lacks it, then the dot. False when out has no room (then nothing was put). */
bool dot_finish(struct dot_writer *, struct buf *out);

#endif
