/* zip.h - members of a zip archive that libclamav passes over in silence.
 *
 * libclamav 1.4 answers "clean" for what it does not open: sizes that stand in zip64 fields,
 * methods it cannot unpack, members whose own header contradicts the directory, directories that
 * are not where the last record says, and what lies behind its file size limit. Programs that
 * people open archives with are more helpful (all tried with unzip or Python's zipfile). */
#ifndef FILTERS_ZIP_H
#define FILTERS_ZIP_H

#include "proxy/base/slice.h"

/* The name of the first such thing in the archive that stands in `bytes`: "ZIP_ZIP64",
 * "ZIP_MEMBER_TOO_BIG", "ZIP_METHOD" or "ZIP_INCONSISTENT". NULL: none, or not a zip archive.
 * Reads the last 64 KiB and the directory once; time is linear in their size. */
const char *zip_unseen(struct slice bytes, uint64_t max_file);

#endif
