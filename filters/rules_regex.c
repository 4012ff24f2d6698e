/* rules_regex.c - /pattern/flags, as SpamAssassin takes it, becomes a PCRE2 regular expression.
 *
 * Patterns see octets, never characters: that is what SpamAssassin's rules are written for, and
 * mail is not always the UTF-8 that it claims to be. */
#include <string.h>

#include "filters/rules_int.h"

/* Perl would take these: ours to leave out, not the writer's mistake. The compiled pattern passes
 * 64 KiB; a lookbehind has no one length; \N{U+...}; characters above \xff, which octets never are. */
static const int not_ours[] = {
	PCRE2_ERROR_PATTERN_TOO_LARGE, PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH,
	PCRE2_ERROR_LOOKBEHIND_TOO_COMPLICATED, PCRE2_ERROR_UNSUPPORTED_ESCAPE_SEQUENCE,
	PCRE2_ERROR_CODE_POINT_TOO_BIG,
};

/* Takes "/", "m!", "qr{" off the front; the delimiter that must end the pattern, or 0. */
static char
take_delimiter(struct slice *text)
{
	static const char open[] = "{(<[", close[] = "})>]";
	struct slice rest = *text;
	const char *at;
	char c;

	if (slice_starts(rest, "qr"))
		rest = slice_part(rest, 2, rest.len);
	else if (slice_starts(rest, "m"))
		rest = slice_part(rest, 1, rest.len);
	else if (!slice_starts(rest, "/"))
		return 0;
	if (rest.len == 0)
		return 0;
	c = rest.at[0];
	if (c == '\\' || c == '_' || c == ' ' || c == '\t' || (c >= '0' && c <= '9') ||
	    (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '\0')
		return 0;
	*text = slice_part(rest, 1, rest.len);
	at = strchr(open, c);
	return at != NULL ? close[at - open] : c;
}

/* Splits what stands behind the first delimiter at the last one. */
static bool
split_flags(struct slice text, char delimiter, struct slice *pattern, struct slice *flags)
{
	size_t at = text.len;

	while (at > 0 && text.at[at - 1] >= 'a' && text.at[at - 1] <= 'z')
		at--;
	if (at == 0 || text.at[at - 1] != delimiter)
		return false;
	*pattern = slice_part(text, 0, at - 1);
	*flags = slice_part(text, at, text.len);
	return true;
}

/* A delimiter inside the pattern without its backslash most often means that the line is not
 * what its writer thinks. Brackets may stand inside brackets. */
static bool
has_bare(struct slice pattern, char delimiter)
{
	if (strchr("})>]", delimiter) != NULL)
		return false;
	for (size_t i = 0; i < pattern.len; i++) {
		if (pattern.at[i] == '\\')
			i++;
		else if (pattern.at[i] == delimiter)
			return true;
	}
	return false;
}

static bool
ends_in_backslash(struct slice pattern)
{
	bool odd = false;

	while (pattern.len > 0 && pattern.at[--pattern.len] == '\\')
		odd = !odd;
	return odd;
}

static bool
read_flags(struct slice flags, uint32_t *options)
{
	for (size_t i = 0; i < flags.len; i++)
		switch (flags.at[i]) {
		case 'i':
			*options |= PCRE2_CASELESS;
			break;
		case 'm':
			*options |= PCRE2_MULTILINE;
			break;
		case 's':
			*options |= PCRE2_DOTALL;
			break;
		case 'x':
			*options |= *options & PCRE2_EXTENDED ? PCRE2_EXTENDED_MORE : PCRE2_EXTENDED;
			break;
		case 'n':
			*options |= PCRE2_NO_AUTO_CAPTURE;
			break;
		case 'a': case 'd': case 'g': case 'l': case 'o': case 'p': case 'u':
			break;		/* how to go on, or which characters: nothing here */
		default:
			return false;
		}
	return true;
}

/* %{NAME} stands for what another rule captured (SpamAssassin 4). */
static bool
wants_capture(struct slice pattern)
{
	const char *end = pattern.at + pattern.len, *at = pattern.at;

	while (pattern.len > 0 && (at = memmem(at, (size_t)(end - at), "%{", 2)) != NULL) {
		at += 2;
		if (at < end && *at >= 'A' && *at <= 'Z')
			return true;
	}
	return false;
}

enum outcome
regex_compile(struct slice text, pcre2_code **out, struct err *err)
{
	/* PCRE2_USE_OFFSET_LIMIT lets a long text be searched in steps, with a look at the clock
	 * between them. (*UTF) inside a pattern would make every message that is no UTF-8 an error. */
	uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_USE_OFFSET_LIMIT;
	struct slice pattern, flags;
	char delimiter = take_delimiter(&text), why[120];
	size_t offset;
	int code;

	*out = NULL;
	if (delimiter == 0) {
		err_set(err, "a regular expression stands in /.../ or m{...}");
		return LINE_BROKEN;
	}
	if (!split_flags(text, delimiter, &pattern, &flags) || ends_in_backslash(pattern)) {
		err_set(err, "the regular expression does not end in %c and flags", delimiter);
		return LINE_BROKEN;
	}
	if (!read_flags(flags, &options)) {
		err_set(err, "the regular expression's flags are not of imsxn: %.*s", (int)slice_part(flags, 0, 40).len,
		    flags.at);
		return LINE_BROKEN;
	}
	if (has_bare(pattern, delimiter)) {
		err_set(err, "%c stands inside the regular expression without a backslash", delimiter);
		return LINE_BROKEN;
	}
	if (wants_capture(pattern)) {
		err_set(err, "%%{NAME} of another rule's capture is not supported");
		return LINE_UNSUPPORTED;
	}
	*out = pcre2_compile((PCRE2_SPTR)pattern.at, pattern.len, options, &code, &offset, NULL);
	if (*out != NULL)
		return LINE_DONE;
	pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
	err_set(err, "the regular expression at octet %zu: %s", offset, why);
	for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++)
		if (code == not_ours[i])
			return LINE_UNSUPPORTED;
	return LINE_BROKEN;
}

const char *
rules_library(void)
{
	static char text[64];

	if (text[0] == '\0')
		pcre2_config(PCRE2_CONFIG_VERSION, text);
	return text;
}
