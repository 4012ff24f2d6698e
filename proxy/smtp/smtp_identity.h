/* smtp_identity.h - who the client is, as XCLIENT and XFORWARD say it (Postfix's XCLIENT_README, XFORWARD_README). */
#ifndef PROXY_SMTP_SMTP_IDENTITY_H
#define PROXY_SMTP_SMTP_IDENTITY_H

#include "proxy/smtp/smtp_backend.h"

#define IDENTITY_LINE 512	/* octets of a command, CR LF included */
#define IDENTITY_ROOM 4096	/* more than all commands that one client can need */

/* The bit of an attribute's name in an EHLO line; 0: none that we can say. */
unsigned identity_attribute(struct slice word);

/* Append as many commands of this verb as the attributes need that the server lists, ADDR in the last of them: with
 * another address the server may think otherwise of who may say XCLIENT. Values are xtext; what is not known is
 * [UNAVAILABLE]. `id` is for IDENT. Returns how many commands. */
unsigned identity_say(struct buf *out, const char *verb, unsigned attributes, const struct smtp_client *, struct slice id);

#endif
