/* buf.h - a queue of bytes with a cap from birth.
 *
 * Bytes go in at the end and leave at the front. What is put goes in whole or not at all. The
 * memory is taken when the first byte comes and given back when the last one has left, so an
 * idle connection holds none. A buf lives inside its owner's struct; buf_free() ends it. */
#ifndef PROXY_BASE_BUF_H
#define PROXY_BASE_BUF_H

#include "proxy/base/slice.h"

struct buf {
	char *mem;
	size_t start, end;	/* the bytes held are mem[start..end) */
	size_t size;		/* allocated */
	size_t max;		/* never more bytes than this */
	bool secret;		/* memory is wiped before it is given back */
};

void buf_init(struct buf *, size_t max);
void buf_free(struct buf *);
void buf_secret(struct buf *, bool);			/* what it holds from now on is wiped wherever it leaves memory behind */
size_t buf_len(const struct buf *);
size_t buf_room(const struct buf *);			/* how many bytes could still be put */
struct slice buf_slice(const struct buf *);		/* valid until the next call with this buf */
bool buf_put(struct buf *, struct slice);
bool buf_puts(struct buf *, const char *);
bool buf_putc(struct buf *, char);
bool buf_printf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_eat(struct buf *, size_t);			/* drop from the front; clipped */
void buf_clear(struct buf *);

/* For read(2) and its kin: a place for up to *room bytes (at least `want` where the cap allows,
 * 0 when full), then how many of them were filled. */
char *buf_space(struct buf *, size_t want, size_t *room);
void buf_filled(struct buf *, size_t);

/* A C string of what is held; belongs to the buf. NULL when the cap leaves no room for a NUL. */
const char *buf_str(struct buf *);

#endif
