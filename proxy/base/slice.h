/* slice.h - bytes from outside: a place and a length, never a terminator.
 *
 * A slice owns nothing; it is valid as long as what it points into. Matching is ASCII only:
 * protocol words never depend on a locale. */
#ifndef PROXY_BASE_SLICE_H
#define PROXY_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *at;
	size_t len;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })

struct slice slice_of(const char *str);			/* NULL gives the empty slice */
struct slice slice_part(struct slice, size_t from, size_t len);	/* clipped to what is there */
bool slice_is(struct slice, const char *str);		/* equal, octet for octet */
bool slice_same(struct slice, struct slice);		/* the same of two slices */
bool slice_iis(struct slice, const char *str);		/* equal, ASCII case ignored */
bool slice_starts(struct slice, const char *prefix);
bool slice_istarts(struct slice, const char *prefix);	/* ASCII case ignored */
bool slice_iends(struct slice, const char *suffix);	/* ASCII case ignored */
bool slice_has(struct slice, char c);
struct slice slice_trim(struct slice);			/* without SP and HTAB at both ends */

/* What stands before the first `sep`; *rest becomes what stands behind it. Without a `sep` all
 * is returned and *rest is empty. */
struct slice slice_cut(struct slice *rest, char sep);

/* The next word of *rest (SP and HTAB separate); empty when there is none. */
struct slice slice_word(struct slice *rest);

/* Decimal digits only, at least one, no overflow. */
bool slice_number(struct slice, uint64_t *out);

/* Copies into `out` with a final NUL; false (and an empty string) when it does not fit or
 * holds a NUL itself. */
bool slice_copy(struct slice, char *out, size_t size);

int ascii_lower(int c);

#endif
