#include "conf/conf_names.h"

#include <string.h>

#include "conf/conf.h"
#include "proxy/base/slice.h"

#define DOMAIN_MAX 253
#define LABEL_MAX  63
#define USER_MAX   32
#define WORDS_MAX  400	/* leaves room for code and line end in the 512 octets of RFC 5321 section 4.5.3.1.5 */

static bool
is_letter(char c)
{
	int lower = ascii_lower((unsigned char)c);

	return lower >= 'a' && lower <= 'z';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *
label_fault(struct slice label)
{
	if (label.len == 0)
		return "a name between two dots is missing";
	if (label.len > LABEL_MAX)
		return "a name between two dots may have 63 octets at most";
	for (size_t i = 0; i < label.len; i++)
		if (!is_letter(label.at[i]) && !is_digit(label.at[i]) && label.at[i] != '-')
			return "only letters, digits, \"-\" and \".\" may stand in it";
	if (label.at[0] == '-' || label.at[label.len - 1] == '-')
		return "no name between two dots may begin or end with \"-\"";
	return NULL;
}

const char *
conf_domain_fault(const char *text)
{
	struct slice rest = slice_of(text);
	const char *fault;

	for (size_t i = 0; i < rest.len; i++)
		if ((unsigned char)rest.at[i] >= 0x80)
			return "write the domain in its xn-- form";
	if (rest.len > DOMAIN_MAX)
		return "it may have 253 octets at most";
	if (rest.len > 0 && rest.at[rest.len - 1] == '.')
		return "write it without the dot at the end";
	do
		fault = label_fault(slice_cut(&rest, '.'));
	while (fault == NULL && rest.len > 0);
	return fault;
}

const char *
conf_route_fault(const char *text)
{
	if (strcmp(text, "*") == 0)
		return NULL;
	if (text[0] == '*')
		return "write .example.org for what is below a domain, or * alone for all others";
	return conf_domain_fault(text[0] == '.' ? text + 1 : text);
}

const char *
conf_name_fault(const char *text)
{
	struct slice name = slice_of(text);

	if (name.len == 0 || name.len > CONF_NAME_MAX)
		return "a name has 1 to 63 octets";
	for (size_t i = 0; i < name.len; i++)
		if (!is_letter(name.at[i]) && !is_digit(name.at[i]) && !slice_has(SLICE("-_."), name.at[i]))
			return "a name is made of letters, digits, \"-\", \"_\" and \".\"";
	return NULL;
}

/* (uid_t)-1 means "unchanged" to the kernel. */
static bool
is_id(struct slice text)
{
	uint64_t id;

	return slice_number(text, &id) && id < UINT32_MAX;
}

const char *
conf_user_fault(const char *text)
{
	struct slice name = slice_of(text), gid = name, uid = slice_cut(&gid, ':');
	bool two = slice_has(name, ':');

	if (name.len > 0 && is_digit(name.at[0]))
		return is_id(uid) && (!two || is_id(gid)) ? NULL : "numbers are written UID or UID:GID, as in 65534:65534";
	if (name.len == 0 || name.len > USER_MAX || name.at[0] == '-')
		return "a user's name has 1 to 32 octets and begins with a letter or \"_\"";
	for (size_t i = 0; i < name.len; i++)
		if (!is_letter(name.at[i]) && !is_digit(name.at[i]) && !slice_has(SLICE("-_."), name.at[i]))
			return "a user's name is made of letters, digits, \"-\", \"_\" and \".\"";
	return NULL;
}

const char *
conf_words_fault(const char *text)
{
	struct slice words = slice_of(text);

	if (words.len == 0 || words.len > WORDS_MAX)
		return "it must have 1 to 400 octets, because it stands in a line of SMTP";
	for (size_t i = 0; i < words.len; i++)
		if (words.at[i] < ' ' || words.at[i] > '~')
			return "it must be ASCII, because it stands in a line of SMTP";
	return NULL;
}
