/* version.h - ours, and those of the libraries that do the work. */
#ifndef PROXY_PROC_VERSION_H
#define PROXY_PROC_VERSION_H

#include <stdio.h>

#define GATEPOST_VERSION "0.1"

void version_print(FILE *);

#endif
