#include "proxy/base/b64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool
b64_encode(struct buf *out, struct slice in)
{
	if (buf_room(out) / 4 < (in.len + 2) / 3)
		return false;
	for (size_t i = 0; i < in.len; i += 3) {
		struct slice three = slice_part(in, i, 3);
		uint32_t bits = 0;
		char four[4];

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < three.len ? (unsigned char)three.at[k] : 0);
		for (size_t k = 0; k < 4; k++)
			four[k] = k <= three.len ? digits[bits >> (18 - 6 * k) & 63] : '=';
		buf_put(out, (struct slice){ four, 4 });
	}
	return true;
}

/* 0..63, or -1. */
static int
digit_value(char c)
{
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

bool
b64_decode(struct buf *out, struct slice in)
{
	if (in.len % 4 != 0)
		return false;
	for (size_t i = 0; i < in.len; i += 4) {
		size_t pad = i + 4 < in.len ? 0 : (size_t)(in.at[i + 3] == '=') + (in.at[i + 3] == '=' && in.at[i + 2] == '=');
		uint32_t bits = 0;
		char three[3];

		for (size_t k = 0; k < 4; k++) {
			int value = k < 4 - pad ? digit_value(in.at[i + k]) : 0;

			if (value < 0)
				return false;
			bits = bits << 6 | (uint32_t)value;
		}
		if ((bits & ((1u << (8 * pad)) - 1)) != 0)
			return false;	/* bits behind the end: another text for the same octets */
		for (size_t k = 0; k < 3; k++)
			three[k] = (char)(bits >> (16 - 8 * k));
		if (!buf_put(out, (struct slice){ three, 3 - pad }))
			return false;
	}
	return true;
}
