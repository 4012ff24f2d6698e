/* proxyproto_read.h - the PROXY protocol, as it comes in: who the client of a proxy in front of us is.
 *
 * HAProxy's proxy-protocol.txt, version 1 (a line) and 2 (octets). Only from peers that are trusted, and from
 * them it is compulsory: nothing in the stream tells a header that a proxy wrote from one that its client did. */
#ifndef PROXY_NET_PROXYPROTO_READ_H
#define PROXY_NET_PROXYPROTO_READ_H

#include "proxy/base/addr.h"
#include "proxy/base/err.h"

#define PROXYPROTO_LINE_MAX 107			/* octets of version 1, CR LF included */
#define PROXYPROTO_MAX      (16 + 4096)		/* of version 2; the standard allows 65,551 */

enum proxyproto_result { PROXYPROTO_MORE, PROXYPROTO_DONE, PROXYPROTO_BAD };

struct proxyproto {
	/* The proxy speaks for itself (a health check), or does not know for whom: the connection's own addresses count. */
	bool none;
	struct addr source, destination;	/* of the client's connection; only without none */
};

/* Reads what has come so far, from the connection's first octet on. *used is how many of these octets are the
 * header's: never one that stands behind it, but all that does not complete it. BAD with err: not a header. */
enum proxyproto_result proxyproto_read(struct slice in, size_t *used, struct proxyproto *, struct err *);

#endif
