/* flagged.h - sockets that may bear somebody else's address (IP_TRANSPARENT, IPV6_TRANSPARENT).
 *
 * The kernel wants CAP_NET_RAW when a socket is flagged, and not again. So a process that has it (the
 * dialer) flags sockets and nothing else, and a worker, which has no rights at all, keeps a stock of them
 * and binds them to its clients' addresses. */
#ifndef PROXY_NET_FLAGGED_H
#define PROXY_NET_FLAGGED_H

#include "proxy/base/addr.h"
#include "proxy/net/loop.h"

/* Flags a socket; -1 with errno EPERM when this process may not. */
int flagged_set(int fd, int family);

/* A new TCP socket, nonblocking, flagged. */
int flagged_new(int family, struct err *);

/* What goes between a worker and the dialer: the worker asks for `count` sockets of a family, and the
 * dialer's answer carries them. */
#define FLAGGED_BATCH 64	/* sockets in one answer, and asked for at once */
#define FLAGGED_MSG   2		/* octets: 4 or 6; how many */
bool flagged_ask(int channel, int family, unsigned count);
/* The dialer's side: 1 a request, 0 the worker is gone, -1 nothing now (EAGAIN), or nonsense. */
int flagged_asked(int channel, int *family, unsigned *count);
int flagged_answer(int channel, int family, const int *fds, unsigned count);

/* A worker's stock. */
struct flagged;
struct flagged *flagged_stock(struct loop *);
void flagged_free(struct flagged **);

/* From now on they come through this channel, which it takes over. A dialer that dies takes its channel
 * along: then what is in stock is all there is, until the next one. */
void flagged_use(struct flagged *, int channel);

/* A socket that is connecting to `to` with the client's address as its own; with the client's port as well
 * where same_port is set and that one is free. -1; *asked: it was the way to the server that failed, not
 * our means. */
int flagged_connect(struct flagged *, const struct addr *client, bool same_port, const struct addr *to, bool *asked, struct err *);

#endif
