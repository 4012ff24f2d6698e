/* test_proxyproto.c - truths about proxy/net/proxyproto.h, the half that writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/proxyproto.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const struct {
	const char *from, *to;		/* from NULL: our own connection; "": not known */
	const char *v1;
	struct slice v2;
} cases[] = {
	{ "192.0.2.7:40000", "198.51.100.1:25", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
	  SLICE(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x00\x19") },
	{ "[2001:db8::7]:40000", "[2001:db8::1]:25", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n",
	  SLICE(SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\x40\x00\x19") },
	{ "192.0.2.7:40000", "[2001:db8::1]:25", "PROXY UNKNOWN\r\n", SLICE(SIGNATURE "\x21\x00\x00\x00") },
	{ "192.0.2.7:40000", "", "PROXY UNKNOWN\r\n", SLICE(SIGNATURE "\x21\x00\x00\x00") },
	{ "", "192.0.2.7:40000", "PROXY UNKNOWN\r\n", SLICE(SIGNATURE "\x21\x00\x00\x00") },
	{ "unix:/run/x", "unix:/run/y", "PROXY UNKNOWN\r\n", SLICE(SIGNATURE "\x21\x00\x00\x00") },
	{ NULL, "192.0.2.7:40000", "PROXY UNKNOWN\r\n", SLICE(SIGNATURE "\x20\x00\x00\x00") },
};

static void
read_addr(struct addr *a, const char *text)
{
	struct err err = { "" };

	memset(a, 0, sizeof(*a));
	if (text != NULL && text[0] != '\0')
		assert_int_equal(addr_parse(a, text, 0, &err), 0);
}

static void
test_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct addr from, to;
		struct buf out;

		read_addr(&from, cases[i].from);
		read_addr(&to, cases[i].to);
		buf_init(&out, 200);
		assert_true(proxyproto_v1(&out, cases[i].from != NULL ? &from : NULL, &to));
		assert_true(slice_is(buf_slice(&out), cases[i].v1));
		buf_clear(&out);
		assert_true(proxyproto_v2(&out, cases[i].from != NULL ? &from : NULL, &to));
		assert_true(slice_same(buf_slice(&out), cases[i].v2));
		buf_free(&out);
	}
}

static void
test_no_room(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 14);
	assert_false(proxyproto_v1(&out, NULL, NULL));
	assert_false(proxyproto_v2(&out, NULL, NULL));
	assert_int_equal(buf_len(&out), 0);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
