/* test_dot.c - truths about proxy/net/dot.h: only CR LF . CR LF ends the data, and both directions agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/base/mem.h"
#include "proxy/net/dot.h"

#define WIRE(literal) { "" literal, sizeof(literal) - 1 }
#define STREAM_MAX 4096

struct read {		/* what dot_read made of a stream */
	bool over;
	size_t used, len;
	unsigned faults, mended;
	char body[STREAM_MAX];
};

static void
read_pieces(struct slice wire, size_t piece, bool normalize, struct read *r)
{
	struct dot_reader d = { .normalize = normalize };
	char *in, *out;

	*r = (struct read){ 0 };
	for (size_t at = 0; !r->over && at < wire.len; at += piece) {
		struct slice part = slice_part(wire, at, piece);
		size_t used, len;

		/* Of exactly the promised size, so that a sanitizer sees one octet too much. */
		in = mem_slice(part);
		out = mem_new((normalize ? 2 : 1) * part.len + 2);
		r->over = dot_read(&d, (struct slice){ in, part.len }, &used, out, &len);
		assert_in_range(len, 0, (normalize ? 2 : 1) * part.len + 2);
		assert_in_range(r->len + len, 0, STREAM_MAX);
		assert_true(r->over || used == part.len);
		memcpy(r->body + r->len, out, len);
		r->used += used;
		r->len += len;
		free(in);
		free(out);
	}
	r->faults = d.faults;
	r->mended = d.mended;
}

static void
check_read(struct slice wire, size_t piece, bool normalize, const struct read *want)
{
	struct read got;

	read_pieces(wire, piece, normalize, &got);
	assert_int_equal(got.over, want->over);
	assert_int_equal(got.used, want->used);
	assert_int_equal(got.faults, want->faults);
	assert_int_equal(got.mended, want->mended);
	if (want->faults == 0) {
		assert_int_equal(got.len, want->len);
		assert_memory_equal(got.body, want->body, want->len);
	}
}

/* over: octets behind the true end, -1 when there is none. */
static const struct {
	struct slice wire, body;
	int over;
	unsigned faults;
} cases[] = {
	{ WIRE(""), WIRE(""), -1, 0 },
	{ WIRE(".\r\n"), WIRE(""), 0, 0 },
	{ WIRE(".\r\nMAIL FROM:<x>\r\n"), WIRE(""), 15, 0 },
	{ WIRE("\r\n.\r\n"), WIRE("\r\n"), 0, 0 },
	{ WIRE("a\r\n.\r\n"), WIRE("a\r\n"), 0, 0 },
	{ WIRE("a\r\n.\r\n.\r\n"), WIRE("a\r\n"), 3, 0 },
	{ WIRE("a.\r\n.\r\n"), WIRE("a.\r\n"), 0, 0 },
	/* stuffing (RFC 5321 section 4.5.2) */
	{ WIRE("..\r\n.\r\n"), WIRE(".\r\n"), 0, 0 },
	{ WIRE("..a\r\n..\r\n...\r\n.\r\n"), WIRE(".a\r\n.\r\n..\r\n"), 0, 0 },
	{ WIRE(".a\r\n.\r\n"), WIRE("a\r\n"), 0, 0 },	/* not stuffed: the dot goes all the same */
	{ WIRE(". \r\n.\t\r\n.\r\n"), WIRE(" \r\n\t\r\n"), 0, 0 },
	/* the end has not come */
	{ WIRE("a\r\n.\r"), WIRE("a\r\n"), -1, 0 },
	{ WIRE("a\r\n."), WIRE("a\r\n"), -1, 0 },
	{ WIRE("a\r\n"), WIRE("a\r\n"), -1, 0 },
	{ WIRE("a\r"), WIRE("a"), -1, 0 },
	{ WIRE("a."), WIRE("a."), -1, 0 },
	/* faults: read on to the true end */
	{ WIRE("a\rb\r\n.\r\n"), WIRE(""), 0, DOT_BARE_CR },
	{ WIRE("a\nb\r\n.\r\n"), WIRE(""), 0, DOT_BARE_LF },
	{ WIRE("a\0b\r\n.\r\n"), WIRE(""), 0, DOT_NUL },
	{ WIRE("\n.\r\n.\r\n"), WIRE(""), 0, DOT_BARE_LF },
	{ WIRE("\r.\r\n.\r\n"), WIRE(""), 0, DOT_BARE_CR },
	{ WIRE("\0.\r\n.\r\n"), WIRE(""), 0, DOT_NUL },
	{ WIRE(".\n.\r\n.\r\n"), WIRE(""), 0, DOT_BARE_LF },
	{ WIRE(".\r.\r\n.\r\n"), WIRE(""), 0, DOT_BARE_CR },
	{ WIRE(".\r\r\n.\r\n"), WIRE(""), 0, DOT_BARE_CR },
	{ WIRE(".\0\r\n.\r\n"), WIRE(""), 0, DOT_NUL },
	{ WIRE("\n\r.\n.\r\n"), WIRE(""), -1, DOT_BARE_CR | DOT_BARE_LF },
	{ WIRE("a\r\0\n.\r\n"), WIRE(""), -1, DOT_BARE_CR | DOT_BARE_LF | DOT_NUL },
	{ WIRE("a\r\n.\r\n\n"), WIRE("a\r\n"), 1, 0 },	/* behind the end it is no matter of the data's */
};

static void
test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice wire = cases[i].wire, body = cases[i].body;
		struct read want = { .over = cases[i].over >= 0, .faults = cases[i].faults, .len = body.len };

		want.used = wire.len - (want.over ? (size_t)cases[i].over : 0);
		memcpy(want.body, body.at, body.len);
		for (size_t piece = 1; piece <= wire.len; piece++)
			check_read(wire, piece, false, &want);
	}
}

/* The same where a listener normalizes. */
static const struct {
	struct slice wire, body;
	int over;
	unsigned faults, mended;
} normal[] = {
	{ WIRE("a\nb\r\n.\r\n"), WIRE("a\r\nb\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\rb\r\n.\r\n"), WIRE("a b\r\n"), 0, 0, DOT_BARE_CR },
	{ WIRE("a\r\r\n.\r\n"), WIRE("a \r\n"), 0, 0, DOT_BARE_CR },
	{ WIRE("a\n\r\n.\r\n"), WIRE("a\r\n\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\n\rb\r\n.\r\n"), WIRE("a\r\n b\r\n"), 0, 0, DOT_BARE_LF | DOT_BARE_CR },
	{ WIRE("\n\n\r\n.\r\n"), WIRE("\r\n\r\n\r\n"), 0, 0, DOT_BARE_LF },
	/* who stuffs behind a bare LF has it taken away again; an end it is not */
	{ WIRE("a\n..b\r\n.\r\n"), WIRE("a\r\n.b\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\n.\r\nb\r\n.\r\n"), WIRE("a\r\n\r\nb\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\n.\nb\r\n.\r\n"), WIRE("a\r\n\r\nb\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\r\n.\nb\r\n.\r\n"), WIRE("a\r\n\r\nb\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\r\n.\rb\r\n.\r\n"), WIRE("a\r\n b\r\n"), 0, 0, DOT_BARE_CR },
	{ WIRE("a\r\n.\r\r\n.\r\n"), WIRE("a\r\n \r\n"), 0, 0, DOT_BARE_CR },
	{ WIRE("a\n...\r\n.\r\n"), WIRE("a\r\n..\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("a\r.\r\nb\r\n.\r\n"), WIRE("a .\r\nb\r\n"), 0, 0, DOT_BARE_CR },
	{ WIRE("\n.\r\n.\r\n"), WIRE("\r\n\r\n"), 0, 0, DOT_BARE_LF },
	{ WIRE("\r.\r\n.\r\n"), WIRE(" .\r\n"), 0, 0, DOT_BARE_CR },
	/* no end, and what is held back */
	{ WIRE("a\n.\n"), WIRE("a\r\n\r\n"), -1, 0, DOT_BARE_LF },
	{ WIRE("a\n.\r"), WIRE("a\r\n"), -1, 0, DOT_BARE_LF },
	/* a NUL is never mended */
	{ WIRE("a\0b\r\n.\r\n"), WIRE(""), 0, DOT_NUL, 0 },
	{ WIRE("a\r\0\n.\r\n.\r\n"), WIRE(""), 0, DOT_NUL, DOT_BARE_CR | DOT_BARE_LF },
};

static void
test_normalize(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(normal); i++) {
		struct slice wire = normal[i].wire, body = normal[i].body;
		struct read want = { .over = normal[i].over >= 0, .faults = normal[i].faults, .mended = normal[i].mended, .len = body.len };

		want.used = wire.len - (want.over ? (size_t)normal[i].over : 0);
		memcpy(want.body, body.at, body.len);
		for (size_t piece = 1; piece <= wire.len; piece++)
			check_read(wire, piece, true, &want);
	}
}

/* The grid of smuggling: what stands before the dot times what stands behind it. Servers differ
 * about nearly all of it (some end the data at LF . LF, some stop at a NUL); we end at one form. */
static const struct {
	struct slice octets;
	bool line_start;
	unsigned faults;
} before[] = {
	{ WIRE("\r\n"), true, 0 },
	{ WIRE("\r\r\n"), true, DOT_BARE_CR },
	{ WIRE("\0\r\n"), true, DOT_NUL },
	{ WIRE("\n\r\n"), true, DOT_BARE_LF },
	{ WIRE(""), false, 0 },
	{ WIRE("\n"), false, DOT_BARE_LF },
	{ WIRE("\r"), false, DOT_BARE_CR },
	{ WIRE("\n\r"), false, DOT_BARE_LF | DOT_BARE_CR },
	{ WIRE("\n\n"), false, DOT_BARE_LF },
	{ WIRE("\r\n\0"), false, DOT_NUL },
	{ WIRE("\r\n\n"), false, DOT_BARE_LF },
	{ WIRE("\r\n\r"), false, DOT_BARE_CR },
	{ WIRE("\r\0\n"), false, DOT_BARE_CR | DOT_NUL | DOT_BARE_LF },
	{ WIRE("\r\n "), false, 0 },
	{ WIRE("\r\n."), false, 0 },
	{ WIRE("\v"), false, 0 },
	{ WIRE("\f"), false, 0 },
	{ WIRE("\x85"), false, 0 },		/* NEL */
	{ WIRE("\xe2\x80\xa8"), false, 0 },	/* U+2028 */
};

static const struct {
	struct slice octets;
	bool line_end;
	unsigned faults;
} behind[] = {
	{ WIRE("\r\n"), true, 0 },
	{ WIRE("\r\n\0"), true, DOT_NUL },	/* the NUL lies behind the end, where there is one */
	{ WIRE("\n"), false, DOT_BARE_LF },
	{ WIRE("\r"), false, DOT_BARE_CR },
	{ WIRE("\n\r"), false, DOT_BARE_LF | DOT_BARE_CR },
	{ WIRE("\r\r\n"), false, DOT_BARE_CR },
	{ WIRE("\0\r\n"), false, DOT_NUL },
	{ WIRE("\r\0\n"), false, DOT_BARE_CR | DOT_NUL | DOT_BARE_LF },
	{ WIRE(" \r\n"), false, 0 },
	{ WIRE("\t\r\n"), false, 0 },
	{ WIRE("\v"), false, 0 },
	{ WIRE("\f"), false, 0 },
	{ WIRE("\x85"), false, 0 },
	{ WIRE(""), false, 0 },
};

static void write_pieces(struct slice message, size_t piece, size_t room, struct buf *wire);

/* What was normalized goes to the server behind as one message, however that one looks for ends: no CR, LF or NUL
 * stands alone in it, and a dot that is alone in its line only at its end. */
static void
check_one_message(const struct read *r)
{
	struct slice sent;
	struct buf wire;
	const char *end;

	buf_init(&wire, 2 * STREAM_MAX);
	write_pieces((struct slice){ r->body, r->len }, 7, 50, &wire);
	sent = buf_slice(&wire);
	for (size_t i = 0; i < sent.len; i++) {
		assert_true(sent.at[i] != '\0');
		assert_true(sent.at[i] != '\r' || (i + 1 < sent.len && sent.at[i + 1] == '\n'));
		assert_true(sent.at[i] != '\n' || (i > 0 && sent.at[i - 1] == '\r'));
	}
	end = memmem(sent.at, sent.len, "\n.\r", 3);
	assert_true(end == sent.at + sent.len - 4);
	buf_free(&wire);
}

static void
check_form(size_t b, size_t e)
{
	struct read want = { .over = true }, got;
	struct buf wire;
	size_t end = 0;

	buf_init(&wire, STREAM_MAX);
	buf_puts(&wire, "Subject: t\r\n\r\nfirst line");
	buf_put(&wire, before[b].octets);
	buf_putc(&wire, '.');
	if (before[b].line_start && behind[e].line_end)
		end = buf_len(&wire) + 2;
	buf_put(&wire, behind[e].octets);
	buf_puts(&wire, "MAIL FROM:<s@c.test>\r\nRCPT TO:<b@t.test>\r\nDATA\r\nSubject: smug\r\n\r\nx\r\n.\r\nQUIT\r\n");
	want.used = end > 0 ? end : buf_len(&wire) - 6;
	want.faults = before[b].faults | (end > 0 ? 0 : behind[e].faults);
	for (size_t piece = 1; piece <= buf_len(&wire); piece++) {
		read_pieces(buf_slice(&wire), piece, false, &got);
		assert_int_equal(got.over, true);
		assert_int_equal(got.used, want.used);
		assert_int_equal(got.faults, want.faults);
		read_pieces(buf_slice(&wire), piece, true, &got);
		assert_int_equal(got.over, true);
		assert_int_equal(got.used, want.used);
		assert_int_equal(got.faults, want.faults & DOT_NUL);
		assert_int_equal(got.mended, want.faults & ~(unsigned)DOT_NUL);
		if (got.faults == 0)
			check_one_message(&got);
	}
	buf_free(&wire);
}

static void
test_grid(void **state)
{
	(void)state;
	for (size_t b = 0; b < NITEMS(before); b++)
		for (size_t e = 0; e < NITEMS(behind); e++)
			check_form(b, e);
}

static uint32_t seed = 1;

static unsigned
dice(unsigned sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 16) % sides;
}

static bool
has_at(struct slice s, size_t at, const char *what)
{
	return slice_starts(slice_part(s, at, s.len), what);
}

/* The same said in another way: the whole stream at hand, no states. */
static void
reference(struct slice s, bool normalize, struct read *r)
{
	size_t end = s.len;

	*r = (struct read){ 0 };
	for (size_t i = 0; i < s.len && !r->over; i++)
		if ((i == 0 || (i >= 2 && has_at(s, i - 2, "\r\n"))) && has_at(s, i, ".\r\n")) {
			r->over = true;
			end = i;
		}
	r->used = r->over ? end + 3 : s.len;
	for (size_t i = 0; i < r->used; i++) {
		if (s.at[i] == '\0')
			r->faults |= DOT_NUL;
		if (s.at[i] == '\n' && (i == 0 || s.at[i - 1] != '\r'))
			r->faults |= DOT_BARE_LF;
		if (s.at[i] == '\r' && i + 1 < r->used && s.at[i + 1] != '\n')
			r->faults |= DOT_BARE_CR;
	}
	if (normalize) {
		r->mended = r->faults & ~(unsigned)DOT_NUL;
		r->faults &= DOT_NUL;
	}
	for (size_t i = 0; i < end; i++) {
		char c = s.at[i], last = i > 0 ? s.at[i - 1] : '\n';

		if ((c == '.' && last == '\n') || (c == '\r' && i + 1 == s.len))
			continue;	/* stuffing; a CR that is still waiting for its LF */
		if (c == '\n' && last != '\r')
			r->body[r->len++] = '\r';
		r->body[r->len++] = c == '\r' && s.at[i + 1] != '\n' ? ' ' : c;
	}
}

static void
test_random_streams(void **state)
{
	/* Clean streams must be as frequent as faulty ones, or bodies would hardly be compared. */
	static const struct slice words[] = { WIRE("\r\n"), WIRE("."), WIRE("a"), WIRE("\r\n."), WIRE("\r"), WIRE("\n"), WIRE("\0") };
	size_t clean = 0, faulty = 0;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		unsigned nwords = round % 2 == 0 ? 4 : NITEMS(words), n = dice(24);
		bool normalize = round % 3 == 0;
		struct read want;
		struct buf wire;

		buf_init(&wire, STREAM_MAX);
		for (unsigned i = 0; i < n; i++)
			buf_put(&wire, words[dice(nwords)]);
		reference(buf_slice(&wire), normalize, &want);
		check_read(buf_slice(&wire), buf_len(&wire) + 1, normalize, &want);
		check_read(buf_slice(&wire), 1 + dice(4), normalize, &want);
		*(want.faults == 0 ? &clean : &faulty) += want.len > 0;
		buf_free(&wire);
	}
	assert_in_range(clean, 10000, 30000);
	assert_in_range(faulty, 5000, 30000);
}

/* A stream that is all bare CRs, without a single LF, must not cost more than one that is mail. */
static void
test_hostile_streams_cost_little(void **state)
{
	static const struct slice patterns[] = { WIRE("a\r"), WIRE("a\0"), WIRE("\r"), WIRE("\n."), WIRE("a") };
	static char in[65536], out[2 * sizeof(in) + 2];

	(void)state;
	for (size_t p = 0; p < 2 * NITEMS(patterns); p++) {
		struct dot_reader d = { .normalize = p >= NITEMS(patterns) };
		struct crlf_reader r = { .normalize = d.normalize };
		struct slice pattern = patterns[p % NITEMS(patterns)];
		clock_t begun = clock();
		size_t used, len;

		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = pattern.at[i % pattern.len];
		for (int i = 0; i < 256; i++)		/* 16 MiB */
			assert_false(dot_read(&d, (struct slice){ in, sizeof(in) }, &used, out, &len));
		for (int i = 0; i < 256; i++)
			crlf_read(&r, (struct slice){ in, sizeof(in) }, out, &len);
		assert_in_range((clock() - begun) * 1000 / CLOCKS_PER_SEC, 0, 1000);
	}
}

/* Chunks: as lines, without dots and without an end of their own. */
static const struct {
	struct slice in, normal;	/* what goes in and, where a listener normalizes, what comes out */
	unsigned faults;		/* where it does not; then in == out when there are none */
} chunks[] = {
	{ WIRE(""), WIRE(""), 0 },
	{ WIRE("a\r\n.\r\nb\r\n"), WIRE("a\r\n.\r\nb\r\n"), 0 },
	{ WIRE("..\r\n."), WIRE("..\r\n."), 0 },
	{ WIRE("a"), WIRE("a"), 0 },
	{ WIRE("\r\n\r\n"), WIRE("\r\n\r\n"), 0 },
	{ WIRE("a\nb"), WIRE("a\r\nb"), DOT_BARE_LF },
	{ WIRE("\n"), WIRE("\r\n"), DOT_BARE_LF },
	{ WIRE("a\n.\r\nb"), WIRE("a\r\n.\r\nb"), DOT_BARE_LF },
	{ WIRE("a\r\r\nb"), WIRE("a \r\nb"), DOT_BARE_CR },
	{ WIRE("a\n\r.\r\n"), WIRE("a\r\n .\r\n"), DOT_BARE_CR | DOT_BARE_LF },
	{ WIRE("a\r"), WIRE("a "), DOT_BARE_CR },		/* at the very end */
	{ WIRE("\r"), WIRE(" "), DOT_BARE_CR },
	{ WIRE("a\0b\r\n"), WIRE(""), DOT_NUL },
	{ WIRE("\r\0\n"), WIRE(""), DOT_BARE_CR | DOT_BARE_LF | DOT_NUL },
	{ WIRE("\xff\x80\r\n"), WIRE("\xff\x80\r\n"), 0 },
};

static void
check_chunks(size_t row, size_t piece, bool normalize)
{
	struct crlf_reader r = { .normalize = normalize };
	struct slice in = chunks[row].in, want = normalize ? chunks[row].normal : in;
	struct buf got;
	char end[1];
	size_t len;

	buf_init(&got, STREAM_MAX);
	for (size_t at = 0; at < in.len; at += piece) {
		struct slice part = slice_part(in, at, piece);
		char *copy = mem_slice(part), *out = mem_new((normalize ? 2 : 1) * part.len + 2);

		crlf_read(&r, (struct slice){ copy, part.len }, out, &len);
		assert_in_range(len, 0, (normalize ? 2 : 1) * part.len + 2);
		buf_put(&got, (struct slice){ out, len });
		free(copy);
		free(out);
	}
	crlf_finish(&r, end, &len);
	assert_in_range(len, 0, 1);
	buf_put(&got, (struct slice){ end, len });
	assert_int_equal(r.faults, normalize ? chunks[row].faults & DOT_NUL : chunks[row].faults);
	assert_int_equal(r.mended, normalize ? chunks[row].faults & ~(unsigned)DOT_NUL : 0);
	if (r.faults == 0)
		assert_true(slice_same(buf_slice(&got), want));
	buf_free(&got);
}

static void
test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(chunks); i++)
		for (size_t piece = 1; piece <= chunks[i].in.len + 1; piece++) {
			check_chunks(i, piece, false);
			check_chunks(i, piece, true);
		}
}

/* Writes a message in pieces, at most `room` octets at once; the wire is what comes out. */
static void
write_pieces(struct slice message, size_t piece, size_t room, struct buf *wire)
{
	struct dot_writer w = { 0 };

	for (size_t at = 0; at < message.len; at += piece) {
		struct slice part = slice_part(message, at, piece);

		while (part.len > 0) {
			struct slice next = dot_next(&w, part);

			assert_true(next.len > 0);
			assert_int_equal(dot_wrote(&w, next, 0), 0);	/* no room: asked again, the same comes */
			assert_true(slice_same(dot_next(&w, part), next));
			next = slice_part(next, 0, room);
			buf_put(wire, next);
			part = slice_part(part, dot_wrote(&w, next, next.len), part.len);
		}
	}
	assert_true(buf_put(wire, dot_end(&w)));
}

static void
check_write(struct slice message, size_t piece, size_t room, const char *want)
{
	static struct read back;
	struct buf wire, whole;

	buf_init(&wire, STREAM_MAX);
	buf_init(&whole, STREAM_MAX);
	write_pieces(message, piece, room, &wire);
	if (want != NULL)
		assert_string_equal(buf_str(&wire), want);
	buf_put(&whole, message);
	if (message.len > 0 && message.at[message.len - 1] != '\n')
		buf_puts(&whole, "\r\n");
	read_pieces(buf_slice(&wire), buf_len(&wire), false, &back);
	assert_true(back.over && back.faults == 0 && back.used == buf_len(&wire));
	assert_int_equal(back.len, buf_len(&whole));
	assert_memory_equal(back.body, buf_slice(&whole).at, back.len);
	buf_free(&wire);
	buf_free(&whole);
}

static const struct {
	const char *message, *wire;
} written[] = {
	{ "", ".\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "\r\n", "\r\n.\r\n" },
	{ "\r\n\r\n", "\r\n\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ "..\r\n", "...\r\n.\r\n" },
	{ "a.\r\n", "a.\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\n.b\r\n..c", "a\r\n..b\r\n...c\r\n.\r\n" },
	{ ".\r\n.\r\n.\r\n", "..\r\n..\r\n..\r\n.\r\n" },
	{ "one line\r\n.stuffed\r\n and. not.\r\n", "one line\r\n..stuffed\r\n and. not.\r\n.\r\n" },
};

static void
test_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(written); i++) {
		struct slice message = slice_of(written[i].message);

		for (size_t piece = 1; piece <= message.len + 1; piece++)
			for (size_t room = 2; room < 50; room++)
				check_write(message, piece, room, written[i].wire);
	}
}

static void
test_random_messages(void **state)
{
	static const char *const words[] = { "\r\n", ".", "a", "\r\n.", "bcd" };

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct buf message;
		unsigned n = dice(40);

		buf_init(&message, STREAM_MAX);
		for (unsigned i = 0; i < n; i++)
			buf_puts(&message, words[dice(NITEMS(words))]);
		check_write(buf_slice(&message), 1 + dice(20), 2 + dice(30), NULL);
		buf_free(&message);
	}
}

/* What is not doubled is not copied: it goes out from where it stands. */
static void
test_in_place(void **state)
{
	char message[1000];
	struct dot_writer w = { 0 };
	struct slice all = { message, sizeof(message) }, next;

	(void)state;
	for (size_t dotted = 2; dotted < sizeof(message); dotted++) {
		memset(message, 'x', sizeof(message));
		message[dotted - 1] = '\n';
		message[dotted] = '.';
		w = (struct dot_writer){ 0 };
		next = dot_next(&w, all);
		assert_ptr_equal(next.at, message);
		assert_int_equal(next.len, dotted);
		assert_int_equal(dot_wrote(&w, next, next.len), dotted);
		next = dot_next(&w, slice_part(all, dotted, all.len));
		assert_true(slice_is(next, ".") && next.at != message + dotted);
		assert_int_equal(dot_wrote(&w, next, 1), 0);
		next = dot_next(&w, slice_part(all, dotted, all.len));
		assert_ptr_equal(next.at, message + dotted);
		assert_int_equal(next.len, sizeof(message) - dotted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_normalize),
		cmocka_unit_test(test_grid),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_hostile_streams_cost_little),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_random_messages),
		cmocka_unit_test(test_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
