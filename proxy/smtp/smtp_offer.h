/* smtp_offer.h - our reply to EHLO (RFC 5321 section 4.1.1.1). */
#ifndef PROXY_SMTP_SMTP_OFFER_H
#define PROXY_SMTP_SMTP_OFFER_H

#include "conf/conf.h"
#include "proxy/base/buf.h"

struct smtp_offer {
	const char *hostname;
	unsigned extensions;		/* bits of enum conf_extension */
	uint64_t size;			/* SIZE, octets */
	unsigned rcptmax, mailmax;	/* LIMITS (RFC 9422); 0: not said */
	uint64_t by_min;		/* DELIVERBY, seconds; 0: not said */
	const char *auth;		/* "PLAIN LOGIN" */
};

/* Appends the whole reply. */
bool smtp_offer_say(const struct smtp_offer *, struct buf *out);

#endif
