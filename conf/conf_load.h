/* conf_load.h - the tree goes through the rows and becomes a struct conf. */
#ifndef CONF_CONF_LOAD_H
#define CONF_CONF_LOAD_H

#include "conf/conf_index.h"
#include "conf/conf_rows.h"
#include "conf/conf_tree.h"

/* Takes the tree over, also when it fails. NULL with "FILE:LINE:COLUMN: sentence". */
struct conf *conf_load(struct conf_tree *, const struct conf_world *, struct err *);

/* conf_read, asking this world. */
struct conf *conf_read_from(const char *path, const struct conf_world *, struct err *);

/* What the files of the loader share from here on. */

struct conf_reference {		/* a block's name, to be found once all blocks are read */
	const struct conf_row *row;
	const char *name;
	struct conf_where where;
	void *at;		/* the pointer to fill; of a list its array, which moves while it grows */
	size_t turn;		/* which one of the list */
};

struct conf_load {
	struct conf *conf;
	const struct conf_world *world;
	struct err *err;
	struct conf_reference *references;
	size_t nreferences;
	struct conf_index names[CONF_BLOCKS];
};

/* Reads the words of a setting, or those between a block's name and its "{", into the struct. */
int conf_value_set(struct conf_load *, const struct conf_row *, const struct conf_node *, void *block);

/* The same with the row's preset; `where` is for messages about it. */
int conf_value_preset(struct conf_load *, const struct conf_row *, const struct conf_where *, void *block);

/* Reads a file into a blob; `where` is for the message. */
int conf_value_blob(struct conf_load *, const char *path, const struct conf_where *, struct conf_blob *);

/* Says why this node may not stand in this block. Always -1. */
int conf_explain(struct conf_load *, enum conf_block, const struct conf_node *);

/* What no row can say: about one block, once its settings are in, and about the whole. */
int conf_check_block(struct conf_load *, enum conf_block, const struct conf_node *, void *block);
int conf_check_whole(struct conf_load *);

/* Once references point at their blocks: gives every profile what it has from others, ... */
int conf_fill_profiles(struct conf_load *);

/* ... and fills the indexes by which routes and profiles are found. */
int conf_fill_choices(struct conf_load *);

/* The setting that a profile has this from, and who wrote it; NULL: it is the default value. */
const struct conf_node *conf_profile_says(const struct conf_profile *, const char *setting, const struct conf_profile **who);

#endif
