#include "filters/scanner.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"

#define CANARY_EVERY 100			/* messages between two looks whether the canary is still found */
#define FILE_MAX     (512u << 20)		/* octets of one temporary file */
#define MEMORY_MORE  (2048ull << 20)		/* octets of address space beyond what is mapped at the start */

static uint64_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
limit(int what, uint64_t most)
{
	struct rlimit l = { most, most };

	if (setrlimit(what, &l) == -1)
		log_debug("setrlimit %d: %m", what);
}

static void
set_limits(const struct scanner_place *place)
{
	uint64_t now = address_space();

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, FILE_MAX);
	limit(RLIMIT_NOFILE, 1024);
	limit(RLIMIT_CPU, (uint64_t)(place->scan_timeout * SCANNER_JOBS_MAX));
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_NPROC, 0);
	if (now > 0)
		limit(RLIMIT_AS, now + MEMORY_MORE);
#else
	(void)now;	/* it reserves terabytes (the nursery says that there is no limit), and its leak check is a process */
#endif
}

/* The next job's bytes into msg. Jobs of both sockets for most scanners; the kernel wakes one of
 * those that wait, not all. 0: no more jobs will come. */
static ssize_t
next_job(const struct scanner_place *place, int epoll, char *msg, size_t size, int fds[SCAN_JOB_FDS], size_t *nfds)
{
	struct epoll_event ready;
	ssize_t n;

	if (place->small_only) {
		do {
			*nfds = SCAN_JOB_FDS;
			n = chan_recv(place->small_fd, msg, size, fds, nfds);
		} while (n == -1 && errno == EAGAIN);	/* SO_RCVTIMEO: a wait never lasts for ever */
		return n;
	}
	for (;;) {
		if (epoll_wait(epoll, &ready, 1, -1) != 1)
			continue;
		*nfds = SCAN_JOB_FDS;
		n = chan_try_recv(ready.data.fd, msg, size, fds, nfds);
		if (n != -1 || errno != EAGAIN)
			return n;	/* otherwise another scanner was quicker */
	}
}

static int
watch_jobs(const struct scanner_place *place)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event small = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = place->small_fd };
	struct epoll_event large = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = place->large_fd };

	if (epoll == -1 || epoll_ctl(epoll, EPOLL_CTL_ADD, place->small_fd, &small) == -1 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, place->large_fd, &large) == -1) {
		log_error("scanner: epoll: %m");
		_exit(SCANNER_EXIT_UNFIT);
	}
	return epoll;
}

static void
do_job(struct stages *stages, const struct scanner_place *place, struct slice msg, int fds[SCAN_JOB_FDS])
{
	struct scan_job *job = mem_new(sizeof(*job));

	if (scan_get_job(msg, job)) {
		atomic_store(&place->page->job, job->number);
		title_set("scanner %u job %llx", place->slot, (unsigned long long)job->number);
		scanner_judge(stages, job, place->slot, fds[SCAN_FD_SPOOL], fds[SCAN_FD_CHANNEL]);
		title_set("scanner %u idle", place->slot);
		atomic_store(&place->page->job, 0);
	} else {
		log_error("scanner %u: a job that cannot be read was passed over", place->slot);
	}
	free(job);
}

static bool
is_fit(struct stages *stages, const struct scanner_place *place)
{
	struct av *av = stages_av(stages);
	struct err err = { "" };

	if (av == NULL || av_canary(av, &err) == 0)
		return true;
	log_error("scanner %u is unfit and ends: %s", place->slot, err.text);
	return false;
}

int
scanner_main(struct stages *stages, const struct scanner_place *place)
{
	struct av *av = stages_av(stages);
	char *msg = mem_new(CHAN_MAX);
	struct err err = { "" };
	int epoll, fds[SCAN_JOB_FDS];
	size_t nfds;
	ssize_t n;

	title_set("scanner %u idle", place->slot);
	set_limits(place);
	epoll = place->small_only ? -1 : watch_jobs(place);
	if (av != NULL && av_set_tmp(av, place->tmp_dir, &err) == -1) {
		log_error("scanner %u: %s", place->slot, err.text);
		return SCANNER_EXIT_UNFIT;
	}
	/* The jail (seccomp, Landlock, namespaces) closes here: all that is lazy has been opened. */

	for (unsigned jobs = 0; jobs < SCANNER_JOBS_MAX; jobs++) {
		if (jobs % CANARY_EVERY == 0 && !is_fit(stages, place))
			return SCANNER_EXIT_UNFIT;
		n = next_job(place, epoll, msg, CHAN_MAX, fds, &nfds);
		if (n == 0)
			break;
		if (n > 0 && nfds == SCAN_JOB_FDS)
			do_job(stages, place, (struct slice){ msg, (size_t)n }, fds);
		for (size_t i = 0; n > 0 && i < nfds; i++)
			close(fds[i]);
	}
	free(msg);
	return SCANNER_EXIT_DONE;
}
