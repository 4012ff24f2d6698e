/* pop3.h - the POP3 front (RFC 1939): sessions whose maildrop is a mailbox on an IMAP server. */
#ifndef PROXY_POP3_POP3_H
#define PROXY_POP3_POP3_H

#include "proxy/backend/site.h"
#include "proxy/base/budget.h"
#include "proxy/base/crowd.h"
#include "proxy/net/arrival.h"

struct pop3_server;

/* slot: the worker's number from 0, its row in the budgets and a part of every id. */
struct pop3_server *pop3_server_new(struct loop *, struct budgets *, struct crowd *, unsigned slot);
void pop3_server_free(struct pop3_server **);		/* only without sessions */
void pop3_server_limits(struct pop3_server *, unsigned sessions);	/* of all workers, all protocols together */

/* Takes a connection; the listener belongs to the site's conf. */
void pop3_accept(struct pop3_server *, struct site *, const struct conf_listener *, const struct arrival *);

/* Sessions that wait for a command are closed now (deleting nothing), the others when they have
 * answered; all_gone() is called once no session is left. */
void pop3_server_drain(struct pop3_server *, void (*all_gone)(void *owner), void *owner);
unsigned pop3_server_sessions(const struct pop3_server *);

#endif
