/* scanner.h - one scanner: waits for a job, judges it, answers, waits again.
 *
 * Forked from a nursery that has everything loaded; has no network and opens no file but its
 * own temporary ones. It may die at any moment: whoever waits for its answer then hears so. */
#ifndef FILTERS_SCANNER_H
#define FILTERS_SCANNER_H

#include <stdatomic.h>

#include "filters/scan_wire.h"
#include "filters/stages.h"

#define SCANNER_JOBS_MAX 500	/* messages after which a scanner retires */

/* A page shared with the nursery alone: which job this scanner works on, 0 for none. */
struct scanner_page {
	_Atomic uint64_t job;
};

struct scanner_place {
	unsigned slot;
	bool small_only;		/* keeps itself free of large messages */
	int small_fd, large_fd;		/* receiving ends of the job sockets */
	const char *tmp_dir;		/* its own; NULL without antivirus */
	struct scanner_page *page;
	double scan_timeout;		/* seconds; for the limit on its processor time */
};

enum { SCANNER_EXIT_DONE = 0, SCANNER_EXIT_UNFIT = 3 };	/* unfit: the canary was not found, and the like */

int scanner_main(struct stages *, const struct scanner_place *);	/* the exit code */

/* Judges one job and answers on its channel (judge.c; a file of its own so that tests can put a
 * scanner that lies, hangs or dies in its place). */
void scanner_judge(struct stages *, const struct scan_job *, unsigned slot, int spool, int channel);

#endif
