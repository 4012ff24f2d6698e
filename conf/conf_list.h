/* conf_list.h - a file with one address or domain in a line; # begins a comment, blank lines are nothing. */
#ifndef CONF_CONF_LIST_H
#define CONF_CONF_LIST_H

#include "conf/conf_load.h"

#define CONF_LIST_LINES_MAX 1000000

struct conf_list {
	const char *path;
	struct slice left;
	unsigned line;		/* of the last entry */
};

/* A route's word that names such a file. */
bool conf_list_is(const char *word);

/* Opens the file of "file:PATH"; its contents belong to the tree. -1 with a sentence. */
int conf_list_open(struct conf_load *, const struct conf_word *, struct conf_list *);

/* The next entry as it stands, and where; false at the end. */
bool conf_list_next(struct conf_list *, struct slice *entry, struct conf_where *);

#endif
