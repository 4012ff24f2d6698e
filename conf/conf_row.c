/* conf_row.c - what is done with any row: found, described, its value freed. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_rows.h"
#include "conf/conf_units.h"

const struct conf_row *
conf_row_find(enum conf_block block, const char *name)
{
	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (row->block == block && (name == NULL || row->name == NULL ? name == row->name : strcmp(row->name, name) == 0))
			return row;
	}
	return NULL;
}

enum conf_block
conf_block_find(const char *name)
{
	enum conf_block block = CONF_IN_MAIN + 1;

	while (block < CONF_BLOCKS && strcmp(conf_block_rows[block].name, name) != 0)
		block++;
	return block;
}

const char *
conf_row_name(const struct conf_row *row)
{
	return row->name != NULL ? row->name : conf_block_rows[row->block].name;
}

const char *
conf_row_word(enum conf_block block, const char *setting, int value)
{
	const struct conf_enum_word *w = conf_row_find(block, setting)->words;

	while (w->word != NULL && w->value != value)
		w++;
	return w->word;
}

bool
conf_row_is_list(const struct conf_row *row)
{
	return row->type >= CONF_TYPE_FLAGS;
}

/* What is not supported yet is not expected either. */
static void
expect_one_of(const struct conf_enum_word *words, struct buf *out)
{
	size_t left = 0;
	bool first = true;

	for (size_t i = 0; words[i].word != NULL; i++)
		left += words[i].value != CONF_NOT_YET;
	for (size_t i = 0; words[i].word != NULL; i++) {
		if (words[i].value == CONF_NOT_YET)
			continue;
		left--;
		buf_printf(out, "%s%s", first ? "" : left == 0 ? " or " : ", ", words[i].word);
		first = false;
	}
}

static void
expect_between(const struct conf_row *row, void (*text)(int64_t, char *), const char *what, struct buf *out)
{
	char min[CONF_UNITS_TEXT_MAX], max[CONF_UNITS_TEXT_MAX];

	text(row->min, min);
	text(row->max, max);
	buf_printf(out, "a %s from %s to %s", what, min, max);
}

void
conf_row_expects(const struct conf_row *row, struct buf *out)
{
	static const char *const plain[CONF_TYPES] = {
		[CONF_TYPE_ON_OFF] = "on or off",
		[CONF_TYPE_NAME] = "a name",
		[CONF_TYPE_HOST] = "a host's name",
		[CONF_TYPE_USER] = "a user: NAME, UID or UID:GID",
		[CONF_TYPE_REFUSAL] = "a text in ASCII, in quotes when it has blanks",
		[CONF_TYPE_CIPHERS] = "a list of ciphers as OpenSSL writes it",
		[CONF_TYPE_LOGIN] = "a user's name",
		[CONF_TYPE_PATH] = "a path",
		[CONF_TYPE_LOG] = "stderr, syslog or file PATH",
		[CONF_TYPE_BLOB] = "a file",
		[CONF_TYPE_NETWORKS] = "networks",
		[CONF_TYPE_PATHS] = "paths",
		[CONF_TYPE_GLOBS] = "paths (* ? [] match)",
		[CONF_TYPE_DOMAINS] = "domains",
		[CONF_TYPE_RECIPIENTS] = "addresses and domains",
		[CONF_TYPE_USERS] = "users",
		[CONF_TYPE_PINS] = "sha256//BASE64",
	};

	switch (row->type) {
	case CONF_TYPE_NUMBER:
		buf_printf(out, "a number from %lld to %lld", (long long)row->min, (long long)row->max);
		break;
	case CONF_TYPE_AUTO:
		buf_printf(out, "auto or a number from %lld to %lld", (long long)row->min, (long long)row->max);
		break;
	case CONF_TYPE_SIZE:
		expect_between(row, conf_units_size_text, "size", out);
		break;
	case CONF_TYPE_TIME:
		expect_between(row, conf_units_time_text, "time", out);
		break;
	case CONF_TYPE_SCORE:
		expect_between(row, conf_units_score_text, "score", out);
		if (row->words != NULL)
			buf_printf(out, " or %s", row->words[0].word);
		break;
	case CONF_TYPE_ENUM:
		expect_one_of(row->words, out);
		break;
	case CONF_TYPE_FLAGS:
		buf_puts(out, "any of ");
		expect_one_of(row->words, out);
		break;
	case CONF_TYPE_ADDRESSES:
		buf_puts(out, row->min == 0 ? "addresses with ports" : "addresses");
		break;
	case CONF_TYPE_PLACES:
		buf_printf(out, "addresses with ports or %s", row->words[0].word);
		break;
	case CONF_TYPE_REFERENCE:
	case CONF_TYPE_REFERENCES:
		buf_printf(out, "the name of a %s block", conf_block_rows[row->refers].name);
		break;
	default:
		buf_puts(out, plain[row->type]);
	}
}

static void
free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void
free_places(struct conf_place *places, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(places[i].host);
	free(places);
}

static void *
pointer_at(const void *at)
{
	void *p;

	memcpy(&p, at, sizeof(p));
	return p;
}

static void
free_row(const struct conf_row *row, char *block)
{
	switch (row->type) {
	case CONF_TYPE_NAME:
	case CONF_TYPE_HOST:
	case CONF_TYPE_USER:
	case CONF_TYPE_REFUSAL:
	case CONF_TYPE_CIPHERS:
	case CONF_TYPE_LOGIN:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ADDRESSES:
	case CONF_TYPE_NETWORKS:
	case CONF_TYPE_REFERENCES:
		free(pointer_at(block + row->at));
		break;
	case CONF_TYPE_LOG:
		free(pointer_at(block + row->also));
		break;
	case CONF_TYPE_PLACES:
		free_places(pointer_at(block + row->at), *(size_t *)(void *)(block + row->also));
		break;
	case CONF_TYPE_PATHS:
	case CONF_TYPE_GLOBS:
	case CONF_TYPE_DOMAINS:
	case CONF_TYPE_RECIPIENTS:
	case CONF_TYPE_USERS:
	case CONF_TYPE_PINS:
		free_texts(pointer_at(block + row->at), *(size_t *)(void *)(block + row->also));
		break;
	default:	/* numbers; references; blobs point into the tree's answers */
		break;
	}
}

void
conf_rows_free(enum conf_block block, void *at)
{
	for (size_t i = 0; i < conf_nrows; i++)
		if (conf_rows[i].block == block)
			free_row(&conf_rows[i], at);
}
