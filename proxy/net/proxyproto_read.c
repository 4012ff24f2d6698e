#include "proxy/net/proxyproto_read.h"

#include <arpa/inet.h>
#include <string.h>

#include "proxy/base/mem.h"

#define FIXED 16	/* octets of version 2 before the addresses */

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Version 1. */

/* Words are separated by one space each; a heading zero is no port. */
static bool
read_port(struct slice text, unsigned *port)
{
	uint64_t n;

	if (!slice_number(text, &n) || n > 65535 || (text.len > 1 && text.at[0] == '0'))
		return false;
	*port = (unsigned)n;
	return true;
}

static bool
read_text(int family, struct slice host, struct slice port_text, struct addr *a)
{
	unsigned char ip[16];
	char text[INET6_ADDRSTRLEN];
	unsigned port;

	if (!slice_copy(host, text, sizeof(text)) || inet_pton(family, text, ip) != 1 || !read_port(port_text, &port))
		return false;
	addr_from_octets(a, family, ip, port);
	return true;
}

static enum proxyproto_result
read_line(struct slice line, struct proxyproto *p, struct err *err)
{
	struct slice rest = line, family, source, destination, source_port;
	int af;

	slice_cut(&rest, ' ');
	family = slice_cut(&rest, ' ');
	if (slice_is(family, "UNKNOWN")) {
		p->none = true;		/* whatever else the line says */
		return PROXYPROTO_DONE;
	}
	af = slice_is(family, "TCP4") ? AF_INET : slice_is(family, "TCP6") ? AF_INET6 : AF_UNSPEC;
	source = slice_cut(&rest, ' ');
	destination = slice_cut(&rest, ' ');
	source_port = slice_cut(&rest, ' ');
	if (af != AF_UNSPEC && read_text(af, source, source_port, &p->source) && read_text(af, destination, rest, &p->destination))
		return PROXYPROTO_DONE;
	err_set(err, "its line is not of the form \"PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\"");
	return PROXYPROTO_BAD;
}

static enum proxyproto_result
read_v1(struct slice in, size_t *used, struct proxyproto *p, struct err *err)
{
	struct slice part = slice_part(in, 0, PROXYPROTO_LINE_MAX);
	const char *lf = memchr(part.at, '\n', part.len);

	*used = lf != NULL ? (size_t)(lf - in.at) + 1 : part.len;
	if (lf == NULL && part.len < PROXYPROTO_LINE_MAX)
		return PROXYPROTO_MORE;
	if (lf == NULL || lf[-1] != '\r') {
		err_set(err, "its line does not end in CR LF within %d octets", PROXYPROTO_LINE_MAX);
		return PROXYPROTO_BAD;
	}
	return read_line(slice_part(in, 0, *used - 2), p, err);
}

/* Version 2. */

static unsigned
number16(const char *at)
{
	return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

/* CRC-32C (RFC 3720 appendix B.4), of a header once in a connection: no table. */
static uint32_t
crc32c(uint32_t crc, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		crc ^= (unsigned char)s.at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
	}
	return crc;
}

/* The checksum is that of the whole header with zeroes in the checksum's place. */
static bool
is_intact(struct slice header, struct slice sum)
{
	size_t at = (size_t)(sum.at - header.at);
	uint32_t crc;

	if (sum.len != 4)
		return false;
	crc = crc32c(UINT32_MAX, slice_part(header, 0, at));
	crc = crc32c(crc, SLICE("\0\0\0\0"));
	crc = ~crc32c(crc, slice_part(header, at + 4, header.len));
	return crc == ((uint32_t)number16(sum.at) << 16 | number16(sum.at + 2));
}

/* What follows the addresses: type, length, value, again and again. */
static enum proxyproto_result
read_values(struct slice header, struct slice values, struct err *err)
{
	enum { CRC32C = 0x03 };

	while (values.len > 0) {
		size_t len = values.len < 3 ? values.len : number16(values.at + 1);

		if (values.len < 3 + len) {
			err_set(err, "a value in it is longer than all of it");
			return PROXYPROTO_BAD;
		}
		if (values.at[0] == CRC32C && !is_intact(header, slice_part(values, 3, len))) {
			err_set(err, "its checksum is wrong");
			return PROXYPROTO_BAD;
		}
		values = slice_part(values, 3 + len, values.len);
	}
	return PROXYPROTO_DONE;
}

/* Families times transports; those that are no TCP say nothing that we could use, but are valid. */
static const struct {
	unsigned char family;
	int af;			/* AF_UNSPEC: its addresses are skipped */
	size_t octets;		/* of both addresses and ports */
} families[] = {
	{ 0x00, AF_UNSPEC, 0 },
	{ 0x11, AF_INET, 12 },   { 0x12, AF_UNSPEC, 12 },	/* TCP, UDP */
	{ 0x21, AF_INET6, 36 },  { 0x22, AF_UNSPEC, 36 },
	{ 0x31, AF_UNSPEC, 216 }, { 0x32, AF_UNSPEC, 216 },	/* UNIX sockets */
};

static enum proxyproto_result
read_proxied(struct slice header, struct proxyproto *p, struct err *err)
{
	const char *at = header.at + FIXED;
	size_t i = 0, len = header.len - FIXED;

	while (i < NITEMS(families) && families[i].family != (unsigned char)header.at[13])
		i++;
	if (i == NITEMS(families)) {
		err_set(err, "it names a family that there is not: 0x%02x", (unsigned char)header.at[13]);
		return PROXYPROTO_BAD;
	}
	if (len < families[i].octets) {
		err_set(err, "it is too short for its addresses");
		return PROXYPROTO_BAD;
	}
	p->none = families[i].af == AF_UNSPEC;
	if (families[i].af == AF_INET) {
		addr_from_octets(&p->source, AF_INET, at, number16(at + 8));
		addr_from_octets(&p->destination, AF_INET, at + 4, number16(at + 10));
	} else if (families[i].af == AF_INET6) {
		addr_from_octets(&p->source, AF_INET6, at, number16(at + 32));
		addr_from_octets(&p->destination, AF_INET6, at + 16, number16(at + 34));
	}
	/* What follows no family at all is nobody's business (section 2.2). */
	if (families[i].family == 0)
		return PROXYPROTO_DONE;
	return read_values(header, slice_part(header, FIXED + families[i].octets, len), err);
}

static enum proxyproto_result
read_v2(struct slice in, size_t *used, struct proxyproto *p, struct err *err)
{
	enum { LOCAL = 0x20, PROXY = 0x21 };
	size_t len;

	*used = in.len < FIXED ? in.len : FIXED;
	if (in.len < FIXED)
		return PROXYPROTO_MORE;
	len = FIXED + number16(in.at + 14);
	if (in.at[12] != LOCAL && in.at[12] != PROXY) {
		err_set(err, "it is of a version or a command that there is not: 0x%02x", (unsigned char)in.at[12]);
		return PROXYPROTO_BAD;
	}
	if (len > PROXYPROTO_MAX) {
		err_set(err, "it has %zu octets, at most %d are read", len, PROXYPROTO_MAX);
		return PROXYPROTO_BAD;
	}
	*used = in.len < len ? in.len : len;
	if (in.len < len)
		return PROXYPROTO_MORE;
	if (in.at[12] == PROXY)
		return read_proxied(slice_part(in, 0, len), p, err);
	p->none = true;
	return PROXYPROTO_DONE;
}

/* Whether all that is there of `in` is as `start` begins. */
static bool
may_begin(struct slice in, struct slice start)
{
	size_t len = in.len < start.len ? in.len : start.len;

	return len > 0 && memcmp(in.at, start.at, len) == 0;
}

enum proxyproto_result
proxyproto_read(struct slice in, size_t *used, struct proxyproto *p, struct err *err)
{
	*p = (struct proxyproto){ 0 };
	*used = 0;
	if (in.len == 0)
		return PROXYPROTO_MORE;
	if (may_begin(in, SLICE("PROXY ")))
		return read_v1(in, used, p, err);
	if (may_begin(in, (struct slice){ signature, sizeof(signature) }))
		return read_v2(in, used, p, err);
	err_set(err, "a proxy has to send a PROXY header first (see proxy-from)");
	return PROXYPROTO_BAD;
}
