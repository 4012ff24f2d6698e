/* watch.h - who authenticates, read from the client's side of an exchange that is relayed.
 *
 * The server behind us judges; we only look on, for the throttle, the log and the routes. What is
 * not a message of its mechanism is refused here, so that nobody is let in under a name that was
 * not seen. No password, proof or token is kept. */
#ifndef PROXY_SASL_WATCH_H
#define PROXY_SASL_WATCH_H

#include "proxy/sasl/sasl.h"

#define SASL_NAME_MAX 255	/* octets of a name; longer ones are refused, and so are NUL and control characters */

struct sasl_watch {
	unsigned mechanism;
	unsigned messages;			/* of the client so far */
	/* Whose password, proof or token it is; empty: not shown yet, or never (GSSAPI, NTLM, OAUTHBEARER without
	 * "a="). UTF-8 is allowed, not enforced: it goes into a log through log_word() only. */
	char user[SASL_NAME_MAX + 1];
	/* Whom that user wants to act for; empty: himself. Whether he may only the server knows, and some
	 * (Exim as it is usually set up) never ask: nothing may depend on it. */
	char authzid[SASL_NAME_MAX + 1];
};

void sasl_watch_begin(struct sasl_watch *, unsigned mechanism);

/* The client's next message, decoded; the initial response is one. False: it is none of this
 * mechanism, or one too many; the exchange has to be given up. */
bool sasl_watch_client(struct sasl_watch *, struct slice message);

/* Whether the client has said all that the mechanism lets it say. */
bool sasl_watch_over(const struct sasl_watch *);

/* Whether the client speaks first, so that an initial response is allowed (RFC 4422 section 5.1). */
bool sasl_client_begins(unsigned mechanism);

#endif
