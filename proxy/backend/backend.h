/* backend.h - the servers behind us: their addresses, which of them answer, what they can do.
 *
 * No protocol is spoken here. Whoever opens a session asks for the next address to try and says
 * how it went; a probe looks at each now and then. Names are asked for in the DNS at once and again when
 * the answer's time is over; what was known stays while the DNS does not answer. */
#ifndef PROXY_BACKEND_BACKEND_H
#define PROXY_BACKEND_BACKEND_H

#include "conf/conf.h"
#include "proxy/base/budget.h"
#include "proxy/net/conn.h"
#include "proxy/net/flagged.h"
#include "proxy/net/resolver.h"

struct backend_caps {		/* of SMTP and LMTP servers */
	unsigned extensions;	/* bits of enum conf_extension: what the last EHLO or LHLO offered */
	unsigned mechanisms;	/* of AUTH: bits of enum conf_mechanism */
	uint64_t size;		/* octets; 0: not limited */
	uint64_t by_min;	/* DELIVERBY's smallest value in seconds; 0: none told */
	unsigned xclient, xforward;	/* bits of enum backend_attribute that it takes */
	uint64_t rcptmax, mailmax;	/* LIMITS (RFC 9422); 0: not said */
	bool tls;		/* it was offered inside TLS */
};

enum backend_attribute {	/* of XCLIENT and XFORWARD */
	ATTRIBUTE_NAME = 1, ATTRIBUTE_ADDR = 2, ATTRIBUTE_PORT = 4, ATTRIBUTE_PROTO = 8, ATTRIBUTE_HELO = 16,
	ATTRIBUTE_LOGIN = 32, ATTRIBUTE_DESTADDR = 64, ATTRIBUTE_DESTPORT = 128, ATTRIBUTE_IDENT = 256, ATTRIBUTE_SOURCE = 512,
};

struct backend;

/* A health check, which the protocol's own floor supplies: start() begins one and says how it went
 * through backend_worked() and backend_failed(); cancel() ends one that still runs. */
struct backend_probe {
	void (*start)(struct backend *);
	void (*cancel)(struct backend *);
};

/* What a backend has from its worker. A NULL: there is no such thing (in tests), and what needs it fails. */
struct backend_means {
	struct resolver *resolver;
	struct flagged *flagged;	/* NULL: UNIX sockets are connected to in this process */
	struct budgets *budgets;	/* NULL: the worker counts its own sessions only */
	unsigned slot;			/* the worker's row there */
};

#define BACKEND_ADDRESSES_MAX 64

/* Who waits for a backend's names to be resolved. It stands in its owner's struct. */
struct backend_waiter {
	void (*known)(void *owner);
	void *owner;
	struct backend_waiter *next;
	struct backend *waits_for;	/* NULL: not waiting */
};

struct backend {
	const struct conf_backend *conf;
	struct tls_ctx *tls;		/* NULL: never */
	struct backend_caps caps;	/* of the last one that greeted us */
	bool caps_known;
	struct backend_place *places;	/* one for each address, and for those that were */
	unsigned nplaces;
	int64_t *shares;		/* of each word of "address": see pick_word() */
	bool weighted;
	struct backend_name *names;	/* those of these words that are names */
	size_t nnames;
	struct backend_waiter *waiters;
	struct backend_means means;
	struct loop *loop;
	const char *hostname;		/* what we call ourselves there */
	unsigned told;			/* what was complained about already: BACKEND_TOLD_ bits */
	unsigned nkept;			/* idle sessions to it that somebody keeps, */
	void *keeper;			/* who, while there are any, */
	void (*let_go)(void *keeper, struct backend *);	/* and how they end before this goes */
	double down_since;		/* all of them; 0: not so */
	unsigned failures;		/* so far */
	unsigned dice;
	unsigned sessions;		/* that were begun here */
	struct timer check;
	int checked;			/* the place that the probe which begins just now shall look at; -1: none */
	const struct backend_probe *probe;
	void *probing;			/* the probe's own; NULL while none runs */
};

enum { BACKEND_TOLD_XCLIENT = 1, BACKEND_TOLD_XFORWARD = 2 };

struct backend *backend_new(struct loop *, const struct conf_backend *, const char *hostname,
    const struct backend_probe *, const struct backend_means *, struct err *);
void backend_free(struct backend **);

/* A backend with address original has no addresses here and is never up or down: the client knows where it is. */

/* The next address to try, none whose bit stands in `tried`: those that answered last time first, then those
 * that did not. Among them as they were written; where there are weights, by turns that add up to them (each
 * call is a turn). A name's are in the order of the DNS's answer; a domain's by preference, equals by chance.
 * NULL: none left. *place names it for the calls below, and nothing else for as long as an attempt can last
 * (ten minutes at least), also when the DNS does not name it any more; the address is to be copied. */
const struct addr *backend_address(struct backend *, uint64_t tried, unsigned *place);
void backend_worked(struct backend *, unsigned place, const struct backend_caps *);
void backend_failed(struct backend *, unsigned place, const char *why);

/* Connects to a place, TCP or UNIX alike; as conn_dial(). */
struct conn *backend_dial(struct backend *, unsigned place, bool they_begin, const struct conn_ops *, void *owner, struct err *);

/* The name that the certificate there must bear, and that is asked for by SNI: tls-name, else the host that was
 * written (or that the MX record named). NULL: none is known. */
const char *backend_name(const struct backend *, unsigned place);

/* No address is known, but the DNS was asked and has yet to answer or fail. Whoever waits hears known() once,
 * not inside these calls, and then asks for an address; it sets its own deadline (connect-timeout). */
bool backend_pending(const struct backend *);
void backend_await(struct backend *, struct backend_waiter *);
void backend_await_no_more(struct backend_waiter *);	/* also when it does not wait */

/* What it can do is what another one of the same name could, until it has said so itself. */
void backend_inherit(struct backend *, const struct backend *);
bool backend_was_asked(const struct backend *);	/* once at least: it has answered, or failed */

/* At least one address is not known to be down, or none is known yet. */
bool backend_is_up(const struct backend *);

/* All addresses have been down (or unknown) for longer than its grace time. */
bool backend_is_lost(const struct backend *);

/* Why the last attempt failed of those whose address is still down, or why the DNS names none; never NULL. */
const char *backend_trouble(const struct backend *);

/* One session more of the max-sessions that all workers may have there together: false when these are in use. Each
 * that was begun is ended once. Address original knows no limit. (Beyond the BUDGET_BACKENDS_MAX first backends of a configuration each worker
 * counts for itself.) */
bool backend_session_begin(struct backend *);
void backend_session_end(struct backend *);

#endif
