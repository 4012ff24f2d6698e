/* sasl.h - the mechanisms of SASL (RFC 4422) by their registered names. */
#ifndef PROXY_SASL_SASL_H
#define PROXY_SASL_SASL_H

#include "proxy/base/slice.h"

/* As bits, the very values of enum conf_mechanism (conf/conf.h), which this floor cannot see; smtp_auth.c makes
 * sure that they are. */
enum sasl_mechanism {
	SASL_PLAIN = 1 << 0,			/* RFC 4616 */
	SASL_LOGIN = 1 << 1,			/* draft-murchison-sasl-login */
	SASL_CRAM_MD5 = 1 << 2,			/* RFC 2195 */
	SASL_DIGEST_MD5 = 1 << 3,		/* RFC 2831 */
	SASL_SCRAM_SHA_1 = 1 << 4,		/* RFC 5802 */
	SASL_SCRAM_SHA_256 = 1 << 5,		/* RFC 7677 */
	SASL_SCRAM_SHA_512 = 1 << 6,
	SASL_XOAUTH2 = 1 << 7,			/* Google's and Microsoft's */
	SASL_OAUTHBEARER = 1 << 8,		/* RFC 7628 */
	SASL_EXTERNAL = 1 << 9,			/* RFC 4422 appendix A */
	SASL_SCRAM_SHA_1_PLUS = 1 << 10,	/* these two are bound to one TLS connection and cannot pass a gateway */
	SASL_SCRAM_SHA_256_PLUS = 1 << 11,
	SASL_GSSAPI = 1 << 12,			/* RFC 4752 */
	SASL_NTLM = 1 << 13,
};

#define SASL_MECHANISMS 14			/* how many there are */

/* The mechanism of this name (ASCII case ignored); 0: none that we know. */
unsigned sasl_mechanism_bit(struct slice name);

/* "SCRAM-SHA-256" for its bit; NULL when it is not exactly one of them. */
const char *sasl_mechanism_name(unsigned bit);

#endif
