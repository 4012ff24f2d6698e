/* fuzz_line.c - any stream as lines: whole and in pieces they are the same, and each one stood there
 * between two CR LF. The first octet chooses the size of the pieces, the second a line's limit. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Reads on until more is needed; false behind what is no line. */
static bool
read_on(struct line_reader *r, struct buf *in, size_t limit, struct buf *story)
{
	char *room = mem_new(limit + 1);
	enum line_result result;
	struct slice line;

	while ((result = line_next(r, in, room, limit, &line)) == LINE_OK || result == LINE_TOO_LONG) {
		if (result == LINE_OK && (line.len > limit || slice_has(line, '\r') || slice_has(line, '\n') || slice_has(line, '\0')))
			abort();
		buf_putc(story, result == LINE_OK ? 'l' : 'L');
		buf_put(story, line);
		buf_putc(story, '\n');
	}
	if (result == LINE_BARE)
		buf_putc(story, '!');
	else if (buf_len(in) > limit + 1)
		abort();	/* asks for more of what is too long already */
	free(room);
	return result != LINE_BARE;
}

static void
read_pieces(struct slice wire, size_t piece, size_t limit, struct buf *story)
{
	struct line_reader r = { 0 };
	struct buf in;
	bool good = true;

	buf_init(&in, wire.len + 1);
	buf_init(story, 4 * wire.len + 16);
	for (size_t at = 0; good && at < wire.len; at += piece) {
		buf_put(&in, slice_part(wire, at, piece));
		good = read_on(&r, &in, limit, story);
	}
	buf_free(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct buf whole, pieces;

	if (size < 2)
		return 0;
	wire = slice_part(wire, 2, size);
	read_pieces(wire, wire.len, data[1] % 32, &whole);
	read_pieces(wire, data[0] % 64 + 1u, data[1] % 32, &pieces);
	if (!slice_same(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
