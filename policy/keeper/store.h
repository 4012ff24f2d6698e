/* store.h - what the keeper must not forget: keys and values in three tables, on disk.
 *
 * A process that is killed at any moment leaves it consistent, with every batch either whole or not there. Only one
 * thread writes. (store_lmdb.c) */
#ifndef POLICY_KEEPER_STORE_H
#define POLICY_KEEPER_STORE_H

#include "proxy/base/buf.h"
#include "proxy/base/err.h"

enum store_table { STORE_LEDGER, STORE_POISON, STORE_QUARANTINE, STORE_TABLES };

#define STORE_BATCH_MAX (32u << 20)	/* octets */

/* Changes that are written together. */
struct store_batch {
	struct buf bytes;
};
void store_batch_init(struct store_batch *);
void store_batch_free(struct store_batch *);
bool store_batch_put(struct store_batch *, enum store_table, struct slice key, struct slice value);	/* false: full */
bool store_batch_delete(struct store_batch *, enum store_table, struct slice key);

struct store;

struct store *store_open(const char *path, struct err *);	/* makes it when there is none */
void store_close(struct store **);

/* durable: it is on the disk when this returns, whatever happens to the machine. Otherwise a power failure may
 * undo the last batches, whole ones. -1: nothing of the batch was written. */
int store_write(struct store *, const struct store_batch *, bool durable, struct err *);

/* Shows each pair in the order of keys; each() must not write. */
int store_read(struct store *, enum store_table, void (*each)(void *owner, struct slice key, struct slice value), void *owner,
    struct err *);

const char *store_library(void);				/* its version */

#endif
