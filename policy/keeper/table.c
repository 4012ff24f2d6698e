#include "policy/keeper/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

#define BUCKETS_BITS 16
#define BUCKETS      (1u << BUCKETS_BITS)

struct entry {
	LIST_ENTRY(entry) bucket, changed;
	TAILQ_ENTRY(entry) age;
	struct keeper_key key;
	int64_t time;
	char *value;
	size_t len;
	bool stored;			/* the store has it, or a batch that is on its way there */
	bool is_changed;		/* in the list of what the next batch takes */
};

struct table {
	const struct table_kind *kind;
	struct keeper_hints *hints;
	uint64_t seed;
	LIST_HEAD(bucket, entry) buckets[BUCKETS];
	LIST_HEAD(changed_list, entry) changed;
	TAILQ_HEAD(age_list, entry) ages;	/* the oldest first */
	size_t n, octets;
	struct buf gone;		/* keys that the store has and we have not */
};

struct table *
table_new(const struct table_kind *kind, struct keeper_hints *hints)
{
	struct table *t = mem_new(sizeof(*t));

	t->kind = kind;
	t->hints = hints;
	/* Keys are digests of what a stranger sent, who could choose ones that share a bucket if the way to it were known. */
	if (getrandom(&t->seed, sizeof(t->seed), 0) == -1)
		t->seed = (uint64_t)(uintptr_t)t;
	t->seed |= 1;
	TAILQ_INIT(&t->ages);
	LIST_INIT(&t->changed);
	/* No more than one key for each entry that was ever written and is not deleted there yet. */
	buf_init(&t->gone, 2 * kind->entries * KEEPER_KEY_LEN);
	return t;
}

static unsigned
bucket_of(const struct table *t, const struct keeper_key *key)
{
	uint64_t n;

	memcpy(&n, key->bytes + KEEPER_KEY_LEN - sizeof(n), sizeof(n));
	return (unsigned)(n * t->seed >> (64 - BUCKETS_BITS));
}

static struct entry *
find(const struct table *t, const struct keeper_key *key)
{
	struct entry *e;

	LIST_FOREACH(e, &t->buckets[bucket_of(t, key)], bucket)
		if (memcmp(e->key.bytes, key->bytes, KEEPER_KEY_LEN) == 0)
			return e;
	return NULL;
}

static void
mark(struct table *t, struct entry *e)
{
	if (!e->is_changed)
		LIST_INSERT_HEAD(&t->changed, e, changed);
	e->is_changed = true;
}

static void
unmark(struct entry *e)
{
	if (e->is_changed)
		LIST_REMOVE(e, changed);
	e->is_changed = false;
}

static void
drop(struct table *t, struct entry *e)
{
	keeper_hints_drop(t->hints, t->kind->hint, &e->key);
	unmark(e);
	if (e->stored)
		buf_put(&t->gone, (struct slice){ (char *)e->key.bytes, KEEPER_KEY_LEN });
	LIST_REMOVE(e, bucket);
	TAILQ_REMOVE(&t->ages, e, age);
	t->n--;
	t->octets -= e->len;
	free(e->value);
	free(e);
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	while (!TAILQ_EMPTY(&t->ages))
		drop(t, TAILQ_FIRST(&t->ages));
	buf_free(&t->gone);
	free(t);
	*tp = NULL;
}

static void
set_value(struct table *t, struct entry *e, struct slice value)
{
	char *copy = mem_slice(value);

	free(e->value);
	t->octets += value.len;
	t->octets -= e->len;
	e->value = copy;
	e->len = value.len;
}

static struct entry *
insert(struct table *t, const struct keeper_key *key, struct slice value, int64_t time)
{
	struct entry *e = mem_new(sizeof(*e));

	e->key = *key;
	e->time = time;
	set_value(t, e, value);
	LIST_INSERT_HEAD(&t->buckets[bucket_of(t, key)], e, bucket);
	TAILQ_INSERT_TAIL(&t->ages, e, age);
	t->n++;
	return e;
}

static void
make_room(struct table *t)
{
	while (t->n > t->kind->entries || t->octets > t->kind->octets)
		drop(t, TAILQ_FIRST(&t->ages));
}

bool
table_find(const struct table *t, const struct keeper_key *key, struct slice *value)
{
	const struct entry *e = find(t, key);

	if (e == NULL)
		return false;
	*value = (struct slice){ e->value, e->len };
	return true;
}

void
table_add(struct table *t, const struct keeper_key *key, struct slice value, int64_t now)
{
	mark(t, insert(t, key, value, now));
	make_room(t);
}

void
table_change(struct table *t, const struct keeper_key *key, struct slice value)
{
	struct entry *e = find(t, key);

	set_value(t, e, value);
	mark(t, e);
	make_room(t);
}

bool
table_remove(struct table *t, const struct keeper_key *key)
{
	struct entry *e = find(t, key);

	if (e != NULL)
		drop(t, e);
	return e != NULL;
}

/* A clock that was set back must not make entries live for ever: what comes from the future is new. */
void
table_expire(struct table *t, int64_t now)
{
	struct entry *e = TAILQ_FIRST(&t->ages), *next;

	for (; e != NULL && (e->time > now || now - e->time >= t->kind->life); e = next) {
		next = TAILQ_NEXT(e, age);
		if (e->time > now)
			e->time = now;
		else
			drop(t, e);
	}
}

size_t
table_entries(const struct table *t)
{
	return t->n;
}

bool
table_has_changes(const struct table *t)
{
	return buf_len(&t->gone) > 0 || !LIST_EMPTY(&t->changed);
}

/* Deletions first: a key may have gone and come again. */
void
table_changes(struct table *t, struct store_batch *batch)
{
	struct entry *e;
	struct buf value;

	while (buf_len(&t->gone) > 0) {
		if (!store_batch_delete(batch, t->kind->store, slice_part(buf_slice(&t->gone), 0, KEEPER_KEY_LEN)))
			return;
		buf_eat(&t->gone, KEEPER_KEY_LEN);
	}
	buf_init(&value, t->kind->octets + 16);
	while ((e = LIST_FIRST(&t->changed)) != NULL) {
		wire_put_u64(&value, (uint64_t)e->time);
		buf_put(&value, (struct slice){ e->value, e->len });
		if (!store_batch_put(batch, t->kind->store, (struct slice){ (char *)e->key.bytes, KEEPER_KEY_LEN }, buf_slice(&value)))
			break;
		buf_clear(&value);
		unmark(e);
		e->stored = true;
	}
	buf_free(&value);
}

struct loading {
	struct table *table;
	struct entry **entries;
	size_t n;
	int64_t now;
};

static void
load_one(void *owner, struct slice key, struct slice value)
{
	struct loading *l = owner;
	struct wire_in in = wire_open(value);
	int64_t time = (int64_t)wire_u64(&in);
	struct keeper_key k;
	struct entry *e;

	if (in.bad || key.len != KEEPER_KEY_LEN)
		return;
	memcpy(k.bytes, key.at, KEEPER_KEY_LEN);
	e = insert(l->table, &k, in.left, time < l->now ? time : l->now);
	e->stored = true;
	*(struct entry **)mem_push(&l->entries, &l->n, sizeof(struct entry *)) = e;
	keeper_hints_add(l->table->hints, l->table->kind->hint, &k);
}

static int
by_age(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

	return (x->time > y->time) - (x->time < y->time);
}

int
table_load(struct table *t, struct store *store, int64_t now, struct err *err)
{
	struct loading l = { .table = t, .now = now };
	int rc = store_read(store, t->kind->store, load_one, &l, err);

	if (l.n > 0)
		qsort(l.entries, l.n, sizeof(struct entry *), by_age);
	for (size_t i = 0; i < l.n; i++) {
		TAILQ_REMOVE(&t->ages, l.entries[i], age);
		TAILQ_INSERT_TAIL(&t->ages, l.entries[i], age);
	}
	free(l.entries);
	table_expire(t, now);
	make_room(t);
	return rc;
}
