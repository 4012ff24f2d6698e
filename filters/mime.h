/* mime.h - a push reader for MIME messages (RFC 5322, 2045-2047, 2231), made for hostile input.
 *
 * Bytes are fed in pieces of any size; what is understood comes back through calls while they
 * arrive. State is bounded whatever comes: nesting, parts, fields and their lengths have caps,
 * and passing one sets a flag instead of failing. It reads like lenient mail readers do, not
 * like a validator: a line ends in CRLF or LF, junk inside base64 is skipped, data behind '='
 * padding goes on, parts are found where a reader would show them.
 *
 * message/rfc822 is descended into (its headers become fields of a child part), base64 and
 * quoted-printable around it taken off. A uuencoded file inside text comes out as a child of the
 * text part, while that is still open; its lines stay in the text as well.
 *
 * Where readers disagree about one message, the reading that shows more is taken: of two
 * Content-Types the first names the type, but a multipart in either is split, and delimiters of
 * both boundaries (also of both spellings, plain and RFC 2231) split it. A multipart without a
 * boundary is split at the first line that looks like a delimiter. What stands before, between or
 * behind parts comes out as leaves of its own, unless it is white space only. Of several
 * Content-Transfer-Encodings the first that changes octets counts. A delimiter is a whole line;
 * blanks may follow. */
#ifndef FILTERS_MIME_H
#define FILTERS_MIME_H

#include "proxy/base/slice.h"

#define MIME_DEPTH_MAX    64		/* nested multiparts and messages */
#define MIME_ENCODINGS_MAX 5		/* encoded messages in one another: each reads every octet again */
#define MIME_PARTS_MAX    10000
#define MIME_FIELD_MAX    102400	/* octets of one header field, name and value */
#define MIME_HEADER_MAX   1048576	/* octets of one header section */
#define MIME_FIELDS_MAX   10000		/* fields in one header section */

enum mime_encoding { MIME_7BIT, MIME_BASE64, MIME_QP, MIME_UUENCODE };

enum {	/* flags: of a part, and joined, of the whole message */
	MIME_TOO_DEEP          = 1 << 0,	/* a multipart or message came as a leaf */
	MIME_TOO_MANY_PARTS    = 1 << 1,	/* what stands behind came as one leaf, not split */
	MIME_FIELD_TOO_LONG    = 1 << 2,
	MIME_HEADER_TOO_BIG    = 1 << 3,
	MIME_NO_BOUNDARY       = 1 << 4,	/* a multipart without one */
	MIME_DUPLICATE_FIELD   = 1 << 5,	/* two Content-Type, -Transfer-Encoding or boundary parameters */
	MIME_BAD_ENCODING      = 1 << 6,	/* an unknown Content-Transfer-Encoding, or one on a composite type */
	MIME_BAD_DATA          = 1 << 7,	/* junk inside base64 or quoted-printable */
	MIME_NUL               = 1 << 8,	/* NUL octets */
	MIME_UNCLOSED          = 1 << 9,	/* a multipart without its close delimiter */
	MIME_PARTIAL           = 1 << 10,	/* message/partial or message/external-body */
	MIME_BAD_HEADER        = 1 << 11,	/* a header line that is no field */
};

struct mime_part {
	const struct mime_part *parent;	/* NULL for the message itself */
	unsigned number;		/* 0 is the message, then in order of appearance */
	unsigned depth;
	char type[128];			/* "text/html", lower case; text/plain when missing or unreadable
					 * (inside multipart/digest: message/rfc822) */
	char charset[64];		/* lower case; empty when not named */
	char name[256];			/* file name (RFC 2231, 2047 decoded to UTF-8), empty when none;
					 * one too long loses its middle, so the extension stays */
	bool attachment;		/* Content-Disposition says so */
	bool in_epilogue;		/* found where there should be none: before, between or behind parts */
	enum mime_encoding encoding;
	unsigned flags;
	size_t body_at;			/* of the message itself, once its header is over: where its body begins */
};

/* Each may be NULL. Slices are valid during the call only. */
struct mime_ops {
	/* One header field: `raw` is the value as it came (folds included, without the final line
	 * end), `value` the same unfolded (line ends taken out, RFC 5322 section 2.2.3) and trimmed. */
	void (*field)(void *owner, const struct mime_part *, struct slice name, struct slice raw, struct slice value);
	void (*begin)(void *owner, const struct mime_part *);	/* the header section is over */
	/* Body octets of a leaf with the transfer encoding taken off. */
	void (*data)(void *owner, const struct mime_part *, struct slice decoded);
	void (*end)(void *owner, const struct mime_part *);
};

struct mime;

struct mime *mime_new(const struct mime_ops *, void *owner);
void mime_feed(struct mime *, struct slice);
unsigned mime_end(struct mime *);	/* no more bytes: ends every open part; the flags of all parts joined */
void mime_free(struct mime **);

#endif
