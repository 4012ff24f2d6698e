/* plain.h - the PLAIN mechanism (RFC 4616), both sides. */
#ifndef PROXY_SASL_PLAIN_H
#define PROXY_SASL_PLAIN_H

#include "proxy/base/buf.h"

struct sasl_plain {
	struct slice authzid, user, password;
};

/* A decoded message: [authzid] NUL user NUL password. The slices point into it. False when it is
 * not of that form, or user or password are empty. */
bool sasl_plain_read(struct slice message, struct sasl_plain *);

/* Appends the message, not yet in base64. False: no room, or a part holds a NUL. */
bool sasl_plain_write(struct buf *, const struct sasl_plain *);

#endif
