/* dialer.h - the process that does for workers what they may not: it flags sockets (proxy/net/flagged.h), with
 * CAP_NET_RAW, where keep-source is configured; and it connects to the UNIX sockets that backends name, as the user
 * that workers run as. It has no other right. */
#ifndef PROXY_PROC_DIALER_H
#define PROXY_PROC_DIALER_H

#include "conf/conf.h"
#include "proxy/proc/priv.h"

/* Whether this configuration needs one, and whether two need the same. */
bool dialer_is_needed(const struct conf *);
bool dialer_serves_both(const struct conf *, const struct conf *);

/* Gets a channel to each worker from master over `control` (CONTROL_DIALER), and answers what they ask
 * until master is gone. It never sees a byte of any session. Returns the exit code. */
int dialer_main(int control, const struct priv *, const struct conf *);

#endif
