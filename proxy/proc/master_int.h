/* master_int.h - what master's files share: what it holds, how its children begin and end, what they are told. */
#ifndef PROXY_PROC_MASTER_INT_H
#define PROXY_PROC_MASTER_INT_H

#include "proxy/net/ticket.h"
#include "proxy/proc/control.h"
#include "proxy/proc/setup.h"
#include "proxy/proc/worker.h"

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
	struct worker_pages pages;
	struct ticket_keys tickets;	/* every worker's; they outlive reloads */
	int64_t tickets_due;		/* when the next ones come; 0: there are none */
	pid_t dialer;			/* 0: none */
	int dialer_control;
	int64_t dialer_started, dialer_due;
	struct slot keeper;
	uint32_t generation;		/* of the configuration */
	struct generation current, coming;
	struct retired *retired;
	size_t nretired;
	int64_t nursery_due;
	bool ending, failed;
	int64_t end_by;			/* milliseconds; 0: not draining */
};

int64_t master_now(void);		/* milliseconds */

/* master_child.c: each process begins with what it needs, and with nothing else of master's. What cannot be started
 * now is logged and due later, but for a nursery: -1 with err. */
int master_start_nursery(struct master *, struct setup *, struct generation *, struct err *);
void master_close_generation(struct generation *);	/* the workers' ends; the nursery hears it, and retires */
void master_end_nursery(pid_t, int control);		/* closes control, and waits until it has ended */
void master_settle_dialer(struct master *);		/* there is one if the configuration wants it */
void master_stop_dialer(struct master *);
void master_start_keeper(struct master *);
void master_stop_keeper(struct master *);
void master_start_worker(struct master *, unsigned slot);	/* and tells it all that it needs */

/* master_tell.c: what the workers, and the keeper, are told. Who cannot be told is killed, and replaced. */
void master_tell(struct master *, unsigned slot, const struct control_msg *);
void master_tell_scanners(struct master *, unsigned slot);
void master_tell_conf(struct master *, unsigned slot);
void master_tell_tickets(struct master *, unsigned slot);
void master_tell_dialer(struct master *, unsigned slot);	/* both get an end of a channel */
void master_tell_keeper(struct master *, unsigned slot);
void master_tell_limits(struct master *);		/* the keeper */
void master_rotate_tickets(struct master *);		/* new keys for all */
void master_settle_tickets(struct master *);		/* when the next ones are due, after a reload */

#endif
