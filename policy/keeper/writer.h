/* writer.h - the keeper's one thread that waits for the disk.
 *
 * Jobs are done in the order in which they were given. A job is given away with writer_give() and comes back
 * through done(), in the keeper's own thread, with its outcome; then it is the owner's to free. */
#ifndef POLICY_KEEPER_WRITER_H
#define POLICY_KEEPER_WRITER_H

#include <ev.h>

#include "policy/keeper/keeper_wire.h"
#include "policy/keeper/store.h"

enum writer_do {
	WRITER_BATCH,		/* write the batch */
	WRITER_HOLD,		/* write and sync the file, then the batch, durably */
	WRITER_DELETE,		/* write the batch, durably, then remove the file */
	WRITER_LOAD,		/* the file as a sealed memfd */
};

struct writer_job {
	enum writer_do what;
	struct store_batch batch;
	char id[KEEPER_ID_MAX + 1];	/* the file's */
	/* HOLD: what the file is made of; closed and freed with the job. */
	char *record;			/* packed; copy points into it */
	struct keeper_copy copy;
	uint64_t size;			/* of the file */
	/* Outcome. */
	bool failed;
	struct err err;
	int memfd;			/* LOAD: the owner's; -1 */
	/* The owner's own. */
	uint64_t channel, number, ctl;
	bool tables, deliver, delivered;
	struct writer_job *next;
};

struct writer_job *writer_job_new(enum writer_do, const char *id);
void writer_job_free(struct writer_job **);

struct writer;

/* dir: an open directory for the files. */
struct writer *writer_new(struct ev_loop *, struct store *, int dir, void (*done)(void *owner, struct writer_job *), void *owner);
void writer_give(struct writer *, struct writer_job *);
void writer_free(struct writer **);	/* does all that was given first; done() is called for it */

/* Removes files that are not one of keep()'s: what was half written when the keeper died. */
int writer_tidy(int dir, bool (*keep)(void *owner, const char *id), void *owner, struct err *);

#endif
