#include "proxy/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

#define BUF_FIRST 512	/* bytes of the first allocation */

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_free(struct buf *b)
{
	if (b->secret && b->mem != NULL)
		mem_wipe(b->mem, b->size);
	free(b->mem);
	*b = (struct buf){ .max = b->max, .secret = b->secret };
}

void
buf_secret(struct buf *b, bool secret)
{
	b->secret = secret;
}

size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

size_t
buf_room(const struct buf *b)
{
	return b->max - buf_len(b);
}

struct slice
buf_slice(const struct buf *b)
{
	if (b->mem == NULL)
		return SLICE("");
	return (struct slice){ b->mem + b->start, buf_len(b) };
}

/* realloc() may leave a copy behind where the memory was. */
static char *
grow_secretly(struct buf *b, size_t size)
{
	char *mem = mem_new(size);

	if (b->mem != NULL) {
		memcpy(mem, b->mem, b->end);
		mem_wipe(b->mem, b->size);
		free(b->mem);
	}
	return mem;
}

/* Makes room for `want` more bytes behind `end`; the caller has checked the cap. */
static void
make_space(struct buf *b, size_t want)
{
	size_t len = buf_len(b), size = b->size > 0 ? b->size : BUF_FIRST;

	if (b->size - b->end >= want && b->mem != NULL)
		return;
	if (b->start > 0) {
		memmove(b->mem, b->mem + b->start, len);
		b->start = 0;
		b->end = len;
		if (b->size - b->end >= want)
			return;
	}
	while (size - len < want)
		size *= 2;
	if (size > b->max)
		size = b->max;
	b->mem = b->secret ? grow_secretly(b, size) : mem_grow(b->mem, size);
	b->size = size;
}

bool
buf_put(struct buf *b, struct slice s)
{
	if (s.len > buf_room(b))
		return false;
	if (s.len == 0)
		return true;
	make_space(b, s.len);
	memcpy(b->mem + b->end, s.at, s.len);
	b->end += s.len;
	return true;
}

bool
buf_puts(struct buf *b, const char *str)
{
	return buf_put(b, slice_of(str));
}

bool
buf_putc(struct buf *b, char c)
{
	return buf_put(b, (struct slice){ &c, 1 });
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[512], *big = NULL;
	va_list args;
	bool fits;
	int len;

	va_start(args, fmt);
	len = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (len < 0)
		return false;
	if ((size_t)len < sizeof(small))
		return buf_put(b, (struct slice){ small, (size_t)len });
	if ((size_t)len > buf_room(b))
		return false;
	big = mem_new((size_t)len + 1);
	va_start(args, fmt);
	vsnprintf(big, (size_t)len + 1, fmt, args);
	va_end(args);
	fits = buf_put(b, (struct slice){ big, (size_t)len });
	free(big);
	return fits;
}

void
buf_eat(struct buf *b, size_t len)
{
	if (len < buf_len(b))
		b->start += len;
	else
		buf_clear(b);
}

void
buf_clear(struct buf *b)
{
	buf_free(b);
}

char *
buf_space(struct buf *b, size_t want, size_t *room)
{
	if (want > buf_room(b))
		want = buf_room(b);
	if (want == 0) {
		*room = 0;
		return NULL;
	}
	make_space(b, want);
	*room = b->size - b->end;
	if (*room > buf_room(b))
		*room = buf_room(b);
	return b->mem + b->end;
}

void
buf_filled(struct buf *b, size_t len)
{
	b->end += len;
	if (buf_len(b) == 0)
		buf_free(b);
}

const char *
buf_str(struct buf *b)
{
	if (buf_room(b) == 0)
		return NULL;
	make_space(b, 1);
	b->mem[b->end] = '\0';
	return b->mem + b->start;
}
