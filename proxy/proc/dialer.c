#include "proxy/proc/dialer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/net/flagged.h"
#include "proxy/proc/control.h"

#define CHANNELS_MAX 512	/* twice as many as there can be workers: those of the dead go when they are noticed */

struct dialer {
	struct pollfd ends[1 + CHANNELS_MAX];	/* master's, then the workers' */
	nfds_t n;
	bool flags;				/* it has CAP_NET_RAW */
	struct addr *paths;			/* that may be connected to */
	size_t npaths;
};

static void
list_paths(const struct conf *conf, struct addr **paths, size_t *n)
{
	for (size_t i = 0; i < conf->nbackends; i++)
		for (size_t k = 0; k < conf->backends[i]->nplaces; k++) {
			const struct conf_place *place = &conf->backends[i]->places[k];

			if (place->host == NULL && place->addr.ss.ss_family == AF_UNIX)
				*(struct addr *)mem_push(paths, n, sizeof(place->addr)) = place->addr;
		}
}

bool
dialer_is_needed(const struct conf *conf)
{
	struct addr *paths = NULL;
	size_t n = 0;

	list_paths(conf, &paths, &n);
	free(paths);
	return n > 0 || conf_keeps_source(conf);
}

bool
dialer_serves_both(const struct conf *one, const struct conf *other)
{
	struct addr *paths[2] = { NULL, NULL };
	size_t n[2] = { 0, 0 };
	bool same;

	list_paths(one, &paths[0], &n[0]);
	list_paths(other, &paths[1], &n[1]);
	same = n[0] == n[1] && conf_keeps_source(one) == conf_keeps_source(other);
	for (size_t i = 0; i < n[0] && same; i++)
		same = addr_same(&paths[0][i], &paths[1][i]);
	free(paths[0]);
	free(paths[1]);
	return same;
}

static void
forget(struct dialer *d, nfds_t i)
{
	close(d->ends[i].fd);
	d->ends[i] = d->ends[--d->n];
}

/* False: master is gone. */
static bool
hear_master(struct dialer *d)
{
	struct control_msg msg;
	int got = control_recv(d->ends[0].fd, &msg);

	if (got != 1)
		return got != 0;
	for (size_t i = 0; i < msg.nfds; i++) {
		if (msg.word == CONTROL_DIALER && d->n <= CHANNELS_MAX) {
			fcntl(msg.fds[i], F_SETFL, O_NONBLOCK);
			d->ends[d->n++] = (struct pollfd){ .fd = msg.fds[i], .events = POLLIN };
		} else {
			log_error("control message %d makes no sense", msg.word);
			close(msg.fds[i]);
		}
	}
	return true;
}

/* False: no socket can be made. */
static bool
give_flagged(struct dialer *d, nfds_t i, const struct flagged_request *r)
{
	int fds[FLAGGED_BATCH];
	unsigned made = 0;
	struct err err;

	while (made < r->count && (fds[made] = flagged_new(r->family, &err)) != -1)
		made++;
	if (made == 0)
		log_error("%s", err.text);
	else if (flagged_answer(d->ends[i].fd, r->family, fds, made) == -1)
		forget(d, i);
	for (unsigned k = 0; k < made; k++)
		close(fds[k]);
	return made > 0;
}

static bool
is_ours(const struct dialer *d, const struct addr *path)
{
	for (size_t i = 0; i < d->npaths; i++)
		if (addr_same(&d->paths[i], path))
			return true;
	return false;
}

/* -1 with errno. A UNIX socket connects at once or not at all: EAGAIN means that too many wait there already. */
static int
connect_to(const struct addr *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), why;

	if (fd == -1 || connect(fd, (const struct sockaddr *)&path->ss, path->len) == 0)
		return fd;
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

static void
give_connection(struct dialer *d, nfds_t i, const struct flagged_request *r)
{
	int fd = -1;

	errno = EACCES;
	if (is_ours(d, &r->path))
		fd = connect_to(&r->path);
	if (flagged_answer_path(d->ends[i].fd, r->number, fd, errno) == -1)
		forget(d, i);
	if (fd != -1)
		close(fd);
}

/* A worker asks for no more than fits into its channel and reads what it asked for: whoever does not is let go,
 * and nobody can make this process wait. False: no socket can be made. */
static bool
serve(struct dialer *d, nfds_t i)
{
	struct flagged_request r;
	int got = flagged_asked(d->ends[i].fd, &r);

	if (got == -1 && errno == EAGAIN)
		return true;
	if (got != 1 || (r.family != AF_UNIX && !d->flags))
		forget(d, i);
	else if (r.family == AF_UNIX)
		give_connection(d, i, &r);
	else
		return give_flagged(d, i, &r);
	return true;
}

static int
drop(const struct dialer *d, const struct priv *priv, struct err *err)
{
	return d->flags ? priv_drop_to_net_raw(priv, d->npaths == 0, err) : priv_drop(priv, false, err);
}

int
dialer_main(int control, const struct priv *priv, const struct conf *conf)
{
	struct dialer d = { .ends = { { .fd = control, .events = POLLIN } }, .n = 1, .flags = conf_keeps_source(conf) };
	struct rlimit no_core = { 0, 0 };
	struct err err = { "" };

	title_set("dialer");
	log_name("dialer");
	setrlimit(RLIMIT_CORE, &no_core);
	list_paths(conf, &d.paths, &d.npaths);
	if (drop(&d, priv, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* again: changing the user has cleared it */

	for (;;) {
		if (poll(d.ends, d.n, -1) == -1 && errno != EINTR)
			return 1;
		/* From the end: who is forgotten gives its place to one that was served already. */
		for (nfds_t i = d.n - 1; i > 0; i--)
			if (d.ends[i].revents != 0 && !serve(&d, i))
				return 1;
		if (d.ends[0].revents != 0 && !hear_master(&d))
			return 0;
	}
}
