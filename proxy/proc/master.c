#include "proxy/proc/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filters/nursery.h"
#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/proc/control.h"
#include "proxy/proc/dialer.h"
#include "proxy/proc/setup.h"
#include "proxy/proc/worker.h"

#define NURSERY_END_MS   3000
#define RESPAWN_PAUSE_MS 500	/* a child that ended sooner after its start waits that long for the next */

struct slot {
	pid_t pid;			/* 0: none */
	int control;
	int64_t started, due;		/* milliseconds; due 0: not waited for */
};

/* One generation of scanners. */
struct generation {
	pid_t nursery;			/* 0: none */
	int control;
	int small, large, kill;		/* the workers' ends, for those that come later */
	int64_t started;
	bool ready;
};

struct retired {
	pid_t nursery;
	int control;			/* open until it has ended: closing it would end it at once */
};

struct master {
	const char *path;
	int signals;
	struct setup *setup;		/* what runs */
	struct setup *next;		/* a reload (or the start) that waits for its scanners */
	bool again;			/* SIGHUP came meanwhile: another reload follows */
	struct slot *slots;
	struct budgets *budgets;	/* a row for each slot */
	pid_t dialer;			/* 0: none */
	int dialer_control;
	int64_t dialer_started, dialer_due;
	struct generation current, coming;
	struct retired *retired;
	size_t nretired;
	int64_t nursery_due;
	bool ending, failed;
	int64_t end_by;			/* milliseconds; 0: not draining */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In a child: everything but stdio, the log and these is closed. */
static void
keep_only(int *keep, size_t n)
{
	unsigned from = 3;

	for (;;) {
		unsigned next = ~0u;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == ~0u) {
			close_range(from, ~0u, 0);
			return;
		}
		if (next > from)
			close_range(from, next - 1, 0);
		from = next + 1;
	}
}

static void
child_begins(pid_t parent)
{
	static const int not_ours[] = { SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1 };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	/* What is meant for the gateway goes to master, also when a terminal or a killall says it to all;
	 * the children end when master says so, or is gone. SIGXFSZ: RLIMIT_FSIZE limits memfds as well. */
	for (size_t i = 0; i < NITEMS(not_ours); i++)
		signal(not_ours[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Scanners have no business with private keys: nothing of them stays in a nursery's memory, neither
 * of the setup that is loaded nor of the one that runs. */
static void
forget_keys(const struct setup *setup)
{
	for (size_t i = 0; setup != NULL && i < setup->conf->ntls; i++)
		mem_wipe(setup->conf->tls[i]->key.bytes, setup->conf->tls[i]->key.len);
}

static _Noreturn void
be_nursery(struct master *m, struct setup *setup, struct nursery_fds *fds, pid_t parent)
{
	int keep[] = { fds->control, fds->small, fds->large, fds->kill, log_fd() };
	struct rules_files *files;
	struct err err = { "" };

	child_begins(parent);
	prctl(PR_SET_PDEATHSIG, 0);	/* it sees by itself that master is gone, and takes its files in tmp-dir along */
	keep_only(keep, NITEMS(keep));
	forget_keys(m->setup);
	forget_keys(m->next);
	/* Rules lie where an administrator may read; they are parsed by somebody who may not. */
	files = rules_files_read(setup->conf->rules, setup->conf->nrules, &err);
	if (files == NULL || priv_drop(&setup->scan_user, false, &err) == -1) {
		nursery_fail(fds, err.text);
		exit(1);
	}
	exit(nursery_main(setup->conf, files, fds));
}

static void
close_generation(struct generation *g)
{
	if (g->kill > 0)
		close(g->kill);		/* first: its nursery then knows why its scanners leave */
	if (g->small > 0)
		close(g->small);
	if (g->large > 0)
		close(g->large);
	g->small = g->large = g->kill = 0;
}

static int
start_nursery(struct master *m, struct setup *setup, struct generation *g, struct err *err)
{
	int control[2], small[2], large[2], kill[2];
	struct nursery_fds fds;
	pid_t parent = getpid();

	memset(g, 0, sizeof(*g));
	if (chan_pair(control, err) == -1 || chan_pair(small, err) == -1 || chan_pair(large, err) == -1 || chan_pair(kill, err) == -1)
		return -1;	/* out of descriptors at this point nothing can go on */
	fds = (struct nursery_fds){ control[1], small[1], large[1], kill[1] };
	fcntl(small[0], F_SETFL, O_NONBLOCK);
	fcntl(large[0], F_SETFL, O_NONBLOCK);
	fcntl(kill[0], F_SETFL, O_NONBLOCK);
	g->nursery = fork();
	if (g->nursery == 0)
		be_nursery(m, setup, &fds, parent);
	close(control[1]);
	close(small[1]);
	close(large[1]);
	close(kill[1]);
	g->control = control[0];
	g->small = small[0];
	g->large = large[0];
	g->kill = kill[0];
	g->started = now_ms();
	return g->nursery == -1 ? err_sys(err, "fork") : 0;
}

/* One that does not listen any more is replaced: its successor is told everything anew, and master
 * never waits for a worker. */
static void
tell(struct master *m, unsigned i, const struct control_msg *msg)
{
	if (m->slots[i].pid <= 0 || control_send(m->slots[i].control, msg) == 0)
		return;
	log_error("worker %u cannot be told and is killed: %m", i + 1);
	kill(m->slots[i].pid, SIGKILL);
}

static void
tell_scanners(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_SCANNERS, .number = m->setup->conf->scanners, .nfds = 3,
		.fds = { m->current.small, m->current.large, m->current.kill } };

	if (m->current.ready)
		tell(m, i, &msg);
}

static void
tell_conf(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_CONF, .fds = { m->setup->memfd }, .nfds = 1 };

	for (size_t p = 0; p < m->setup->nports; p++)
		msg.fds[msg.nfds++] = m->setup->ports[p].fds[i];
	tell(m, i, &msg);
}

/* A channel between the dialer and a worker: each gets an end of it. */
static void
tell_dialer(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_DIALER, .nfds = 1 };
	struct err err = { "" };
	int ends[2];

	if (m->dialer == 0 || m->slots[i].pid <= 0)
		return;
	if (chan_pair(ends, &err) == -1) {
		log_error("%s", err.text);
		return;
	}
	msg.fds[0] = ends[0];
	if (control_send(m->dialer_control, &msg) == -1) {
		log_error("the dialer cannot be told and is killed: %m");
		kill(m->dialer, SIGKILL);
	}
	msg.fds[0] = ends[1];
	tell(m, i, &msg);
	close(ends[0]);
	close(ends[1]);
}

static _Noreturn void
be_dialer(struct master *m, int control, pid_t parent)
{
	int keep[] = { control, log_fd() };

	child_begins(parent);
	keep_only(keep, NITEMS(keep));
	forget_keys(m->setup);
	forget_keys(m->next);
	exit(dialer_main(control, &m->setup->worker_user));
}

static void
start_dialer(struct master *m)
{
	struct err err = { "" };
	pid_t parent = getpid();
	int control[2];

	m->dialer_started = now_ms();
	m->dialer_due = 0;
	if (chan_pair(control, &err) == -1) {
		log_error("%s", err.text);
		m->dialer_due = m->dialer_started + RESPAWN_PAUSE_MS;
		return;
	}
	fcntl(control[0], F_SETFL, O_NONBLOCK);
	m->dialer = fork();
	if (m->dialer == 0)
		be_dialer(m, control[1], parent);
	close(control[1]);
	m->dialer_control = control[0];
	if (m->dialer == -1) {
		log_error("fork: %m");
		close(control[0]);
		m->dialer = 0;
		m->dialer_due = m->dialer_started + RESPAWN_PAUSE_MS;
	}
}

/* Sockets that workers have in stock stay good. */
static void
stop_dialer(struct master *m)
{
	if (m->dialer == 0)
		return;
	close(m->dialer_control);
	kill(m->dialer, SIGKILL);	/* it has nothing to finish */
	while (waitpid(m->dialer, NULL, 0) == -1 && errno == EINTR)
		continue;
	m->dialer = 0;
}

/* Whether there is one follows from the configuration alone. */
static void
settle_dialer(struct master *m)
{
	m->dialer_due = 0;
	if (!conf_keeps_source(m->setup->conf))
		stop_dialer(m);
	else if (m->dialer == 0)
		start_dialer(m);
	else
		return;
	for (unsigned i = 0; i < m->setup->workers; i++)
		tell_dialer(m, i);
}

static void
start_worker(struct master *m, unsigned i)
{
	struct slot *slot = &m->slots[i];
	struct err err = { "" };
	pid_t parent = getpid();
	int control[2], keep[2];

	slot->due = 0;
	slot->started = now_ms();
	if (chan_pair(control, &err) == -1) {
		log_error("%s", err.text);
		slot->due = slot->started + RESPAWN_PAUSE_MS;
		return;
	}
	slot->pid = fork();
	if (slot->pid == 0) {
		child_begins(parent);
		keep[0] = control[1];
		keep[1] = log_fd();
		keep_only(keep, NITEMS(keep));
		exit(worker_main(i, control[1], m->budgets, &m->setup->worker_user));
	}
	close(control[1]);
	slot->control = control[0];
	fcntl(control[0], F_SETFL, O_NONBLOCK);
	if (slot->pid == -1) {
		log_error("fork: %m");
		close(control[0]);
		slot->pid = 0;
		slot->due = slot->started + RESPAWN_PAUSE_MS;
		return;
	}
	tell_dialer(m, i);
	tell_conf(m, i);
	tell_scanners(m, i);
}

static void
log_ready(const struct master *m, const struct nursery_report *r)
{
	char addresses[1024] = "", one[ADDR_TEXT_MAX];

	for (size_t i = 0; i < m->setup->nports; i++) {
		size_t len = strlen(addresses);

		addr_text(&m->setup->ports[i].addr, one);
		snprintf(addresses + len, sizeof(addresses) - len, " %s", one);
	}
	if (r != NULL)
		log_info("ready: %u workers, %u scanners, %u rules, %u virus signatures, listening on%s",
		    m->setup->workers, m->setup->conf->scanners, r->rules, r->signatures, addresses);
	else
		log_info("ready: %u workers, no rules, antivirus off, listening on%s", m->setup->workers, addresses);
}

static void
retire(struct master *m, struct generation *g)
{
	struct retired *r;

	close_generation(g);
	if (g->nursery > 0) {
		r = mem_push(&m->retired, &m->nretired, sizeof(*r));
		r->nursery = g->nursery;
		r->control = g->control;
	} else if (g->control > 0) {
		close(g->control);
	}
	memset(g, 0, sizeof(*g));
}

static void
reopen_log(struct master *m)
{
	const struct conf *conf = m->setup->conf;
	struct control_msg msg = { .word = CONTROL_LOG, .number = conf->log_kind, .nfds = 1 };
	struct err err = { "" };
	int fd = log_open(conf->log_kind, conf->log_path, &err);

	if (fd == -1) {
		log_error("the log was not reopened: %s", err.text);
		return;
	}
	log_use(conf->log_kind, fd);
	msg.fds[0] = fd;
	for (unsigned i = 0; i < m->setup->workers; i++)
		tell(m, i, &msg);
	if (m->current.nursery > 0)
		nursery_tell_log(m->current.control, conf->log_kind, fd);
	log_info("log reopened");
}

static bool
same_log(const struct conf *a, const struct conf *b)
{
	return a->log_kind == b->log_kind && (a->log_kind != LOG_TO_FILE || strcmp(a->log_path, b->log_path) == 0);
}

/* Everything of the next setup stands: it counts from now on. */
static void
commit(struct master *m, const struct nursery_report *r)
{
	bool first = m->setup == NULL, new_log = !first && !same_log(m->setup->conf, m->next->conf);

	setup_commit(&m->setup, m->next);
	m->next = NULL;
	log_verbosity(m->setup->conf->log_level);
	if (first) {
		m->slots = mem_array(m->setup->workers, sizeof(*m->slots));
		m->budgets = budgets_new(m->setup->workers);
	}
	retire(m, &m->current);
	m->current = m->coming;
	memset(&m->coming, 0, sizeof(m->coming));
	settle_dialer(m);		/* before the workers: who begins to listen has its sockets */
	for (unsigned i = 0; i < m->setup->workers; i++) {
		if (first) {
			start_worker(m, i);
			continue;
		}
		tell_conf(m, i);
		tell_scanners(m, i);
	}
	if (new_log)
		reopen_log(m);
	log_ready(m, r);
}

/* The next setup is given up; at the start there is nothing to go back to. */
static void
give_up(struct master *m, const char *why)
{
	if (m->setup == NULL) {
		fprintf(stderr, "gatepost: %s\n", why);
		m->failed = m->ending = true;
	} else {
		log_error("reload failed, nothing has changed: %s", why);
	}
	if (m->next != NULL)
		retire(m, &m->coming);
	setup_free(&m->next);
	if (m->current.nursery == 0)
		m->nursery_due = now_ms();	/* it died meanwhile, and waited for this setup's */
}

static void
begin(struct master *m)
{
	struct err err = { "" };

	if (m->next != NULL) {
		log_info("a reload is under way: this one follows it");
		m->again = true;
		return;
	}
	m->again = false;
	m->next = setup_new(m->path, m->setup, &err);
	if (m->next == NULL) {
		give_up(m, err.text);
		return;
	}
	retire(m, &m->coming);		/* a successor of scanners that died: this reload's are newer */
	if (!setup_judges(m->next))
		commit(m, NULL);
	else if (start_nursery(m, m->next, &m->coming, &err) == -1)
		give_up(m, err.text);
}

/* A nursery died under way: its successor loads the same again. */
static void
replace_nursery(struct master *m)
{
	struct err err = { "" };

	m->nursery_due = 0;
	if (m->next != NULL || m->coming.nursery != 0 || !setup_judges(m->setup))
		return;
	if (start_nursery(m, m->setup, &m->coming, &err) == -1) {
		log_error("%s", err.text);
		retire(m, &m->coming);
		m->nursery_due = now_ms() + RESPAWN_PAUSE_MS;
	}
}

/* The coming nursery said how its loading went, or ended without a word. */
static void
hear_nursery(struct master *m)
{
	char bytes[1024];
	struct nursery_report r;
	ssize_t n = chan_try_recv(m->coming.control, bytes, sizeof(bytes), NULL, NULL);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0 || !nursery_get_report((struct slice){ bytes, (size_t)n }, &r)) {
		r.word = NURSERY_FAILED;
		snprintf(r.sentence, sizeof(r.sentence), "the nursery ended while it loaded rules and virus signatures");
	}
	m->coming.ready = r.word == NURSERY_READY;
	if (m->coming.ready && m->next != NULL) {
		commit(m, &r);
	} else if (m->coming.ready) {
		retire(m, &m->current);
		m->current = m->coming;
		memset(&m->coming, 0, sizeof(m->coming));
		for (unsigned i = 0; i < m->setup->workers; i++)
			tell_scanners(m, i);
		log_info("scanners are up again: %u rules, %u virus signatures", r.rules, r.signatures);
	} else if (m->next != NULL) {
		give_up(m, r.sentence);
	} else {
		log_error("no scanners: %s", r.sentence);
		retire(m, &m->coming);
		m->nursery_due = now_ms() + 10 * RESPAWN_PAUSE_MS;
	}
}

static void
log_death(const char *what, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s died: signal %d", what, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_error("%s ended: exit %d", what, WEXITSTATUS(status));
	else
		log_info("%s ended", what);
}

static void
worker_ended(struct master *m, unsigned i, int status)
{
	struct slot *slot = &m->slots[i];
	char what[48];

	snprintf(what, sizeof(what), "worker %u", i + 1);
	log_death(what, status);
	close(slot->control);
	slot->pid = 0;
	budgets_clear(m->budgets, i);
	if (m->ending)
		return;
	/* Its listening sockets are open here: who connects meanwhile waits for its successor. */
	if (now_ms() - slot->started < RESPAWN_PAUSE_MS)
		slot->due = now_ms() + RESPAWN_PAUSE_MS;
	else
		start_worker(m, i);
}

static void
child_ended(struct master *m, pid_t pid, int status)
{
	for (unsigned i = 0; m->slots != NULL && i < m->setup->workers; i++)
		if (m->slots[i].pid == pid) {
			worker_ended(m, i, status);
			return;
		}
	for (size_t i = 0; i < m->nretired; i++)
		if (m->retired[i].nursery == pid) {
			close(m->retired[i].control);
			m->retired[i] = m->retired[--m->nretired];
			return;
		}
	if (m->dialer == pid) {
		log_death("dialer", status);
		close(m->dialer_control);
		m->dialer = 0;
		m->dialer_due = now_ms() - m->dialer_started < RESPAWN_PAUSE_MS ? now_ms() + RESPAWN_PAUSE_MS : now_ms();
		return;
	}
	if (m->current.nursery == pid) {
		if (!m->ending)
			log_death("nursery", status);
		close(m->current.control);
		close_generation(&m->current);
		memset(&m->current, 0, sizeof(m->current));
		m->nursery_due = now_ms() + (m->ending ? 0 : 1);
	}
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	if (m->coming.nursery > 0)
		hear_nursery(m);	/* its sentence was sent before it ended */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_ended(m, pid, status);
}

static unsigned
workers_alive(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; m->slots != NULL && i < m->setup->workers; i++)
		n += m->slots[i].pid > 0;
	return n;
}

static void
end(struct master *m, bool at_once)
{
	struct control_msg msg = { .word = CONTROL_DRAIN };

	m->ending = true;
	if (m->setup == NULL)
		return;
	if (at_once || m->end_by != 0) {
		m->end_by = now_ms();
		return;
	}
	log_info("shutting down: %u workers finish what they have", workers_alive(m));
	m->end_by = now_ms() + (int64_t)(m->setup->conf->drain_timeout * 1000) + 1000;
	for (unsigned i = 0; i < m->setup->workers; i++)
		tell(m, i, &msg);
}

static void
on_signal(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(m);
			break;
		case SIGHUP:
			if (!m->ending) {
				log_info("reloading %s", m->path);
				begin(m);
			}
			break;
		case SIGUSR1:
			if (m->setup != NULL)
				reopen_log(m);
			break;
		default:
			end(m, m->ending);
			break;
		}
}

/* Starts what was put off; returns how many milliseconds the next of it is away, -1 for nothing. */
static int
do_what_is_due(struct master *m)
{
	int64_t now = now_ms(), next = -1;

	if (m->end_by != 0)
		return m->end_by > now ? (int)(m->end_by - now) : 0;
	if (m->setup == NULL)
		return -1;
	if (m->again && m->next == NULL)
		begin(m);
	if (m->nursery_due != 0 && m->nursery_due <= now)
		replace_nursery(m);
	if (m->nursery_due != 0)
		next = m->nursery_due - now;
	if (m->dialer_due != 0 && m->dialer_due <= now)
		settle_dialer(m);
	if (m->dialer_due != 0 && (next == -1 || m->dialer_due - now < next))
		next = m->dialer_due - now;
	for (unsigned i = 0; i < m->setup->workers; i++) {
		if (m->slots[i].due != 0 && m->slots[i].due <= now)
			start_worker(m, i);
		if (m->slots[i].due != 0 && (next == -1 || m->slots[i].due - now < next))
			next = m->slots[i].due - now;
	}
	return next < 0 ? -1 : (int)next;
}

static void
serve(struct master *m)
{
	while (!m->ending || (workers_alive(m) > 0 && m->end_by > now_ms())) {
		int wait = do_what_is_due(m);
		struct pollfd ready[] = {
			{ .fd = m->signals, .events = POLLIN },
			{ .fd = m->coming.nursery > 0 ? m->coming.control : -1, .events = POLLIN },
		};

		if (poll(ready, NITEMS(ready), wait) == -1 && errno != EINTR)
			break;
		if (ready[1].revents != 0)
			hear_nursery(m);
		if (ready[0].revents != 0)
			on_signal(m);
	}
}

/* A nursery whose control ends takes its scanners and temporary files with it; one that is deep in
 * loading does not hear that and is killed. */
static void
end_nursery(pid_t pid, int control)
{
	int64_t until = now_ms() + NURSERY_END_MS;

	if (pid <= 0)
		return;
	close(control);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (now_ms() > until)
			kill(pid, SIGKILL);
		poll(NULL, 0, 5);
	}
}

static void
end_children(struct master *m)
{
	for (unsigned i = 0; m->slots != NULL && i < m->setup->workers; i++)
		if (m->slots[i].pid > 0) {
			kill(m->slots[i].pid, SIGKILL);
			waitpid(m->slots[i].pid, NULL, 0);
		}
	stop_dialer(m);
	close_generation(&m->current);
	close_generation(&m->coming);
	end_nursery(m->current.nursery, m->current.control);
	end_nursery(m->coming.nursery, m->coming.control);
	for (size_t i = 0; i < m->nretired; i++)
		end_nursery(m->retired[i].nursery, m->retired[i].control);
}

static int
open_log(struct setup *setup, struct err *err)
{
	int fd = log_open(setup->conf->log_kind, setup->conf->log_path, err);

	if (fd == -1)
		return -1;
	log_use(setup->conf->log_kind, fd);
	return 0;
}

int
master_main(const char *conf_path)
{
	struct master m = { .path = conf_path };
	struct err err = { "" };
	sigset_t set;

	title_set("master");
	log_name("master");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < 6; i++)
		sigaddset(&set, (const int[]){ SIGCHLD, SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGQUIT }[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	m.next = setup_new(conf_path, NULL, &err);
	if (m.next == NULL || open_log(m.next, &err) == -1) {
		give_up(&m, err.text);
		return 1;
	}
	log_verbosity(m.next->conf->log_level);
	if (!setup_judges(m.next))
		commit(&m, NULL);
	else if (start_nursery(&m, m.next, &m.coming, &err) == -1)
		give_up(&m, err.text);
	serve(&m);
	end_children(&m);
	if (!m.failed)
		log_info("ended");
	setup_free(&m.setup);
	setup_free(&m.next);
	free(m.slots);
	free(m.retired);
	close(m.signals);
	return m.failed ? 1 : 0;
}
