#include "proxy/base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/mem.h"

struct digest {
	EVP_MD_CTX *ctx;
};

/* Memory or an algorithm is missing: as with any small thing the process ends, and is replaced. */
static _Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "gatepost: OpenSSL cannot do %s\n", what);
	abort();
}

/* Looking an algorithm up by its name costs more than digesting a short text with it. */
static const EVP_MD *
sha256(void)
{
	static const EVP_MD *md;

	if (md == NULL && (md = EVP_MD_fetch(NULL, "SHA2-256", NULL)) == NULL)
		give_up("SHA-256");
	return md;
}

struct digest *
digest_new(void)
{
	struct digest *d = mem_new(sizeof(*d));

	d->ctx = EVP_MD_CTX_new();
	if (d->ctx == NULL || EVP_DigestInit_ex2(d->ctx, sha256(), NULL) != 1)
		give_up("SHA-256");
	return d;
}

void
digest_add(struct digest *d, struct slice bytes)
{
	if (EVP_DigestUpdate(d->ctx, bytes.at, bytes.len) != 1)
		give_up("SHA-256");
}

void
digest_add_sized(struct digest *d, struct slice bytes)
{
	char len[8];

	for (size_t i = 0; i < sizeof(len); i++)
		len[i] = (char)((uint64_t)bytes.len >> (8 * (7 - i)));
	digest_add(d, (struct slice){ len, sizeof(len) });
	digest_add(d, bytes);
}

void
digest_end(struct digest **dp, unsigned char out[DIGEST_SHA256_LEN])
{
	struct digest *d = *dp;

	if (d == NULL)
		return;
	if (out != NULL && EVP_DigestFinal_ex(d->ctx, out, NULL) != 1)
		give_up("SHA-256");
	EVP_MD_CTX_free(d->ctx);
	free(d);
	*dp = NULL;
}

void
digest_sha256(struct slice bytes, unsigned char out[DIGEST_SHA256_LEN])
{
	if (EVP_Digest(bytes.at, bytes.len, out, NULL, sha256(), NULL) != 1)
		give_up("SHA-256");
}

/* OpenSSL takes a key of no octets only by a place that is not NULL, and its length as an int. */
void
digest_hmac_sha256(struct slice key, struct slice text, unsigned char out[DIGEST_SHA256_LEN])
{
	if (key.len > INT32_MAX || HMAC(sha256(), key.len > 0 ? key.at : "", (int)key.len, (const unsigned char *)text.at,
				       text.len, out, NULL) == NULL)
		give_up("HMAC");
}
