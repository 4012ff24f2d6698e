#include "proxy/net/proxyproto.h"

#include <netinet/in.h>
#include <string.h>

/* Version 2 (section 2.2): a signature that no other protocol begins with, then what it is about. */
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
enum { V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

/* The family that both are of: AF_INET, AF_INET6, or AF_UNSPEC when the header cannot say them. */
static int
family_of(const struct addr *from, const struct addr *to)
{
	int family = from != NULL && from->len > 0 && to->len > 0 ? from->ss.ss_family : AF_UNSPEC;

	if (family == AF_UNSPEC || family != to->ss.ss_family || (family != AF_INET && family != AF_INET6))
		return AF_UNSPEC;
	return family;
}

bool
proxyproto_v1(struct buf *out, const struct addr *from, const struct addr *to)
{
	int family = family_of(from, to);
	char source[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX];

	if (family == AF_UNSPEC)
		return buf_puts(out, "PROXY UNKNOWN\r\n");
	addr_host(from, source);
	addr_host(to, target);
	return buf_printf(out, "PROXY %s %s %s %u %u\r\n", family == AF_INET ? "TCP4" : "TCP6", source, target,
	    addr_port(from), addr_port(to));
}

static size_t
put_octets(const struct addr *a, char *out)
{
	size_t len;
	const unsigned char *octets = addr_octets(a, &len);

	memcpy(out, octets, len);
	return len;
}

bool
proxyproto_v2(struct buf *out, const struct addr *from, const struct addr *to)
{
	int family = family_of(from, to);
	char header[12 + 4 + 2 * 16 + 4] = SIGNATURE;
	size_t n = 16;

	header[12] = from != NULL ? V2_PROXY : V2_LOCAL;
	header[13] = family == AF_INET ? V2_TCP4 : family == AF_INET6 ? V2_TCP6 : V2_UNSPEC;
	if (family != AF_UNSPEC) {
		uint16_t ports[2] = { htons((uint16_t)addr_port(from)), htons((uint16_t)addr_port(to)) };

		n += put_octets(from, header + n);
		n += put_octets(to, header + n);
		memcpy(header + n, ports, sizeof(ports));
		n += sizeof(ports);
	}
	header[15] = (char)(n - 16);	/* the length's high octet stays 0 */
	return buf_put(out, (struct slice){ header, n });
}
