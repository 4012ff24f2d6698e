/* conf_parse.c - words and signs become the tree; includes are taken in where they stand. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_tree.h"
#include "proxy/base/mem.h"

struct parse {
	struct conf_tree *tree;
	const struct conf_world *world;
	struct err *err;
};

struct open_file {
	const struct open_file *outer;	/* the file that includes this one */
	unsigned depth;
	const struct conf_answer *text;
	unsigned file;			/* index into the tree's files */
	struct conf_lex lex;
	struct conf_node *outside;	/* the block that the include stands in: not ours to close */
	struct conf_node *block;	/* the innermost open one */
};

enum outcome { PARSE_ON, PARSE_END, PARSE_FAILED };

static int read_file(struct parse *, const struct open_file *outer, const char *path, const struct conf_where *);

/* Puts the place of the include before a sentence that has none. */
static int
failed_at(struct parse *p, const struct conf_where *where)
{
	return where != NULL ? conf_err(p->err, where, "%s", p->err->text) : -1;
}

static int
include_pattern(struct parse *p, const struct open_file *f, const struct conf_word *word)
{
	char *pattern = conf_tree_pattern(p->tree, word);
	struct conf_answer *found = conf_world_ask(p->world, CONF_ASK_GLOB, pattern, p->err);
	int rc = found != NULL ? 0 : failed_at(p, &word->where);

	for (size_t at = 0; rc == 0 && at < found->len; at += strlen(found->bytes + at) + 1)
		rc = read_file(p, f, found->bytes + at, &word->where);
	conf_answer_free(&found);
	free(pattern);
	return rc;
}

static int
include_path(struct parse *p, const struct open_file *f, const struct conf_word *word)
{
	char *path = conf_tree_path(p->tree, word);
	int rc = read_file(p, f, path, &word->where);

	free(path);
	return rc;
}

static int
include(struct parse *p, const struct open_file *f, const struct conf_word *words, size_t nwords)
{
	int rc = 0;

	if (nwords == 1)
		return conf_err(p->err, &words[0].where, "expected include PATH");
	for (size_t i = 1; rc == 0 && i < nwords; i++)
		rc = conf_is_pattern(words[i].text) ? include_pattern(p, f, &words[i]) : include_path(p, f, &words[i]);
	return rc;
}

/* Collects words up to the sign that ends them. */
static int
read_words(struct parse *p, struct open_file *f, struct conf_word **words, size_t *nwords, struct conf_token *end)
{
	for (;;) {
		struct conf_word *word;

		if (conf_lex_next(&f->lex, end, p->err) == -1)
			return -1;
		if (end->kind != CONF_TOKEN_WORD)
			return 0;
		if (*nwords == CONF_WORDS_MAX)
			return conf_err(p->err, &end->where, "expected at most %d words altogether", CONF_WORDS_MAX);
		word = mem_push(words, nwords, sizeof(**words));
		word->text = mem_slice(end->text);
		word->where = end->where;
	}
}

static enum outcome
close_block(struct parse *p, struct open_file *f, const struct conf_token *end)
{
	if (f->block == f->outside) {
		conf_err(p->err, &end->where, "expected a setting or a block: no block of this file is open here that \"}\" could close");
		return PARSE_FAILED;
	}
	f->block->end = end->where;
	f->block = f->block->parent;
	return PARSE_ON;
}

static enum outcome
close_file(struct parse *p, struct open_file *f, const struct conf_token *end)
{
	const struct conf_node *open = f->block;

	if (f->outer == NULL)
		p->tree->nodes[0]->end = end->where;
	if (open == f->outside)
		return PARSE_END;
	conf_err(p->err, &end->where, "expected \"}\": the block %s%s%s, opened in line %u, is never closed",
	    open->words[0].text, open->nwords > 1 ? " " : "", open->nwords > 1 ? open->words[1].text : "",
	    open->words[0].where.line);
	return PARSE_FAILED;
}

/* A sign without words before it. */
static enum outcome
read_sign(struct parse *p, struct open_file *f, const struct conf_token *end)
{
	switch (end->kind) {
	case CONF_TOKEN_CLOSE:
		return close_block(p, f, end);
	case CONF_TOKEN_END:
		return close_file(p, f, end);
	default:
		conf_err(p->err, &end->where, "expected the name of a setting or block before \"%s\"",
		    end->kind == CONF_TOKEN_OPEN ? "{" : ";");
		return PARSE_FAILED;
	}
}

static enum outcome
add_node(struct parse *p, struct open_file *f, struct conf_word **words, size_t *nwords, const struct conf_token *end)
{
	struct conf_node *node;

	if (end->kind != CONF_TOKEN_SEMICOLON && end->kind != CONF_TOKEN_OPEN) {
		conf_err(p->err, &end->where, "expected \";\" before %s",
		    end->kind == CONF_TOKEN_CLOSE ? "\"}\"" : "the end of the file");
		return PARSE_FAILED;
	}
	if (strcmp((*words)[0].text, "include") == 0 && end->kind == CONF_TOKEN_SEMICOLON)
		return include(p, f, *words, *nwords) == 0 ? PARSE_ON : PARSE_FAILED;
	node = conf_tree_add(p->tree, f->block, f->file, words, nwords, end->kind == CONF_TOKEN_OPEN, p->err);
	if (node == NULL)
		return PARSE_FAILED;
	node->end = end->where;
	if (node->is_block)
		f->block = node;
	return PARSE_ON;
}

static enum outcome
read_statement(struct parse *p, struct open_file *f)
{
	struct conf_word *words = NULL;
	struct conf_token end;
	size_t nwords = 0;
	enum outcome outcome = PARSE_FAILED;

	if (read_words(p, f, &words, &nwords, &end) == 0)
		outcome = nwords > 0 ? add_node(p, f, &words, &nwords, &end) : read_sign(p, f, &end);
	conf_words_free(&words, &nwords);
	return outcome;
}

static int
check_file(struct parse *p, const struct open_file *f, const char *path)
{
	if (f->text->len > CONF_TEXT_MAX)
		return err_set(p->err, "%s is larger than %u octets", path, CONF_TEXT_MAX);
	for (const struct open_file *o = f->outer; o != NULL; o = o->outer)
		if (o->text->dev == f->text->dev && o->text->ino == f->text->ino)
			return err_set(p->err, "%s includes itself", path);
	return 0;
}

static int
read_statements(struct parse *p, struct open_file *f, const char *path)
{
	enum outcome outcome;

	f->file = conf_tree_file(p->tree, path);
	conf_lex_init(&f->lex, p->tree->files[f->file], (struct slice){ f->text->bytes, f->text->len });
	do
		outcome = read_statement(p, f);
	while (outcome == PARSE_ON);
	conf_lex_free(&f->lex);
	return outcome == PARSE_END ? 0 : -1;
}

/* Calls itself through an include, CONF_INCLUDE_MAX deep at most. */
static int
read_file(struct parse *p, const struct open_file *outer, const char *path, const struct conf_where *where)
{
	struct conf_node *block = outer != NULL ? outer->block : p->tree->nodes[0];
	struct open_file f = { .outer = outer, .depth = outer != NULL ? outer->depth + 1 : 1, .outside = block, .block = block };
	struct conf_answer *text;
	int rc;

	if (f.depth > CONF_INCLUDE_MAX)
		return conf_err(p->err, where, "expected includes to be nested at most %d deep", CONF_INCLUDE_MAX);
	if (p->tree->nfiles == CONF_FILES_MAX)
		return conf_err(p->err, where, "expected at most %d files altogether", CONF_FILES_MAX);
	text = conf_world_ask(p->world, CONF_ASK_FILE, path, p->err);
	if (text == NULL)
		return failed_at(p, where);
	f.text = text;
	rc = check_file(p, &f, path) == 0 ? read_statements(p, &f, path) : failed_at(p, where);
	conf_answer_free(&text);
	return rc;
}

struct conf_tree *
conf_tree_read(const char *path, const struct conf_world *world, struct err *err)
{
	struct conf_answer *folder = NULL;
	struct parse p = { .world = world, .err = err };

	if (path[0] != '/') {
		folder = conf_world_ask(world, CONF_ASK_FOLDER, "", err);
		if (folder == NULL)
			return NULL;
	}
	p.tree = conf_tree_new(folder != NULL ? folder->bytes : "/");
	conf_answer_free(&folder);
	if (read_file(&p, NULL, path, NULL) == -1)
		conf_tree_free(&p.tree);
	return p.tree;
}
