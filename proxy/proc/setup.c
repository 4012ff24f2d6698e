#include "proxy/proc/setup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"
#include "proxy/net/flagged.h"
#include "proxy/net/listen.h"
#include "proxy/net/tls.h"
#include "proxy/proc/control.h"
#include "proxy/proc/keeping.h"

#define PACKED_MAX (64u << 20)	/* octets of a packed configuration */

/* A worker would only find out when it is too late to say no. */
static int
check_tls(const struct conf *conf, struct err *err)
{
	const struct tls_server_means no_tickets = { .tickets = NULL };
	struct tls_ctx *ctx;

	for (size_t i = 0; i < conf->ntls; i++) {	/* each alone, so that the sentence is about what is wrong */
		const struct conf_tls *one = conf->tls[i];

		if ((ctx = tls_server_ctx(&one, 1, &no_tickets, err)) == NULL)
			return -1;
		tls_ctx_free(&ctx);
	}
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *l = conf->listeners[i];

		if (l->ntlses < 2)
			continue;
		if ((ctx = tls_server_ctx(l->tlses, l->ntlses, &no_tickets, err)) == NULL)
			return -1;
		tls_ctx_free(&ctx);
	}
	for (size_t i = 0; i < conf->nbackends; i++) {
		const struct conf_backend *b = conf->backends[i];

		if (b->tls_mode == CONF_TLS_NONE)
			continue;
		if ((ctx = tls_client_ctx(b, err)) == NULL)
			return -1;
		tls_ctx_free(&ctx);
	}
	return 0;
}

/* Sockets for what is transparent are flagged by master (listening) and by the dialer, which keeps CAP_NET_RAW. */
static int
check_rights(const struct conf *conf, struct err *err)
{
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *l = conf->listeners[i];

		if ((l->mode == CONF_TPROXY || l->keep_source) && !priv_has_net_raw())
			return err_set(err, "%s:%u:%u: listener %s: %s needs CAP_NET_RAW, which this user does not have: start gatepost "
			    "as root, or give it that (AmbientCapabilities=CAP_NET_RAW in its systemd unit)", l->where.file, l->where.line,
			    l->where.column, l->name, l->keep_source ? "keep-source" : "mode tproxy");
	}
	return 0;
}

struct conf *
setup_read(const char *path, struct priv *worker_user, struct priv *scan_user, struct err *err)
{
	struct conf *conf = conf_read(path, err);

	if (conf == NULL)
		return NULL;
	if (priv_find(conf->user, worker_user, err) == -1 || priv_find(conf->scan_user, scan_user, err) == -1 ||
	    check_tls(conf, err) == -1 || check_rights(conf, err) == -1 ||
	    keeping_check_dir(conf->state_dir, worker_user, false, err) == -1)
		conf_unref(&conf);
	return conf;
}

static int
pack(struct setup *s, struct err *err)
{
	struct buf bytes;

	buf_init(&bytes, PACKED_MAX);
	if (!conf_pack(s->conf, &bytes))
		err_set(err, "the configuration with its files is larger than %u MiB", PACKED_MAX >> 20);
	else
		s->memfd = memfd_of("gatepost-conf", buf_slice(&bytes), err);
	if (bytes.mem != NULL)
		mem_wipe(bytes.mem, bytes.size);	/* private keys are in it */
	buf_free(&bytes);
	return s->memfd == -1 ? -1 : 0;
}

static const struct port_set *
find_port(const struct setup *s, const struct addr *a)
{
	for (size_t i = 0; s != NULL && i < s->nports; i++)
		if (addr_same(&s->ports[i].addr, a))
			return &s->ports[i];
	return NULL;
}

/* Whether we listen on this port already, at whatever address: then its being taken says nothing. */
static bool
has_port(const struct setup *s, unsigned port)
{
	for (size_t i = 0; s != NULL && i < s->nports; i++)
		if (addr_port(&s->ports[i].addr) == port)
			return true;
	return false;
}

/* A socket that listens already can be flagged all the same; it does no harm if this setup is given up. */
static int
open_port(struct setup *s, const struct addr *a, bool transparent, const struct setup *old, struct err *err)
{
	const struct port_set *there = find_port(old, a);
	struct port_set *p = mem_push(&s->ports, &s->nports, sizeof(*p));

	p->addr = *a;
	p->fds = mem_array(s->workers, sizeof(*p->fds));
	for (unsigned i = 0; i < s->workers; i++)
		p->fds[i] = there != NULL ? there->fds[i] : -1;
	p->taken_over = there != NULL;
	for (unsigned i = 0; there != NULL && transparent && i < s->workers; i++)
		if (flagged_set(p->fds[i], a->ss.ss_family) == -1)
			return err_sys(err, "flag a listening socket IP_TRANSPARENT");
	if (there != NULL)
		return 0;
	if (!has_port(old, addr_port(a)) && listen_check(a, err) == -1)
		return -1;
	for (unsigned i = 0; i < s->workers; i++)
		if ((p->fds[i] = listen_open(a, transparent, err)) == -1)
			return -1;
	return 0;
}

/* Two keepers in one directory would each believe what the other has changed. */
static int
take_state_dir(struct setup *s, const struct setup *old, struct err *err)
{
	const char *dir = s->conf->state_dir;

	if (old != NULL) {
		if (strcmp(dir, old->state_dir) != 0)
			log_warn("state-dir %s takes effect at the next start", dir);
		s->state_dir = mem_str(old->state_dir);
		s->state_lock = fcntl(old->state_lock, F_DUPFD_CLOEXEC, 3);
		return s->state_lock == -1 ? err_sys(err, "duplicate a descriptor") : 0;
	}
	if (keeping_check_dir(dir, &s->worker_user, true, err) == -1)
		return -1;
	s->state_dir = mem_str(dir);
	s->state_lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->state_lock == -1)
		return err_sys(err, "open state-dir %s", dir);
	if (flock(s->state_lock, LOCK_EX | LOCK_NB) == -1)
		return err_sys(err, "state-dir %s is in use by another gatepost: end that one, or set state-dir to another directory", dir);
	return 0;
}

struct setup *
setup_new(const char *path, const struct setup *old, struct err *err)
{
	struct setup *s = mem_new(sizeof(*s));

	s->memfd = s->state_lock = -1;
	s->conf = setup_read(path, &s->worker_user, &s->scan_user, err);
	if (s->conf == NULL || pack(s, err) == -1 || take_state_dir(s, old, err) == -1)
		goto fail;
	s->workers = old != NULL ? old->workers : s->conf->workers;
	if (old != NULL && s->conf->workers != old->workers)
		log_warn("workers %u takes effect at the next start", s->conf->workers);
	for (size_t i = 0; i < s->conf->nlisteners; i++) {
		const struct conf_listener *l = s->conf->listeners[i];

		for (size_t k = 0; k < l->naddresses; k++)
			if (open_port(s, &l->addresses[k], l->mode == CONF_TPROXY, old, err) == -1)
				goto fail;
	}
	if (s->nports >= CHAN_FDS_MAX) {
		err_set(err, "at most %d listener addresses are possible", CHAN_FDS_MAX - 1);
		goto fail;
	}
	return s;
fail:
	setup_free(&s);
	return NULL;
}

static void
close_ports(struct setup *s, const struct setup *keep)
{
	for (size_t i = 0; i < s->nports; i++) {
		if (find_port(keep, &s->ports[i].addr) == NULL && !s->ports[i].taken_over)
			for (unsigned k = 0; k < s->workers; k++)
				if (s->ports[i].fds[k] != -1)
					close(s->ports[i].fds[k]);
		free(s->ports[i].fds);
	}
	free(s->ports);
	s->ports = NULL;
	s->nports = 0;
}

void
setup_commit(struct setup **old, struct setup *new)
{
	if (*old != NULL) {
		close_ports(*old, new);
		setup_free(old);
	}
	for (size_t i = 0; i < new->nports; i++)
		new->ports[i].taken_over = false;
	*old = new;
}

void
setup_free(struct setup **sp)
{
	struct setup *s = *sp;

	if (s == NULL)
		return;
	close_ports(s, NULL);
	if (s->memfd != -1)
		close(s->memfd);
	if (s->state_lock != -1)
		close(s->state_lock);
	free(s->state_dir);
	conf_unref(&s->conf);
	free(s);
	*sp = NULL;
}

bool
setup_judges(const struct setup *s)
{
	return s->conf->nrules > 0 || s->conf->antivirus.on;
}
