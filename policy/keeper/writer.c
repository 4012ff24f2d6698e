#include "policy/keeper/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"

#define FILE_END  ".msg"
#define NAME_SIZE (KEEPER_ID_MAX + sizeof(FILE_END))
#define SEND_MAX  (1u << 30)	/* octets of one sendfile(2) */

struct queue {
	struct writer_job *first, **last;
};

struct writer {
	struct ev_loop *loop;
	struct ev_async wake;		/* something is done */
	struct store *store;
	int dir;
	void (*done)(void *owner, struct writer_job *);
	void *owner;
	pthread_t thread;
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t work;
	struct queue given, finished;
	bool ending;
};

struct writer_job *
writer_job_new(enum writer_do what, const char *id)
{
	struct writer_job *j = mem_new(sizeof(*j));

	j->what = what;
	snprintf(j->id, sizeof(j->id), "%s", id != NULL ? id : "");
	j->memfd = j->copy.spool = -1;
	store_batch_init(&j->batch);
	return j;
}

void
writer_job_free(struct writer_job **jp)
{
	struct writer_job *j = *jp;

	if (j == NULL)
		return;
	store_batch_free(&j->batch);
	keeper_copy_free(&j->copy);
	free(j->record);
	if (j->copy.spool != -1)
		close(j->copy.spool);
	free(j);
	*jp = NULL;
}

static void
queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void
queue_put(struct queue *q, struct writer_job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct writer_job *
queue_take(struct queue *q)
{
	struct writer_job *j = q->first;

	if (j != NULL && (q->first = j->next) == NULL)
		q->last = &q->first;
	return j;
}

static void
file_name(char name[NAME_SIZE], const char *id)
{
	snprintf(name, NAME_SIZE, "%s" FILE_END, id);
}

static int
put_stretch(int out, int in, uint64_t from, uint64_t len)
{
	off_t at = (off_t)from;

	while (len > 0) {
		ssize_t n = sendfile(out, in, &at, len < SEND_MAX ? len : SEND_MAX);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		len -= (uint64_t)n;
	}
	return 0;
}

/* Exactly what the backend would have been given. */
static int
put_message(int out, const struct keeper_copy *c)
{
	if (memfd_put(out, c->headers) == -1)
		return -1;
	if (c->npieces == 0)
		return put_stretch(out, c->spool, 0, c->size);
	for (size_t i = 0; i < c->npieces; i++)
		if (put_stretch(out, c->spool, c->pieces[i].from, c->pieces[i].len) == -1)
			return -1;
	return 0;
}

/* The file is whole on the disk, and its name is, before the index knows of it. */
static int
hold(struct writer *w, struct writer_job *j)
{
	char name[NAME_SIZE];
	int fd, rc;

	file_name(name, j->id);
	fd = openat(w->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_sys(&j->err, "create a file in state-dir/quarantine");
	rc = put_message(fd, &j->copy);
	if (rc == 0)
		rc = fsync(fd);
	if (rc == -1)
		err_sys(&j->err, "write a file in state-dir/quarantine");
	if (close(fd) == -1 && rc == 0)
		rc = err_sys(&j->err, "close a file in state-dir/quarantine");
	if (rc == 0 && fsync(w->dir) == -1)
		rc = err_sys(&j->err, "sync state-dir/quarantine");
	if (rc == 0)
		rc = store_write(w->store, &j->batch, true, &j->err);
	if (rc == -1)
		unlinkat(w->dir, name, 0);
	return rc;
}

/* The entry in the index goes first: what is left of either is removed at the next start. On a disk that is full
 * even that needs the room which the file takes. */
static int
delete(struct writer *w, struct writer_job *j)
{
	char name[NAME_SIZE];
	int rc = store_write(w->store, &j->batch, true, &j->err);

	file_name(name, j->id);
	if (unlinkat(w->dir, name, 0) == -1 && errno != ENOENT)
		return err_sys(&j->err, "remove a file in state-dir/quarantine");
	return rc == 0 ? 0 : store_write(w->store, &j->batch, true, &j->err);
}

static int
copy_to_memfd(int in, struct writer_job *j)
{
	struct stat st;

	j->memfd = memfd_create("gatepost-held", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (j->memfd == -1 || fstat(in, &st) == -1)
		return -1;
	j->size = (uint64_t)st.st_size;
	if (put_stretch(j->memfd, in, 0, j->size) == -1)
		return -1;
	return memfd_seal(j->memfd);
}

static int
load(struct writer *w, struct writer_job *j)
{
	char name[NAME_SIZE];
	int fd, rc;

	file_name(name, j->id);
	fd = openat(w->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd == -1 ? -1 : copy_to_memfd(fd, j);
	if (rc == -1) {
		err_sys(&j->err, "read %s in state-dir/quarantine", name);
		if (j->memfd != -1)
			close(j->memfd);
		j->memfd = -1;
	}
	if (fd != -1)
		close(fd);
	return rc;
}

static void
do_job(struct writer *w, struct writer_job *j)
{
	switch (j->what) {
	case WRITER_BATCH:
		j->failed = store_write(w->store, &j->batch, false, &j->err) == -1;
		break;
	case WRITER_HOLD:
		j->failed = hold(w, j) == -1;
		break;
	case WRITER_DELETE:
		j->failed = delete(w, j) == -1;
		break;
	case WRITER_LOAD:
		j->failed = load(w, j) == -1;
		break;
	}
}

static void *
run(void *arg)
{
	struct writer *w = arg;
	struct writer_job *j;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while ((j = queue_take(&w->given)) == NULL && !w->ending)
			pthread_cond_wait(&w->work, &w->lock);
		if (j == NULL)
			break;
		pthread_mutex_unlock(&w->lock);
		do_job(w, j);
		pthread_mutex_lock(&w->lock);
		queue_put(&w->finished, j);
		ev_async_send(w->loop, &w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
hand_back(struct writer *w)
{
	struct writer_job *j;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		j = queue_take(&w->finished);
		pthread_mutex_unlock(&w->lock);
		if (j == NULL)
			return;
		w->done(w->owner, j);
	}
}

static void
on_wake(struct ev_loop *loop, struct ev_async *ev, int events)
{
	(void)loop;
	(void)events;
	hand_back(ev->data);
}

struct writer *
writer_new(struct ev_loop *loop, struct store *store, int dir, void (*done)(void *, struct writer_job *), void *owner)
{
	struct writer *w = mem_new(sizeof(*w));
	sigset_t all, before;
	int rc;

	w->loop = loop;
	w->store = store;
	w->dir = dir;
	w->done = done;
	w->owner = owner;
	queue_init(&w->given);
	queue_init(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	ev_async_init(&w->wake, on_wake);
	w->wake.data = w;
	ev_async_start(loop, &w->wake);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		return w;
	log_error("no thread can be started: %s", strerror(rc));
	abort();	/* as when memory for small things is missing */
}

void
writer_give(struct writer *w, struct writer_job *j)
{
	pthread_mutex_lock(&w->lock);
	queue_put(&w->given, j);
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

void
writer_free(struct writer **wp)
{
	struct writer *w = *wp;
	struct writer_job *j;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	hand_back(w);
	while ((j = queue_take(&w->given)) != NULL) {	/* what came of that */
		do_job(w, j);
		w->done(w->owner, j);
	}
	ev_async_stop(w->loop, &w->wake);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
	*wp = NULL;
}

static bool
is_kept(const char *name, bool (*keep)(void *, const char *), void *owner)
{
	size_t len = strlen(name), end = strlen(FILE_END);
	char id[KEEPER_ID_MAX + 1];

	if (len <= end || strcmp(name + len - end, FILE_END) != 0 || !slice_copy((struct slice){ name, len - end }, id, sizeof(id)))
		return false;
	return keep(owner, id);
}

int
writer_tidy(int dir, bool (*keep)(void *owner, const char *id), void *owner, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (list == NULL)
		return err_sys(err, "read the directory quarantine in state-dir");
	while ((d = readdir(list)) != NULL) {
		if (d->d_name[0] == '.' || is_kept(d->d_name, keep, owner))
			continue;
		log_warn("state-dir/quarantine/%s was never finished, nobody was told that it is held: removed", d->d_name);
		unlinkat(dir, d->d_name, 0);
	}
	closedir(list);
	return 0;
}
