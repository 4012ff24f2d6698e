#include "conf/conf_load.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf_hint.h"
#include "proxy/base/mem.h"

#define SHOWN 80	/* octets of a wrong word that a message repeats */

static const struct conf_where built_in = { "(built in)", 0, 0 };

static int
twice(struct conf_load *ld, const struct conf_node *first, const struct conf_node *second)
{
	const struct conf_where *where = &first->words[0].where;

	return conf_err(ld->err, &second->words[0].where, "%s is set twice: first at %s:%u:%u",
	    second->words[0].text, where->file, where->line, where->column);
}

/* A value that begins a new line and is the name of a setting is one: the ";" before it is missing. */
static int
check_semicolons(struct conf_load *ld, enum conf_block block, const struct conf_node *node)
{
	for (size_t i = 1; i < node->nwords; i++) {
		const struct conf_word *word = &node->words[i];

		if (word->where.line == node->words[i - 1].where.line)
			continue;
		if (conf_row_find(block, word->text) != NULL ||
		    (block == CONF_IN_MAIN && conf_block_find(word->text) != CONF_BLOCKS))
			return conf_err(ld->err, &word->where, "expected \";\" before \"%s\"", word->text);
	}
	return 0;
}

static int
missing(struct conf_load *ld, const struct conf_row *row, const struct conf_node *node)
{
	struct buf text;

	buf_init(&text, ERR_MAX);
	conf_row_expects(row, &text);
	conf_err(ld->err, &node->words[0].where, "this %s block needs the setting %s: %s",
	    node->words[0].text, row->name, buf_str(&text));
	buf_free(&text);
	return -1;
}

/* What was not written gets its preset; what profiles have from each other comes later. */
static int
fill_up(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at,
    const struct conf_node *const *seen)
{
	const struct conf_where *where = node->nwords > 0 ? &node->words[0].where : &built_in;

	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (row->block != block || row->name == NULL || seen[i] != NULL)
			continue;
		if (row->must)
			return missing(ld, row, node);
		if (row->preset != NULL && !row->inherits && conf_value_preset(ld, row, where, at) == -1)
			return -1;
	}
	return 0;
}

static int
load_setting(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at,
    const struct conf_node **seen)
{
	const struct conf_row *row = conf_row_find(block, node->words[0].text);

	if (row == NULL)
		return conf_explain(ld, block, node);
	if (check_semicolons(ld, block, node) == -1)
		return -1;
	if (node->is_block)
		return conf_explain(ld, block, node);
	if (seen[row - conf_rows] != NULL && !conf_row_is_list(row))
		return twice(ld, seen[row - conf_rows], node);
	seen[row - conf_rows] = node;
	return conf_value_set(ld, row, node, at);
}

static int
load_settings(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at)
{
	const struct conf_node *seen[CONF_ROWS_MAX] = { NULL };

	for (const struct conf_node *child = node->first; child != NULL; child = child->next)
		if (load_setting(ld, block, child, at, seen) == -1)
			return -1;
	return fill_up(ld, block, node, at, seen);
}

/* A zeroed struct for a block, reachable from struct conf. */
static void *
new_block(struct conf *conf, enum conf_block block, const struct conf_where *where)
{
	const struct conf_block_row *row = &conf_block_rows[block];
	char *base = (char *)conf, *at = mem_new(row->size);
	void **slot = mem_push(base + row->list, (size_t *)(void *)(base + row->count), sizeof(void *));

	*slot = at;
	memcpy(at + row->where, where, sizeof(*where));
	return at;
}

static int
load_label(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at)
{
	const struct conf_row *row = conf_row_find(block, NULL);
	const struct conf_block_row *about = &conf_block_rows[block];

	if (node->nwords == 1)
		return conf_err(ld->err, &node->words[0].where, "expected %s %s {", about->name, about->label);
	if (conf_value_set(ld, row, node, at) == -1)
		return -1;
	if (row->type == CONF_TYPE_NAME)
		conf_index_lend(&ld->names[block], node->words[1].text, at, &node->words[0].where);
	return 0;
}

/* antivirus { ... }: inside struct conf, once, and not beside "antivirus off;". */
static int
load_antivirus(struct conf_load *ld, const struct conf_node *node, const struct conf_node **seen)
{
	const struct conf_node **before = &seen[conf_row_find(CONF_IN_MAIN, "antivirus") - conf_rows];

	if (*before != NULL)
		return twice(ld, *before, node);
	*before = node;
	if (node->nwords > 1)
		return conf_err(ld->err, &node->words[1].where, "expected \"{\" before \"%.*s\"", SHOWN, node->words[1].text);
	ld->conf->antivirus.on = true;
	return load_settings(ld, CONF_IN_ANTIVIRUS, node, &ld->conf->antivirus);
}

static int
load_block(struct conf_load *ld, const struct conf_node *node, const struct conf_node **seen)
{
	enum conf_block block = conf_block_find(node->words[0].text);
	void *at;

	if (block == CONF_BLOCKS)
		return load_setting(ld, CONF_IN_MAIN, node, ld->conf, seen);
	if (block == CONF_IN_ANTIVIRUS)
		return load_antivirus(ld, node, seen);
	at = new_block(ld->conf, block, &node->words[0].where);
	if (load_label(ld, block, node, at) == -1 || load_settings(ld, block, node, at) == -1)
		return -1;
	return conf_check_block(ld, block, node, at);
}

static int
load_main(struct conf_load *ld, const struct conf_node *root)
{
	static const struct conf_node nothing = { .is_block = true };
	const struct conf_node *seen[CONF_ROWS_MAX] = { NULL };
	const struct conf_node *antivirus;

	for (const struct conf_node *node = root->first; node != NULL; node = node->next)
		if ((node->is_block ? load_block(ld, node, seen) : load_setting(ld, CONF_IN_MAIN, node, ld->conf, seen)) == -1)
			return -1;
	antivirus = seen[conf_row_find(CONF_IN_MAIN, "antivirus") - conf_rows];
	if ((antivirus == NULL || !antivirus->is_block) &&
	    load_settings(ld, CONF_IN_ANTIVIRUS, &nothing, &ld->conf->antivirus) == -1)
		return -1;
	return fill_up(ld, CONF_IN_MAIN, root, ld->conf, seen);
}

/* The profile that exists even when nobody wrote it. */
static int
load_default_profile(struct conf_load *ld)
{
	struct conf_word words[] = { { (char *)"profile", built_in }, { (char *)"default", built_in } };
	const struct conf_node node = { .words = words, .nwords = NITEMS(words), .is_block = true, .end = built_in };
	struct conf_profile *profile;

	for (size_t i = 0; i < ld->conf->nprofiles; i++)
		if (strcmp(ld->conf->profiles[i]->name, "default") == 0)
			return 0;
	profile = new_block(ld->conf, CONF_IN_PROFILE, &built_in);
	return load_label(ld, CONF_IN_PROFILE, &node, profile) == 0 ?
	    load_settings(ld, CONF_IN_PROFILE, &node, profile) : -1;
}

static int
sort_names(struct conf_load *ld)
{
	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++) {
		const struct conf_entry *first, *second;

		conf_index_sort(&ld->names[block]);
		if (conf_index_twice(&ld->names[block], &first, &second))
			return conf_err(ld->err, &second->where, "there are two %s blocks called %s: the first at %s:%u:%u",
			    conf_block_rows[block].name, second->key, first->where.file, first->where.line, first->where.column);
	}
	return 0;
}

static int
unknown_reference(struct conf_load *ld, const struct conf_reference *r)
{
	const struct conf_index *names = &ld->names[r->row->refers];
	struct conf_hint hint = conf_hint_for(r->name);
	char text[CONF_HINT_TEXT_MAX];

	for (size_t i = 0; i < names->n; i++)
		conf_hint_try(&hint, names->entries[i].key);
	return conf_err(ld->err, &r->where, "there is no %s block called \"%.*s\"%s",
	    conf_block_rows[r->row->refers].name, SHOWN, r->name, conf_hint_text(&hint, text));
}

static void
point_at(const struct conf_reference *r, const void *block)
{
	char *at = r->at;

	if (conf_row_is_list(r->row)) {
		memcpy(&at, r->at, sizeof(at));
		at += r->turn * sizeof(block);
	}
	memcpy(at, &block, sizeof(block));
}

static int
resolve_references(struct conf_load *ld)
{
	for (size_t i = 0; i < ld->nreferences; i++) {
		const struct conf_reference *r = &ld->references[i];
		const void *block = conf_index_find(&ld->names[r->row->refers], r->name);

		if (block == NULL)
			return unknown_reference(ld, r);
		point_at(r, block);
	}
	return 0;
}

static int
load_all(struct conf_load *ld)
{
	if (load_main(ld, ld->conf->tree->nodes[0]) == -1 || load_default_profile(ld) == -1)
		return -1;
	if (sort_names(ld) == -1 || resolve_references(ld) == -1)
		return -1;
	if (conf_fill_profiles(ld) == -1 || conf_check_whole(ld) == -1)
		return -1;
	return conf_fill_choices(ld);
}

struct conf *
conf_load(struct conf_tree *tree, const struct conf_world *world, struct err *err)
{
	struct err unread;
	struct conf_load ld = { .world = world, .err = err != NULL ? err : &unread };
	struct conf *conf = mem_new(sizeof(*conf));

	conf->refs = 1;
	conf->tree = tree;
	ld.conf = conf;
	if (load_all(&ld) == -1)
		conf_unref(&conf);
	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++)
		conf_index_free(&ld.names[block]);
	free(ld.references);
	return conf;
}

struct conf *
conf_read_from(const char *path, const struct conf_world *world, struct err *err)
{
	struct err unread;
	struct conf_tree *tree = conf_tree_read(path, world, err != NULL ? err : &unread);

	return tree != NULL ? conf_load(tree, world, err) : NULL;
}

struct conf *
conf_read(const char *path, struct err *err)
{
	return conf_read_from(path, &conf_disk, err);
}

struct conf *
conf_ref(struct conf *conf)
{
	conf->refs++;
	return conf;
}

static void
free_blocks(struct conf *conf, enum conf_block block)
{
	const struct conf_block_row *row = &conf_block_rows[block];
	char *base = (char *)conf;
	size_t n = *(size_t *)(void *)(base + row->count);
	void **list;

	memcpy(&list, base + row->list, sizeof(list));
	for (size_t i = 0; i < n; i++) {
		conf_rows_free(block, list[i]);
		free(list[i]);
	}
	free(list);
}

static void
free_index(struct conf_index *index)
{
	if (index != NULL)
		conf_index_free(index);
	free(index);
}

void
conf_unref(struct conf **cp)
{
	struct conf *conf = *cp;

	*cp = NULL;
	if (conf == NULL || --conf->refs > 0)
		return;
	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++)
		if (conf_block_rows[block].size > 0)
			free_blocks(conf, block);
	conf_rows_free(CONF_IN_ANTIVIRUS, &conf->antivirus);
	conf_rows_free(CONF_IN_MAIN, conf);
	free_index(conf->domains);
	free_index(conf->choices);
	conf_tree_free(&conf->tree);
	free(conf);
}
