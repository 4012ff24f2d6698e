#include "proxy/net/flagged.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

#define STOCK_MAX FLAGGED_BATCH		/* of each family */
#define STOCK_LOW (STOCK_MAX * 3 / 4)	/* from here on more are asked for */
#define WAIT_MS   50			/* for a dialer whose answer is under way, when none is left */
#define PATHS_MAX 32			/* connections to paths that are asked for at once; more wait their turn */

/* Where the client's own port is not to be had we choose one, and not where clients' systems choose theirs (from
 * 32768 or higher on). The kernel's connection tracking knows a redirected client's connection by the address and
 * port that it came from, and the same server: another connection of this client from the port that we chose is
 * taken for a part of ours, and ours for a part of it. Seen with ports of the kernel's choice: some clients of a
 * crowd were refused, others hung. */
#define PORT_FIRST 16384
#define PORTS      16384
#define PORT_TRIES 8

enum { FOUR, SIX, FAMILIES };

struct stock {
	int fds[STOCK_MAX];
	unsigned n, coming;		/* coming: asked for and not here yet */
};

/* A connection to a path that is wanted. */
struct wish {
	struct wish *next;
	struct flagged *f;
	uint32_t number;
	struct addr path;
	struct conn *conn;		/* NULL: wanted no more, but an answer is under way */
	bool asked;
};

struct flagged {
	struct loop *loop;
	struct watch watch;
	int channel;			/* -1: nobody to ask */
	bool flags;			/* flagged sockets are to be had there */
	bool silent;			/* it was waited for in vain; no connection waits again before it speaks */
	unsigned port;			/* counts up; see PORT_FIRST */
	struct stock stocks[FAMILIES];
	struct wish *wishes;		/* in the order in which they came */
	unsigned asked;			/* of them */
	uint32_t last_number;
};

int
flagged_set(int fd, int family)
{
	int one = 1;

	return family == AF_INET6 ? setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof(one)) :
				    setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one));
}

int
flagged_new(int family, struct err *err)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return err_sys(err, "socket");
	if (flagged_set(fd, family) == 0)
		return fd;
	err_sys(err, "flag a socket IP_TRANSPARENT (needs CAP_NET_RAW)");
	close(fd);
	return -1;
}

/* A family's number on the wire. */
static uint8_t
family_code(int family)
{
	return family == AF_INET6 ? 6 : family == AF_INET ? 4 : 1;
}

static int
family_of(uint8_t code)
{
	return code == 6 ? AF_INET6 : code == 4 ? AF_INET : code == 1 ? AF_UNIX : AF_UNSPEC;
}

static bool
ask(int channel, const struct flagged_request *r)
{
	const struct sockaddr_un *un = (const void *)&r->path.ss;
	struct buf msg;
	bool sent;

	buf_init(&msg, FLAGGED_MSG);
	wire_put_u8(&msg, family_code(r->family));
	if (r->family == AF_UNIX) {
		wire_put_u32(&msg, r->number);
		wire_put_bytes(&msg, slice_of(un->sun_path));
	} else {
		wire_put_u8(&msg, (uint8_t)r->count);
	}
	sent = chan_send(channel, buf_slice(&msg), NULL, 0) == 0;
	buf_free(&msg);
	return sent;
}

int
flagged_answer(int channel, int family, const int *fds, unsigned count)
{
	char msg[] = { (char)family_code(family), (char)count };

	return chan_send(channel, (struct slice){ msg, sizeof(msg) }, fds, count);
}

int
flagged_answer_path(int channel, uint32_t number, int fd, int why)
{
	struct buf msg;
	int rc;

	buf_init(&msg, FLAGGED_MSG);
	wire_put_u8(&msg, family_code(AF_UNIX));
	wire_put_u32(&msg, number);
	wire_put_u32(&msg, fd != -1 ? 0 : (uint32_t)why);
	rc = chan_send(channel, buf_slice(&msg), &fd, fd != -1);
	buf_free(&msg);
	return rc;
}

static bool
read_request(struct slice bytes, struct flagged_request *r)
{
	struct wire_in in = wire_open(bytes);
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	*r = (struct flagged_request){ .family = family_of(wire_u8(&in)) };
	if (r->family != AF_UNIX) {
		r->count = wire_u8(&in);
		return wire_done(&in) && r->family != AF_UNSPEC && r->count > 0 && r->count <= FLAGGED_BATCH;
	}
	r->number = wire_u32(&in);
	if (!slice_copy(wire_bytes(&in), un.sun_path, sizeof(un.sun_path)) || !wire_done(&in))
		return false;
	addr_from(&r->path, (const struct sockaddr *)&un, sizeof(un));
	return true;
}

int
flagged_asked(int channel, struct flagged_request *r)
{
	char msg[FLAGGED_MSG];
	ssize_t n = chan_try_recv(channel, msg, sizeof(msg), NULL, NULL);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EMSGSIZE))
		return 0;
	if (n == -1 || read_request((struct slice){ msg, (size_t)n }, r))
		return n == -1 ? -1 : 1;
	errno = EBADMSG;
	return -1;
}

static struct stock *
stock_of(struct flagged *f, int family)
{
	return &f->stocks[family == AF_INET6 ? SIX : FOUR];
}

/* Takes a wish out of the list, and away. */
static void
drop_wish(struct wish *w)
{
	struct wish **at = &w->f->wishes;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->f->asked -= w->asked;
	free(w);
}

static void
hang_up(struct flagged *f)
{
	if (f->channel == -1)
		return;
	watch_stop(&f->watch);
	close(f->channel);
	f->channel = -1;
	f->stocks[FOUR].coming = f->stocks[SIX].coming = 0;
	for (struct wish *w = f->wishes, *next; w != NULL; w = next) {
		next = w->next;
		f->asked -= w->asked;
		w->asked = false;	/* the next dialer is asked again */
		if (w->conn == NULL)
			drop_wish(w);
	}
}

/* Never more than one request of a family is under way: the channel cannot fill up. */
static void
fill_up(struct flagged *f)
{
	for (int i = 0; i < FAMILIES; i++) {
		struct stock *s = &f->stocks[i];
		struct flagged_request r = { .family = i == SIX ? AF_INET6 : AF_INET, .count = STOCK_MAX - s->n };

		if (f->channel == -1 || !f->flags || s->coming > 0 || s->n > STOCK_LOW)
			continue;
		if (ask(f->channel, &r))
			s->coming = r.count;
		else
			hang_up(f);
	}
}

static void
ask_wishes(struct flagged *f)
{
	for (struct wish *w = f->wishes; w != NULL && f->channel != -1 && f->asked < PATHS_MAX; w = w->next) {
		struct flagged_request r = { .family = AF_UNIX, .number = w->number, .path = w->path };

		if (w->asked)
			continue;
		if (!ask(f->channel, &r)) {
			hang_up(f);
			return;
		}
		w->asked = true;
		f->asked++;
	}
}

static const char *
why_not(uint32_t why)
{
	const char *words = why < 4096 ? strerrordesc_np((int)why) : NULL;

	return why == EAGAIN ? "its queue of connections is full" : words != NULL ? words : "it cannot be reached";
}

/* The answer to a wish. A number that is none of ours gives nobody anything. */
static void
grant(struct flagged *f, uint32_t number, uint32_t why, int fd)
{
	struct wish *w = f->wishes;
	struct conn *conn;

	while (w != NULL && !(w->asked && w->number == number))
		w = w->next;
	conn = w != NULL ? w->conn : NULL;
	if (w != NULL)
		drop_wish(w);
	ask_wishes(f);
	if (conn != NULL && fd != -1)
		conn_give(conn, fd);
	else if (conn != NULL)
		conn_fail(conn, why_not(why));
	else if (fd != -1)
		close(fd);
}

static void
stock_up(struct stock *s, const int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		if (s->n < STOCK_MAX)
			s->fds[s->n++] = fds[i];
		else
			close(fds[i]);
	s->coming = 0;
}

/* What the dialer sent. It is trusted with its descriptors, not with our memory. */
static void
on_channel(void *owner)
{
	struct flagged *f = owner;
	char msg[FLAGGED_MSG];
	int fds[FLAGGED_BATCH], family;
	size_t nfds = FLAGGED_BATCH;
	uint32_t number, why;
	unsigned count;
	struct wire_in in;
	ssize_t n = chan_try_recv(f->channel, msg, sizeof(msg), fds, &nfds);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(f);
		return;
	}
	f->silent = false;
	in = wire_open((struct slice){ msg, (size_t)n });
	family = family_of(wire_u8(&in));
	if (family == AF_UNIX) {
		number = wire_u32(&in);
		why = wire_u32(&in);
		for (size_t i = wire_done(&in) ? 1 : 0; i < nfds; i++)
			close(fds[i]);
		if (wire_done(&in))
			grant(f, number, why, nfds > 0 ? fds[0] : -1);
		return;
	}
	count = wire_u8(&in);
	if (wire_done(&in) && family != AF_UNSPEC && count > 0 && count <= FLAGGED_BATCH)
		stock_up(stock_of(f, family), fds, nfds);
	else
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
}

struct flagged *
flagged_stock(struct loop *loop)
{
	struct flagged *f = mem_new(sizeof(*f));

	f->loop = loop;
	f->channel = -1;
	f->port = (unsigned)getpid() * 2654435761u >> 16;	/* the workers begin far from each other */
	return f;
}

void
flagged_free(struct flagged **fp)
{
	struct flagged *f = *fp;

	if (f == NULL)
		return;
	hang_up(f);
	while (f->wishes != NULL) {
		struct conn *conn = f->wishes->conn;

		drop_wish(f->wishes);
		if (conn != NULL)
			conn_fail(conn, "nobody is left to connect to it");
	}
	for (int i = 0; i < FAMILIES; i++)
		while (f->stocks[i].n > 0)
			close(f->stocks[i].fds[--f->stocks[i].n]);
	free(f);
	*fp = NULL;
}

void
flagged_use(struct flagged *f, int channel, bool stock)
{
	hang_up(f);
	f->channel = channel;
	f->flags = stock;
	f->silent = false;
	watch_start(&f->watch, f->loop, channel, on_channel, f);
	fill_up(f);
	ask_wishes(f);
}

/* The conn was closed by its owner. */
static void
give_up(void *maker)
{
	struct wish *w = maker;

	w->conn = NULL;
	if (!w->asked)
		drop_wish(w);
}

struct conn *
flagged_dial(struct flagged *f, const struct addr *path, bool they_begin, const struct conn_ops *ops, void *owner)
{
	struct wish *w = mem_new(sizeof(*w)), **last = &f->wishes;

	while (*last != NULL)
		last = &(*last)->next;
	*last = w;
	w->f = f;
	w->number = ++f->last_number;
	w->path = *path;
	w->conn = conn_awaited(f->loop, they_begin, ops, owner, give_up, w);
	ask_wishes(f);
	return w->conn;
}

/* A burst, or the first client of all, may be quicker than the dialer's answer, which takes a fraction of
 * a millisecond. Only when it does not come is the client told to come again. */
static void
wait_for(struct flagged *f, const struct stock *s)
{
	while (s->n == 0 && s->coming > 0 && !f->silent) {
		struct pollfd ready = { .fd = f->channel, .events = POLLIN };

		if (poll(&ready, 1, WAIT_MS) <= 0)
			f->silent = true;
		else
			on_channel(f);
	}
}

static int
take(struct flagged *f, int family, struct err *err)
{
	struct stock *s = stock_of(f, family);
	int fd;

	if (s->n == 0) {
		fill_up(f);
		wait_for(f, s);
	}
	if (s->n == 0)
		return err_set(err, "no socket to bear the client's address: the dialer does not answer");
	fd = s->fds[--s->n];
	fill_up(f);
	return fd;
}

/* The client's own port may be in use: by a connection that has just ended, or by another server's. */
static bool
is_port_trouble(int why)
{
	return why == EADDRINUSE || why == EADDRNOTAVAIL;
}

/* 0, or why not (errno). */
static int
try_connect(int fd, const struct addr *from, const struct addr *to, bool *asked)
{
	int one = 1;

	*asked = false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&from->ss, from->len) == -1)
		return errno;
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == 0 || errno == EINPROGRESS)
		return 0;
	*asked = !is_port_trouble(errno);
	return errno;
}

int
flagged_connect(struct flagged *f, const struct addr *client, bool same_port, const struct addr *to, bool *asked, struct err *err)
{
	struct addr from = *client;
	char text[ADDR_TEXT_MAX];
	int fd, why = 0;

	*asked = false;
	addr_text(to, text);
	if (from.ss.ss_family != to->ss.ss_family)
		return err_set(err, "keep-source: an IPv%d client cannot be shown to %s", from.ss.ss_family == AF_INET6 ? 6 : 4, text);
	for (int attempt = same_port ? 0 : 1; attempt <= PORT_TRIES; attempt++) {
		if (attempt > 0)
			addr_set_port(&from, PORT_FIRST + f->port++ % PORTS);
		if ((fd = take(f, from.ss.ss_family, err)) == -1)
			return -1;
		if ((why = try_connect(fd, &from, to, asked)) == 0)
			return fd;
		close(fd);
		if (!is_port_trouble(why))
			break;
	}
	errno = why;
	return err_sys(err, "connect to %s as the client", text);
}
