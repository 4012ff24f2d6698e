#include "conf/conf_list.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "file:"

bool
conf_list_is(const char *word)
{
	return slice_starts(slice_of(word), PREFIX);
}

int
conf_list_open(struct conf_load *ld, const struct conf_word *word, struct conf_list *list)
{
	const struct conf_word name = { word->text + strlen(PREFIX), word->where };
	const struct conf_answer *file;
	char *path;

	if (name.text[0] == '\0')
		return conf_err(ld->err, &word->where, "expected the path of a file behind \"" PREFIX "\"");
	path = conf_tree_path(ld->conf->tree, &name);
	file = conf_tree_ask(ld->conf->tree, ld->world, CONF_ASK_LIST, path, ld->err);
	free(path);
	if (file == NULL)
		return conf_err(ld->err, &word->where, "%s", ld->err->text);
	*list = (struct conf_list){ .path = file->about, .left = { file->bytes, file->len } };
	return 0;
}

bool
conf_list_next(struct conf_list *list, struct slice *entry, struct conf_where *where)
{
	while (list->left.len > 0) {
		const char *begin = list->left.at;
		struct slice line = slice_cut(&list->left, '\n');

		list->line++;
		line = slice_cut(&line, '#');
		if (line.len > 0 && line.at[line.len - 1] == '\r')
			line.len--;
		*entry = slice_trim(line);
		*where = (struct conf_where){ list->path, list->line, (unsigned)(entry->at - begin) + 1 };
		if (entry->len > 0)
			return true;
	}
	return false;
}
