/* smtp.h - the SMTP front: sessions with clients, each message judged and delivered in the dialogue. */
#ifndef PROXY_SMTP_SMTP_H
#define PROXY_SMTP_SMTP_H

#include "proxy/backend/site.h"
#include "proxy/net/flagged.h"
#include "proxy/net/spool.h"
#include "proxy/scan/scan_client.h"

struct smtp_server;

/* slot: the worker's number from 0, its row in the budgets and a part of every id. Pool and stock are the caller's. */
struct smtp_server *smtp_server_new(struct loop *, struct scan_pool *, struct flagged *, struct budgets *, unsigned slot);
void smtp_server_free(struct smtp_server **);		/* only without sessions */

/* What all sessions of all workers may use together, from now on. */
void smtp_server_limits(struct smtp_server *, unsigned sessions, uint64_t spool_memory);

/* Takes a connection; the listener belongs to the site's conf. original: where the client was going when it
 * was taken over; empty (len 0) for a listener with mode plain. */
void smtp_accept(struct smtp_server *, struct site *, const struct conf_listener *, int fd, const struct addr *peer,
    const struct addr *original);

/* Sessions without a transaction are told goodbye (421) now, the others when theirs ends;
 * all_gone() is called once no session is left. */
void smtp_server_drain(struct smtp_server *, void (*all_gone)(void *owner), void *owner);
unsigned smtp_server_sessions(const struct smtp_server *);

/* A health check for site_new(): connect, greeting, EHLO, QUIT. */
extern const struct backend_probe smtp_probe;

#endif
