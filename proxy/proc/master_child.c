/* Master's children: how they begin and how they end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/nursery.h"
#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/proc/dialer.h"
#include "proxy/proc/keeping.h"
#include "proxy/proc/master_int.h"

#define NURSERY_END_MS 3000
#define KEEPER_END_MS  10000	/* for what it has still to write */

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

/* Scanners and the dialer have no business with private keys and passwords: nothing of them stays in their
 * memory, neither of the setup that is loaded nor of the one that runs. */
static void
forget_setup_keys(const struct setup *setup)
{
	for (size_t i = 0; setup != NULL && i < setup->conf->ntls; i++)
		mem_wipe(setup->conf->tls[i]->key.bytes, setup->conf->tls[i]->key.len);
	for (size_t i = 0; setup != NULL && i < setup->conf->nbackends; i++)
		if (setup->conf->backends[i]->login_password.bytes != NULL)
			mem_wipe(setup->conf->backends[i]->login_password.bytes, setup->conf->backends[i]->login_password.len);
}

static void
forget_keys(struct master *m)
{
	forget_setup_keys(m->setup);
	forget_setup_keys(m->next);
	ticket_keys_wipe(&m->tickets);
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
	forget_keys(m);
	/* Rules lie where an administrator may read; they are parsed by somebody who may not. */
	files = rules_files_read(setup->conf->rules, setup->conf->nrules, &err);
	if (files == NULL || priv_drop(&setup->scan_user, false, &err) == -1) {
		nursery_fail(fds, err.text);
		exit(1);
	}
	exit(nursery_main(setup->conf, files, fds));
}

void
master_close_generation(struct generation *g)
{
	if (g->kill > 0)
		close(g->kill);		/* first: its nursery then knows why its scanners leave */
	if (g->small > 0)
		close(g->small);
	if (g->large > 0)
		close(g->large);
	g->small = g->large = g->kill = 0;
}

int
master_start_nursery(struct master *m, struct setup *setup, struct generation *g, struct err *err)
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
	g->started = master_now();
	return g->nursery == -1 ? err_sys(err, "fork") : 0;
}

/* A nursery whose control ends takes its scanners and temporary files with it; one that is deep in
 * loading does not hear that and is killed. */
void
master_end_nursery(pid_t pid, int control)
{
	int64_t until = master_now() + NURSERY_END_MS;

	if (pid <= 0)
		return;
	close(control);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (master_now() > until)
			kill(pid, SIGKILL);
		poll(NULL, 0, 5);
	}
}

static _Noreturn void
be_dialer(struct master *m, int control, pid_t parent)
{
	int keep[] = { control, log_fd() };

	child_begins(parent);
	keep_only(keep, NITEMS(keep));
	forget_keys(m);
	exit(dialer_main(control, &m->setup->worker_user, m->setup->conf));
}

static void
start_dialer(struct master *m)
{
	struct err err = { "" };
	pid_t parent = getpid();
	int control[2];

	m->dialer_started = master_now();
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
void
master_stop_dialer(struct master *m)
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
void
master_settle_dialer(struct master *m)
{
	m->dialer_due = 0;
	if (!dialer_is_needed(m->setup->conf))
		master_stop_dialer(m);
	else if (m->dialer == 0)
		start_dialer(m);
	else
		return;
	for (unsigned i = 0; i < m->setup->workers; i++)
		master_tell_dialer(m, i);
}

/* The keeper is told what it needs of the configuration, and nothing else: there are keys in that. */
static _Noreturn void
be_keeper(struct master *m, int control, int limits, pid_t parent)
{
	int keep[] = { control, limits, log_fd() };

	child_begins(parent);
	keep_only(keep, NITEMS(keep));
	forget_keys(m);
	exit(keeping_main(control, limits, m->pages.hints, m->setup->state_dir, &m->setup->worker_user));
}

/* The page of hints is cleared between the last keeper's end and the first channel to the next (keeper_hints.h). */
void
master_start_keeper(struct master *m)
{
	struct err err = { "" };
	pid_t parent = getpid();
	int control[2], limits = keeping_limits(m->setup->conf, m->generation, &err);

	m->keeper.started = master_now();
	m->keeper.due = 0;
	keeper_hints_clear(m->pages.hints);
	if (limits == -1 || chan_pair(control, &err) == -1) {
		log_error("%s", err.text);
		m->keeper.due = m->keeper.started + RESPAWN_PAUSE_MS;
		if (limits != -1)
			close(limits);
		return;
	}
	fcntl(control[0], F_SETFL, O_NONBLOCK);
	m->keeper.pid = fork();
	if (m->keeper.pid == 0)
		be_keeper(m, control[1], limits, parent);
	close(control[1]);
	close(limits);
	m->keeper.control = control[0];
	if (m->keeper.pid == -1) {
		log_error("fork: %m");
		close(control[0]);
		m->keeper.pid = 0;
		m->keeper.due = m->keeper.started + RESPAWN_PAUSE_MS;
	}
	for (unsigned i = 0; i < m->setup->workers; i++)
		master_tell_keeper(m, i);
}

/* The workers are gone: it hears their last words, writes, and ends. */
void
master_stop_keeper(struct master *m)
{
	int64_t until = master_now() + KEEPER_END_MS;

	if (m->keeper.pid == 0)
		return;
	close(m->keeper.control);
	while (waitpid(m->keeper.pid, NULL, WNOHANG) == 0) {
		if (master_now() > until)
			kill(m->keeper.pid, SIGKILL);
		poll(NULL, 0, 5);
	}
	m->keeper.pid = 0;
}

void
master_start_worker(struct master *m, unsigned i)
{
	struct slot *slot = &m->slots[i];
	struct err err = { "" };
	pid_t parent = getpid();
	int control[2], keep[2];

	slot->due = 0;
	slot->started = master_now();
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
		ticket_keys_wipe(&m->tickets);	/* it is told; these would stay here for ever */
		exit(worker_main(i, control[1], &m->pages, &m->setup->worker_user));
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
	master_tell_dialer(m, i);
	master_tell_tickets(m, i);
	master_tell_keeper(m, i);
	master_tell_conf(m, i);
	master_tell_scanners(m, i);
}
