/* ticket.h - the keys that TLS session tickets are sealed with (RFC 5077, RFC 8446 section 4.6.1).
 *
 * Master makes them, all workers hold the same ones, so a session is taken up again by whichever worker the client
 * meets, over reloads, and by a worker's successor. After each rotation the key before the current one still opens
 * tickets. The next one does already, as workers hear of a rotation one after another. */
#ifndef PROXY_NET_TICKET_H
#define PROXY_NET_TICKET_H

#include "proxy/base/buf.h"
#include "proxy/base/err.h"

#define TICKET_NAME_LEN 16

enum ticket_age { TICKET_PREVIOUS, TICKET_CURRENT, TICKET_NEXT, TICKET_KEYS };

struct ticket_key {
	unsigned char name[TICKET_NAME_LEN];	/* stands in the ticket */
	unsigned char cipher[32];		/* AES-256-CBC */
	unsigned char mac[32];			/* HMAC-SHA256 */
};

struct ticket_keys {
	struct ticket_key key[TICKET_KEYS];
};

int ticket_keys_make(struct ticket_keys *, struct err *);	/* all anew */
int ticket_keys_rotate(struct ticket_keys *, struct err *);	/* the previous one is forgotten; -1: nothing has changed */
void ticket_keys_wipe(struct ticket_keys *);

/* The key of this name; TICKET_KEYS when there is none (any more). */
enum ticket_age ticket_key_find(const struct ticket_keys *, const unsigned char name[TICKET_NAME_LEN]);

bool ticket_keys_put(const struct ticket_keys *, struct buf *);	/* for another process; the buf is to be a secret one */
bool ticket_keys_get(struct ticket_keys *, struct slice);	/* false: nonsense, nothing has changed */

#endif
