#include "proxy/base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static int
parse_unix(struct addr *a, const char *path, struct err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (path[0] != '/' || !slice_copy(slice_of(path), un.sun_path, sizeof(un.sun_path)))
		return err_set(err, "\"unix:%s\" is not an absolute path of at most %zu characters",
		    path, sizeof(un.sun_path) - 1);
	memcpy(&a->ss, &un, sizeof(un));
	a->len = sizeof(un);
	return 0;
}

static bool
set_ip(struct addr *a, const char *host, unsigned port)
{
	unsigned char octets[16];

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, octets) == 1)
		addr_from_octets(a, AF_INET, octets, port);
	else if (inet_pton(AF_INET6, host, octets) == 1)
		addr_from_octets(a, AF_INET6, octets, port);
	else
		return false;
	return true;
}

int
addr_parse(struct addr *a, const char *text, unsigned port, struct err *err)
{
	struct slice rest = slice_of(text), host, digits = { 0 };
	char name[INET6_ADDRSTRLEN];
	uint64_t n = port;

	memset(a, 0, sizeof(*a));
	if (slice_starts(rest, "unix:"))
		return parse_unix(a, text + 5, err);
	if (slice_starts(rest, "[")) {
		slice_cut(&rest, '[');
		host = slice_has(rest, ']') ? slice_cut(&rest, ']') : SLICE("");
		if (slice_starts(rest, ":"))
			digits = slice_part(rest, 1, rest.len);
		else if (rest.len > 0)
			host = SLICE("");
	} else {
		host = rest;
		if (slice_has(host, ':')) {
			digits = rest;
			host = slice_cut(&digits, ':');
		}
	}
	if (!slice_copy(host, name, sizeof(name)) || !set_ip(a, name, 0))
		return err_set(err, "\"%s\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path", text);
	if ((digits.at != NULL && !slice_number(digits, &n)) || n == 0 || n > 65535)
		return err_set(err, "\"%s\" needs a port from 1 to 65535, as in 192.0.2.1:25", text);
	set_ip(a, name, (unsigned)n);
	return 0;
}

bool
addr_read(struct addr *a, const char *text)
{
	char host[ADDR_TEXT_MAX];

	if (addr_parse(a, text, 0, NULL) == 0)
		return true;
	if (addr_parse(a, text, 1, NULL) == -1)
		return false;
	addr_host(a, host);
	return set_ip(a, host, 0);
}

void
addr_from(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr_in6 *in6 = (const void *)sa;

	memset(a, 0, sizeof(*a));
	if (len > sizeof(a->ss))
		len = sizeof(a->ss);
	if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = in6->sin6_port };

		memcpy(&in4.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
		memcpy(&a->ss, &in4, sizeof(in4));
		a->len = sizeof(in4);
		return;
	}
	memcpy(&a->ss, sa, len);
	a->len = len;
}

void
addr_from_octets(struct addr *a, int family, const void *octets, unsigned port)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (family == AF_INET) {
		memcpy(&in4.sin_addr, octets, sizeof(in4.sin_addr));
		addr_from(a, (struct sockaddr *)&in4, sizeof(in4));
	} else {
		memcpy(&in6.sin6_addr, octets, sizeof(in6.sin6_addr));
		addr_from(a, (struct sockaddr *)&in6, sizeof(in6));
	}
	addr_set_port(a, port);
}

void
addr_set_port(struct addr *a, unsigned port)
{
	if (a->ss.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&a->ss)->sin_port = htons((uint16_t)port);
	if (a->ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&a->ss)->sin6_port = htons((uint16_t)port);
}

unsigned
addr_port(const struct addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&a->ss)->sin_port);
	if (a->ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)&a->ss)->sin6_port);
	return 0;
}

const unsigned char *
addr_octets(const struct addr *a, size_t *len)
{
	if (a->ss.ss_family == AF_INET) {
		*len = 4;
		return (const void *)&((const struct sockaddr_in *)(const void *)&a->ss)->sin_addr;
	}
	if (a->ss.ss_family == AF_INET6) {
		*len = 16;
		return (const void *)&((const struct sockaddr_in6 *)(const void *)&a->ss)->sin6_addr;
	}
	*len = 0;
	return NULL;
}

const unsigned char *
addr_client(const struct addr *a, size_t *len)
{
	const unsigned char *octets = addr_octets(a, len);

	if (*len == 16)
		*len = 8;
	return octets;
}

void
addr_host(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	size_t len;
	const unsigned char *ip = addr_octets(a, &len);

	if (ip != NULL)
		inet_ntop(a->ss.ss_family, ip, out, ADDR_TEXT_MAX);
	else if (a->ss.ss_family == AF_UNIX)
		snprintf(out, ADDR_TEXT_MAX, "unix:%s", ((const struct sockaddr_un *)(const void *)&a->ss)->sun_path);
	else
		snprintf(out, ADDR_TEXT_MAX, "unknown");
}

void
addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX], port[8] = "";

	addr_host(a, host);
	if (addr_port(a) != 0)
		snprintf(port, sizeof(port), ":%u", addr_port(a));
	if (a->ss.ss_family == AF_INET6)
		snprintf(out, ADDR_TEXT_MAX, "[%.60s]%s", host, port);
	else
		snprintf(out, ADDR_TEXT_MAX, "%.119s%s", host, port);
}

bool
addr_same(const struct addr *a, const struct addr *b)
{
	char one[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

	addr_text(a, one);
	addr_text(b, other);
	return strcmp(one, other) == 0;
}

int
net_parse(struct net *net, const char *text, struct err *err)
{
	struct slice rest = slice_of(text), host = slice_cut(&rest, '/');
	const unsigned char *ip;
	struct addr a;
	char name[INET6_ADDRSTRLEN];
	uint64_t bits;
	size_t len;

	memset(net, 0, sizeof(*net));
	if (strcmp(text, "any") == 0) {
		net->family = AF_UNSPEC;
		return 0;
	}
	if (!slice_copy(host, name, sizeof(name)) || !set_ip(&a, name, 0))
		return err_set(err, "\"%s\" is not a network: expected 10.0.0.0/8, 2001:db8::/32, an address or any", text);
	ip = addr_octets(&a, &len);
	bits = len * 8;
	if (slice_has(slice_of(text), '/') && (!slice_number(rest, &bits) || bits > len * 8))
		return err_set(err, "\"%s\": the prefix length must be from 0 to %zu", text, len * 8);
	net->family = a.ss.ss_family;
	net->bits = (unsigned)bits;
	memcpy(net->bytes, ip, len);
	for (size_t i = 0; i < len * 8; i++)
		if (i >= bits && (ip[i / 8] & (0x80u >> (i % 8))) != 0)
			return err_set(err, "\"%s\" has bits set behind its prefix: the network itself is meant, as in 10.0.0.0/8", text);
	return 0;
}

bool
net_has(const struct net *net, const struct addr *a)
{
	size_t len, whole = net->bits / 8;
	const unsigned char *ip = addr_octets(a, &len);
	unsigned char mask = (unsigned char)(0xff00u >> (net->bits % 8));

	if (net->family == AF_UNSPEC)
		return true;
	if (ip == NULL || net->family != a->ss.ss_family)
		return false;
	if (memcmp(ip, net->bytes, whole) != 0)
		return false;
	return net->bits % 8 == 0 || ((ip[whole] ^ net->bytes[whole]) & mask) == 0;
}
