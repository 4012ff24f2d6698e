#include "filters/decode.h"

#include <string.h>

/* base64: what the character at [c] adds to the 24 bits of a group when it stands at the given
 * place. Everything that is not of RFC 2045's alphabet has a bit outside of them. */
#define NOT_BASE64 0x80000000u
static uint32_t base64_at[4][256];

static int
base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void
make_tables(void)
{
	if (base64_at[0][0] != 0)
		return;
	for (unsigned c = 0; c < 256; c++)
		for (unsigned place = 0; place < 4; place++) {
			int value = base64_value((unsigned char)c);

			base64_at[place][c] = value < 0 ? NOT_BASE64 : (uint32_t)value << (18 - 6 * place);
		}
}

void
decode_init(struct decode *d, enum mime_encoding encoding)
{
	make_tables();
	*d = (struct decode){ .encoding = encoding };
}

/* Whole groups of four, as long as nothing else comes: nearly all of an attachment. */
static size_t
base64_groups(struct slice *in, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)in->at, *end = p + in->len;
	char *to = out;

	while (end - p >= 4 && size - (size_t)(to - out) >= 4) {
		uint32_t bits = base64_at[0][p[0]] | base64_at[1][p[1]] | base64_at[2][p[2]] | base64_at[3][p[3]];

		if (bits & NOT_BASE64)
			break;
		to[0] = (char)(bits >> 16);
		to[1] = (char)(bits >> 8);
		to[2] = (char)bits;
		to += 3;
		p += 4;
	}
	*in = slice_part(*in, in->len - (size_t)(end - p), in->len);
	return (size_t)(to - out);
}

/* Ends a group before its fourth character: two give one octet, three give two; one gives none. */
static size_t
base64_flush(struct decode *d, char *out)
{
	unsigned count = d->count;

	d->count = 0;
	if (count == 1)
		d->junk = true;
	if (count < 2)
		return 0;
	out[0] = (char)(count == 2 ? d->bits >> 4 : d->bits >> 10);
	out[1] = (char)(d->bits >> 2);
	return count - 1;
}

/* One character outside the fast path. */
static size_t
base64_char(struct decode *d, unsigned char c, char *out)
{
	int value = base64_value(c);

	/* The URL-safe alphabet (RFC 4648 section 5): readers either know it or skip it. */
	if (value < 0 && (c == '-' || c == '_')) {
		value = c == '-' ? 62 : 63;
		d->junk = true;
	}
	if (c == '=') {
		d->padded = true;
		return base64_flush(d, out);
	}
	if (value < 0) {
		d->junk = d->junk || !(c == '\r' || c == '\n' || c == ' ' || c == '\t');
		return 0;
	}
	d->junk = d->junk || d->padded;
	d->bits = d->count == 0 ? (uint32_t)value : d->bits << 6 | (uint32_t)value;
	if (++d->count < 4)
		return 0;
	d->count = 0;
	out[0] = (char)(d->bits >> 16);
	out[1] = (char)(d->bits >> 8);
	out[2] = (char)d->bits;
	return 3;
}

static size_t
base64_feed(struct decode *d, struct slice *in, char *out, size_t size)
{
	size_t used = 0;

	while (in->len > 0 && size - used >= 4) {
		if (d->count == 0 && !d->padded)
			used += base64_groups(in, out + used, size - used);
		if (in->len == 0 || size - used < 4)
			break;
		used += base64_char(d, (unsigned char)in->at[0], out + used);
		*in = slice_part(*in, 1, in->len);
	}
	return used;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t
qp_flush(struct decode *d, char *out)
{
	size_t len = d->len;

	memcpy(out, d->line, len);
	d->len = 0;
	return len;
}

/* One character behind an '=', which stands in d->line with what came since. What turns out to be
 * no escape is text, and c is looked at again: false. */
static bool
qp_escape(struct decode *d, char c, char *out, size_t *used)
{
	char last = d->line[d->len - 1];

	if (last == '\r') {		/* soft line break; does the LF belong to it? */
		d->len = 0;
		return c == '\n';
	}
	if (d->len == 2 && hex_value(last) >= 0 && hex_value(c) >= 0) {
		out[(*used)++] = (char)(hex_value(last) << 4 | hex_value(c));
		d->len = 0;
		return true;
	}
	/* Blanks that were added in transport may stand before the line end (RFC 2045 section 6.7, 3). */
	if ((d->len == 1 || is_blank(last)) && c == '\n') {
		d->len = 0;
		return true;
	}
	if ((d->len == 1 && hex_value(c) >= 0) || ((d->len == 1 || is_blank(last)) && (is_blank(c) || c == '\r'))) {
		d->line[d->len++] = c;
		if (d->len < sizeof(d->line))
			return true;
		d->junk = true;		/* that many blanks are no transport's */
		*used += qp_flush(d, out + *used);
		return true;
	}
	d->junk = true;
	*used += qp_flush(d, out + *used);
	return false;
}

/* Blanks before a hard line end are kept, as most readers do. */
static size_t
qp_feed(struct decode *d, struct slice *in, char *out, size_t size)
{
	size_t used = 0;

	while (in->len > 0 && size - used >= DECODE_ROOM) {
		struct slice run = slice_part(*in, 0, size - used);
		const char *escape;

		if (d->len > 0) {
			if (qp_escape(d, in->at[0], out, &used))
				*in = slice_part(*in, 1, in->len);
			continue;
		}
		escape = memchr(run.at, '=', run.len);
		if (escape != NULL)
			run.len = (size_t)(escape - run.at);
		memcpy(out + used, run.at, run.len);
		used += run.len;
		*in = slice_part(*in, run.len, in->len);
		if (escape != NULL) {
			d->line[d->len++] = '=';
			*in = slice_part(*in, 1, in->len);
		}
	}
	return used;
}

/* One line without its end: a count, then groups of four characters that hold six bits each.
 * Blanks at the line's end may have been lost on the way, so what is missing counts as blank. */
static size_t
uu_line(struct decode *d, struct slice line, char *out)
{
	unsigned count;
	size_t used = 0;

	if (slice_is(line, "end")) {
		d->ended = true;
		return 0;
	}
	if (line.len == 0 || slice_starts(line, "begin "))
		return 0;
	count = ((unsigned char)line.at[0] - 0x20u) & 0x3f;
	for (size_t i = 0; i < line.len; i++)
		if (line.at[i] < 0x20 || line.at[i] > 0x60) {
			d->junk = true;
			return 0;
		}
	for (size_t i = 1; used < count; i += 4) {
		uint32_t bits = 0;

		for (size_t j = i; j < i + 4; j++)
			bits = bits << 6 | (j < line.len ? ((unsigned char)line.at[j] - 0x20u) & 0x3f : 0);
		for (unsigned j = 0; j < 3 && used < count; j++)
			out[used++] = (char)(bits >> (16 - 8 * j));
	}
	return used;
}

static size_t
uu_line_done(struct decode *d, char *out)
{
	size_t len = d->len;
	bool cut = d->cut;

	d->len = 0;
	d->cut = false;
	if (len > 0 && d->line[len - 1] == '\r')
		len--;
	d->junk = d->junk || cut;
	return cut ? 0 : uu_line(d, (struct slice){ d->line, len }, out);
}

static size_t
uu_feed(struct decode *d, struct slice *in, char *out, size_t size)
{
	size_t used = 0;

	while (in->len > 0 && !d->ended && size - used >= DECODE_ROOM) {
		const char *end = memchr(in->at, '\n', in->len);
		struct slice part = slice_part(*in, 0, end != NULL ? (size_t)(end - in->at) : in->len);
		struct slice kept = slice_part(part, 0, sizeof(d->line) - d->len);

		memcpy(d->line + d->len, kept.at, kept.len);
		d->len += (unsigned)kept.len;
		d->cut = d->cut || kept.len < part.len;
		*in = slice_part(*in, part.len + (end != NULL), in->len);
		if (end != NULL)
			used += uu_line_done(d, out + used);
	}
	return used;
}

size_t
decode_feed(struct decode *d, struct slice *in, char *out, size_t size)
{
	size_t len;

	switch (d->encoding) {
	case MIME_BASE64:
		return base64_feed(d, in, out, size);
	case MIME_QP:
		return qp_feed(d, in, out, size);
	case MIME_UUENCODE:
		return uu_feed(d, in, out, size);
	case MIME_7BIT:
		break;
	}
	len = in->len < size ? in->len : size;
	memcpy(out, in->at, len);
	*in = slice_part(*in, len, in->len);
	return len;
}

size_t
decode_end(struct decode *d, char *out, size_t size)
{
	size_t len = 0;
	bool junk;

	if (d->encoding == MIME_BASE64) {
		len = base64_flush(d, out);
	} else if (d->encoding == MIME_QP && d->len > 0) {
		/* '=' at the very end is a soft line break whose line end belongs to the delimiter. */
		bool soft = d->len == 1 || is_blank(d->line[1]) || d->line[1] == '\r';

		len = soft ? 0 : qp_flush(d, out);
	} else if (d->encoding == MIME_UUENCODE && d->len > 0 && size >= DECODE_ROOM) {
		len = uu_line_done(d, out);
	}
	junk = d->junk;
	decode_init(d, d->encoding);
	d->junk = junk;
	return len;
}
