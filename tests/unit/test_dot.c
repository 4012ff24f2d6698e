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
	unsigned faults;
	char body[STREAM_MAX];
};

static void
read_pieces(struct slice wire, size_t piece, struct read *r)
{
	struct dot_reader d = { 0 };
	char *in, *out;

	*r = (struct read){ 0 };
	for (size_t at = 0; !r->over && at < wire.len; at += piece) {
		struct slice part = slice_part(wire, at, piece);
		size_t used, len;

		/* Of exactly the promised size, so that a sanitizer sees one octet too much. */
		in = mem_slice(part);
		out = mem_new(part.len + 2);
		r->over = dot_read(&d, (struct slice){ in, part.len }, &used, out, &len);
		assert_in_range(len, 0, part.len + 2);
		assert_in_range(r->len + len, 0, STREAM_MAX);
		assert_true(r->over || used == part.len);
		memcpy(r->body + r->len, out, len);
		r->used += used;
		r->len += len;
		free(in);
		free(out);
	}
	r->faults = d.faults;
}

static void
check_read(struct slice wire, size_t piece, const struct read *want)
{
	struct read got;

	read_pieces(wire, piece, &got);
	assert_int_equal(got.over, want->over);
	assert_int_equal(got.used, want->used);
	assert_int_equal(got.faults, want->faults);
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
			check_read(wire, piece, &want);
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
		read_pieces(buf_slice(&wire), piece, &got);
		assert_int_equal(got.over, true);
		assert_int_equal(got.used, want.used);
		assert_int_equal(got.faults, want.faults);
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
reference(struct slice s, struct read *r)
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
	for (size_t i = 0; i < end; i++)
		if (s.at[i] != '.' || (i > 0 && s.at[i - 1] != '\n'))
			r->body[r->len++] = s.at[i];
	if (!r->over && r->len > 0 && r->body[r->len - 1] == '\r')
		r->len--;		/* of a line end whose LF is still to come */
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
		struct read want;
		struct buf wire;

		buf_init(&wire, STREAM_MAX);
		for (unsigned i = 0; i < n; i++)
			buf_put(&wire, words[dice(nwords)]);
		reference(buf_slice(&wire), &want);
		check_read(buf_slice(&wire), buf_len(&wire) + 1, &want);
		check_read(buf_slice(&wire), 1 + dice(4), &want);
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
	static char in[65536], out[sizeof(in) + 2];

	(void)state;
	for (size_t p = 0; p < NITEMS(patterns); p++) {
		struct dot_reader d = { 0 };
		clock_t begun = clock();
		size_t used, len;

		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = patterns[p].at[i % patterns[p].len];
		for (int i = 0; i < 256; i++)		/* 16 MiB */
			assert_false(dot_read(&d, (struct slice){ in, sizeof(in) }, &used, out, &len));
		assert_in_range((clock() - begun) * 1000 / CLOCKS_PER_SEC, 0, 1000);
	}
}

/* Writes a message through a buffer of `room` octets, in pieces; the wire is what comes out. */
static void
write_pieces(struct slice message, size_t piece, size_t room, struct buf *wire)
{
	struct dot_writer w = { 0 };
	struct buf out;

	buf_init(&out, room);
	for (size_t at = 0; at < message.len; at += piece) {
		struct slice part = slice_part(message, at, piece);

		while (part.len > 0) {
			size_t done = dot_write(&w, part, &out);

			assert_true(done > 0 || buf_len(&out) > 0);	/* an empty buffer always takes some */
			part = slice_part(part, done, part.len);
			buf_put(wire, buf_slice(&out));
			buf_clear(&out);
		}
	}
	for (size_t most = 0; most < 5; most++) {		/* all or nothing */
		struct dot_writer copy = w;
		struct buf end;

		buf_init(&end, most);
		assert_int_equal(dot_finish(&copy, &end), most >= (w.inside ? 5u : 3u));
		assert_int_equal(buf_len(&end), most >= (w.inside ? 5u : 3u) ? (w.inside ? 5 : 3) : 0);
		buf_free(&end);
	}
	assert_true(dot_finish(&w, wire));
	buf_free(&out);
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
	read_pieces(buf_slice(&wire), buf_len(&wire), &back);
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

/* A full buffer takes nothing, and a stuffed dot never goes out alone. */
static void
test_no_room(void **state)
{
	struct dot_writer w = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	buf_puts(&out, "xxxx");
	assert_int_equal(dot_write(&w, SLICE("a"), &out), 0);
	buf_eat(&out, 1);
	assert_int_equal(dot_write(&w, SLICE(".a"), &out), 0);
	buf_eat(&out, 1);
	assert_int_equal(dot_write(&w, SLICE(".a"), &out), 1);
	assert_true(slice_is(buf_slice(&out), "xx.."));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_grid),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_hostile_streams_cost_little),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_random_messages),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
