/* smtp_path.h - the arguments of MAIL and RCPT (RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.2).
 *
 * What is read is kept apart and written anew; no octet of a client's command reaches a backend
 * because it stood there. Source routes are read and dropped. */
#ifndef PROXY_SMTP_SMTP_PATH_H
#define PROXY_SMTP_SMTP_PATH_H

#include "proxy/base/slice.h"

#define SMTP_LOCAL_MAX   128	/* RFC 5321 says 64; senders' return paths (VERP) are longer */
#define SMTP_DOMAIN_MAX  255
#define SMTP_MAILBOX_MAX (SMTP_LOCAL_MAX + 1 + SMTP_DOMAIN_MAX)
#define SMTP_PARAMS_MAX  16

struct smtp_path {
	char mailbox[SMTP_MAILBOX_MAX + 1];	/* without brackets; empty for <> */
	size_t local_len;			/* of the local part, quotes included */
};

struct smtp_param {
	struct slice key, value;		/* value.at is NULL without "=" */
};

enum smtp_path_result { PATH_OK, PATH_SYNTAX, PATH_LONG, PATH_UTF8 };

/* Reads "<path>" at the start of *rest and leaves what stands behind it. utf8: UTF-8 may stand in it (RFC 6531
 * section 3.3); PATH_UTF8 says that it would have to. */
enum smtp_path_result smtp_path_parse(struct slice *rest, struct smtp_path *, bool utf8);
bool smtp_path_is_utf8(const struct smtp_path *);	/* some octet is not ASCII */

/* Reads " KEY=VALUE KEY ..." (RFC 5321 section 4.1.2: esmtp-param), octets above ASCII in values too, of which nothing is
 * known (RFC 6533 section 3 has UTF-8 there). False: not of that form, or too many. */
bool smtp_params_parse(struct slice rest, struct smtp_param params[SMTP_PARAMS_MAX], size_t *n);

struct slice smtp_path_mailbox(const struct smtp_path *);
struct slice smtp_path_local(const struct smtp_path *);
struct slice smtp_path_domain(const struct smtp_path *);	/* empty for <> and <postmaster> */

/* Whether the local part carries another route: percent-hack, bang path or an "@" in quotes. A
 * server that trusts the gateway might follow it, past our own check of the domain. */
bool smtp_path_is_routed(const struct smtp_path *);

#endif
