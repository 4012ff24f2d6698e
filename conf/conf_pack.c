/* conf_pack.c - the tree and what the world answered, as explicit bytes, and back.
 *
 * Not the struct conf itself goes over, but what it was made of: who receives it sends that
 * through the very same rows, and cannot end up with something that a file could not say. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_load.h"
#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

#define MAGIC 0x47500002u	/* counted up whenever the bytes change: another binary may be at the other end */

static bool
put_text(struct buf *out, const char *text)
{
	return wire_put_bytes(out, slice_of(text));
}

static bool
put_where(struct buf *out, const struct conf_where *where)
{
	return wire_put_u32(out, where->line) && wire_put_u32(out, where->column);
}

static bool
put_node(struct buf *out, const struct conf_node *node)
{
	bool fits = wire_put_u8(out, (uint8_t)node->depth) && wire_put_u8(out, node->is_block) &&
		    wire_put_u32(out, node->file) && put_where(out, &node->end) && wire_put_u32(out, (uint32_t)node->nwords);

	for (size_t i = 0; fits && i < node->nwords; i++)
		fits = put_text(out, node->words[i].text) && put_where(out, &node->words[i].where);
	return fits;
}

static bool
put_tree(struct buf *out, const struct conf_tree *tree)
{
	bool fits = put_text(out, tree->folder) && wire_put_u32(out, (uint32_t)tree->nfiles);

	for (size_t i = 0; fits && i < tree->nfiles; i++)
		fits = put_text(out, tree->files[i]);
	fits = fits && put_where(out, &tree->nodes[0]->end) && wire_put_u32(out, (uint32_t)tree->nnodes - 1);
	for (size_t i = 1; fits && i < tree->nnodes; i++)
		fits = put_node(out, tree->nodes[i]);
	return fits;
}

static bool
put_answer(struct buf *out, const struct conf_answer *a)
{
	return wire_put_u8(out, (uint8_t)a->ask) && put_text(out, a->about) &&
	       wire_put_bytes(out, (struct slice){ a->bytes, a->len });
}

/* The room is made before the first private key goes in: a buf that grows leaves the old bytes
 * behind in freed memory. */
static bool
put_answers(struct buf *out, const struct conf_tree *tree)
{
	size_t want = 4, room;

	for (size_t i = 0; i < tree->nanswers; i++)
		want += 1 + 4 + strlen(tree->answers[i]->about) + 4 + tree->answers[i]->len;
	if (want > buf_room(out))
		return false;
	buf_space(out, want, &room);
	wire_put_u32(out, (uint32_t)tree->nanswers);
	for (size_t i = 0; i < tree->nanswers; i++)
		put_answer(out, tree->answers[i]);
	return true;
}

bool
conf_pack(const struct conf *conf, struct buf *out)
{
	return wire_put_u32(out, MAGIC) && put_tree(out, conf->tree) && put_answers(out, conf->tree);
}

static bool
get_bool(struct wire_in *in)
{
	uint8_t n = wire_u8(in);

	if (n > 1)
		in->bad = true;
	return n == 1;
}

/* A text must be what it was: one with a NUL inside would be a shorter one here. */
static char *
get_text(struct wire_in *in)
{
	struct slice text = wire_bytes(in);

	if (slice_has(text, '\0'))
		in->bad = true;
	return mem_slice(text);
}

static struct conf_where
get_where(struct wire_in *in, const char *file)
{
	uint32_t line = wire_u32(in);

	return (struct conf_where){ file, line, wire_u32(in) };
}

static void
get_files(struct wire_in *in, struct conf_tree *tree)
{
	uint32_t n = wire_u32(in);

	if (n == 0 || n > CONF_FILES_MAX)
		in->bad = true;
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		char *name = get_text(in);

		conf_tree_file(tree, name);
		free(name);
	}
}

static void
get_words(struct wire_in *in, const char *file, struct conf_word **words, size_t *nwords)
{
	uint32_t n = wire_u32(in);

	if (n == 0)
		in->bad = true;
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		struct conf_word *word = mem_push(words, nwords, sizeof(**words));

		word->text = get_text(in);
		word->where = get_where(in, file);
	}
}

/* Reads a node that stands behind `last`; its depth says inside of which block. */
static struct conf_node *
get_node(struct wire_in *in, struct conf_tree *tree, struct conf_node *last)
{
	unsigned depth = wire_u8(in);
	bool is_block = get_bool(in);
	uint32_t file = wire_u32(in);
	struct conf_node *parent = last, *node = NULL;
	struct conf_where end;
	struct conf_word *words = NULL;
	size_t nwords = 0;

	while (parent->depth > 0 && parent->depth >= depth)
		parent = parent->parent;
	if (depth != parent->depth + 1 || !parent->is_block || file >= tree->nfiles) {
		in->bad = true;
		return NULL;
	}
	end = get_where(in, tree->files[file]);
	get_words(in, tree->files[file], &words, &nwords);
	if (!in->bad)
		node = conf_tree_add(tree, parent, file, &words, &nwords, is_block, NULL);
	if (node != NULL)
		node->end = end;
	conf_words_free(&words, &nwords);
	return node;
}

static void
get_nodes(struct wire_in *in, struct conf_tree *tree)
{
	struct conf_node *last = tree->nodes[0];
	uint32_t n;

	last->end = get_where(in, tree->files[0]);
	n = wire_u32(in);
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		last = get_node(in, tree, last);
		if (last == NULL)
			in->bad = true;
	}
}

static void
get_answers(struct wire_in *in, struct conf_tree *tree)
{
	uint32_t n = wire_u32(in);

	if (n > CONF_ANSWERS_MAX)
		in->bad = true;
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		struct conf_answer **slot = mem_push(&tree->answers, &tree->nanswers, sizeof(*tree->answers)), *a;
		struct slice bytes;

		*slot = a = mem_new(sizeof(*a));
		a->ask = (enum conf_question)wire_u8(in);
		a->about = get_text(in);
		bytes = wire_bytes(in);
		a->bytes = mem_slice(bytes);
		a->len = bytes.len;
	}
}

/* Everything that may be asked is in the tree's answers already. */
static int
ask_nobody(void *arg, enum conf_question ask, const char *about, struct conf_answer *a, struct err *err)
{
	(void)arg;
	(void)ask;
	(void)a;
	return err_set(err, "the packed configuration holds no answer about \"%s\"", about);
}

struct conf *
conf_unpack(struct slice bytes, struct err *err)
{
	static const struct conf_world nobody = { ask_nobody, NULL };
	struct wire_in in = wire_open(bytes);
	bool is_ours = wire_u32(&in) == MAGIC;
	char *folder = get_text(&in);
	struct conf_tree *tree = conf_tree_new(folder);

	free(folder);
	in.bad = in.bad || !is_ours;
	get_files(&in, tree);
	if (!in.bad)
		get_nodes(&in, tree);
	if (!in.bad)
		get_answers(&in, tree);
	if (!wire_done(&in)) {
		conf_tree_free(&tree);
		err_set(err, "the packed configuration is damaged, or from another version of gatepost");
		return NULL;
	}
	return conf_load(tree, &nobody, err);
}
