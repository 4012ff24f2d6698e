#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "policy/keeper/keeper_int.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"
#include "proxy/base/wire.h"

#define CTLS_MAX     16		/* administrators' connections */
#define IDLE_MAX     60.0	/* seconds that one may say nothing */
#define RELEASE_MAX  3600.0	/* seconds for a worker to deliver; the backend's own timeouts are far below */
#define LIST_OCTETS  ((size_t)512 << 20)

struct ctl {			/* one administrator's connection */
	LIST_ENTRY(ctl) all;
	struct keeper_server *server;
	struct ev_io io;
	struct ev_timer idle;
	uint64_t serial;
	bool waiting;		/* for an answer of ours */
};

struct release {		/* a message that a worker is delivering */
	LIST_ENTRY(release) all;
	struct keeper_server *server;
	struct ev_timer deadline;
	uint64_t number, channel, ctl;
	char id[KEEPER_ID_MAX + 1];
};

static void
close_ctl(struct ctl *a)
{
	struct keeper_server *s = a->server;

	ev_io_stop(s->loop, &a->io);
	ev_timer_stop(s->loop, &a->idle);
	close(a->io.fd);
	LIST_REMOVE(a, all);
	s->nctls--;
	free(a);
}

void
keeper_ctl_answer(struct keeper_server *s, uint64_t serial, bool yes, const char *text, const int *fds, size_t nfds)
{
	struct keeper_msg m = { .word = KEEPER_ANSWER, .yes = yes, .text = slice_of(text) };
	struct ctl *a;

	LIST_FOREACH(a, &s->ctls, all)
		if (a->serial == serial) {
			a->waiting = false;
			ev_timer_again(s->loop, &a->idle);
			keeper_say(a->io.fd, &m, fds, nfds);
			return;
		}
}

static void
say_status(struct keeper_server *s, struct ctl *a)
{
	char text[KEEPER_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "generation %u\nworkers %zu\nheld %zu\nheld-octets %llu of %llu\nledger %zu\npoison %zu",
	    s->limits.generation, s->nchannels, quarantine_count(s->quarantine), (unsigned long long)quarantine_octets(s->quarantine),
	    (unsigned long long)s->limits.quarantine.octets, table_entries(s->ledger), table_entries(s->poison));
	keeper_ctl_answer(s, a->serial, true, text, NULL, 0);
}

static void
answer_bytes(struct keeper_server *s, uint64_t ctl, const struct buf *b, int more)
{
	struct err err = { "" };
	int fds[2] = { memfd_of("gatepost-record", buf_slice(b), &err), more };

	keeper_ctl_answer(s, ctl, fds[0] != -1, err.text, fds, fds[0] == -1 ? 0 : more != -1 ? 2 : 1);
	if (fds[0] != -1)
		close(fds[0]);
}

/* A list does without envelopes. */
static void
put_lean(struct buf *list, const struct held *h)
{
	struct keeper_held lean = { .time = h->time, .size = h->size, .attempts = h->attempts, .last = slice_of(h->last) };
	struct buf b;

	keeper_get_copy((struct slice){ h->copy, h->copy_len }, &lean.copy);
	lean.copy.envelope = SLICE("");
	buf_init(&b, KEEPER_RECORD_MAX + CHAN_MAX);
	if (keeper_put_held(&b, &lean))
		wire_put_bytes(list, buf_slice(&b));
	buf_free(&b);
	keeper_copy_free(&lean.copy);
}

static void
say_list(struct keeper_server *s, struct ctl *a)
{
	struct held *h;
	struct buf list;

	buf_init(&list, LIST_OCTETS);
	for (h = quarantine_first(s->quarantine); h != NULL; h = TAILQ_NEXT(h, age))
		if (h->state == HELD_STANDING || h->state == HELD_RELEASING)
			put_lean(&list, h);
	answer_bytes(s, a->serial, &list, -1);
	buf_free(&list);
}

/* What an order is about, or NULL and an answer has been given. */
static struct held *
find_for(struct keeper_server *s, struct ctl *a, const struct keeper_msg *m)
{
	struct held *h = quarantine_find(s->quarantine, m->id);

	if (h != NULL && h->state == HELD_STANDING)
		return h;
	keeper_ctl_answer(s, a->serial, false,
	    h == NULL || h->state == HELD_WRITING ? "no message with this id is held" :
	    h->state == HELD_RELEASING		  ? "it is being released at this moment" :
						    "it is being deleted at this moment", NULL, 0);
	return NULL;
}

static void
load_file(struct keeper_server *s, struct ctl *a, struct held *h, bool deliver)
{
	struct writer_job *j = writer_job_new(WRITER_LOAD, h->id);

	j->ctl = a->serial;
	j->deliver = deliver;
	if (deliver)
		h->state = HELD_RELEASING;
	writer_give(s->writer, j);
}

static bool
obey(struct ctl *a, const struct keeper_msg *m)
{
	struct keeper_server *s = a->server;
	struct held *h = NULL;

	a->waiting = true;
	ev_timer_stop(s->loop, &a->idle);
	if (m->id.len > 0 && (h = find_for(s, a, m)) == NULL)
		return true;
	switch (m->word) {
	case KEEPER_STATUS:
		say_status(s, a);
		return true;
	case KEEPER_LIST:
		say_list(s, a);
		return true;
	case KEEPER_SHOW:
		load_file(s, a, h, false);
		return true;
	case KEEPER_DELIVER:
		load_file(s, a, h, true);
		return true;
	case KEEPER_DELETE:
		log_info("held=%s: deleted by an administrator", h->id);
		keeper_delete_held(s, h, a->serial, false);
		return true;
	default:
		return false;
	}
}

static void
on_ctl(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct ctl *a = io->data;
	struct keeper_msg m;
	char bytes[1024];
	ssize_t n = chan_try_recv(io->fd, bytes, sizeof(bytes), NULL, NULL);

	(void)loop;
	(void)events;
	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0 || a->waiting || !keeper_get((struct slice){ bytes, (size_t)n }, KEEPER_FROM_CTL, &m) || !obey(a, &m))
		close_ctl(a);
}

static void
on_idle(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	close_ctl(timer->data);
}

static bool
may_order(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void
on_accept(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct keeper_server *s = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct ctl *a;

	(void)events;
	if (fd == -1)
		return;
	if (s->nctls >= CTLS_MAX || !may_order(fd)) {
		close(fd);
		return;
	}
	a = mem_new(sizeof(*a));
	a->server = s;
	a->serial = ++s->last_serial;
	ev_io_init(&a->io, on_ctl, fd, EV_READ);
	ev_timer_init(&a->idle, on_idle, 0., IDLE_MAX);
	a->io.data = a->idle.data = a;
	ev_io_start(loop, &a->io);
	ev_timer_again(loop, &a->idle);
	LIST_INSERT_HEAD(&s->ctls, a, all);
	s->nctls++;
}

/* Relative to the working directory: a path in state-dir may be longer than a socket's may be. */
int
keeper_ctl_listen(struct keeper_server *s, struct err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = KEEPER_CONTROL };
	mode_t before;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd == -1)
		return err_sys(err, "socket");
	unlink(KEEPER_CONTROL);		/* of a keeper that was killed */
	before = umask(0177);
	rc = bind(fd, (struct sockaddr *)&un, sizeof(un));
	umask(before);
	if (rc == -1 || listen(fd, CTLS_MAX) == -1) {
		err_sys(err, "listen on the socket " KEEPER_CONTROL " in state-dir");
		close(fd);
		return -1;
	}
	ev_io_init(&s->accept, on_accept, fd, EV_READ);
	s->accept.data = s;
	ev_io_start(s->loop, &s->accept);
	return 0;
}

static void
release_free(struct release *r)
{
	ev_timer_stop(r->server->loop, &r->deadline);
	LIST_REMOVE(r, all);
	free(r);
}

void
keeper_ctl_end(struct keeper_server *s)
{
	while (!LIST_EMPTY(&s->ctls))
		close_ctl(LIST_FIRST(&s->ctls));
	while (!LIST_EMPTY(&s->releases))
		release_free(LIST_FIRST(&s->releases));
	ev_io_stop(s->loop, &s->accept);
	close(s->accept.fd);
}

/* It stays, with what was said. */
static void
not_released(struct keeper_server *s, const char *id, uint64_t ctl, struct slice why)
{
	struct held *h = quarantine_find(s->quarantine, slice_of(id));
	struct writer_job *j = writer_job_new(WRITER_BATCH, NULL);
	struct buf record;

	quarantine_failed(h, why);
	log_warn("held=%s: not released: %s", h->id, h->last);
	buf_init(&record, KEEPER_RECORD_MAX + CHAN_MAX);
	quarantine_record(h, &record);
	store_batch_put(&j->batch, STORE_QUARANTINE, slice_of(h->id), buf_slice(&record));
	buf_free(&record);
	writer_give(s->writer, j);
	keeper_ctl_answer(s, ctl, false, h->last, NULL, 0);
}

static void
end_release(struct release *r, struct slice why)
{
	not_released(r->server, r->id, r->ctl, why);
	release_free(r);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	end_release(timer->data, SLICE("outcome unknown: the worker never said how it went; it is still held"));
}

void
keeper_channel_lost(struct channel *c)
{
	struct release *r, *next;

	for (r = LIST_FIRST(&c->server->releases); r != NULL; r = next) {
		next = LIST_NEXT(r, all);
		if (r->channel == c->serial)
			end_release(r, SLICE("outcome unknown: the worker ended in the middle of it; it is still held"));
	}
}

static struct release *
find_release(const struct channel *c, uint64_t number)
{
	struct release *r;

	LIST_FOREACH(r, &c->server->releases, all)
		if (r->number == number && r->channel == c->serial)
			return r;
	return NULL;
}

void
keeper_release_ended(struct channel *c, const struct keeper_msg *m)
{
	struct keeper_server *s = c->server;
	struct release *r = find_release(c, m->number);
	struct held *h;

	if (r == NULL)
		return;
	if (!m->yes) {
		end_release(r, m->text);
		return;
	}
	h = quarantine_find(s->quarantine, slice_of(r->id));
	slice_copy(slice_part(m->text, 0, KEEPER_TEXT_MAX), h->last, sizeof(h->last));
	log_info("held=%s: released: %s", h->id, h->last);
	keeper_delete_held(s, h, r->ctl, true);
	release_free(r);
}

/* Hands the message to the worker that has waited longest for one. False: there is none. */
static bool
give_to_worker(struct keeper_server *s, const struct held *h, const struct writer_job *j)
{
	struct channel *c = TAILQ_FIRST(&s->channels);
	struct keeper_msg m = { .word = KEEPER_RELEASE, .number = s->last_serial + 1, .size = j->size };
	int fds[2] = { j->memfd, -1 }, rc;
	struct release *r;

	if (c == NULL || (fds[1] = memfd_of("gatepost-record", (struct slice){ h->copy, h->copy_len }, NULL)) == -1)
		return false;
	rc = keeper_say(c->io.fd, &m, fds, 2);
	close(fds[1]);
	if (rc == -1)
		return false;
	TAILQ_REMOVE(&s->channels, c, all);
	TAILQ_INSERT_TAIL(&s->channels, c, all);
	r = mem_new(sizeof(*r));
	r->server = s;
	r->number = ++s->last_serial;
	r->channel = c->serial;
	r->ctl = j->ctl;
	snprintf(r->id, sizeof(r->id), "%s", h->id);
	ev_timer_init(&r->deadline, on_deadline, RELEASE_MAX, 0.);
	r->deadline.data = r;
	ev_timer_start(s->loop, &r->deadline);
	LIST_INSERT_HEAD(&s->releases, r, all);
	return true;
}

static void
show(struct keeper_server *s, const struct held *h, const struct writer_job *j)
{
	struct buf record;

	buf_init(&record, KEEPER_RECORD_MAX + CHAN_MAX);
	quarantine_record(h, &record);
	answer_bytes(s, j->ctl, &record, j->memfd);
	buf_free(&record);
}

/* The message is there, for who wanted to see it or have it delivered. */
void
keeper_ctl_loaded(struct keeper_server *s, struct writer_job *j)
{
	struct held *h = quarantine_find(s->quarantine, slice_of(j->id));

	if (j->deliver && j->failed)
		not_released(s, j->id, j->ctl, slice_of(j->err.text));
	else if (j->deliver && !give_to_worker(s, h, j))
		not_released(s, j->id, j->ctl, SLICE("no worker is there to deliver it; try again"));
	else if (!j->deliver && (j->failed || h == NULL))
		keeper_ctl_answer(s, j->ctl, false, j->failed ? j->err.text : "no message with this id is held", NULL, 0);
	else if (!j->deliver)
		show(s, h, j);
	if (j->memfd != -1)
		close(j->memfd);
}
