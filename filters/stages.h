/* stages.h - the stages of judging in their order: mime, rules, antivirus.
 *
 * A nursery loads them once; scanners forked from it run them. */
#ifndef FILTERS_STAGES_H
#define FILTERS_STAGES_H

#include "conf/conf.h"
#include "filters/av.h"
#include "filters/rules.h"

struct stages;

/* files: the contents of conf->rules; NULL: they are read now. tmp_dir: for the antivirus while it
 * loads; NULL with antivirus off. Logs unsupported rule lines. */
struct stages *stages_load(const struct conf *, const struct rules_files *files, const char *tmp_dir, struct err *);
void stages_free(struct stages **);
struct av *stages_av(struct stages *);		/* NULL with antivirus off */
size_t stages_rules(const struct stages *);	/* how many rules are loaded */

/* Judges one message into *found. -1: could not judge (the message must be deferred). */
int stages_run(struct stages *, struct slice mail, const struct facts *, struct findings *found, struct err *);

#endif
