#include "proxy/net/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/base/mem.h"
#include "proxy/net/dns_life.h"
#include "proxy/net/loop_int.h"

#define SERVERS_MAX   8		/* as many as `resolver` can name */
#define SOCKETS_MAX   (2 * SERVERS_MAX)
#define TRY_MS        2000	/* for a server's answer; doubles with each round over the servers */
#define TRIES_ONE     3		/* rounds where there is one server: 2 + 4 + 8 s at the most */
#define TRIES_SEVERAL 2
#define NAME_MAX_LEN  253
#define LABEL_MAX     63
#define ANSWER_MAX    16384	/* octets: one with RESOLVER_RECORDS_MAX records is much smaller */
#define EDNS_SIZE     1232	/* octets of a UDP answer that no network breaks into pieces */
#define PARTLY_TTL    60	/* seconds: a question of two went unanswered */

struct socket_watch {
	struct ev_io io;	/* active: the socket is c-ares' and open */
	struct resolver *resolver;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct timer timer;
	struct socket_watch sockets[SOCKETS_MAX];
	struct resolver_query *queries;
};

struct resolver_query {
	struct resolver_query *next, **at;	/* in the resolver's list */
	struct resolver *resolver;
	void (*answer)(void *owner, const struct resolver_answer *);	/* NULL: cancelled */
	void *owner;
	struct loop_task done;
	unsigned open;			/* answers that c-ares still owes */
	bool failed;			/* some question was not answered */
	bool implied;			/* the domain is its own mail host: that it has no MX was the answer */
	const char *why;
	char domain[NAME_MAX_LEN + 1];
	unsigned ttl, ttl_none;		/* of answers with records; of those without */
	struct addr *addresses;
	struct resolver_mx *mx;
	size_t n;
	struct ares_addr6ttl *six;	/* of the AAAA answer, until the other one is here, too */
	size_t nsix;
};

static void
settle_timer(struct resolver *r)
{
	struct timeval wait, *when = ares_timeout(r->channel, NULL, &wait);
	double seconds = when != NULL ? (double)when->tv_sec + (double)when->tv_usec / 1e6 : 0;

	if (when == NULL)
		timer_stop(&r->timer);
	else
		timer_set(&r->timer, seconds > 0.001 ? seconds : 0.001);
}

static void
on_time(void *owner)
{
	struct resolver *r = owner;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	settle_timer(r);
}

static void
on_socket(struct ev_loop *ev, struct ev_io *io, int revents)
{
	struct resolver *r = ((struct socket_watch *)io->data)->resolver;
	int fd = io->fd;

	(void)ev;
	ares_process_fd(r->channel, revents & EV_READ ? fd : ARES_SOCKET_BAD, revents & EV_WRITE ? fd : ARES_SOCKET_BAD);
	settle_timer(r);
}

/* What c-ares waits for at a socket; nothing: it closes it. */
static void
on_socket_state(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = owner;
	struct socket_watch *there = NULL;
	int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);

	for (size_t i = 0; i < SOCKETS_MAX; i++)
		if (ev_is_active(&r->sockets[i].io) && r->sockets[i].io.fd == fd)
			there = &r->sockets[i];
	for (size_t i = 0; i < SOCKETS_MAX && there == NULL; i++)
		if (!ev_is_active(&r->sockets[i].io))
			there = &r->sockets[i];
	if (there == NULL)
		return;			/* more than two for each server: this one's question runs into its deadline */
	ev_io_stop(loop_ev(r->loop), &there->io);
	if (events != 0) {
		ev_io_set(&there->io, fd, events);
		ev_io_start(loop_ev(r->loop), &there->io);
	}
}

/* c-ares 1.18 takes the numbers of its questions from /dev/urandom, and from rand(3) where that cannot be opened, as
 * in a worker's empty root: always the same ones then, and anybody could answer without having seen a question. */
static int
make_unpredictable(struct err *err)
{
	unsigned seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return err_sys(err, "getrandom");
	srand(seed);
	return 0;
}

/* Everything that c-ares could look for in a file or in the environment is given, so it looks nowhere. */
static int
open_channel(struct resolver *r, size_t nservers, struct err *err)
{
	struct in_addr replaced = { htonl(INADDR_LOOPBACK) };	/* by use_servers(), which knows ports and IPv6 */
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = TRY_MS, .tries = nservers > 1 ? TRIES_SEVERAL : TRIES_ONE, .ndots = 1,
		.servers = &replaced, .nservers = 1, .lookups = (char *)"b", .ednspsz = EDNS_SIZE,
		.sock_state_cb = on_socket_state, .sock_state_cb_data = r,
	};
	int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS | ARES_OPT_DOMAINS |
	    ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
	int rc = ares_init_options(&r->channel, &o, given);

	return rc == ARES_SUCCESS ? 0 : err_set(err, "the resolver cannot begin: %s", ares_strerror(rc));
}

static int
use_servers(struct resolver *r, const struct addr *servers, size_t n, struct err *err)
{
	struct ares_addr_port_node nodes[SERVERS_MAX] = { { 0 } };
	int rc;

	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_in *in4 = (const void *)&servers[i].ss;
		const struct sockaddr_in6 *in6 = (const void *)&servers[i].ss;

		nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
		nodes[i].family = servers[i].ss.ss_family;
		nodes[i].udp_port = nodes[i].tcp_port = (int)addr_port(&servers[i]);
		if (nodes[i].family == AF_INET)
			nodes[i].addr.addr4 = in4->sin_addr;
		else
			memcpy(&nodes[i].addr.addr6, &in6->sin6_addr, sizeof(nodes[i].addr.addr6));
	}
	rc = ares_set_servers_ports(r->channel, nodes);
	return rc == ARES_SUCCESS ? 0 : err_set(err, "the resolver cannot use its servers: %s", ares_strerror(rc));
}

struct resolver *
resolver_new(struct loop *loop, const struct addr *servers, size_t nservers, struct err *err)
{
	struct resolver *r = mem_new(sizeof(*r));

	if (nservers > SERVERS_MAX)
		nservers = SERVERS_MAX;
	r->loop = loop;
	timer_init(&r->timer, loop, on_time, r);
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		ev_init(&r->sockets[i].io, on_socket);
		r->sockets[i].io.data = &r->sockets[i];
		r->sockets[i].resolver = r;
	}
	for (size_t i = 0; i < nservers; i++)
		if (servers[i].ss.ss_family != AF_INET && servers[i].ss.ss_family != AF_INET6)
			nservers = 0;
	if (nservers == 0)
		err_set(err, "the DNS cannot be asked: resolver needs the address of a server, as in 127.0.0.1:53");
	else if (make_unpredictable(err) == 0 && open_channel(r, nservers, err) == 0 && use_servers(r, servers, nservers, err) == 0)
		return r;
	resolver_free(&r);
	return NULL;
}

static void
query_free(struct resolver_query *q)
{
	struct loop *loop = q->resolver->loop;

	*q->at = q->next;
	if (q->next != NULL)
		q->next->at = q->at;
	loop_forget(loop, &q->done);
	free(q->addresses);
	free(q->mx);
	free(q->six);
	loop_free_later(loop, q);
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	for (struct resolver_query *q = r->queries, *next; q != NULL; q = next) {
		next = q->next;
		resolver_cancel(&(struct resolver_query *){ q });
	}
	if (r->channel != NULL)
		ares_destroy(r->channel);	/* gives back what c-ares still owed */
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		ev_io_stop(loop_ev(r->loop), &r->sockets[i].io);
	timer_stop(&r->timer);
	loop_free_later(r->loop, r);
}

const char *
resolver_library(void)
{
	return ares_version(NULL);
}

/* A host's name as it may stand in a configuration or an MX record: letters, digits, "-" and "_" (which RFC 1123 does
 * not allow, and some have). A dot at the end is left away. */
static bool
is_name(const char *text, char out[NAME_MAX_LEN + 1])
{
	struct slice rest = slice_of(text);

	if (rest.len > 1 && rest.at[rest.len - 1] == '.')
		rest.len--;
	if (rest.len == 0 || !slice_copy(rest, out, NAME_MAX_LEN + 1))
		return false;
	for (bool more = true; more;) {
		struct slice label;

		more = slice_has(rest, '.');
		label = slice_cut(&rest, '.');
		if (label.len == 0 || label.len > LABEL_MAX)
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", ascii_lower((unsigned char)label.at[i])) == NULL)
				return false;
	}
	return true;
}

/* IPv4 goes in front (an IPv6 answer may hold it, too): where only half of IPv6 works it costs nobody a deadline. */
static void
add_address(struct resolver_query *q, int family, const void *bytes)
{
	size_t at = 0;
	struct addr a;

	addr_from_octets(&a, family, bytes, 0);
	for (size_t i = 0; i < q->n; i++)
		if (addr_same(&q->addresses[i], &a))
			return;
	if (q->n == RESOLVER_RECORDS_MAX)
		return;
	if (q->addresses == NULL)
		q->addresses = mem_array(RESOLVER_RECORDS_MAX, sizeof(*q->addresses));
	while (at < q->n && (a.ss.ss_family != AF_INET || q->addresses[at].ss.ss_family == AF_INET))
		at++;
	memmove(&q->addresses[at + 1], &q->addresses[at], (q->n++ - at) * sizeof(a));
	q->addresses[at] = a;
}

static void
on_answer_made(void *owner)
{
	struct resolver_query *q = owner;
	void (*answer)(void *, const struct resolver_answer *) = q->answer;
	struct resolver_answer a = { .ttl = q->ttl, .mx = q->mx, .why = q->why };

	for (size_t i = 0; i < q->nsix; i++)
		add_address(q, AF_INET6, &q->six[i].ip6addr);
	a.addresses = q->addresses;
	a.n = q->n;
	a.result = q->n > 0 ? RESOLVER_FOUND : q->failed ? RESOLVER_FAILED : RESOLVER_NONE;
	if ((q->n == 0 || q->implied) && q->ttl_none < a.ttl)
		a.ttl = q->ttl_none;
	if (q->failed && a.ttl > PARTLY_TTL)
		a.ttl = PARTLY_TTL;
	/* The query goes first: whoever hears may free the resolver. Its memory lasts till the turn ends. */
	q->addresses = NULL;
	q->mx = NULL;
	query_free(q);
	answer(q->owner, &a);
	free(a.addresses);
	free(a.mx);
}

/* One of c-ares' answers is here. */
static void
count_down(struct resolver_query *q)
{
	if (--q->open > 0)
		return;
	if (q->answer == NULL)
		query_free(q);
	else
		loop_at_turn_end(q->resolver->loop, &q->done);
}

/* Whether there is an answer to be read; if not, what that means is noted. */
static bool
is_answered(struct resolver_query *q, int status, const unsigned char *bytes, int len)
{
	unsigned *ttl = status == ARES_SUCCESS ? &q->ttl : &q->ttl_none, life;

	if (q->answer == NULL)
		return false;
	if ((status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND) && bytes != NULL && len > 0) {
		life = dns_life((struct slice){ (const char *)bytes, (size_t)len });
		*ttl = life < *ttl ? life : *ttl;
	}
	if (status == ARES_SUCCESS && len <= ANSWER_MAX)
		return true;
	if (status == ARES_ENODATA || status == ARES_ENOTFOUND) {
		if (!q->failed)
			q->why = status == ARES_ENODATA ? "the DNS has no such record" : "the DNS knows no such name";
		return false;
	}
	q->failed = true;
	q->why = status == ARES_SUCCESS ? "the answer is too long" : ares_strerror(status);
	return false;
}

/* An answer that could not be read, or that had nothing of what was asked for. */
static void
note_nothing(struct resolver_query *q, int status)
{
	q->failed |= status != ARES_SUCCESS && status != ARES_ENODATA;
	q->why = q->failed ? "the answer is nonsense" : "the DNS has no such record";
}

static void
on_a(void *owner, int status, int timeouts, unsigned char *bytes, int len)
{
	struct resolver_query *q = owner;
	struct ares_addrttl found[RESOLVER_RECORDS_MAX];
	int n = RESOLVER_RECORDS_MAX;

	(void)timeouts;
	if (is_answered(q, status, bytes, len)) {
		status = ares_parse_a_reply(bytes, len, NULL, found, &n);
		if (status != ARES_SUCCESS || n == 0)
			note_nothing(q, status);
		else
			for (int i = 0; i < n; i++)
				add_address(q, AF_INET, &found[i].ipaddr);
	}
	count_down(q);
}

static void
keep_six(struct resolver_query *q, const struct ares_addr6ttl *found, size_t n)
{
	q->six = mem_array(n, sizeof(*found));
	memcpy(q->six, found, n * sizeof(*found));
	q->nsix = n;
}

static void
on_aaaa(void *owner, int status, int timeouts, unsigned char *bytes, int len)
{
	struct resolver_query *q = owner;
	struct ares_addr6ttl found[RESOLVER_RECORDS_MAX];
	int n = RESOLVER_RECORDS_MAX;

	(void)timeouts;
	if (is_answered(q, status, bytes, len)) {
		status = ares_parse_aaaa_reply(bytes, len, NULL, found, &n);
		if (status != ARES_SUCCESS || n == 0)
			note_nothing(q, status);
		else
			keep_six(q, found, (size_t)n);
	}
	count_down(q);
}

/* Behind those with the same preference, as they came. */
static void
add_mail_host(struct resolver_query *q, unsigned preference, const char *host)
{
	size_t at = q->n;

	if (q->n == RESOLVER_RECORDS_MAX)
		return;
	if (q->mx == NULL)
		q->mx = mem_array(RESOLVER_RECORDS_MAX, sizeof(*q->mx));
	while (at > 0 && q->mx[at - 1].preference > preference)
		at--;
	memmove(&q->mx[at + 1], &q->mx[at], (q->n++ - at) * sizeof(*q->mx));
	q->mx[at].preference = preference;
	slice_copy(slice_of(host), q->mx[at].host, sizeof(q->mx[at].host));
}

/* RFC 7505: "." says that the domain takes no mail; beside other records it says nothing. */
static void
take_mail_hosts(struct resolver_query *q, const struct ares_mx_reply *list)
{
	char host[NAME_MAX_LEN + 1];
	bool null = false;

	for (const struct ares_mx_reply *mx = list; mx != NULL; mx = mx->next) {
		null |= mx->host[0] == '\0' || strcmp(mx->host, ".") == 0;
		if (is_name(mx->host, host))
			add_mail_host(q, mx->priority, host);
	}
	if (q->n > 0)
		return;
	q->failed = !null;
	q->why = null ? "it says that it takes no mail (a null MX)" : "its MX records name no host";
}

static void
on_mx(void *owner, int status, int timeouts, unsigned char *bytes, int len)
{
	struct resolver_query *q = owner;
	struct ares_mx_reply *list = NULL;

	(void)timeouts;
	if (is_answered(q, status, bytes, len)) {
		status = ares_parse_mx_reply(bytes, len, &list);
		if (status == ARES_SUCCESS && list == NULL)
			status = ARES_ENODATA;		/* an alias whose name has no MX */
		if (status == ARES_SUCCESS)
			take_mail_hosts(q, list);
		else
			note_nothing(q, status);
	}
	if (list != NULL)
		ares_free_data(list);
	/* RFC 5321 section 5.1: a domain without MX records is its own mail server. */
	if (q->answer != NULL && status == ARES_ENODATA) {
		q->implied = true;
		add_mail_host(q, 0, q->domain);
	}
	count_down(q);
}

static struct resolver_query *
query_new(struct resolver *r, void (*answer)(void *, const struct resolver_answer *), void *owner)
{
	struct resolver_query *q = mem_new(sizeof(*q));

	q->resolver = r;
	q->answer = answer;
	q->owner = owner;
	q->ttl = q->ttl_none = DNS_LIFE_MAX;
	q->done = (struct loop_task){ .run = on_answer_made, .owner = q };
	q->next = r->queries;
	q->at = &r->queries;
	if (q->next != NULL)
		q->next->at = &q->next;
	r->queries = q;
	return q;
}

/* Without asking anybody: *q->why says why, or an address was given. */
static struct resolver_query *
answer_at_once(struct resolver_query *q, const char *why)
{
	q->failed = why != NULL;
	q->why = why;
	loop_at_turn_end(q->resolver->loop, &q->done);
	return q;
}

struct resolver_query *
resolver_addresses(struct resolver *r, const char *host, void (*answer)(void *owner, const struct resolver_answer *), void *owner)
{
	struct resolver_query *q = query_new(r, answer, owner);
	unsigned char bytes[16];

	if (inet_pton(AF_INET, host, bytes) == 1) {
		add_address(q, AF_INET, bytes);
		return answer_at_once(q, NULL);
	}
	if (inet_pton(AF_INET6, host, bytes) == 1) {
		add_address(q, AF_INET6, bytes);
		return answer_at_once(q, NULL);
	}
	if (!is_name(host, q->domain))
		return answer_at_once(q, "it is not the name of a host");
	q->open = 2;
	ares_query(r->channel, q->domain, ns_c_in, ns_t_a, on_a, q);
	ares_query(r->channel, q->domain, ns_c_in, ns_t_aaaa, on_aaaa, q);
	settle_timer(r);
	return q;
}

struct resolver_query *
resolver_mail_hosts(struct resolver *r, const char *domain, void (*answer)(void *owner, const struct resolver_answer *), void *owner)
{
	struct resolver_query *q = query_new(r, answer, owner);

	if (!is_name(domain, q->domain))
		return answer_at_once(q, "it is not the name of a domain");
	q->open = 1;
	ares_query(r->channel, q->domain, ns_c_in, ns_t_mx, on_mx, q);
	settle_timer(r);
	return q;
}

void
resolver_cancel(struct resolver_query **qp)
{
	struct resolver_query *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	q->answer = NULL;
	if (q->open == 0)
		query_free(q);
}
