/* log.h - one line per thing that happened, to stderr, syslog or a file, never waiting.
 *
 * A line that cannot be written at once is dropped and counted; the next line that gets through
 * says how many were lost. Lines are built as key=value words; peers' text is escaped. */
#ifndef PROXY_BASE_LOG_H
#define PROXY_BASE_LOG_H

#include "proxy/base/buf.h"
#include "proxy/base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_kind { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

/* Opens the place that lines go to: `path` for a file. Returns a descriptor that never blocks, or -1. */
int log_open(enum log_kind, const char *path, struct err *);
void log_use(enum log_kind, int fd);			/* log owns fd from here on and closes the one before */
int log_fd(void);					/* for who closes everything else, or passes it on */
void log_name(const char *role);			/* "worker 1": stands in each line */
void log_verbosity(enum log_level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_line(enum log_level, struct slice);		/* a finished line without its end */

/* Words of a line that is being built. A value with blanks, quotes or nothing in it is quoted;
 * peers' octets are escaped; a value is cut at 256 octets. */
#define LOG_LINE_MAX 3500
void log_word(struct buf *, const char *key, struct slice value);
void log_wordf(struct buf *, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
