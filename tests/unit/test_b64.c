/* test_b64.c - truths about proxy/base/b64.h: base64 as SASL speaks it, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/base/b64.h"
#include "proxy/base/mem.h"

static const struct { const char *text, *b64; } pairs[] = {
	/* RFC 4648 section 10 */
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xff\xef\xbe", "/+++" },
	{ "\xfb\xff\xbf", "+/+/" },
};

static const char *const refused[] = {
	"Z", "Zg", "Zg=", "Zm8", "Zm9vY", "Zg==Zg==", "Zg==Zm9v", "Z===", "====", "=", "=Zg=", "Z=g=", "Zm=v", "Zm9v====",
	"Zh==", "Zm9=",			/* bits behind the end */
	"Zm9v\r\n", "Zm9v\n", " Zm9v", "Zm 9v", "Zm9v    ", "Zm9-", "Zm9_", "Zm9\x80", "Zm9,", "Zm9v*m9v",
};

static void
test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(pairs); i++) {
		struct buf b;

		buf_init(&b, 100);
		assert_true(b64_encode(&b, slice_of(pairs[i].text)));
		assert_true(slice_is(buf_slice(&b), pairs[i].b64));
		buf_clear(&b);
		assert_true(b64_decode(&b, slice_of(pairs[i].b64)));
		assert_true(slice_is(buf_slice(&b), pairs[i].text));
		buf_free(&b);
	}
}

static void
test_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < NITEMS(refused); i++) {
		if (b64_decode(&b, slice_of(refused[i])))
			fail_msg("\"%s\" is taken", refused[i]);
		buf_clear(&b);
	}
	assert_false(b64_decode(&b, (struct slice){ "Zm9\0", 4 }));
	buf_free(&b);
}

/* Every octet in every place, there and back. */
static void
test_all_octets(void **state)
{
	char octets[256 + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)i;
	for (size_t from = 0; from < 3; from++)
		for (size_t len = 0; len <= 256; len++) {
			struct slice in = { octets + from, len };
			struct buf text, back;

			buf_init(&text, 400);
			buf_init(&back, 256);
			assert_true(b64_encode(&text, in));
			assert_int_equal(buf_len(&text), (len + 2) / 3 * 4);
			assert_true(b64_decode(&back, buf_slice(&text)));
			assert_true(slice_same(buf_slice(&back), in));
			buf_free(&text);
			buf_free(&back);
		}
}

static void
test_room(void **state)
{
	(void)state;
	for (size_t room = 0; room < 20; room++) {
		struct buf b;

		buf_init(&b, room);
		assert_int_equal(b64_encode(&b, SLICE("foob")), room >= 8);
		assert_int_equal(buf_len(&b), room >= 8 ? 8 : 0);
		buf_clear(&b);
		assert_int_equal(b64_decode(&b, SLICE("Zm9vYg==")), room >= 4);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_all_octets),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
