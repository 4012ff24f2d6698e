#include "proxy/smtp/smtp_identity.h"

#include <stdio.h>
#include <string.h>

#include "proxy/base/bits.h"
#include "proxy/base/mem.h"

#define VALUE_MAX 480		/* octets of a value as xtext: with verb and name it fits into a line */

static const struct bit_word attributes_known[] = {	/* in the order in which they are said */
	{ "NAME", ATTRIBUTE_NAME }, { "PORT", ATTRIBUTE_PORT }, { "PROTO", ATTRIBUTE_PROTO }, { "HELO", ATTRIBUTE_HELO },
	{ "LOGIN", ATTRIBUTE_LOGIN }, { "DESTADDR", ATTRIBUTE_DESTADDR }, { "DESTPORT", ATTRIBUTE_DESTPORT },
	{ "IDENT", ATTRIBUTE_IDENT }, { "SOURCE", ATTRIBUTE_SOURCE }, { "ADDR", ATTRIBUTE_ADDR },
};

unsigned
identity_attribute(struct slice word)
{
	return bit_of_word(attributes_known, NITEMS(attributes_known), word);
}

/* RFC 3461 section 4. False: too long. */
static bool
put_xtext(struct buf *out, struct slice text)
{
	bool fits = true;

	for (size_t i = 0; i < text.len && fits; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < '!' || c > '~' || c == '+' || c == '=')
			fits = buf_printf(out, "+%02X", c);
		else
			fits = buf_putc(out, (char)c);
	}
	return fits;
}

static bool
put_host(struct buf *out, const struct addr *a)
{
	char host[ADDR_TEXT_MAX];

	if (a->len == 0 || (a->ss.ss_family != AF_INET && a->ss.ss_family != AF_INET6))
		return false;
	addr_host(a, host);
	return buf_printf(out, "%s%s", a->ss.ss_family == AF_INET6 ? "IPV6:" : "", host);
}

static bool
put_port(struct buf *out, const struct addr *a)
{
	return a->len > 0 && addr_port(a) != 0 && buf_printf(out, "%u", addr_port(a));
}

/* False, and perhaps a part: it is not known, or cannot be said. */
static bool
put_value(struct buf *out, unsigned bit, const struct smtp_client *c, struct slice id)
{
	switch (bit) {
	case ATTRIBUTE_ADDR:
		return put_host(out, &c->peer);
	case ATTRIBUTE_PORT:
		return put_port(out, &c->peer);
	case ATTRIBUTE_DESTADDR:
		return put_host(out, &c->local);
	case ATTRIBUTE_DESTPORT:
		return put_port(out, &c->local);
	case ATTRIBUTE_PROTO:
		return buf_puts(out, c->esmtp ? "ESMTP" : "SMTP");
	case ATTRIBUTE_SOURCE:
		return buf_puts(out, "REMOTE");
	case ATTRIBUTE_HELO:
		return c->helo.len > 0 && put_xtext(out, c->helo);
	case ATTRIBUTE_LOGIN:
		return c->login.len > 0 && put_xtext(out, c->login);
	case ATTRIBUTE_IDENT:
		return id.len > 0 && put_xtext(out, id);
	default:
		return false;		/* NAME: no name is looked up for it */
	}
}

unsigned
identity_say(struct buf *out, const char *verb, unsigned attributes, const struct smtp_client *c, struct slice id)
{
	struct buf value;
	size_t line = 0;		/* octets of the command that is being built */
	unsigned n = 0;

	buf_init(&value, VALUE_MAX);
	for (size_t i = 0; i < NITEMS(attributes_known); i++) {
		const char *name = attributes_known[i].word;
		size_t more;

		if (!(attributes & attributes_known[i].bit))
			continue;
		buf_clear(&value);
		if (!put_value(&value, attributes_known[i].bit, c, id)) {
			if (attributes_known[i].bit == ATTRIBUTE_LOGIN && c->login.len == 0)
				continue;	/* who has not logged in is nobody, which a new session says by itself */
			buf_clear(&value);
			buf_puts(&value, "[UNAVAILABLE]");
		}
		more = 1 + strlen(name) + 1 + buf_len(&value);
		if (n > 0 && line + more + 2 > IDENTITY_LINE) {
			buf_puts(out, "\r\n");
			n++;
			line = strlen(verb);
			buf_puts(out, verb);
		} else if (n == 0) {
			n = 1;
			line = strlen(verb);
			buf_puts(out, verb);
		}
		buf_printf(out, " %s=", name);
		buf_put(out, buf_slice(&value));
		line += more;
	}
	if (n > 0)
		buf_puts(out, "\r\n");
	buf_free(&value);
	return n;
}
