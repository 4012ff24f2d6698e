/* backend.h - the servers behind us: their addresses, which of them answer, what they can do.
 *
 * No protocol is spoken here. Whoever opens a session asks for the next address to try and says
 * how it went; a probe looks now and then. */
#ifndef PROXY_BACKEND_BACKEND_H
#define PROXY_BACKEND_BACKEND_H

#include "conf/conf.h"
#include "proxy/net/loop.h"
#include "proxy/net/tls.h"

struct backend_caps {		/* of SMTP and LMTP servers */
	bool pipelining, eightbit, starttls, has_size;
	uint64_t size;		/* octets; 0: not limited */
};

struct backend;

/* A health check, which the protocol's own floor supplies: start() begins one and says how it went
 * through backend_worked() and backend_failed(); cancel() ends one that still runs. */
struct backend_probe {
	void (*start)(struct backend *);
	void (*cancel)(struct backend *);
};

struct backend {
	const struct conf_backend *conf;
	struct tls_ctx *tls;		/* NULL: never */
	struct backend_caps caps;	/* of the last one that greeted us */
	bool caps_known;
	struct backend_place *places;	/* one for each address */
	struct loop *loop;
	const char *hostname;		/* what we call ourselves there */
	double down_since;		/* all of them; 0: not so */
	unsigned failures;		/* so far */
	struct timer check;
	const struct backend_probe *probe;
	void *probing;			/* the probe's own; NULL while none runs */
};

struct backend *backend_new(struct loop *, const struct conf_backend *, const char *hostname,
    const struct backend_probe *, struct err *);
void backend_free(struct backend **);

#define BACKEND_ADDRESSES_MAX 64

/* A backend with address original has no addresses here and is never up or down: the client knows where it is. */

/* The next address to try: those that answered last time first, then those that did not; none
 * whose bit stands in `tried`. NULL: none left. *place names it for the calls below. */
const struct addr *backend_address(const struct backend *, uint64_t tried, unsigned *place);
void backend_worked(struct backend *, unsigned place, const struct backend_caps *);
void backend_failed(struct backend *, unsigned place, const char *why);

/* All addresses have been down for longer than its grace time. */
bool backend_is_lost(const struct backend *);

/* Why the last attempt failed of those whose address is still down; never NULL. */
const char *backend_trouble(const struct backend *);

#endif
