#include "filters/word.h"

#include <string.h>

#include "filters/charset.h"
#include "filters/decode.h"

#define CHARSET_MAX 64

struct word {
	struct slice charset, text;
	enum mime_encoding encoding;
	size_t len;		/* octets that it takes in the value */
};

struct sink {
	struct buf *buf;
	bool full;
};

static bool
put_utf8(void *owner, struct slice utf8)
{
	struct sink *out = owner;

	out->full = out->full || !buf_put(out->buf, utf8);
	return !out->full;
}

/* Reads the encoded word at the start of s, which begins with "=?". *ends is the place behind which no
 * "?=" comes any more: asking for it only once keeps a field full of beginnings linear. */
static bool
read_word(struct slice s, const char **ends, struct word *w)
{
	struct slice rest = slice_part(s, 2, s.len), head = slice_part(rest, 0, CHARSET_MAX);
	const char *end;
	char encoding;

	w->charset = slice_cut(&head, '?');
	if (head.len < 2 || head.at[1] != '?' || w->charset.len == 0)
		return false;
	encoding = (char)ascii_lower((unsigned char)head.at[0]);
	if (encoding != 'b' && encoding != 'q')
		return false;
	rest = slice_part(rest, w->charset.len + 3, rest.len);
	end = *ends != NULL && rest.at >= *ends ? NULL : memmem(rest.at, rest.len, "?=", 2);
	if (end == NULL) {
		*ends = *ends != NULL ? *ends : rest.at;
		return false;
	}
	w->encoding = encoding == 'b' ? MIME_BASE64 : MIME_QP;
	w->text = slice_part(rest, 0, (size_t)(end - rest.at));
	w->len = (size_t)(end + 2 - s.at);
	w->charset = slice_cut(&w->charset, '*');	/* RFC 2231 section 5: charset*language */
	return true;
}

/* Q is quoted-printable with '_' for a space (RFC 2047 section 4.2). */
static bool
decode_text(const struct word *w, struct buf *octets)
{
	struct decode d;
	struct slice text = w->text;
	char out[512];

	decode_init(&d, w->encoding);
	while (text.len > 0) {
		size_t run = 0, len;
		struct slice part;

		while (w->encoding == MIME_QP && run < text.len && text.at[run] != '_')
			run++;
		part = slice_part(text, 0, w->encoding == MIME_QP ? run : text.len);
		text = slice_part(text, part.len, text.len);
		while (part.len > 0) {
			len = decode_feed(&d, &part, out, sizeof(out));
			if (!buf_put(octets, (struct slice){ out, len }))
				return false;
		}
		if (text.len > 0) {
			len = decode_end(&d, out, sizeof(out));
			if (!buf_put(octets, (struct slice){ out, len }) || !buf_putc(octets, ' '))
				return false;
			text = slice_part(text, 1, text.len);
		}
	}
	return buf_put(octets, (struct slice){ out, decode_end(&d, out, sizeof(out)) });
}

static bool
same_charset(struct slice a, struct slice b)
{
	char name[CHARSET_MAX];

	return slice_copy(b, name, sizeof(name)) && slice_iis(a, name);
}

static struct slice
skip_blanks(struct slice s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = slice_part(s, 1, s.len);
	return s;
}

/* Decodes the encoded word *w and those that follow it directly. Their octets are joined as long
 * as the charset stays, for senders cut characters in two. Returns what stands behind them. */
static struct slice
put_words(struct sink *out, struct slice s, struct word *w, const char **ends)
{
	struct slice charset = w->charset;
	struct buf octets;
	bool more;

	buf_init(&octets, s.len);
	do {
		struct slice next;

		if (!same_charset(charset, w->charset)) {
			charset_utf8(charset, buf_slice(&octets), put_utf8, out);
			buf_clear(&octets);
			charset = w->charset;
		}
		decode_text(w, &octets);
		s = slice_part(s, w->len, s.len);
		next = skip_blanks(s);
		more = slice_starts(next, "=?") && read_word(next, ends, w);
		if (more)
			s = next;
	} while (more);
	charset_utf8(charset, buf_slice(&octets), put_utf8, out);
	buf_free(&octets);
	return s;
}

bool
word_decode(struct buf *buf, struct slice value)
{
	struct sink out = { .buf = buf };
	const char *ends = NULL;

	while (value.len > 0 && !out.full) {
		const char *at = memmem(value.at, value.len, "=?", 2);
		struct slice s = slice_part(value, at != NULL ? (size_t)(at - value.at) : value.len, value.len);
		struct word w;
		bool found = s.len > 0 && read_word(s, &ends, &w);

		if (!found)
			s = slice_part(s, 2, s.len);
		charset_utf8(SLICE(""), slice_part(value, 0, value.len - s.len), put_utf8, &out);
		value = found ? put_words(&out, s, &w, &ends) : s;
	}
	return !out.full;
}
