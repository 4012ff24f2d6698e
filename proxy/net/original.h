/* original.h - where a client that was taken over had been on its way to. */
#ifndef PROXY_NET_ORIGINAL_H
#define PROXY_NET_ORIGINAL_H

#include "proxy/base/addr.h"

/* By the socket's own name (TPROXY), or, when redirected, by what the kernel's connection tracking remembers. */
int original_destination(int fd, bool redirected, struct addr *, struct err *);

/* Whether this address is one of the machine's own. Ports do not count. */
bool original_is_ours(const struct addr *);

#endif
