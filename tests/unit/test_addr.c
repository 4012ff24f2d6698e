/* test_addr.c - truths about proxy/base/addr.h: addresses and networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "proxy/base/addr.h"
#include "proxy/base/mem.h"

static void
test_addr_parse(void **state)
{
	static const struct { const char *text; unsigned port; const char *want, *host; } cases[] = {
		{ "192.0.2.1:25", 0, "192.0.2.1:25", "192.0.2.1" },
		{ "192.0.2.1", 25, "192.0.2.1:25", "192.0.2.1" },
		{ "192.0.2.1:587", 25, "192.0.2.1:587", "192.0.2.1" },
		{ "192.0.2.1:1", 0, "192.0.2.1:1", "192.0.2.1" },
		{ "192.0.2.1:65535", 0, "192.0.2.1:65535", "192.0.2.1" },
		{ "0.0.0.0:25", 0, "0.0.0.0:25", "0.0.0.0" },
		{ "[::]:25", 0, "[::]:25", "::" },
		{ "[::1]", 25, "[::1]:25", "::1" },
		{ "[2001:DB8:0:0:0:0:0:1]:25", 0, "[2001:db8::1]:25", "2001:db8::1" },
		{ "[::ffff:192.0.2.1]:25", 0, "192.0.2.1:25", "192.0.2.1" },	/* a mapped address is what it maps */
		{ "[::ffff:c000:201]:25", 0, "192.0.2.1:25", "192.0.2.1" },
		{ "unix:/run/x.sock", 0, "unix:/run/x.sock", "unix:/run/x.sock" },
		{ "192.0.2.1", 0, NULL, NULL },		/* no port anywhere */
		{ "192.0.2.1:", 25, NULL, NULL },
		{ "192.0.2.1:0", 25, NULL, NULL },
		{ "192.0.2.1:65536", 0, NULL, NULL },
		{ "192.0.2.1:18446744073709551641", 0, NULL, NULL },	/* 2^64 + 25 */
		{ "192.0.2.1:25x", 0, NULL, NULL },
		{ "192.0.2.1: 25", 0, NULL, NULL },
		{ "192.0.2.1:25:26", 0, NULL, NULL },
		{ "192.0.2.1 ", 25, NULL, NULL },
		{ "192.0.2", 25, NULL, NULL },
		{ "192.0.2.256:25", 0, NULL, NULL },
		{ "192.0.2.01:25", 0, NULL, NULL },
		{ "0x7f.1:25", 0, NULL, NULL },
		{ "localhost:25", 0, NULL, NULL },	/* names are never looked up here */
		{ "::1", 25, NULL, NULL },		/* without brackets, which colon is the port's? */
		{ "[::1", 25, NULL, NULL },
		{ "[::1:25", 0, NULL, NULL },
		{ "::1]", 25, NULL, NULL },
		{ "[]", 25, NULL, NULL },
		{ "[]:25", 0, NULL, NULL },
		{ "[::1]25", 0, NULL, NULL },
		{ "[::1]:", 25, NULL, NULL },
		{ "[::1]]:25", 0, NULL, NULL },
		{ "[[::1]:25", 0, NULL, NULL },
		{ "[fe80::1%lo]:25", 0, NULL, NULL },
		{ "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:25", 0, NULL, NULL },
		{ "", 25, NULL, NULL },
		{ ":25", 0, NULL, NULL },
		{ "unix:", 0, NULL, NULL },
		{ "unix:run/x.sock", 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct addr a, again;
		struct err err = { "" };
		char text[ADDR_TEXT_MAX];

		if (addr_parse(&a, cases[i].text, cases[i].port, &err) == -1) {
			if (cases[i].want != NULL)
				fail_msg("\"%s\": refused: %s", cases[i].text, err.text);
			assert_true(strlen(err.text) > 0);
			continue;
		}
		addr_text(&a, text);
		if (cases[i].want == NULL)
			fail_msg("\"%s\" must be refused, was read as %s", cases[i].text, text);
		assert_string_equal(text, cases[i].want);
		assert_int_equal(addr_parse(&again, text, 0, &err), 0);		/* what we print we can read */
		assert_true(addr_same(&a, &again));
		addr_host(&a, text);
		assert_string_equal(text, cases[i].host);
	}
}

static void
test_addr_unix_length(void **state)
{
	struct sockaddr_un un;
	char text[200] = "unix:/";
	struct addr a;
	struct err err;

	(void)state;
	memset(text + 6, 'x', sizeof(un.sun_path) - 2);
	text[5 + sizeof(un.sun_path) - 1] = '\0';
	assert_int_equal(addr_parse(&a, text, 0, &err), 0);
	text[5 + sizeof(un.sun_path) - 1] = 'x';
	text[5 + sizeof(un.sun_path)] = '\0';
	assert_int_equal(addr_parse(&a, text, 0, &err), -1);
}

static void
test_addr_from(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(4000) };
	struct addr a, b;
	struct err err;
	char text[ADDR_TEXT_MAX];

	(void)state;
	memcpy(in6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
	addr_from(&a, (struct sockaddr *)&in6, sizeof(in6));
	assert_int_equal(a.ss.ss_family, AF_INET);
	assert_int_equal(a.len, sizeof(struct sockaddr_in));
	assert_int_equal(addr_port(&a), 4000);
	addr_text(&a, text);
	assert_string_equal(text, "192.0.2.1:4000");
	assert_int_equal(addr_parse(&b, "192.0.2.1:4001", 0, &err), 0);
	assert_false(addr_same(&a, &b));	/* the port counts */
	assert_int_equal(addr_parse(&b, "unix:/x", 0, &err), 0);
	assert_false(addr_same(&a, &b));
	assert_int_equal(addr_port(&b), 0);
}

static void
test_net(void **state)
{
	static const struct { const char *net, *in[3], *out[4]; } cases[] = {
		{ "any", { "192.0.2.1", "[::1]" }, { NULL } },
		{ "0.0.0.0/0", { "192.0.2.1", "255.255.255.255", "[::ffff:1.2.3.4]" }, { "[::1]" } },
		{ "::/0", { "[::1]", "[ffff::1]" }, { "192.0.2.1", "[::ffff:1.2.3.4]" } },
		{ "10.0.0.0/8", { "10.0.0.0", "10.255.255.255", "[::ffff:10.1.2.3]" }, { "9.255.255.255", "11.0.0.0", "[::10.0.0.1]" } },
		{ "192.0.2.1", { "192.0.2.1" }, { "192.0.2.0", "192.0.2.2" } },
		{ "192.0.2.1/32", { "192.0.2.1" }, { "192.0.2.0", "192.0.2.3" } },
		{ "::ffff:192.0.2.1", { "192.0.2.1" }, { "192.0.2.0" } },
		{ "192.0.2.128/25", { "192.0.2.128", "192.0.2.255" }, { "192.0.2.127", "192.0.3.128" } },
		{ "172.16.0.0/12", { "172.16.0.0", "172.31.255.255" }, { "172.15.255.255", "172.32.0.0" } },
		{ "128.0.0.0/1", { "128.0.0.0", "255.0.0.1" }, { "127.255.255.255" } },
		{ "192.0.2.2/31", { "192.0.2.2", "192.0.2.3" }, { "192.0.2.1", "192.0.2.4" } },
		{ "2001:db8::/32", { "[2001:db8::1]", "[2001:db8:ffff::]" }, { "[2001:db9::]", "[2001:db7:ffff::]", "32.1.13.184" } },
		{ "2001:db8::8/125", { "[2001:db8::8]", "[2001:db8::f]" }, { "[2001:db8::7]", "[2001:db8::10]" } },
		{ "::1/128", { "[::1]" }, { "[::2]", "[::]", "127.0.0.1", "unix:/x" } },
		{ "127.0.0.1", { "127.0.0.1" }, { "unix:/x", "[::1]" } },
	};
	struct addr a;
	struct net net;
	struct err err;

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(net_parse(&net, cases[i].net, &err), 0);
		for (size_t k = 0; k < NITEMS(cases[i].in) && cases[i].in[k] != NULL; k++) {
			assert_int_equal(addr_parse(&a, cases[i].in[k], 25, &err), 0);
			if (!net_has(&net, &a))
				fail_msg("%s must hold %s", cases[i].net, cases[i].in[k]);
		}
		for (size_t k = 0; k < NITEMS(cases[i].out) && cases[i].out[k] != NULL; k++) {
			assert_int_equal(addr_parse(&a, cases[i].out[k], 25, &err), 0);
			if (net_has(&net, &a))
				fail_msg("%s must not hold %s", cases[i].net, cases[i].out[k]);
		}
	}
}

static void
test_net_refused(void **state)
{
	static const char *const cases[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8",
		"10.0.0.1/8", "10.128.0.0/8", "10.0.0.0 /8", "10.0.0/8", "10/8", "10.0.0.0/255.0.0.0", "::/129", "2001:db8::1/32", "[::1]",
		"[::1]/128", "::ffff:10.0.0.0/104", "localhost", "Any", "any/0", "192.0.2.1:25" };
	struct net net;

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct err err = { "" };

		if (net_parse(&net, cases[i], &err) == 0)
			fail_msg("\"%s\" must be refused", cases[i]);
		assert_true(strlen(err.text) > 0);
	}
}

/* The octets of an address, and those by which a client is counted; the port set anew. */
static void
test_octets(void **state)
{
	static const struct { const char *text; size_t len, client; const char *want; } cases[] = {
		{ "192.0.2.1:25", 4, 4, "192.0.2.1:587" },
		{ "[2001:db8::1]:25", 16, 8, "[2001:db8::1]:587" },
		{ "[::ffff:192.0.2.1]:25", 4, 4, "192.0.2.1:587" },
		{ "unix:/run/x.sock", 0, 0, "unix:/run/x.sock" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct addr a, back;
		const unsigned char *octets;
		char text[ADDR_TEXT_MAX];
		size_t len;

		assert_int_equal(addr_parse(&a, cases[i].text, 0, NULL), 0);
		addr_set_port(&a, 587);
		addr_text(&a, text);
		assert_string_equal(text, cases[i].want);
		octets = addr_client(&a, &len);
		assert_int_equal(len, cases[i].client);
		assert_ptr_equal(octets, addr_octets(&a, &len));
		assert_int_equal(len, cases[i].len);
		assert_int_equal(octets != NULL, len > 0);
		if (len == 0)
			continue;
		addr_from_octets(&back, a.ss.ss_family, octets, 587);
		assert_true(addr_same(&back, &a));
	}
	{
		static const unsigned char mapped[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
		struct addr a, want;

		addr_from_octets(&a, AF_INET6, mapped, 25);
		assert_int_equal(addr_parse(&want, "192.0.2.1:25", 0, NULL), 0);
		assert_true(addr_same(&a, &want));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_parse),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_addr_unix_length),
		cmocka_unit_test(test_addr_from),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_net_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
