#include "proxy/base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int
memfd_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

int
memfd_put(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.at, bytes.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		bytes = slice_part(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

int
memfd_of(const char *name, struct slice bytes, struct err *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return err_sys(err, "make the memfd %s", name);
	if (memfd_put(fd, bytes) == 0 && memfd_seal(fd) == 0)
		return fd;
	err_sys(err, "write the memfd %s", name);
	close(fd);
	return -1;
}
