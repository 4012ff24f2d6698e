/* keeper_int.h - what the keeper's files share. */
#ifndef POLICY_KEEPER_KEEPER_INT_H
#define POLICY_KEEPER_KEEPER_INT_H

#include <sys/queue.h>

#include "policy/keeper/keeper.h"
#include "policy/keeper/ledger.h"
#include "policy/keeper/writer.h"

struct channel {		/* to a worker */
	TAILQ_ENTRY(channel) all;
	struct keeper_server *server;
	struct ev_io io;
	uint64_t serial;
};

struct ask {			/* a question that waits for what was said before it */
	struct channel *channel;	/* NULL: who asked is gone */
	uint64_t number;
	struct keeper_key key;
};

#define ASKS_MAX 1024

struct keeper_server {
	struct ev_loop *loop;
	struct keeper_hints *hints;
	struct keeper_limits limits;
	void (*hear_master)(void *owner);
	void *owner;
	struct store *store;
	struct writer *writer;
	struct table *ledger, *poison;
	struct quarantine *quarantine;
	int dir;			/* quarantine */
	struct ev_timer flush, tidy;
	bool flushing;			/* a batch of the tables is on its way */
	bool flush_failed;		/* the last one could not be written */
	TAILQ_HEAD(channel_list, channel) channels;
	size_t nchannels;
	uint64_t last_serial;		/* of channels, administrators and releases */
	struct ask asks[ASKS_MAX];
	size_t nasks;
	unsigned pending;		/* copies that wait for the disk */
	uint64_t pending_octets;
	int64_t warned;			/* when it was last logged that there is no room */
	struct ev_io accept;		/* administrators */
	LIST_HEAD(ctl_list, ctl) ctls;
	unsigned nctls;
	LIST_HEAD(release_list, release) releases;
};

int64_t keeper_now(void);		/* since the epoch, seconds */
int keeper_say(int fd, const struct keeper_msg *, const int *fds, size_t nfds);	/* as chan_send() */

/* keeper_hold.c: copies come, expire and go. */
bool keeper_take_copy(struct channel *, const struct keeper_msg *, int fds[KEEPER_FDS_MAX]);	/* false: nonsense */
void keeper_delete_held(struct keeper_server *, struct held *, uint64_t ctl, bool delivered);
void keeper_expire(struct keeper_server *);
void keeper_job_done(void *server, struct writer_job *);

/* keeper_ctl.c: what administrators order. */
int keeper_ctl_listen(struct keeper_server *, struct err *);
void keeper_ctl_end(struct keeper_server *);
void keeper_ctl_answer(struct keeper_server *, uint64_t ctl, bool yes, const char *text, const int *fds, size_t nfds);
void keeper_ctl_loaded(struct keeper_server *, struct writer_job *);
void keeper_release_ended(struct channel *, const struct keeper_msg *);
void keeper_channel_lost(struct channel *);	/* what it was to release */

/* keeper.c */
void keeper_settle_flush(struct keeper_server *);
struct channel *keeper_find_channel(struct keeper_server *, uint64_t serial);

#endif
