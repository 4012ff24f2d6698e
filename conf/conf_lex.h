/* conf_lex.h - a configuration's text as words and signs, each with its place.
 *
 * A word stands bare or in "quotes" (\" \\ \$ inside); ${NAME} and ${NAME:-default} are replaced
 * in both and never split into several words. # begins a comment where a word could begin. Words
 * are well-formed UTF-8 without control characters, so they may stand in messages as they are. */
#ifndef CONF_CONF_LEX_H
#define CONF_CONF_LEX_H

#include "conf/conf.h"

#define CONF_WORD_MAX 4096	/* octets of one word, after replacing */

enum conf_token_kind { CONF_TOKEN_WORD, CONF_TOKEN_SEMICOLON, CONF_TOKEN_OPEN, CONF_TOKEN_CLOSE, CONF_TOKEN_END };

struct conf_token {
	enum conf_token_kind kind;
	struct conf_where where;
	struct slice text;	/* a word's; valid until the next call */
};

struct conf_lex {
	struct slice left;
	struct conf_where at;	/* where `left` begins */
	struct buf word;
};

void conf_lex_init(struct conf_lex *, const char *file, struct slice text);	/* keeps both */
void conf_lex_free(struct conf_lex *);
int conf_lex_next(struct conf_lex *, struct conf_token *, struct err *);

/* Sets "FILE:LINE:COLUMN: sentence" and returns -1. An argument may be err->text itself. */
int conf_err(struct err *, const struct conf_where *, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
