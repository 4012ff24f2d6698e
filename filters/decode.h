/* decode.h - content transfer encodings taken off, as a stream (RFC 2045 section 6; uuencode).
 *
 * Nothing is an error: junk is skipped or kept as readers do it, and noted. */
#ifndef FILTERS_DECODE_H
#define FILTERS_DECODE_H

#include "filters/mime.h"

#define DECODE_ROOM 128		/* the least room for output that makes progress certain */

struct decode {
	enum mime_encoding encoding;
	bool junk;		/* something came that has no place in the encoding */
	bool ended;		/* uuencode: its "end" line has been read */
	/* base64: the bits of a group begun; uuencode: octets that its line still owes */
	uint32_t bits;
	unsigned count;
	bool padded;		/* base64: padding came; data behind it is junk, but decoded */
	unsigned len;		/* octets in `line` */
	char line[DECODE_ROOM - 8];	/* quoted-printable: an '=' not decided yet; uuencode: a line */
	bool cut;		/* uuencode: the line is longer than that */
};

void decode_init(struct decode *, enum mime_encoding);

/* Takes octets off the front of *in and writes what they mean; returns how many octets it wrote.
 * Stops when *in is empty, when `out` has no room for what comes next, or at `ended`. */
size_t decode_feed(struct decode *, struct slice *in, char *out, size_t size);

/* No more input: what is still owed; then as after decode_init(), but `junk` stays. size is at
 * least DECODE_ROOM. */
size_t decode_end(struct decode *, char *out, size_t size);

#endif
