/* av_int.h - what av.c and av_canary.c share. */
#ifndef FILTERS_AV_INT_H
#define FILTERS_AV_INT_H

#include <clamav.h>

#include "filters/av.h"

#define AV_CANARY_BYTES 32
#define AV_CANARY_NAME  "Gatepost.Canary"
#define AV_FOUND_MAX    96	/* octets of `found`, with the NUL */

struct av {
	struct cl_engine *engine;
	char *tmp_dir;
	uint64_t max_file;
	bool alert_encrypted;
	size_t signatures;
	unsigned char canary[AV_CANARY_BYTES];
};

/* Makes the canary and loads its signature beside the databases; before cl_engine_compile. */
int av_canary_load(struct av *, struct err *);

/* av_scan without the look at the temporary directory first. */
enum av_result av_look(struct av *, struct slice bytes, bool is_mail, const char *type, const char *name,
    char *found, size_t size, struct err *);

#endif
