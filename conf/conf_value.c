/* conf_value.c - the words of a setting become a value, as its row's type says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_hint.h"
#include "conf/conf_load.h"
#include "conf/conf_names.h"
#include "conf/conf_units.h"
#include "proxy/base/mem.h"

#define EXPECTS_MAX 256
#define SHOWN 80	/* octets of a wrong word that a message repeats */

static int
unexpected(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, const char *more)
{
	struct buf text;

	buf_init(&text, EXPECTS_MAX);
	conf_row_expects(row, &text);
	conf_err(ld->err, &word->where, "%s: expected %s, not \"%.*s\"%s",
	    conf_row_name(row), buf_str(&text), SHOWN, word->text, more);
	buf_free(&text);
	return -1;
}

static int
faulty(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, const char *fault)
{
	char more[EXPECTS_MAX];

	snprintf(more, sizeof(more), ": %s", fault);
	return unexpected(ld, row, word, more);
}

static int
set_on_off(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	bool on = strcmp(word->text, "on") == 0;

	(void)n;
	if (!on && strcmp(word->text, "off") != 0)
		return unexpected(ld, row, word, "");
	memcpy(at, &on, sizeof(on));
	return 0;
}

static int
within_limits(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, bool read, int64_t n)
{
	return read && n >= row->min && n <= row->max ? 0 : unexpected(ld, row, word, "");
}

static int
set_number(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	uint64_t number = 0;
	bool is_auto = row->type == CONF_TYPE_AUTO && strcmp(word->text, "auto") == 0;
	bool read = slice_number(slice_of(word->text), &number) && number <= UINT32_MAX;
	unsigned value = (unsigned)number;

	(void)n;
	if (!is_auto && within_limits(ld, row, word, read, (int64_t)number) == -1)
		return -1;
	memcpy(at, &value, sizeof(value));
	return 0;
}

static int
set_size(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	int64_t octets = 0;
	bool read = conf_units_size(slice_of(word->text), &octets);
	uint64_t value = (uint64_t)octets;

	(void)n;
	if (within_limits(ld, row, word, read, octets) == -1)
		return -1;
	memcpy(at, &value, sizeof(value));
	return 0;
}

static int
set_time(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	int64_t milliseconds = 0;
	uint64_t number;
	bool read = conf_units_time(slice_of(word->text), &milliseconds);
	double value = (double)milliseconds / 1000;

	(void)n;
	if (!read && slice_number(slice_of(word->text), &number))
		return faulty(ld, row, word, "a unit is missing (ms, s, m, h or d)");
	if (within_limits(ld, row, word, read, milliseconds) == -1)
		return -1;
	memcpy(at, &value, sizeof(value));
	return 0;
}

static int
set_score(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	int64_t thousandths = 0;
	bool read = conf_units_score(slice_of(word->text), &thousandths);
	int32_t value;

	(void)n;
	if (within_limits(ld, row, word, read, thousandths) == -1)
		return -1;
	value = (int32_t)thousandths;
	memcpy(at, &value, sizeof(value));
	return 0;
}

static int
set_enum(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct conf_hint hint = conf_hint_for(word->text);
	char text[CONF_HINT_TEXT_MAX];

	(void)n;
	for (const struct conf_enum_word *w = row->words; w->word != NULL; w++) {
		unsigned value = (unsigned)w->value;

		if (strcmp(word->text, w->word) != 0) {
			if (w->value != CONF_NOT_YET)
				conf_hint_try(&hint, w->word);
			continue;
		}
		if (w->value == CONF_NOT_YET)
			return conf_err(ld->err, &word->where, "%s %s in a %s block is not supported yet",
			    row->name, w->word, conf_block_rows[row->block].name);
		memcpy(at, &value, sizeof(value));
		return 0;
	}
	return unexpected(ld, row, word, conf_hint_text(&hint, text));
}

/* One of the texts that conf_names.c knows. */
static int
set_text(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	static const char *(*const fault_of[CONF_TYPES])(const char *) = {
		[CONF_TYPE_NAME] = conf_name_fault,
		[CONF_TYPE_HOST] = conf_domain_fault,
		[CONF_TYPE_USER] = conf_user_fault,
		[CONF_TYPE_WORDS] = conf_words_fault,
	};
	const char *fault = fault_of[row->type](word->text);
	char *value;

	(void)n;
	if (fault != NULL)
		return faulty(ld, row, word, fault);
	value = mem_str(word->text);
	memcpy(at, &value, sizeof(value));
	return 0;
}

static int
set_path(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	char *value;

	(void)n;
	if (word->text[0] == '\0')
		return unexpected(ld, row, word, "");
	value = conf_tree_path(ld->conf->tree, word);
	memcpy(at, &value, sizeof(value));
	return 0;
}

int
conf_value_blob(struct conf_load *ld, const char *path, const struct conf_where *where, struct conf_blob *blob)
{
	const struct conf_answer *file = conf_tree_ask(ld->conf->tree, ld->world, CONF_ASK_FILE, path, ld->err);

	if (file == NULL)
		return conf_err(ld->err, where, "%s", ld->err->text);
	if (file->len == 0)
		return conf_err(ld->err, where, "%s is empty", path);
	*blob = (struct conf_blob){ file->about, file->bytes, file->len };
	return 0;
}

static int
set_blob(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	char *path;
	int rc;

	(void)n;
	if (word->text[0] == '\0')
		return unexpected(ld, row, word, "");
	path = conf_tree_path(ld->conf->tree, word);
	rc = conf_value_blob(ld, path, &word->where, at);
	free(path);
	return rc;
}

static int
set_reference(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct conf_reference *r = mem_push(&ld->references, &ld->nreferences, sizeof(*r));

	(void)n;
	*r = (struct conf_reference){ row, word->text, word->where, at };
	return 0;
}

static int
add_address(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct addr *addr = mem_push(at, n, sizeof(*addr));

	if (row->words != NULL && strcmp(word->text, row->words[0].word) == 0) {
		addr->ss.ss_family = AF_UNSPEC;		/* conf_check.c sees to what this means */
		return 0;
	}
	if (addr_parse(addr, word->text, 0, ld->err) == -1)
		return conf_err(ld->err, &word->where, "%s: %s", row->name, ld->err->text);
	return 0;
}

static int
add_network(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct net *net = mem_push(at, n, sizeof(*net));

	if (net_parse(net, word->text, ld->err) == -1)
		return conf_err(ld->err, &word->where, "%s: %s", row->name, ld->err->text);
	return 0;
}

static int
add_path(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	char **path;

	if (word->text[0] == '\0')
		return unexpected(ld, row, word, "");
	path = mem_push(at, n, sizeof(*path));
	*path = conf_tree_path(ld->conf->tree, word);
	return 0;
}

/* A pattern may match nothing; a path without * ? [ has to be there. */
static int
add_matches(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	char *pattern = conf_tree_pattern(ld->conf->tree, word);
	const struct conf_answer *found = conf_tree_ask(ld->conf->tree, ld->world, CONF_ASK_GLOB, pattern, ld->err);
	char **path;

	free(pattern);
	if (found == NULL)
		return conf_err(ld->err, &word->where, "%s: %s", row->name, ld->err->text);
	if (found->len == 0 && !conf_is_pattern(word->text))
		return conf_err(ld->err, &word->where, "%s: there is no file \"%.*s\"", row->name, SHOWN, word->text);
	for (size_t i = 0; i < found->len; i += strlen(found->bytes + i) + 1) {
		path = mem_push(at, n, sizeof(*path));
		*path = mem_str(found->bytes + i);
	}
	return 0;
}

static int
add_domain(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	const char *fault = conf_route_fault(word->text);
	char **domain;

	if (fault != NULL)
		return faulty(ld, row, word, fault);
	domain = mem_push(at, n, sizeof(*domain));
	*domain = mem_str(word->text);
	for (char *c = *domain; *c != '\0'; c++)
		*c = (char)ascii_lower((unsigned char)*c);
	return 0;
}

/* `n` is a list's length, NULL for what is no list. */
static int (*const setters[CONF_TYPES])(struct conf_load *, const struct conf_row *, const struct conf_word *,
    void *at, size_t *n) = {
	[CONF_TYPE_ON_OFF] = set_on_off,
	[CONF_TYPE_NUMBER] = set_number,
	[CONF_TYPE_AUTO] = set_number,
	[CONF_TYPE_SIZE] = set_size,
	[CONF_TYPE_TIME] = set_time,
	[CONF_TYPE_SCORE] = set_score,
	[CONF_TYPE_ENUM] = set_enum,
	[CONF_TYPE_NAME] = set_text,
	[CONF_TYPE_HOST] = set_text,
	[CONF_TYPE_USER] = set_text,
	[CONF_TYPE_WORDS] = set_text,
	[CONF_TYPE_PATH] = set_path,
	[CONF_TYPE_BLOB] = set_blob,
	[CONF_TYPE_REFERENCE] = set_reference,
	[CONF_TYPE_ADDRESSES] = add_address,
	[CONF_TYPE_NETWORKS] = add_network,
	[CONF_TYPE_PATHS] = add_path,
	[CONF_TYPE_GLOBS] = add_matches,
	[CONF_TYPE_DOMAINS] = add_domain,
};

/* log stderr; log syslog; log file PATH; the only setting of two words. */
static int
set_log(struct conf_load *ld, const struct conf_row *row, const struct conf_node *node, char *block)
{
	const struct conf_word *word = &node->words[1];
	enum log_kind kind = LOG_TO_STDERR;

	if (strcmp(word->text, "file") == 0) {
		if (node->nwords == 2)
			return conf_err(ld->err, &node->end, "log file: expected a path");
		kind = LOG_TO_FILE;
		if (set_path(ld, row, &node->words[2], block + row->also, NULL) == -1)
			return -1;
	} else if (strcmp(word->text, "syslog") == 0) {
		kind = LOG_TO_SYSLOG;
	} else if (strcmp(word->text, "stderr") != 0) {
		struct conf_hint hint = conf_hint_for(word->text);
		char text[CONF_HINT_TEXT_MAX];

		conf_hint_try(&hint, "stderr");
		conf_hint_try(&hint, "syslog");
		conf_hint_try(&hint, "file");
		return unexpected(ld, row, word, conf_hint_text(&hint, text));
	}
	memcpy(block + row->at, &kind, sizeof(kind));
	return 0;
}

/* How many words there may be, the setting's name counted. */
static size_t
most_words(const struct conf_row *row, const struct conf_node *node)
{
	if (conf_row_is_list(row))
		return SIZE_MAX;
	if (row->type == CONF_TYPE_LOG && node->nwords > 1 && strcmp(node->words[1].text, "file") == 0)
		return 3;
	return 2;
}

static int
check_words(struct conf_load *ld, const struct conf_row *row, const struct conf_node *node)
{
	size_t most = most_words(row, node);
	struct buf text;

	if (node->nwords > most)
		return conf_err(ld->err, &node->words[most].where, "expected \"%s\" before \"%.*s\"",
		    node->is_block ? "{" : ";", SHOWN, node->words[most].text);
	if (node->nwords > 1)
		return 0;
	buf_init(&text, EXPECTS_MAX);
	conf_row_expects(row, &text);
	conf_err(ld->err, &node->end, "%s: expected %s", conf_row_name(row), buf_str(&text));
	buf_free(&text);
	return -1;
}

int
conf_value_set(struct conf_load *ld, const struct conf_row *row, const struct conf_node *node, void *block)
{
	char *at = (char *)block + row->at;
	size_t *n = conf_row_is_list(row) ? (void *)((char *)block + row->also) : NULL;

	if (check_words(ld, row, node) == -1)
		return -1;
	if (row->type == CONF_TYPE_LOG)
		return set_log(ld, row, node, block);
	for (size_t i = 1; i < node->nwords; i++)
		if (setters[row->type](ld, row, &node->words[i], at, n) == -1)
			return -1;
	return 0;
}
