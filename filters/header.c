#include "filters/header.h"

#include <string.h>

#include "filters/charset.h"

size_t
header_name_len(struct slice line)
{
	size_t len = 0, colon;

	line = slice_part(line, 0, HEADER_NAME_MAX);
	while (len < line.len && (unsigned char)line.at[len] > ' ' && line.at[len] != ':' && line.at[len] != 0x7f)
		len++;
	colon = len;
	while (colon < line.len && (line.at[colon] == ' ' || line.at[colon] == '\t'))
		colon++;
	return colon < line.len && line.at[colon] == ':' ? len : 0;
}

bool
header_unfold(struct buf *out, struct slice raw)
{
	while (raw.len > 0) {
		size_t run = 0;

		while (run < raw.len && raw.at[run] != '\r' && raw.at[run] != '\n')
			run++;
		if (!buf_put(out, slice_part(raw, 0, run)))
			return false;
		raw = slice_part(raw, run + 1, raw.len);
	}
	return true;
}

struct header_in
header_open(struct slice value)
{
	return (struct header_in){ .left = value };
}

static void
eat(struct header_in *in, size_t len)
{
	in->left = slice_part(in->left, len, in->left.len);
}

static bool
next_is(const struct header_in *in, char c)
{
	return in->left.len > 0 && in->left.at[0] == c;
}

/* Length of the comment at the start (RFC 5322 section 3.2.2: they nest), 0 if it never ends. */
static size_t
comment_len(struct slice s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '\\')
			i++;
		else if (s.at[i] == '(')
			depth++;
		else if (s.at[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static void
skip_blanks(struct header_in *in)
{
	for (;;) {
		size_t comment;

		in->left = slice_trim(in->left);
		if (!next_is(in, '('))
			return;
		comment = in->unclosed ? 0 : comment_len(in->left);
		/* A comment that never ends would hide all that follows from us, but not from
		 * readers that know no comments. Looking for its end only once keeps this linear. */
		in->unclosed = comment == 0;
		eat(in, comment > 0 ? comment : 1);
	}
}

/* How much comes before the first of `stops`. */
static size_t
until(struct slice s, const char *stops)
{
	struct slice set = slice_of(stops);
	size_t len = 0;

	while (len < s.len && !slice_has(set, s.at[len]))
		len++;
	return len;
}

static bool
put_lower(char *out, size_t size, size_t *used, struct slice s)
{
	if (s.len == 0 || slice_has(s, '\0') || s.len >= size - *used)
		return false;
	for (size_t i = 0; i < s.len; i++)
		out[(*used)++] = (char)ascii_lower((unsigned char)s.at[i]);
	out[*used] = '\0';
	return true;
}

bool
header_type(struct header_in *in, char *out, size_t size)
{
	struct slice type, subtype;
	size_t used = 0;

	skip_blanks(in);
	type = slice_part(in->left, 0, until(in->left, " \t;,(\"/="));
	eat(in, type.len);
	skip_blanks(in);
	if (next_is(in, '/')) {
		eat(in, 1);
		skip_blanks(in);
		subtype = slice_part(in->left, 0, until(in->left, " \t;,(\"/="));
		eat(in, subtype.len);
		if (put_lower(out, size, &used, type) && put_lower(out, size, &used, SLICE("/")) &&
		    put_lower(out, size, &used, subtype))
			return true;
	}
	out[0] = '\0';
	return false;
}

struct slice
header_token(struct header_in *in)
{
	struct slice word;

	skip_blanks(in);
	if (next_is(in, '"'))
		eat(in, 1);
	word = slice_part(in->left, 0, until(in->left, " \t;,(\""));
	eat(in, word.len);
	return word;
}

/* The end of a quoted string whose opening quote is off; s.len when it has none. */
static size_t
quoted_len(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '\\')
			i++;
		else if (s.at[i] == '"')
			return i;
	}
	return s.len;
}

/* An unquoted value goes to the ';', blanks and brackets included, for that is how file names are
 * written ("name=bill (1).pdf"); but "charset=utf-8 boundary=x" are two parameters. */
static size_t
unquoted_len(struct slice s)
{
	size_t from = 0;

	for (;;) {
		size_t word = from + until(slice_part(s, from, s.len), " \t;"), next = word;

		while (next < s.len && (s.at[next] == ' ' || s.at[next] == '\t'))
			next++;
		if (next == s.len || s.at[next] == ';')
			return next;
		from = next + until(slice_part(s, next, s.len), " \t=\"(;");
		if (from > next && from < s.len && s.at[from] == '=')
			return word;
		if (from == next)
			from++;
	}
}

static void
read_value(struct header_in *in, struct header_param *p)
{
	size_t len;

	skip_blanks(in);
	if (next_is(in, '"')) {
		struct slice s = slice_part(in->left, 1, in->left.len);

		eat(in, 1);
		len = quoted_len(s);
		p->quoted = len < s.len;
		if (p->quoted) {
			p->value = slice_part(s, 0, len);
			eat(in, len + 1);
			return;
		}
	}
	len = unquoted_len(in->left);
	p->value = slice_trim(slice_part(in->left, 0, len));
	eat(in, len);
}

/* "name", "name*", "name*3", "name*3*" (RFC 2231 sections 3 and 4). */
static void
read_name(struct slice word, struct header_param *p)
{
	struct slice section;
	uint64_t n;

	p->name = slice_cut(&word, '*');
	p->extended = p->name.at + p->name.len < word.at && word.len == 0;
	p->section = -1;
	section = slice_cut(&word, '*');
	if (slice_number(section, &n) && n < 1000) {
		p->section = (int)n;
		p->extended = section.at + section.len < word.at;
	}
}

void
header_params(struct header_in *in, struct header_params *params)
{
	params->n = 0;
	while (params->n < HEADER_PARAMS_MAX) {
		struct header_param *p = &params->list[params->n];
		struct slice word;

		skip_blanks(in);
		if (in->left.len == 0)
			return;
		word = slice_part(in->left, 0, until(in->left, " \t;,(\"="));
		eat(in, word.len > 0 ? word.len : 1);
		skip_blanks(in);
		if (word.len == 0 || !next_is(in, '='))
			continue;
		eat(in, 1);
		*p = (struct header_param){ .section = -1 };
		read_name(word, p);
		read_value(in, p);
		params->n++;
	}
}

/* Only \" and \\ are escapes: the other backslashes that are met stand in Windows paths. */
static bool
put_unescaped(struct buf *out, struct slice s, bool quoted)
{
	while (s.len > 0) {
		size_t run = quoted ? until(s, "\\") : s.len;

		if (!buf_put(out, slice_part(s, 0, run)))
			return false;
		s = slice_part(s, run, s.len);
		if (s.len == 0)
			break;
		if (s.len > 1 && (s.at[1] == '"' || s.at[1] == '\\'))
			s = slice_part(s, 1, s.len);
		if (!buf_putc(out, s.at[0]))
			return false;
		s = slice_part(s, 1, s.len);
	}
	return true;
}

static const struct header_param *
find_plain(const struct header_params *params, const char *name, size_t n)
{
	for (size_t i = 0; i < params->n; i++) {
		const struct header_param *p = &params->list[i];

		if (slice_iis(p->name, name) && p->section < 0 && !p->extended && n-- == 0)
			return p;
	}
	return NULL;
}

bool
header_plain(const struct header_params *params, const char *name, size_t n, struct buf *out)
{
	const struct header_param *p = find_plain(params, name, n);

	return p != NULL && put_unescaped(out, p->value, p->quoted);
}

bool
header_quoted(const struct header_params *params, const char *name, size_t n)
{
	const struct header_param *p = find_plain(params, name, n);

	return p != NULL && p->quoted;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)ascii_lower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
put_percent_decoded(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		int high = s.len > 2 && s.at[0] == '%' ? hex_value(s.at[1]) : -1;
		int low = high >= 0 ? hex_value(s.at[2]) : -1;

		if (!buf_putc(out, low >= 0 ? (char)(high << 4 | low) : s.at[0]))
			return false;
		s = slice_part(s, low >= 0 ? 3 : 1, s.len);
	}
	return true;
}

/* Among all sections of `name` the one with the lowest number above `after`; -1 (no section) is
 * the lowest of all, so "name*=" is found too. */
static const struct header_param *
next_section(const struct header_params *params, const char *name, int after)
{
	const struct header_param *best = NULL;

	for (size_t i = 0; i < params->n; i++) {
		const struct header_param *p = &params->list[i];

		if ((p->section >= 0 || p->extended) && p->section > after && slice_iis(p->name, name) &&
		    (best == NULL || p->section < best->section))
			best = p;
	}
	return best;
}

static bool
put_utf8(void *owner, struct slice utf8)
{
	return buf_put(owner, utf8);
}

bool
header_joined(const struct header_params *params, const char *name, struct buf *out)
{
	struct buf octets;
	struct slice charset = SLICE("");
	int after = -2;
	bool fits = true;

	buf_init(&octets, out->max);
	for (;;) {
		const struct header_param *p = next_section(params, name, after);
		struct slice value;

		if (p == NULL)
			break;
		value = p->value;
		/* charset'language'... stands in front of the first section only. */
		if (after == -2 && p->extended && until(value, "'") < value.len) {
			charset = slice_cut(&value, '\'');
			if (until(value, "'") < value.len)
				slice_cut(&value, '\'');
		}
		fits = fits && (p->extended ? put_percent_decoded(&octets, value)
					    : put_unescaped(&octets, value, p->quoted));
		after = p->section;
		if (after == -1)
			break;
	}
	if (after != -2)
		charset_utf8(charset, buf_slice(&octets), put_utf8, out);
	buf_free(&octets);
	return fits && after != -2;
}
