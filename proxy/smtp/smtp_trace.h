/* smtp_trace.h - the header section as a gateway must see it: our Received field, the count of
 * earlier ones (RFC 5321 section 6.3), and forged fields of ours that have to go. */
#ifndef PROXY_SMTP_SMTP_TRACE_H
#define PROXY_SMTP_SMTP_TRACE_H

#include <time.h>

#include "policy/facts.h"
#include "proxy/base/buf.h"

#define TRACE_HEADER_MAX 1048576	/* octets of a header section */

struct trace_piece {		/* a stretch of the message that is passed on */
	size_t from, len;
};

struct trace {
	unsigned hops;		/* Received fields */
	bool starts_blank;	/* the first line begins with a blank: it would continue a field of ours */
	bool too_big;		/* the header section is longer than TRACE_HEADER_MAX */
	unsigned stripped;	/* fields that were cut out */
	struct trace_piece *pieces;	/* in order; what is not in them is cut out */
	size_t npieces;
};

/* Looks through a whole message. owns() says which fields are ours alone. */
void trace_read(struct trace *, struct slice message, bool (*owns)(struct slice name));
void trace_free(struct trace *);

/* Appends our Received field (RFC 5321 section 4.4). The recipient is named only when it is the only one. */
bool trace_received(struct buf *, const struct facts *, time_t now);

#endif
