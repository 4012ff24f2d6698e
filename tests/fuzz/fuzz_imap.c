/* fuzz_imap.c - any octets as an IMAP server's responses, read whole and in pieces: both must tell
 * the same. The first octet of the input chooses the size of the pieces. */
#include "tests/unit/imap_trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct buf whole, pieces;

	if (size == 0)
		return 0;
	wire = slice_part(wire, 1, size);
	imap_trace(&whole, wire, wire.len);
	imap_trace(&pieces, wire, data[0] % 64 + 1);
	if (!slice_same(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
