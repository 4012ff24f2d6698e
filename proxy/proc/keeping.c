#include "proxy/proc/keeping.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/keeper/keeper.h"
#include "proxy/base/log.h"
#include "proxy/base/memfd.h"
#include "proxy/base/title.h"
#include "proxy/proc/control.h"

#define LAST_WORDS 10	/* seconds to write what is not written yet, once master is gone */

struct keeping {
	struct ev_loop *loop;
	struct ev_io control;
	struct keeper_server *server;
};

int
keeping_limits(const struct conf *conf, uint32_t generation, struct err *err)
{
	struct keeper_limits limits = { { conf->quarantine_size, (int64_t)conf->quarantine_keep }, generation };
	struct buf b;
	int fd;

	buf_init(&b, 64);
	keeper_limits_put(&b, &limits);
	fd = memfd_of("gatepost-limits", buf_slice(&b), err);
	buf_free(&b);
	return fd;
}

static int
read_limits(int memfd, struct keeper_limits *limits)
{
	struct slice bytes;
	struct err err;
	bool good;

	if (control_map(memfd, &bytes, &err) == -1)
		return -1;
	good = keeper_limits_get(bytes, limits);
	control_unmap(&bytes);
	return good ? 0 : -1;
}

/* True: the descriptor belongs to somebody now. */
static bool
obey(struct keeping *k, const struct control_msg *msg)
{
	struct keeper_limits limits;

	switch (msg->word) {
	case CONTROL_KEEPER:
		if (msg->nfds != 1)
			return false;
		keeper_server_channel(k->server, msg->fds[0]);
		return true;
	case CONTROL_LOG:
		if (msg->nfds != 1)
			return false;
		log_use((enum log_kind)msg->number, msg->fds[0]);
		return true;
	case CONTROL_LIMITS:
		if (msg->nfds == 1 && read_limits(msg->fds[0], &limits) == 0) {
			keeper_server_limits(k->server, &limits);
			log_verbosity((enum log_level)msg->number);
		}
		return false;
	default:
		log_error("control message %d makes no sense", msg->word);
		return false;
	}
}

/* All that master has said by now. */
static void
hear_master(void *owner)
{
	struct keeping *k = owner;
	struct control_msg msg;
	int got;

	while ((got = control_recv(k->control.fd, &msg)) == 1)
		if (!obey(k, &msg))
			for (size_t i = 0; i < msg.nfds; i++)
				close(msg.fds[i]);
	if (got == 0)
		ev_break(k->loop, EVBREAK_ALL);	/* master is gone */
}

static void
on_control(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)events;
	hear_master(io->data);
}

static int
serve(int control, const struct keeper_limits *limits, struct keeper_hints *hints)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct keeping k = { .loop = loop };
	struct err err = { "" };

	k.server = keeper_server_new(loop, hints, limits, &err);
	if (k.server == NULL) {
		log_error("%s", err.text);
		ev_loop_destroy(loop);
		return 1;
	}
	ev_io_init(&k.control, on_control, control, EV_READ);
	k.control.data = &k;
	ev_io_start(loop, &k.control);
	keeper_server_master(k.server, hear_master, &k);
	ev_run(loop, 0);
	ev_io_stop(loop, &k.control);
	alarm(LAST_WORDS);	/* a disk that does not answer must not keep this process */
	keeper_server_end(&k.server);
	ev_loop_destroy(loop);
	return 0;
}

int
keeping_main(int control, int limits_fd, struct keeper_hints *hints, const char *state_dir, const struct priv *priv)
{
	struct rlimit no_core = { 0, 0 };
	struct keeper_limits limits;
	struct err err = { "" };

	title_set("keeper");
	log_name("keeper");
	setrlimit(RLIMIT_CORE, &no_core);
	priv_raise_descriptors();
	if (read_limits(limits_fd, &limits) == -1 || priv_drop_into(priv, state_dir, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	close(limits_fd);
	prctl(PR_SET_PDEATHSIG, 0);	/* it sees by itself that master is gone, and writes what it knows */
	return serve(control, &limits, hints);
}

static bool
is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = d != NULL;

	while (d != NULL && (e = readdir(d)) != NULL)
		empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	if (d != NULL)
		closedir(d);
	return empty;
}

/* An empty directory of root's was made for us; any other that is not ours may be somebody's by mistake. */
static int
take_dir(const char *dir, const struct stat *st, const struct priv *priv, bool make, struct err *err)
{
	if (!S_ISDIR(st->st_mode))
		return err_set(err, "state-dir %s is no directory", dir);
	if (geteuid() != 0)
		return access(dir, R_OK | W_OK | X_OK) == 0 ? 0 :
		    err_sys(err, "state-dir %s cannot be written to by this user: set state-dir to a directory of its own", dir);
	if (st->st_uid == priv->uid)
		return 0;
	if (st->st_uid != 0 || !is_empty(dir))
		return err_set(err, "state-dir %s belongs to uid %u, and what is in it must be of the user that the workers run as: "
		    "chown -R %u:%u %s, or set state-dir to another directory", dir, (unsigned)st->st_uid, (unsigned)priv->uid,
		    (unsigned)priv->gid, dir);
	if (make && chown(dir, priv->uid, priv->gid) == -1)
		return err_sys(err, "give state-dir %s to uid %u", dir, (unsigned)priv->uid);
	return 0;
}

/* Whether it could be made: the directory that it would stand in is there, and ours to write to. */
static int
check_parent(const char *dir, struct err *err)
{
	char parent[4096];
	struct slice path = slice_of(dir);

	while (path.len > 1 && path.at[path.len - 1] == '/')
		path.len--;
	while (path.len > 0 && path.at[path.len - 1] != '/')
		path.len--;
	if (!slice_copy(path.len > 0 ? path : SLICE("."), parent, sizeof(parent)))
		return err_set(err, "state-dir: the path is too long");
	if (access(parent, W_OK | X_OK) == 0)
		return 0;
	return err_sys(err, "state-dir %s is not there and cannot be made: make it, or set state-dir to a directory of this user's", dir);
}

int
keeping_check_dir(const char *dir, const struct priv *priv, bool make, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) == 0)
		return take_dir(dir, &st, priv, make, err);
	if (errno != ENOENT)
		return err_sys(err, "state-dir %s", dir);
	if (!make)
		return check_parent(dir, err);
	if (mkdir(dir, 0700) == -1)
		return err_sys(err, "make state-dir %s (make it, or set state-dir to a directory of this user's)", dir);
	if (geteuid() == 0 && chown(dir, priv->uid, priv->gid) == -1)
		return err_sys(err, "give state-dir %s to uid %u", dir, (unsigned)priv->uid);
	return 0;
}
