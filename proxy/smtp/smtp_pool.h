/* smtp_pool.h - a worker's sessions to backends: borrowed for transactions, kept in between.
 *
 * A session serves another client only when the server cannot tell: nothing of the client before is left
 * in it (RSET goes in front of the next MAIL), and it was told no other client's name (XCLIENT, PROXY, AUTH,
 * a source address: those are never kept). It is let go after a 421, a message that was refused or broken off (what
 * state it is in then differs between servers), 10 refused recipients in a row, its age, or its number of messages
 * (the server's own LIMITS MAILMAX counts, too). All workers together open no more than the backend's max-sessions;
 * who finds none free waits up to session-wait, first come first served in each worker. Idle ones that cannot be used
 * give way at once, those of other workers within a second. */
#ifndef PROXY_SMTP_SMTP_POOL_H
#define PROXY_SMTP_SMTP_POOL_H

#include "proxy/smtp/smtp_backend.h"

struct smtp_pool;

struct smtp_pool *smtp_pool_new(struct loop *);
void smtp_pool_free(struct smtp_pool **);		/* idle ones hear QUIT; when no borrowed one is left */
/* Lets idle ones go: of one backend, or of all (NULL). A backend that goes does so by itself. */
void smtp_pool_retire(struct smtp_pool *, const struct backend *);

/* As smtp_backend_open(): a kept one (ready() is called at the end of this turn), a new one, or one that
 * begins to dial when there is room. */
struct smtp_backend *smtp_pool_take(struct smtp_pool *, struct backend *, const struct smtp_client *,
    const struct smtp_backend_ops *, void *owner);

/* The owner's transaction is over and it needs the session no more: kept if it is fit for others, else QUIT.
 * `clean`: no transaction is open in it (none was begun, or the server has answered the whole message, or RSET
 * was ordered). */
void smtp_pool_give(struct smtp_pool *, struct smtp_backend **, bool clean);

/* Neither worn nor too old, nor at the end of what the server takes in one session: it may serve another transaction. */
bool smtp_pool_is_good(const struct smtp_backend *);

/* All of max-sessions are in use, and somebody waits or may: who needs his session no more shall not keep it. */
bool smtp_pool_is_wanted(const struct smtp_pool *, struct backend *);

#endif
