/* control.h - what master says to its workers. Explicit bytes, with descriptors beside them. */
#ifndef PROXY_PROC_CONTROL_H
#define PROXY_PROC_CONTROL_H

#include "proxy/base/chan.h"
#include "proxy/base/buf.h"

enum control_word {
	CONTROL_CONF = 1,	/* a packed configuration in a sealed memfd, then a listening socket for each
				 * address of each listener, in their order */
	CONTROL_SCANNERS,	/* number of scanners; small, large, kill */
	CONTROL_LOG,		/* kind; the log's descriptor */
	CONTROL_DRAIN,		/* finish what runs, then end */
	CONTROL_TICKETS,	/* the keys of TLS session tickets in a sealed memfd */
	CONTROL_DIALER,		/* a channel to the dialer, 1: which has flagged sockets; it gets the other ends this way */
	CONTROL_KEEPER,		/* a channel to the keeper; it gets the other ends this way, too */
	CONTROL_LIMITS,		/* to the keeper: its part of the configuration in a sealed memfd */
};

struct control_msg {
	enum control_word word;
	uint32_t number;	/* scanners, enum log_kind, or what the word says */
	int fds[CHAN_FDS_MAX];
	size_t nfds;
};

int control_send(int fd, const struct control_msg *);	/* as chan_send() */

/* 1: a message; its descriptors belong to the caller. 0: master is gone. -1: nothing now, or nonsense (logged). */
int control_recv(int fd, struct control_msg *);

/* A sealed memfd's bytes. */
int control_map(int memfd, struct slice *, struct err *);
void control_unmap(struct slice *);

#endif
