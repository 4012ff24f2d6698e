#include "proxy/net/arrival.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/base/mem.h"

struct arrival_wait {
	struct loop *loop;
	struct watch watch;
	struct timer deadline;
	struct arrival arrival;
	void (*done)(void *owner, const struct arrival *, const char *why);
	void *owner;
	size_t len;
	char in[PROXYPROTO_MAX];
};

void
arrival_of(struct arrival *a, int fd, const struct addr *peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	*a = (struct arrival){ .fd = fd, .client = *peer, .peer = *peer };
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		addr_from(&a->local, (struct sockaddr *)&ss, len);
}

static void
end(struct arrival_wait *w)
{
	watch_stop(&w->watch);
	timer_stop(&w->deadline);
	loop_free_later(w->loop, w);
}

static void
fail(struct arrival_wait *w, const char *why)
{
	close(w->arrival.fd);
	end(w);
	w->done(w->owner, NULL, why);
}

static void
on_deadline(void *owner)
{
	fail(owner, "no whole PROXY header came in time");
}

/* We look at what is there and then take what is the header's; the rest is for who comes after us. As all
 * that does not complete the header is taken, the loop does not spin. */
static void
on_readable(void *owner)
{
	struct arrival_wait *w = owner;
	struct proxyproto header;
	struct err err = { "" };
	enum proxyproto_result result;
	ssize_t seen = recv(w->arrival.fd, w->in + w->len, sizeof(w->in) - w->len, MSG_PEEK);
	size_t used;

	if (seen == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (seen <= 0) {
		fail(w, w->len > 0 ? "the connection ended inside its PROXY header" : NULL);
		return;
	}
	result = proxyproto_read((struct slice){ w->in, w->len + (size_t)seen }, &used, &header, &err);
	if (result == PROXYPROTO_BAD) {
		char why[ERR_MAX + 32];

		snprintf(why, sizeof(why), "bad PROXY header: %s", err.text);
		fail(w, why);
		return;
	}
	if (recv(w->arrival.fd, w->in + w->len, used - w->len, 0) != (ssize_t)(used - w->len)) {
		fail(w, "the connection ended inside its PROXY header");
		return;
	}
	w->len = used;
	if (result == PROXYPROTO_MORE)
		return;
	w->arrival.probe = header.none;
	if (!header.none) {
		w->arrival.client = header.source;
		w->arrival.local = header.destination;
	}
	end(w);
	w->done(w->owner, &w->arrival, NULL);
}

struct arrival_wait *
arrival_wait(struct loop *loop, int fd, const struct addr *peer, double seconds,
    void (*done)(void *owner, const struct arrival *, const char *why), void *owner)
{
	struct arrival_wait *w = mem_new(sizeof(*w));

	w->loop = loop;
	w->done = done;
	w->owner = owner;
	arrival_of(&w->arrival, fd, peer);
	timer_init(&w->deadline, loop, on_deadline, w);
	timer_set(&w->deadline, seconds);
	watch_start(&w->watch, loop, fd, on_readable, w);
	return w;
}

void
arrival_wait_close(struct arrival_wait **wp)
{
	struct arrival_wait *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	close(w->arrival.fd);
	end(w);
}
