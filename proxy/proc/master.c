#include "proxy/proc/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filters/nursery.h"
#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/proc/dialer.h"
#include "proxy/proc/keeping.h"
#include "proxy/proc/master_int.h"

#define KEEPER_PAUSE_MS 3000	/* for one that ended by itself: what hinders it will hinder the next */

int64_t
master_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
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
keeper_ended(struct master *m, int status)
{
	int64_t pause = WIFEXITED(status) ? KEEPER_PAUSE_MS : RESPAWN_PAUSE_MS, now = master_now();

	log_death("keeper", status);
	/* A sender whose link broke in that moment comes again, and the ledger may not know it. */
	if (WIFSIGNALED(status))
		log_warn("the keeper left commits unwritten: outcome unknown of messages whose senders have not heard their answer yet");
	close(m->keeper.control);
	m->keeper.pid = 0;
	if (m->ending)
		return;
	if (now - m->keeper.started < pause)
		m->keeper.due = now + pause;
	else
		master_start_keeper(m);
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

	master_close_generation(g);
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
		master_tell(m, i, &msg);
	if (m->keeper.pid > 0 && control_send(m->keeper.control, &msg) == -1)
		kill(m->keeper.pid, SIGKILL);
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

	if (!first && !dialer_serves_both(m->setup->conf, m->next->conf))
		master_stop_dialer(m);		/* another one is told anew; who waits for a path asks it again */
	setup_commit(&m->setup, m->next);
	m->next = NULL;
	log_verbosity(m->setup->conf->log_level);
	if (first) {
		m->slots = mem_array(m->setup->workers, sizeof(*m->slots));
		m->pages.budgets = budgets_new(m->setup->workers);
		m->pages.crowd = crowd_new(m->setup->workers);
		m->pages.throttle = smtp_throttle_new();
		m->pages.hints = keeper_hints_new();
		if (m->pages.budgets == NULL || m->pages.crowd == NULL || m->pages.throttle == NULL || m->pages.hints == NULL) {
			log_error("no memory for the pages that the workers share: %s", strerror(errno));
			exit(1);
		}
	}
	retire(m, &m->current);
	m->current = m->coming;
	memset(&m->coming, 0, sizeof(m->coming));
	master_settle_tickets(m);
	master_settle_dialer(m);		/* before the workers: who begins to listen has its sockets */
	m->generation++;
	if (first)
		master_start_keeper(m);
	else
		master_tell_limits(m);
	for (unsigned i = 0; i < m->setup->workers; i++) {
		if (first) {
			master_start_worker(m, i);
			continue;
		}
		master_tell_conf(m, i);
		master_tell_scanners(m, i);
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
		m->nursery_due = master_now();	/* it died meanwhile, and waited for this setup's */
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
	else if (master_start_nursery(m, m->next, &m->coming, &err) == -1)
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
	if (master_start_nursery(m, m->setup, &m->coming, &err) == -1) {
		log_error("%s", err.text);
		retire(m, &m->coming);
		m->nursery_due = master_now() + RESPAWN_PAUSE_MS;
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
			master_tell_scanners(m, i);
		log_info("scanners are up again: %u rules, %u virus signatures", r.rules, r.signatures);
	} else if (m->next != NULL) {
		give_up(m, r.sentence);
	} else {
		log_error("no scanners: %s", r.sentence);
		retire(m, &m->coming);
		m->nursery_due = master_now() + 10 * RESPAWN_PAUSE_MS;
	}
}

static void
worker_ended(struct master *m, unsigned i, int status)
{
	struct slot *slot = &m->slots[i];
	unsigned long long unknown = budget_used_by(m->pages.budgets, BUDGET_DELIVERING, i);
	char what[48];

	snprintf(what, sizeof(what), "worker %u", i + 1);
	log_death(what, status);
	/* RFC 1047: their senders heard nothing and will come again; the server may have them already. */
	if (unknown > 0)
		log_warn("%s left messages on their way: outcome unknown of %llu", what, unknown);
	close(slot->control);
	slot->pid = 0;
	budgets_clear(m->pages.budgets, i);
	crowd_clear(m->pages.crowd, i);
	if (m->ending)
		return;
	/* Its listening sockets are open here: who connects meanwhile waits for its successor. */
	if (master_now() - slot->started < RESPAWN_PAUSE_MS)
		slot->due = master_now() + RESPAWN_PAUSE_MS;
	else
		master_start_worker(m, i);
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
	if (m->keeper.pid == pid) {
		keeper_ended(m, status);
		return;
	}
	if (m->dialer == pid) {
		log_death("dialer", status);
		close(m->dialer_control);
		m->dialer = 0;
		m->dialer_due = master_now() - m->dialer_started < RESPAWN_PAUSE_MS ? master_now() + RESPAWN_PAUSE_MS : master_now();
		return;
	}
	if (m->current.nursery == pid) {
		if (!m->ending)
			log_death("nursery", status);
		close(m->current.control);
		master_close_generation(&m->current);
		memset(&m->current, 0, sizeof(m->current));
		m->nursery_due = master_now() + (m->ending ? 0 : 1);
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
		m->end_by = master_now();
		return;
	}
	log_info("shutting down: %u workers finish what they have", workers_alive(m));
	m->end_by = master_now() + (int64_t)(m->setup->conf->drain_timeout * 1000) + 1000;
	for (unsigned i = 0; i < m->setup->workers; i++)
		master_tell(m, i, &msg);
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
	int64_t now = master_now(), next = -1;

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
	if (m->tickets_due != 0 && m->tickets_due <= now)
		master_rotate_tickets(m);
	if (m->tickets_due != 0 && (next == -1 || m->tickets_due - now < next))
		next = m->tickets_due - now;
	if (m->dialer_due != 0 && m->dialer_due <= now)
		master_settle_dialer(m);
	if (m->dialer_due != 0 && (next == -1 || m->dialer_due - now < next))
		next = m->dialer_due - now;
	if (m->keeper.due != 0 && m->keeper.due <= now)
		master_start_keeper(m);
	if (m->keeper.due != 0 && (next == -1 || m->keeper.due - now < next))
		next = m->keeper.due - now;
	for (unsigned i = 0; i < m->setup->workers; i++) {
		if (m->slots[i].due != 0 && m->slots[i].due <= now)
			master_start_worker(m, i);
		if (m->slots[i].due != 0 && (next == -1 || m->slots[i].due - now < next))
			next = m->slots[i].due - now;
	}
	return next < 0 ? -1 : (int)next;
}

static void
serve(struct master *m)
{
	while (!m->ending || (workers_alive(m) > 0 && m->end_by > master_now())) {
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

static void
end_children(struct master *m)
{
	for (unsigned i = 0; m->slots != NULL && i < m->setup->workers; i++)
		if (m->slots[i].pid > 0) {
			kill(m->slots[i].pid, SIGKILL);
			waitpid(m->slots[i].pid, NULL, 0);
		}
	master_stop_dialer(m);
	master_stop_keeper(m);
	master_close_generation(&m->current);
	master_close_generation(&m->coming);
	master_end_nursery(m->current.nursery, m->current.control);
	master_end_nursery(m->coming.nursery, m->coming.control);
	for (size_t i = 0; i < m->nretired; i++)
		master_end_nursery(m->retired[i].nursery, m->retired[i].control);
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
	m.next = ticket_keys_make(&m.tickets, &err) == 0 ? setup_new(conf_path, NULL, &err) : NULL;
	if (m.next == NULL || open_log(m.next, &err) == -1) {
		give_up(&m, err.text);
		return 1;
	}
	log_verbosity(m.next->conf->log_level);
	if (!setup_judges(m.next))
		commit(&m, NULL);
	else if (master_start_nursery(&m, m.next, &m.coming, &err) == -1)
		give_up(&m, err.text);
	serve(&m);
	end_children(&m);
	if (!m.failed)
		log_info("ended");
	ticket_keys_wipe(&m.tickets);
	setup_free(&m.setup);
	setup_free(&m.next);
	free(m.slots);
	free(m.retired);
	close(m.signals);
	return m.failed ? 1 : 0;
}
