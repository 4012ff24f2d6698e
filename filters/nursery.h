/* nursery.h - the process that loads rules and antivirus once and forks scanners from them.
 *
 * One nursery is one generation: it serves its job sockets until nobody can send into them any
 * more, then its scanners leave and it ends. */
#ifndef FILTERS_NURSERY_H
#define FILTERS_NURSERY_H

#include "conf/conf.h"
#include "filters/rules.h"

struct nursery_fds {
	int control;			/* to master: one READY or FAILED; its end ends the nursery */
	int small, large;		/* receiving ends of the job sockets */
	int kill;			/* receiving end: KILL(slot, job) from workers */
};

/* What the nursery says to master, once. */
enum nursery_word { NURSERY_READY = 1, NURSERY_FAILED };
struct nursery_report {
	enum nursery_word word;
	uint32_t rules, signatures;	/* READY */
	char sentence[ERR_MAX];		/* FAILED */
};
/* From master to a nursery: lines go to this descriptor from now on (its scanners': once they are forked). */
void nursery_tell_log(int control, enum log_kind, int fd);
void nursery_fail(const struct nursery_fds *, const char *sentence);	/* FAILED, before nursery_main() could begin */
bool nursery_get_report(struct slice, struct nursery_report *);

/* files: the contents of the conf's rules, which the process may no longer be allowed to read. Returns
 * the exit code. */
int nursery_main(const struct conf *, const struct rules_files *, const struct nursery_fds *);

#endif
