/* scan_wire.h - what worker and scanner say to each other, as explicit bytes.
 *
 * A job goes over the job socket together with two descriptors: the sealed spool and one end of
 * a private channel. Everything else runs on that channel: TAKEN, then FINDINGS or TROUBLE. The
 * worker takes the scanner's words as it takes mail: what does not fit exactly is no answer. */
#ifndef FILTERS_SCAN_WIRE_H
#define FILTERS_SCAN_WIRE_H

#include "policy/facts.h"
#include "policy/findings.h"
#include "proxy/base/buf.h"
#include "proxy/base/chan.h"
#include "proxy/base/err.h"

#define SCAN_RCPTS_MAX    100		/* recipients told to a scanner; rules need no more */
#define SCAN_SMALL        262144	/* octets: larger messages go by the other job socket */
#define SCAN_JOB_FDS      2		/* the spool, the channel */

enum { SCAN_FD_SPOOL, SCAN_FD_CHANNEL };

/* Octets kept behind a decoded job: slices of facts point into the message's buffer. */
struct scan_job {
	uint64_t number;
	uint64_t size;			/* of the spool */
	struct facts facts;
	struct slice rcpts[SCAN_RCPTS_MAX];
};

bool scan_put_job(struct buf *, uint64_t number, uint64_t size, const struct facts *);
bool scan_get_job(struct slice, struct scan_job *);

enum scan_word { SCAN_TAKEN = 1, SCAN_FINDINGS, SCAN_TROUBLE, SCAN_BAD };

bool scan_put_taken(struct buf *, uint64_t number, unsigned slot);
bool scan_put_findings(struct buf *, uint64_t number, const struct findings *);
bool scan_put_trouble(struct buf *, uint64_t number, const char *sentence);

/* Reads one word for this job into whichever belongs to it. SCAN_BAD: nonsense, or another job's. */
enum scan_word scan_get_word(struct slice, uint64_t number, unsigned *slot, struct findings *, struct err *trouble);

/* KILL, from a worker to the nursery: this slot, if it still works on this job. */
bool scan_put_kill(struct buf *, unsigned slot, uint64_t number);
bool scan_get_kill(struct slice, unsigned *slot, uint64_t *number);

#endif
