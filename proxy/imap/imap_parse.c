#include "proxy/imap/imap_parse.h"

#include <string.h>

#include "proxy/base/mem.h"

_Static_assert(IMAP_PIECE_MAX == IMAP_DATA_MAX, "what imap_client.h promises");

enum imap_state {
	READ_START,		/* "*", "+" or a tag */
	READ_RESULT,		/* behind a tag: OK, NO, BAD */
	READ_STATUS,		/* behind OK, NO, BAD, BYE, PREAUTH: code and text */
	READ_CONTINUE,
	READ_CAPABILITY,
	READ_KIND,		/* behind "*" */
	READ_NUMBERED,		/* behind "* 7" */
	READ_SEARCH,
	READ_END,		/* the end of a line, and `now` is said */
	READ_FETCH,		/* "(" */
	READ_ITEM,		/* a FETCH item's name, or ")" */
	READ_UID,
	READ_SIZE,
	READ_FLAGS,		/* "(" */
	READ_FLAG,
	READ_BODY,
	READ_PIECE,
	READ_SKIP_ITEM,		/* the value of an item that we did not ask for */
	READ_SKIP,		/* the rest of a response that says nothing to us */
	READ_BAD,
};

enum { STEP_ON = IMAP_STEP_BAD + 1 };	/* no item yet: the next state goes on at once */

static int
go(struct imap_parse *p, enum imap_state state)
{
	p->state = state;
	return STEP_ON;
}

static int
bad(struct imap_parse *p, const char *why)
{
	p->lex.why = why;
	p->state = READ_BAD;
	return IMAP_STEP_BAD;
}

static int
give(struct imap_parse *p, struct imap_item *item, enum imap_item_kind kind, enum imap_state next)
{
	item->kind = kind;
	p->state = next;
	return IMAP_STEP_ITEM;
}

/* The step that a token which is not there leaves behind. */
static int
missing(struct imap_parse *p, struct imap_token t)
{
	return t.kind == TOKEN_MORE ? (int)IMAP_STEP_MORE : bad(p, p->lex.why);
}

static bool
is_here(struct imap_token t)
{
	return t.kind != TOKEN_MORE && t.kind != TOKEN_BAD;
}

/* RFC 3501 section 9: nz-number. Zero is neither a message's number nor a UID. */
static bool
read_nz(struct imap_token t, uint32_t *out)
{
	uint64_t number;

	if (t.kind != TOKEN_ATOM || !slice_number(t.text, &number) || number == 0 || number > UINT32_MAX)
		return false;
	*out = (uint32_t)number;
	return true;
}

static uint32_t
read_tag(struct slice text)
{
	uint32_t tag;

	if (!slice_starts(text, "g") || !read_nz((struct imap_token){ TOKEN_ATOM, slice_part(text, 1, text.len), 0 }, &tag))
		return 0;
	return tag;
}

static int
read_start(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t;
	int c = imap_lex_peek(&p->lex, in);

	(void)item;
	if (p->lex.scanned == 0) {
		imap_lex_begin(&p->lex);
		p->depth = 0;
		p->has_body = false;
		p->now = (struct imap_untagged){ 0 };
		if (c == -1)
			return IMAP_STEP_MORE;
		if (c == '+')	/* some servers put no blank behind it */
			return go(p, READ_CONTINUE);
		if (c == ' ')
			return bad(p, "a response that begins with a blank");
	}
	t = imap_lex_token(&p->lex, in);
	if (!is_here(t))
		return missing(p, t);
	if (t.kind != TOKEN_ATOM)
		return bad(p, "a response that begins with no tag");
	p->is_tagged = !slice_is(t.text, "*");
	p->tag = read_tag(t.text);
	return go(p, p->is_tagged ? READ_RESULT : READ_KIND);
}

static bool
read_status_word(struct slice word, enum imap_status *out)
{
	static const char *const words[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	for (unsigned i = 0; i < NITEMS(words); i++)
		if (slice_iis(word, words[i])) {
			*out = (enum imap_status)i;
			return true;
		}
	return false;
}

static int
read_result(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind != TOKEN_ATOM || !read_status_word(t.text, &p->status) || p->status > IMAP_SAYS_BAD)
		return bad(p, "a tagged response that is neither OK, NO nor BAD");
	return go(p, READ_STATUS);
}

/* "[CODE words] text". A bracket that does not end is text. */
static int
read_status(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_text(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	item->tag = p->tag;
	item->status = p->status;
	item->text = t.text;
	if (slice_starts(t.text, "[") && slice_has(t.text, ']')) {
		item->text = slice_part(t.text, 1, t.text.len);
		item->code = slice_trim(slice_cut(&item->text, ']'));
		item->text = slice_trim(item->text);
	}
	return give(p, item, p->is_tagged ? ITEM_TAGGED : ITEM_STATUS, READ_START);
}

static int
read_continue(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_text(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	item->text = slice_trim(slice_part(t.text, 1, t.text.len));
	return give(p, item, ITEM_CONTINUE, READ_START);
}

static int
read_capability(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_text(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	item->text = t.text;
	return give(p, item, ITEM_CAPABILITY, READ_START);
}

static int
read_kind(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);
	uint64_t number;

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind != TOKEN_ATOM)
		return bad(p, "a response of no kind");
	if (slice_iis(t.text, "CAPABILITY"))
		return go(p, READ_CAPABILITY);
	if (read_status_word(t.text, &p->status))
		return go(p, READ_STATUS);
	if (slice_iis(t.text, "SEARCH")) {
		p->lex.limit = IMAP_SEARCH_MAX;
		return go(p, READ_SEARCH);
	}
	if (t.text.at[0] < '0' || t.text.at[0] > '9')
		return go(p, READ_SKIP);
	if (!slice_number(t.text, &number) || number > UINT32_MAX)
		return bad(p, "a number that is none");
	p->now.number = (uint32_t)number;
	return go(p, READ_NUMBERED);
}

static int
read_numbered(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);
	bool exists, expunge, fetch;

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind != TOKEN_ATOM)
		return bad(p, "a number that counts nothing");
	exists = slice_iis(t.text, "EXISTS");
	expunge = slice_iis(t.text, "EXPUNGE");
	fetch = slice_iis(t.text, "FETCH");
	if ((expunge || fetch) && p->now.number == 0)
		return bad(p, "message number 0");
	p->now.kind = exists ? IMAP_EXISTS : expunge ? IMAP_EXPUNGE : IMAP_FETCH;
	if (!fetch)
		return go(p, exists || expunge ? READ_END : READ_SKIP);
	p->now.seq = p->now.number;
	p->now.number = 0;
	return go(p, READ_FETCH);
}

static int
read_search(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	if (t.kind == TOKEN_EOL)
		return give(p, item, ITEM_OTHER, READ_START);
	if (t.kind == TOKEN_OPEN) {		/* "(MODSEQ 7)", RFC 7162 section 3.1.5 */
		p->depth = 1;
		return go(p, READ_SKIP);
	}
	if (!read_nz(t, &item->data.number))
		return bad(p, "a UID that is none");
	item->data.kind = IMAP_SEARCH;
	return give(p, item, ITEM_DATA, READ_SEARCH);
}

static int
read_end(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	if (t.kind != TOKEN_EOL)
		return bad(p, "a response that does not end where it should");
	item->data = p->now;
	return give(p, item, ITEM_DATA, READ_START);
}

static int
read_open(struct imap_parse *p, struct buf *in, enum imap_state next)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	return t.kind == TOKEN_OPEN ? go(p, next) : bad(p, "a list that does not begin");
}

static int
read_fetch(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	(void)item;
	return read_open(p, in, READ_ITEM);
}

static int
read_flags(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	(void)item;
	p->now.has_flags = true;
	p->now.deleted = p->now.seen = false;
	return read_open(p, in, READ_FLAG);
}

/* Behind "BODY[]": nothing, or "<7>". */
static bool
read_origin(struct imap_parse *p, struct slice rest)
{
	p->is_part = rest.len > 0;
	p->origin = 0;
	if (!p->is_part)
		return true;
	return rest.len > 2 && rest.at[0] == '<' && rest.at[rest.len - 1] == '>' &&
	       slice_number(slice_part(rest, 1, rest.len - 2), &p->origin);
}

static int
read_item(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_name(&p->lex, in);

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind == TOKEN_CLOSE)
		return go(p, READ_END);
	if (t.kind != TOKEN_ATOM)
		return bad(p, "a FETCH item without a name");
	if (slice_iis(t.text, "UID"))
		return go(p, READ_UID);
	if (slice_iis(t.text, "RFC822.SIZE"))
		return go(p, READ_SIZE);
	if (slice_iis(t.text, "FLAGS"))
		return go(p, READ_FLAGS);
	if (!slice_istarts(t.text, "BODY[]")) {		/* other sections are not asked for */
		p->depth = 0;
		return go(p, READ_SKIP_ITEM);
	}
	if (p->has_body || !read_origin(p, slice_part(t.text, 6, t.text.len)))
		return bad(p, "two bodies of one message, or a part of it that begins nowhere");
	p->has_body = true;
	return go(p, READ_BODY);
}

static int
read_uid(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);
	uint32_t uid;

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (!read_nz(t, &uid) || (p->now.uid != 0 && p->now.uid != uid))
		return bad(p, "a UID that is none");
	p->now.uid = uid;
	return go(p, READ_ITEM);
}

/* NIL, of a message that the server cannot read, is no size. */
static int
read_size(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind == TOKEN_ATOM && slice_iis(t.text, "NIL"))
		return go(p, READ_ITEM);
	if (t.kind != TOKEN_ATOM || !slice_number(t.text, &p->now.size) || p->now.size > INT64_MAX)
		return bad(p, "a size that is none");
	p->now.has_size = true;
	return go(p, READ_ITEM);
}

static int
read_flag(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind == TOKEN_CLOSE)
		return go(p, READ_ITEM);
	if (t.kind != TOKEN_ATOM)
		return bad(p, "a flag that is none");
	p->now.deleted |= slice_iis(t.text, "\\Deleted");
	p->now.seen |= slice_iis(t.text, "\\Seen");
	return STEP_ON;
}

static void
body_item(const struct imap_parse *p, enum imap_untagged_kind kind, struct imap_item *item)
{
	item->data = p->now;
	item->data.kind = kind;
	item->data.size = p->body_size;
	item->data.has_size = false;
	item->is_part = p->is_part;
	item->origin = p->origin;
}

static int
read_body(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_body(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	p->body_size = t.size;
	body_item(p, IMAP_BODY_BEGIN, item);
	item->data.is_nil = t.kind == TOKEN_ATOM;
	return give(p, item, ITEM_DATA, item->data.is_nil ? READ_ITEM : READ_PIECE);
}

static int
read_piece(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct slice piece;

	if (!imap_lex_piece(&p->lex, in, &piece)) {
		body_item(p, IMAP_BODY_END, item);
		return give(p, item, ITEM_DATA, READ_ITEM);
	}
	if (piece.len == 0)
		return IMAP_STEP_MORE;
	body_item(p, IMAP_BODY_DATA, item);
	item->data.data = piece;
	return give(p, item, ITEM_DATA, READ_PIECE);
}

/* Counts what is open; -1 past the limit, or when more is closed than was opened. */
static int
nest(struct imap_parse *p, struct imap_token t)
{
	if ((t.kind == TOKEN_OPEN && p->depth == IMAP_DEPTH_MAX) || (t.kind == TOKEN_CLOSE && p->depth == 0))
		return -1;
	if (t.kind == TOKEN_OPEN)
		p->depth++;
	else if (t.kind == TOKEN_CLOSE)
		p->depth--;
	return 0;
}

static int
read_skip_item(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	(void)item;
	if (!is_here(t))
		return missing(p, t);
	if (t.kind == TOKEN_EOL || nest(p, t) == -1)
		return bad(p, "a FETCH item that is not well formed");
	return p->depth == 0 ? go(p, READ_ITEM) : STEP_ON;
}

static int
read_skip(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	struct imap_token t = imap_lex_token(&p->lex, in);

	if (!is_here(t))
		return missing(p, t);
	if ((t.kind == TOKEN_EOL && p->depth > 0) || nest(p, t) == -1)
		return bad(p, "a response that is not well formed");
	return t.kind == TOKEN_EOL ? give(p, item, ITEM_OTHER, READ_START) : STEP_ON;
}

static int
read_bad(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	(void)p;
	(void)in;
	(void)item;
	return IMAP_STEP_BAD;
}

static int (*const readers[])(struct imap_parse *, struct buf *in, struct imap_item *) = {
	[READ_START] = read_start,
	[READ_RESULT] = read_result,
	[READ_STATUS] = read_status,
	[READ_CONTINUE] = read_continue,
	[READ_CAPABILITY] = read_capability,
	[READ_KIND] = read_kind,
	[READ_NUMBERED] = read_numbered,
	[READ_SEARCH] = read_search,
	[READ_END] = read_end,
	[READ_FETCH] = read_fetch,
	[READ_ITEM] = read_item,
	[READ_UID] = read_uid,
	[READ_SIZE] = read_size,
	[READ_FLAGS] = read_flags,
	[READ_FLAG] = read_flag,
	[READ_BODY] = read_body,
	[READ_PIECE] = read_piece,
	[READ_SKIP_ITEM] = read_skip_item,
	[READ_SKIP] = read_skip,
	[READ_BAD] = read_bad,
};

void
imap_parse_init(struct imap_parse *p)
{
	*p = (struct imap_parse){ .state = READ_START };
}

enum imap_step
imap_parse_next(struct imap_parse *p, struct buf *in, struct imap_item *item)
{
	int step;

	*item = (struct imap_item){ 0 };
	do
		step = readers[p->state](p, in, item);
	while (step == STEP_ON);
	return (enum imap_step)step;
}

const char *
imap_parse_why(const struct imap_parse *p)
{
	return p->lex.why;
}

size_t
imap_parse_behind(const struct imap_parse *p, const struct buf *in)
{
	return imap_lex_behind(&p->lex, in);
}
