/* charset.h - any charset that mail uses, as UTF-8.
 *
 * iconv_open(3) loads modules, which a jailed process may not: charset_init() opens one converter
 * for every charset of the table, before the fork, and nothing else ever opens any. Before
 * charset_init() only UTF-8 and Latin-1 are known. Not thread safe. */
#ifndef FILTERS_CHARSET_H
#define FILTERS_CHARSET_H

#include "proxy/base/slice.h"

unsigned charset_init(void);	/* how many converters of the table this system has */
void charset_free(void);

/* Gives `in` as well-formed UTF-8, in pieces that never cut a character, to `out` until that
 * returns false. What is malformed becomes U+FFFD. A charset that is unknown is read as Latin-1;
 * one not named, or "us-ascii", as UTF-8 if it is that from end to end, else as Latin-1. */
void charset_utf8(struct slice charset, struct slice in, bool (*out)(void *owner, struct slice utf8), void *owner);

/* What Windows-1252 has at this octet. Where mail says Latin-1 readers use Windows-1252. */
unsigned charset_cp1252(unsigned char);

/* Writes a character as UTF-8 (U+FFFD for what is none); returns its length, at most 4. */
size_t charset_put(char out[4], unsigned long character);

#endif
