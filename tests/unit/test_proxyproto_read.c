/* test_proxyproto_read.c - truths about proxy/net/proxyproto_read.h: the client whom a proxy names, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/base/mem.h"
#include "proxy/net/proxyproto_read.h"

#define WIRE(literal) { "" literal, sizeof(literal) - 1 }
#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x00\x19"	/* 192.0.2.1, 198.51.100.2, 40000, 25 */
#define V6  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" "\x9c\x40\x00\x19"
#define UNIX216 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

/* source NULL with DONE: none. The header is what is written; behind it comes "EHLO x\r\n" in some of the runs. */
static const struct {
	struct slice wire;
	enum proxyproto_result result;
	const char *source, *destination;
} cases[] = {
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },
	{ WIRE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), PROXYPROTO_DONE, "255.255.255.255:65535", "255.255.255.255:65535" },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n"), PROXYPROTO_DONE, "192.0.2.1", "198.51.100.2" },
	{ WIRE("PROXY TCP6 2001:db8::1 2001:DB8::2 40000 25\r\n"), PROXYPROTO_DONE, "[2001:db8::1]:40000", "[2001:db8::2]:25" },
	{ WIRE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		PROXYPROTO_DONE, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ WIRE("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 40000 25\r\n"), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },
	{ WIRE("PROXY UNKNOWN\r\n"), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE("PROXY UNKNOWN ffff::1 whatever \0 25 \r\n"), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		PROXYPROTO_DONE, NULL, NULL },		/* 107 octets: the longest */
	/* lines that are none */
	{ WIRE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n"),
		PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25 \r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25 1\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1  198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1\0 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.01 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 2001:db8::1 2001:db8::2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP6 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP6 [2001:db8::1] 2001:db8::2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP6 fe80::1%lo 2001:db8::2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 localhost 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 040000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 4e4 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY tcp4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY TCP5 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY \r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXY  TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("PROXYTCP4"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("proxy TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("EHLO x\r\n"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("\x16\x03\x01"), PROXYPROTO_BAD, NULL, NULL },		/* TLS before it */
	{ WIRE("\0"), PROXYPROTO_BAD, NULL, NULL },
	/* not all there */
	{ WIRE(""), PROXYPROTO_MORE, NULL, NULL },
	{ WIRE("PROXY"), PROXYPROTO_MORE, NULL, NULL },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r"), PROXYPROTO_MORE, NULL, NULL },
	{ WIRE("\r\n"), PROXYPROTO_MORE, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00"), PROXYPROTO_MORE, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x0c\xc0\x00\x02\x01"), PROXYPROTO_MORE, NULL, NULL },
	/* version 2 */
	{ WIRE(SIG "\x21\x11\x00\x0c" V4), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },
	{ WIRE(SIG "\x21\x21\x00\x24" V6), PROXYPROTO_DONE, "[2001:db8::1]:40000", "[2001:db8::2]:25" },
	{ WIRE(SIG "\x20\x00\x00\x00"), PROXYPROTO_DONE, NULL, NULL },			/* LOCAL: a health check */
	{ WIRE(SIG "\x20\x11\x00\x0c" V4), PROXYPROTO_DONE, NULL, NULL },		/* with addresses that do not count */
	{ WIRE(SIG "\x20\xff\x00\x01z"), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE(SIG "\x21\x00\x00\x00"), PROXYPROTO_DONE, NULL, NULL },			/* of no family */
	{ WIRE(SIG "\x21\x00\x00\x03zzz"), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE(SIG "\x21\x12\x00\x0c" V4), PROXYPROTO_DONE, NULL, NULL },		/* UDP */
	{ WIRE(SIG "\x21\x22\x00\x24" V6), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE(SIG "\x21\x31\x00\xd8" UNIX216), PROXYPROTO_DONE, NULL, NULL },
	{ WIRE(SIG "\x21\x32\x00\xd8" UNIX216), PROXYPROTO_DONE, NULL, NULL },
	/* values behind the addresses */
	{ WIRE(SIG "\x21\x11\x00\x0f" V4 "\x04\x00\x00"), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },	/* NOOP */
	{ WIRE(SIG "\x21\x11\x00\x19" V4 "\x02\x00\x03mx1\xee\x00\x04\1\2\3\4"), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },
	{ WIRE(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04\x12\x67\x09\xf2"), PROXYPROTO_DONE, "192.0.2.1:40000", "198.51.100.2:25" },
	{ WIRE(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04\x12\x67\x09\xf3"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04\0\0\0\0"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x12" V4 "\x03\x00\x03\0\0\0"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x0d" V4 "\x04"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x0e" V4 "\x04\x00"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x0f" V4 "\x04\x00\x01"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x00\x10" V4 "\x04\xff\xff" "a"), PROXYPROTO_BAD, NULL, NULL },
	/* what there is not */
	{ WIRE(SIG "\x21\x11\x00\x0b" "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x00"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x21\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x11\x11\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x22\x11\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x10\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x13\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x41\x00\x0c" V4), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE(SIG "\x21\x11\x10\x01" V4), PROXYPROTO_BAD, NULL, NULL },		/* said before 4 KB came */
	{ WIRE(SIG "\x20\x00\xff\xff"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("\r\n\r\n\0\r\nQUIT\r"), PROXYPROTO_BAD, NULL, NULL },
	{ WIRE("\r\n\r\n\r"), PROXYPROTO_BAD, NULL, NULL },
};

/* Reads as a connection does: what is the header's is taken out of the socket, the rest stays there. */
static enum proxyproto_result
read_pieces(struct slice wire, size_t piece, struct proxyproto *p, size_t *taken, struct err *err)
{
	enum proxyproto_result result = PROXYPROTO_MORE;

	*taken = 0;
	while (result == PROXYPROTO_MORE && *taken < wire.len) {
		size_t seen = *taken + piece < wire.len ? *taken + piece : wire.len, used;
		char *exact = mem_new(seen);		/* so that a sanitizer sees one octet too much */

		memcpy(exact, wire.at, seen);
		result = proxyproto_read((struct slice){ exact, seen }, &used, p, err);
		free(exact);
		if (result != PROXYPROTO_BAD)
			assert_in_range(used, *taken + (result == PROXYPROTO_MORE), seen);
		*taken = used;
	}
	return result;
}

static void
check(size_t i, const char *behind, size_t piece)
{
	struct buf wire;
	struct proxyproto p;
	struct err err = { "" };
	enum proxyproto_result result;
	char text[ADDR_TEXT_MAX];
	size_t taken;

	buf_init(&wire, 8192);
	buf_put(&wire, cases[i].wire);
	buf_puts(&wire, behind);
	result = read_pieces(buf_slice(&wire), piece, &p, &taken, &err);
	if (result != cases[i].result)
		fail_msg("case %zu in pieces of %zu: %d %s", i, piece, result, err.text);
	assert_int_equal(err.text[0] != '\0', result == PROXYPROTO_BAD);
	if (result == PROXYPROTO_DONE) {
		assert_int_equal(taken, cases[i].wire.len);
		assert_int_equal(p.none, cases[i].source == NULL);
	}
	if (cases[i].source != NULL) {
		addr_text(&p.source, text);
		assert_string_equal(text, cases[i].source);
		addr_text(&p.destination, text);
		assert_string_equal(text, cases[i].destination);
	}
	buf_free(&wire);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= cases[i].wire.len + 9; piece++) {
			check(i, "", piece);
			if (cases[i].result == PROXYPROTO_DONE) {
				check(i, "EHLO x\r\n", piece);
				check(i, "PROXY TCP4 203.0.113.9 198.51.100.2 1 25\r\n", piece);
			}
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
