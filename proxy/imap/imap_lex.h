/* imap_lex.h - the words of an IMAP server, out of a buf that fills piece by piece (RFC 3501 section 9).
 *
 * A token's text stays in the buf and is valid until the next call; what has been looked at is
 * not looked at again when more comes. Everything has a limit: a token, a line of text, a whole
 * response. Only the octets of a body are not counted; they are given in pieces. */
#ifndef PROXY_IMAP_IMAP_LEX_H
#define PROXY_IMAP_IMAP_LEX_H

#include "proxy/base/buf.h"

#define IMAP_TOKEN_MAX    8192			/* octets of an atom, a quoted string, a literal that is no body */
#define IMAP_TEXT_MAX     32768			/* of a line of text */
#define IMAP_RESPONSE_MAX 65536			/* of a response without bodies */
#define IMAP_SEARCH_MAX   (16u << 20)		/* of SEARCH: a million UIDs */
#define IMAP_PIECE_MAX    16384			/* of a body in one piece; IMAP_DATA_MAX of imap_client.h */

enum imap_token_kind {
	TOKEN_MORE,		/* not here yet */
	TOKEN_BAD,		/* no IMAP, or past a limit: see why */
	TOKEN_ATOM,		/* NIL and numbers too */
	TOKEN_STRING,		/* quoted (its backslashes still in it) or a literal */
	TOKEN_OPEN, TOKEN_CLOSE,
	TOKEN_EOL,
	TOKEN_BODY,		/* a string whose octets come by imap_lex_piece() */
};

struct imap_token {
	enum imap_token_kind kind;
	struct slice text;
	uint64_t size;		/* BODY: octets that will come */
};

struct imap_lex {		/* zeroed: at the start of a session */
	size_t held;		/* octets given last, which the next call eats */
	size_t scanned;		/* of an unfinished token, from its first octet */
	bool bracket;		/* that one is inside [ ] */
	bool tight;		/* the last token has to be followed by a blank, ")" or the end */
	size_t spent, limit;	/* octets of this response; limit 0: IMAP_RESPONSE_MAX */
	uint64_t left;		/* octets of a body still to come; with their backslashes when quoted */
	bool quoted;
	const char *why;	/* after TOKEN_BAD: a sentence */
};

void imap_lex_begin(struct imap_lex *);			/* a new response */
struct imap_token imap_lex_token(struct imap_lex *, struct buf *in);

/* An atom that may hold blanks and parentheses inside brackets: a FETCH item's name. */
struct imap_token imap_lex_name(struct imap_lex *, struct buf *in);

/* A BODY, or NIL as an ATOM. */
struct imap_token imap_lex_body(struct imap_lex *, struct buf *in);

/* The next piece of that body; empty: more has to come in. False: it is over. */
bool imap_lex_piece(struct imap_lex *, struct buf *in, struct slice *piece);

/* What stands before the end of the line, without its first blank; MORE, BAD, or ATOM. The end is taken too. */
struct imap_token imap_lex_text(struct imap_lex *, struct buf *in);

/* The octet that comes next, blanks not passed over; -1: none is here. */
int imap_lex_peek(struct imap_lex *, struct buf *in);

/* Octets that stand behind the last token. */
size_t imap_lex_behind(const struct imap_lex *, const struct buf *in);

#endif
