/* conf_index.h - names in order: found by halving, and two alike stand beside each other. */
#ifndef CONF_CONF_INDEX_H
#define CONF_CONF_INDEX_H

#include "conf/conf.h"

struct conf_entry {
	char *key;		/* the index's own copy */
	const void *what;
	struct conf_where where;
	size_t turn;		/* order of coming */
};

struct conf_index {
	struct conf_entry *entries;
	size_t n;
};

void conf_index_add(struct conf_index *, const char *key, const void *what, const struct conf_where *);

/* Puts it in order. Of a key that stands twice: the first two entries, true; false otherwise. */
bool conf_index_sort(struct conf_index *, const struct conf_entry **first, const struct conf_entry **second);
const void *conf_index_find(const struct conf_index *, const char *key);	/* once sorted; NULL: none */
void conf_index_free(struct conf_index *);

#endif
