/* test_smtp_trace.c - truths about proxy/smtp/smtp_trace.h: hops, forged fields of ours, our Received. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_trace.h"

static bool
owns(struct slice name)
{
	return slice_iis(name, "X-Ours") || slice_iis(name, "X-Ours-Too");
}

/* kept: NULL when all of it is. */
static const struct {
	const char *message, *kept;
	unsigned hops, stripped;
	bool starts_blank;
} cases[] = {
	{ "", NULL, 0, 0, false },
	{ "\r\n", NULL, 0, 0, false },
	{ "\r\nX-Ours: in the body\r\n", NULL, 0, 0, false },
	{ "Subject: x\r\n\r\nReceived: no\r\nX-Ours: no\r\n", NULL, 0, 0, false },
	{ "Received: a\r\nReceived: b\r\nSubject: x\r\nRECEIVED: c\r\n\r\nbody\r\n", NULL, 3, 0, false },
	{ "Received: a\r\n\tReceived: folded\r\n Received: folded\r\n\r\n", NULL, 1, 0, false },
	{ "Received : obsolete syntax\r\n\r\n", NULL, 1, 0, false },
	{ "Received\t:x\r\n\r\n", NULL, 1, 0, false },
	{ "Received-SPF: x\r\nX-Received: y\r\nReceived x: z\r\n\r\n", NULL, 0, 0, false },
	/* forged fields go, with all of their lines, wherever they stand */
	{ "X-Ours: x\r\n\r\nbody\r\n", "\r\nbody\r\n", 0, 1, false },
	{ "A: 1\r\nX-Ours: x\r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n\r\nbody\r\n", 0, 1, false },
	{ "A: 1\r\nX-Ours: x\r\n y\r\n\tz\r\n \r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n\r\nbody\r\n", 0, 1, false },
	{ "X-Ours: x\r\nX-Ours-Too: x\r\n\r\nbody\r\n", "\r\nbody\r\n", 0, 2, false },
	{ "A: 1\r\nX-Ours: x\r\nReceived: y\r\nX-Ours: x\r\n\r\nbody\r\n", "A: 1\r\nReceived: y\r\n\r\nbody\r\n", 1, 2, false },
	{ "x-oURS: x\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n", 0, 1, false },
	{ "X-Ours : x\r\nX-Ours\t:x\r\nX-Ours \t : x\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n", 0, 3, false },
	{ "X-Ours:\r\n\r\n", "\r\n", 0, 1, false },
	{ "X-Ours: x\r\n", "", 0, 1, false },
	{ "X-Ours: x", "", 0, 1, false },
	{ "A: 1\r\nX-Ours: x\r\n y", "A: 1\r\n", 0, 1, false },
	/* what a mail reader might still take for the header section is looked through */
	{ "no field\r\nX-Ours: x\r\n\r\nbody\r\n", "no field\r\n\r\nbody\r\n", 0, 1, false },
	{ "From ann Thu Jan  1 00:00:00 1970\r\nX-Ours: x\r\n\r\n", "From ann Thu Jan  1 00:00:00 1970\r\n\r\n", 0, 1, false },
	/* what only looks like ours stays */
	{ "X-Ours\r\nX-OursX: x\r\nX-Our: x\r\nA: X-Ours: x\r\n X-Ours: folded\r\n\r\n", NULL, 0, 0, false },
	{ "X Ours: x\r\n: x\r\n\r\n", NULL, 0, 0, false },
	/* would continue a field that we put in front */
	{ " A: 1\r\n\r\n", NULL, 0, 0, true },
	{ "\tA: 1\r\n\r\n", NULL, 0, 0, true },
	{ " ", NULL, 0, 0, true },
	{ " X-Ours: x\r\n\r\n", "\r\n", 0, 1, true },
};

static void
test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const char *want = cases[i].kept != NULL ? cases[i].kept : cases[i].message;
		char *copy = malloc(strlen(cases[i].message) + 1);	/* no NUL behind it is read */
		struct slice message = { copy, strlen(cases[i].message) };
		size_t last = 0;
		struct trace t;
		struct buf kept;

		assert_non_null(copy);
		memcpy(copy, cases[i].message, message.len);
		copy[message.len] = ':';
		trace_read(&t, message, owns);
		buf_init(&kept, 1000);
		for (size_t p = 0; p < t.npieces; p++) {
			assert_in_range(t.pieces[p].from, last, message.len);
			assert_in_range(t.pieces[p].len, 1, message.len - t.pieces[p].from);
			last = t.pieces[p].from + t.pieces[p].len;
			buf_put(&kept, slice_part(message, t.pieces[p].from, t.pieces[p].len));
		}
		assert_string_equal(buf_str(&kept), want);
		assert_int_equal(t.hops, cases[i].hops);
		assert_int_equal(t.stripped, cases[i].stripped);
		assert_int_equal(t.starts_blank, cases[i].starts_blank);
		assert_false(t.too_big);
		buf_free(&kept);
		trace_free(&t);
		assert_null(t.pieces);
		free(copy);
	}
}

/* A header section made of `line` again and again until it has `size` octets, then `tail`. */
static void
test_size(void **state)
{
	static const struct {
		const char *line;
		size_t size;
		const char *tail;
		bool too_big;
	} sizes[] = {
		{ "A: 1\r\n", TRACE_HEADER_MAX - 10, "\r\nbody\r\n", false },
		{ "A: 1\r\n", TRACE_HEADER_MAX + 10, "\r\nbody\r\n", true },
		{ "A: 1\r\n", TRACE_HEADER_MAX + 10, "", true },
		{ "a", TRACE_HEADER_MAX + 10, "\r\n\r\nbody\r\n", true },	/* one line */
		{ "a", TRACE_HEADER_MAX + 10, "", true },
		{ "a\r\n ", TRACE_HEADER_MAX + 10, "b\r\n\r\nbody\r\n", true },	/* one field, folded */
		{ "a\r\n ", TRACE_HEADER_MAX - 10, "b\r\n\r\nbody\r\n", false },
		{ "X-Ours: x\r\n", TRACE_HEADER_MAX + 10, "\r\nbody\r\n", true },
		{ "", 0, "\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++) {
		struct buf message;
		struct trace t;

		buf_init(&message, 4 * TRACE_HEADER_MAX);
		while (buf_len(&message) < sizes[i].size)
			buf_puts(&message, sizes[i].line);
		buf_puts(&message, sizes[i].tail);
		trace_read(&t, buf_slice(&message), owns);
		assert_int_equal(t.too_big, sizes[i].too_big);
		trace_free(&t);

		/* A large body is no large header section. */
		buf_clear(&message);
		buf_puts(&message, "A: 1\r\n\r\n");
		while (buf_len(&message) < sizes[i].size)
			buf_puts(&message, sizes[i].line);
		trace_read(&t, buf_slice(&message), owns);
		assert_false(t.too_big);
		trace_free(&t);
		buf_free(&message);
	}
}

static struct facts
facts_of(const char *client, const char *helo, bool esmtp, const char *tls, const struct slice *rcpts, size_t nrcpts)
{
	struct facts f = {
		.id = SLICE("4bX1"), .hostname = SLICE("mx.example.org"), .helo = slice_of(helo), .esmtp = esmtp,
		.tls = slice_of(tls), .rcpts = rcpts, .nrcpts = nrcpts,
	};

	assert_int_equal(addr_parse(&f.client, client, 0, NULL), 0);
	return f;
}

static void
test_received(void **state)
{
	static const struct {
		const char *client, *helo;
		bool esmtp;
		const char *tls, *rcpts[2];
		time_t now;
		const char *field;
	} fields[] = {
		{ "192.0.2.1:25", "mail.example.net", true, "", { "ann@example.org" }, 0,
		    "Received: from mail.example.net ([192.0.2.1])\r\n\tby mx.example.org with ESMTP\r\n\tid 4bX1\r\n"
		    "\tfor <ann@example.org>;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n" },
		{ "[2001:db8::1]:25", "mail.example.net", true, "TLSv1.3 TLS_AES_256_GCM_SHA384", { "a@b", "c@d" }, 951827696,
		    "Received: from mail.example.net ([IPv6:2001:db8::1])\r\n"
		    "\tby mx.example.org with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid 4bX1;\r\n"
		    "\tTue, 29 Feb 2000 12:34:56 +0000\r\n" },
		{ "192.0.2.1:25", "[192.0.2.1]", false, "", { "a@b", "c@d" }, 0,
		    "Received: from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.example.org with SMTP\r\n\tid 4bX1;\r\n"
		    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n" },
		/* a name can close no comment, end no field and begin no line */
		{ "192.0.2.1:25", "a)b(c;d\\e\"f<g>h\r\nX: i\x80\x7f\t", true, "", { "a@b", "c@d" }, 0,
		    "Received: from a?b?c?d?e?f?g?h??X:?i??? ([192.0.2.1])\r\n\tby mx.example.org with ESMTP\r\n\tid 4bX1;\r\n"
		    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(fields); i++) {
		struct slice rcpts[2] = { slice_of(fields[i].rcpts[0]), slice_of(fields[i].rcpts[1]) };
		struct facts f = facts_of(fields[i].client, fields[i].helo, fields[i].esmtp, fields[i].tls, rcpts,
		    fields[i].rcpts[1] != NULL ? 2 : 1);

		for (size_t room = 0; room < 5000; room += 97) {
			struct buf b;

			buf_init(&b, room);
			if (trace_received(&b, &f, fields[i].now))
				assert_string_equal(buf_str(&b), fields[i].field);
			else
				assert_int_equal(buf_len(&b), 0);
			assert_true(buf_len(&b) > 0 || room < 4000);
			buf_free(&b);
		}
	}
}

/* The longest names that there can be: no line over 998 octets (RFC 5322 section 2.1.1). */
static void
test_received_lines_are_short(void **state)
{
	char *helo = mem_new(256), *rcpt = mem_new(500);
	struct slice rcpts[1] = { { rcpt, 0 } }, rest;
	struct facts f;
	struct buf b;

	(void)state;
	memset(helo, 'h', 255);
	memset(rcpt, 'r', 499);
	for (size_t len = 0; len < 500; len++) {
		rcpts[0].len = len;
		f = facts_of("[2001:db8:1111:2222:3333:4444:5555:6666]:25", helo, true, "TLSv1.3 TLS_AES_256_GCM_SHA384", rcpts, 1);
		buf_init(&b, 4096);
		assert_true(trace_received(&b, &f, 0));
		for (rest = buf_slice(&b); rest.len > 0;)
			assert_in_range(slice_cut(&rest, '\n').len, 2, 999);
		buf_free(&b);
	}
	free(helo);
	free(rcpt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_received_lines_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
