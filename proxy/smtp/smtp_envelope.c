#include "proxy/smtp/smtp_envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/bits.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"
#include "proxy/base/wire.h"

#define BY_SECONDS_MAX UINT64_C(999999999)	/* RFC 2852 section 4: nine digits */
#define PACKED_RCPTS_MAX 100000

#define TWICE(word)  "501 5.5.4 " word " stands there twice"
#define SYNTAX(form) "501 5.5.4 Syntax: " form

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* RFC 3461 section 4: printable ASCII without "+" and "=", or "+" and two hexadecimal digits. */
static bool
is_xtext(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '+') {
			if (i + 2 >= s.len || !is_hex(s.at[i + 1]) || !is_hex(s.at[i + 2]))
				return false;
			i += 2;
		} else if (s.at[i] < '!' || s.at[i] > '~' || s.at[i] == '=') {
			return false;
		}
	}
	return s.len > 0;
}

static const char *
read_size(struct smtp_mail *m, struct slice value)
{
	return slice_number(value, &m->size) ? NULL : SYNTAX("SIZE=number");
}

static const char *
read_body(struct smtp_mail *m, struct slice value)
{
	if (slice_iis(value, "7BIT"))
		m->body = BODY_7BIT;
	else if (slice_iis(value, "8BITMIME"))
		m->body = BODY_8BITMIME;
	else if (slice_iis(value, "BINARYMIME"))
		m->body = BODY_BINARYMIME;
	else
		return SYNTAX("BODY=7BIT, 8BITMIME or BINARYMIME");
	return NULL;
}

static const char *
read_utf8(struct smtp_mail *m, struct slice value)
{
	m->utf8 = true;
	return value.at == NULL ? NULL : SYNTAX("SMTPUTF8");
}

static const char *
read_ret(struct smtp_mail *m, struct slice value)
{
	if (!slice_iis(value, "FULL") && !slice_iis(value, "HDRS"))
		return SYNTAX("RET=FULL or HDRS");
	m->ret = slice_iis(value, "FULL") ? RET_FULL : RET_HDRS;
	return NULL;
}

static const char *
read_envid(struct smtp_mail *m, struct slice value)
{
	return is_xtext(value) && slice_copy(value, m->envid, sizeof(m->envid)) ? NULL : SYNTAX("ENVID=xtext");
}

static const char *
read_auth(struct smtp_mail *m, struct slice value)
{
	bool good = slice_is(value, "<>") || is_xtext(value);

	return good && slice_copy(value, m->auth, sizeof(m->auth)) ? NULL : SYNTAX("AUTH=mailbox");
}

/* RFC 2852 section 4: seconds, which may be over already for "N" only, then how. */
static const char *
read_by(struct smtp_mail *m, struct slice value)
{
	bool negative = slice_starts(value, "-");
	struct slice mode = slice_part(value, negative, value.len), number = slice_cut(&mode, ';');
	uint64_t seconds;

	if (!slice_number(number, &seconds) || number.len > 9 || seconds > BY_SECONDS_MAX)
		return SYNTAX("BY=seconds;mode");
	if (!slice_iis(mode, "R") && !slice_iis(mode, "N") && !slice_iis(mode, "RT") && !slice_iis(mode, "NT"))
		return SYNTAX("BY=seconds;mode");
	if ((mode.at[0] == 'R' || mode.at[0] == 'r') && (negative || seconds == 0))
		return SYNTAX("BY=seconds;mode");
	m->by = true;
	m->by_seconds = negative ? -(int64_t)seconds : (int64_t)seconds;
	for (size_t i = 0; i < mode.len; i++)
		m->by_mode[i] = (char)(mode.at[i] & ~0x20);
	return NULL;
}

static const char *
read_requiretls(struct smtp_mail *m, struct slice value)
{
	m->requiretls = true;
	return value.at == NULL ? NULL : SYNTAX("REQUIRETLS");
}

static const char *
read_prdr(struct smtp_mail *m, struct slice value)
{
	m->prdr = true;
	return value.at == NULL ? NULL : SYNTAX("PRDR");
}

static const struct mail_row {
	const char *key;
	unsigned extension;
	const char *(*read)(struct smtp_mail *, struct slice value);
	const char *twice;
} mail_rows[] = {
	{ "SIZE",       CONF_EXT_SIZE,                          read_size,       TWICE("SIZE") },
	{ "BODY",       CONF_EXT_8BITMIME | CONF_EXT_BINARYMIME, read_body,       TWICE("BODY") },
	{ "SMTPUTF8",   CONF_EXT_SMTPUTF8,                      read_utf8,       TWICE("SMTPUTF8") },
	{ "RET",        CONF_EXT_DSN,                           read_ret,        TWICE("RET") },
	{ "ENVID",      CONF_EXT_DSN,                           read_envid,      TWICE("ENVID") },
	{ "AUTH",       CONF_EXT_AUTH,                          read_auth,       TWICE("AUTH") },
	{ "BY",         CONF_EXT_DELIVERBY,                     read_by,         TWICE("BY") },
	{ "REQUIRETLS", CONF_EXT_REQUIRETLS,                    read_requiretls, TWICE("REQUIRETLS") },
	{ "PRDR",       CONF_EXT_PRDR,                          read_prdr,       TWICE("PRDR") },
};

static const char *
path_trouble(enum smtp_path_result r, bool sender)
{
	switch (r) {
	case PATH_OK:
		return NULL;
	case PATH_LONG:
		return sender ? "501 5.1.7 Address too long" : "501 5.1.3 Address too long";
	case PATH_UTF8:
		return "553 5.6.7 Address needs SMTPUTF8";
	case PATH_SYNTAX:
		break;
	}
	return sender ? "501 5.1.7 Syntax: MAIL FROM:<address>" : "501 5.1.3 Syntax: RCPT TO:<address>";
}

/* "FROM:<...>" or "TO:<...>"; blanks behind the colon are wrong (RFC 5321 section 3.3) and common. */
static enum smtp_path_result
read_path(struct slice *args, const char *word, struct smtp_path *path, bool utf8)
{
	if (!slice_istarts(*args, word))
		return PATH_SYNTAX;
	*args = slice_trim(slice_part(*args, strlen(word), args->len));
	return smtp_path_parse(args, path, utf8);
}

static const char *
mail_param(struct smtp_mail *m, const struct smtp_param *p, unsigned offered, unsigned *seen)
{
	for (size_t i = 0; i < NITEMS(mail_rows); i++) {
		const struct mail_row *row = &mail_rows[i];

		if (!slice_iis(p->key, row->key) || (row->extension & offered) == 0)
			continue;
		if (*seen & 1u << i)
			return row->twice;
		*seen |= 1u << i;
		return row->read(m, p->value);
	}
	return "555 5.5.4 Parameter not recognized";
}

const char *
smtp_mail_read(struct smtp_mail *m, struct slice args, unsigned offered)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	const char *trouble;
	unsigned seen = 0;
	size_t n;

	memset(m, 0, sizeof(*m));
	/* SMTPUTF8 stands behind the address that needs it. */
	trouble = path_trouble(read_path(&args, "FROM:", &m->from, (offered & CONF_EXT_SMTPUTF8) != 0), true);
	if (trouble == NULL && !smtp_params_parse(args, params, &n))
		trouble = SYNTAX("MAIL FROM:<address> [parameters]");
	for (size_t i = 0; trouble == NULL && i < n; i++)
		trouble = mail_param(m, &params[i], offered, &seen);
	if (trouble == NULL && smtp_path_is_utf8(&m->from) && !m->utf8)
		trouble = path_trouble(PATH_UTF8, true);
	if (trouble == NULL && m->body == BODY_8BITMIME && !(offered & CONF_EXT_8BITMIME))
		trouble = "550 5.6.3 8BITMIME is not offered here";
	if (trouble == NULL && m->body == BODY_BINARYMIME && !(offered & CONF_EXT_BINARYMIME))
		trouble = "550 5.6.3 BINARYMIME is not offered here";
	return trouble;
}

static const struct bit_word notify_words[] = {
	{ "NEVER", NOTIFY_NEVER }, { "SUCCESS", NOTIFY_SUCCESS }, { "FAILURE", NOTIFY_FAILURE }, { "DELAY", NOTIFY_DELAY },
};

/* RFC 3461 section 4.1: NEVER stands alone. */
static const char *
read_notify(struct smtp_to *to, struct slice value)
{
	bool more = true;

	while (more) {
		unsigned bit;

		more = slice_has(value, ',');
		bit = bit_of_word(notify_words, NITEMS(notify_words), slice_cut(&value, ','));
		if (bit == 0 || (to->notify & bit))
			return SYNTAX("NOTIFY=NEVER, or SUCCESS, FAILURE, DELAY");
		to->notify |= bit;
	}
	return to->notify & NOTIFY_NEVER && to->notify != NOTIFY_NEVER ? SYNTAX("NOTIFY=NEVER, or SUCCESS, FAILURE, DELAY") : NULL;
}

/* RFC 6533 section 3: "\x{HEX}" for what is not ASCII, or where SMTPUTF8 was said UTF-8 itself. */
static bool
is_utf8_address(struct slice s, bool utf8)
{
	while (s.len > 0) {
		size_t n = str_utf8_len(s);

		if (n == 0 || (n > 1 && !utf8) || s.at[0] == '+' || s.at[0] == '=')
			return false;
		s = slice_part(s, n, s.len);
	}
	return true;
}

/* RFC 3461 section 4.2: a type of address, ";", and the address as xtext. */
static const char *
read_orcpt(struct smtp_to *to, struct slice value, bool utf8)
{
	struct slice address = value, type = slice_cut(&address, ';');

	for (size_t i = 0; i < type.len; i++)
		if (!((type.at[i] >= '0' && type.at[i] <= '9') || type.at[i] == '-' ||
		      ((type.at[i] | 0x20) >= 'a' && (type.at[i] | 0x20) <= 'z')))
			return SYNTAX("ORCPT=type;address");
	if (type.len == 0 || address.len == 0 || value.len > SMTP_ORCPT_MAX)
		return SYNTAX("ORCPT=type;address");
	if (slice_iis(type, "utf-8") ? !is_utf8_address(address, utf8) : !is_xtext(address))
		return SYNTAX("ORCPT=type;address");
	to->orcpt = mem_slice(value);
	return NULL;
}

const char *
smtp_to_read(struct smtp_to *to, struct slice args, unsigned offered, bool utf8)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	const char *trouble;
	size_t n;

	memset(to, 0, sizeof(*to));
	trouble = path_trouble(read_path(&args, "TO:", &to->to, utf8), false);
	if (trouble == NULL && !smtp_params_parse(args, params, &n))
		trouble = SYNTAX("RCPT TO:<address> [parameters]");
	for (size_t i = 0; trouble == NULL && i < n; i++) {
		struct smtp_param *p = &params[i];

		if (!(offered & CONF_EXT_DSN))
			trouble = "555 5.5.4 Parameter not recognized";
		else if (slice_iis(p->key, "NOTIFY"))
			trouble = to->notify != 0 ? TWICE("NOTIFY") : read_notify(to, p->value);
		else if (slice_iis(p->key, "ORCPT"))
			trouble = to->orcpt != NULL ? TWICE("ORCPT") : read_orcpt(to, p->value, utf8);
		else
			trouble = "555 5.5.4 Parameter not recognized";
	}
	if (trouble != NULL)
		smtp_to_free(to);
	return trouble;
}

void
smtp_to_free(struct smtp_to *to)
{
	free(to->orcpt);
	to->orcpt = NULL;
}

void
smtp_tos_free(struct smtp_to **tos, size_t n)
{
	for (size_t i = 0; i < n; i++)
		smtp_to_free(&(*tos)[i]);
	free(*tos);
	*tos = NULL;
}

unsigned
smtp_mail_needs(const struct smtp_mail *m)
{
	return (m->body == BODY_8BITMIME ? CONF_EXT_8BITMIME : 0u) |
	       (m->body == BODY_BINARYMIME ? CONF_EXT_BINARYMIME | CONF_EXT_CHUNKING : 0u) | (m->utf8 ? CONF_EXT_SMTPUTF8 : 0u) |
	       (m->ret != RET_UNSAID || m->envid[0] != '\0' ? CONF_EXT_DSN : 0u) | (m->by ? CONF_EXT_DELIVERBY : 0u) |
	       (m->requiretls ? CONF_EXT_REQUIRETLS : 0u);
}

unsigned
smtp_to_needs(const struct smtp_to *to)
{
	return to->notify != 0 || to->orcpt != NULL ? CONF_EXT_DSN : 0;
}

bool
smtp_mail_say(const struct smtp_mail *m, const struct backend_caps *caps, struct buf *out)
{
	static const char *const bodies[] = {
		[BODY_UNSAID] = "", [BODY_7BIT] = " BODY=7BIT", [BODY_8BITMIME] = " BODY=8BITMIME", [BODY_BINARYMIME] = " BODY=BINARYMIME",
	};
	unsigned has = caps->extensions;

	if (buf_room(out) < SMTP_MAIL_MAX)
		return false;
	buf_printf(out, "MAIL FROM:<%s>", m->from.mailbox);
	if (m->size > 0 && (has & CONF_EXT_SIZE))
		buf_printf(out, " SIZE=%llu", (unsigned long long)m->size);
	if (has & (m->body == BODY_BINARYMIME ? CONF_EXT_BINARYMIME : CONF_EXT_8BITMIME))
		buf_puts(out, bodies[m->body]);
	if (m->utf8 && (has & CONF_EXT_SMTPUTF8))
		buf_puts(out, " SMTPUTF8");
	if (m->ret != RET_UNSAID && (has & CONF_EXT_DSN))
		buf_puts(out, m->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (m->envid[0] != '\0' && (has & CONF_EXT_DSN))
		buf_printf(out, " ENVID=%s", m->envid);
	if (m->auth[0] != '\0' && (has & CONF_EXT_AUTH))
		buf_printf(out, " AUTH=%s", m->auth);
	if (m->by && (has & CONF_EXT_DELIVERBY))
		buf_printf(out, " BY=%lld;%s", (long long)m->by_seconds, m->by_mode);
	if (m->requiretls && (has & CONF_EXT_REQUIRETLS))
		buf_puts(out, " REQUIRETLS");
	return buf_puts(out, "\r\n");
}

bool
smtp_to_say(const struct smtp_to *to, const struct backend_caps *caps, struct buf *out)
{
	bool dsn = (caps->extensions & CONF_EXT_DSN) != 0, first = true;

	if (buf_room(out) < SMTP_RCPT_MAX)
		return false;
	buf_printf(out, "RCPT TO:<%s>", to->to.mailbox);
	for (size_t i = 0; dsn && i < NITEMS(notify_words); i++)
		if (to->notify & notify_words[i].bit) {
			buf_printf(out, "%s%s", first ? " NOTIFY=" : ",", notify_words[i].word);
			first = false;
		}
	if (dsn && to->orcpt != NULL)
		buf_printf(out, " ORCPT=%s", to->orcpt);
	return buf_puts(out, "\r\n");
}

static const struct bit_word extension_words[] = {
	{ "PIPELINING", CONF_EXT_PIPELINING }, { "SIZE", CONF_EXT_SIZE }, { "8BITMIME", CONF_EXT_8BITMIME },
	{ "SMTPUTF8", CONF_EXT_SMTPUTF8 }, { "DSN", CONF_EXT_DSN }, { "ENHANCEDSTATUSCODES", CONF_EXT_ENHANCED },
	{ "CHUNKING", CONF_EXT_CHUNKING }, { "BINARYMIME", CONF_EXT_BINARYMIME }, { "AUTH", CONF_EXT_AUTH },
	{ "DELIVERBY", CONF_EXT_DELIVERBY }, { "REQUIRETLS", CONF_EXT_REQUIRETLS }, { "PRDR", CONF_EXT_PRDR },
	{ "LIMITS", CONF_EXT_LIMITS }, { "ETRN", CONF_EXT_ETRN }, { "VRFY", CONF_EXT_VRFY }, { "EXPN", CONF_EXT_EXPN },
	{ "HELP", CONF_EXT_HELP }, { "STARTTLS", CONF_EXT_STARTTLS }, { "XCLIENT", CONF_EXT_XCLIENT },
	{ "XFORWARD", CONF_EXT_XFORWARD },
};

const char *
smtp_extension_name(unsigned bit)
{
	return word_of_bit(extension_words, NITEMS(extension_words), bit);
}

unsigned
smtp_extension_bit(struct slice word)
{
	return bit_of_word(extension_words, NITEMS(extension_words), word);
}

/* The bytes are the commands themselves, as they are said to a server that has everything: they are read back by
 * the readers that read them from the client. */
bool
smtp_envelope_pack(const struct smtp_mail *m, const struct smtp_to *tos, size_t n, struct buf *out)
{
	static const struct backend_caps all = { .extensions = ~0u };
	struct buf line;
	bool fits;

	buf_init(&line, SMTP_MAIL_MAX);
	fits = smtp_mail_say(m, &all, &line) && wire_put_bytes(out, buf_slice(&line)) && wire_put_u32(out, (uint32_t)n);
	for (size_t i = 0; fits && i < n; i++) {
		buf_clear(&line);
		fits = smtp_to_say(&tos[i], &all, &line) && wire_put_bytes(out, buf_slice(&line));
	}
	buf_free(&line);
	return fits;
}

/* "MAIL FROM:... CR LF" without its verb and line end. */
static struct slice
arguments(struct slice line)
{
	return slice_part(line, 5, line.len > 7 ? line.len - 7 : 0);
}

bool
smtp_envelope_unpack(struct slice bytes, struct smtp_mail *m, struct smtp_to **tos, size_t *n)
{
	struct wire_in in = wire_open(bytes);
	bool good = smtp_mail_read(m, arguments(wire_bytes(&in)), ~0u) == NULL;
	uint32_t count = wire_u32(&in);

	*tos = NULL;
	*n = 0;
	good = good && !in.bad && count <= PACKED_RCPTS_MAX;
	for (uint32_t i = 0; good && i < count && !in.bad; i++) {
		struct smtp_to to;

		good = smtp_to_read(&to, arguments(wire_bytes(&in)), ~0u, m->utf8) == NULL;
		if (good)
			*(struct smtp_to *)mem_push(tos, n, sizeof(to)) = to;
	}
	if (good && wire_done(&in))
		return true;
	smtp_tos_free(tos, *n);
	*n = 0;
	return false;
}
