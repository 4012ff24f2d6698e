#include "proxy/base/slice.h"

#include <string.h>

int
ascii_lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

struct slice
slice_of(const char *str)
{
	return (struct slice){ str, str != NULL ? strlen(str) : 0 };
}

struct slice
slice_part(struct slice s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct slice){ from > 0 ? s.at + from : s.at, len };	/* NULL + 0 is no address in C */
}

static bool
same_case_ignored(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
			return false;
	return true;
}

bool
slice_same(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool
slice_is(struct slice s, const char *str)
{
	return slice_same(s, slice_of(str));
}

bool
slice_iis(struct slice s, const char *str)
{
	return s.len == strlen(str) && same_case_ignored(s.at, str, s.len);
}

bool
slice_starts(struct slice s, const char *prefix)
{
	return slice_is(slice_part(s, 0, strlen(prefix)), prefix);
}

bool
slice_istarts(struct slice s, const char *prefix)
{
	return slice_iis(slice_part(s, 0, strlen(prefix)), prefix);
}

bool
slice_iends(struct slice s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && slice_iis(slice_part(s, s.len - len, len), suffix);
}

bool
slice_has(struct slice s, char c)
{
	return s.len > 0 && memchr(s.at, c, s.len) != NULL;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice
slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.at[0]))
		s = slice_part(s, 1, s.len);
	while (s.len > 0 && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

struct slice
slice_cut(struct slice *rest, char sep)
{
	const char *at = rest->len > 0 ? memchr(rest->at, sep, rest->len) : NULL;
	struct slice head = *rest;

	if (at == NULL) {
		*rest = slice_part(*rest, rest->len, 0);
		return head;
	}
	head.len = (size_t)(at - rest->at);
	*rest = slice_part(*rest, head.len + 1, rest->len);
	return head;
}

struct slice
slice_word(struct slice *rest)
{
	struct slice s = *rest, word;
	size_t len = 0;

	while (s.len > 0 && is_blank(s.at[0]))
		s = slice_part(s, 1, s.len);
	while (len < s.len && !is_blank(s.at[len]))
		len++;
	word = slice_part(s, 0, len);
	s = slice_part(s, len, s.len);
	while (s.len > 0 && is_blank(s.at[0]))
		s = slice_part(s, 1, s.len);
	*rest = s;
	return word;
}

bool
slice_number(struct slice s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.at[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}

bool
slice_copy(struct slice s, char *out, size_t size)
{
	out[0] = '\0';
	if (s.len >= size || slice_has(s, '\0'))
		return false;
	if (s.len > 0)
		memcpy(out, s.at, s.len);
	out[s.len] = '\0';
	return true;
}
