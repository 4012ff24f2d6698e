/* site.h - one configuration at work in a worker: its backends and TLS contexts.
 *
 * A reload makes a new site; sessions keep the one that they began with until they end. */
#ifndef PROXY_BACKEND_SITE_H
#define PROXY_BACKEND_SITE_H

#include "proxy/backend/backend.h"

struct site {
	unsigned refs;
	struct conf *conf;
	struct backend **backends;	/* in the order of conf->backends */
	struct tls_ctx **tls;		/* in the order of conf->listeners; NULL where there is none */
	struct resolver *resolver;	/* NULL: no backend has a name for an address */
	struct loop *loop;
};

/* What it has from its worker, which outlives it. */
struct site_means {
	struct flagged *flagged;
	const struct ticket_keys *tickets;	/* of TLS sessions */
	struct budgets *budgets;
	unsigned slot;			/* the worker's row in the budgets */
};

/* Takes its own reference to the conf. probe_for() names the health check for a backend's protocol. */
struct site *site_new(struct loop *, struct conf *, const struct backend_probe *(*probe_for)(const struct conf_backend *),
    const struct site_means *, struct err *);
/* What is known of the servers of an old site counts for the same ones of a new one, until they are asked again: a
 * reload must not take extensions away from those who connect meanwhile. */
void site_inherit(struct site *, const struct site *old);
/* Whether each backend was asked once, with whatever outcome. */
bool site_is_known(const struct site *);
struct site *site_ref(struct site *);
void site_unref(struct site **);

struct backend *site_backend(const struct site *, const struct conf_backend *);
struct tls_ctx *site_tls(const struct site *, const struct conf_listener *);

#endif
