#include "proxy/base/wire.h"

static bool
put_number(struct buf *b, uint64_t n, size_t width)
{
	char bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (char)(n >> (8 * (width - 1 - i)));
	return buf_put(b, (struct slice){ bytes, width });
}

bool
wire_put_u8(struct buf *b, uint8_t n)
{
	return put_number(b, n, 1);
}

bool
wire_put_u16(struct buf *b, uint16_t n)
{
	return put_number(b, n, 2);
}

bool
wire_put_u32(struct buf *b, uint32_t n)
{
	return put_number(b, n, 4);
}

bool
wire_put_u64(struct buf *b, uint64_t n)
{
	return put_number(b, n, 8);
}

bool
wire_put_i32(struct buf *b, int32_t n)
{
	return put_number(b, (uint32_t)n, 4);
}

bool
wire_put_bytes(struct buf *b, struct slice s)
{
	if (s.len > UINT32_MAX || buf_room(b) < s.len + 4)
		return false;
	return wire_put_u32(b, (uint32_t)s.len) && buf_put(b, s);
}

struct wire_in
wire_open(struct slice bytes)
{
	return (struct wire_in){ .left = bytes };
}

static struct slice
take(struct wire_in *in, size_t len)
{
	struct slice s = slice_part(in->left, 0, len);

	if (in->bad || s.len < len) {
		in->bad = true;
		in->left = SLICE("");
		return SLICE("");
	}
	in->left = slice_part(in->left, len, in->left.len);
	return s;
}

static uint64_t
take_number(struct wire_in *in, size_t width)
{
	struct slice s = take(in, width);
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n = n << 8 | (unsigned char)s.at[i];
	return n;
}

uint8_t
wire_u8(struct wire_in *in)
{
	return (uint8_t)take_number(in, 1);
}

uint16_t
wire_u16(struct wire_in *in)
{
	return (uint16_t)take_number(in, 2);
}

uint32_t
wire_u32(struct wire_in *in)
{
	return (uint32_t)take_number(in, 4);
}

uint64_t
wire_u64(struct wire_in *in)
{
	return take_number(in, 8);
}

int32_t
wire_i32(struct wire_in *in)
{
	return (int32_t)(uint32_t)take_number(in, 4);
}

struct slice
wire_bytes(struct wire_in *in)
{
	return take(in, wire_u32(in));
}

bool
wire_done(const struct wire_in *in)
{
	return !in->bad && in->left.len == 0;
}
