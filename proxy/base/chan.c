#include "proxy/base/chan.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
chan_pair(int fds[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return err_sys(err, "socketpair");
	return 0;
}

int
chan_send(int fd, struct slice bytes, const int *fds, size_t nfds)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * CHAN_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)bytes.at, bytes.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;
	ssize_t n;

	if (nfds > CHAN_FDS_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* Takes the descriptors out of a received message; what is over the caller's room is closed. */
static size_t
take_fds(struct msghdr *msg, int *fds, size_t room, bool *over)
{
	size_t taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (taken < room) {
				fds[taken++] = fd;
			} else {
				close(fd);
				*over = true;
			}
		}
	}
	return taken;
}

static ssize_t
recv_one(int fd, void *bytes, size_t size, int *fds, size_t *nfds, int flags)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * CHAN_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	bool over = false;
	ssize_t n;

	if (nfds != NULL) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if (nfds != NULL)
		*nfds = take_fds(&msg, fds, *nfds, &over);
	if (!over && (msg.msg_flags & (MSG_TRUNC | (nfds != NULL ? MSG_CTRUNC : 0))) == 0)
		return n;
	if (nfds != NULL) {
		for (size_t i = 0; i < *nfds; i++)
			close(fds[i]);
		*nfds = 0;
	}
	errno = EMSGSIZE;
	return -1;
}

ssize_t
chan_recv(int fd, void *bytes, size_t size, int *fds, size_t *nfds)
{
	return recv_one(fd, bytes, size, fds, nfds, 0);
}

ssize_t
chan_try_recv(int fd, void *bytes, size_t size, int *fds, size_t *nfds)
{
	return recv_one(fd, bytes, size, fds, nfds, MSG_DONTWAIT);
}
