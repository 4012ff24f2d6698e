/* worker.h - a process that talks with clients and backends. */
#ifndef PROXY_PROC_WORKER_H
#define PROXY_PROC_WORKER_H

#include "policy/keeper/keeper_hints.h"
#include "proxy/base/budget.h"
#include "proxy/base/crowd.h"
#include "proxy/proc/priv.h"
#include "proxy/smtp/smtp_throttle.h"

/* What all workers share, made before they are forked. */
struct worker_pages {
	struct budgets *budgets;
	struct crowd *crowd;		/* clients by address */
	struct smtp_throttle *throttle;	/* of failed AUTH */
	struct keeper_hints *hints;
};

/* slot: from 0. Serves what master sends over `control` (control.h) until told to drain or master is gone.
 * Returns the exit code. */
int worker_main(unsigned slot, int control, const struct worker_pages *, const struct priv *);

#endif
