/* mail.h - one message as the rules and the antivirus look at it.
 *
 * Built by mime.c's reader in one pass over the (mapped) bytes; charset_init() must have run.
 * Everything belongs to the struct mail, except `full`, which is the caller's. Memory is bounded:
 * decoded parts together at most MAIL_DECODED_MAX, texts at most MAIL_TEXT_MAX; passing the one sets
 * `truncated`, the other `text_cut`. */
#ifndef FILTERS_MAIL_H
#define FILTERS_MAIL_H

#include "filters/mime.h"

#define MAIL_DECODED_MAX  (128u << 20)	/* octets of all decoded leaves together */
#define MAIL_TEXT_MAX     (4u << 20)	/* octets of rendered text, and of raw text, each */

struct mail_field {
	char *name;		/* as written */
	char *raw;		/* value as it came, folds included */
	char *value;		/* unfolded, trimmed */
	char *decoded;		/* value with RFC 2047 encoded words turned into UTF-8 */
	size_t raw_len, value_len, decoded_len;
};

struct mail_part {
	struct mime_part info;		/* info.parent is NULL here; see `parent` */
	int parent;			/* index into parts, -1 for the message itself */
	char *data;			/* decoded octets; leaves only */
	size_t len;
	bool is_text;			/* text/ leaf that a reader would show (not an attachment) */
};

struct mail {
	struct slice full;		/* the message as it came */
	struct slice header;		/* its header section, of `full`, with the empty line */
	struct mail_field *fields;	/* of the message itself, in order */
	size_t nfields;
	struct mail_part *parts;
	size_t nparts;
	/* What `body` rules see: the Subject as first line, then the text parts decoded, as UTF-8,
	 * HTML rendered to text, white space folded to one blank, one paragraph a line. An empty line
	 * (in HTML: a block element or two <br>) ends a paragraph. Ends of paragraphs stand in
	 * `paragraphs` as offsets behind each, its '\n' included. */
	char *text;
	size_t text_len;
	size_t *paragraphs;
	size_t nparagraphs;
	/* What `rawbody` rules see: the text parts with the transfer encoding taken off, nothing else. */
	char *rawtext;
	size_t rawtext_len;
	unsigned flags;			/* MIME_*, of all parts */
	bool truncated;			/* MAIL_DECODED_MAX was passed: parts are missing */
	bool text_cut;			/* MAIL_TEXT_MAX was passed: the rules see the beginning of the texts */
};

struct mail *mail_read(struct slice full);
void mail_free(struct mail **);

/* The n-th field of this name (ASCII case ignored), or NULL. */
const struct mail_field *mail_field(const struct mail *, const char *name, size_t n);

#endif
