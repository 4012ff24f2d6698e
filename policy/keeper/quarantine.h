/* quarantine.h - what is held: its index in memory. Pure: files and the store are the writer's.
 *
 * An item counts from quarantine_admit() on, written or not, so what is promised is never more than there is room
 * for. */
#ifndef POLICY_KEEPER_QUARANTINE_H
#define POLICY_KEEPER_QUARANTINE_H

#include <sys/queue.h>

#include "policy/keeper/keeper_wire.h"
#include "policy/keeper/store.h"

#define QUARANTINE_MAX 100000		/* items */

enum held_state {
	HELD_WRITING,		/* nobody may rely on it yet */
	HELD_STANDING,
	HELD_RELEASING,		/* a worker has it */
	HELD_LEAVING,		/* its deletion is on its way to the disk; it counts no more */
};

struct held {
	TAILQ_ENTRY(held) age;
	LIST_ENTRY(held) bucket;
	char id[KEEPER_ID_MAX + 1];
	enum held_state state;
	int64_t time;
	uint64_t size;
	uint32_t attempts;
	char last[KEEPER_TEXT_MAX + 1];
	char *copy;		/* packed: no headers, pieces */
	size_t copy_len;
};

struct quarantine_limits {
	uint64_t octets;
	int64_t keep;		/* seconds */
};

struct quarantine;

struct quarantine *quarantine_new(void);
void quarantine_free(struct quarantine **);
int quarantine_load(struct quarantine *, struct store *, struct err *);

/* Room for a copy of `size` octets, under an id that nobody has. NULL with why not: it is full. */
struct held *quarantine_admit(struct quarantine *, const struct quarantine_limits *, const struct keeper_copy *, uint64_t size,
    int64_t now, struct err *);
void quarantine_remove(struct quarantine *, struct held **);
struct held *quarantine_find(const struct quarantine *, struct slice id);
struct held *quarantine_expired(const struct quarantine *, const struct quarantine_limits *, int64_t now);	/* one, or NULL */
struct held *quarantine_first(const struct quarantine *);	/* the oldest; then TAILQ_NEXT(held, age) */

void quarantine_leaves(struct quarantine *, struct held *);
void quarantine_stays(struct quarantine *, struct held *);	/* it could not be deleted */
void quarantine_failed(struct held *, struct slice reply);	/* a release that did not succeed */
void quarantine_record(const struct held *, struct buf *);	/* as keeper_put_held() packs it */

size_t quarantine_count(const struct quarantine *);
uint64_t quarantine_octets(const struct quarantine *);

#endif
