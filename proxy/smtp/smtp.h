/* smtp.h - the SMTP front: sessions with clients, each message judged and delivered in the dialogue. */
#ifndef PROXY_SMTP_SMTP_H
#define PROXY_SMTP_SMTP_H

#include "proxy/backend/site.h"
#include "proxy/base/crowd.h"
#include "proxy/net/arrival.h"
#include "proxy/net/flagged.h"
#include "proxy/net/spool.h"
#include "proxy/scan/scan_client.h"

struct keeper;
struct smtp_pool;
struct smtp_server;
struct smtp_throttle;

/* What sessions work with; all but the pool of backends' sessions is the caller's. */
struct smtp_means {
	struct loop *loop;
	struct scan_pool *scanners;
	struct flagged *flagged;
	struct keeper *keeper;
	struct budgets *budgets;
	struct crowd *crowd;		/* clients by address, of all workers */
	struct smtp_throttle *throttle;	/* of all workers */
	unsigned slot;			/* the worker's number from 0, its row in the budgets and a part of every id */
};

struct smtp_server *smtp_server_new(const struct smtp_means *);
void smtp_server_free(struct smtp_server **);		/* only without sessions */

/* What all sessions of all workers may use together, from now on. */
void smtp_server_limits(struct smtp_server *, const struct conf *);

struct smtp_pool *smtp_server_pool(struct smtp_server *);

/* Takes a connection; the listener belongs to the site's conf. */
void smtp_accept(struct smtp_server *, struct site *, const struct conf_listener *, const struct arrival *);

/* Sessions without a transaction are told goodbye (421) now, the others when theirs ends;
 * all_gone() is called once no session is left. */
void smtp_server_drain(struct smtp_server *, void (*all_gone)(void *owner), void *owner);
unsigned smtp_server_sessions(const struct smtp_server *);

/* A health check for site_new(): connect, greeting, EHLO, QUIT. */
extern const struct backend_probe smtp_probe;

#endif
