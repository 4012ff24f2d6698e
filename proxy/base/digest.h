/* digest.h - SHA-256 and HMAC. OpenSSL's EVP, fetched once for each process. */
#ifndef PROXY_BASE_DIGEST_H
#define PROXY_BASE_DIGEST_H

#include "proxy/base/slice.h"

#define DIGEST_SHA256_LEN 32

struct digest;			/* one that is being made, SHA-256 */

struct digest *digest_new(void);
void digest_add(struct digest *, struct slice);
void digest_add_sized(struct digest *, struct slice);	/* its length first, so that neighbours cannot run together */
void digest_end(struct digest **, unsigned char out[DIGEST_SHA256_LEN]);	/* out NULL: given up */

void digest_sha256(struct slice, unsigned char out[DIGEST_SHA256_LEN]);
void digest_hmac_sha256(struct slice key, struct slice text, unsigned char out[DIGEST_SHA256_LEN]);

#endif
