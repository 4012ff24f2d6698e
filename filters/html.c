#include "filters/html.h"

#include <stdlib.h>
#include <string.h>

#include "filters/charset.h"
#include "proxy/base/mem.h"

#define WORD_MAX 32	/* octets of a tag's or reference's name that are kept */

/* After the tokenizer of HTML's specification (section 13.2.5), states that end alike put together. */
enum html_state {
	IN_TEXT,
	AFTER_LT,		/* < */
	AFTER_SLASH,		/* </ */
	IN_NAME,		/* <na */
	IN_TAG,			/* <name, between and in attributes' names */
	AFTER_EQUALS,		/* <name attribute= */
	IN_QUOTES,		/* <name attribute="val */
	IN_VALUE,		/* <name attribute=val */
	AFTER_BANG,		/* <! or <!- */
	IN_COMMENT,		/* <!-- */
	IN_BOGUS,		/* <!doctype, <?xml: up to the next > */
	IN_REFERENCE,		/* &na */
};

struct html {
	struct text *out;
	enum html_state state;
	bool closing;		/* the tag began with </ */
	char quote;
	unsigned dashes;	/* in a comment: how many right before here */
	size_t len;		/* of word, counted on beyond its size */
	char word[WORD_MAX];	/* of a tag: lower case */
	const char *raw;	/* inside this element, whose content is dropped; or NULL */
};

struct html *
html_new(struct text *out)
{
	struct html *h = mem_new(sizeof(*h));

	h->out = out;
	out->flowing = true;
	return h;
}

static struct slice
word(const struct html *h)
{
	return (struct slice){ h->word, h->len <= WORD_MAX ? h->len : 0 };
}

enum tag_effect { TAG_NONE, TAG_BLOCK, TAG_CELL, TAG_LINE, TAG_PRE, TAG_DROPPED };

/* What tags do to the text. Sorted. */
static const struct tag {
	const char *name;
	enum tag_effect effect;
} tags[] = {
	{ "address", TAG_BLOCK }, { "article", TAG_BLOCK }, { "aside", TAG_BLOCK },
	{ "blockquote", TAG_BLOCK }, { "body", TAG_BLOCK }, { "br", TAG_LINE }, { "button", TAG_CELL },
	{ "caption", TAG_BLOCK }, { "center", TAG_BLOCK }, { "dd", TAG_BLOCK }, { "details", TAG_BLOCK },
	{ "div", TAG_BLOCK }, { "dl", TAG_BLOCK }, { "dt", TAG_BLOCK }, { "fieldset", TAG_BLOCK },
	{ "figcaption", TAG_BLOCK }, { "figure", TAG_BLOCK }, { "footer", TAG_BLOCK }, { "form", TAG_BLOCK },
	{ "h1", TAG_BLOCK }, { "h2", TAG_BLOCK }, { "h3", TAG_BLOCK }, { "h4", TAG_BLOCK },
	{ "h5", TAG_BLOCK }, { "h6", TAG_BLOCK }, { "header", TAG_BLOCK }, { "hr", TAG_BLOCK },
	{ "html", TAG_BLOCK }, { "img", TAG_CELL }, { "input", TAG_CELL }, { "legend", TAG_BLOCK },
	{ "li", TAG_BLOCK }, { "main", TAG_BLOCK }, { "nav", TAG_BLOCK }, { "ol", TAG_BLOCK },
	{ "option", TAG_BLOCK }, { "p", TAG_BLOCK }, { "pre", TAG_PRE }, { "script", TAG_DROPPED },
	{ "section", TAG_BLOCK }, { "select", TAG_CELL }, { "style", TAG_DROPPED }, { "summary", TAG_BLOCK },
	{ "table", TAG_BLOCK }, { "tbody", TAG_BLOCK }, { "td", TAG_CELL }, { "textarea", TAG_CELL },
	{ "tfoot", TAG_BLOCK }, { "th", TAG_CELL }, { "thead", TAG_BLOCK }, { "title", TAG_DROPPED },
	{ "tr", TAG_BLOCK }, { "ul", TAG_BLOCK },
};

static int
by_name(const void *key, const void *element)
{
	const struct tag *t = element;

	return strcmp(key, t->name);
}

static void
tag_done(struct html *h)
{
	char name[WORD_MAX];
	const struct tag *tag = slice_copy(word(h), name, sizeof(name))
				    ? bsearch(name, tags, NITEMS(tags), sizeof(tags[0]), by_name)
				    : NULL;

	h->state = IN_TEXT;
	if (h->raw != NULL) {	/* only its own end tag comes here */
		h->raw = NULL;
		return;
	}
	switch (tag != NULL ? tag->effect : TAG_NONE) {
	case TAG_NONE:
		break;
	case TAG_PRE:
		h->out->flowing = h->closing;
		text_end(h->out);
		break;
	case TAG_BLOCK:
		text_end(h->out);
		break;
	case TAG_LINE:
		text_line(h->out);
		break;
	case TAG_CELL:
		text_blank(h->out);
		break;
	case TAG_DROPPED:
		text_blank(h->out);
		if (!h->closing)
			h->raw = tag->name;
		break;
	}
}

static void
put_character(struct html *h, unsigned long c)
{
	char utf8[4];
	struct slice s = { utf8, charset_put(utf8, c) };

	if (c == '\n')
		text_blank(h->out);
	else
		text_put(h->out, s);
}

/* "#8364" or "#x20ac"; octets of Windows-1252 mean its characters, as in browsers. */
static bool
put_numeric(struct html *h, struct slice digits)
{
	bool hex = slice_istarts(digits, "x");
	unsigned long c = 0;

	digits = slice_part(digits, hex ? 1 : 0, digits.len);
	if (digits.len == 0)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned digit = (unsigned)ascii_lower((unsigned char)digits.at[i]);

		digit = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
		if (digit >= (hex ? 16u : 10u))
			return false;
		c = c > 0x10ffff ? c : c * (hex ? 16 : 10) + digit;
	}
	put_character(h, c == 0 ? 0xfffd : c < 0x100 ? charset_cp1252((unsigned char)c) : c);
	return true;
}

/* Old names work without their semicolon too, even with letters right behind ("&copy2025"). */
static bool
is_old(unsigned c)
{
	return (c >= 0xa0 && c <= 0xff) || c == '&' || c == '<' || c == '>' || c == '"';
}

/* Returns how much of the name was used. */
static size_t
put_named(struct html *h, struct slice name, bool semicolon)
{
	size_t len = name.len;
	unsigned c = html_entity(name);

	while (len > 1 && (c == 0 || !(is_old(c) || (semicolon && len == name.len))))
		c = html_entity(slice_part(name, 0, --len));
	if (len <= 1)
		return 0;
	put_character(h, c);
	return len;
}

/* The reference whose name is in word ends here. What is none is shown as it stands. */
static void
reference_done(struct html *h, bool semicolon)
{
	struct slice name = { h->word, h->len };
	size_t used;

	h->state = IN_TEXT;
	if (slice_starts(name, "#"))
		used = put_numeric(h, slice_part(name, 1, name.len)) ? name.len : 0;
	else
		used = put_named(h, name, semicolon);
	if (used == 0)
		text_put(h->out, SLICE("&"));
	text_put(h->out, slice_part(name, used, name.len));
	if (semicolon && (used == 0 || used < name.len))
		text_put(h->out, SLICE(";"));
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
begin_name(struct html *h, char c)
{
	h->state = IN_NAME;
	h->word[0] = (char)ascii_lower((unsigned char)c);
	h->len = 1;
}

/* Behind "<" or "</". False: that was text, and c has to be looked at again. */
static bool
tag_begins(struct html *h, char c)
{
	if (c == '/' && !h->closing) {
		h->closing = true;
		h->state = AFTER_SLASH;
	} else if (is_letter(c) && (h->raw == NULL || h->closing)) {
		begin_name(h, c);
	} else if (h->raw != NULL) {
		h->state = IN_TEXT;
		return false;
	} else if (c == '!' && !h->closing) {
		h->state = AFTER_BANG;
		h->dashes = 0;
	} else if (h->closing || c == '?') {
		h->state = c == '>' ? IN_TEXT : IN_BOGUS;
	} else {
		h->state = IN_TEXT;
		text_put(h->out, SLICE("<"));
		return false;
	}
	return true;
}

/* In a tag's name. In raw text only the element's own end tag is a tag at all. */
static bool
name_goes_on(struct html *h, char c)
{
	if (!is_white(c) && c != '/' && c != '>') {
		if (h->len < WORD_MAX)
			h->word[h->len] = (char)ascii_lower((unsigned char)c);
		h->len++;
		return true;
	}
	if (h->raw != NULL && !slice_is(word(h), h->raw)) {
		h->state = IN_TEXT;
		return false;
	}
	h->state = IN_TAG;
	if (c == '>')
		tag_done(h);
	return true;
}

/* Behind "<!": a comment begins with two dashes; "<!-->" and "<!--->" are whole ones. */
static bool
bang_goes_on(struct html *h, char c)
{
	if (c != '-') {
		h->state = IN_BOGUS;
		return false;
	}
	if (++h->dashes == 2)
		h->state = IN_COMMENT;
	return true;
}

static void
comment_goes_on(struct html *h, char c)
{
	if (c == '>' && h->dashes >= 2)
		h->state = IN_TEXT;
	else if (c == '-')
		h->dashes++;
	else if (c != '!' || h->dashes < 2)	/* "--!>" ends it as well */
		h->dashes = 0;
}

static bool
reference_goes_on(struct html *h, char c)
{
	bool digit = c >= '0' && c <= '9';

	if ((is_letter(c) || digit || (c == '#' && h->len == 0)) && h->len < WORD_MAX) {
		h->word[h->len++] = c;
		return true;
	}
	reference_done(h, c == ';');
	return c == ';';
}

/* One character outside of text. False: it has to be looked at again, in another state. */
static bool
step(struct html *h, char c)
{
	switch (h->state) {
	case IN_TEXT:
		break;
	case AFTER_LT:
	case AFTER_SLASH:
		return tag_begins(h, c);
	case IN_NAME:
		return name_goes_on(h, c);
	case IN_TAG:
	case IN_VALUE:
		if (c == '>')
			tag_done(h);
		else if (h->state == IN_VALUE)
			h->state = is_white(c) ? IN_TAG : IN_VALUE;
		else if (c == '=')
			h->state = AFTER_EQUALS;
		break;
	case AFTER_EQUALS:
		if (c == '>')
			tag_done(h);
		else if (c == '"' || c == '\'') {
			h->quote = c;
			h->state = IN_QUOTES;
		} else if (!is_white(c))
			h->state = IN_VALUE;
		break;
	case IN_QUOTES:
		if (c == h->quote)
			h->state = IN_TAG;
		break;
	case AFTER_BANG:
		return bang_goes_on(h, c);
	case IN_COMMENT:
		comment_goes_on(h, c);
		break;
	case IN_BOGUS:
		if (c == '>')
			h->state = IN_TEXT;
		break;
	case IN_REFERENCE:
		return reference_goes_on(h, c);
	}
	return true;
}

/* What can be passed over at once: text, and the inside of long things that are dropped. */
static size_t
run_len(const struct html *h, struct slice s)
{
	char end = h->state == IN_QUOTES ? h->quote : h->state == IN_TEXT ? '<' : '>';
	const char *at;
	size_t len = 0;

	if (h->state == IN_TEXT && h->raw == NULL) {
		while (len < s.len && s.at[len] != '<' && s.at[len] != '&')
			len++;
		return len;
	}
	if (h->state != IN_TEXT && h->state != IN_QUOTES && h->state != IN_BOGUS)
		return 0;
	at = memchr(s.at, end, s.len);
	return at != NULL ? (size_t)(at - s.at) : s.len;
}

bool
html_feed(struct html *h, struct slice s)
{
	while (s.len > 0 && !h->out->full) {
		size_t run = run_len(h, s);

		if (h->state == IN_TEXT && h->raw == NULL)
			text_put(h->out, slice_part(s, 0, run));
		s = slice_part(s, run, s.len);
		if (s.len == 0)
			break;
		if (h->state == IN_TEXT) {
			h->closing = false;
			h->len = 0;
			h->state = s.at[0] == '&' ? IN_REFERENCE : AFTER_LT;
			s = slice_part(s, 1, s.len);
		} else if (step(h, s.at[0])) {
			s = slice_part(s, 1, s.len);
		}
	}
	return !h->out->full;
}

void
html_end(struct html **hp)
{
	struct html *h = *hp;

	if (h->state == IN_REFERENCE)
		reference_done(h, false);
	else if (h->state == AFTER_LT && h->raw == NULL)
		text_put(h->out, SLICE("<"));
	text_end(h->out);
	h->out->flowing = false;
	free(h);
	*hp = NULL;
}
