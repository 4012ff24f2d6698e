/* arrival.h - a connection between accept() and its session: whose is it?
 *
 * Mostly the peer's. But behind a proxy that is trusted it is the client's whom the PROXY header names, and
 * that header is waited for before anything else is done, TLS included. */
#ifndef PROXY_NET_ARRIVAL_H
#define PROXY_NET_ARRIVAL_H

#include "proxy/base/addr.h"
#include "proxy/net/loop.h"
#include "proxy/net/proxyproto_read.h"

#define ARRIVAL_WAIT 5.0	/* seconds for a PROXY header, at the most */

struct arrival {
	int fd;
	struct addr client;	/* whom rules, limits and logs mean */
	struct addr peer;	/* the other end of the socket: the client, or a proxy */
	struct addr local;	/* where the client connected to */
	struct addr original;	/* where it was going when it was taken over; len 0: to us */
	bool probe;		/* the proxy comes on its own behalf: nothing that anybody wants to read of */
};

/* One without a header. */
void arrival_of(struct arrival *, int fd, const struct addr *peer);

struct arrival_wait;

/* Reads the header, and not an octet more. done() is called once, later: with the arrival, whose descriptor is
 * then the caller's; or with NULL when the descriptor was closed, and why: NULL when nothing at all came, as when
 * a balancer looks whether somebody listens. */
struct arrival_wait *arrival_wait(struct loop *, int fd, const struct addr *peer, double seconds,
    void (*done)(void *owner, const struct arrival *, const char *why), void *owner);
void arrival_wait_close(struct arrival_wait **);	/* with the descriptor; done() is not called */

#endif
