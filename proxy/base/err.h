/* err.h - an error is a sentence, and whoever can act on it logs it, once.
 *
 * Functions that can fail take a struct err * and return 0 or -1; the sentence says what was
 * tried, on what, and where it helps what to do next. */
#ifndef PROXY_BASE_ERR_H
#define PROXY_BASE_ERR_H

#define ERR_MAX 512

struct err {
	char text[ERR_MAX];
};

/* Both return -1, for `return err_set(...)`. A longer sentence is cut. err may be NULL. */
int err_set(struct err *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_sys(struct err *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));	/* adds ": strerror(errno)" */

#endif
