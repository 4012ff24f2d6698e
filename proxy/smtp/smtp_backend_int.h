/* smtp_backend_int.h - what the files of a session to a server share: the session itself.
 *
 * smtp_backend.c dials, greets and ends; smtp_orders.c carries orders and their replies; smtp_send.c gives a
 * message; smtp_pool.c lends sessions and keeps their wires in between. */
#ifndef PROXY_SMTP_SMTP_BACKEND_INT_H
#define PROXY_SMTP_SMTP_BACKEND_INT_H

#include "proxy/net/conn.h"
#include "proxy/net/dot.h"
#include "proxy/net/line.h"
#include "proxy/smtp/smtp_backend.h"

#define ORDERS_ROOM (2 * SMTP_ORDERS_MAX)	/* the owner's, and ours between them */
#define WORDS_MAX   262144			/* octets of orders that wait */

enum phase {
	PHASE_SLOT,		/* max-sessions are in use: it has not begun */
	PHASE_DIAL,
	PHASE_GREETING,
	PHASE_EHLO,
	PHASE_STARTTLS,
	PHASE_TLS,
	PHASE_EHLO_TLS,
	PHASE_XCLIENT,
	PHASE_EHLO_XCLIENT,
	PHASE_AUTH,
	PHASE_READY,		/* orders run */
	PHASE_BODY,		/* the message goes out */
	PHASE_OVER,		/* only the owner has not heard yet */
};

/* Ours: the owner hears nothing of them. */
enum { ORDER_RSET = ORDER_BODY + 1, ORDER_XFORWARD };

struct smtp_order_row {
	uint32_t len;			/* octets of its words that `words` still holds */
	uint8_t what;
};

/* What belongs to one connection, and goes with it when another client gets it. */
struct smtp_wire {
	struct conn *conn;
	unsigned place;			/* of the backend's addresses */
	struct addr addr;
	struct backend_caps caps;
	struct line_reader lines;
	double opened;			/* loop_now() */
	unsigned messages, refused;	/* so far; senders and recipients, since a recipient was taken */
	bool helo;			/* EHLO was refused: HELO, with no extensions */
	bool clean;			/* the last that it heard was RSET: a MAIL needs none in front */
	bool worn;			/* it said 421, or refused a message: nobody gets it again */
};

struct smtp_backend {
	struct loop *loop;
	struct backend *backend;
	const struct smtp_backend_ops *ops;
	void *owner;
	enum phase phase;
	struct smtp_wire wire;
	uint64_t tried;				/* places tried so far, a bit each */
	char trouble[160];			/* why the last address did not do */
	struct backend_waiter names;		/* for their addresses */
	struct timer deadline;
	/* The client. */
	bool probe;				/* nobody's: a health check */
	bool own;
	struct smtp_client client;		/* what it points at is in these: */
	struct addr original, source;
	char *helo, *login, *id;
	struct buf xclient;			/* the commands that were not said yet */
	/* Orders, in order: of norders the first nsent are with the server. */
	struct smtp_order_row orders[ORDERS_ROOM];
	unsigned norders, nsent;
	struct buf words;			/* of those not sent, and behind `said` octets of sent ones while it is fresh */
	size_t said;
	bool early;				/* the server had said more when it was asked this */
	bool reset_due;				/* RSET goes in front of the next MAIL */
	bool announced;				/* ready() was called */
	bool fresh;				/* the wire was kept, and no answer has come yet: it may be gone */
	bool replay;				/* another one is got for it; old_caps are those of the first */
	struct backend_caps old_caps;
	struct smtp_reply reply;
	unsigned body_replies;			/* still to come */
	/* The message while it goes out. */
	struct smtp_message message;
	size_t piece, piece_done;
	bool by_bdat;
	struct dot_writer dot;
	bool ended;				/* its last octet is on its way */
	bool out;				/* and written: the server may have it */
	uint64_t taken, left;			/* octets that the server has taken, and has not, at the last look */
	/* The pool's. */
	struct smtp_pool *pool;			/* NULL: a session without one */
	bool slot;				/* it is counted against max-sessions */
	bool kept;				/* idle there, nobody's */
	double kept_since;			/* loop_now() */
	struct smtp_backend *next, **prev;	/* in a list of the pool's; prev NULL: in none */
	struct loop_task tell_ready;
};

/* smtp_backend.c */
struct smtp_backend *smtp_backend_new(struct loop *, struct backend *, const struct smtp_client *,
    const struct smtp_backend_ops *, void *owner);			/* dials not yet */
void smtp_backend_dial(struct smtp_backend *);
/* The wire is of no use: another address is tried, a kept one is replaced, or the session ends. */
void smtp_backend_trouble(struct smtp_backend *, const char *why);
void smtp_backend_fail_soon(struct smtp_backend *, const char *why);	/* it ends, but not inside the owner's own call */
void smtp_backend_say_why(struct smtp_backend *);			/* trouble in the words of the reply */
void smtp_backend_take_wire(struct smtp_backend *, struct smtp_backend *kept);	/* and what is left of kept goes */

/* smtp_orders.c */
void smtp_orders_answered(struct smtp_backend *);	/* reply: the oldest order's */
void smtp_orders_flush(struct smtp_backend *);		/* says what may be said now */
void smtp_orders_replay(struct smtp_backend *);		/* on a new wire: what was said on the old one, too */
void smtp_orders_push(struct smtp_backend *, int what, size_t len);	/* its len octets were put into `words` */

/* smtp_send.c */
void smtp_send_begin(struct smtp_backend *);		/* 354 came, or BDAT is said */
void smtp_send_on(struct smtp_backend *);		/* what was given is written */
bool smtp_send_progress(struct smtp_backend *);		/* the server has taken some since it was asked last */

/* smtp_pool.c */
void smtp_pool_forget(struct smtp_backend *);		/* it ends */
void smtp_pool_rested(struct smtp_backend *);		/* RSET was answered: if it is a kept one it can be used now */

#endif
