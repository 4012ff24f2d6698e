#include "conf/conf_index.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

void
conf_index_add(struct conf_index *index, const char *key, const void *what, const struct conf_where *where)
{
	size_t turn = index->n;
	struct conf_entry *entry = mem_push(&index->entries, &index->n, sizeof(*entry));

	*entry = (struct conf_entry){ mem_str(key), what, *where, turn };
}

static int
by_key(const void *a, const void *b)
{
	const struct conf_entry *one = a, *other = b;
	int order = strcmp(one->key, other->key);

	if (order != 0)
		return order;
	return one->turn < other->turn ? -1 : 1;
}

bool
conf_index_sort(struct conf_index *index, const struct conf_entry **first, const struct conf_entry **second)
{
	if (index->n > 0)
		qsort(index->entries, index->n, sizeof(*index->entries), by_key);
	for (size_t i = 1; i < index->n; i++)
		if (strcmp(index->entries[i - 1].key, index->entries[i].key) == 0) {
			*first = &index->entries[i - 1];
			*second = &index->entries[i];
			return true;
		}
	return false;
}

static int
to_key(const void *key, const void *entry)
{
	return strcmp(key, ((const struct conf_entry *)entry)->key);
}

const void *
conf_index_find(const struct conf_index *index, const char *key)
{
	const struct conf_entry *entry = NULL;

	if (index->n > 0)
		entry = bsearch(key, index->entries, index->n, sizeof(*index->entries), to_key);
	return entry != NULL ? entry->what : NULL;
}

void
conf_index_free(struct conf_index *index)
{
	for (size_t i = 0; i < index->n; i++)
		free(index->entries[i].key);
	free(index->entries);
	*index = (struct conf_index){ 0 };
}
