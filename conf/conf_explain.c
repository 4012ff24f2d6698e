/* conf_explain.c - why a name may not stand where it stands, and what was probably meant. */
#include <string.h>

#include "conf/conf_hint.h"
#include "conf/conf_load.h"

#define SHOWN 80	/* octets of a wrong name that a message repeats */

/* "a listener or backend block": where settings of this name belong. False: nowhere. */
static bool
where_it_belongs(const char *name, struct buf *out)
{
	unsigned n = 0, left = 0;

	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++)
		left += conf_row_find(block, name) != NULL;
	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++) {
		if (conf_row_find(block, name) == NULL)
			continue;
		left--;
		if (block == CONF_IN_MAIN) {
			buf_puts(out, "outside of any block");
			return true;
		}
		buf_printf(out, "%s%s", n == 0 ? "into the block " : left == 0 ? " or " : ", ", conf_block_rows[block].name);
		n++;
	}
	return n > 0;
}

static void
try_names(struct conf_hint *hint, enum conf_block block, bool blocks)
{
	for (size_t i = 0; i < conf_nrows; i++)
		if (conf_rows[i].block == block && conf_rows[i].name != NULL)
			conf_hint_try(hint, conf_rows[i].name);
	for (enum conf_block b = CONF_IN_MAIN + 1; blocks && b < CONF_BLOCKS; b++)
		conf_hint_try(hint, conf_block_rows[b].name);
	conf_hint_try(hint, "include");
}

static int
unknown(struct conf_load *ld, enum conf_block block, const struct conf_node *node)
{
	const struct conf_word *name = &node->words[0];
	struct conf_hint hint = conf_hint_for(name->text);
	char text[CONF_HINT_TEXT_MAX];

	try_names(&hint, block, block == CONF_IN_MAIN);
	conf_hint_text(&hint, text);
	if (node->is_block)
		return conf_err(ld->err, &name->where, "there is no block called \"%.*s\"%s", SHOWN, name->text, text);
	if (block == CONF_IN_MAIN)
		return conf_err(ld->err, &name->where, "there is no setting called \"%.*s\"%s", SHOWN, name->text, text);
	return conf_err(ld->err, &name->where, "there is no setting called \"%.*s\" in the block %s%s",
	    SHOWN, name->text, conf_block_rows[block].name, text);
}

static int
explain_block(struct conf_load *ld, enum conf_block block, const struct conf_node *node)
{
	const struct conf_word *name = &node->words[0];

	if (conf_row_find(block, name->text) != NULL)
		return conf_err(ld->err, &node->end, "expected \";\" and no block: %s is a setting", name->text);
	if (conf_block_find(name->text) != CONF_BLOCKS)
		return conf_err(ld->err, &name->where,
		    "the block %s belongs outside of any block, but the %s of line %u is still open: is its \"}\" missing?",
		    name->text, node->parent->words[0].text, node->parent->words[0].where.line);
	return unknown(ld, block, node);
}

static int
explain_setting(struct conf_load *ld, enum conf_block block, const struct conf_node *node)
{
	const struct conf_word *name = &node->words[0];
	enum conf_block same = conf_block_find(name->text);
	struct buf text;
	int rc;

	buf_init(&text, ERR_MAX);
	if (where_it_belongs(name->text, &text))
		rc = conf_err(ld->err, &name->where, "the setting %s belongs %s", name->text, buf_str(&text));
	else if (same != CONF_BLOCKS)
		rc = conf_err(ld->err, &name->where, "%s is a block: expected %s %s { ... }",
		    name->text, name->text, conf_block_rows[same].label);
	else
		rc = unknown(ld, block, node);
	buf_free(&text);
	return rc;
}

int
conf_explain(struct conf_load *ld, enum conf_block block, const struct conf_node *node)
{
	return node->is_block ? explain_block(ld, block, node) : explain_setting(ld, block, node);
}
