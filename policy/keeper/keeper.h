/* keeper.h - the keeper's process: what workers tell and ask, what administrators order.
 *
 * It answers from memory and never waits for the disk; that its writer's thread does (writer.h). All its files are
 * in the working directory. It knows no mail: a message is a descriptor, its envelope bytes. */
#ifndef POLICY_KEEPER_KEEPER_H
#define POLICY_KEEPER_KEEPER_H

#include <ev.h>

#include "policy/keeper/keeper_hints.h"
#include "policy/keeper/quarantine.h"

struct keeper_server;

struct keeper_limits {
	struct quarantine_limits quarantine;
	uint32_t generation;		/* of the configuration; for ctl status */
};

/* Opens the store, removes what was half written, fills memory and hints, and listens for administrators. */
struct keeper_server *keeper_server_new(struct ev_loop *, struct keeper_hints *, const struct keeper_limits *, struct err *);
/* hear() reads all that master has said by now. It is called before a question is answered: there may be a channel
 * among it in which somebody has told the answer. */
void keeper_server_master(struct keeper_server *, void (*hear)(void *owner), void *owner);
void keeper_server_limits(struct keeper_server *, const struct keeper_limits *);
void keeper_server_channel(struct keeper_server *, int fd);	/* a worker's; taken over */
void keeper_server_end(struct keeper_server **);	/* hears what is still said, writes everything */

#define KEEPER_CONTROL "control"	/* the administrators' socket in state-dir */

bool keeper_limits_put(struct buf *, const struct keeper_limits *);
bool keeper_limits_get(struct slice, struct keeper_limits *);

#endif
