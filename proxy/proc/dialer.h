/* dialer.h - the process that flags sockets for the workers (proxy/net/flagged.h), with CAP_NET_RAW and no other right. */
#ifndef PROXY_PROC_DIALER_H
#define PROXY_PROC_DIALER_H

#include "proxy/proc/priv.h"

/* Gets a channel to each worker from master over `control` (CONTROL_DIALER), and answers what they ask
 * until master is gone. It never sees a byte of any session. Returns the exit code. */
int dialer_main(int control, const struct priv *);

#endif
