/* memfd.h - octets in memory that another process gets as a descriptor, and that nobody can change any more. */
#ifndef PROXY_BASE_MEMFD_H
#define PROXY_BASE_MEMFD_H

#include "proxy/base/err.h"
#include "proxy/base/slice.h"

/* A memfd of these octets, sealed; `name` stands in /proc and in errors. The caller closes it. -1: with err. */
int memfd_of(const char *name, struct slice, struct err *);

int memfd_put(int fd, struct slice);	/* all of them, into a file as well; -1 with errno */
int memfd_seal(int fd);			/* from now on it stays as it is, its seals too; -1 with errno */

#endif
