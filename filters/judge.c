#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "filters/scanner.h"
#include "proxy/base/mem.h"

/* MAP_PRIVATE of what is sealed: neither we nor the worker can change it under the other. */
static int
map_spool(int fd, uint64_t size, struct slice *mail, struct err *err)
{
	struct stat st;
	void *map;

	*mail = SLICE("");
	if (fstat(fd, &st) == -1 || (uint64_t)st.st_size != size)
		return err_set(err, "the spool has not the size that was said");
	if (size == 0)
		return 0;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "map the spool");
	*mail = (struct slice){ map, size };
	return 0;
}

void
scanner_judge(struct stages *stages, const struct scan_job *job, unsigned slot, int spool, int channel)
{
	struct findings *found = mem_new(sizeof(*found));
	struct err err = { "" };
	struct slice mail;
	struct buf answer;

	buf_init(&answer, CHAN_MAX);
	scan_put_taken(&answer, job->number, slot);
	if (chan_send(channel, buf_slice(&answer), NULL, 0) == -1)
		goto out;	/* the worker no longer waits: the job is void */
	buf_clear(&answer);
	if (map_spool(spool, job->size, &mail, &err) == 0 && stages_run(stages, mail, &job->facts, found, &err) == 0)
		scan_put_findings(&answer, job->number, found);
	else
		scan_put_trouble(&answer, job->number, err.text);
	chan_send(channel, buf_slice(&answer), NULL, 0);
	if (mail.len > 0)
		munmap((void *)mail.at, mail.len);
out:
	buf_free(&answer);
	free(found);
}
