/* fuzz_dot.c - any stream as DATA: whole and in pieces it means the same, it ends where CR LF . CR LF
 * stands and nowhere else, and what was taken comes back through the writer.
 *
 * The first octet chooses the size of the pieces, the second the room that the writer has. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct read {
	bool over;
	size_t used;
	unsigned faults;
	struct buf body;
};

static void
read_pieces(struct slice wire, size_t piece, struct read *r)
{
	struct dot_reader d = { 0 };

	*r = (struct read){ 0 };
	buf_init(&r->body, wire.len + 2);
	for (size_t at = 0; !r->over && at < wire.len; at += piece) {
		struct slice part = slice_part(wire, at, piece);
		char *out = mem_new(part.len + 2);
		size_t used, len;

		r->over = dot_read(&d, part, &used, out, &len);
		if (used > part.len || (!r->over && used < part.len) || !buf_put(&r->body, (struct slice){ out, len }))
			abort();
		r->used += used;
		free(out);
	}
	r->faults = d.faults;
}

/* Where the data ends, or the wire's length. */
static size_t
true_end(struct slice wire)
{
	const char *at;

	if (slice_starts(wire, ".\r\n"))
		return 3;
	at = wire.len > 0 ? memmem(wire.at, wire.len, "\r\n.\r\n", 5) : NULL;
	return at != NULL ? (size_t)(at - wire.at) + 5 : wire.len;
}

static void
write_back(struct slice body, size_t room)
{
	struct dot_writer w = { 0 };
	struct buf out, wire;
	struct read back;

	buf_init(&out, room);
	buf_init(&wire, 2 * body.len + 16);
	for (struct slice rest = body; rest.len > 0;) {
		size_t done = dot_write(&w, rest, &out);

		if (done == 0 && buf_len(&out) == 0)
			abort();
		rest = slice_part(rest, done, rest.len);
		if (!buf_put(&wire, buf_slice(&out)))
			abort();
		buf_clear(&out);
	}
	if (!dot_finish(&w, &wire))
		abort();
	read_pieces(buf_slice(&wire), buf_len(&wire), &back);
	if (!back.over || back.faults != 0 || back.used != buf_len(&wire) || !slice_same(buf_slice(&back.body), body))
		abort();
	buf_free(&back.body);
	buf_free(&wire);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct read whole, pieces;

	if (size < 2)
		return 0;
	wire = slice_part(wire, 2, size);
	read_pieces(wire, wire.len, &whole);
	read_pieces(wire, data[0] % 64 + 1u, &pieces);
	if (whole.over != pieces.over || whole.used != pieces.used || whole.faults != pieces.faults ||
	    whole.used != true_end(wire))
		abort();
	if (whole.faults == 0 && !slice_same(buf_slice(&whole.body), buf_slice(&pieces.body)))
		abort();
	if (whole.faults == 0 && whole.over)
		write_back(buf_slice(&whole.body), data[1] + 2u);
	buf_free(&whole.body);
	buf_free(&pieces.body);
	return 0;
}
