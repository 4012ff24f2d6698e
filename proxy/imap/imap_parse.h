/* imap_parse.h - an IMAP server's responses, pulled out of a buf in pieces of any size.
 *
 * RFC 3501 section 7, as far as a reader of mailboxes needs it: greeting and status responses with
 * their codes, continuation requests, CAPABILITY, EXISTS, EXPUNGE, SEARCH and FETCH, whose
 * BODY[] is streamed. Anything else that is well formed is passed over, whatever it nests and
 * however it quotes. What is not IMAP, or past a limit, is BAD, and stays so. */
#ifndef PROXY_IMAP_IMAP_PARSE_H
#define PROXY_IMAP_IMAP_PARSE_H

#include "proxy/imap/imap_client.h"
#include "proxy/imap/imap_lex.h"

#define IMAP_DEPTH_MAX 16	/* parentheses inside each other */

enum imap_step { IMAP_STEP_MORE, IMAP_STEP_ITEM, IMAP_STEP_BAD };

enum imap_status { IMAP_SAYS_OK, IMAP_SAYS_NO, IMAP_SAYS_BAD, IMAP_SAYS_BYE, IMAP_SAYS_PREAUTH };

enum imap_item_kind {
	ITEM_TAGGED,		/* tag, status (OK, NO, BAD), code, text */
	ITEM_STATUS,		/* the same without a tag */
	ITEM_CONTINUE,		/* "+": text */
	ITEM_CAPABILITY,	/* text: the words */
	ITEM_DATA,		/* data */
	ITEM_OTHER,		/* a response that says nothing to us */
};

struct imap_item {
	enum imap_item_kind kind;
	uint32_t tag;			/* of "g7" the 7; 0: none that we give */
	enum imap_status status;
	struct slice code;		/* "UIDVALIDITY 7"; valid until the next call, as text and data are */
	struct slice text;
	struct imap_untagged data;
	bool is_part;			/* IMAP_BODY_BEGIN: BODY[]<origin> */
	uint64_t origin;
};

struct imap_parse {
	struct imap_lex lex;
	unsigned state;
	unsigned depth;
	uint32_t tag;
	bool is_tagged;
	enum imap_status status;
	struct imap_untagged now;	/* the response that is being read, as far as it is known */
	bool has_body, is_part;
	uint64_t origin, body_size;
};

void imap_parse_init(struct imap_parse *);
enum imap_step imap_parse_next(struct imap_parse *, struct buf *in, struct imap_item *);
const char *imap_parse_why(const struct imap_parse *);	/* after BAD: what it was */

/* Octets that stand behind the item given last: none were said after it when this is 0. */
size_t imap_parse_behind(const struct imap_parse *, const struct buf *in);

#endif
