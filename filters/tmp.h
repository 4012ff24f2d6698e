/* tmp.h - private temporary directories for what libclamav unpacks. */
#ifndef FILTERS_TMP_H
#define FILTERS_TMP_H

#include "proxy/base/err.h"

/* A new directory, mode 0700; the path is the caller's to free. It stays locked while the process lives. */
char *tmp_make(const char *parent, struct err *);
void tmp_sweep(const char *parent);			/* removes what our killed predecessors could not */
char *tmp_below(const char *dir, unsigned number);	/* "DIR/NUMBER" */
void tmp_remove(const char *dir);			/* with all that is in it; NULL and what is not there are no error */

#endif
