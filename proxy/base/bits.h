/* bits.h - words of which each stands for one bit: a protocol's extensions, mechanisms, attributes. */
#ifndef PROXY_BASE_BITS_H
#define PROXY_BASE_BITS_H

#include "proxy/base/slice.h"

struct bit_word {
	const char *word;
	unsigned bit;
};

unsigned bit_of_word(const struct bit_word *, size_t n, struct slice);	/* in any case; 0: none of them */
const char *word_of_bit(const struct bit_word *, size_t n, unsigned bit);	/* NULL: none of them */

#endif
