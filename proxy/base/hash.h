/* hash.h - SipHash-2-4: a keyed hash for tables whose keys strangers choose. */
#ifndef PROXY_BASE_HASH_H
#define PROXY_BASE_HASH_H

#include "proxy/base/slice.h"

#define HASH_KEY_LEN 16

uint64_t hash_keyed(const unsigned char key[HASH_KEY_LEN], struct slice);

#endif
