#include "proxy/base/bits.h"

unsigned
bit_of_word(const struct bit_word *words, size_t n, struct slice word)
{
	for (size_t i = 0; i < n; i++)
		if (slice_iis(word, words[i].word))
			return words[i].bit;
	return 0;
}

const char *
word_of_bit(const struct bit_word *words, size_t n, unsigned bit)
{
	for (size_t i = 0; i < n; i++)
		if (words[i].bit == bit)
			return words[i].word;
	return NULL;
}
