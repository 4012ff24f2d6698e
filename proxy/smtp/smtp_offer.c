#include "proxy/smtp/smtp_offer.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_OCTETS 500	/* RFC 5321 section 4.5.3.1.5: a reply line has at most 512 */

static void
say_limits(const struct smtp_offer *o, char *out, size_t size)
{
	char mails[40] = "";

	if (o->mailmax > 0)
		snprintf(mails, sizeof(mails), " MAILMAX=%u", o->mailmax);
	snprintf(out, size, "LIMITS RCPTMAX=%u%s", o->rcptmax, mails);
}

static void
say_deliverby(const struct smtp_offer *o, char *out, size_t size)
{
	if (o->by_min > 0)
		snprintf(out, size, "DELIVERBY %llu", (unsigned long long)o->by_min);
	else
		snprintf(out, size, "DELIVERBY");
}

static void
say_size(const struct smtp_offer *o, char *out, size_t size)
{
	snprintf(out, size, "SIZE %llu", (unsigned long long)o->size);
}

static void
say_auth(const struct smtp_offer *o, char *out, size_t size)
{
	snprintf(out, size, "AUTH %s", o->auth);
}

/* In the order in which they are said. */
static const struct {
	unsigned bit;
	const char *word;
	void (*say)(const struct smtp_offer *, char *out, size_t size);
} rows[] = {
	{ CONF_EXT_PIPELINING, "PIPELINING", NULL },
	{ CONF_EXT_SIZE,       NULL, say_size },
	{ CONF_EXT_8BITMIME,   "8BITMIME", NULL },
	{ CONF_EXT_SMTPUTF8,   "SMTPUTF8", NULL },
	{ CONF_EXT_DSN,        "DSN", NULL },
	{ CONF_EXT_CHUNKING,   "CHUNKING", NULL },
	{ CONF_EXT_BINARYMIME, "BINARYMIME", NULL },
	{ CONF_EXT_STARTTLS,   "STARTTLS", NULL },
	{ CONF_EXT_AUTH,       NULL, say_auth },
	{ CONF_EXT_DELIVERBY,  NULL, say_deliverby },
	{ CONF_EXT_REQUIRETLS, "REQUIRETLS", NULL },
	{ CONF_EXT_PRDR,       "PRDR", NULL },
	{ CONF_EXT_LIMITS,     NULL, say_limits },
	{ CONF_EXT_ETRN,       "ETRN", NULL },
	{ CONF_EXT_VRFY,       "VRFY", NULL },
	{ CONF_EXT_EXPN,       "EXPN", NULL },
	{ CONF_EXT_XCLIENT,    "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT", NULL },
	{ CONF_EXT_XFORWARD,   "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE", NULL },
	{ CONF_EXT_ENHANCED,   "ENHANCEDSTATUSCODES", NULL },
	{ CONF_EXT_HELP,       "HELP", NULL },
};

bool
smtp_offer_say(const struct smtp_offer *o, struct buf *out)
{
	char line[LINE_MAX_OCTETS];
	size_t last = 0;
	bool fits;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (o->extensions & rows[i].bit)
			last = i + 1;
	fits = buf_printf(out, "250%c%s\r\n", last > 0 ? '-' : ' ', o->hostname);
	for (size_t i = 0; i < last; i++) {
		if (!(o->extensions & rows[i].bit))
			continue;
		if (rows[i].say != NULL)
			rows[i].say(o, line, sizeof(line));
		else
			snprintf(line, sizeof(line), "%s", rows[i].word);
		fits = fits && buf_printf(out, "250%c%s\r\n", i + 1 < last ? '-' : ' ', line);
	}
	return fits;
}
