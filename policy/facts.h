/* facts.h - what we know of a client and an envelope. Everyone may read it.
 *
 * All slices point into memory of whoever filled the struct. */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "proxy/base/addr.h"
#include "proxy/base/slice.h"

struct facts {
	struct slice id;		/* our message id, as logged */
	struct slice hostname;		/* ours */
	struct slice listener;		/* the listener's name */
	struct addr client;
	struct slice helo;
	bool esmtp;			/* greeted with EHLO */
	bool utf8;			/* MAIL said SMTPUTF8 */
	struct slice tls;		/* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty without TLS */
	bool authenticated;
	struct slice user;		/* as whom; empty: nobody, or the mechanism does not tell */
	struct slice from;		/* MAIL's mailbox without brackets; empty for <> */
	const struct slice *rcpts;	/* accepted recipients, without brackets */
	size_t nrcpts;
};

#endif
