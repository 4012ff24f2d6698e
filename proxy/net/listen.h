/* listen.h - listening sockets, and taking connections from them. */
#ifndef PROXY_NET_LISTEN_H
#define PROXY_NET_LISTEN_H

#include "proxy/base/addr.h"
#include "proxy/net/loop.h"

/* Bound and listening with SO_REUSEPORT, nonblocking. Sockets that it accepts have TCP_NODELAY.
 * transparent: flagged IP_TRANSPARENT first, for connections to other machines (TPROXY); needs CAP_NET_RAW. */
int listen_open(const struct addr *, bool transparent, struct err *);

/* Whether nobody listens there yet. SO_REUSEPORT alone would let a second gateway of the same
 * user share the port in silence. */
int listen_check(const struct addr *, struct err *);

struct acceptor;

/* Takes connections from a listening descriptor, which it owns, until closed. */
struct acceptor *acceptor_new(struct loop *, int fd, void (*accepted)(void *owner, int fd, const struct addr *peer), void *owner);
void acceptor_close(struct acceptor **);

#endif
