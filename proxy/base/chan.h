/* chan.h - messages and descriptors between our processes (AF_UNIX, SOCK_SEQPACKET).
 *
 * A message arrives whole or not at all. Whoever does not expect descriptors receives without a
 * control buffer, so the other side cannot push any into it. */
#ifndef PROXY_BASE_CHAN_H
#define PROXY_BASE_CHAN_H

#include <sys/types.h>

#include "proxy/base/err.h"
#include "proxy/base/slice.h"

#define CHAN_MAX     65536	/* octets of one message */
#define CHAN_FDS_MAX 128	/* descriptors with one message */

int chan_pair(int fds[2], struct err *);		/* close-on-exec, blocking */

/* 0, or -1 with errno: EAGAIN (full, non-blocking end), EPIPE (nobody there any more). */
int chan_send(int fd, struct slice, const int *fds, size_t nfds);

/* The message's length; 0 when the other side is gone; -1 with errno, EMSGSIZE when the message
 * or its descriptors did not fit. *nfds holds the room in fds and then how many came; they
 * belong to the caller. nfds NULL: none are received. */
ssize_t chan_recv(int fd, void *msg, size_t size, int *fds, size_t *nfds);
ssize_t chan_try_recv(int fd, void *msg, size_t size, int *fds, size_t *nfds);	/* EAGAIN instead of waiting */

#endif
