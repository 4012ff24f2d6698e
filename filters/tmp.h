/* tmp.h - private temporary directories for what libclamav unpacks. */
#ifndef FILTERS_TMP_H
#define FILTERS_TMP_H

#include "proxy/base/err.h"

char *tmp_make(const char *parent, struct err *);	/* a new directory, mode 0700; the path is the caller's to free */
char *tmp_below(const char *dir, unsigned number);	/* "DIR/NUMBER" */
void tmp_remove(const char *dir);			/* with all that is in it; NULL and what is not there are no error */

#endif
