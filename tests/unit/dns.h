/* dns.h - a DNS server inside a unit test's own loop, by UDP: "mail.test A 127.0.0.1 127.0.0.2" in a table of text.
 *
 * tests/gp/dns.py is the one that misbehaves. */
#ifndef TESTS_UNIT_DNS_H
#define TESTS_UNIT_DNS_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/buf.h"
#include "proxy/base/wire.h"
#include "proxy/net/resolver.h"

struct dns {
	struct addr addr;
	struct watch watch;
	int fd;
	const char *table;	/* lines "NAME TYPE DATA..."; types A, AAAA, MX ("10=host"); "NAME fail": SERVFAIL */
	unsigned ttl;
	bool silent;
	unsigned asked;		/* questions so far */
};

static inline void
dns_put_name(struct buf *out, struct slice name)
{
	while (name.len > 0) {
		struct slice label = slice_cut(&name, '.');

		wire_put_u8(out, (uint8_t)label.len);
		buf_put(out, label);
	}
	wire_put_u8(out, 0);
}

static inline void
dns_put_record(struct buf *out, struct dns *dns, unsigned type, struct slice data)
{
	unsigned char ip[16];
	char text[64];
	struct buf mx;
	uint64_t preference;

	buf_puts(out, "\xc0\x0c");
	wire_put_u16(out, (uint16_t)type);
	wire_put_u16(out, 1);
	wire_put_u32(out, dns->ttl);
	slice_copy(data, text, sizeof(text));
	if (type != 15) {
		size_t len = type == 1 ? 4 : 16;

		inet_pton(type == 1 ? AF_INET : AF_INET6, text, ip);
		wire_put_u16(out, (uint16_t)len);
		buf_put(out, (struct slice){ (const char *)ip, len });
		return;
	}
	slice_number(slice_cut(&data, '='), &preference);
	buf_init(&mx, 300);
	wire_put_u16(&mx, (uint16_t)preference);
	dns_put_name(&mx, data);
	wire_put_u16(out, (uint16_t)buf_len(&mx));
	buf_put(out, buf_slice(&mx));
	buf_free(&mx);
}

static inline void
dns_answer(struct dns *dns, struct slice question, struct buf *out)
{
	struct slice table = slice_of(dns->table), name = { 0 };
	unsigned char *head;
	char text[256] = "";
	size_t at = 12, len = 0;
	unsigned type, records = 0, rcode = 3;
	struct buf answers;

	while (question.at[at] != 0 && at < question.len) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", len > 0 ? "." : "", question.at[at], question.at + at + 1);
		at += 1 + (unsigned char)question.at[at];
	}
	type = (unsigned char)question.at[at + 2];
	name = slice_of(text);
	buf_init(&answers, 4096);
	while (table.len > 0) {
		struct slice line = slice_cut(&table, '\n'), kind, data;

		if (!slice_same(slice_word(&line), name))
			continue;
		rcode = rcode == 3 ? 0 : rcode;
		kind = slice_word(&line);
		if (slice_is(kind, "fail"))
			rcode = 2;
		if (type != (slice_is(kind, "A") ? 1u : slice_is(kind, "AAAA") ? 28u : 15u))
			continue;
		while ((data = slice_word(&line)).len > 0) {
			dns_put_record(&answers, dns, type, data);
			records++;
		}
	}
	buf_put(out, slice_part(question, 0, at + 5));
	buf_put(out, buf_slice(&answers));
	head = (unsigned char *)buf_slice(out).at;
	head[2] = 0x81;
	head[3] = (unsigned char)(0x80 | rcode);
	head[7] = (unsigned char)records;
	head[11] = 0;			/* an OPT record, which we leave away */
	buf_free(&answers);
}

static inline void
dns_on_question(void *owner)
{
	struct dns *dns = owner;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char octets[512];
	ssize_t n = recvfrom(dns->fd, octets, sizeof(octets), 0, (struct sockaddr *)&from, &len);
	struct buf out;

	if (n < 17)
		return;
	dns->asked++;
	if (dns->silent)
		return;
	buf_init(&out, 8192);
	dns_answer(dns, (struct slice){ octets, (size_t)n }, &out);
	sendto(dns->fd, buf_slice(&out).at, buf_len(&out), 0, (struct sockaddr *)&from, len);
	buf_free(&out);
}

static inline void
dns_start(struct dns *dns, struct loop *loop, const char *table)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in4);

	*dns = (struct dns){ .table = table, .ttl = 60 };
	dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(dns->fd, (struct sockaddr *)&in4, sizeof(in4)), 0);
	assert_int_equal(getsockname(dns->fd, (struct sockaddr *)&in4, &len), 0);
	addr_from(&dns->addr, (struct sockaddr *)&in4, len);
	watch_start(&dns->watch, loop, dns->fd, dns_on_question, dns);
}

static inline void
dns_stop(struct dns *dns)
{
	watch_stop(&dns->watch);
	close(dns->fd);
}

#endif
