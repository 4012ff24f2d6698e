/* conf_world.h - what a configuration asks of the machine it is read on.
 *
 * Everything that does not stand in the text itself (files, which files a pattern matches, the
 * host's name...) comes through one function, so that conf_unpack answers from packed bytes, and
 * tests and fuzzers from tables. Answers are remembered in the tree and travel with it. */
#ifndef CONF_CONF_WORLD_H
#define CONF_CONF_WORLD_H

#include <sys/types.h>

#include "proxy/base/err.h"
#include "proxy/base/slice.h"

#define CONF_FILE_MAX (4u << 20)	/* octets of one file (certificates, keys) */
#define CONF_LIST_MAX (48u << 20)	/* octets of one list of addresses */

enum conf_question {
	CONF_ASK_FILE,		/* a regular file's contents */
	CONF_ASK_LIST,		/* the same of a file that may be large */
	CONF_ASK_GLOB,		/* the paths that a pattern matches, sorted, each with its NUL */
	CONF_ASK_HOSTNAME,
	CONF_ASK_CORES,		/* processors that are online, in decimal */
	CONF_ASK_FOLDER,	/* the working directory */
};

struct conf_answer {
	enum conf_question ask;
	char *about;		/* the path, the pattern; "" where there is none */
	char *bytes;		/* with a NUL behind them */
	size_t len;
	dev_t dev;		/* a file's identity, while it is being read */
	ino_t ino;
};

struct conf_world {
	/* Fills in bytes, len, dev and ino. The sentence of an error says what, on which path, and why. */
	int (*ask)(void *arg, enum conf_question, const char *about, struct conf_answer *, struct err *);
	void *arg;
};

extern const struct conf_world conf_disk;	/* the machine itself */

/* NULL with a sentence. The answer belongs to the caller. */
struct conf_answer *conf_world_ask(const struct conf_world *, enum conf_question, const char *about, struct err *);
void conf_answer_free(struct conf_answer **);	/* wipes: it may be a private key */

#endif
