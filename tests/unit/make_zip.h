/* make_zip.h - zip archives for tests, in memory: members stored, or deflated with fixed codes
 * (RFC 1951 section 3.2.6) which hides what is inside from a search of the bytes. Only long runs get shorter. */
#ifndef TESTS_UNIT_MAKE_ZIP_H
#define TESTS_UNIT_MAKE_ZIP_H

#include "proxy/base/buf.h"

#define ZIP_TEST_MAX (8u << 20)

struct zipper {
	struct buf out, directory, packed;
	unsigned members;
};

static void
zip_put(struct buf *b, uint64_t value, unsigned octets)
{
	for (unsigned i = 0; i < octets; i++)
		buf_putc(b, (char)(value >> 8 * i & 0xff));
}

struct bits {
	struct buf *out;
	uint32_t held;
	unsigned n;
};

static void
put_bits(struct bits *b, uint32_t value, unsigned n)
{
	b->held |= value << b->n;
	b->n += n;
	for (; b->n >= 8; b->n -= 8, b->held >>= 8)
		buf_putc(b->out, (char)(b->held & 0xff));
}

static void
put_code(struct bits *b, uint32_t code, unsigned n)	/* Huffman codes go most significant bit first */
{
	while (n-- > 0)
		put_bits(b, code >> n & 1, 1);
}

/* 258 octets that are like the one before them: the longest match there is. */
static bool
run_at(struct slice data, size_t i)
{
	if (i == 0 || data.len - i < 258)
		return false;
	for (size_t k = 0; k < 258; k++)
		if (data.at[i + k] != data.at[i - 1])
			return false;
	return true;
}

static void
zip_deflate(struct buf *out, struct slice data)
{
	struct bits b = { .out = out };

	put_bits(&b, 1, 1);	/* the last block */
	put_bits(&b, 1, 2);	/* of fixed codes */
	for (size_t i = 0; i < data.len; i++) {
		unsigned char c = (unsigned char)data.at[i];

		if (run_at(data, i)) {
			put_code(&b, 0xc0 + 285 - 280, 8);
			put_code(&b, 0, 5);	/* distance 1 */
			i += 258 - 1;
		} else if (c < 144)
			put_code(&b, 0x30 + c, 8);
		else
			put_code(&b, 0x190 + c - 144, 9);
	}
	put_code(&b, 0, 7);	/* end of block */
	put_bits(&b, 0, 7);
}

static void
zip_start(struct zipper *z)
{
	buf_init(&z->out, ZIP_TEST_MAX);
	buf_init(&z->directory, ZIP_TEST_MAX);
	buf_init(&z->packed, ZIP_TEST_MAX);
	z->members = 0;
}

static void
zip_add(struct zipper *z, const char *name, struct slice data, bool deflate, unsigned flags)
{
	uint32_t at = (uint32_t)buf_len(&z->out);
	struct slice packed = data;

	buf_clear(&z->packed);
	if (deflate) {
		zip_deflate(&z->packed, data);
		packed = buf_slice(&z->packed);
	}
	for (int central = 0; central < 2; central++) {
		struct buf *b = central ? &z->directory : &z->out;

		buf_put(b, central ? SLICE("PK\1\2\24\0") : SLICE("PK\3\4"));
		zip_put(b, 20, 2);
		zip_put(b, flags, 2);
		zip_put(b, deflate ? 8 : 0, 2);
		zip_put(b, 0, 4);	/* time and date */
		zip_put(b, 0, 4);	/* CRC: nobody here looks */
		zip_put(b, (uint32_t)packed.len, 4);
		zip_put(b, (uint32_t)data.len, 4);
		zip_put(b, (uint32_t)slice_of(name).len, 2);
		zip_put(b, 0, 2);
		if (central) {
			zip_put(b, 0, 2 + 2);
			zip_put(b, 0, 2 + 4);
			zip_put(b, at, 4);
		}
		buf_puts(b, name);
	}
	buf_put(&z->out, packed);
	z->members++;
}

static struct slice
zip_finish(struct zipper *z)
{
	uint32_t at = (uint32_t)buf_len(&z->out), size = (uint32_t)buf_len(&z->directory);

	buf_put(&z->out, buf_slice(&z->directory));
	buf_put(&z->out, SLICE("PK\5\6\0\0\0\0"));
	zip_put(&z->out, z->members, 2);
	zip_put(&z->out, z->members, 2);
	zip_put(&z->out, size, 4);
	zip_put(&z->out, at, 4);
	zip_put(&z->out, 0, 2);
	return buf_slice(&z->out);
}

static void
zip_drop(struct zipper *z)
{
	buf_free(&z->out);
	buf_free(&z->directory);
	buf_free(&z->packed);
}

#endif
