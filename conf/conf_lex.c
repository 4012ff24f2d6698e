#include "conf/conf_lex.h"

#include <stdarg.h>
#include <stdlib.h>

#include "proxy/base/str.h"

#define VARIABLE_MAX 255	/* octets of an environment variable's name */

int
conf_err(struct err *err, const struct conf_where *where, const char *fmt, ...)
{
	char text[ERR_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return err_set(err, "%s:%u:%u: %s", where->file, where->line, where->column, text);
}

void
conf_lex_init(struct conf_lex *lex, const char *file, struct slice text)
{
	*lex = (struct conf_lex){ .left = text, .at = { file, 1, 1 } };
	buf_init(&lex->word, CONF_WORD_MAX);
	if (slice_starts(text, "\xef\xbb\xbf"))		/* a byte order mark, as some editors leave it */
		lex->left = slice_part(text, 3, text.len);
}

void
conf_lex_free(struct conf_lex *lex)
{
	buf_free(&lex->word);
}

static int
peek(const struct conf_lex *lex)
{
	return lex->left.len > 0 ? (unsigned char)lex->left.at[0] : -1;
}

/* Goes on by `len` octets. Columns count characters: a UTF-8 character's further octets do not. */
static void
advance(struct conf_lex *lex, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)lex->left.at[i];

		if (c == '\n') {
			lex->at.line++;
			lex->at.column = 1;
		} else if ((c & 0xc0) != 0x80) {
			lex->at.column++;
		}
	}
	lex->left = slice_part(lex->left, len, lex->left.len);
}

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
ends_word(int c)
{
	return c == -1 || is_blank(c) || c == ';' || c == '{' || c == '}';
}

static void
skip_blanks(struct conf_lex *lex)
{
	while (is_blank(peek(lex)) || peek(lex) == '#') {
		struct slice rest = lex->left;

		advance(lex, peek(lex) == '#' ? slice_cut(&rest, '\n').len : 1);
	}
}

/* C0 and DEL; U+0080..9F, the C1 controls. */
static bool
is_control(struct slice ch)
{
	unsigned char c = (unsigned char)ch.at[0];

	return c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)ch.at[1] < 0xa0);
}

/* Adds the character at the start of `text` to the word; *len becomes its length. */
static int
put_char(struct conf_lex *lex, struct slice text, size_t *len, struct err *err)
{
	*len = str_utf8_len(text);
	if (*len == 0)
		return conf_err(err, &lex->at, "expected UTF-8, not the octet 0x%02x", (unsigned char)text.at[0]);
	if (is_control(slice_part(text, 0, *len)))
		return conf_err(err, &lex->at, "expected no control characters, not 0x%02x", (unsigned char)text.at[*len - 1]);
	if (!buf_put(&lex->word, slice_part(text, 0, *len)))
		return conf_err(err, &lex->at, "expected a word of at most %d octets", CONF_WORD_MAX);
	return 0;
}

static int
take_char(struct conf_lex *lex, struct err *err)
{
	size_t len;

	if (put_char(lex, lex->left, &len, err) == -1)
		return -1;
	advance(lex, len);
	return 0;
}

static bool
is_variable(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		int c = ascii_lower((unsigned char)name.at[i]);

		if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && c >= '0' && c <= '9'))
			return false;
	}
	return name.len > 0;
}

/* What ${inside} stands for. As in a shell, a default also takes the place of an empty value. */
static int
look_up(struct conf_lex *lex, struct slice inside, struct slice *value, struct err *err)
{
	struct slice rest = inside, name = slice_cut(&rest, ':');
	bool has_default = slice_starts(rest, "-");
	char text[VARIABLE_MAX + 1];

	if (!is_variable(name) || (slice_has(inside, ':') && !has_default) || !slice_copy(name, text, sizeof(text)))
		return conf_err(err, &lex->at, "expected ${NAME} or ${NAME:-default}, NAME of letters, digits and _");
	*value = slice_of(getenv(text));
	if (value->at == NULL && !has_default)
		return conf_err(err, &lex->at,
		    "expected the environment variable %s to be set (or ${%s:-default} here)", text, text);
	if (value->len == 0 && has_default)
		*value = slice_part(rest, 1, rest.len);
	return 0;
}

static int
take_variable(struct conf_lex *lex, struct err *err)
{
	struct slice rest = slice_part(lex->left, 2, VARIABLE_MAX + CONF_WORD_MAX), inside, value;
	bool closed = slice_has(rest, '}');
	size_t len;

	inside = slice_cut(&rest, '}');
	if (!closed || slice_has(inside, '\n'))
		return conf_err(err, &lex->at, "expected a \"}\" in the same line: ${NAME}");
	if (look_up(lex, inside, &value, err) == -1)
		return -1;
	for (; value.len > 0; value = slice_part(value, len, value.len))
		if (put_char(lex, value, &len, err) == -1)
			return -1;
	advance(lex, inside.len + 3);
	return 0;
}

static int
bare_word(struct conf_lex *lex, struct err *err)
{
	while (!ends_word(peek(lex))) {
		if (peek(lex) == '"')
			return conf_err(err, &lex->at, "expected a blank before the quote");
		if ((slice_starts(lex->left, "${") ? take_variable(lex, err) : take_char(lex, err)) == -1)
			return -1;
	}
	return 0;
}

static int
escape(struct conf_lex *lex, struct err *err)
{
	struct slice next = slice_part(lex->left, 1, 1);

	if (!slice_is(next, "\"") && !slice_is(next, "\\") && !slice_is(next, "$"))
		return conf_err(err, &lex->at, "expected \\\", \\\\ or \\$ behind the backslash");
	advance(lex, 1);
	return take_char(lex, err);
}

static int
quoted_word(struct conf_lex *lex, struct err *err)
{
	struct conf_where opened = lex->at;
	int rc = 0;

	advance(lex, 1);
	while (rc == 0 && peek(lex) != '"') {
		if (peek(lex) == -1 || peek(lex) == '\n' || peek(lex) == '\r')
			return conf_err(err, &opened, "expected a closing quote in the same line");
		if (peek(lex) == '\\')
			rc = escape(lex, err);
		else
			rc = slice_starts(lex->left, "${") ? take_variable(lex, err) : take_char(lex, err);
	}
	if (rc == -1)
		return -1;
	advance(lex, 1);
	if (!ends_word(peek(lex)))
		return conf_err(err, &lex->at, "expected a blank, \";\" or \"{\" behind the closing quote");
	return 0;
}

static int
word(struct conf_lex *lex, struct conf_token *token, struct err *err)
{
	token->kind = CONF_TOKEN_WORD;
	if ((peek(lex) == '"' ? quoted_word(lex, err) : bare_word(lex, err)) == -1)
		return -1;
	token->text = buf_slice(&lex->word);
	return 0;
}

int
conf_lex_next(struct conf_lex *lex, struct conf_token *token, struct err *err)
{
	buf_clear(&lex->word);
	skip_blanks(lex);
	*token = (struct conf_token){ .where = lex->at };
	switch (peek(lex)) {
	case -1:
		token->kind = CONF_TOKEN_END;
		return 0;
	case ';':
		token->kind = CONF_TOKEN_SEMICOLON;
		break;
	case '{':
		token->kind = CONF_TOKEN_OPEN;
		break;
	case '}':
		token->kind = CONF_TOKEN_CLOSE;
		break;
	default:
		return word(lex, token, err);
	}
	advance(lex, 1);
	return 0;
}
