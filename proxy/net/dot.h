/* dot.h - the octets of a message on the wire: lines, dot-stuffing and the one true end (RFC 5321 sections
 * 4.1.1.4, 4.5.2), and the chunks of BDAT, which have lines but no dots (RFC 3030).
 *
 * Only CR LF . CR LF ends the data (or . CR LF as the very first line). A bare CR, a bare LF or
 * a NUL is noted as a fault and the stream is read on to its true end, so that the sender hears
 * the refusal in its place and no server behind us can see another end than we did. A reader may be told
 * to normalize instead: then a bare LF becomes CR LF and a bare CR a space, but neither of them makes an
 * end, and a NUL stays a fault. What comes out is lines, so it must be stuffed again on its way on. */
#ifndef PROXY_NET_DOT_H
#define PROXY_NET_DOT_H

#include "proxy/base/buf.h"

enum { DOT_BARE_CR = 1, DOT_BARE_LF = 2, DOT_NUL = 4 };	/* faults */

struct dot_reader {		/* zeroed: at the start of a stream */
	enum { DOT_START, DOT_SOFT_START, DOT_TEXT, DOT_CR, DOT_DOT, DOT_DOT_CR, DOT_OVER } state;
	unsigned faults;
	bool normalize;		/* set by the owner at the start */
	unsigned mended;	/* what would have been faults */
};

/* Decodes a piece: *used octets of it were taken, and what they mean was put into out, which has
 * room for in.len + 2, or for 2 * in.len + 2 when normalizing. True when the end was among them (then *used may be less than in.len).
 * Once a fault is noted what is put out no longer matters. */
bool dot_read(struct dot_reader *, struct slice in, size_t *used, char *out, size_t *out_len);

/* A stream of chunks, whose borders may stand anywhere, also between CR and LF. */
struct crlf_reader {		/* zeroed: at the start of a message */
	bool cr;		/* a CR came and what follows it has not */
	unsigned faults;
	bool normalize;
	unsigned mended;
};

/* Takes a whole piece; what it means was put into out, which has the same room as for dot_read(). */
void crlf_read(struct crlf_reader *, struct slice in, char *out, size_t *out_len);

/* The end of the last chunk: what was still held back, at most 1 octet. Afterwards the faults are all known. */
void crlf_finish(struct crlf_reader *, char *out, size_t *out_len);

struct dot_writer {		/* zeroed: at the start of a stream */
	bool inside;		/* inside a line: behind anything but CR LF */
	bool doubled;		/* the dot that doubles this line's first one has gone out */
};

/* What goes out next of a piece of a message that holds no bare CR or LF: a stretch of it as it is, or (in no
 * memory of the message's) a dot that doubles the next line's. Empty only for an empty piece. */
struct slice dot_next(const struct dot_writer *, struct slice in);

/* n octets of that were written; returns how many of the piece they were. */
size_t dot_wrote(struct dot_writer *, struct slice next, size_t n);

/* What ends it: CR LF if the last line lacks it, then the dot. */
struct slice dot_end(const struct dot_writer *);

#endif
