/* Mechanisms by name, and who authenticates: what a client says, and the name that must be read out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/mem.h"
#include "proxy/sasl/watch.h"

static void
test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
		const char *name = sasl_mechanism_name(1u << i);

		assert_non_null(name);
		assert_int_equal(sasl_mechanism_bit(slice_of(name)), 1u << i);
	}
	assert_int_equal(sasl_mechanism_bit(SLICE("scram-sha-256")), SASL_SCRAM_SHA_256);
	assert_int_equal(sasl_mechanism_bit(SLICE("PLAI")), 0);
	assert_int_equal(sasl_mechanism_bit(SLICE("")), 0);
	assert_null(sasl_mechanism_name(0));
	assert_null(sasl_mechanism_name(SASL_PLAIN | SASL_LOGIN));
	assert_null(sasl_mechanism_name(1u << SASL_MECHANISMS));
}

#define M(text) { "" text, sizeof(text) - 1 }
#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONGEST HUNDRED HUNDRED TEN TEN TEN TEN TEN "01234"	/* 255 */
#define DIGEST  "e9317afeb02c8c9d8d1d0c7b3a0a4e4c"
#define NONE    { NULL, 0 }

/* The client's messages in order; user NULL: one of them must be refused. */
static const struct {
	unsigned mechanism;
	struct slice messages[4];
	const char *user, *authzid;
} exchanges[] = {
	{ SASL_PLAIN, { M("\0tim\0tanstaaftanstaaf") }, "tim", "" },			/* RFC 4616 section 4 */
	{ SASL_PLAIN, { M("Ursel\0Kurt\0xipj3plmq") }, "Kurt", "Ursel" },
	{ SASL_PLAIN, { M("\0j\xc3\xb6rg\0x") }, "j\xc3\xb6rg", "" },
	{ SASL_PLAIN, { M("\0tim\0") }, "tim", "" },					/* no password: the server's to refuse */
	{ SASL_PLAIN, { M("\0" LONGEST "\0x") }, LONGEST, "" },
	{ SASL_PLAIN, { M("\0" LONGEST "0\0x") }, NULL, NULL },
	{ SASL_PLAIN, { M("\0\0x") }, NULL, NULL },
	{ SASL_PLAIN, { M("tim\0x") }, NULL, NULL },
	{ SASL_PLAIN, { M("\0tim\0x\0y") }, NULL, NULL },
	{ SASL_PLAIN, { M("\0tim\r\nuser=root\0x") }, NULL, NULL },
	{ SASL_PLAIN, { M("\1\0tim\0x") }, NULL, NULL },
	{ SASL_PLAIN, { M("") }, NULL, NULL },
	{ SASL_PLAIN, { M("\0tim\0x"), M("\0tom\0x") }, NULL, NULL },			/* one too many */
	{ SASL_LOGIN, { M("tim") , M("tanstaaf") }, "tim", "" },
	{ SASL_LOGIN, { M("tim"), M("") }, "tim", "" },
	{ SASL_LOGIN, { M("tim"), M("a\0b") }, "tim", "" },				/* a password is not read */
	{ SASL_LOGIN, { M("") }, NULL, NULL },
	{ SASL_LOGIN, { M("t\0im") }, NULL, NULL },
	{ SASL_LOGIN, { M("tim"), M("x"), M("y") }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("tim b913a602c7eda7a495b4e6e7334d3890") }, "tim", "" },	/* RFC 2195 section 2 */
	{ SASL_CRAM_MD5, { M("Tim and Co " DIGEST) }, "Tim and Co", "" },
	{ SASL_CRAM_MD5, { M("tim  " DIGEST) }, "tim ", "" },
	{ SASL_CRAM_MD5, { M(" " DIGEST) }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("tim" DIGEST) }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("tim " DIGEST "0") }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("tim g9317afeb02c8c9d8d1d0c7b3a0a4e4c") }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("tim 12") }, NULL, NULL },
	{ SASL_CRAM_MD5, { M("") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,"
	    "cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",response=d388dad90d4bbd760a152321f2143af7,qop=auth"),
	    M("") }, "chris", "" },							/* RFC 2831 section 4 */
	{ SASL_DIGEST_MD5, { M("username=\"a\\\"b\\\\c,d=e\",response=" DIGEST) }, "a\"b\\c,d=e", "" },
	{ SASL_DIGEST_MD5, { M(" ,, realm=\"x,username=\\\"eve\\\"\" , username = \"tim\" ,authzid=\"tom\",") }, "tim", "tom" },
	{ SASL_DIGEST_MD5, { M("realm=\"" HUNDRED HUNDRED HUNDRED "\",USERNAME=\"tim\"") }, "tim", "" },
	{ SASL_DIGEST_MD5, { M("username=\"" LONGEST "\"") }, LONGEST, "" },
	{ SASL_DIGEST_MD5, { M("username=\"" LONGEST "0\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\",username=\"tom\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=tim") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\\") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\\\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\"x,nc=1") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("nc=00000001,realm=\"x\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("nc=0\"1,username=\"tim\"") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\",qop=auth-int") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("") }, NULL, NULL },
	{ SASL_DIGEST_MD5, { M("username=\"tim\""), M("username=\"tom\"") }, NULL, NULL },
	{ SASL_SCRAM_SHA_1, { M("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"),
	    M("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), M("") }, "user", "" },	/* RFC 5802 section 5 */
	{ SASL_SCRAM_SHA_256, { M("y,a=boss,n=user,r=x,ext=1") }, "user", "boss" },
	{ SASL_SCRAM_SHA_512, { M("n,a==3D=2C,n=a=2Cb=3Dc,r=x") }, "a,b=c", "=," },
	{ SASL_SCRAM_SHA_256, { M("n,,n=a=2Db,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=a=2c,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=a=,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=user") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,m=x,n=user,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,b=x,n=user,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,a=,n=user,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("p=tls-exporter,,n=user,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("N,,n=user,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=user,r=x"), M("n,,n=other,r=x") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256, { M("n,,n=user,r=x"), M("c=biws,r=x,p=y"), M("c=biws") }, NULL, NULL },
	{ SASL_SCRAM_SHA_256_PLUS, { M("p=tls-exporter,,n=user,r=x") }, "user", "" },
	{ SASL_SCRAM_SHA_1_PLUS, { M("n,,n=user,r=x") }, NULL, NULL },
	{ SASL_XOAUTH2, { M("user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1"), M("") },
	    "someuser@example.com", "" },
	{ SASL_XOAUTH2, { M("user=\1auth=Bearer x\1\1") }, NULL, NULL },
	{ SASL_XOAUTH2, { M("auth=Bearer x\1user=tim\1\1") }, NULL, NULL },
	{ SASL_XOAUTH2, { M("user=tim") }, NULL, NULL },
	{ SASL_XOAUTH2, { M("user=tim\1auth=x\1\1"), M("\1") }, "tim", "" },
	{ SASL_XOAUTH2, { M("user=tim\1auth=x\1\1"), M("user=tom\1auth=x\1\1") }, NULL, NULL },
	{ SASL_OAUTHBEARER, { M("n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"),
	    M("\1") }, "user@example.com", "" },						/* RFC 7628 section 4 */
	{ SASL_OAUTHBEARER, { M("n,,\1auth=Bearer x\1\1") }, "", "" },
	{ SASL_OAUTHBEARER, { M("\1") }, NULL, NULL },
	{ SASL_OAUTHBEARER, { M("n,,auth=Bearer x\1\1") }, NULL, NULL },
	{ SASL_OAUTHBEARER, { M("p=x,,\1auth=Bearer x\1\1") }, NULL, NULL },
	{ SASL_OAUTHBEARER, { M("n,,\1auth=Bearer x\1\1"), M("") }, "", "" },
	{ SASL_OAUTHBEARER, { M("n,,\1auth=Bearer x\1\1"), M("n,a=x,\1\1") }, NULL, NULL },
	{ SASL_EXTERNAL, { M("") }, "", "" },
	{ SASL_EXTERNAL, { M("client.example.net") }, "", "client.example.net" },
	{ SASL_EXTERNAL, { M("a\0b") }, NULL, NULL },
	{ SASL_GSSAPI, { M("\x60\0\1"), M(""), M("\4\4") }, "", "" },
	{ SASL_NTLM, { M("NTLMSSP\0\1"), M("NTLMSSP\0\3") }, "", "" },
	{ 1u << SASL_MECHANISMS, { M("x") }, NULL, NULL },
};

static void
test_exchanges(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(exchanges); i++) {
		struct sasl_watch w;
		bool good = true;

		sasl_watch_begin(&w, exchanges[i].mechanism);
		for (size_t k = 0; k < NITEMS(exchanges[i].messages) && exchanges[i].messages[k].at != NULL && good; k++)
			good = sasl_watch_client(&w, exchanges[i].messages[k]);
		if (good != (exchanges[i].user != NULL))
			fail_msg("exchange %zu is %s", i, good ? "accepted" : "refused");
		if (good) {
			assert_string_equal(w.user, exchanges[i].user);
			assert_string_equal(w.authzid, exchanges[i].authzid);
		}
	}
}

static void
test_bounds(void **state)
{
	struct sasl_watch w;
	unsigned n = 0;

	(void)state;
	sasl_watch_begin(&w, SASL_GSSAPI);
	while (sasl_watch_client(&w, SLICE("x")))
		assert_in_range(++n, 1, 10);
	assert_true(sasl_watch_over(&w));
	sasl_watch_begin(&w, SASL_PLAIN);
	assert_false(sasl_watch_over(&w));
	assert_true(sasl_watch_client(&w, (struct slice)M("\0tim\0x")));
	assert_true(sasl_watch_over(&w));
	assert_true(sasl_client_begins(SASL_PLAIN) && sasl_client_begins(SASL_LOGIN) && sasl_client_begins(SASL_SCRAM_SHA_1));
	assert_false(sasl_client_begins(SASL_CRAM_MD5) || sasl_client_begins(SASL_DIGEST_MD5) || sasl_client_begins(0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
