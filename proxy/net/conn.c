#include "proxy/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/loop_int.h"

#define READ_FIRST   2048	/* octets of the first read; doubles while reads come back full */
#define READ_MUCH    16384	/* the same when much is expected */
#define LINGER_WAIT  2.0	/* seconds that a finished conn waits for its peer to close */

enum conn_state {
	CONN_DIALING,
	CONN_HANDSHAKE,
	CONN_OPEN,
	CONN_LINGERING,		/* ours no more: writes the rest, then waits for the end */
	CONN_DEAD,
};

struct conn {
	struct loop *loop;
	const struct conn_ops *ops;
	void *owner;
	struct ev_io io;
	struct loop_task settle;	/* write, then compute what to wait for */
	struct timer linger;
	int fd;
	enum conn_state state;
	struct buf in, out;
	size_t read_size;
	uint64_t written;		/* octets given to the socket (or to TLS) */
	struct tls *tls;
	int tls_wants;			/* EV_READ, EV_WRITE: what OpenSSL asked for, mid-operation */
	bool paused, ended, unread_tls, shut, peer_is_done, they_begin;
};

static void on_io(struct ev_loop *, struct ev_io *, int);
static void on_settle(void *);
static void on_linger_over(void *);

static struct conn *
conn_make(struct loop *loop, int fd, enum conn_state state, const struct conn_ops *ops, void *owner)
{
	struct conn *c = mem_new(sizeof(*c));

	c->loop = loop;
	c->ops = ops;
	c->owner = owner;
	c->fd = fd;
	c->state = state;
	c->read_size = READ_FIRST;
	c->settle = (struct loop_task){ .run = on_settle, .owner = c };
	buf_init(&c->in, CONN_IN_MAX);
	buf_init(&c->out, CONN_OUT_MAX);
	ev_init(&c->io, on_io);
	c->io.data = c;
	loop_count_peer(loop, 1);
	loop_at_turn_end(loop, &c->settle);
	return c;
}

struct conn *
conn_new(struct loop *loop, int fd, const struct conn_ops *ops, void *owner)
{
	return conn_make(loop, fd, CONN_OPEN, ops, owner);
}

struct conn *
conn_dial(struct loop *loop, const struct addr *to, bool they_begin, const struct conn_ops *ops, void *owner, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	int one = 1, fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr_text(to, text);
	if (fd == -1) {
		err_sys(err, "socket for %s", text);
		return NULL;
	}
	if (to->ss.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == -1 && errno != EINPROGRESS) {
		err_sys(err, "connect to %s", text);
		close(fd);
		return NULL;
	}
	return conn_dialed(loop, fd, they_begin, ops, owner);
}

struct conn *
conn_dialed(struct loop *loop, int fd, bool they_begin, const struct conn_ops *ops, void *owner)
{
	struct conn *c = conn_make(loop, fd, CONN_DIALING, ops, owner);

	c->they_begin = they_begin;
	return c;
}

static void
conn_die(struct conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	loop_count_peer(c->loop, -1);
	ev_io_stop(loop_ev(c->loop), &c->io);
	timer_stop(&c->linger);
	loop_forget(c->loop, &c->settle);
	tls_free(&c->tls);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	loop_free_later(c->loop, c);
}

static void
conn_lost(struct conn *c, const char *why)
{
	void (*lost)(void *, const char *) = c->ops != NULL ? c->ops->lost : NULL;
	void *owner = c->owner;

	conn_die(c);
	if (lost != NULL)
		lost(owner, why);
}

/* What we wait for, from the state alone. */
static void
conn_settle_events(struct conn *c)
{
	struct ev_loop *ev = loop_ev(c->loop);
	int want = c->tls_wants;	/* mid-operation OpenSSL alone decides */

	if (c->state == CONN_DIALING)
		want = c->they_begin ? EV_READ : EV_WRITE;
	else if (want == 0) {
		if (!c->paused && !c->ended && buf_room(&c->in) > 0)
			want |= EV_READ;
		if (buf_len(&c->out) > 0)
			want |= EV_WRITE;
	}
	if ((c->io.events & (EV_READ | EV_WRITE)) != want || !ev_is_active(&c->io)) {
		ev_io_stop(ev, &c->io);
		if (want != 0) {
			ev_io_set(&c->io, c->fd, want);
			ev_io_start(ev, &c->io);
		}
	}
	/* Octets that are decrypted already never make the socket readable. */
	if ((want & EV_READ) && c->unread_tls)
		ev_feed_event(ev, &c->io, EV_READ);
}

static void
finish_handshake(struct conn *c)
{
	struct err err = { "" };
	enum tls_step left = tls_handshake(c->tls, &err);

	c->tls_wants = left == TLS_WANT_READ ? EV_READ : left == TLS_WANT_WRITE ? EV_WRITE : 0;
	loop_at_turn_end(c->loop, &c->settle);
	if (left == TLS_EOF)
		conn_lost(c, "closed in the TLS handshake");
	else if (left == TLS_FAILED)
		conn_lost(c, err.text);
	else if (left == TLS_DONE) {
		c->state = CONN_OPEN;
		c->unread_tls = tls_pending(c->tls);
		if (c->ops->up != NULL)
			c->ops->up(c->owner);
	}
}

static void
finish_dial(struct conn *c)
{
	int why = 0;
	socklen_t len = sizeof(why);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len);
	if (why != 0) {
		conn_lost(c, strerror(why));
		return;
	}
	c->state = CONN_OPEN;
	loop_at_turn_end(c->loop, &c->settle);
	if (c->ops->up != NULL)
		c->ops->up(c->owner);
}

/* One read into `in`: 1 bytes came, 0 none now, -1 the conn is over (*why is NULL for a plain end). */
static int
read_some(struct conn *c, const char **why, struct err *err)
{
	size_t room, n = 0;
	char *at = buf_space(&c->in, c->read_size, &room);
	ssize_t got;

	*why = NULL;
	if (room == 0)
		return 0;
	if (room > c->read_size)
		room = c->read_size;
	if (c->tls != NULL) {
		enum tls_step left = tls_read(c->tls, at, room, &n, err);

		c->tls_wants = left == TLS_WANT_WRITE ? EV_WRITE : 0;
		c->unread_tls = left == TLS_DONE && tls_pending(c->tls);
		if (left == TLS_FAILED)
			*why = err->text;
		got = left == TLS_FAILED || left == TLS_EOF ? -1 : (ssize_t)n;
	} else {
		do
			got = read(c->fd, at, room);
		while (got == -1 && errno == EINTR);
		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			got = 0;
		else if (got == -1)
			*why = strerror(errno);
		else if (got == 0)
			got = -1;
	}
	buf_filled(&c->in, got > 0 ? (size_t)got : 0);
	if (got <= 0)
		return (int)got;
	if ((size_t)got == room && c->read_size < CONN_IN_MAX)
		c->read_size *= 2;
	return 1;
}

/* Writes as much as goes; -1 when the conn is over. */
static int
write_some(struct conn *c, const char **why, struct err *err)
{
	while (buf_len(&c->out) > 0) {
		size_t n = 0;
		ssize_t put;

		if (c->tls != NULL) {
			enum tls_step left = tls_write(c->tls, buf_slice(&c->out), &n, err);

			c->tls_wants = left == TLS_WANT_READ ? EV_READ : left == TLS_WANT_WRITE ? EV_WRITE : 0;
			*why = left == TLS_EOF ? "closed by the peer" : err->text;
			if (left == TLS_EOF || left == TLS_FAILED)
				return -1;
			if (left != TLS_DONE)
				return 0;
			put = (ssize_t)n;
		} else {
			struct slice bytes = buf_slice(&c->out);

			put = send(c->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
			if (put == -1 && errno == EINTR)
				continue;
			if (put == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
				return 0;
			if (put == -1) {
				*why = strerror(errno);
				return -1;
			}
		}
		c->written += (uint64_t)put;
		buf_eat(&c->out, (size_t)put);
	}
	return 0;
}

/* The rest is written; the peer shall see our end, and we wait for its. */
static void
linger(struct conn *c)
{
	if (buf_len(&c->out) > 0 || c->shut)
		return;
	c->shut = true;
	if (c->peer_is_done) {
		if (c->tls != NULL)
			tls_bye(c->tls);
		conn_die(c);
		return;
	}
	if (c->tls != NULL)
		tls_bye(c->tls);
	shutdown(c->fd, SHUT_WR);
	if (c->ended)
		conn_die(c);
}

static void
on_settle(void *owner)
{
	struct conn *c = owner;
	struct err err = { "" };
	const char *why;
	bool had = buf_len(&c->out) > 0;

	if (c->state == CONN_OPEN || c->state == CONN_LINGERING) {
		if (had && write_some(c, &why, &err) == -1) {
			conn_lost(c, why);
			return;
		}
		if (c->state == CONN_LINGERING) {
			linger(c);
			if (c->state == CONN_DEAD)
				return;
		} else if (had && buf_len(&c->out) == 0 && c->ops->drained != NULL) {
			c->ops->drained(c->owner);
			if (c->state == CONN_DEAD)
				return;
		}
	}
	conn_settle_events(c);
}

static void
on_io(struct ev_loop *ev, struct ev_io *w, int revents)
{
	struct conn *c = w->data;
	struct err err = { "" };
	const char *why;
	int got;

	(void)ev;
	if (c->state == CONN_DIALING) {
		finish_dial(c);
		if (c->state != CONN_OPEN || !c->they_begin)
			return;
	}
	if (c->state == CONN_HANDSHAKE) {
		finish_handshake(c);
		return;
	}
	c->tls_wants = 0;
	loop_at_turn_end(c->loop, &c->settle);	/* writes, if that is what it was */
	if (!(revents & EV_READ) && c->tls == NULL)
		return;
	if (c->state == CONN_LINGERING)
		buf_clear(&c->in);	/* said after our goodbye */
	else if (c->paused)
		return;
	got = read_some(c, &why, &err);
	if (got == -1 && (why != NULL || c->state == CONN_LINGERING)) {
		conn_lost(c, why);
		return;
	}
	if (got == -1)
		c->ended = true;
	if (c->state == CONN_OPEN && got != 0)
		c->ops->input(c->owner);
}

int
conn_starttls(struct conn *c, struct tls_ctx *ctx, const char *name, struct err *err)
{
	const char *why;

	if (write_some(c, &why, err) == -1 || buf_len(&c->out) > 0)
		return err_set(err, "the peer does not read our answer before TLS");
	buf_clear(&c->in);
	c->tls = tls_new(ctx, c->fd, name, err);
	if (c->tls == NULL)
		return -1;
	c->state = CONN_HANDSHAKE;
	c->tls_wants = EV_WRITE;	/* at once: OpenSSL then says what it needs */
	loop_at_turn_end(c->loop, &c->settle);
	return 0;
}

struct buf *
conn_in(struct conn *c)
{
	loop_at_turn_end(c->loop, &c->settle);
	return &c->in;
}

struct buf *
conn_out(struct conn *c)
{
	loop_at_turn_end(c->loop, &c->settle);
	return &c->out;
}

void
conn_pause(struct conn *c, bool paused)
{
	c->paused = paused;
	loop_at_turn_end(c->loop, &c->settle);
}

bool
conn_ended(const struct conn *c)
{
	return c->ended;
}

void
conn_expect_much(struct conn *c)
{
	if (c->read_size < READ_MUCH)
		c->read_size = READ_MUCH;
}

void
conn_close(struct conn **c)
{
	if (*c == NULL)
		return;
	conn_die(*c);
	*c = NULL;
}

static void
on_linger_over(void *owner)
{
	conn_die(owner);
}

void
conn_finish(struct conn **cp)
{
	struct conn *c = *cp;

	*cp = NULL;
	if (c == NULL || c->state == CONN_DEAD)
		return;
	if (c->state != CONN_OPEN) {
		conn_die(c);
		return;
	}
	c->state = CONN_LINGERING;
	c->ops = NULL;
	c->paused = false;
	buf_clear(&c->in);
	timer_init(&c->linger, c->loop, on_linger_over, c);
	timer_set(&c->linger, LINGER_WAIT);
	loop_at_turn_end(c->loop, &c->settle);
}

uint64_t
conn_untaken(const struct conn *c, uint64_t *taken)
{
	int waiting = 0;

	if (ioctl(c->fd, SIOCOUTQ, &waiting) == -1 || waiting < 0 || (uint64_t)waiting > c->written)
		waiting = 0;
	*taken = c->written - (uint64_t)waiting;
	return (uint64_t)waiting + buf_len(&c->out);
}

bool
conn_stands(const struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getpeername(c->fd, (struct sockaddr *)&ss, &len) == 0;
}

void
conn_peer(const struct conn *c, struct addr *peer)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	getpeername(c->fd, (struct sockaddr *)&ss, &len);
	addr_from(peer, (struct sockaddr *)&ss, len);
}

void
conn_tls_text(const struct conn *c, char out[TLS_TEXT_MAX])
{
	out[0] = '\0';
	if (c->tls != NULL)
		tls_text(c->tls, out);
}

void
conn_bye(struct conn **c)
{
	if (*c == NULL)
		return;
	(*c)->peer_is_done = buf_len(&(*c)->in) == 0;	/* it had more to say: then it hears our words first */
	conn_finish(c);
}
