/* conf_value.c - the words of a setting become a value, as its row's type says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_hint.h"
#include "conf/conf_list.h"
#include "conf/conf_names.h"
#include "conf/conf_place.h"
#include "conf/conf_units.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"

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
	bool none = row->words != NULL && strcmp(word->text, row->words[0].word) == 0;
	int32_t value;

	(void)n;
	if (!none && within_limits(ld, row, word, read, thousandths) == -1)
		return -1;
	value = none ? CONF_NO_SCORE : (int32_t)thousandths;
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
		[CONF_TYPE_REFUSAL] = conf_refusal_fault,
		[CONF_TYPE_CIPHERS] = conf_ciphers_fault,
		[CONF_TYPE_LOGIN] = conf_login_fault,
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

	*r = (struct conf_reference){ .row = row, .name = word->text, .where = word->where, .at = at };
	if (n != NULL) {
		r->turn = *n;
		mem_push(at, n, sizeof(void *));
	}
	return 0;
}

/* Protocols' own words: in whatever case. One without a bit means that there are none. */
static int
add_flag(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct conf_hint hint = conf_hint_for(word->text);
	char text[CONF_HINT_TEXT_MAX];
	unsigned flags;

	(void)n;
	memcpy(&flags, at, sizeof(flags));
	for (const struct conf_enum_word *w = row->words; w->word != NULL; w++) {
		if (slice_iis(slice_of(word->text), w->word)) {
			flags |= (unsigned)w->value;
			memcpy(at, &flags, sizeof(flags));
			return 0;
		}
		conf_hint_try(&hint, w->word);
	}
	return unexpected(ld, row, word, conf_hint_text(&hint, text));
}

static int
add_address(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct addr *addr = mem_push(at, n, sizeof(*addr));

	if (addr_parse(addr, word->text, (unsigned)row->min, ld->err) == -1)
		return conf_err(ld->err, &word->where, "%s: %s", row->name, ld->err->text);
	return 0;
}

static int
weigh_place(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t n)
{
	struct conf_place *places;

	memcpy(&places, at, sizeof(places));
	if (n == 0 || places[n - 1].weight != 0)
		return conf_err(ld->err, &word->where, "%s: expected an address before \"%.*s\"", row->name, SHOWN, word->text);
	if (conf_place_weigh(&places[n - 1], word->text, ld->err) == -1)
		return conf_err(ld->err, &word->where, "%s: %s", row->name, ld->err->text);
	return 0;
}

/* The word that may stand for them all leaves an empty place: conf_check.c sees to what this means. */
static int
add_place(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct conf_place *place;

	if (slice_starts(slice_of(word->text), CONF_PLACE_WEIGHT))
		return weigh_place(ld, row, word, at, *n);
	place = mem_push(at, n, sizeof(*place));
	if (strcmp(word->text, row->words[0].word) != 0 && conf_place_parse(place, word->text, ld->err) == -1)
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

/* A domain's case never means anything; that of what stands before the "@" is kept. */
static char *
lower_domain(const char *text)
{
	char *copy = mem_str(text), *at = strrchr(copy, '@');

	for (char *c = at != NULL ? at : copy; *c != '\0'; c++)
		*c = (char)ascii_lower((unsigned char)*c);
	return copy;
}

/* One of the lists of texts that conf_names.c knows. */
static int
add_text(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	static const char *(*const fault_of[CONF_TYPES])(const char *) = {
		[CONF_TYPE_DOMAINS] = conf_route_fault,
		[CONF_TYPE_RECIPIENTS] = conf_recipient_fault,
		[CONF_TYPE_USERS] = conf_who_fault,
		[CONF_TYPE_PINS] = conf_pin_fault,
	};
	const char *fault = fault_of[row->type](word->text);
	char **text;

	if (fault != NULL)
		return faulty(ld, row, word, fault);
	text = mem_push(at, n, sizeof(*text));
	*text = row->type == CONF_TYPE_DOMAINS || row->type == CONF_TYPE_RECIPIENTS ? lower_domain(word->text) : mem_str(word->text);
	return 0;
}

/* Entries of a file are no words: the lexer has not seen them. */
static const char *
entry_fault(struct slice entry, const char *text)
{
	for (size_t len; entry.len > 0; entry = slice_part(entry, len, entry.len)) {
		len = str_utf8_len(entry);
		if (len == 0)
			return "it is not UTF-8";
		if ((unsigned char)entry.at[0] < ' ' || entry.at[0] == 0x7f)
			return "it holds a control character";
	}
	return conf_recipient_fault(text);
}

static int
add_entry(struct conf_load *ld, const struct conf_row *row, struct slice entry, const struct conf_where *where, void *at, size_t *n)
{
	char *text = mem_slice(entry);
	const char *fault = entry_fault(entry, text);
	char **slot;

	if (fault == NULL) {
		slot = mem_push(at, n, sizeof(*slot));
		*slot = lower_domain(text);
	} else {
		const struct conf_word word = { text, *where };

		faulty(ld, row, &word, fault);
	}
	free(text);
	return fault == NULL ? 0 : -1;
}

static int
add_list(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	struct conf_list list;
	struct conf_where where;
	struct slice entry;

	if (conf_list_open(ld, word, &list) == -1)
		return -1;
	while (conf_list_next(&list, &entry, &where)) {
		if (list.line > CONF_LIST_LINES_MAX)
			return conf_err(ld->err, &where, "expected at most %d lines", CONF_LIST_LINES_MAX);
		if (add_entry(ld, row, entry, &where, at, n) == -1)
			return -1;
	}
	return 0;
}

static int
add_domain(struct conf_load *ld, const struct conf_row *row, const struct conf_word *word, void *at, size_t *n)
{
	return conf_list_is(word->text) ? add_list(ld, row, word, at, n) : add_text(ld, row, word, at, n);
}

/* `n` is a list's length, NULL for what has none. */
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
	[CONF_TYPE_REFUSAL] = set_text,
	[CONF_TYPE_CIPHERS] = set_text,
	[CONF_TYPE_LOGIN] = set_text,
	[CONF_TYPE_PATH] = set_path,
	[CONF_TYPE_BLOB] = set_blob,
	[CONF_TYPE_REFERENCE] = set_reference,
	[CONF_TYPE_FLAGS] = add_flag,
	[CONF_TYPE_ADDRESSES] = add_address,
	[CONF_TYPE_PLACES] = add_place,
	[CONF_TYPE_NETWORKS] = add_network,
	[CONF_TYPE_PATHS] = add_path,
	[CONF_TYPE_GLOBS] = add_matches,
	[CONF_TYPE_DOMAINS] = add_domain,
	[CONF_TYPE_RECIPIENTS] = add_text,
	[CONF_TYPE_USERS] = add_text,
	[CONF_TYPE_PINS] = add_text,
	[CONF_TYPE_REFERENCES] = set_reference,
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
	bool has_length = conf_row_is_list(row) && row->type != CONF_TYPE_FLAGS;
	size_t *n = has_length ? (void *)((char *)block + row->also) : NULL;

	if (check_words(ld, row, node) == -1)
		return -1;
	if (row->type == CONF_TYPE_LOG)
		return set_log(ld, row, node, block);
	for (size_t i = 1; i < node->nwords; i++) {
		if (setters[row->type](ld, row, &node->words[i], at, n) == -1)
			return -1;
		if (n != NULL && row->max > 0 && *n > (size_t)row->max)
			return conf_err(ld->err, &node->words[i].where, "%s: expected at most %lld of them", row->name, (long long)row->max);
	}
	return 0;
}

/* The words of a list's preset. References are in none: they keep their word until the end. */
static int
set_preset_list(struct conf_load *ld, const struct conf_row *row, const struct conf_where *where, void *block)
{
	struct slice rest = slice_of(row->preset), text = slice_of(row->name);
	struct conf_node setting = { .end = *where };
	int rc;

	for (; text.len > 0; text = slice_word(&rest)) {
		struct conf_word *word = mem_push(&setting.words, &setting.nwords, sizeof(*word));

		*word = (struct conf_word){ mem_slice(text), *where };
	}
	rc = conf_value_set(ld, row, &setting, block);
	conf_words_free(&setting.words, &setting.nwords);
	return rc;
}

int
conf_value_preset(struct conf_load *ld, const struct conf_row *row, const struct conf_where *where, void *block)
{
	struct conf_word words[] = { { (char *)row->name, *where }, { (char *)row->preset, *where } };
	const struct conf_node setting = { .words = words, .nwords = NITEMS(words), .end = *where };

	return conf_row_is_list(row) ? set_preset_list(ld, row, where, block) : conf_value_set(ld, row, &setting, block);
}
