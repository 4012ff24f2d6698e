/* conf_hint.h - "did you mean": the nearest of the words that would have been right. */
#ifndef CONF_CONF_HINT_H
#define CONF_CONF_HINT_H

#define CONF_HINT_MAX       64	/* octets of a word that is compared; longer ones have no neighbours */
#define CONF_HINT_TEXT_MAX  (CONF_HINT_MAX + 32)

struct conf_hint {
	const char *word, *best;
	unsigned distance;	/* of `best` */
};

struct conf_hint conf_hint_for(const char *word);
void conf_hint_try(struct conf_hint *, const char *candidate);	/* keeps the pointer if it is nearer */
const char *conf_hint_text(const struct conf_hint *, char out[CONF_HINT_TEXT_MAX]);	/* ", did you mean ...?" or "" */

#endif
