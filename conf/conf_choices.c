/* conf_choices.c - the words by which routes and profiles are found, put in order. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_find.h"
#include "conf/conf_list.h"
#include "proxy/base/mem.h"

/* A key in lower case; what is so already is lent. */
static void
add(struct conf_index *index, const char *kind, const char *word, const void *what, const struct conf_where *where)
{
	size_t kind_len = strlen(kind), len = strlen(word);
	bool as_it_is = kind_len == 0;
	char *key;

	for (const char *c = word; as_it_is && *c != '\0'; c++)
		as_it_is = ascii_lower((unsigned char)*c) == (unsigned char)*c;
	if (as_it_is) {
		conf_index_lend(index, word, what, where);
		return;
	}
	key = mem_new(kind_len + len + 1);
	memcpy(key, kind, kind_len);
	for (size_t i = 0; i < len; i++)
		key[kind_len + i] = (char)ascii_lower((unsigned char)word[i]);
	conf_index_add(index, key, what, where);
	free(key);
}

/* The struct holds the words in the order in which they were written, those of a file where it stands. */
static int
add_route(struct conf_load *ld, const struct conf_node *node, const struct conf_route *r)
{
	size_t k = 0;

	for (size_t i = 1; i < node->nwords; i++) {
		const struct conf_word *word = &node->words[i];
		struct conf_list list;
		struct conf_where where;
		struct slice entry;

		if (!conf_list_is(word->text)) {
			add(ld->conf->domains, "", r->domains[k++], r, &word->where);
			continue;
		}
		if (conf_list_open(ld, word, &list) == -1)
			return -1;
		while (conf_list_next(&list, &entry, &where))
			add(ld->conf->domains, "", r->domains[k++], r, &where);
	}
	return 0;
}

static bool
has_listener(const struct conf_route *r, const struct conf_listener *l)
{
	for (size_t i = 0; i < r->nlisteners; i++)
		if (r->listeners[i] == l)
			return true;
	return false;
}

static bool
has_user(const struct conf_route *r, const char *user)
{
	for (size_t i = 0; i < r->nusers; i++)
		if (slice_iis(slice_of(user), r->users[i]))
			return true;
	return false;
}

/* Whether all that one route asks for is asked for by the other too. */
static bool
asks_within(const struct conf_route *one, const struct conf_route *other)
{
	for (size_t i = 0; i < one->nlisteners; i++)
		if (!has_listener(other, one->listeners[i]))
			return false;
	for (size_t i = 0; i < one->nusers; i++)
		if (!has_user(other, one->users[i]))
			return false;
	return true;
}

static bool
asks_nothing(const struct conf_route *r)
{
	return r->nlisteners == 0 && r->nusers == 0;
}

/* Of the routes for one word the first that fits is taken: behind one that always does, none would ever be. */
static int
check_pair(struct conf_load *ld, const struct conf_entry *first, const struct conf_entry *second)
{
	const struct conf_route *one = first->what, *other = second->what;

	if (asks_within(one, other) && asks_within(other, one))
		return conf_err(ld->err, &second->where, "the route of %s stands in two places: first at %s:%u:%u",
		    second->key, first->where.file, first->where.line, first->where.column);
	if (asks_nothing(one))
		return conf_err(ld->err, &second->where, "this route of %s would never be taken: the one at %s:%u:%u has no listener and "
		    "no user and always fits; write it behind this one", second->key, first->where.file, first->where.line, first->where.column);
	return 0;
}

static int
check_routes(struct conf_load *ld, const struct conf_index *index)
{
	for (size_t i = 1; i < index->n; i++)
		for (size_t k = i; k > 0 && strcmp(index->entries[k - 1].key, index->entries[i].key) == 0; k--)
			if (check_pair(ld, &index->entries[k - 1], &index->entries[i]) == -1)
				return -1;
	return 0;
}

static void
add_choices(struct conf_index *index, const struct conf_profile *p)
{
	static const struct { const char *setting, *kind; } kinds[] = {
		{ "recipient", CONF_FOR_RECIPIENT }, { "user", CONF_FOR_USER }, { "listener", CONF_FOR_LISTENER },
	};

	for (const struct conf_node *node = p->written != NULL ? p->written->first : NULL; node != NULL; node = node->next)
		for (size_t k = 0; k < NITEMS(kinds); k++)
			for (size_t i = 1; strcmp(node->words[0].text, kinds[k].setting) == 0 && i < node->nwords; i++)
				add(index, kinds[k].kind, node->words[i].text, p, &node->words[i].where);
}

int
conf_fill_choices(struct conf_load *ld)
{
	struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;
	const struct conf_entry *first, *second;

	conf->domains = mem_new(sizeof(*conf->domains));
	conf->choices = mem_new(sizeof(*conf->choices));
	for (size_t i = 0; i < conf->nroutes; i++, node = node->next) {
		node = conf_tree_block(node, "route");
		if (add_route(ld, node, conf->routes[i]) == -1)
			return -1;
	}
	conf_index_sort(conf->domains);
	if (check_routes(ld, conf->domains) == -1)
		return -1;
	for (size_t i = 0; i < conf->nprofiles; i++)
		add_choices(conf->choices, conf->profiles[i]);
	conf_index_sort(conf->choices);
	if (conf_index_twice(conf->choices, &first, &second))
		return conf_err(ld->err, &second->where, "the profile for %s stands in two places: first at %s:%u:%u",
		    second->key, first->where.file, first->where.line, first->where.column);
	return 0;
}
