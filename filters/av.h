/* av.h - libclamav behind one door, with its ways of failing open closed.
 *
 * "Clean" here means: libclamav answered clean, sent no error line through its message callback
 * during the scan, ran into no limit, and found the canary at the last look. Anything else is
 * AV_LIMIT (by the content's nature) or AV_ERROR (could not judge). Not thread safe; one engine
 * a process, shared copy-on-write by those that are forked from it. */
#ifndef FILTERS_AV_H
#define FILTERS_AV_H

#include "conf/conf.h"
#include "proxy/base/err.h"
#include "proxy/base/slice.h"

struct av;

enum av_result { AV_CLEAN, AV_FOUND, AV_LIMIT, AV_ERROR };

/* Initialises libclamav, loads the databases and a canary signature of our own (made anew, random)
 * and compiles. NULL with a sentence; an empty database directory says: install clamav-freshclam
 * and run it, or set antivirus off. tmp_dir must exist. */
struct av *av_load(const struct conf_antivirus *, const char *tmp_dir, struct err *);
void av_free(struct av **);
const char *av_library(void);			/* libclamav's version */

size_t av_signatures(const struct av *);	/* loaded, without the canary */

/* Where temporary files go from now on: a scanner's own directory. */
int av_set_tmp(struct av *, const char *tmp_dir, struct err *);

/* Scans one piece. `is_mail`: the raw message, which libclamav takes apart too; it comes before
 * its parts (they share one allowance of HTML to be parsed). Otherwise `name` (may be empty; some
 * signatures look at it) and `type` ("text/html") describe a decoded part. AV_FOUND and AV_LIMIT
 * give a printable name in `found` (at least 96 octets), AV_ERROR a sentence in err. Opens files
 * below the temporary directory only, whose room it looks at (statfs). */
enum av_result av_scan(struct av *, struct slice bytes, bool is_mail, const char *type, const char *name,
    char *found, size_t size, struct err *);

/* Scans a little mail with the canary inside, through the same temporary directory, and a text
 * while no file can be made; 0 only when the one was found and the other not called clean. */
int av_canary(struct av *, struct err *);

#endif
