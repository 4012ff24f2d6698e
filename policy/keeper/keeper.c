#include "policy/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/keeper/keeper_int.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

#define STORE_FILE     "state.mdb"
#define DIRECTORY      "quarantine"
#define FLUSH_AFTER    0.05	/* seconds: an entry that lives shorter never touches the disk */
#define TIDY_EVERY     20.0	/* seconds between two looks for what is too old */
#define CHANNELS_MAX   512	/* twice as many as there can be workers: those of the dead go when they are noticed */
#define READ_IN_A_TURN 256	/* messages of one worker before the others have their turn */
#define READ_BEFORE_ANSWER 4096	/* messages of one worker that a question waits for */

int64_t
keeper_now(void)
{
	return (int64_t)time(NULL);
}

int
keeper_say(int fd, const struct keeper_msg *msg, const int *fds, size_t nfds)
{
	struct buf b;
	int rc = -1;

	buf_init(&b, CHAN_MAX);
	errno = EMSGSIZE;
	if (keeper_put(&b, msg))
		rc = chan_send(fd, buf_slice(&b), fds, nfds);
	buf_free(&b);
	return rc;
}

bool
keeper_limits_put(struct buf *b, const struct keeper_limits *l)
{
	return wire_put_u64(b, l->quarantine.octets) && wire_put_u64(b, (uint64_t)l->quarantine.keep) && wire_put_u32(b, l->generation);
}

bool
keeper_limits_get(struct slice bytes, struct keeper_limits *l)
{
	struct wire_in in = wire_open(bytes);

	l->quarantine.octets = wire_u64(&in);
	l->quarantine.keep = (int64_t)wire_u64(&in);
	l->generation = wire_u32(&in);
	return wire_done(&in);
}

struct channel *
keeper_find_channel(struct keeper_server *s, uint64_t serial)
{
	struct channel *c;

	TAILQ_FOREACH(c, &s->channels, all)
		if (c->serial == serial)
			return c;
	return NULL;
}

static void
close_channel(struct channel *c)
{
	struct keeper_server *s = c->server;

	keeper_channel_lost(c);
	for (size_t i = 0; i < s->nasks; i++)
		if (s->asks[i].channel == c)
			s->asks[i].channel = NULL;
	ev_io_stop(s->loop, &c->io);
	close(c->io.fd);
	TAILQ_REMOVE(&s->channels, c, all);
	s->nchannels--;
	free(c);
}

static void
queue_ask(struct channel *c, const struct keeper_msg *m)
{
	struct keeper_server *s = c->server;

	if (s->nasks < ASKS_MAX)	/* else: the worker's own deadline answers */
		s->asks[s->nasks++] = (struct ask){ c, m->number, m->key };
}

static void
answer_poison(struct channel *c, const struct keeper_msg *m)
{
	struct keeper_msg answer = { .word = KEEPER_POISONED, .number = m->number, .count = poison_ask(c->server->poison, &m->key) };

	keeper_say(c->io.fd, &answer, NULL, 0);
}

/* False: it makes no sense. fds are taken over where there have to be any. */
static bool
obey(struct channel *c, const struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	struct keeper_server *s = c->server;

	switch (m->word) {
	case KEEPER_COMMIT:
		ledger_commit(s->ledger, s->hints, &m->key, &m->commit, keeper_now());
		return true;
	case KEEPER_HEARD:
		ledger_heard(s->ledger, &m->key);
		return true;
	case KEEPER_ASK:
		queue_ask(c, m);
		return true;
	case KEEPER_POISON:
		poison_add(s->poison, s->hints, &m->key, keeper_now());
		return true;
	case KEEPER_POISON_ASK:
		answer_poison(c, m);
		return true;
	case KEEPER_HOLD:
		return keeper_take_copy(c, m, fds);
	case KEEPER_RELEASED:
		keeper_release_ended(c, m);
		return true;
	default:
		return false;
	}
}

static bool
understand(struct channel *c, struct slice bytes, int fds[KEEPER_FDS_MAX], size_t nfds)
{
	struct keeper_msg msg;

	if (keeper_get(bytes, KEEPER_FROM_WORKER, &msg) && nfds == (msg.word == KEEPER_HOLD ? KEEPER_FDS_MAX : 0))
		return obey(c, &msg, fds);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	return false;
}

/* Reads what is there, up to `max` messages. Words that a worker said before it died are read, too: they
 * stand in the socket before its end. */
static void
hear(struct channel *c, unsigned max)
{
	static char bytes[CHAN_MAX];
	int fds[KEEPER_FDS_MAX];

	while (max-- > 0) {
		size_t nfds = KEEPER_FDS_MAX;
		ssize_t n = chan_try_recv(c->io.fd, bytes, sizeof(bytes), fds, &nfds);

		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || !understand(c, (struct slice){ bytes, (size_t)n }, fds, nfds)) {
			if (n != 0)
				log_error("a worker says what makes no sense: its channel is closed");
			close_channel(c);
			return;
		}
	}
}

/* The message that a question is about may have been committed by another worker, which is dead perhaps, a moment
 * before it was asked: then it stands in that worker's socket, whose end for us
 * may still be on its way from master. So all that was said is heard first. */
static void
answer_asks(struct keeper_server *s)
{
	struct channel *c, *next;

	if (s->nasks > 0 && s->hear_master != NULL)
		s->hear_master(s->owner);
	for (c = TAILQ_FIRST(&s->channels); c != NULL && s->nasks > 0; c = next) {
		next = TAILQ_NEXT(c, all);
		hear(c, READ_BEFORE_ANSWER);
	}
	for (size_t i = 0; i < s->nasks; i++) {
		const struct ask *a = &s->asks[i];
		struct keeper_msg answer = { .word = KEEPER_UNKNOWN, .number = a->number };

		if (ledger_ask(s->ledger, &a->key, &answer.commit))
			answer.word = KEEPER_KNOWN;
		if (a->channel != NULL)
			keeper_say(a->channel->io.fd, &answer, NULL, 0);
	}
	s->nasks = 0;
}

static void
on_channel(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct channel *c = io->data;
	struct keeper_server *s = c->server;

	(void)loop;
	(void)events;
	hear(c, READ_IN_A_TURN);
	answer_asks(s);
	keeper_settle_flush(s);
}

void
keeper_server_channel(struct keeper_server *s, int fd)
{
	struct channel *c;

	if (s->nchannels >= CHANNELS_MAX) {
		log_error("more workers than there can be: a channel is refused");
		close(fd);
		return;
	}
	c = mem_new(sizeof(*c));
	c->server = s;
	c->serial = ++s->last_serial;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	ev_io_init(&c->io, on_channel, fd, EV_READ);
	c->io.data = c;
	ev_io_start(s->loop, &c->io);
	TAILQ_INSERT_TAIL(&s->channels, c, all);
	s->nchannels++;
}

/* What changed in the tables is collected for a moment, and one batch at a time is under way. */
void
keeper_settle_flush(struct keeper_server *s)
{
	if (!s->flushing && !ev_is_active(&s->flush) && (table_has_changes(s->ledger) || table_has_changes(s->poison))) {
		ev_timer_set(&s->flush, FLUSH_AFTER, 0.);
		ev_timer_start(s->loop, &s->flush);
	}
}

static void
flush(struct keeper_server *s)
{
	struct writer_job *j = writer_job_new(WRITER_BATCH, NULL);

	table_changes(s->ledger, &j->batch);
	table_changes(s->poison, &j->batch);
	j->tables = true;
	s->flushing = true;
	writer_give(s->writer, j);
}

static void
on_flush(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	flush(timer->data);
}

static void
on_tidy(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct keeper_server *s = timer->data;

	(void)loop;
	(void)events;
	table_expire(s->ledger, keeper_now());
	table_expire(s->poison, keeper_now());
	keeper_expire(s);
	keeper_settle_flush(s);
}

static bool
is_held(void *owner, const char *id)
{
	return quarantine_find(owner, slice_of(id)) != NULL;
}

/* Records whose file an administrator took away. */
static void
forget_lost_files(struct keeper_server *s)
{
	struct held *h, *next;

	for (h = quarantine_first(s->quarantine); h != NULL; h = next) {
		char name[KEEPER_ID_MAX + 8];

		next = TAILQ_NEXT(h, age);
		snprintf(name, sizeof(name), "%s.msg", h->id);
		if (faccessat(s->dir, name, F_OK, 0) == 0)
			continue;
		log_error("held=%s: its file state-dir/" DIRECTORY "/%s is gone; it is taken out of the list", h->id, name);
		keeper_delete_held(s, h, 0, false);
	}
}

static int
open_files(struct keeper_server *s, struct err *err)
{
	if (mkdir(DIRECTORY, 0700) == -1 && errno != EEXIST)
		return err_sys(err, "make the directory " DIRECTORY " in state-dir");
	s->dir = open(DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir == -1)
		return err_sys(err, "open the directory " DIRECTORY " in state-dir");
	s->store = store_open(STORE_FILE, err);
	return s->store != NULL ? 0 : -1;
}

static int
load(struct keeper_server *s, struct err *err)
{
	int64_t now = keeper_now();

	if (table_load(s->ledger, s->store, now, err) == -1 || table_load(s->poison, s->store, now, err) == -1)
		return -1;
	if (quarantine_load(s->quarantine, s->store, err) == -1)
		return -1;
	return writer_tidy(s->dir, is_held, s->quarantine, err);
}

static void
server_free(struct keeper_server **sp)
{
	struct keeper_server *s = *sp;

	ev_timer_stop(s->loop, &s->flush);
	ev_timer_stop(s->loop, &s->tidy);
	table_free(&s->ledger);
	table_free(&s->poison);
	quarantine_free(&s->quarantine);
	store_close(&s->store);
	if (s->dir != -1)
		close(s->dir);
	free(s);
	*sp = NULL;
}

static void
init_timer(struct keeper_server *s, struct ev_timer *t, void (*expired)(struct ev_loop *, struct ev_timer *, int), double every)
{
	ev_timer_init(t, expired, every, every);
	t->data = s;
}

struct keeper_server *
keeper_server_new(struct ev_loop *loop, struct keeper_hints *hints, const struct keeper_limits *limits, struct err *err)
{
	struct keeper_server *s = mem_new(sizeof(*s));

	s->loop = loop;
	s->hints = hints;
	s->limits = *limits;
	s->dir = s->accept.fd = -1;
	TAILQ_INIT(&s->channels);
	LIST_INIT(&s->ctls);
	LIST_INIT(&s->releases);
	s->ledger = table_new(&ledger_kind, hints);
	s->poison = table_new(&poison_kind, hints);
	s->quarantine = quarantine_new();
	init_timer(s, &s->flush, on_flush, 0.);
	init_timer(s, &s->tidy, on_tidy, TIDY_EVERY);
	if (open_files(s, err) == -1 || load(s, err) == -1 || keeper_ctl_listen(s, err) == -1) {
		server_free(&s);
		return NULL;
	}
	s->writer = writer_new(loop, s->store, s->dir, keeper_job_done, s);
	forget_lost_files(s);
	keeper_expire(s);
	ev_timer_start(loop, &s->tidy);
	keeper_settle_flush(s);
	keeper_hints_loaded(hints);
	return s;
}

void
keeper_server_master(struct keeper_server *s, void (*hear_master)(void *owner), void *owner)
{
	s->hear_master = hear_master;
	s->owner = owner;
}

void
keeper_server_limits(struct keeper_server *s, const struct keeper_limits *limits)
{
	s->limits = *limits;
	keeper_expire(s);
}

void
keeper_server_end(struct keeper_server **sp)
{
	struct keeper_server *s = *sp;
	struct channel *c, *next;

	for (c = TAILQ_FIRST(&s->channels); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		hear(c, READ_BEFORE_ANSWER);
	}
	while ((c = TAILQ_FIRST(&s->channels)) != NULL)
		close_channel(c);
	if (table_has_changes(s->ledger) || table_has_changes(s->poison))
		flush(s);
	writer_free(&s->writer);
	keeper_ctl_end(s);
	server_free(sp);
}
