/* PLAIN (RFC 4616) and the base64 it travels in (RFC 4648). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/b64.h"
#include "proxy/base/mem.h"
#include "proxy/sasl/plain.h"

static const struct { const char *text, *octets; } both_ways[] = {	/* RFC 4648 section 10 */
	{ "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" },
	{ "Zm9vYmFy", "foobar" }, { "/+8=", "\xff\xef" },
};

static const char *const not_base64[] = { "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm 9v", "Zm9-", "Zh==", "Zm9=", "=m9v" };

static void
test_base64(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < NITEMS(both_ways); i++) {
		buf_clear(&out);
		assert_true(b64_encode(&out, slice_of(both_ways[i].octets)));
		assert_true(slice_is(buf_slice(&out), both_ways[i].text));
		buf_clear(&out);
		assert_true(b64_decode(&out, slice_of(both_ways[i].text)));
		assert_true(slice_is(buf_slice(&out), both_ways[i].octets));
	}
	for (size_t i = 0; i < NITEMS(not_base64); i++) {
		buf_clear(&out);
		if (b64_decode(&out, slice_of(not_base64[i])))
			fail_msg("\"%s\" must be refused", not_base64[i]);
	}
	buf_free(&out);
	buf_init(&out, 3);
	assert_false(b64_encode(&out, SLICE("a")));
	assert_int_equal(buf_len(&out), 0);
	buf_free(&out);
}

#define MESSAGE(text) { text, sizeof(text) - 1 }

static const struct { struct slice message; const char *authzid, *user, *password; } plains[] = {	/* user NULL: refused */
	{ MESSAGE("\0tim\0tanstaaftanstaaf"), "", "tim", "tanstaaftanstaaf" },
	{ MESSAGE("Ursel\0Kurt\0xipj3plmq"), "Ursel", "Kurt", "xipj3plmq" },
	{ MESSAGE("\0tim\0pass word \xc3\xa9"), "", "tim", "pass word \xc3\xa9" },
	{ MESSAGE("tim\0secret"), NULL, NULL, NULL },
	{ MESSAGE("\0\0secret"), NULL, NULL, NULL },
	{ MESSAGE("\0tim\0"), NULL, NULL, NULL },
	{ MESSAGE("\0tim\0a\0b"), NULL, NULL, NULL },
	{ MESSAGE(""), NULL, NULL, NULL },
};

static void
test_plain(void **state)
{
	struct sasl_plain p;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < NITEMS(plains); i++) {
		bool good = sasl_plain_read(plains[i].message, &p);

		assert_int_equal(good, plains[i].user != NULL);
		if (!good)
			continue;
		assert_true(slice_is(p.authzid, plains[i].authzid) && slice_is(p.user, plains[i].user) && slice_is(p.password, plains[i].password));
		buf_init(&out, 200);
		assert_true(sasl_plain_write(&out, &p));
		assert_true(slice_same(buf_slice(&out), plains[i].message));
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
