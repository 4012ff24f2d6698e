#include "proxy/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/loop_int.h"

#define READ_FIRST   2048	/* octets of the first read; doubles while reads come back full */
#define READ_MUCH    16384	/* the same when much is expected */
#define RECORD_MAX   16384	/* octets of a TLS record: what is shorter is gathered into one */
#define LINGER_WAIT  2.0	/* seconds that a finished conn waits for its peer to close */

enum conn_state {
	CONN_AWAITED,		/* the socket is still being made elsewhere */
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
	struct timer *linger;		/* while CONN_LINGERING */
	int fd;
	enum conn_state state;
	struct buf in, out;
	struct slice *lent;		/* [CONN_LENT], while there are any; written behind `out` */
	unsigned nlent, lent_done;	/* how many; of them written whole */
	size_t read_size;
	uint64_t written;		/* octets given to the socket (or to TLS) */
	struct tls_ctx *tls_ctx;	/* as server: what TLS begins with when the client does */
	struct tls *tls;
	int tls_wants;			/* EV_READ, EV_WRITE: what OpenSSL asked for, mid-operation */
	void (*given_up)(void *maker);	/* while AWAITED */
	void *maker;
	const char *failed;		/* what the maker said; lost() is still to come */
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

struct conn *
conn_awaited(struct loop *loop, bool they_begin, const struct conn_ops *ops, void *owner, void (*given_up)(void *maker), void *maker)
{
	struct conn *c = conn_make(loop, -1, CONN_AWAITED, ops, owner);

	c->they_begin = they_begin;
	c->given_up = given_up;
	c->maker = maker;
	return c;
}

static void
conn_die(struct conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	if (c->state == CONN_AWAITED && c->given_up != NULL)
		c->given_up(c->maker);
	c->state = CONN_DEAD;
	loop_count_peer(c->loop, -1);
	ev_io_stop(loop_ev(c->loop), &c->io);
	if (c->linger != NULL) {
		timer_stop(c->linger);
		loop_free_later(c->loop, c->linger);
	}
	loop_forget(c->loop, &c->settle);
	tls_free(&c->tls);
	if (c->fd != -1)
		close(c->fd);
	free(c->lent);
	tls_ctx_free(&c->tls_ctx);
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

static bool
is_pending(const struct conn *c)
{
	return buf_len(&c->out) > 0 || c->lent_done < c->nlent;
}

void
conn_give(struct conn *c, int fd)
{
	c->fd = fd;
	c->state = CONN_DIALING;
	loop_at_turn_end(c->loop, &c->settle);
}

void
conn_fail(struct conn *c, const char *why)
{
	c->given_up = NULL;
	c->failed = why;
	loop_at_turn_end(c->loop, &c->settle);
}

/* What we wait for, from the state alone. */
static void
conn_settle_events(struct conn *c)
{
	struct ev_loop *ev = loop_ev(c->loop);
	int want = c->tls_wants;	/* mid-operation OpenSSL alone decides */

	if (c->state == CONN_AWAITED)
		return;
	if (c->state == CONN_DIALING)
		want = c->they_begin ? EV_READ : EV_WRITE;
	else if (want == 0) {
		if (!c->paused && !c->ended && buf_room(&c->in) > 0)
			want |= EV_READ;
		if (is_pending(c))
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

/* A TLS session costs 40 KB while its handshake lasts. One that waits for a client's first octet is none yet:
 * who connects and is silent costs no more than in the clear. */
static int
begin_tls(struct conn *c, struct err *err)
{
	if (c->tls != NULL)
		return 0;
	c->tls = tls_new(c->tls_ctx, c->fd, NULL, err);
	tls_ctx_free(&c->tls_ctx);
	return c->tls != NULL ? 0 : -1;
}

static void
finish_handshake(struct conn *c)
{
	struct err err = { "" };
	enum tls_step left = begin_tls(c, &err) == -1 ? TLS_FAILED : tls_handshake(c->tls, &err);

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

/* What is to be written next, piece by piece; how many pieces. */
static size_t
next_pieces(const struct conn *c, struct iovec pieces[1 + CONN_LENT])
{
	struct slice first = buf_slice(&c->out);
	size_t n = 0;

	if (first.len > 0)
		pieces[n++] = (struct iovec){ (void *)(uintptr_t)first.at, first.len };
	for (unsigned i = c->lent_done; i < c->nlent; i++)
		pieces[n++] = (struct iovec){ (void *)(uintptr_t)c->lent[i].at, c->lent[i].len };
	return n;
}

static void
pieces_written(struct conn *c, size_t n)
{
	size_t held = buf_len(&c->out) < n ? buf_len(&c->out) : n;

	c->written += n;
	buf_eat(&c->out, held);
	n -= held;
	while (n > 0) {
		struct slice *s = &c->lent[c->lent_done];
		size_t len = s->len < n ? s->len : n;

		*s = slice_part(*s, len, s->len);
		n -= len;
		c->lent_done += s->len == 0;
	}
	if (c->nlent > 0 && c->lent_done == c->nlent) {
		free(c->lent);
		c->lent = NULL;
		c->nlent = c->lent_done = 0;
	}
}

/* The octets of the next TLS record. Short pieces go into one together; asked again before they are written it gives
 * the same octets, which OpenSSL insists on. */
static struct slice
next_record(const struct conn *c)
{
	static char gathered[RECORD_MAX];
	struct iovec pieces[1 + CONN_LENT];
	size_t n = next_pieces(c, pieces), len = 0;

	if (n == 1 || pieces[0].iov_len >= RECORD_MAX)
		return (struct slice){ pieces[0].iov_base, pieces[0].iov_len };
	for (size_t i = 0; i < n && len < RECORD_MAX; i++) {
		size_t part = pieces[i].iov_len < RECORD_MAX - len ? pieces[i].iov_len : RECORD_MAX - len;

		memcpy(gathered + len, pieces[i].iov_base, part);
		len += part;
	}
	return (struct slice){ gathered, len };
}

/* Writes as much as goes; -1 when the conn is over. */
static int
write_some(struct conn *c, const char **why, struct err *err)
{
	while (is_pending(c)) {
		size_t n = 0;
		ssize_t put;

		if (c->tls != NULL) {
			enum tls_step left = tls_write(c->tls, next_record(c), &n, err);

			c->tls_wants = left == TLS_WANT_READ ? EV_READ : left == TLS_WANT_WRITE ? EV_WRITE : 0;
			*why = left == TLS_EOF ? "closed by the peer" : err->text;
			if (left == TLS_EOF || left == TLS_FAILED)
				return -1;
			if (left != TLS_DONE)
				return 0;
			put = (ssize_t)n;
		} else {
			struct iovec pieces[1 + CONN_LENT];
			struct msghdr msg = { .msg_iov = pieces, .msg_iovlen = next_pieces(c, pieces) };

			put = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
			if (put == -1 && errno == EINTR)
				continue;
			if (put == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
				return 0;
			if (put == -1) {
				*why = strerror(errno);
				return -1;
			}
		}
		pieces_written(c, (size_t)put);
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
	bool had = is_pending(c);

	if (c->state == CONN_AWAITED && c->failed != NULL) {
		conn_lost(c, c->failed);
		return;
	}
	if (c->state == CONN_OPEN || c->state == CONN_LINGERING) {
		if (had && write_some(c, &why, &err) == -1) {
			conn_lost(c, why);
			return;
		}
		if (c->state == CONN_LINGERING) {
			linger(c);
			if (c->state == CONN_DEAD)
				return;
		} else if (had && !is_pending(c) && c->ops->drained != NULL) {
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
	if (tls_ctx_serves(ctx)) {
		c->tls_ctx = tls_ctx_ref(ctx);
		c->tls_wants = EV_READ;
	} else {
		c->tls = tls_new(ctx, c->fd, name, err);
		if (c->tls == NULL)
			return -1;
		c->tls_wants = EV_WRITE;	/* at once: OpenSSL then says what it needs */
	}
	c->state = CONN_HANDSHAKE;
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
	c->nlent = c->lent_done = 0;	/* whose it is goes away */
	c->ops = NULL;
	c->paused = false;
	buf_clear(&c->in);
	c->linger = mem_new(sizeof(*c->linger));
	timer_init(c->linger, c->loop, on_linger_over, c);
	timer_set(c->linger, LINGER_WAIT);
	loop_at_turn_end(c->loop, &c->settle);
}

uint64_t
conn_untaken(const struct conn *c, uint64_t *taken)
{
	int waiting = 0;

	if (ioctl(c->fd, SIOCOUTQ, &waiting) == -1 || waiting < 0 || (uint64_t)waiting > c->written)
		waiting = 0;
	*taken = c->written - (uint64_t)waiting;
	return (uint64_t)waiting + conn_unwritten(c);
}

uint64_t
conn_unwritten(const struct conn *c)
{
	uint64_t n = buf_len(&c->out);

	for (unsigned i = c->lent_done; i < c->nlent; i++)
		n += c->lent[i].len;
	return n;
}

bool
conn_lend(struct conn *c, struct slice bytes)
{
	if (c->nlent == CONN_LENT)
		return false;
	if (c->lent == NULL)
		c->lent = mem_array(CONN_LENT, sizeof(*c->lent));
	if (bytes.len > 0)
		c->lent[c->nlent++] = bytes;
	loop_at_turn_end(c->loop, &c->settle);
	return true;
}

/* Inside TLS what has come may be a session ticket or nothing for us at all. */
bool
conn_is_quiet(const struct conn *c)
{
	char octet;

	if (c->state != CONN_OPEN || c->ended || buf_len(&c->in) > 0)
		return false;
	return c->tls != NULL || (recv(c->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

void
conn_pass(struct conn *c, const struct conn_ops *ops, void *owner)
{
	c->ops = ops;
	c->owner = owner;
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
conn_local(const struct conn *c, struct addr *local)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	getsockname(c->fd, (struct sockaddr *)&ss, &len);
	addr_from(local, (struct sockaddr *)&ss, len);
}

void
conn_tls_text(const struct conn *c, char out[TLS_TEXT_MAX])
{
	out[0] = '\0';
	if (c->tls != NULL)
		tls_text(c->tls, out);
}

bool
conn_tls_peer_name(const struct conn *c, char out[TLS_NAME_MAX])
{
	out[0] = '\0';
	return c->tls != NULL && tls_peer_name(c->tls, out);
}

void
conn_bye(struct conn **c)
{
	if (*c == NULL)
		return;
	(*c)->peer_is_done = buf_len(&(*c)->in) == 0;	/* it had more to say: then it hears our words first */
	conn_finish(c);
}
