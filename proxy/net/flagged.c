#include "proxy/net/flagged.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define STOCK_MAX FLAGGED_BATCH		/* of each family */
#define STOCK_LOW (STOCK_MAX * 3 / 4)	/* from here on more are asked for */
#define WAIT_MS   50			/* for a dialer whose answer is under way, when none is left */

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

struct flagged {
	struct loop *loop;
	struct watch watch;
	int channel;			/* -1: nobody to ask */
	bool silent;			/* it was waited for in vain; no connection waits again before it speaks */
	unsigned port;			/* counts up; see PORT_FIRST */
	struct stock stocks[FAMILIES];
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

static int
send_msg(int channel, int family, const int *fds, unsigned count, size_t nfds)
{
	char msg[FLAGGED_MSG] = { family == AF_INET6 ? 6 : 4, (char)count };

	return chan_send(channel, (struct slice){ msg, sizeof(msg) }, fds, nfds);
}

bool
flagged_ask(int channel, int family, unsigned count)
{
	return send_msg(channel, family, NULL, count, 0) == 0;
}

int
flagged_answer(int channel, int family, const int *fds, unsigned count)
{
	return send_msg(channel, family, fds, count, count);
}

static bool
read_msg(const char *msg, ssize_t n, int *family, unsigned *count)
{
	*family = msg[0] == 6 ? AF_INET6 : AF_INET;
	*count = (unsigned char)msg[1];
	return n == FLAGGED_MSG && (msg[0] == 4 || msg[0] == 6) && *count > 0 && *count <= FLAGGED_BATCH;
}

int
flagged_asked(int channel, int *family, unsigned *count)
{
	char msg[FLAGGED_MSG];
	ssize_t n = chan_try_recv(channel, msg, sizeof(msg), NULL, NULL);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EMSGSIZE))
		return 0;
	if (n == -1 || read_msg(msg, n, family, count))
		return n == -1 ? -1 : 1;
	errno = EBADMSG;
	return -1;
}

static struct stock *
stock_of(struct flagged *f, int family)
{
	return &f->stocks[family == AF_INET6 ? SIX : FOUR];
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
}

/* Never more than one request of a family is under way: the channel cannot fill up. */
static void
fill_up(struct flagged *f)
{
	for (int i = 0; i < FAMILIES; i++) {
		struct stock *s = &f->stocks[i];

		if (f->channel == -1 || s->coming > 0 || s->n > STOCK_LOW)
			continue;
		if (flagged_ask(f->channel, i == SIX ? AF_INET6 : AF_INET, STOCK_MAX - s->n))
			s->coming = STOCK_MAX - s->n;
		else
			hang_up(f);
	}
}

/* What the dialer sent. It is trusted with its descriptors, not with our memory. */
static void
on_channel(void *owner)
{
	struct flagged *f = owner;
	char msg[FLAGGED_MSG];
	int fds[FLAGGED_BATCH], family;
	size_t nfds = FLAGGED_BATCH;
	unsigned count;
	struct stock *s;
	ssize_t n = chan_try_recv(f->channel, msg, sizeof(msg), fds, &nfds);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(f);
		return;
	}
	f->silent = false;
	if (!read_msg(msg, n, &family, &count))
		family = AF_UNSPEC;
	s = stock_of(f, family);
	for (size_t i = 0; i < nfds; i++)
		if (family != AF_UNSPEC && s->n < STOCK_MAX)
			s->fds[s->n++] = fds[i];
		else
			close(fds[i]);
	if (family != AF_UNSPEC)
		s->coming = 0;
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
	for (int i = 0; i < FAMILIES; i++)
		while (f->stocks[i].n > 0)
			close(f->stocks[i].fds[--f->stocks[i].n]);
	free(f);
	*fp = NULL;
}

void
flagged_use(struct flagged *f, int channel)
{
	hang_up(f);
	f->channel = channel;
	f->silent = false;
	watch_start(&f->watch, f->loop, channel, on_channel, f);
	fill_up(f);
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

static void
set_port(struct addr *a, unsigned port)
{
	if (a->ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&a->ss)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)(void *)&a->ss)->sin_port = htons((uint16_t)port);
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
			set_port(&from, PORT_FIRST + f->port++ % PORTS);
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
