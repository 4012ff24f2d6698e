#include "conf/conf_tree.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

struct conf_tree *
conf_tree_new(const char *folder)
{
	struct conf_tree *tree = mem_new(sizeof(*tree));
	struct conf_node **root = mem_push(&tree->nodes, &tree->nnodes, sizeof(*tree->nodes));

	*root = mem_new(sizeof(**root));
	(*root)->is_block = true;
	tree->folder = mem_str(folder);
	return tree;
}

void
conf_words_free(struct conf_word **words, size_t *nwords)
{
	for (size_t i = 0; i < *nwords; i++)
		free((*words)[i].text);
	free(*words);
	*words = NULL;
	*nwords = 0;
}

void
conf_tree_free(struct conf_tree **tp)
{
	struct conf_tree *tree = *tp;

	if (tree == NULL)
		return;
	for (size_t i = 0; i < tree->nnodes; i++) {
		conf_words_free(&tree->nodes[i]->words, &tree->nodes[i]->nwords);
		free(tree->nodes[i]);
	}
	for (size_t i = 0; i < tree->nanswers; i++)
		conf_answer_free(&tree->answers[i]);
	for (size_t i = 0; i < tree->nfiles; i++)
		free(tree->files[i]);
	free(tree->nodes);
	free(tree->answers);
	free(tree->files);
	free(tree->folder);
	free(tree);
	*tp = NULL;
}

unsigned
conf_tree_file(struct conf_tree *tree, const char *name)
{
	char **file = mem_push(&tree->files, &tree->nfiles, sizeof(*tree->files));

	*file = mem_str(name);
	return (unsigned)(tree->nfiles - 1);
}

struct conf_node *
conf_tree_add(struct conf_tree *tree, struct conf_node *parent, unsigned file,
    struct conf_word **words, size_t *nwords, bool is_block, struct err *err)
{
	const struct conf_where *where = &(*words)[0].where;
	struct conf_node **slot, *node;

	if (tree->nnodes > CONF_NODES_MAX) {
		conf_err(err, where, "expected at most %d settings and blocks altogether", CONF_NODES_MAX);
		return NULL;
	}
	if (tree->nwords + *nwords > CONF_WORDS_MAX) {
		conf_err(err, where, "expected at most %d words altogether", CONF_WORDS_MAX);
		return NULL;
	}
	if (is_block && parent->depth == CONF_DEPTH_MAX) {
		conf_err(err, where, "expected blocks to be nested at most %d deep", CONF_DEPTH_MAX);
		return NULL;
	}
	slot = mem_push(&tree->nodes, &tree->nnodes, sizeof(*tree->nodes));
	*slot = node = mem_new(sizeof(*node));
	*node = (struct conf_node){ .words = *words, .nwords = *nwords, .is_block = is_block, .file = file,
		.depth = parent->depth + 1, .end = *where, .parent = parent };
	tree->nwords += *nwords;
	*words = NULL;
	*nwords = 0;
	if (parent->last != NULL)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return node;
}

/* Straight through the list: with its cap that costs less than the files' reading. */
const struct conf_answer *
conf_tree_ask(struct conf_tree *tree, const struct conf_world *world, enum conf_question ask,
    const char *about, struct err *err)
{
	struct conf_answer **slot, *a;

	for (size_t i = 0; i < tree->nanswers; i++)
		if (tree->answers[i]->ask == ask && strcmp(tree->answers[i]->about, about) == 0)
			return tree->answers[i];
	if (tree->nanswers == CONF_ANSWERS_MAX) {
		err_set(err, "expected at most %d different files and patterns altogether", CONF_ANSWERS_MAX);
		return NULL;
	}
	a = conf_world_ask(world, ask, about, err);
	if (a == NULL)
		return NULL;
	slot = mem_push(&tree->answers, &tree->nanswers, sizeof(*tree->answers));
	*slot = a;
	return a;
}

const struct conf_node *
conf_node_child(const struct conf_node *block, const char *name)
{
	for (const struct conf_node *child = block->first; child != NULL; child = child->next)
		if (strcmp(child->words[0].text, name) == 0)
			return child;
	return NULL;
}

const struct conf_where *
conf_tree_place(const struct conf_node *block, const char *setting)
{
	const struct conf_node *node = conf_node_child(block, setting);

	return node != NULL ? &node->words[0].where : &block->words[0].where;
}

const struct conf_where *
conf_tree_place_of_value(const struct conf_node *block, const char *setting, size_t k)
{
	for (const struct conf_node *node = block->first; node != NULL; node = node->next) {
		size_t nvalues = node->nwords - 1;

		if (strcmp(node->words[0].text, setting) != 0)
			continue;
		if (k < nvalues)
			return &node->words[k + 1].where;
		k -= nvalues;
	}
	return &block->words[0].where;
}

const struct conf_node *
conf_tree_block(const struct conf_node *node, const char *name)
{
	while (node != NULL && !(node->is_block && strcmp(node->words[0].text, name) == 0))
		node = node->next;
	return node;
}

bool
conf_is_pattern(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

static void
put_folder(struct buf *out, struct slice folder, bool escaped)
{
	for (size_t i = 0; i < folder.len; i++) {
		if (escaped && strchr("*?[\\", folder.at[i]) != NULL)
			buf_putc(out, '\\');
		buf_putc(out, folder.at[i]);
	}
	if (folder.len > 0 && folder.at[folder.len - 1] != '/')
		buf_putc(out, '/');
}

/* What stands up to the last "/" of a file's name, with it. */
static struct slice
folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	return (struct slice){ file, slash != NULL ? (size_t)(slash - file) + 1 : 0 };
}

static char *
join(const struct conf_tree *tree, const struct conf_word *word, bool escaped)
{
	struct slice near = folder_of(word->where.file);
	struct buf out;
	char *path;

	buf_init(&out, SIZE_MAX / 4);
	if (word->text[0] != '/') {
		if (!slice_starts(near, "/"))
			put_folder(&out, slice_of(tree->folder), escaped);
		put_folder(&out, near, escaped);
	}
	buf_puts(&out, word->text);
	path = mem_slice(buf_slice(&out));
	buf_free(&out);
	return path;
}

char *
conf_tree_path(const struct conf_tree *tree, const struct conf_word *word)
{
	return join(tree, word, false);
}

char *
conf_tree_pattern(const struct conf_tree *tree, const struct conf_word *word)
{
	return join(tree, word, true);
}
