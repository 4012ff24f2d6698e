/* conf_find.h - which word of the configuration decides about a recipient: its entry says where it stands. */
#ifndef CONF_CONF_FIND_H
#define CONF_CONF_FIND_H

#include "conf/conf_index.h"

/* As conf_route_find; `what` is a struct conf_route. */
const struct conf_entry *conf_find_route(const struct conf *, const struct conf_ask *, bool *ours);

/* As conf_profile_find; `what` is a struct conf_profile. NULL: the route's profile holds. */
const struct conf_entry *conf_find_profile(const struct conf *, const struct conf_ask *);

/* What stands before a word in the key by which a profile is found; all of it in lower case. */
#define CONF_FOR_RECIPIENT "recipient "
#define CONF_FOR_USER      "user "
#define CONF_FOR_LISTENER  "listener "

#endif
