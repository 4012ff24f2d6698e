/* smtp_ehlo.h - what an EHLO reply offers, and what ours does (RFC 5321 section 4.1.1.1). */
#ifndef PROXY_SMTP_SMTP_EHLO_H
#define PROXY_SMTP_SMTP_EHLO_H

#include "proxy/backend/backend.h"
#include "proxy/smtp/smtp_reply.h"

/* Reads a backend's EHLO or LHLO reply. */
void smtp_ehlo_read(const struct smtp_reply *, struct backend_caps *);

struct smtp_offer {
	const char *hostname;
	uint64_t size;			/* SIZE, octets */
	bool eightbit, starttls;
};

/* Appends our reply to EHLO. */
bool smtp_ehlo_say(const struct smtp_offer *, struct buf *out);

#endif
