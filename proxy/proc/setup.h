/* setup.h - one configuration as master holds it: read, checked, its sockets open, its scanners up.
 *
 * A new one is made whole beside the old one. Only when everything of it stands is it committed;
 * until then nothing has changed for anyone. */
#ifndef PROXY_PROC_SETUP_H
#define PROXY_PROC_SETUP_H

#include "conf/conf.h"
#include "proxy/proc/priv.h"

struct port_set {		/* one address: a listening socket for each worker slot */
	struct addr addr;
	int *fds;
	bool taken_over;	/* from the setup before; it closes them if this one is given up */
};

struct setup {
	struct conf *conf;
	int memfd;		/* the conf, packed and sealed */
	unsigned workers;	/* slots; stays what it was at the start */
	struct port_set *ports;	/* in the order of the listeners' addresses */
	size_t nports;
	struct priv worker_user, scan_user;
	char *state_dir;	/* stays what it was at the start */
	int state_lock;		/* nobody else may use it meanwhile */
};

/* Reads and checks everything that can be checked without starting a process: the text, files,
 * users, certificates with their keys. */
struct conf *setup_read(const char *path, struct priv *worker_user, struct priv *scan_user, struct err *);

/* Reads the file and opens what the old setup (may be NULL) has not open already. */
struct setup *setup_new(const char *path, const struct setup *old, struct err *);

/* The new one counts from here on: *old is freed, with the sockets that nobody took over. */
void setup_commit(struct setup **old, struct setup *new);

void setup_free(struct setup **);	/* one that was not committed, or the last */

/* Whether messages are judged at all: without rules and antivirus there are no scanners. */
bool setup_judges(const struct setup *);

#endif
