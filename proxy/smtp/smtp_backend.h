/* smtp_backend.h - one session to an SMTP or LMTP server (RFC 5321, RFC 2033), from our side.
 *
 * It dials (address after address until one greets), says EHLO or LHLO, takes TLS as configured,
 * and then carries what the owner orders. Orders queue: their replies come in the same order. A
 * server that says more than it was asked, something else than SMTP, or nothing in time is
 * dropped. Whatever happens, a message that was not given whole never gets its final dot. */
#ifndef PROXY_SMTP_SMTP_BACKEND_H
#define PROXY_SMTP_SMTP_BACKEND_H

#include "proxy/backend/backend.h"
#include "proxy/net/flagged.h"
#include "proxy/smtp/smtp_reply.h"
#include "proxy/smtp/smtp_trace.h"

enum smtp_order { ORDER_MAIL, ORDER_RCPT, ORDER_DATA, ORDER_BODY };

struct smtp_backend;

struct smtp_backend_ops {
	void (*ready)(void *owner);		/* greeted: orders can be given */
	void (*reply)(void *owner, enum smtp_order, const struct smtp_reply *);
	/* The session is over; the last call. `sent`: the final dot had gone out, so the server may have the message. */
	void (*failed)(void *owner, const char *why, bool sent);
};

/* On behalf of which client a server is dialled. */
struct smtp_client {
	const struct addr *original;	/* where it was going, for a backend with address original */
	const struct addr *source;	/* its address, which the server shall see; NULL: ours */
	bool same_port;			/* its port, too */
	struct flagged *flagged;	/* sockets for that */
};

/* client NULL: nobody's, as for a health check. What it points at is looked at now only, but for the stock. */
struct smtp_backend *smtp_backend_open(struct loop *, struct backend *, const struct smtp_client *,
    const struct smtp_backend_ops *, void *owner);

const struct backend_caps *smtp_backend_caps(const struct smtp_backend *);
const struct addr *smtp_backend_addr(const struct smtp_backend *);

/* from, to: mailboxes without brackets. size 0: not told. */
void smtp_backend_mail(struct smtp_backend *, struct slice from, uint64_t size, bool eightbit);
void smtp_backend_rcpt(struct smtp_backend *, struct slice to);
void smtp_backend_data(struct smtp_backend *);

/* After the 354: our headers, then the pieces of the message, then the dot. The message and the
 * pieces must stay until the replies came; an LMTP server gives one for each of nrcpts. */
void smtp_backend_body(struct smtp_backend *, struct slice headers, struct slice message,
    const struct trace_piece *pieces, size_t npieces, unsigned nrcpts);

void smtp_backend_reset(struct smtp_backend *);		/* RSET; its reply is taken care of here */
void smtp_backend_quit(struct smtp_backend **);		/* says QUIT and ends by itself; no more calls */
void smtp_backend_drop(struct smtp_backend **);		/* closes at once; no more calls */

#endif
