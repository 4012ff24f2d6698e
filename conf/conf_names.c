#include "conf/conf_names.h"

#include <string.h>

#include "conf/conf.h"
#include "proxy/base/b64.h"
#include "proxy/base/mem.h"

#define DOMAIN_MAX 253
#define LABEL_MAX  63
#define USER_MAX   32
#define LOCAL_MAX  64	/* RFC 5321 section 4.5.3.1.1 */
#define LOGIN_MAX  255
#define PIN        "sha256//"
#define PIN_OCTETS 32
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

/* What stands before the "@": as RFC 5321 section 4.1.2 has it without quotes, or in UTF-8 (RFC 6531). */
static const char *
local_fault(struct slice local)
{
	if (local.len == 0 || local.len > LOCAL_MAX)
		return "1 to 64 octets stand before the \"@\"";
	for (size_t i = 0; i < local.len; i++)
		if (slice_has(SLICE(" \"(),:;<>@[\\]"), local.at[i]))
			return "write what stands before the \"@\" without quotes, blanks and signs";
	return NULL;
}

const char *
conf_recipient_fault(const char *text)
{
	const char *at = strrchr(text, '@'), *fault;

	if (at == NULL)
		return conf_domain_fault(text[0] == '.' ? text + 1 : text);
	if (text[0] == '*')
		return "write example.org for all recipients of a domain";
	fault = local_fault((struct slice){ text, (size_t)(at - text) });
	return fault != NULL ? fault : conf_domain_fault(at + 1);
}

const char *
conf_route_fault(const char *text)
{
	if (strcmp(text, "*") == 0)
		return NULL;
	if (text[0] == '*')
		return "write .example.org for what is below a domain, or * alone for all others";
	return conf_recipient_fault(text);
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
conf_login_fault(const char *text)
{
	return text[0] == '\0' || strlen(text) > LOGIN_MAX ? "a user's name has 1 to 255 octets" : NULL;
}

const char *
conf_who_fault(const char *text)
{
	if (strcmp(text, "*") == 0)
		return NULL;
	if (slice_starts(slice_of(text), "*@"))
		return conf_domain_fault(text + 2);
	if (strchr(text, '*') != NULL)
		return "write *@example.org for all of a domain, or * alone for any user";
	return conf_login_fault(text);
}

/* {word} is one of ours; a brace for itself is a brace. */
static bool
knows_words(struct slice text)
{
	static const char *const known[] = { "id", "from", "to", "host" };

	while (slice_has(text, '{')) {
		struct slice word;
		size_t len = 0;

		slice_cut(&text, '{');
		while (len < text.len && text.at[len] >= 'a' && text.at[len] <= 'z')
			len++;
		word = slice_part(text, 0, len);
		if (len == 0 || len == text.len || text.at[len] != '}')
			continue;
		len = 0;
		while (len < NITEMS(known) && !slice_is(word, known[len]))
			len++;
		if (len == NITEMS(known))
			return false;
	}
	return true;
}

const char *
conf_refusal_fault(const char *text)
{
	struct slice words = slice_of(text);

	if (words.len == 0 || words.len > WORDS_MAX)
		return "it must have 1 to 400 octets, because it stands in a line of SMTP";
	for (size_t i = 0; i < words.len; i++)
		if (words.at[i] < ' ' || words.at[i] > '~')
			return "it must be ASCII, because it stands in a line of SMTP";
	return knows_words(words) ? NULL : "what can be filled in is {id}, {from}, {to} and {host}";
}

const char *
conf_ciphers_fault(const char *text)
{
	struct slice ciphers = slice_of(text);

	if (ciphers.len == 0)
		return "it is empty";
	for (size_t i = 0; i < ciphers.len; i++)
		if (!is_letter(ciphers.at[i]) && !is_digit(ciphers.at[i]) && !slice_has(SLICE(":+-!@=_., "), ciphers.at[i]))
			return "it is made of ciphers' names and \":\", \"+\", \"-\", \"!\", \"@\", \"=\"";
	return NULL;
}

const char *
conf_pin_fault(const char *text)
{
	struct slice pin = slice_of(text);
	struct buf digest;
	bool good;

	buf_init(&digest, PIN_OCTETS);
	good = slice_starts(pin, PIN) && b64_decode(&digest, slice_part(pin, strlen(PIN), pin.len)) && buf_len(&digest) == PIN_OCTETS;
	buf_free(&digest);
	return good ? NULL : "it is made of sha256// and the 44 characters that 32 octets are in base64";
}
