/* worker.h - a process that talks with clients and backends. */
#ifndef PROXY_PROC_WORKER_H
#define PROXY_PROC_WORKER_H

#include "proxy/base/budget.h"
#include "proxy/proc/priv.h"

/* slot: from 0. Serves what master sends over `control` (control.h) until told to drain or master is gone.
 * Returns the exit code. */
int worker_main(unsigned slot, int control, struct budgets *, const struct priv *);

#endif
