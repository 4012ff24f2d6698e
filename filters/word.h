/* word.h - encoded words in header fields (RFC 2047). */
#ifndef FILTERS_WORD_H
#define FILTERS_WORD_H

#include "proxy/base/buf.h"

/* Appends `value` as UTF-8 with its encoded words decoded; blanks between two of them vanish,
 * and a character that two of one charset share is put together. Octets outside of them are read
 * as UTF-8, or else as Latin-1. Lenient as readers are: encoded words of any length, blanks and
 * '?' inside, in places where RFC 2047 section 5 forbids them. False when out is full. */
bool word_decode(struct buf *out, struct slice value);

#endif
