/* conf_tree.h - a configuration as a tree of settings and blocks, includes already taken in.
 *
 * The tree knows the shape only: what a name means is the rows' business (conf_rows.h). It owns
 * every text in it, the names of the files it was read from, and what the world answered while
 * it was loaded; conf_pack sends all of that, and nothing else. */
#ifndef CONF_CONF_TREE_H
#define CONF_CONF_TREE_H

#include "conf/conf_lex.h"
#include "conf/conf_world.h"

#define CONF_TEXT_MAX     (1u << 20)	/* octets of one file of configuration */
#define CONF_FILES_MAX    1000		/* files of configuration, each include counted */
#define CONF_INCLUDE_MAX  16		/* files open inside each other */
#define CONF_DEPTH_MAX    8		/* blocks inside each other */
#define CONF_NODES_MAX    100000
#define CONF_WORDS_MAX    1000000
#define CONF_ANSWERS_MAX  4096

struct conf_word {
	char *text;
	struct conf_where where;
};

struct conf_node {			/* "name word word;" or "name word { ... }" */
	struct conf_word *words;	/* [0] is the name; the root has none */
	size_t nwords;
	bool is_block;
	unsigned file;			/* index into the tree's files: all of a node stands in one file */
	unsigned depth;			/* 0 for the root */
	struct conf_where end;		/* of its ";" or "}" */
	struct conf_node *parent, *first, *last, *next;
};

struct conf_tree {
	char *folder;			/* what relative paths are relative to in the end; absolute */
	char **files;
	size_t nfiles;
	struct conf_node **nodes;	/* [0] is the root; in the order of the text: parents before children */
	size_t nnodes, nwords;
	struct conf_answer **answers;
	size_t nanswers;
};

/* Reads the file and what it includes. NULL with "FILE:LINE:COLUMN: sentence". */
struct conf_tree *conf_tree_read(const char *path, const struct conf_world *, struct err *);
void conf_tree_free(struct conf_tree **);

/* For who builds one: an empty tree with a root; a file's name, its index given back; a further
 * node, which takes the words over (NULL with a sentence when a cap is passed). */
struct conf_tree *conf_tree_new(const char *folder);
unsigned conf_tree_file(struct conf_tree *, const char *name);
struct conf_node *conf_tree_add(struct conf_tree *, struct conf_node *parent, unsigned file,
    struct conf_word **words, size_t *nwords, bool is_block, struct err *);
void conf_words_free(struct conf_word **, size_t *nwords);

/* Asks the world once and remembers; the answer belongs to the tree. NULL with a sentence. */
const struct conf_answer *conf_tree_ask(struct conf_tree *, const struct conf_world *, enum conf_question,
    const char *about, struct err *);

/* The first setting of this name in a block, or NULL. */
const struct conf_node *conf_node_child(const struct conf_node *block, const char *name);

/* Where a setting of a block stands; the block itself when it is not written. */
const struct conf_where *conf_tree_place(const struct conf_node *block, const char *setting);

/* The same of the k-th value of a setting that may be repeated: the struct holds all of them in one array. */
const struct conf_where *conf_tree_place_of_value(const struct conf_node *block, const char *setting, size_t k);

/* The next block of this name, from `node` on. A configuration's structs stand in the order of their blocks. */
const struct conf_node *conf_tree_block(const struct conf_node *, const char *name);

/* A path from the configuration, relative to the file that names it, as an absolute one. For a
 * pattern the folder's own characters are escaped: they are meant as they stand. */
char *conf_tree_path(const struct conf_tree *, const struct conf_word *);
char *conf_tree_pattern(const struct conf_tree *, const struct conf_word *);
bool conf_is_pattern(const char *path);		/* holds * ? or [ */

#endif
