/* fuzz_trace.c - any message's header section: what is passed on are pieces in order, and no field of
 * ours is left in them. */
#include <stdlib.h>
#include <string.h>

#include "policy/profile/profile.h"
#include "proxy/smtp/smtp_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Looked through once more, nothing more is found, and nothing else has changed. */
static void
check_kept(struct slice kept, const struct trace *first)
{
	struct trace again;

	trace_read(&again, kept, profile_owns_field);
	if (again.stripped != 0 || again.hops != first->hops || again.npieces != (kept.len > 0))
		abort();
	trace_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message = { (const char *)data, size };
	struct trace t;
	struct buf kept;
	size_t last = 0;

	buf_init(&kept, size + 1);
	trace_read(&t, message, profile_owns_field);
	for (size_t i = 0; i < t.npieces; i++) {
		struct trace_piece p = t.pieces[i];

		if (p.from < last || p.len == 0 || p.len > size || p.from > size - p.len)
			abort();
		last = p.from + p.len;
		buf_put(&kept, slice_part(message, p.from, p.len));
	}
	if ((t.stripped == 0) != (buf_len(&kept) == size))
		abort();
	if (!t.starts_blank && !t.too_big)
		check_kept(buf_slice(&kept), &t);
	trace_free(&t);
	buf_free(&kept);
	return 0;
}
