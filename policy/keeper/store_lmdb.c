#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/keeper/store.h"
#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

/* Address space, not memory or disk: the file grows as needed, and when this is full a write fails. */
#define MAP_OCTETS ((size_t)4 << 30)

struct store {
	MDB_env *env;
	MDB_dbi tables[STORE_TABLES];
};

enum { PUT = 1, DELETE };

static int
trouble(struct err *err, const char *what, int rc)
{
	return err_set(err, "%s: %s", what, mdb_strerror(rc));
}

void
store_batch_init(struct store_batch *b)
{
	buf_init(&b->bytes, STORE_BATCH_MAX);
}

void
store_batch_free(struct store_batch *b)
{
	buf_free(&b->bytes);
}

static bool
batch_add(struct store_batch *b, unsigned what, enum store_table table, struct slice key, struct slice value)
{
	return buf_room(&b->bytes) >= key.len + value.len + 10 && wire_put_u8(&b->bytes, (uint8_t)what) &&
	       wire_put_u8(&b->bytes, (uint8_t)table) && wire_put_bytes(&b->bytes, key) && wire_put_bytes(&b->bytes, value);
}

bool
store_batch_put(struct store_batch *b, enum store_table table, struct slice key, struct slice value)
{
	return batch_add(b, PUT, table, key, value);
}

bool
store_batch_delete(struct store_batch *b, enum store_table table, struct slice key)
{
	return batch_add(b, DELETE, table, key, SLICE(""));
}

static int
open_tables(struct store *s)
{
	static const char *const names[STORE_TABLES] = { "ledger", "poison", "quarantine" };
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < STORE_TABLES; i++)
		if ((rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &s->tables[i])) != 0) {
			mdb_txn_abort(txn);
			return rc;
		}
	return mdb_txn_commit(txn);
}

/* MDB_NOMETASYNC: each commit writes its pages to the disk before the page that makes them count, and does
 * not wait for that one. So a power failure undoes the last commits and never breaks the tree, which
 * MDB_NOSYNC could. MDB_NOTLS: who reads at the start is not the thread that writes later. */
struct store *
store_open(const char *path, struct err *err)
{
	struct store *s = mem_new(sizeof(*s));
	int rc = mdb_env_create(&s->env);

	if (rc == 0 && (rc = mdb_env_set_mapsize(s->env, MAP_OCTETS)) == 0 && (rc = mdb_env_set_maxdbs(s->env, STORE_TABLES)) == 0 &&
	    (rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOMETASYNC | MDB_NOTLS, 0600)) == 0 && (rc = open_tables(s)) == 0)
		return s;
	trouble(err, "open the store in state-dir (if it is damaged, stop gatepost and move state.mdb away)", rc);
	store_close(&s);
	return NULL;
}

void
store_close(struct store **sp)
{
	if (*sp == NULL)
		return;
	if ((*sp)->env != NULL)
		mdb_env_close((*sp)->env);
	free(*sp);
	*sp = NULL;
}

static MDB_val
val(struct slice s)
{
	return (MDB_val){ s.len, (void *)s.at };
}

static int
apply(struct store *s, MDB_txn *txn, const struct store_batch *batch)
{
	struct wire_in in = wire_open(buf_slice(&batch->bytes));
	int rc = 0;

	while (rc == 0 && in.left.len > 0) {
		unsigned what = wire_u8(&in), table = wire_u8(&in);
		MDB_val key = val(wire_bytes(&in)), value = val(wire_bytes(&in));

		rc = what == PUT ? mdb_put(txn, s->tables[table], &key, &value, 0) : mdb_del(txn, s->tables[table], &key, NULL);
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	return rc;
}

int
store_write(struct store *s, const struct store_batch *batch, bool durable, struct err *err)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return trouble(err, "write to the store", rc);
	rc = apply(s, txn, batch);
	if (rc != 0)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	if (rc == 0 && durable)
		rc = mdb_env_sync(s->env, 1);
	return rc == 0 ? 0 : trouble(err, "write to the store", rc);
}

int
store_read(struct store *s, enum store_table table, void (*each)(void *, struct slice, struct slice), void *owner, struct err *err)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return trouble(err, "read the store", rc);
	if ((rc = mdb_cursor_open(txn, s->tables[table], &cursor)) == 0) {
		while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
			each(owner, (struct slice){ key.mv_data, key.mv_size }, (struct slice){ value.mv_data, value.mv_size });
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : trouble(err, "read the store", rc);
}

const char *
store_library(void)
{
	static char version[32];
	int major, minor, patch;

	mdb_version(&major, &minor, &patch);
	snprintf(version, sizeof(version), "%d.%d.%d", major, minor, patch);
	return version;
}
