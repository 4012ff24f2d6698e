/* conf_check.c - what no single row can say: settings that need each other, and the whole. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_names.h"
#include "proxy/base/mem.h"

#define SYSTEM_STORE "/etc/ssl/certs/ca-certificates.crt"	/* Debian's ca-certificates */
#define POP3_IDLE 600.0	/* seconds; RFC 1939 section 3 asks for ten minutes at least */
#define SCANNERS_PER_CORE 4	/* a scanner that waits for DNS costs memory only */

static const struct conf_where *
place_of(const struct conf_node *block, const char *setting)
{
	const struct conf_node *node = conf_node_child(block, setting);

	return node != NULL ? &node->words[0].where : &block->words[0].where;
}

/* The k-th value of a setting that may be repeated: the struct holds all of them in one array. */
static const struct conf_where *
place_of_value(const struct conf_node *block, const char *setting, size_t k)
{
	for (const struct conf_node *node = block->first; node != NULL; node = node->next) {
		size_t nvalues = node->nwords - 1;

		if (strcmp(node->words[0].text, setting) != 0)
			continue;
		if (k < nvalues)
			return &node->words[k + 1].where;
		k -= nvalues;
	}
	return &block->words[0].where;
}

#define INTERFACE_MAX 15	/* IFNAMSIZ without its NUL */

/* Connections that are taken over on their way to somebody else. */
static int
check_mode(struct conf_load *ld, const struct conf_node *node, struct conf_listener *l)
{
	static const char *const only[] = { "keep-source", "intercept-port", "intercept-interface" };

	for (size_t i = 0; i < NITEMS(only) && l->mode == CONF_PLAIN; i++)
		if (conf_node_child(node, only[i]) != NULL && (i > 0 || l->keep_source))
			return conf_err(ld->err, place_of(node, only[i]), "%s is for listeners with mode tproxy or redirect", only[i]);
	if (l->keep_source && l->protocol != CONF_SMTP)
		return conf_err(ld->err, place_of(node, "keep-source"), "keep-source is supported for protocol smtp only");
	if (l->intercept_interface != NULL && strlen(l->intercept_interface) > INTERFACE_MAX)
		return conf_err(ld->err, place_of(node, "intercept-interface"), "the name of an interface has at most %d characters",
		    INTERFACE_MAX);
	if (l->mode != CONF_PLAIN && l->intercept_port == 0)
		l->intercept_port = l->protocol == CONF_POP3 ? 110 : 25;
	return 0;
}

static int
check_listener(struct conf_load *ld, const struct conf_node *node, struct conf_listener *l)
{
	bool has_tls = conf_node_child(node, "tls") != NULL;

	if (conf_node_child(node, "tls-mode") == NULL)
		l->tls_mode = has_tls ? CONF_TLS_OFFER : CONF_TLS_NONE;
	if (l->tls_mode != CONF_TLS_NONE && !has_tls)
		return conf_err(ld->err, place_of(node, "tls-mode"),
		    "tls-mode other than none needs the setting tls in this listener: the name of a tls block");
	for (size_t i = 0; i < l->naddresses; i++)
		if (l->addresses[i].ss.ss_family == AF_UNIX)
			return conf_err(ld->err, place_of_value(node, "address", i), "a listener's address cannot be a UNIX socket");
	for (size_t i = 0; i < l->nrelay_from; i++)
		if (l->relay_from[i].bits == 0)
			return conf_err(ld->err, place_of_value(node, "relay-from", i),
			    "this would let everyone send anywhere: name the networks of your own clients");
	return check_mode(ld, node, l);
}

/* "address original": what stands there for it gives way to the flag. */
static int
check_original(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	for (size_t i = 0; i < b->naddresses; i++)
		b->original |= b->addresses[i].ss.ss_family == AF_UNSPEC;
	if (b->original && b->naddresses > 1)
		return conf_err(ld->err, place_of_value(node, "address", 1), "address original stands alone");
	if (b->original)
		b->naddresses = 0;
	return 0;
}

static int
check_backend(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	const struct conf_where *where = place_of(node, "tls-mode");

	if (check_original(ld, node, b) == -1)
		return -1;
	for (size_t i = 0; i < b->naddresses; i++)
		if (b->addresses[i].ss.ss_family == AF_UNIX)
			return conf_err(ld->err, place_of_value(node, "address", i),
			    "UNIX sockets are not supported yet: give the backend a port on 127.0.0.1");
	if (!b->tls_verify || (b->tls_mode != CONF_TLS_REQUIRE && b->tls_mode != CONF_TLS_IMPLICIT))
		return 0;
	if (b->tls_name == NULL)
		return conf_err(ld->err, where, "tls-mode %s with tls-verify on needs the setting tls-name: the name that the "
		    "backend's certificate bears", b->tls_mode == CONF_TLS_REQUIRE ? "require" : "implicit");
	if (b->tls_ca.bytes != NULL || conf_value_blob(ld, SYSTEM_STORE, where, &b->tls_ca) == 0)
		return 0;
	return err_set(ld->err, "%s (install ca-certificates or set tls-ca)", ld->err->text);
}

/* One of the two may be a default: the message points at what was written. */
static int
check_profile(struct conf_load *ld, const struct conf_node *node, const struct conf_profile *p)
{
	bool refuse_is_written = conf_node_child(node, "refuse-score") != NULL;

	if (p->refuse_score >= p->tag_score)
		return 0;
	return conf_err(ld->err, place_of(node, refuse_is_written ? "refuse-score" : "tag-score"),
	    "refuse-score is below tag-score: nothing could be tagged");
}

int
conf_check_block(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at)
{
	if (block == CONF_IN_LISTENER)
		return check_listener(ld, node, at);
	if (block == CONF_IN_BACKEND)
		return check_backend(ld, node, at);
	if (block == CONF_IN_PROFILE)
		return check_profile(ld, node, at);
	return 0;
}

static int
check_hostname(struct conf_load *ld, const struct conf_where *top)
{
	const struct conf_answer *own;

	if (ld->conf->hostname != NULL)
		return 0;
	own = conf_tree_ask(ld->conf->tree, ld->world, CONF_ASK_HOSTNAME, "", ld->err);
	if (own == NULL)
		return conf_err(ld->err, top, "%s: set hostname", ld->err->text);
	if (strchr(own->bytes, '.') == NULL || conf_domain_fault(own->bytes) != NULL)
		return conf_err(ld->err, top, "expected hostname to be set: this machine calls itself \"%s\", which is "
		    "no whole name like mx.example.org", own->bytes);
	ld->conf->hostname = mem_str(own->bytes);
	return 0;
}

static void
cap(unsigned *n, uint64_t value, const char *setting)
{
	uint64_t max = (uint64_t)conf_row_find(CONF_IN_MAIN, setting)->max;

	*n = (unsigned)(value < max ? value : max);
}

/* "auto" becomes a number here, from what the machine says now: who unpacks gets the same one. */
static int
resolve_auto(struct conf_load *ld, const struct conf_where *top)
{
	struct conf *conf = ld->conf;
	const struct conf_answer *answer;
	uint64_t cores;

	if (conf->workers > 0 && conf->scanners > 0)
		return 0;
	answer = conf_tree_ask(conf->tree, ld->world, CONF_ASK_CORES, "", ld->err);
	if (answer == NULL || !slice_number(slice_of(answer->bytes), &cores) || cores == 0 || cores > UINT32_MAX)
		return conf_err(ld->err, top, "the number of processors cannot be told: set workers and scanners");
	if (conf->workers == 0)
		cap(&conf->workers, cores, "workers");
	if (conf->scanners == 0)
		cap(&conf->scanners, cores * SCANNERS_PER_CORE, "scanners");
	return 0;
}

static int
check_once(struct conf_load *ld, struct conf_index *index, const char *what)
{
	const struct conf_entry *first, *second;

	if (!conf_index_sort(index, &first, &second))
		return 0;
	return conf_err(ld->err, &second->where, "%s %s stands in two places: first at %s:%u:%u",
	    what, second->key, first->where.file, first->where.line, first->where.column);
}

/* The next block of this name, from `node` on. The structs stand in the order of their nodes. */
static const struct conf_node *
next_block(const struct conf_node *node, const char *name)
{
	while (node != NULL && !(node->is_block && strcmp(node->words[0].text, name) == 0))
		node = node->next;
	return node;
}

static void
index_addresses(struct conf_index *index, const struct conf_node *node, const struct conf_listener *l)
{
	char text[ADDR_TEXT_MAX];
	size_t k = 0;

	for (const struct conf_node *child = node->first; child != NULL; child = child->next)
		for (size_t i = 1; strcmp(child->words[0].text, "address") == 0 && i < child->nwords; i++) {
			addr_text(&l->addresses[k++], text);
			conf_index_add(index, text, l, &child->words[i].where);
		}
}

static int
check_addresses(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;
	struct conf_index index = { 0 };
	int rc;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = next_block(node, "listener");
		index_addresses(&index, node, conf->listeners[i]);
	}
	rc = check_once(ld, &index, "the listener address");
	conf_index_free(&index);
	return rc;
}

static int
check_sizes(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = next_block(node, "listener");
		if (conf->listeners[i]->max_size > conf->spool_memory)
			return conf_err(ld->err, place_of(node, "max-size"),
			    "this listener's max-size is more than spool-memory: such a message could never be taken");
	}
	return 0;
}

/* Who speaks what to whom: mail goes to SMTP and LMTP servers, mailboxes are on IMAP servers. */
static int
check_protocols(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		struct conf_listener *l = conf->listeners[i];

		node = next_block(node, "listener");
		if (l->protocol == CONF_POP3 && (l->backend == NULL || l->backend->protocol != CONF_IMAP))
			return conf_err(ld->err, place_of(node, "backend"),
			    "a listener with protocol pop3 needs the setting backend: a backend block with protocol imap");
		if (l->protocol == CONF_POP3 && l->tls_mode == CONF_TLS_NONE && !l->plaintext_login)
			return conf_err(ld->err, place_of(node, "protocol"),
			    "nobody could log in here: set tls, or plaintext-login on");
		if (l->protocol == CONF_POP3 && conf_node_child(node, "idle-timeout") == NULL)
			l->idle_timeout = POP3_IDLE;
		if (l->protocol != CONF_POP3 && l->backend != NULL)
			return conf_err(ld->err, place_of(node, "backend"),
			    "a listener with protocol smtp has no backend of its own: routes say where mail goes");
	}
	node = conf->tree->nodes[0]->first;
	for (size_t i = 0; i < conf->nroutes; i++, node = node->next) {
		node = next_block(node, "route");
		if (conf->routes[i]->backend->protocol == CONF_IMAP)
			return conf_err(ld->err, place_of(node, "backend"),
			    "a route's backend speaks smtp or lmtp, not imap");
	}
	return 0;
}

static const struct conf_listener *
plain_listener(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->protocol == CONF_SMTP && conf->listeners[i]->mode == CONF_PLAIN)
			return conf->listeners[i];
	return NULL;
}

/* Where a client was on its way to is known only of those that were taken over. */
static int
check_originals(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_listener *plain = plain_listener(conf);
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = next_block(node, "listener");
		if (conf->listeners[i]->backend != NULL && conf->listeners[i]->backend->original)
			return conf_err(ld->err, place_of(node, "backend"), "a backend with address original is supported for protocol smtp only");
	}
	node = conf->tree->nodes[0]->first;
	for (size_t i = 0; i < conf->nroutes; i++, node = node->next) {
		node = next_block(node, "route");
		if (conf->routes[i]->backend->original && plain != NULL)
			return conf_err(ld->err, place_of(node, "backend"), "this backend has address original, but clients of the "
			    "listener %s were on their way to nobody else: it has mode plain, not tproxy or redirect", plain->name);
	}
	return 0;
}

static bool
speaks(const struct conf *conf, enum conf_protocol protocol)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->protocol == protocol)
			return true;
	return false;
}

static int
check_domains(struct conf_load *ld)
{
	struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;

	conf->domains = mem_new(sizeof(*conf->domains));
	for (size_t i = 0; i < conf->nroutes; i++, node = node->next) {
		node = next_block(node, "route");
		for (size_t k = 0; k < conf->routes[i]->ndomains; k++)
			conf_index_add(conf->domains, conf->routes[i]->domains[k], conf->routes[i], &node->words[k + 1].where);
	}
	return check_once(ld, conf->domains, "the route of");
}

int
conf_check_whole(struct conf_load *ld)
{
	const struct conf_where *end = &ld->conf->tree->nodes[0]->end;
	const struct conf_where top = { end->file, 1, 1 };

	if (check_hostname(ld, &top) == -1 || resolve_auto(ld, &top) == -1)
		return -1;
	if (ld->conf->nlisteners == 0)
		return conf_err(ld->err, end, "expected at least one block listener NAME { ... }");
	if (ld->conf->nbackends == 0)
		return conf_err(ld->err, end, "expected at least one block backend NAME { ... }");
	if (ld->conf->nroutes == 0 && speaks(ld->conf, CONF_SMTP))
		return conf_err(ld->err, end, "expected at least one block route DOMAIN { ... }: without one no mail could be taken");
	if (check_addresses(ld) == -1 || check_protocols(ld) == -1 || check_originals(ld) == -1)
		return -1;
	return check_sizes(ld) == -1 || check_domains(ld) == -1 ? -1 : 0;
}
