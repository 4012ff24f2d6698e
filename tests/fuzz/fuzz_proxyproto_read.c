/* fuzz_proxyproto_read.c - any stream as a PROXY header: in pieces it means the same as whole, and not an octet
 * behind the header is taken. The first octet chooses the size of the pieces. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/proxyproto_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct proxyproto whole, pieces;
	enum proxyproto_result want, got = PROXYPROTO_MORE;
	size_t taken = 0, all, used = 0;
	struct err err;

	if (size < 1)
		return 0;
	wire = slice_part(wire, 1, size);
	want = proxyproto_read(wire, &all, &whole, &err);
	while (got == PROXYPROTO_MORE && taken < wire.len) {
		size_t seen = taken + data[0] % 32 + 1u;
		char *exact = mem_new(seen = seen < wire.len ? seen : wire.len);

		memcpy(exact, wire.at, seen);
		got = proxyproto_read((struct slice){ exact, seen }, &used, &pieces, &err);
		free(exact);
		if (got != PROXYPROTO_BAD && (used < taken || used > seen || (got == PROXYPROTO_MORE && used != seen)))
			abort();
		taken = used;
	}
	if (got != want || (got == PROXYPROTO_DONE && used != all))
		abort();
	if (got == PROXYPROTO_DONE && (whole.none != pieces.none || (!whole.none &&
	    (!addr_same(&whole.source, &pieces.source) || !addr_same(&whole.destination, &pieces.destination)))))
		abort();
	return 0;
}
