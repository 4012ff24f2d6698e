#include "proxy/proc/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/imap/imap_client.h"
#include "proxy/net/flagged.h"
#include "proxy/net/listen.h"
#include "proxy/net/original.h"
#include "proxy/pop3/pop3.h"
#include "proxy/proc/control.h"
#include "proxy/smtp/smtp.h"

#define GOODBYE_STEP 0.01	/* seconds between two looks whether all goodbyes are said */
#define GOODBYE_MAX  2.0

struct port {			/* one listening socket */
	struct worker *worker;
	struct acceptor *acceptor;
	struct site *site;
	const struct conf_listener *listener;
};

struct worker {
	unsigned slot;
	int control;
	struct loop *loop;
	struct watch watch;
	struct timer drain_over;
	struct scan_pool *scanners;
	struct flagged *flagged;
	struct smtp_server *smtp;
	struct pop3_server *pop3;
	unsigned fronts;		/* of these two, how many still have sessions while we drain */
	struct site *site;		/* the current one; sessions may hold older ones */
	struct port *ports;
	size_t nports;
	bool draining;
	unsigned goodbyes;		/* how often we have waited for them */
};

/* Whoever was on its way to where we listen ourselves would be sent to us for ever. */
static bool
is_loop(const struct conf *conf, const struct addr *to)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		for (size_t k = 0; k < conf->listeners[i]->naddresses; k++)
			if (addr_port(&conf->listeners[i]->addresses[k]) == addr_port(to))
				return original_is_ours(to);
	return false;
}

static void
log_closed(const struct port *p, const struct addr *peer, const struct addr *to, const char *why)
{
	char from[ADDR_TEXT_MAX], where[ADDR_TEXT_MAX];
	struct buf line;

	addr_text(peer, from);
	addr_text(to, where);
	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "client", slice_of(from));
	log_word(&line, "listener", slice_of(p->listener->name));
	if (to->len > 0)
		log_word(&line, "original", slice_of(where));
	log_word(&line, "closed", slice_of(why));
	log_line(LOG_LEVEL_WARN, buf_slice(&line));
	buf_free(&line);
}

/* Where a client that was taken over was going. False: to nowhere that it could be brought; it is logged. */
static bool
find_original(const struct port *p, int fd, const struct addr *peer, struct addr *to)
{
	struct err err = { "" };

	if (original_destination(fd, p->listener->mode == CONF_REDIRECT, to, &err) == -1)
		log_closed(p, peer, to, err.text);
	else if (is_loop(p->site->conf, to))
		log_closed(p, peer, to, "a loop: it was going to an address of ours");
	else
		return true;
	return false;
}

static void
on_accepted(void *owner, int fd, const struct addr *peer)
{
	struct port *p = owner;
	struct addr original = { .len = 0 };

	if (p->listener->mode != CONF_PLAIN && !find_original(p, fd, peer, &original)) {
		close(fd);
		return;
	}
	if (p->listener->protocol == CONF_POP3)
		pop3_accept(p->worker->pop3, p->site, p->listener, fd, peer);
	else
		smtp_accept(p->worker->smtp, p->site, p->listener, fd, peer, &original);
}

static void
close_ports(struct worker *w)
{
	for (size_t i = 0; i < w->nports; i++) {
		acceptor_close(&w->ports[i].acceptor);
		site_unref(&w->ports[i].site);
	}
	if (w->ports != NULL)
		loop_free_later(w->loop, w->ports);
	w->ports = NULL;
	w->nports = 0;
}

static size_t
count_addresses(const struct conf *conf)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->nlisteners; i++)
		n += conf->listeners[i]->naddresses;
	return n;
}

static void
open_ports(struct worker *w, const int *fds, size_t nfds)
{
	const struct conf *conf = w->site->conf;
	size_t n = 0;

	w->ports = mem_array(nfds, sizeof(*w->ports));
	for (size_t i = 0; i < conf->nlisteners; i++)
		for (size_t k = 0; k < conf->listeners[i]->naddresses; k++) {
			struct port *p = &w->ports[n];

			p->worker = w;
			p->site = site_ref(w->site);
			p->listener = conf->listeners[i];
			p->acceptor = acceptor_new(w->loop, fds[n++], on_accepted, p);
		}
	w->nports = n;
}

static struct conf *
unpack(int memfd, struct err *err)
{
	struct slice bytes;
	struct conf *conf;

	if (control_map(memfd, &bytes, err) == -1)
		return NULL;
	conf = conf_unpack(bytes, err);
	control_unmap(&bytes);
	return conf;
}

static const struct backend_probe *
probe_for(const struct conf_backend *b)
{
	return b->protocol == CONF_IMAP ? &imap_probe : &smtp_probe;
}

static void
use_conf(struct worker *w, const struct control_msg *msg)
{
	struct err err = { "" };
	struct conf *conf = unpack(msg->fds[0], &err);
	struct site *site = conf != NULL ? site_new(w->loop, conf, probe_for, &err) : NULL;

	close(msg->fds[0]);
	if (site == NULL || count_addresses(conf) != msg->nfds - 1) {
		/* Master has checked all this: without a configuration at the start we end, else the old one stays. */
		log_error("the new configuration cannot be used: %s", site == NULL ? err.text : "listening sockets do not match");
		for (size_t i = 1; i < msg->nfds; i++)
			close(msg->fds[i]);
		site_unref(&site);
		conf_unref(&conf);
		if (w->site == NULL)
			loop_stop(w->loop);
		return;
	}
	close_ports(w);
	site_unref(&w->site);
	w->site = site;
	log_verbosity(conf->log_level);
	smtp_server_limits(w->smtp, conf->max_connections, conf->spool_memory);
	pop3_server_limits(w->pop3, conf->max_connections);
	open_ports(w, msg->fds + 1, msg->nfds - 1);
	conf_unref(&conf);
}

static void
end_now(void *owner)
{
	struct worker *w = owner;

	loop_stop(w->loop);
}

/* The last session is gone, but perhaps not yet the last goodbye, to clients and to backends. */
static void
end_soon(void *owner)
{
	struct worker *w = owner;

	if (loop_peers(w->loop) == 0 || w->goodbyes++ * GOODBYE_STEP > GOODBYE_MAX)
		loop_stop(w->loop);
	else
		timer_set(&w->drain_over, GOODBYE_STEP);
}

static void
on_all_gone(void *owner)
{
	struct worker *w = owner;

	if (--w->fronts > 0)
		return;
	/* The backends' health is of no more interest; nobody uses this site now. */
	site_unref(&w->site);
	w->drain_over.expired = end_soon;
	timer_set(&w->drain_over, 0);
}

static void
drain(struct worker *w)
{
	if (w->draining)
		return;
	w->draining = true;
	title_set("worker %u draining", w->slot + 1);
	close_ports(w);
	timer_set(&w->drain_over, w->site != NULL ? w->site->conf->drain_timeout : 0);
	w->fronts = 2;
	smtp_server_drain(w->smtp, on_all_gone, w);
	pop3_server_drain(w->pop3, on_all_gone, w);
}

static void
obey(struct worker *w, const struct control_msg *msg)
{
	struct scan_generation_fds fds;

	switch (msg->word) {
	case CONTROL_CONF:
		if (msg->nfds >= 1)
			use_conf(w, msg);
		return;
	case CONTROL_SCANNERS:
		if (msg->nfds == 3) {
			fds = (struct scan_generation_fds){ msg->fds[0], msg->fds[1], msg->fds[2] };
			scan_pool_use(w->scanners, &fds, msg->number);
			return;
		}
		break;
	case CONTROL_LOG:
		if (msg->nfds == 1) {
			log_use((enum log_kind)msg->number, msg->fds[0]);
			return;
		}
		break;
	case CONTROL_DRAIN:
		drain(w);
		return;
	case CONTROL_DIALER:
		if (msg->nfds == 1) {
			flagged_use(w->flagged, msg->fds[0]);
			return;
		}
		break;
	}
	log_error("control message %d makes no sense", msg->word);
}

static void
on_control(void *owner)
{
	struct worker *w = owner;
	struct control_msg msg;
	int got = control_recv(w->control, &msg);

	if (got == 0)
		loop_stop(w->loop);	/* master is gone: nobody would replace or reload us */
	else if (got == 1)
		obey(w, &msg);
}

static void
raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int
worker_main(unsigned slot, int control, struct budgets *budgets, const struct priv *priv)
{
	struct worker w = { .slot = slot, .control = control };
	struct rlimit no_core = { 0, 0 };
	struct err err = { "" };
	char role[32];

	snprintf(role, sizeof(role), "worker %u", slot + 1);
	title_set("%s", role);
	log_name(role);
	raise_descriptors();
	setrlimit(RLIMIT_CORE, &no_core);
	if (priv_drop(priv, true, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* again: changing the user has cleared it */
	/* The jail (seccomp, Landlock) closes here; it must leave sockets, memfds and epoll. */

	w.loop = loop_new();
	w.scanners = scan_pool_new(w.loop);
	w.flagged = flagged_stock(w.loop);
	w.smtp = smtp_server_new(w.loop, w.scanners, w.flagged, budgets, slot);
	w.pop3 = pop3_server_new(w.loop, budgets, slot);
	timer_init(&w.drain_over, w.loop, end_now, &w);
	watch_start(&w.watch, w.loop, control, on_control, &w);
	loop_run(w.loop);

	/* What is still open ends with the process. A clean end gives back what it can, for leak checks. */
	watch_stop(&w.watch);
	timer_stop(&w.drain_over);
	close_ports(&w);
	if (smtp_server_sessions(w.smtp) > 0 || pop3_server_sessions(w.pop3) > 0 || loop_peers(w.loop) > 0)
		_exit(0);
	smtp_server_free(&w.smtp);
	pop3_server_free(&w.pop3);
	flagged_free(&w.flagged);
	scan_pool_free(&w.scanners);
	site_unref(&w.site);
	loop_free(&w.loop);
	return 0;
}
