/* What master tells its children. */
#include <signal.h>
#include <unistd.h>

#include "proxy/base/chan.h"
#include "proxy/base/log.h"
#include "proxy/base/memfd.h"
#include "proxy/proc/keeping.h"
#include "proxy/proc/master_int.h"

/* One that does not listen any more is replaced: its successor is told everything anew, and master
 * never waits for a worker. */
void
master_tell(struct master *m, unsigned i, const struct control_msg *msg)
{
	if (m->slots[i].pid <= 0 || control_send(m->slots[i].control, msg) == 0)
		return;
	log_error("worker %u cannot be told and is killed: %m", i + 1);
	kill(m->slots[i].pid, SIGKILL);
}

void
master_tell_scanners(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_SCANNERS, .number = m->setup->conf->scanners, .nfds = 3,
		.fds = { m->current.small, m->current.large, m->current.kill } };

	if (m->current.ready)
		master_tell(m, i, &msg);
}

void
master_tell_conf(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_CONF, .fds = { m->setup->memfd }, .nfds = 1 };

	for (size_t p = 0; p < m->setup->nports; p++)
		msg.fds[msg.nfds++] = m->setup->ports[p].fds[i];
	master_tell(m, i, &msg);
}

/* A memfd of its own for each: it is mapped, read and gone. */
void
master_tell_tickets(struct master *m, unsigned i)
{
	struct control_msg msg = { .word = CONTROL_TICKETS, .nfds = 1 };
	struct err err = { "" };
	struct buf bytes;

	buf_init(&bytes, 1024);
	buf_secret(&bytes, true);
	ticket_keys_put(&m->tickets, &bytes);
	msg.fds[0] = memfd_of("gatepost-tickets", buf_slice(&bytes), &err);
	buf_free(&bytes);
	if (msg.fds[0] == -1) {
		log_error("keys of session tickets: %s", err.text);
		return;
	}
	master_tell(m, i, &msg);
	close(msg.fds[0]);
}

static int64_t
ticket_period(const struct master *m)
{
	return (int64_t)(m->setup->conf->ticket_rotation * 1000);
}

/* New keys for all. */
void
master_rotate_tickets(struct master *m)
{
	struct err err = { "" };

	m->tickets_due = master_now() + ticket_period(m);
	if (ticket_keys_rotate(&m->tickets, &err) == -1) {
		log_error("session tickets keep their key: %s", err.text);
		return;
	}
	for (unsigned i = 0; i < m->setup->workers; i++)
		master_tell_tickets(m, i);
	log_debug("session tickets have a new key");
}

/* A reload may have changed how long a key is in use; what has run of its time counts. */
void
master_settle_tickets(struct master *m)
{
	int64_t due = master_now() + ticket_period(m);

	if (ticket_period(m) == 0)
		m->tickets_due = 0;
	else if (m->tickets_due == 0 || m->tickets_due > due)
		m->tickets_due = due;
}

/* A channel between a process that serves the workers and one of them: each gets an end of it. */
static void
connect_to(struct master *m, enum control_word word, const char *name, pid_t pid, int control, unsigned i)
{
	struct control_msg msg = { .word = word, .number = word == CONTROL_DIALER && conf_keeps_source(m->setup->conf), .nfds = 1 };
	struct err err = { "" };
	int ends[2];

	if (pid == 0 || m->slots[i].pid <= 0)
		return;
	if (chan_pair(ends, &err) == -1) {
		log_error("%s", err.text);
		return;
	}
	msg.fds[0] = ends[0];
	if (control_send(control, &msg) == -1) {
		log_error("the %s cannot be told and is killed: %m", name);
		kill(pid, SIGKILL);
	}
	msg.fds[0] = ends[1];
	master_tell(m, i, &msg);
	close(ends[0]);
	close(ends[1]);
}

void
master_tell_dialer(struct master *m, unsigned i)
{
	connect_to(m, CONTROL_DIALER, "dialer", m->dialer, m->dialer_control, i);
}

void
master_tell_keeper(struct master *m, unsigned i)
{
	connect_to(m, CONTROL_KEEPER, "keeper", m->keeper.pid, m->keeper.control, i);
}

void
master_tell_limits(struct master *m)
{
	struct control_msg msg = { .word = CONTROL_LIMITS, .number = m->setup->conf->log_level, .nfds = 1 };
	struct err err = { "" };

	if (m->keeper.pid == 0)
		return;
	msg.fds[0] = keeping_limits(m->setup->conf, m->generation, &err);
	if (msg.fds[0] == -1)
		log_error("%s", err.text);
	else if (control_send(m->keeper.control, &msg) == -1)
		kill(m->keeper.pid, SIGKILL);	/* its successor is started with these */
	if (msg.fds[0] != -1)
		close(msg.fds[0]);
}
