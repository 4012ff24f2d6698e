#include "proxy/imap/imap_lex.h"

#include <string.h>

#define LITERAL_HEAD_MAX 26	/* "~{" 19 digits "+}" CR LF */

void
imap_lex_begin(struct imap_lex *x)
{
	x->spent = x->limit = 0;
	x->tight = false;
}

static void
eat_held(struct imap_lex *x, struct buf *in)
{
	buf_eat(in, x->held);
	x->held = 0;
}

static struct imap_token
bad(struct imap_lex *x, const char *why)
{
	x->why = why;
	return (struct imap_token){ .kind = TOKEN_BAD };
}

static struct imap_token
more(struct imap_lex *x, size_t scanned)
{
	x->scanned = scanned;
	return (struct imap_token){ .kind = TOKEN_MORE };
}

static bool
spend(struct imap_lex *x, size_t octets)
{
	x->spent += octets;
	return x->spent <= (x->limit > 0 ? x->limit : IMAP_RESPONSE_MAX);
}

/* A token is whole: `len` octets of the buf, which mean `text`. */
static struct imap_token
give(struct imap_lex *x, enum imap_token_kind kind, size_t len, struct slice text)
{
	x->held = len;
	x->scanned = 0;
	x->bracket = false;
	x->tight = kind == TOKEN_ATOM || kind == TOKEN_STRING || kind == TOKEN_BODY || kind == TOKEN_CLOSE;
	if (!spend(x, len))
		return bad(x, "a response that is too long");
	return (struct imap_token){ .kind = kind, .text = text };
}

/* Wider than RFC 3501's ATOM-CHAR, for flags ("\Seen", "\*") and what servers make of keywords. */
static bool
is_atom(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && c != '(' && c != ')' && c != '{' && c != '"';
}

static bool
is_blank_or_paren(char c)
{
	return c == ' ' || c == '(' || c == ')';
}

static struct imap_token
lex_atom(struct imap_lex *x, struct slice have, bool brackets)
{
	size_t i;

	for (i = x->scanned; i < have.len && (is_atom(have.at[i]) || (x->bracket && is_blank_or_paren(have.at[i]))); i++) {
		if (i == IMAP_TOKEN_MAX)
			return bad(x, "an atom that is too long");
		if (have.at[i] == '[' || have.at[i] == ']')
			x->bracket = brackets && have.at[i] == '[';
	}
	if (i == have.len)
		return more(x, i);
	if (i == 0 || x->bracket || (!is_blank_or_paren(have.at[i]) && have.at[i] != '\r'))
		return bad(x, "an octet that no atom may hold");
	return give(x, TOKEN_ATOM, i, slice_part(have, 0, i));
}

static struct imap_token
lex_quoted(struct imap_lex *x, struct slice have)
{
	size_t i = x->scanned > 0 ? x->scanned : 1;

	for (; i < have.len && have.at[i] != '"'; i++) {
		if (have.at[i] == '\\' && i + 1 == have.len)
			break;			/* what it quotes is not here yet */
		if (have.at[i] == '\\' && (have.at[++i] != '"' && have.at[i] != '\\'))
			return bad(x, "a backslash before what needs none");
		if (have.at[i] == '\r' || have.at[i] == '\n' || have.at[i] == '\0')
			return bad(x, "a quoted string that does not end");
		if (i >= IMAP_TOKEN_MAX)
			return bad(x, "a quoted string that is too long");
	}
	if (i >= have.len || have.at[i] != '"')
		return more(x, i);
	return give(x, TOKEN_STRING, i + 1, slice_part(have, 1, i - 1));
}

/* "{n}", "{n+}" or "~{n}" (RFC 3516) and the end of its line: how many octets these are, or 0 when it
 * is not whole (MORE) or none (BAD). */
static size_t
literal_head(struct imap_lex *x, struct slice have, struct imap_token *t)
{
	struct slice head = slice_part(have, 0, LITERAL_HEAD_MAX);
	const char *lf = memchr(head.at, '\n', head.len);
	struct slice digits = slice_part(head, have.at[0] == '~' ? 2 : 1, head.len);
	size_t len = lf != NULL ? (size_t)(lf - head.at) + 1 : 0;

	*t = (struct imap_token){ .kind = TOKEN_MORE };
	if (lf == NULL && head.len < LITERAL_HEAD_MAX)
		return 0;
	digits.len = lf != NULL ? (size_t)(lf + 1 - digits.at) : 0;
	if (slice_iends(digits, "+}\r\n"))
		digits.len -= 4;
	else if (slice_iends(digits, "}\r\n"))
		digits.len -= 3;
	else
		digits.len = 0;
	if (!slice_number(digits, &t->size) || t->size > INT64_MAX) {	/* RFC 9051 section 9: number64 */
		*t = bad(x, "a literal without a proper size");
		return 0;
	}
	return len;
}

static struct imap_token
lex_literal(struct imap_lex *x, struct slice have)
{
	struct imap_token t;
	size_t head = literal_head(x, have, &t);

	if (head == 0)
		return t;
	if (t.size > IMAP_TOKEN_MAX)
		return bad(x, "a literal that is too long");
	if (have.len - head < t.size)
		return more(x, 0);
	return give(x, TOKEN_STRING, head + (size_t)t.size, slice_part(have, head, (size_t)t.size));
}

/* Eats what was given last and the blanks behind it. What comes next is at the front of *have, or
 * MORE or BAD is returned; ATOM says only that there is something. */
static enum imap_token_kind
approach(struct imap_lex *x, struct buf *in, struct slice *have)
{
	size_t blanks = 0;

	eat_held(x, in);
	*have = buf_slice(in);
	if (x->scanned > 0)
		return TOKEN_ATOM;		/* inside a token */
	while (blanks < have->len && have->at[blanks] == ' ')
		blanks++;
	if (blanks > 0) {
		x->tight = false;
		buf_eat(in, blanks);
		*have = buf_slice(in);
		if (!spend(x, blanks))
			return bad(x, "a response that is too long").kind;
	}
	if (have->len == 0)
		return TOKEN_MORE;
	/* A parenthesis needs no blank: BODYSTRUCTURE's "1*body" has none between them. */
	if (x->tight && !is_blank_or_paren(have->at[0]) && have->at[0] != '\r')
		return bad(x, "two things with no blank between them").kind;
	return TOKEN_ATOM;
}

static bool
is_literal(struct slice have)
{
	return have.at[0] == '{' || (have.at[0] == '~' && have.len > 1 && have.at[1] == '{');
}

static struct imap_token
lex(struct imap_lex *x, struct buf *in, bool brackets)
{
	struct slice have;
	enum imap_token_kind kind = approach(x, in, &have);

	if (kind != TOKEN_ATOM)
		return (struct imap_token){ .kind = kind };
	if (have.at[0] == '(' || have.at[0] == ')')
		return give(x, have.at[0] == '(' ? TOKEN_OPEN : TOKEN_CLOSE, 1, SLICE(""));
	if (have.at[0] == '"')
		return lex_quoted(x, have);
	if (have.len == 1 && (have.at[0] == '\r' || have.at[0] == '~'))
		return more(x, 0);
	if (is_literal(have))
		return lex_literal(x, have);
	if (have.at[0] != '\r')
		return lex_atom(x, have, brackets);
	if (have.at[1] != '\n')
		return bad(x, "a CR without its LF");
	return give(x, TOKEN_EOL, 2, SLICE(""));
}

struct imap_token
imap_lex_token(struct imap_lex *x, struct buf *in)
{
	return lex(x, in, false);
}

struct imap_token
imap_lex_name(struct imap_lex *x, struct buf *in)
{
	return lex(x, in, true);
}

/* A quoted string is looked through to its end first; then its octets are given like a literal's,
 * from behind the opening quote. */
static struct imap_token
open_quoted(struct imap_lex *x, struct imap_token t)
{
	uint64_t size = 0;

	for (size_t i = 0; i < t.text.len; i++, size++)
		if (t.text.at[i] == '\\')
			i++;
	x->held = 1;
	x->quoted = true;
	x->left = t.text.len;
	return (struct imap_token){ .kind = TOKEN_BODY, .size = size };
}

struct imap_token
imap_lex_body(struct imap_lex *x, struct buf *in)
{
	struct slice have;
	enum imap_token_kind kind = approach(x, in, &have);
	struct imap_token t = { .kind = kind };
	size_t head;

	if (kind != TOKEN_ATOM)
		return t;
	if (have.len == 1 && have.at[0] == '~')
		return more(x, 0);
	if (!is_literal(have)) {
		t = lex(x, in, false);
		if (t.kind == TOKEN_STRING)
			return open_quoted(x, t);
		if (t.kind == TOKEN_MORE || t.kind == TOKEN_BAD || (t.kind == TOKEN_ATOM && slice_iis(t.text, "NIL")))
			return t;
		return bad(x, "a body that is no string");
	}
	head = literal_head(x, have, &t);
	if (head == 0)
		return t;
	x->quoted = false;
	x->left = t.size;
	t.kind = give(x, TOKEN_BODY, head, SLICE("")).kind;
	return t;
}

/* Up to the next backslash; one at the front is taken away, what it quotes is data. */
static size_t
quoted_run(struct imap_lex *x, struct buf *in)
{
	struct slice have = slice_part(buf_slice(in), 0, (size_t)x->left);
	const char *next;

	if (have.at[0] == '\\') {
		buf_eat(in, 1);
		x->left--;
		have = slice_part(buf_slice(in), 0, (size_t)x->left);
	}
	next = memchr(have.at + 1, '\\', have.len - 1);
	return next != NULL ? (size_t)(next - have.at) : have.len;
}

bool
imap_lex_piece(struct imap_lex *x, struct buf *in, struct slice *piece)
{
	size_t len;

	eat_held(x, in);
	*piece = SLICE("");
	if (x->left == 0) {
		x->held = x->quoted ? 1 : 0;	/* the closing quote */
		x->quoted = false;
		return false;
	}
	len = buf_len(in);
	if (x->quoted)
		len = quoted_run(x, in);
	if (len > x->left)
		len = (size_t)x->left;
	if (len > IMAP_PIECE_MAX)
		len = IMAP_PIECE_MAX;
	*piece = slice_part(buf_slice(in), 0, len);
	x->left -= len;
	x->held = len;
	return true;
}

struct imap_token
imap_lex_text(struct imap_lex *x, struct buf *in)
{
	struct slice have, unseen, text;
	const char *lf;
	size_t len;

	eat_held(x, in);
	have = buf_slice(in);
	unseen = slice_part(have, x->scanned, have.len);
	lf = unseen.len > 0 ? memchr(unseen.at, '\n', unseen.len) : NULL;
	len = lf != NULL ? (size_t)(lf - have.at) : have.len;
	if (len > IMAP_TEXT_MAX)
		return bad(x, "a line that is too long");
	if (lf == NULL)
		return more(x, have.len);
	text = slice_part(have, 0, len > 0 ? len - 1 : 0);
	if (len == 0 || have.at[len - 1] != '\r' || slice_has(text, '\r') || slice_has(text, '\0'))
		return bad(x, "a line with a bare CR, a bare LF or a NUL");
	if (slice_starts(text, " "))
		text = slice_part(text, 1, text.len);
	return give(x, TOKEN_ATOM, len + 1, text);
}

int
imap_lex_peek(struct imap_lex *x, struct buf *in)
{
	struct slice have;

	eat_held(x, in);
	have = buf_slice(in);
	return have.len > 0 ? (unsigned char)have.at[0] : -1;
}

size_t
imap_lex_behind(const struct imap_lex *x, const struct buf *in)
{
	return buf_len(in) - x->held;
}
