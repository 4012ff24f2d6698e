/* smtp_reply.h - a backend's reply, read with suspicion and rebuilt for the client.
 *
 * RFC 5321 section 4.2: three digits, "-" on all lines but the last, the same code on each. What
 * is passed on is written anew: printable ASCII only, bounded, with an enhanced code (RFC 2034)
 * where the backend gave none. */
#ifndef PROXY_SMTP_SMTP_REPLY_H
#define PROXY_SMTP_SMTP_REPLY_H

#include "proxy/base/buf.h"

#define SMTP_REPLY_LINE_MAX 12292	/* octets of one line, without CR LF: RFC 4954 section 4's 12,288 behind "334 " */
#define SMTP_REPLY_LINES    100
#define SMTP_REPLY_TEXT     16384	/* octets of all texts */

struct smtp_reply {
	int code;
	unsigned lines;
	struct buf text;	/* the lines without their codes, each ended by LF */
};

#define SMTP_REPLY_ROOM 500	/* octets of a line as we say it */

enum smtp_reply_step { REPLY_MORE, REPLY_WHOLE, REPLY_BAD };

void smtp_reply_init(struct smtp_reply *);
void smtp_reply_free(struct smtp_reply *);		/* also: ready for the next one */
enum smtp_reply_step smtp_reply_add(struct smtp_reply *, struct slice line);

int smtp_reply_class(const struct smtp_reply *);	/* 2, 3, 4, 5 */

/* The reply as we say it to a client, with our CR LF. False when out is full (nothing was put). */
bool smtp_reply_say(const struct smtp_reply *, struct buf *out);

bool smtp_reply_say_short(const struct smtp_reply *, struct buf *out);	/* of a long one the first line: SMTP_REPLY_ROOM octets at most */

/* Code and first line on one line, for a log. */
void smtp_reply_text(const struct smtp_reply *, char *out, size_t size);

#endif
