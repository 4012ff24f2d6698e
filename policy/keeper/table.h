/* table.h - entries with a short life, in memory, with a copy in the store and their counts in the hints.
 *
 * A table has a maximum of entries and of octets; when it is full the oldest go. What has changed since the last
 * batch is written by the next: an entry that came and went in between never touches the disk. Each entry owns one
 * count in the hints (keeper_hints.h); the caller sees to it that there is one when it makes an entry. */
#ifndef POLICY_KEEPER_TABLE_H
#define POLICY_KEEPER_TABLE_H

#include "policy/keeper/keeper_hints.h"
#include "policy/keeper/store.h"

struct table_kind {
	enum store_table store;
	enum keeper_hint hint;
	size_t entries, octets;		/* at most; octets of values */
	int64_t life;			/* seconds */
};

struct table;

struct table *table_new(const struct table_kind *, struct keeper_hints *);
void table_free(struct table **);
/* Reads what the store has, leaves away what is too old or too much, and counts the rest in the hints. */
int table_load(struct table *, struct store *, int64_t now, struct err *);

bool table_find(const struct table *, const struct keeper_key *, struct slice *value);	/* valid until the next change */
void table_add(struct table *, const struct keeper_key *, struct slice value, int64_t now);	/* one that is not there */
void table_change(struct table *, const struct keeper_key *, struct slice value);		/* one that is; it gets no younger */
bool table_remove(struct table *, const struct keeper_key *);
void table_expire(struct table *, int64_t now);
size_t table_entries(const struct table *);

/* Moves changes to a batch until it is full. Those that are moved count as written. */
void table_changes(struct table *, struct store_batch *);
bool table_has_changes(const struct table *);

#endif
