/* keeper_client.h - a worker's way to the keeper: quarantine, commit ledger, poison memory.
 *
 * The keeper answers from memory; every question has a deadline here (250 ms, putting a message into
 * quarantine 30 s) and its own answer when it passes: the ledger "nothing known", poison 0, quarantine "not held".
 * Nothing is asked needlessly: a page that all workers share tells which keys the keeper cannot know. */
#ifndef POLICY_KEEPER_KEEPER_CLIENT_H
#define POLICY_KEEPER_KEEPER_CLIENT_H

#include "policy/keeper/keeper_wire.h"
#include "proxy/net/loop.h"

struct keeper;
struct keeper_ticket;		/* a question that runs */

struct keeper *keeper_client_new(struct loop *, struct keeper_hints *);
void keeper_client_free(struct keeper **);
void keeper_client_use(struct keeper *, int channel);	/* from now on; taken over. A keeper that dies closes it */
void keeper_client_ledger(struct keeper *, bool on);	/* off: nothing is told or known */
void keeper_cancel(struct keeper_ticket **);		/* no answer will come */

/* Quarantine. On disk and synced before held() says so; what the copy points at may go when this returns. */
struct keeper_ticket *keeper_hold(struct keeper *, const struct keeper_copy *,
    void (*held)(void *owner, const char *id, const char *why_not), void *owner);	/* id NULL: not held */

/* The ledger (keeper_wire.h has what stands in it). */
bool keeper_ledger_may_know(const struct keeper *, const struct keeper_key *);
struct keeper_ticket *keeper_ledger_ask(struct keeper *, const struct keeper_key *,
    void (*known)(void *owner, const struct keeper_commit *), void *owner);	/* NULL: nothing known */
/* Said before the client's 250 is written; outlives this worker. Recipients add to what stands there. False: the
 * keeper cannot be told now; it is tried again, and lost if this worker dies meanwhile. */
bool keeper_ledger_commit(struct keeper *, const struct keeper_key *, const struct keeper_commit *);
void keeper_ledger_heard(struct keeper *, const struct keeper_key *);	/* the client has its answer: the entry goes */

/* Poison: how often this content has broken a scanner. Keys are digests of spools. */
bool keeper_poison_may_know(const struct keeper *, const struct keeper_key *);
struct keeper_ticket *keeper_poison_ask(struct keeper *, const struct keeper_key *,
    void (*known)(void *owner, unsigned failures), void *owner);
void keeper_poison_add(struct keeper *, const struct keeper_key *);

/* An administrator releases a held message: the worker delivers it to its backend and says how it went. spool is the
 * callee's to close. */
struct keeper_release {
	uint64_t number;
	struct slice id, backend, from, envelope, headers;
	const struct slice *rcpts;
	size_t nrcpts;
	uint64_t size;
	int spool;
};
void keeper_on_release(struct keeper *, void (*release)(void *owner, const struct keeper_release *), void *owner);
void keeper_released(struct keeper *, uint64_t number, bool delivered, const char *reply);

#endif
