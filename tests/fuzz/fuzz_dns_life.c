/* fuzz_dns_life.c - anything as an answer: its life is within its bounds, whatever stands there. */
#include <stdlib.h>

#include "proxy/net/dns_life.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned life = dns_life((struct slice){ (const char *)data, size });

	if (life < 1 || life > DNS_LIFE_MAX)
		abort();
	return 0;
}
