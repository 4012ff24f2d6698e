#include "proxy/proc/worker.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "policy/gate/access.h"
#include "policy/keeper/keeper_client.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/imap/imap_client.h"
#include "proxy/net/arrival.h"
#include "proxy/net/flagged.h"
#include "proxy/net/listen.h"
#include "proxy/net/original.h"
#include "proxy/net/ticket.h"
#include "proxy/pop3/pop3.h"
#include "proxy/proc/control.h"
#include "proxy/smtp/smtp.h"
#include "proxy/smtp/smtp_release.h"
#include "proxy/smtp/smtp_throttle.h"

#define KNOWN_STEP   0.005	/* seconds between two looks whether all backends were asked */
#define KNOWN_MAX    0.3
#define GOODBYE_STEP 0.01	/* seconds between two looks whether all goodbyes are said */
#define GOODBYE_MAX  2.0
#define GUESTS_MAX   4096	/* connections whose PROXY header has not come yet */

struct port {			/* one listening socket */
	struct worker *worker;
	struct acceptor *acceptor;
	struct site *site;
	const struct conf_listener *listener;
	int fd;				/* the acceptor's, once there is one */
};

struct guest {			/* a proxy's connection whose header is waited for */
	struct worker *worker;
	struct guest *next, **prev;
	struct site *site;
	const struct conf_listener *listener;
	struct arrival_wait *wait;
	struct addr peer;
};

struct worker {
	unsigned slot;
	int control;
	struct loop *loop;
	struct watch watch;
	struct timer drain_over;
	struct scan_pool *scanners;
	struct flagged *flagged;
	struct budgets *budgets;
	struct ticket_keys tickets;	/* the same as the other workers' */
	struct keeper *keeper;
	struct smtp_releases *releases;
	struct smtp_server *smtp;
	struct pop3_server *pop3;
	unsigned fronts;		/* of these two, how many still have sessions while we drain */
	struct site *site;		/* the current one; sessions may hold older ones */
	struct port *ports;
	size_t nports;
	bool accepting;
	struct timer known;		/* until the backends were asked once */
	double known_by;		/* loop_now() at which it is not waited for any more */
	struct guest *guests;
	unsigned nguests;
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
log_closed(const struct conf_listener *l, const struct addr *peer, const struct addr *to, const char *why)
{
	char from[ADDR_TEXT_MAX], where[ADDR_TEXT_MAX];
	struct buf line;

	addr_text(peer, from);
	addr_text(to, where);
	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "client", slice_of(from));
	log_word(&line, "listener", slice_of(l->name));
	if (to->len > 0)
		log_word(&line, "original", slice_of(where));
	log_word(&line, "closed", slice_of(why));
	log_line(LOG_LEVEL_WARN, buf_slice(&line));
	buf_free(&line);
}

/* Where a client that was taken over was going. False: to nowhere that it could be brought; it is logged. */
static bool
find_original(const struct site *site, const struct conf_listener *l, struct arrival *a)
{
	struct err err = { "" };

	if (original_destination(a->fd, l->mode == CONF_REDIRECT, &a->original, &err) == -1)
		log_closed(l, &a->client, &a->original, err.text);
	else if (is_loop(site->conf, &a->original))
		log_closed(l, &a->client, &a->original, "a loop: it was going to an address of ours");
	else
		return true;
	return false;
}

static void
let_in(struct worker *w, struct site *site, const struct conf_listener *l, const struct arrival *arrival)
{
	struct arrival copy = *arrival, *a = &copy;

	if (l->mode != CONF_PLAIN && !find_original(site, l, a))
		close(a->fd);
	else if (l->protocol == CONF_POP3)
		pop3_accept(w->pop3, site, l, a);
	else
		smtp_accept(w->smtp, site, l, a);
}

static void
guest_gone(struct guest *g)
{
	arrival_wait_close(&g->wait);
	site_unref(&g->site);
	*g->prev = g->next;
	if (g->next != NULL)
		g->next->prev = g->prev;
	g->worker->nguests--;
	loop_free_later(g->worker->loop, g);
}

static void
on_header(void *owner, const struct arrival *a, const char *why)
{
	struct guest *g = owner;
	char peer[ADDR_TEXT_MAX];

	g->wait = NULL;
	if (a != NULL) {
		let_in(g->worker, g->site, g->listener, a);
	} else if (why != NULL) {
		log_closed(g->listener, &g->peer, &(struct addr){ .len = 0 }, why);
	} else {
		/* A balancer that looks whether anybody is there. */
		addr_text(&g->peer, peer);
		log_debug("client=%s listener=%s closed without a word", peer, g->listener->name);
	}
	guest_gone(g);
}

/* Nothing is said to a proxy before it has said for whom it comes. */
static void
wait_for_header(struct port *p, int fd, const struct addr *peer)
{
	struct worker *w = p->worker;
	struct guest *g;

	if (w->nguests == GUESTS_MAX) {
		log_closed(p->listener, peer, &(struct addr){ .len = 0 }, "too many connections whose PROXY header has not come yet");
		close(fd);
		return;
	}
	g = mem_new(sizeof(*g));
	g->worker = w;
	g->site = site_ref(p->site);
	g->listener = p->listener;
	g->peer = *peer;
	g->next = w->guests;
	if (g->next != NULL)
		g->next->prev = &g->next;
	g->prev = &w->guests;
	w->guests = g;
	w->nguests++;
	g->wait = arrival_wait(w->loop, fd, peer,
	    g->listener->command_timeout < ARRIVAL_WAIT ? g->listener->command_timeout : ARRIVAL_WAIT, on_header, g);
}

static void
on_accepted(void *owner, int fd, const struct addr *peer)
{
	struct port *p = owner;
	struct arrival a;

	if (gate_is_proxy(p->listener, peer)) {
		wait_for_header(p, fd, peer);
		return;
	}
	arrival_of(&a, fd, peer);
	let_in(p->worker, p->site, p->listener, &a);
}

static void
close_ports(struct worker *w)
{
	timer_stop(&w->known);
	for (size_t i = 0; i < w->nports; i++) {
		if (w->accepting)
			acceptor_close(&w->ports[i].acceptor);
		else
			close(w->ports[i].fd);
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
accept_on_ports(struct worker *w)
{
	for (size_t i = 0; i < w->nports; i++)
		w->ports[i].acceptor = acceptor_new(w->loop, w->ports[i].fd, on_accepted, &w->ports[i]);
	w->accepting = true;
}

/* What clients are offered depends on what the servers behind can do: who connects waits until they were asked,
 * for a moment. The kernel queues him meanwhile. */
static void
on_known(void *owner)
{
	struct worker *w = owner;

	if (site_is_known(w->site) || loop_now(w->loop) >= w->known_by)
		accept_on_ports(w);
	else
		timer_set(&w->known, KNOWN_STEP);
}

static void
open_ports(struct worker *w, const int *fds, size_t nfds)
{
	const struct conf *conf = w->site->conf;
	size_t n = 0;

	w->ports = mem_array(nfds, sizeof(*w->ports));
	for (size_t i = 0; i < conf->nlisteners; i++)
		for (size_t k = 0; k < conf->listeners[i]->naddresses; k++, n++)
			w->ports[n] = (struct port){ .worker = w, .site = site_ref(w->site), .listener = conf->listeners[i], .fd = fds[n] };
	w->nports = n;
	w->accepting = false;
	w->known_by = loop_now(w->loop) + KNOWN_MAX;
	on_known(w);
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
	struct site_means means = { w->flagged, &w->tickets, w->budgets, w->slot };
	struct site *site = conf != NULL ? site_new(w->loop, conf, probe_for, &means, &err) : NULL;

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
	if (w->site != NULL)
		site_inherit(site, w->site);
	site_unref(&w->site);
	w->site = site;
	log_verbosity(conf->log_level);
	keeper_client_ledger(w->keeper, conf->ledger);
	smtp_releases_site(w->releases, site);
	smtp_server_limits(w->smtp, conf);
	pop3_server_limits(w->pop3, conf->max_connections);
	open_ports(w, msg->fds + 1, msg->nfds - 1);
	conf_unref(&conf);
}

static void
use_tickets(struct worker *w, int memfd)
{
	struct err err = { "" };
	struct slice bytes;

	if (control_map(memfd, &bytes, &err) == -1) {
		log_error("keys of session tickets: %s", err.text);
	} else {
		if (!ticket_keys_get(&w->tickets, bytes))
			log_error("keys of session tickets make no sense");
		control_unmap(&bytes);
	}
	close(memfd);
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
	smtp_releases_site(w->releases, NULL);
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
	while (w->guests != NULL)
		guest_gone(w->guests);
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
	case CONTROL_TICKETS:
		if (msg->nfds == 1) {
			use_tickets(w, msg->fds[0]);
			return;
		}
		break;
	case CONTROL_DIALER:
		if (msg->nfds == 1) {
			flagged_use(w->flagged, msg->fds[0], msg->number == 1);
			return;
		}
		break;
	case CONTROL_KEEPER:
		if (msg->nfds == 1) {
			keeper_client_use(w->keeper, msg->fds[0]);
			return;
		}
		break;
	case CONTROL_LIMITS:
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

int
worker_main(unsigned slot, int control, const struct worker_pages *pages, const struct priv *priv)
{
	struct worker w = { .slot = slot, .control = control, .budgets = pages->budgets };
	struct rlimit no_core = { 0, 0 };
	struct err err = { "" };
	char role[32];

	snprintf(role, sizeof(role), "worker %u", slot + 1);
	title_set("%s", role);
	log_name(role);
	priv_raise_descriptors();
	setrlimit(RLIMIT_CORE, &no_core);
	if (priv_drop(priv, true, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* again: changing the user has cleared it */
	/* The jail (seccomp, Landlock) closes here; it must leave sockets, memfds and epoll. */

	/* Until master's come: a ticket sealed with these is only ever opened here. */
	if (ticket_keys_make(&w.tickets, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	w.loop = loop_new();
	w.scanners = scan_pool_new(w.loop);
	w.flagged = flagged_stock(w.loop);
	w.keeper = keeper_client_new(w.loop, pages->hints);
	w.smtp = smtp_server_new(&(struct smtp_means){ .loop = w.loop, .scanners = w.scanners, .flagged = w.flagged,
	    .keeper = w.keeper, .budgets = pages->budgets, .crowd = pages->crowd, .throttle = pages->throttle, .slot = slot });
	w.releases = smtp_releases_new(w.keeper, smtp_server_pool(w.smtp));
	w.pop3 = pop3_server_new(w.loop, pages->budgets, pages->crowd, slot);
	timer_init(&w.drain_over, w.loop, end_now, &w);
	timer_init(&w.known, w.loop, on_known, &w);
	watch_start(&w.watch, w.loop, control, on_control, &w);
	loop_run(w.loop);

	/* What is still open ends with the process. A clean end gives back what it can, for leak checks. */
	watch_stop(&w.watch);
	timer_stop(&w.drain_over);
	close_ports(&w);
	while (w.guests != NULL)
		guest_gone(w.guests);
	if (smtp_server_sessions(w.smtp) > 0 || pop3_server_sessions(w.pop3) > 0 || loop_peers(w.loop) > 0)
		_exit(0);
	smtp_releases_free(&w.releases);
	smtp_server_free(&w.smtp);
	pop3_server_free(&w.pop3);
	keeper_client_free(&w.keeper);
	scan_pool_free(&w.scanners);
	site_unref(&w.site);
	flagged_free(&w.flagged);
	loop_free(&w.loop);
	ticket_keys_wipe(&w.tickets);
	return 0;
}
