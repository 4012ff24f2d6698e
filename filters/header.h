/* header.h - inside header fields: names, folds, comments, parameters (RFC 5322, 2045, 2183, 2231).
 *
 * Lenient: what mail programs write counts more than what the grammar allows. Every function is
 * linear in its input. */
#ifndef FILTERS_HEADER_H
#define FILTERS_HEADER_H

#include "proxy/base/buf.h"

#define HEADER_NAME_MAX   1000	/* octets before the colon that are looked at */
#define HEADER_PARAMS_MAX 64	/* parameters of one field; further ones are not looked at */

/* How long the name of the field at the start of `line` is; 0 when that is no field: no colon, or
 * blanks or control characters before it (blanks right before the colon are forgiven). */
size_t header_name_len(struct slice line);

/* Takes the line ends out of a folded value (RFC 5322 section 2.2.3). */
bool header_unfold(struct buf *out, struct slice raw);

/* A reader of structured values: blanks and comments are stepped over. */
struct header_in {
	struct slice left;
	bool unclosed;		/* a comment without its end was met: '(' is junk from here on */
};

struct header_in header_open(struct slice value);

/* "Text / HTML" gives "text/html". False (and the empty string) when there is no such pair. */
bool header_type(struct header_in *, char *out, size_t size);

/* The next word: up to a blank, ';', ',', '(' or '"'; quotes around it are taken off. */
struct slice header_token(struct header_in *);

struct header_param {
	struct slice name;		/* without '*' and what follows it */
	struct slice value;		/* without quotes; escapes still in it */
	bool quoted;
	bool extended;			/* name*= or name*N*=: charset'language'percent-encoded */
	int section;			/* N of name*N, -1 without */
};

struct header_params {
	struct header_param list[HEADER_PARAMS_MAX];
	size_t n;
};

/* Reads "; name=value" to the end of the field; missing semicolons and blanks in unquoted values
 * are forgiven. The slices point into the value that was opened. */
void header_params(struct header_in *, struct header_params *);

/* The n-th plain `name`=, escapes taken off. False when there is none, or when out is full. */
bool header_plain(const struct header_params *, const char *name, size_t n, struct buf *out);
bool header_quoted(const struct header_params *, const char *name, size_t n);	/* did it stand in quotes? */

/* `name` as RFC 2231 spells it, sections joined in their order, as UTF-8. */
bool header_joined(const struct header_params *, const char *name, struct buf *out);

#endif
