/* addr.h - addresses and networks as numbers; names are never looked up here.
 *
 * An address is IPv4, IPv6 or a UNIX socket's path. An IPv4-mapped IPv6 address is read as the
 * IPv4 address that it is, so no access list can be stepped around through a dual-stack socket. */
#ifndef PROXY_BASE_ADDR_H
#define PROXY_BASE_ADDR_H

#include <sys/socket.h>

#include "proxy/base/err.h"
#include "proxy/base/slice.h"

#define ADDR_TEXT_MAX 128	/* octets of any address as text, with its NUL */

struct addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:/run/x.sock"; a missing port is `port`, which when
 * 0 makes the port compulsory. */
int addr_parse(struct addr *, const char *text, unsigned port, struct err *);
void addr_from(struct addr *, const struct sockaddr *, socklen_t);	/* unmaps v4-mapped */
void addr_from_octets(struct addr *, int family, const void *octets, unsigned port);	/* 4 or 16 in network order; unmaps, too */
const unsigned char *addr_octets(const struct addr *, size_t *len);	/* the same back, in the addr itself; NULL and 0: a UNIX socket, or nothing */
const unsigned char *addr_client(const struct addr *, size_t *len);	/* those that tell one client from another: an IPv6 address' /64 */
void addr_text(const struct addr *, char out[ADDR_TEXT_MAX]);		/* as addr_parse reads it; port 0 is left away */
bool addr_read(struct addr *, const char *text);			/* what addr_text() has written, without a port, too */
void addr_host(const struct addr *, char out[ADDR_TEXT_MAX]);		/* without port and brackets */
unsigned addr_port(const struct addr *);				/* 0 too where there are none */
void addr_set_port(struct addr *, unsigned port);			/* of IPv4 and IPv6; nothing else has one */
bool addr_same(const struct addr *, const struct addr *);

struct net {
	int family;		/* AF_INET, AF_INET6 */
	unsigned char bytes[16];
	unsigned bits;		/* prefix length */
};

/* "10.0.0.0/8", "2001:db8::/32", a single address, "any" (both families: bits 0, AF_UNSPEC). */
int net_parse(struct net *, const char *text, struct err *);
bool net_has(const struct net *, const struct addr *);

#endif
