/* priv.h - giving up root, and what a process may have. */
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
 * process keeps its uid and its root, and loses what capabilities it was given. */
int priv_drop(const struct priv *, bool empty_root, struct err *);

/* The same, and this directory is all that can be reached by a path: it is the root, or where there is no right to
 * that at least the working directory. */
int priv_drop_into(const struct priv *, const char *dir, struct err *);

/* As priv_drop(), but CAP_NET_RAW stays: for the dialer. */
int priv_drop_to_net_raw(const struct priv *, bool empty_root, struct err *);

/* From now on as many descriptors as this process may have at the most (RLIMIT_NOFILE). */
void priv_raise_descriptors(void);

/* Whether this process has CAP_NET_RAW here, in its network namespace. */
bool priv_has_net_raw(void);

#endif
