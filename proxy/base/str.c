#include "proxy/base/str.h"

#include <stdint.h>
#include <string.h>

size_t
str_utf8_len(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.at;
	size_t len;
	uint32_t c;

	if (s.len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
		c = p[0] & 0x1fu;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		len = 3;
		c = p[0] & 0x0fu;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		c = p[0] & 0x07u;
	} else {
		return 0;
	}
	if (s.len < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

/* Characters that change how a terminal shows what stands around them: C1 controls
 * (U+0080..9F), bidirectional marks and overrides (U+200E/F, 202A..2E, 2066..69), U+2028/9. */
static bool
is_treacherous(struct slice ch)
{
	const unsigned char *p = (const unsigned char *)ch.at;

	if (ch.len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (ch.len != 3 || p[0] != 0xe2)
		return false;
	if (p[1] == 0x80)
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
}

bool
str_escape(struct buf *out, struct slice text, size_t max)
{
	size_t used = 0;

	while (text.len > 0) {
		size_t len = str_utf8_len(text);
		unsigned char c = (unsigned char)text.at[0];
		bool plain = len > 0 && c >= 0x20 && c != 0x7f && c != '\\' && c != '"' &&
			     !is_treacherous(slice_part(text, 0, len));

		if (len == 0)
			len = 1;
		if (used + (plain ? len : len * 4) > max)
			return buf_puts(out, "...");
		if (plain) {
			if (!buf_put(out, slice_part(text, 0, len)))
				return false;
			used += len;
		} else {
			for (size_t i = 0; i < len; i++)
				if (!buf_printf(out, "\\x%02X", (unsigned char)text.at[i]))
					return false;
			used += len * 4;
		}
		text = slice_part(text, len, text.len);
	}
	return true;
}

static bool
json_char(struct buf *out, struct slice ch)
{
	switch (ch.at[0]) {
	case '"':
		return buf_puts(out, "\\\"");
	case '\\':
		return buf_puts(out, "\\\\");
	case '\n':
		return buf_puts(out, "\\n");
	case '\r':
		return buf_puts(out, "\\r");
	case '\t':
		return buf_puts(out, "\\t");
	}
	if ((unsigned char)ch.at[0] < 0x20 || ch.at[0] == 0x7f)
		return buf_printf(out, "\\u%04x", (unsigned char)ch.at[0]);
	return buf_put(out, ch);
}

bool
str_json(struct buf *out, struct slice text)
{
	if (!buf_putc(out, '"'))
		return false;
	while (text.len > 0) {
		size_t len = str_utf8_len(text);

		if (len == 0) {
			if (!buf_puts(out, "\\ufffd"))
				return false;
			len = 1;
		} else if (!json_char(out, slice_part(text, 0, len))) {
			return false;
		}
		text = slice_part(text, len, text.len);
	}
	return buf_putc(out, '"');
}
