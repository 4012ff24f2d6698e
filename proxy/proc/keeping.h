/* keeping.h - the process of the keeper (policy/keeper): quarantine, ledger, poison memory. */
#ifndef PROXY_PROC_KEEPING_H
#define PROXY_PROC_KEEPING_H

#include "conf/conf.h"
#include "policy/keeper/keeper_hints.h"
#include "proxy/proc/priv.h"

/* What the keeper has to know of a configuration; generation: how many there have been. A sealed memfd, or -1. */
int keeping_limits(const struct conf *, uint32_t generation, struct err *);

/* Serves in this directory what comes over `control` (CONTROL_KEEPER, CONTROL_LIMITS, CONTROL_LOG) until master is
 * gone; then writes what is not written yet. Returns the exit code. */
int keeping_main(int control, int limits, struct keeper_hints *, const char *state_dir, const struct priv *);

/* The directory is there (made now when `make` is set) and belongs to this user. -1: what to do. */
int keeping_check_dir(const char *state_dir, const struct priv *, bool make, struct err *);

#endif
