/* test_conf_resolv.c - truths about conf/conf_resolv.h: DNS servers out of resolv.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "conf/conf_resolv.h"
#include "proxy/base/mem.h"

static const struct { const char *text, *servers; } cases[] = {
	{ "nameserver 192.0.2.53\n", "192.0.2.53:53 " },
	{ "nameserver 192.0.2.53", "192.0.2.53:53 " },
	{ "# made by hand\nsearch example.org\nnameserver\t192.0.2.1 # the first\n  nameserver 2001:db8::53\noptions edns0\n",
		"192.0.2.1:53 [2001:db8::53]:53 " },
	{ "nameserver 192.0.2.1\r\nnameserver 192.0.2.2\n", "192.0.2.1:53 192.0.2.2:53 " },
	{ "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n", "1.1.1.1:53 1.1.1.2:53 1.1.1.3:53 " },
	{ "nameserver fe80::1%eth0\nnameserver ::1\n", "[::1]:53 " },
	{ "nameserver ::ffff:192.0.2.1\n", "192.0.2.1:53 " },
	{ "", "127.0.0.1:53 " },
	{ "nameserver\nnameserver name.test\nnameserver unix:/x\nnameserver [::1]\nnameservers 192.0.2.1\n#nameserver 192.0.2.1\n",
		"127.0.0.1:53 " },
	{ "nameserver 0123456789012345678901234567890123456789012345678901234567890123456789\n", "127.0.0.1:53 " },
};

static void
test_servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr *servers = NULL;
		struct buf all;
		size_t n = 0;

		buf_init(&all, 1000);
		conf_resolv_read(slice_of(cases[i].text), &servers, &n);
		for (size_t k = 0; k < n; k++) {
			addr_text(&servers[k], text);
			buf_printf(&all, "%s ", text);
		}
		assert_string_equal(buf_str(&all), cases[i].servers);
		buf_free(&all);
		free(servers);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
