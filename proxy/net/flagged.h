/* flagged.h - what a worker has from the dialer: sockets that may bear somebody else's address
 * (IP_TRANSPARENT, IPV6_TRANSPARENT), and connections to UNIX sockets.
 *
 * The kernel wants CAP_NET_RAW when a socket is flagged, and not again. So a process that has it (the
 * dialer) flags sockets and nothing else, and a worker, which has no rights at all, keeps a stock of them
 * and binds them to its clients' addresses. Nor can a worker reach a path: the dialer connects to those that
 * its configuration names, and to no other. */
#ifndef PROXY_NET_FLAGGED_H
#define PROXY_NET_FLAGGED_H

#include "proxy/net/conn.h"

/* Flags a socket; -1 with errno EPERM when this process may not. */
int flagged_set(int fd, int family);

/* A new TCP socket, nonblocking, flagged. */
int flagged_new(int family, struct err *);

/* What goes between a worker and the dialer: the worker asks for `count` sockets of a family, and the dialer's
 * answer carries them; or for a connection to a path, and the answer to this number carries it or says why not. */
#define FLAGGED_BATCH 64	/* sockets in one answer, and asked for at once */
#define FLAGGED_MSG   128	/* octets of a request or an answer at the most */
struct flagged_request {
	int family;		/* AF_INET, AF_INET6; AF_UNIX */
	unsigned count;		/* sockets */
	uint32_t number;	/* of the request for a path */
	struct addr path;
};
/* The dialer's side: 1 a request, 0 the worker is gone, -1 nothing now (EAGAIN), or nonsense. */
int flagged_asked(int channel, struct flagged_request *);
int flagged_answer(int channel, int family, const int *fds, unsigned count);
int flagged_answer_path(int channel, uint32_t number, int fd, int why);		/* fd -1: none, and why (errno) */

/* A worker's stock. */
struct flagged;
struct flagged *flagged_stock(struct loop *);
void flagged_free(struct flagged **);

/* From now on they come through this channel, which it takes over. `stock`: flagged sockets are to be had
 * there. A dialer that dies takes its channel along: then what is in stock is all there is, and who waits for
 * a path waits, until the next one. */
void flagged_use(struct flagged *, int channel, bool stock);

/* A socket that is connecting to `to` with the client's address as its own; with the client's port as well
 * where same_port is set and that one is free. -1; *asked: it was the way to the server that failed, not
 * our means. */
int flagged_connect(struct flagged *, const struct addr *client, bool same_port, const struct addr *to, bool *asked, struct err *);

/* A conn to a UNIX socket by way of the dialer; as conn_dial(). The caller's deadline is the only one. */
struct conn *flagged_dial(struct flagged *, const struct addr *path, bool they_begin, const struct conn_ops *, void *owner);

#endif
