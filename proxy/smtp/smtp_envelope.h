/* smtp_envelope.h - what MAIL and RCPT say, read into structs and written anew for a server.
 *
 * The parameters of SIZE (RFC 1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN (3461), BINARYMIME (3030),
 * AUTH= (4954), DELIVERBY (2852), REQUIRETLS (8689) and PRDR. What a struct says goes to a server that
 * has the extension; whether one lacks something is asked beforehand. */
#ifndef PROXY_SMTP_SMTP_ENVELOPE_H
#define PROXY_SMTP_SMTP_ENVELOPE_H

#include "proxy/backend/backend.h"
#include "proxy/smtp/smtp_path.h"

#define SMTP_ENVID_MAX 100	/* RFC 3461 section 4.4, as xtext */
#define SMTP_ORCPT_MAX 500	/* section 4.2, type and xtext */
#define SMTP_AUTH_MAX  500	/* RFC 4954 section 5, as xtext */
#define SMTP_MAIL_MAX  1400	/* octets of a MAIL with all that can be said in it, CR LF included */
#define SMTP_RCPT_MAX  1024	/* the same of RCPT */

#define SMTP_HEADERS_ALLOWANCE 4096	/* octets that our own header fields may add to a message */

enum smtp_body { BODY_UNSAID, BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };
enum smtp_ret { RET_UNSAID, RET_FULL, RET_HDRS };
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };	/* 0: unsaid */

struct smtp_mail {
	struct smtp_path from;
	uint64_t size;			/* octets; 0: not said */
	enum smtp_body body;
	bool utf8, requiretls, prdr;
	enum smtp_ret ret;
	char envid[SMTP_ENVID_MAX + 1];	/* xtext; empty: not said */
	char auth[SMTP_AUTH_MAX + 1];	/* xtext or "<>"; empty: not said */
	bool by;			/* DELIVERBY */
	int64_t by_seconds;
	char by_mode[3];		/* "R", "N", "RT", "NT" */
};

struct smtp_to {
	struct smtp_path to;
	unsigned notify;
	char *orcpt;			/* "rfc822;xtext"; NULL: not said */
};

/* What these hold; the structs are the caller's. */
void smtp_to_free(struct smtp_to *);
void smtp_tos_free(struct smtp_to **, size_t n);	/* and the array */

/* Read "FROM:<...> ..." and "TO:<...> ...". offered: bits of enum conf_extension that this client was
 * offered (0 after HELO). NULL when all is well, else the reply. */
const char *smtp_mail_read(struct smtp_mail *, struct slice args, unsigned offered);
const char *smtp_to_read(struct smtp_to *, struct slice args, unsigned offered, bool utf8);

/* The extensions without which a server cannot be given this envelope (bits of enum conf_extension). */
unsigned smtp_mail_needs(const struct smtp_mail *);
unsigned smtp_to_needs(const struct smtp_to *);

/* An envelope as explicit bytes, to be kept with a message that is held, and back. False: too big, or nonsense. */
bool smtp_envelope_pack(const struct smtp_mail *, const struct smtp_to *, size_t n, struct buf *);
bool smtp_envelope_unpack(struct slice, struct smtp_mail *, struct smtp_to **, size_t *n);

/* Append "MAIL FROM:<...> ..." and "RCPT TO:<...> ..." with CR LF, for a server with these capabilities. */
bool smtp_mail_say(const struct smtp_mail *, const struct backend_caps *, struct buf *);
bool smtp_to_say(const struct smtp_to *, const struct backend_caps *, struct buf *);

/* "PIPELINING" for its bit, as EHLO says it; NULL for none. And the bit for a word, 0 for none. */
const char *smtp_extension_name(unsigned bit);
unsigned smtp_extension_bit(struct slice word);

#endif
