#include "proxy/proc/control.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/wire.h"

int
control_send(int fd, const struct control_msg *msg)
{
	struct buf bytes;
	int rc;

	buf_init(&bytes, 64);
	wire_put_u8(&bytes, msg->word);
	wire_put_u32(&bytes, msg->number);
	rc = chan_send(fd, buf_slice(&bytes), msg->fds, msg->nfds);
	buf_free(&bytes);
	return rc;
}

int
control_recv(int fd, struct control_msg *msg)
{
	char bytes[64];
	struct wire_in in;
	ssize_t n;

	msg->nfds = CHAN_FDS_MAX;
	n = chan_try_recv(fd, bytes, sizeof(bytes), msg->fds, &msg->nfds);
	if (n == 0)
		return 0;
	if (n == -1) {
		if (errno != EAGAIN)
			log_error("control message: %m");
		return -1;
	}
	in = wire_open((struct slice){ bytes, (size_t)n });
	msg->word = (enum control_word)wire_u8(&in);
	msg->number = wire_u32(&in);
	if (wire_done(&in))
		return 1;
	log_error("a control message of %zd octets makes no sense", n);
	for (size_t i = 0; i < msg->nfds; i++)
		close(msg->fds[i]);
	return -1;
}

int
control_map(int memfd, struct slice *bytes, struct err *err)
{
	struct stat st;
	void *map;

	if (fstat(memfd, &st) == -1 || st.st_size == 0)
		return err_set(err, "the packed configuration cannot be read");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "map the packed configuration");
	*bytes = (struct slice){ map, (size_t)st.st_size };
	return 0;
}

void
control_unmap(struct slice *bytes)
{
	munmap((void *)bytes->at, bytes->len);
	*bytes = SLICE("");
}
