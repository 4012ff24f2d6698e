/* dns_life.h - how long a DNS answer may be believed, read from the answer itself.
 *
 * c-ares tells the TTLs of addresses, but not those of MX records nor of a "no". Only as much is
 * read as that needs: names are stepped over, never followed. */
#ifndef PROXY_NET_DNS_LIFE_H
#define PROXY_NET_DNS_LIFE_H

#include "proxy/base/slice.h"

#define DNS_LIFE_MAX 86400	/* seconds; what is longer is taken for this (RFC 8767 section 4 says why) */

/* Seconds: the smallest TTL of the answer section; of an empty one the negative TTL of the SOA record in the authority
 * section (RFC 2308 section 5). At least 1, at most DNS_LIFE_MAX; 1 where nothing says, or nonsense stands there. */
unsigned dns_life(struct slice answer);

#endif
