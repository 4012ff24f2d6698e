/* priv.h - giving up root. */
#ifndef PROXY_PROC_PRIV_H
#define PROXY_PROC_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

#include "proxy/base/err.h"

struct priv {
	uid_t uid;
	gid_t gid;
};

/* NAME, UID or UID:GID. Started as a plain user, nobody is looked up: everybody runs as that user. */
int priv_find(const char *user, struct priv *, struct err *);

/* Becomes that user for good, with no other groups, unable to gain anything back. empty_root: root
 * is also changed to a directory that exists no more, so that no path leads anywhere. A plain user's
 * process keeps its uid and its root. */
int priv_drop(const struct priv *, bool empty_root, struct err *);

#endif
