/* fuzz_dot.c - any stream as DATA: whole and in pieces it means the same, it ends where CR LF . CR LF
 * stands and nowhere else, and what was taken comes back through the writer; normalized, too. And as chunks.
 *
 * The first octet chooses the size of the pieces, the second the room that the writer has and whether to normalize. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct read {
	bool over;
	size_t used;
	unsigned faults, mended;
	struct buf body;
};

static void
read_pieces(struct slice wire, size_t piece, bool normalize, struct read *r)
{
	struct dot_reader d = { .normalize = normalize };

	*r = (struct read){ 0 };
	buf_init(&r->body, 2 * wire.len + 2);
	for (size_t at = 0; !r->over && at < wire.len; at += piece) {
		struct slice part = slice_part(wire, at, piece);
		char *out = mem_new((normalize ? 2 : 1) * part.len + 2);
		size_t used, len;

		r->over = dot_read(&d, part, &used, out, &len);
		if (used > part.len || (!r->over && used < part.len) || !buf_put(&r->body, (struct slice){ out, len }))
			abort();
		r->used += used;
		free(out);
	}
	r->faults = d.faults;
	r->mended = d.mended;
}

/* The whole stream as chunks; the end is always at its end. */
static void
read_chunks(struct slice wire, size_t piece, bool normalize, struct read *r)
{
	struct crlf_reader c = { .normalize = normalize };
	size_t len;
	char end;

	*r = (struct read){ .over = true, .used = wire.len };
	buf_init(&r->body, 2 * wire.len + 2);
	for (size_t at = 0; at < wire.len; at += piece) {
		struct slice part = slice_part(wire, at, piece);
		char *out = mem_new((normalize ? 2 : 1) * part.len + 2);

		crlf_read(&c, part, out, &len);
		if (!buf_put(&r->body, (struct slice){ out, len }))
			abort();
		free(out);
	}
	crlf_finish(&c, &end, &len);
	if (len > 1 || !buf_put(&r->body, (struct slice){ &end, len }))
		abort();
	r->faults = c.faults;
	r->mended = c.mended;
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
	struct buf wire, whole;
	struct read back;

	buf_init(&wire, 2 * body.len + 16);
	buf_init(&whole, body.len + 2);
	buf_put(&whole, body);
	if (body.len > 0 && body.at[body.len - 1] != '\n')
		buf_puts(&whole, "\r\n");	/* the writer ends the last line */
	for (struct slice rest = body; rest.len > 0;) {
		struct slice next = slice_part(dot_next(&w, rest), 0, room);

		if (next.len == 0 || !buf_put(&wire, next))
			abort();
		rest = slice_part(rest, dot_wrote(&w, next, next.len), rest.len);
	}
	if (!buf_put(&wire, dot_end(&w)))
		abort();
	read_pieces(buf_slice(&wire), buf_len(&wire), false, &back);
	if (!back.over || back.faults != 0 || back.used != buf_len(&wire) || !slice_same(buf_slice(&back.body), buf_slice(&whole)))
		abort();
	buf_free(&back.body);
	buf_free(&wire);
	buf_free(&whole);
}

/* Both are the same, and are a message if there is no fault. */
static void
compare(struct read *whole, struct read *pieces, size_t room)
{
	if (whole->over != pieces->over || whole->used != pieces->used || whole->faults != pieces->faults ||
	    whole->mended != pieces->mended)
		abort();
	if (whole->faults == 0 && !slice_same(buf_slice(&whole->body), buf_slice(&pieces->body)))
		abort();
	if (whole->faults == 0 && whole->over)
		write_back(buf_slice(&whole->body), room);
	buf_free(&whole->body);
	buf_free(&pieces->body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct read whole, pieces;
	size_t piece, room;
	bool normalize;

	if (size < 2)
		return 0;
	piece = data[0] % 64 + 1u;
	room = data[1] / 2 + 2u;
	normalize = data[1] % 2 != 0;
	wire = slice_part(wire, 2, size);
	read_pieces(wire, wire.len, normalize, &whole);
	read_pieces(wire, piece, normalize, &pieces);
	if (whole.used != true_end(wire))
		abort();
	compare(&whole, &pieces, room);
	read_chunks(wire, wire.len + 1, normalize, &whole);
	read_chunks(wire, piece, normalize, &pieces);
	compare(&whole, &pieces, room);
	return 0;
}
