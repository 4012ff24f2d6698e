/* text.h - text as rules read it: white space folded, one paragraph a line. */
#ifndef FILTERS_TEXT_H
#define FILTERS_TEXT_H

#include "proxy/base/buf.h"

struct text {
	struct buf buf;
	size_t *paragraphs;	/* where each ends, behind its '\n' */
	size_t nparagraphs;
	bool flowing;		/* line ends are blanks, as in HTML's source */
	bool full;		/* something did not fit any more */
	/* The white space that came since the last character: only what follows it decides. */
	bool blank;
	unsigned lines;		/* line ends in it; two end a paragraph */
};

void text_init(struct text *, size_t max);
void text_free(struct text *);

/* Appends UTF-8, pieces of whole characters. A line end is one; an empty line ends a paragraph. */
bool text_put(struct text *, struct slice utf8);	/* false once full */
void text_blank(struct text *);
void text_line(struct text *);				/* a line end */
void text_end(struct text *);				/* of a paragraph; nothing when none has begun */

#endif
