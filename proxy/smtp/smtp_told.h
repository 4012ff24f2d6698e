/* smtp_told.h - what a relay in front of us tells about the client behind it: the attributes of XCLIENT and
 * XFORWARD (Postfix, XCLIENT_README and XFORWARD_README). Pure reading. */
#ifndef PROXY_SMTP_SMTP_TOLD_H
#define PROXY_SMTP_SMTP_TOLD_H

#include "proxy/base/addr.h"

#define SMTP_TOLD_MAX 255	/* octets of a value, decoded */

enum smtp_told_proto { TOLD_NO_PROTO, TOLD_SMTP, TOLD_ESMTP };

/* A text that is empty, and an address with len 0: not told, or told to be unknown. */
struct smtp_told {
	char name[SMTP_TOLD_MAX + 1];		/* the client's, by reverse DNS */
	char helo[SMTP_TOLD_MAX + 1];
	char login[SMTP_TOLD_MAX + 1];		/* XCLIENT only */
	char ident[SMTP_TOLD_MAX + 1];		/* XFORWARD only: the message's id there */
	char source[SMTP_TOLD_MAX + 1];		/* XFORWARD only: LOCAL or REMOTE */
	enum smtp_told_proto proto;
	struct addr addr, destination;		/* destination: XCLIENT only */
	bool has_addr, has_destination, has_login;	/* mentioned, if only as unknown */
	unsigned port, destination_port;
	bool has_port, has_destination_port;
};

/* Read the attributes of one command into what was told before. NULL, or the reply that refuses it; then nothing
 * has changed. */
const char *smtp_told_xclient(struct smtp_told *, struct slice args);
const char *smtp_told_xforward(struct smtp_told *, struct slice args);

#endif
