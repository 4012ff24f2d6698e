#include "filters/nursery.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filters/scanner.h"
#include "filters/tmp.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/base/wire.h"

#define UNFIT_PAUSE_MS 1000	/* before a slot whose scanner was unfit is tried again */
#define JOB_WAIT_S     30	/* a scanner's wait for a job is looked at again after this */

struct slot {
	pid_t pid;			/* 0: none */
	struct scanner_page *page;
	char *tmp_dir;
	int64_t due;			/* the last scanner was unfit: milliseconds when the next may start; 0: not so */
};

struct nursery {
	const struct conf *conf;
	const struct nursery_fds *fds;
	struct stages *stages;
	char *tmp_dir;			/* ours, with one directory for each slot */
	struct slot *slots;
	bool retiring;			/* nobody can send jobs any more */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
make_slots(struct nursery *n, struct err *err)
{
	n->slots = mem_array(n->conf->scanners, sizeof(*n->slots));
	for (unsigned i = 0; i < n->conf->scanners; i++) {
		void *page = mmap(NULL, sizeof(struct scanner_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			return err_sys(err, "map a page");
		n->slots[i].page = page;
		if (n->tmp_dir != NULL)
			n->slots[i].tmp_dir = tmp_below(n->tmp_dir, i);
	}
	return 0;
}

/* The child's side: forget what is not its own, then be a scanner. */
static _Noreturn void
become_scanner(struct nursery *n, unsigned i, pid_t parent)
{
	struct scanner_place place = {
		.slot = i,
		.small_only = n->conf->scanners > 1 && i < (n->conf->scanners + 3) / 4,
		.small_fd = n->fds->small,
		.large_fd = n->fds->large,
		.tmp_dir = n->slots[i].tmp_dir,
		.page = n->slots[i].page,
		.scan_timeout = n->conf->scan_timeout,
	};
	char role[32];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(SCANNER_EXIT_DONE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(n->fds->control);
	close(n->fds->kill);
	for (unsigned k = 0; k < n->conf->scanners; k++)
		if (k != i)
			munmap(n->slots[k].page, sizeof(struct scanner_page));
	snprintf(role, sizeof(role), "scanner %u", i);
	log_name(role);
	exit(scanner_main(n->stages, &place));
}

static void
start_scanner(struct nursery *n, unsigned i)
{
	struct slot *slot = &n->slots[i];
	pid_t parent = getpid();

	atomic_store(&slot->page->job, 0);
	slot->due = 0;
	if (slot->tmp_dir != NULL) {
		tmp_remove(slot->tmp_dir);	/* what a killed one left behind */
		if (mkdir(slot->tmp_dir, 0700) == -1)
			log_error("make %s: %m", slot->tmp_dir);
	}
	slot->pid = fork();
	if (slot->pid == 0)
		become_scanner(n, i, parent);
	if (slot->pid == -1) {
		log_error("fork a scanner: %m");
		slot->pid = 0;
		slot->due = now_ms() + UNFIT_PAUSE_MS;
	}
}

static void
log_end(const struct slot *slot, unsigned i, int status)
{
	unsigned long long job = atomic_load(&slot->page->job);

	if (WIFSIGNALED(status))
		log_warn("scanner %u died: signal %d, %s %llx", i, WTERMSIG(status), job != 0 ? "job" : "no job", job);
	else if (WEXITSTATUS(status) != SCANNER_EXIT_DONE)
		log_warn("scanner %u ended: exit %d, %s %llx", i, WEXITSTATUS(status), job != 0 ? "job" : "no job", job);
	else
		log_debug("scanner %u retired", i);
}

/* One that died without a job would, started at once, do so again and again. */
static bool
was_unfit(const struct slot *slot, int status)
{
	return WIFSIGNALED(status) ? atomic_load(&slot->page->job) == 0 : WEXITSTATUS(status) != SCANNER_EXIT_DONE;
}

static void
reap(struct nursery *n)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < n->conf->scanners; i++) {
			if (n->slots[i].pid != pid)
				continue;
			log_end(&n->slots[i], i, status);
			n->slots[i].pid = 0;
			if (n->retiring)
				continue;
			if (was_unfit(&n->slots[i], status))
				n->slots[i].due = now_ms() + UNFIT_PAUSE_MS;
			else
				start_scanner(n, i);
		}
}

/* Only we can kill safely: a pid that we have not waited for cannot belong to anyone else. */
static void
obey_kill(struct nursery *n)
{
	char msg[64];
	uint64_t number;
	unsigned slot;
	ssize_t len = chan_try_recv(n->fds->kill, msg, sizeof(msg), NULL, NULL);

	if (len == 0)
		n->retiring = true;
	if (len <= 0 || !scan_get_kill((struct slice){ msg, (size_t)len }, &slot, &number))
		return;
	if (slot >= n->conf->scanners || n->slots[slot].pid == 0 || atomic_load(&n->slots[slot].page->job) != number)
		return;
	log_warn("scanner %u: timeout with job %llx: killed", slot, (unsigned long long)number);
	kill(n->slots[slot].pid, SIGKILL);
}

void
nursery_tell_log(int control, enum log_kind kind, int fd)
{
	char byte = (char)kind;

	if (chan_send(control, (struct slice){ &byte, 1 }, &fd, 1) == -1)
		log_warn("the nursery cannot be told of the new log: %m");
}

/* False: master is gone, or wants us gone. */
static bool
hear_master(const struct nursery *n)
{
	size_t nfds = 1;
	char byte;
	int fd;
	ssize_t len = chan_try_recv(n->fds->control, &byte, 1, &fd, &nfds);

	if (len == 1 && nfds == 1)
		log_use((enum log_kind)byte, fd);
	return len > 0 || (len == -1 && errno == EAGAIN);
}

static unsigned
living(const struct nursery *n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n->conf->scanners; i++)
		count += n->slots[i].pid != 0;
	return count;
}

static void
serve(struct nursery *n, int signals)
{
	struct pollfd ready[] = {
		{ .fd = n->fds->control, .events = POLLIN },
		{ .fd = n->fds->kill, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	struct signalfd_siginfo info;
	bool paused;

	while (!n->retiring || living(n) > 0) {
		paused = false;
		for (unsigned i = 0; i < n->conf->scanners; i++)
			paused |= n->slots[i].due != 0;
		if (n->retiring)
			ready[1].fd = -1;
		poll(ready, NITEMS(ready), paused && !n->retiring ? UNFIT_PAUSE_MS : -1);
		for (unsigned i = 0; i < n->conf->scanners && !n->retiring; i++)
			if (n->slots[i].due != 0 && n->slots[i].due <= now_ms())
				start_scanner(n, i);
		if (ready[0].revents != 0 && !hear_master(n))
			break;
		if (ready[1].revents != 0)
			obey_kill(n);
		if (ready[2].revents != 0 && read(signals, &info, sizeof(info)) > 0)
			reap(n);
	}
}

static void
end_all(struct nursery *n)
{
	for (unsigned i = 0; n->slots != NULL && i < n->conf->scanners; i++) {
		if (n->slots[i].pid > 0) {
			kill(n->slots[i].pid, SIGKILL);
			waitpid(n->slots[i].pid, NULL, 0);
		}
		free(n->slots[i].tmp_dir);
	}
	free(n->slots);
	tmp_remove(n->tmp_dir);
	free(n->tmp_dir);
	stages_free(&n->stages);
}

bool
nursery_get_report(struct slice bytes, struct nursery_report *r)
{
	struct wire_in in = wire_open(bytes);

	memset(r, 0, sizeof(*r));
	r->word = (enum nursery_word)wire_u8(&in);
	r->rules = wire_u32(&in);
	r->signatures = wire_u32(&in);
	return slice_copy(wire_bytes(&in), r->sentence, sizeof(r->sentence)) && wire_done(&in);
}

static void
report(const struct nursery_fds *fds, const struct nursery_report *r)
{
	struct buf msg;

	buf_init(&msg, 1024);
	wire_put_u8(&msg, r->word);
	wire_put_u32(&msg, r->rules);
	wire_put_u32(&msg, r->signatures);
	wire_put_bytes(&msg, slice_of(r->sentence));
	chan_send(fds->control, buf_slice(&msg), NULL, 0);
	buf_free(&msg);
}

void
nursery_fail(const struct nursery_fds *fds, const char *sentence)
{
	struct nursery_report r = { .word = NURSERY_FAILED };

	snprintf(r.sentence, sizeof(r.sentence), "%s", sentence);
	report(fds, &r);
}

static void
say_ready(const struct nursery *n)
{
	const struct av *av = stages_av(n->stages);
	struct nursery_report r = {
		.word = NURSERY_READY,
		.rules = (uint32_t)stages_rules(n->stages),
		.signatures = av != NULL ? (uint32_t)av_signatures(av) : 0,
	};

	report(n->fds, &r);
}

int
nursery_main(const struct conf *conf, const struct rules_files *files, const struct nursery_fds *fds)
{
	struct nursery n = { .conf = conf, .fds = fds };
	struct timeval wait = { .tv_sec = JOB_WAIT_S };
	struct err err = { "" };
	sigset_t set;
	int signals;

	title_set("nursery");
	log_name("nursery");
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	tmp_sweep(conf->tmp_dir);
	setsockopt(fds->small, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (signals == -1) {
		err_sys(&err, "signalfd");
	} else if (!conf->antivirus.on || (n.tmp_dir = tmp_make(conf->tmp_dir, &err)) != NULL) {
		n.stages = stages_load(conf, files, n.tmp_dir, &err);
		if (n.stages != NULL && make_slots(&n, &err) == 0) {
			for (unsigned i = 0; i < conf->scanners; i++)
				start_scanner(&n, i);
#ifdef __SANITIZE_ADDRESS__
			log_info("built with a sanitizer: the scanners' address space is not limited");
#endif
			say_ready(&n);
			serve(&n, signals);
			end_all(&n);
			return 0;
		}
	}
	nursery_fail(fds, err.text);
	end_all(&n);
	return 1;
}
