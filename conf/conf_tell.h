/* conf_tell.h - a configuration explained to its administrator, in sentences on a stream. */
#ifndef CONF_CONF_TELL_H
#define CONF_CONF_TELL_H

#include "conf/conf.h"

/* What holds for one recipient: route, backends and profile, which words decided so, and each of the profile's
 * settings with its value and where it comes from. */
void conf_tell_recipient(FILE *, const struct conf *, const struct conf_ask *);

/* What has to be allowed to this gateway on its backends, a line for each; only what this configuration asks for. */
void conf_tell_backends(FILE *, const struct conf *);

#endif
