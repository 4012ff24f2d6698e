#include "proxy/net/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/mem.h"

#define SPOOL_STEP (1u << 20)	/* octets by which a growing spool draws on the budget */

struct spool {
	const struct spool_budget *budget;
	uint64_t reserved, size;
	int fd;
	char *map;		/* once sealed */
};

static bool
reserve_more(struct spool *s, uint64_t octets)
{
	if (!budget_take(s->budget->shared, BUDGET_SPOOL, s->budget->row, octets, s->budget->max))
		return false;
	s->reserved += octets;
	return true;
}

struct spool *
spool_open(const struct spool_budget *budget, uint64_t reserve, struct err *err)
{
	struct spool *s = mem_new(sizeof(*s));

	s->budget = budget;
	s->fd = -1;
	if (!reserve_more(s, reserve)) {
		err_set(err, "the memory for messages in flight is spent");
		spool_close(&s);
		return NULL;
	}
	s->fd = memfd_create("gatepost-spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd == -1) {
		err_sys(err, "memfd_create");
		spool_close(&s);
		return NULL;
	}
	return s;
}

int
spool_put(struct spool *s, struct slice bytes, struct err *err)
{
	while (s->size + bytes.len > s->reserved)
		if (!reserve_more(s, SPOOL_STEP))
			return err_set(err, "the memory for messages in flight is spent");
	while (bytes.len > 0) {
		ssize_t n = write(s->fd, bytes.at, bytes.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(err, "write to the spool");
		s->size += (uint64_t)n;
		bytes = slice_part(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

uint64_t
spool_size(const struct spool *s)
{
	return s->size;
}

int
spool_seal(struct spool *s, struct err *err)
{
	if (fcntl(s->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == -1)
		return err_sys(err, "seal the spool");
	if (s->size == 0)
		return 0;
	s->map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return err_sys(err, "map the spool");
	}
	return 0;
}

struct slice
spool_bytes(const struct spool *s)
{
	return s->map != NULL ? (struct slice){ s->map, s->size } : SLICE("");
}

int
spool_fd(const struct spool *s)
{
	return s->fd;
}

void
spool_close(struct spool **sp)
{
	struct spool *s = *sp;

	if (s == NULL)
		return;
	if (s->map != NULL)
		munmap(s->map, s->size);
	if (s->fd != -1)
		close(s->fd);
	budget_give(s->budget->shared, BUDGET_SPOOL, s->budget->row, s->reserved);
	free(s);
	*sp = NULL;
}
