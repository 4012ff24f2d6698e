/* conf_place.h - one word of a backend's "address": where a mail server can be found. */
#ifndef CONF_CONF_PLACE_H
#define CONF_CONF_PLACE_H

#include "conf/conf.h"

#define CONF_PLACE_WEIGHT "weight="	/* begins a word that belongs to the place before it */
#define CONF_PLACE_WEIGHT_MAX 1000

/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:/run/x", "mail.example.org:25", "mx:example.org". The host
 * is the place's own copy, in lower case. -1 with a sentence. */
int conf_place_parse(struct conf_place *, const char *text, struct err *);

/* "weight=3". */
int conf_place_weigh(struct conf_place *, const char *text, struct err *);

/* Whether nobody but this machine itself is at the other end. */
bool conf_place_is_local(const struct conf_place *);

#endif
