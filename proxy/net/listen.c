#include "proxy/net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/net/flagged.h"

#define BACKLOG       1024
#define ACCEPT_BURST  16	/* taken in one turn; the others' turn comes too */
#define ACCEPT_PAUSE  0.5	/* seconds without accepting after descriptors ran out */

static int
bound_listener(const struct addr *a, bool share_port, bool transparent, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	int one = 1, fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr_text(a, text);
	if (fd == -1)
		return err_sys(err, "socket for %s", text);
	if (transparent && flagged_set(fd, a->ss.ss_family) == -1) {
		err_sys(err, "flag the listening socket of %s IP_TRANSPARENT (needs CAP_NET_RAW)", text);
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (share_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (a->ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a->ss, a->len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	if (errno == EADDRINUSE)
		err_set(err, "cannot listen on %s: another program uses this port (see: ss -ltnp)", text);
	else
		err_sys(err, "cannot listen on %s", text);
	close(fd);
	return -1;
}

int
listen_open(const struct addr *a, bool transparent, struct err *err)
{
	return bound_listener(a, true, transparent, err);
}

int
listen_check(const struct addr *a, struct err *err)
{
	int fd = bound_listener(a, false, false, err);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

struct acceptor {
	struct loop *loop;
	struct watch watch;
	struct timer pause;
	int fd;
	void (*accepted)(void *owner, int fd, const struct addr *peer);
	void *owner;
};

static void
on_acceptable(void *owner)
{
	struct acceptor *a = owner;

	for (int i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct addr peer;
		int fd = accept4(a->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			/* They wait in the backlog; trying again at once would only spin. */
			log_warn("cannot accept connections: %s", strerror(errno));
			watch_stop(&a->watch);
			timer_set(&a->pause, ACCEPT_PAUSE);
			return;
		}
		if (fd == -1)
			return;
		addr_from(&peer, (struct sockaddr *)&ss, len);
		a->accepted(a->owner, fd, &peer);
	}
}

static void
on_pause_over(void *owner)
{
	struct acceptor *a = owner;

	watch_start(&a->watch, a->loop, a->fd, on_acceptable, a);
}

struct acceptor *
acceptor_new(struct loop *loop, int fd, void (*accepted)(void *owner, int fd, const struct addr *peer), void *owner)
{
	struct acceptor *a = mem_new(sizeof(*a));

	a->loop = loop;
	a->fd = fd;
	a->accepted = accepted;
	a->owner = owner;
	timer_init(&a->pause, loop, on_pause_over, a);
	watch_start(&a->watch, loop, fd, on_acceptable, a);
	return a;
}

void
acceptor_close(struct acceptor **ap)
{
	struct acceptor *a = *ap;

	if (a == NULL)
		return;
	watch_stop(&a->watch);
	timer_stop(&a->pause);
	close(a->fd);
	loop_free_later(a->loop, a);
	*ap = NULL;
}
