#include "proxy/smtp/smtp_path.h"

#include <string.h>

#include "proxy/base/str.h"

static bool
is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* atext of RFC 5322 section 3.2.3, and the dot wherever it stands: mailboxes with ".." exist. */
static bool
is_local_char(unsigned char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

static bool
is_domain_char(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_';
}

static struct slice
skip(struct slice s, size_t n)
{
	return slice_part(s, n, s.len);
}

static size_t
span(struct slice s, bool (*is)(unsigned char))
{
	size_t n = 0;

	while (n < s.len && is((unsigned char)s.at[n]))
		n++;
	return n;
}

/* Length of the UTF-8 character above ASCII at the start, 0 if there is none that may stand here: C1 controls
 * (U+0080 to U+009F) are no part of an address. */
static size_t
utf8_len(struct slice s)
{
	size_t n = s.len > 0 && (unsigned char)s.at[0] >= 0x80 ? str_utf8_len(s) : 0;

	return n == 2 && (unsigned char)s.at[0] == 0xc2 && (unsigned char)s.at[1] < 0xa0 ? 0 : n;
}

/* The same as span(), and where it may UTF-8, too. */
static size_t
span_utf8(struct slice s, bool (*is)(unsigned char), bool utf8)
{
	size_t n = span(s, is), more;

	while (utf8 && (more = utf8_len(skip(s, n))) > 0)
		n += more + span(skip(s, n + more), is);
	return n;
}

/* Length of a quoted string with both quotes, 0 if it is none. */
static size_t
quoted_len(struct slice s, bool utf8)
{
	size_t i = 1, more;

	while (i < s.len) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '"')
			return i + 1;
		if (c == '\\' && ++i < s.len)
			c = (unsigned char)s.at[i];
		more = c >= ' ' && c <= '~' ? 1 : utf8 ? utf8_len(skip(s, i)) : 0;
		if (more == 0)
			return 0;
		i += more;
	}
	return 0;
}

/* Length of "[192.0.2.1]" or "[IPv6:...]" with its brackets, 0 if it is none. */
static size_t
literal_len(struct slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == ']')
			return i > 1 ? i + 1 : 0;
		if (!is_alnum(c) && c != '.' && c != ':' && c != '-')
			return 0;
	}
	return 0;
}

static size_t
domain_len(struct slice s, bool utf8)
{
	size_t n;

	if (slice_starts(s, "["))
		return literal_len(s);
	n = span_utf8(s, is_domain_char, utf8);
	for (size_t i = 0; i < n; i++)		/* no empty label */
		if (s.at[i] == '.' && (i == 0 || s.at[i - 1] == '.'))
			return 0;
	return n;
}

/* "@a,@b:" in front of the mailbox (RFC 5321 section 4.1.2, A-d-l): read, then ignored (section 3.6.1). */
static bool
skip_source_route(struct slice *s, bool utf8)
{
	while (slice_starts(*s, "@")) {
		size_t n = domain_len(skip(*s, 1), utf8);

		if (n == 0)
			return false;
		*s = skip(*s, n + 1);
		if (slice_starts(*s, ":")) {
			*s = skip(*s, 1);
			return true;
		}
		if (!slice_starts(*s, ","))
			return false;
		*s = skip(*s, 1);
	}
	return false;
}

static bool
has_high_octet(struct slice s)
{
	for (size_t i = 0; i < s.len && s.at[i] != '>'; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return true;
	return false;
}

enum smtp_path_result
smtp_path_parse(struct slice *rest, struct smtp_path *path, bool utf8)
{
	struct slice s = *rest, mailbox;
	size_t local, domain = 0;

	memset(path, 0, sizeof(*path));
	if (!utf8 && has_high_octet(s))
		return PATH_UTF8;
	if (!slice_starts(s, "<"))
		return PATH_SYNTAX;
	s = skip(s, 1);
	if (slice_starts(s, ">")) {
		*rest = skip(s, 1);
		return PATH_OK;
	}
	if (slice_starts(s, "@") && !skip_source_route(&s, utf8))
		return PATH_SYNTAX;
	mailbox = s;
	local = slice_starts(s, "\"") ? quoted_len(s, utf8) : span_utf8(s, is_local_char, utf8);
	if (local == 0)
		return PATH_SYNTAX;
	s = skip(s, local);
	if (slice_starts(s, "@")) {
		domain = domain_len(skip(s, 1), utf8);
		if (domain == 0)
			return PATH_SYNTAX;
		s = skip(s, domain + 1);
	}
	if (!slice_starts(s, ">"))
		return PATH_SYNTAX;
	*rest = skip(s, 1);
	if (domain > 0 && mailbox.at[local + domain] == '.')
		domain--;		/* "example.org." is the same domain */
	if (local > SMTP_LOCAL_MAX || domain > SMTP_DOMAIN_MAX)
		return PATH_LONG;
	path->local_len = local;
	slice_copy(slice_part(mailbox, 0, local + (domain > 0) + domain), path->mailbox, sizeof(path->mailbox));
	return PATH_OK;
}

static bool
is_key_char(unsigned char c)
{
	return is_alnum(c) || c == '-';
}

/* UTF-8 may stand in ORCPT (RFC 6533 section 3); who reads a parameter looks closer. */
static bool
is_value_char(unsigned char c)
{
	return c > ' ' && c != 0x7f && c != '=';
}

bool
smtp_params_parse(struct slice rest, struct smtp_param params[SMTP_PARAMS_MAX], size_t *n)
{
	*n = 0;
	if (rest.len > 0 && rest.at[0] != ' ')
		return false;
	while ((rest = slice_trim(rest)).len > 0) {
		struct slice word = slice_word(&rest);
		bool has_value = slice_has(word, '=');
		struct slice key = slice_cut(&word, '=');

		if (*n == SMTP_PARAMS_MAX || key.len == 0 || span(key, is_key_char) != key.len ||
		    (has_value && (word.len == 0 || span(word, is_value_char) != word.len)))
			return false;
		params[(*n)++] = (struct smtp_param){ key, has_value ? word : (struct slice){ NULL, 0 } };
	}
	return true;
}

struct slice
smtp_path_mailbox(const struct smtp_path *p)
{
	return slice_of(p->mailbox);
}

struct slice
smtp_path_local(const struct smtp_path *p)
{
	return (struct slice){ p->mailbox, p->local_len };
}

struct slice
smtp_path_domain(const struct smtp_path *p)
{
	struct slice all = slice_of(p->mailbox);

	return slice_part(all, p->local_len + 1, all.len);
}

bool
smtp_path_is_routed(const struct smtp_path *p)
{
	struct slice local = smtp_path_local(p);

	return slice_has(local, '%') || slice_has(local, '!') || slice_has(local, '@') || slice_has(local, ':');
}

bool
smtp_path_is_utf8(const struct smtp_path *p)
{
	for (const char *c = p->mailbox; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			return true;
	return false;
}
