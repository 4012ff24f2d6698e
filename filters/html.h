/* html.h - HTML to the text that a reader would see, as a stream, in constant memory.
 *
 * It never builds a tree, so no nesting costs anything. Tags, comments and what stands in script,
 * style and title vanish; character references become characters; block elements end paragraphs.
 * Whether a style sheet hides text is not looked at. */
#ifndef FILTERS_HTML_H
#define FILTERS_HTML_H

#include "filters/text.h"

struct html;

struct html *html_new(struct text *out);
bool html_feed(struct html *, struct slice utf8);	/* pieces of whole characters; false once out is full */
void html_end(struct html **);				/* no more input; frees it, not out */

/* The character that a reference names ("amp", "eacute"), 0 when there is none. */
unsigned html_entity(struct slice name);

#endif
