/* test_digest.c - truths about proxy/base/digest.h: the standards' own examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/digest.h"
#include "proxy/base/mem.h"

#define LONG_KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct { const char *text, *sha256; } whole[] = {
	/* FIPS 180-2 appendix B */
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static const struct { const char *key, *text, *sha256; } hmacs[] = {
	/* RFC 4231 section 4.3 has the second */
	{ "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
	{ "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
};

static void
assert_hex(const unsigned char *got, size_t len, const char *want)
{
	char hex[65];

	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", got[i]);
	assert_string_equal(hex, want);
}

static void
test_whole(void **state)
{
	unsigned char out[DIGEST_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < NITEMS(whole); i++) {
		digest_sha256(slice_of(whole[i].text), out);
		assert_hex(out, DIGEST_SHA256_LEN, whole[i].sha256);
	}
}

static void
test_pieces(void **state)
{
	unsigned char out[DIGEST_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < NITEMS(whole); i++)
		for (size_t piece = 1; piece <= strlen(whole[i].text) + 1; piece++) {
			struct digest *d = digest_new();
			struct slice rest = slice_of(whole[i].text);

			for (; rest.len > 0; rest = slice_part(rest, piece, rest.len))
				digest_add(d, slice_part(rest, 0, piece));
			digest_end(&d, out);
			assert_null(d);
			assert_hex(out, DIGEST_SHA256_LEN, whole[i].sha256);
		}
}

static void
test_hmac(void **state)
{
	unsigned char out[DIGEST_SHA256_LEN], hashed[DIGEST_SHA256_LEN], again[DIGEST_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < NITEMS(hmacs); i++) {
		digest_hmac_sha256(slice_of(hmacs[i].key), slice_of(hmacs[i].text), out);
		assert_hex(out, DIGEST_SHA256_LEN, hmacs[i].sha256);
	}
	/* RFC 2104 section 2: a key longer than a block stands for its digest. */
	digest_hmac_sha256(SLICE(LONG_KEY), SLICE("text"), out);
	digest_sha256(SLICE(LONG_KEY), hashed);
	digest_hmac_sha256((struct slice){ (char *)hashed, sizeof(hashed) }, SLICE("text"), again);
	assert_memory_equal(out, again, sizeof(out));
}

/* Neighbours cannot run together. */
static void
test_sized(void **state)
{
	static const char *const split[][2] = { { "ab", "c" }, { "a", "bc" }, { "", "abc" }, { "abc", "" } };
	unsigned char out[NITEMS(split)][DIGEST_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < NITEMS(split); i++) {
		struct digest *d = digest_new();

		digest_add_sized(d, slice_of(split[i][0]));
		digest_add_sized(d, slice_of(split[i][1]));
		digest_end(&d, out[i]);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(out[i], out[k], DIGEST_SHA256_LEN);
	}
}

static void
test_given_up(void **state)
{
	struct digest *d = digest_new();

	(void)state;
	digest_add(d, SLICE("abc"));
	digest_end(&d, NULL);
	assert_null(d);
	digest_end(&d, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_sized),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
