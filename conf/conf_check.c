/* conf_check.c - what is true of the whole only: blocks that need each other, and this machine. */
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_names.h"
#include "conf/conf_resolv.h"
#include "proxy/base/mem.h"

#define POP3_IDLE 600.0	/* seconds; RFC 1939 section 3 asks for ten minutes at least */
#define SCANNERS_PER_CORE 4	/* a scanner that waits for DNS costs memory only */

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
	const struct conf_entry *first, *second;
	struct conf_index index = { 0 };
	int rc = 0;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = conf_tree_block(node, "listener");
		index_addresses(&index, node, conf->listeners[i]);
	}
	conf_index_sort(&index);
	if (conf_index_twice(&index, &first, &second))
		rc = conf_err(ld->err, &second->where, "the listener address %s stands in two places: first at %s:%u:%u",
		    second->key, first->where.file, first->where.line, first->where.column);
	conf_index_free(&index);
	return rc;
}

static int
check_sizes(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = conf_tree_block(node, "listener");
		if (conf->listeners[i]->max_size > conf->spool_memory)
			return conf_err(ld->err, conf_tree_place(node, "max-size"),
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

		node = conf_tree_block(node, "listener");
		if (l->protocol == CONF_POP3 && (l->backend == NULL || l->backend->protocol != CONF_IMAP))
			return conf_err(ld->err, conf_tree_place(node, "backend"),
			    "a listener with protocol pop3 needs the setting backend: a backend block with protocol imap");
		if (l->protocol == CONF_POP3 && l->tls_mode == CONF_TLS_NONE && !l->plaintext_login)
			return conf_err(ld->err, conf_tree_place(node, "protocol"),
			    "nobody could log in here: set tls, or plaintext-login on");
		if (l->protocol == CONF_POP3 && conf_node_child(node, "idle-timeout") == NULL)
			l->idle_timeout = POP3_IDLE;
		if (l->protocol != CONF_POP3 && l->backend != NULL)
			return conf_err(ld->err, conf_tree_place(node, "backend"),
			    "a listener with protocol smtp has no backend of its own: routes say where mail goes");
	}
	return 0;
}

/* A transaction that goes on at another server goes on in the same protocol. */
static int
check_backends_of(struct conf_load *ld, const struct conf_node *node, const struct conf_route *r, const struct conf_listener *plain)
{
	for (size_t i = 0; i < r->nbackends; i++) {
		const struct conf_backend *b = r->backends[i];
		const struct conf_where *where = i == 0 ? conf_tree_place(node, "backend") : conf_tree_place_of_value(node, "backend", i);

		if (b->protocol == CONF_IMAP)
			return conf_err(ld->err, where, "a route's backend speaks smtp or lmtp, not imap");
		if (b->protocol != r->backend->protocol)
			return conf_err(ld->err, where, "all backends of a route speak the same protocol, but %s speaks %s and %s %s",
			    r->backend->name, conf_row_word(CONF_IN_BACKEND, "protocol", r->backend->protocol),
			    b->name, conf_row_word(CONF_IN_BACKEND, "protocol", b->protocol));
		if (b->original && r->nbackends > 1)
			return conf_err(ld->err, where, "a backend with address original stands alone in its route");
		if (b->original && plain != NULL)
			return conf_err(ld->err, where, "this backend has address original, but clients of the "
			    "listener %s were on their way to nobody else: it has mode plain, not tproxy or redirect", plain->name);
	}
	return 0;
}

/* Who is asked for recipients must be able to answer. */
static int
check_verify_at(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nbackends; i++, node = node->next) {
		const struct conf_backend *b = conf->backends[i];

		node = conf_tree_block(node, "backend");
		if (b->verify_at == NULL)
			continue;
		if (b->protocol == CONF_IMAP || b->verify_at->protocol == CONF_IMAP || b->verify_at->original)
			return conf_err(ld->err, conf_tree_place(node, "verify-recipients"),
			    "verify-recipients is for backends that speak smtp or lmtp and names one with addresses of its own");
		if (b->verify_at == b)
			return conf_err(ld->err, conf_tree_place(node, "verify-recipients"),
			    "verify-recipients names another backend: this one is asked for every recipient anyway");
	}
	return 0;
}

/* Without the file, or without a server in it, there is one on this machine, as the C library has it. */
static void
use_resolv_conf(struct conf_load *ld)
{
	const struct conf_answer *file = conf_tree_ask(ld->conf->tree, ld->world, CONF_ASK_FILE, CONF_RESOLV_PATH, NULL);

	conf_resolv_read(file != NULL ? (struct slice){ file->bytes, file->len } : SLICE(""), &ld->conf->resolvers, &ld->conf->nresolvers);
}

static int
check_resolvers(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;

	if (conf->nresolvers == 0 && conf_asks_dns(conf))
		use_resolv_conf(ld);

	for (size_t i = 0; i < conf->nresolvers; i++)
		if (conf->resolvers[i].ss.ss_family == AF_UNIX)
			return conf_err(ld->err, conf_tree_place_of_value(conf->tree->nodes[0], "resolver", i), "a DNS server has no UNIX socket");
	return 0;
}

/* What follows from references: the first ones, which many readers are content with. */
static void
fill_firsts(struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		conf->listeners[i]->tls = conf->listeners[i]->ntlses > 0 ? conf->listeners[i]->tlses[0] : NULL;
	for (size_t i = 0; i < conf->nroutes; i++)
		conf->routes[i]->backend = conf->routes[i]->backends[0];
	for (size_t i = 0; i < conf->nbackends; i++)
		conf->backends[i]->slot = (unsigned)i;
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
check_routes(struct conf_load *ld)
{
	const struct conf *conf = ld->conf;
	const struct conf_listener *plain = plain_listener(conf);
	const struct conf_node *node = conf->tree->nodes[0]->first;

	for (size_t i = 0; i < conf->nlisteners; i++, node = node->next) {
		node = conf_tree_block(node, "listener");
		if (conf->listeners[i]->backend != NULL && conf->listeners[i]->backend->original)
			return conf_err(ld->err, conf_tree_place(node, "backend"), "a backend with address original is supported for protocol smtp only");
	}
	node = conf->tree->nodes[0]->first;
	for (size_t i = 0; i < conf->nroutes; i++, node = node->next) {
		node = conf_tree_block(node, "route");
		if (check_backends_of(ld, node, conf->routes[i], plain) == -1)
			return -1;
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

int
conf_check_whole(struct conf_load *ld)
{
	const struct conf_where *end = &ld->conf->tree->nodes[0]->end;
	const struct conf_where top = { end->file, 1, 1 };

	fill_firsts(ld->conf);
	if (check_hostname(ld, &top) == -1 || resolve_auto(ld, &top) == -1)
		return -1;
	if (ld->conf->nlisteners == 0)
		return conf_err(ld->err, end, "expected at least one block listener NAME { ... }");
	if (ld->conf->nbackends == 0)
		return conf_err(ld->err, end, "expected at least one block backend NAME { ... }");
	if (ld->conf->nroutes == 0 && speaks(ld->conf, CONF_SMTP))
		return conf_err(ld->err, end, "expected at least one block route DOMAIN { ... }: without one no mail could be taken");
	if (check_addresses(ld) == -1 || check_protocols(ld) == -1 || check_routes(ld) == -1)
		return -1;
	if (check_verify_at(ld) == -1 || check_resolvers(ld) == -1)
		return -1;
	return check_sizes(ld);
}
