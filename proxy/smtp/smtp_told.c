#include "proxy/smtp/smtp_told.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "proxy/base/mem.h"

static int
hex(char c)
{
	c = (char)ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* xtext into out; what it means must be printable, so that nothing in it begins a line of its own anywhere. Octets
 * above 127 are in user names only. */
static bool
read_xtext(struct slice text, bool any_octet, char out[SMTP_TOLD_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.at[i];

		if (c == '+') {
			int high = i + 2 < text.len ? hex(text.at[i + 1]) : -1, low = high >= 0 ? hex(text.at[i + 2]) : -1;

			if (low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (c < ' ' || c == 0x7f || (c > 0x7f && !any_octet) || n == SMTP_TOLD_MAX)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

/* "192.0.2.1" or "IPV6:2001:db8::1"; some relays leave the prefix away. */
static bool
read_addr(const char *text, struct addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (slice_istarts(slice_of(text), "IPV6:"))
		text += 5;
	else if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		addr_from(a, (struct sockaddr *)&in, sizeof(in));
		return true;
	}
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
		return false;
	addr_from(a, (struct sockaddr *)&in6, sizeof(in6));
	return true;
}

static bool
read_port(const char *text, unsigned *port)
{
	uint64_t n;

	if (!slice_number(slice_of(text), &n) || n > 65535)
		return false;
	*port = (unsigned)n;
	return true;
}

static bool
read_proto(const char *text, enum smtp_told_proto *proto)
{
	if (slice_iis(slice_of(text), "SMTP"))
		*proto = TOLD_SMTP;
	else if (slice_iis(slice_of(text), "ESMTP"))
		*proto = TOLD_ESMTP;
	else
		return false;
	return true;
}

enum kind { TEXT, NAME, LOGIN, ADDR, PORT, PROTO };
enum { XCLIENT = 1, XFORWARD = 2 };

#define PART(member) offsetof(struct smtp_told, member)

static const struct attribute {
	const char *word;
	unsigned commands;
	enum kind kind;
	size_t at, has;		/* has 0: being empty says it */
} attributes[] = {
	{ "NAME", XCLIENT | XFORWARD, NAME, PART(name), 0 },
	{ "ADDR", XCLIENT | XFORWARD, ADDR, PART(addr), PART(has_addr) },
	{ "PORT", XCLIENT | XFORWARD, PORT, PART(port), PART(has_port) },
	{ "PROTO", XCLIENT | XFORWARD, PROTO, PART(proto), 0 },
	{ "HELO", XCLIENT | XFORWARD, NAME, PART(helo), 0 },
	{ "LOGIN", XCLIENT, LOGIN, PART(login), PART(has_login) },
	{ "DESTADDR", XCLIENT, ADDR, PART(destination), PART(has_destination) },
	{ "DESTPORT", XCLIENT, PORT, PART(destination_port), PART(has_destination_port) },
	{ "IDENT", XFORWARD, TEXT, PART(ident), 0 },
	{ "SOURCE", XFORWARD, TEXT, PART(source), 0 },
};

/* A value into its place. "[UNAVAILABLE]" and "[TEMPUNAVAIL]" (a name that the DNS did not give) are known to be unknown. */
static bool
read_value(const struct attribute *a, struct slice xtext, struct smtp_told *told)
{
	char text[SMTP_TOLD_MAX + 1], *place = (char *)told + a->at;
	bool unknown;

	if (xtext.len == 0 || !read_xtext(xtext, a->kind == LOGIN, text))
		return false;
	unknown = slice_iis(slice_of(text), "[UNAVAILABLE]") || slice_iis(slice_of(text), "[TEMPUNAVAIL]");
	if (a->has > 0)
		*(bool *)((char *)told + a->has) = true;
	switch (a->kind) {
	case NAME:		/* no words, but one */
		if (slice_has(slice_of(text), ' '))
			return false;
		/* fallthrough */
	case TEXT:
	case LOGIN:
		memcpy(place, unknown ? "" : text, unknown ? 1 : strlen(text) + 1);
		return true;
	case ADDR:
		memset(place, 0, sizeof(struct addr));
		return unknown || read_addr(text, (struct addr *)(void *)place);
	case PORT:
		*(unsigned *)(void *)place = 0;
		return unknown || read_port(text, (unsigned *)(void *)place);
	case PROTO:
		*(enum smtp_told_proto *)(void *)place = TOLD_NO_PROTO;
		return unknown || read_proto(text, (enum smtp_told_proto *)(void *)place);
	}
	return false;
}

static const char *
read_all(struct smtp_told *told, struct slice args, unsigned command)
{
	struct smtp_told next = *told;

	if (args.len == 0)
		return "501 5.5.4 Syntax: attribute=value...";
	while (args.len > 0) {
		struct slice value = slice_word(&args), word = slice_cut(&value, '=');
		size_t i = 0;

		while (i < NITEMS(attributes) && !((attributes[i].commands & command) != 0 && slice_iis(word, attributes[i].word)))
			i++;
		if (i == NITEMS(attributes))
			return "501 5.5.4 Unknown attribute";
		if (!read_value(&attributes[i], value, &next))
			return "501 5.5.4 Bad value of an attribute";
	}
	*told = next;
	return NULL;
}

const char *
smtp_told_xclient(struct smtp_told *told, struct slice args)
{
	return read_all(told, args, XCLIENT);
}

const char *
smtp_told_xforward(struct smtp_told *told, struct slice args)
{
	return read_all(told, args, XFORWARD);
}
