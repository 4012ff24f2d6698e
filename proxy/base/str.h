/* str.h - peers' text made fit for our logs and for a terminal. */
#ifndef PROXY_BASE_STR_H
#define PROXY_BASE_STR_H

#include "proxy/base/buf.h"

/* Appends `text` so that it is one harmless word or line: control characters, DEL, backslash,
 * the double quote and every octet that is not part of well-formed UTF-8 become \xHH; C1 controls
 * and the bidirectional overrides too. Cuts (and says so with "...") after `max` output octets.
 * False when the buf is full. */
bool str_escape(struct buf *, struct slice text, size_t max);

/* The same rules as JSON wants them (RFC 8259 section 7), with the quotes around it. Octets that
 * are not well-formed UTF-8 become U+FFFD. */
bool str_json(struct buf *, struct slice text);

/* Length of the well-formed UTF-8 character at the start of the slice (RFC 3629), 0 if none. */
size_t str_utf8_len(struct slice);

#endif
