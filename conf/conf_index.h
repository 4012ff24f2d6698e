/* conf_index.h - names in order: found by halving, and those alike stand beside each other as they came. */
#ifndef CONF_CONF_INDEX_H
#define CONF_CONF_INDEX_H

#include "conf/conf.h"

struct conf_entry {
	const char *key;
	char *own;		/* the key, when it is the index's own copy */
	const void *what;
	struct conf_where where;
	size_t turn;		/* order of coming */
};

struct conf_index {
	struct conf_entry *entries;
	size_t n;
};

/* Adds a key: a copy of it, or the text itself, which must then outlive the index. */
void conf_index_add(struct conf_index *, const char *key, const void *what, const struct conf_where *);
void conf_index_lend(struct conf_index *, const char *key, const void *what, const struct conf_where *);

void conf_index_sort(struct conf_index *);
void conf_index_free(struct conf_index *);

/* All of these only once it is sorted. */

/* The entries of this key; their number in *n. */
const struct conf_entry *conf_index_all(const struct conf_index *, const char *key, size_t *n);
const void *conf_index_find(const struct conf_index *, const char *key);	/* what came first; NULL: none */

/* The first key that stands twice: its first two entries, true; false: there is none. */
bool conf_index_twice(const struct conf_index *, const struct conf_entry **first, const struct conf_entry **second);

#endif
