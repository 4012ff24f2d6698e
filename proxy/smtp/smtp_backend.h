/* smtp_backend.h - one session to an SMTP or LMTP server (RFC 5321, RFC 2033), from our side.
 *
 * It dials (address after address until one greets), says EHLO or LHLO, takes TLS as configured, tells
 * who the client is, and then carries what the owner orders. Orders queue: their replies come in the
 * same order. A server that says more than it was asked, something else than SMTP, or nothing in time
 * is dropped. Whatever happens, a message that was not given whole never gets its final dot.
 *
 * Sessions come from smtp_pool.h, which keeps those that are fit for another client. One that was kept
 * and turns out to be gone at its first transaction is replaced by a new one; the owner hears nothing. */
#ifndef PROXY_SMTP_SMTP_BACKEND_H
#define PROXY_SMTP_SMTP_BACKEND_H

#include "proxy/backend/backend.h"
#include "proxy/net/flagged.h"
#include "proxy/smtp/smtp_envelope.h"
#include "proxy/smtp/smtp_reply.h"
#include "proxy/smtp/smtp_trace.h"

enum smtp_order {
	ORDER_AUTH,		/* AUTH and what follows it: 334 is an answer, too */
	ORDER_TEXT,		/* VRFY, EXPN, ETRN */
	ORDER_MAIL,
	ORDER_RCPT,
	ORDER_DATA,		/* what was said to DATA, when it was not 354: the message was not taken */
	ORDER_BODY,		/* what was said to the message; LMTP: once for each recipient */
};

struct smtp_backend;

struct smtp_backend_ops {
	void (*ready)(void *owner);		/* greeted: orders can be given */
	void (*reply)(void *owner, enum smtp_order, const struct smtp_reply *);
	/* The session is over; the last call. `sent`: all of the message had gone out, so the server may have it. */
	void (*failed)(void *owner, const char *why, bool sent);
};

/* On behalf of which client a server is spoken to. */
struct smtp_client {
	const struct addr *original;	/* where it was going, for a backend with address original */
	const struct addr *source;	/* its address, which the server shall see; NULL: ours */
	bool same_port;			/* its port, too */
	struct flagged *flagged;	/* sockets for that */
	/* What PROXY, XCLIENT and XFORWARD tell; len 0 and empty: not known. */
	struct addr peer;		/* the client */
	struct addr local;		/* where it connected to */
	struct slice helo;
	bool esmtp;
	struct slice login;		/* who it has authenticated as with us (EXTERNAL); empty: nobody */
	struct slice id;		/* our id, for XFORWARD's IDENT */
	bool own;			/* the session will be this client's alone (it will authenticate): never kept for others */
};

/* client NULL: nobody's, as for a health check. What it points at is copied, but for the stock. */
struct smtp_backend *smtp_backend_open(struct loop *, struct backend *, const struct smtp_client *,
    const struct smtp_backend_ops *, void *owner);

const struct backend_caps *smtp_backend_caps(const struct smtp_backend *);
const struct addr *smtp_backend_addr(const struct smtp_backend *);

/* AUTH MECHANISM [INITIAL-RESPONSE], and each further line of the client's; the caller has bounded them (RFC 4954
 * section 4). They are wiped once written. */
void smtp_backend_auth(struct smtp_backend *, struct slice mechanism, struct slice initial);
void smtp_backend_auth_more(struct smtp_backend *, struct slice line);

/* A command with one answer. */
void smtp_backend_text(struct smtp_backend *, const char *verb, struct slice args);

/* `id` is the message's (for XFORWARD IDENT). Extensions that the server has not got are left away. */
void smtp_backend_mail(struct smtp_backend *, const struct smtp_mail *, struct slice id);
void smtp_backend_rcpt(struct smtp_backend *, const struct smtp_to *);

/* A whole message: our headers, then the pieces of the message. It goes out by BDAT where the server has it and
 * the configuration allows, else by DATA. All of it must stay until the replies came, or failed(), or the session was
 * given back or dropped. It waits for the replies to MAIL and RCPT; send it when they were what was hoped for. */
struct smtp_message {
	struct slice headers, message;
	const struct trace_piece *pieces;
	size_t npieces;
	unsigned nrcpts;		/* accepted ones: an LMTP server answers for each */
	bool binary;			/* BODY=BINARYMIME: by BDAT or not at all */
};
void smtp_backend_send(struct smtp_backend *, const struct smtp_message *);

/* How many orders may be outstanding at once; RCPT beyond that have to wait for replies. */
#define SMTP_ORDERS_MAX 128
unsigned smtp_backend_outstanding(const struct smtp_backend *);
bool smtp_backend_pipelines(const struct smtp_backend *);

void smtp_backend_reset(struct smtp_backend *);		/* RSET; its reply is taken care of here */
void smtp_backend_quit(struct smtp_backend **);		/* says QUIT and ends by itself; no more calls */
void smtp_backend_drop(struct smtp_backend **);		/* closes at once; no more calls */

#endif
