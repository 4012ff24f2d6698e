#include "proxy/sasl/sasl.h"

#include "proxy/base/bits.h"
#include "proxy/base/mem.h"

static const struct bit_word mechanisms[] = {
	{ "PLAIN", SASL_PLAIN },
	{ "LOGIN", SASL_LOGIN },
	{ "CRAM-MD5", SASL_CRAM_MD5 },
	{ "DIGEST-MD5", SASL_DIGEST_MD5 },
	{ "SCRAM-SHA-1", SASL_SCRAM_SHA_1 },
	{ "SCRAM-SHA-256", SASL_SCRAM_SHA_256 },
	{ "SCRAM-SHA-512", SASL_SCRAM_SHA_512 },
	{ "XOAUTH2", SASL_XOAUTH2 },
	{ "OAUTHBEARER", SASL_OAUTHBEARER },
	{ "EXTERNAL", SASL_EXTERNAL },
	{ "SCRAM-SHA-1-PLUS", SASL_SCRAM_SHA_1_PLUS },
	{ "SCRAM-SHA-256-PLUS", SASL_SCRAM_SHA_256_PLUS },
	{ "GSSAPI", SASL_GSSAPI },
	{ "NTLM", SASL_NTLM },
};
_Static_assert(NITEMS(mechanisms) == SASL_MECHANISMS, "a name for each mechanism");

unsigned
sasl_mechanism_bit(struct slice name)
{
	return bit_of_word(mechanisms, NITEMS(mechanisms), name);
}

const char *
sasl_mechanism_name(unsigned bit)
{
	return word_of_bit(mechanisms, NITEMS(mechanisms), bit);
}
