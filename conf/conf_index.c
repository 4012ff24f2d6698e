#include "conf/conf_index.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

void
conf_index_lend(struct conf_index *index, const char *key, const void *what, const struct conf_where *where)
{
	size_t turn = index->n;
	struct conf_entry *entry = mem_push(&index->entries, &index->n, sizeof(*entry));

	*entry = (struct conf_entry){ .key = key, .what = what, .where = *where, .turn = turn };
}

void
conf_index_add(struct conf_index *index, const char *key, const void *what, const struct conf_where *where)
{
	char *own = mem_str(key);

	conf_index_lend(index, own, what, where);
	index->entries[index->n - 1].own = own;
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

void
conf_index_sort(struct conf_index *index)
{
	if (index->n > 0)
		qsort(index->entries, index->n, sizeof(*index->entries), by_key);
}

bool
conf_index_twice(const struct conf_index *index, const struct conf_entry **first, const struct conf_entry **second)
{
	for (size_t i = 1; i < index->n; i++)
		if (strcmp(index->entries[i - 1].key, index->entries[i].key) == 0) {
			*first = &index->entries[i - 1];
			*second = &index->entries[i];
			return true;
		}
	return false;
}

/* The first entry that does not stand before the key. */
static size_t
lower_bound(const struct conf_index *index, const char *key)
{
	size_t low = 0, high = index->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(index->entries[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct conf_entry *
conf_index_all(const struct conf_index *index, const char *key, size_t *n)
{
	size_t at = lower_bound(index, key);

	*n = 0;
	while (at + *n < index->n && strcmp(index->entries[at + *n].key, key) == 0)
		(*n)++;
	return *n > 0 ? &index->entries[at] : NULL;
}

const void *
conf_index_find(const struct conf_index *index, const char *key)
{
	size_t at = lower_bound(index, key);

	return at < index->n && strcmp(index->entries[at].key, key) == 0 ? index->entries[at].what : NULL;
}

void
conf_index_free(struct conf_index *index)
{
	for (size_t i = 0; i < index->n; i++)
		free(index->entries[i].own);
	free(index->entries);
	*index = (struct conf_index){ 0 };
}
