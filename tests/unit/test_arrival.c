/* test_arrival.c - truths about proxy/net/arrival.h: the header is waited for, and what stands behind it stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/arrival.h"

#define WIRE(literal) { "" literal, sizeof(literal) - 1 }
#define V2 "\r\n\r\n\0\r\nQUIT\n"

static struct {
	unsigned calls;
	struct arrival arrival;
	char why[ERR_MAX];	/* "-": NULL */
	struct loop *loop;
} got;

static void
on_done(void *owner, const struct arrival *a, const char *why)
{
	assert_ptr_equal(owner, &got);
	got.calls++;
	if (a != NULL)
		got.arrival = *a;
	else
		snprintf(got.why, sizeof(got.why), "%s", why != NULL ? why : "-");
	loop_stop(got.loop);
}

struct feeder {			/* sends a piece in each turn */
	struct timer timer;
	struct slice wire;
	size_t piece;
	int fd;
};

static void
on_feed(void *owner)
{
	struct feeder *f = owner;

	if (f->wire.len == 0) {
		shutdown(f->fd, SHUT_WR);
		return;
	}
	f->piece = f->piece < f->wire.len ? f->piece : f->wire.len;
	assert_int_equal(write(f->fd, f->wire.at, f->piece), f->piece);
	f->wire = slice_part(f->wire, f->piece, f->wire.len);
	timer_set(&f->timer, 0);
}

/* Behind each wire the client has closed. client NULL: done() hears why; "peer": the peer's own. */
static const struct {
	struct slice wire;
	const char *client, *why, *rest;
	bool probe;
} cases[] = {
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), "192.0.2.1:40000", NULL, "", false },
	{ WIRE("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\nEHLO x\r\n"), "192.0.2.1:40000", NULL, "EHLO x\r\n", false },
	{ WIRE("PROXY UNKNOWN\r\n\x16\x03\x01"), "peer", NULL, "\x16\x03\x01", true },
	{ WIRE(V2 "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x00\x19QUIT\r\n"), "192.0.2.1:40000", NULL, "QUIT\r\n", false },
	{ WIRE(V2 "\x20\x00\x00\x00"), "peer", NULL, "", true },
	{ WIRE(""), NULL, "-", NULL, false },
	{ WIRE("PROXY TCP4"), NULL, "the connection ended inside its PROXY header", NULL, false },
	{ WIRE("EHLO x\r\n"), NULL, "bad PROXY header: a proxy has to send a PROXY header first (see proxy-from)", NULL, false },
	{ WIRE(V2 "\x21\x11\x00\x0c\xc0"), NULL, "the connection ended inside its PROXY header", NULL, false },
};

static void
check(size_t i, size_t piece)
{
	struct feeder f = { .wire = cases[i].wire, .piece = piece };
	struct addr peer;
	char text[ADDR_TEXT_MAX], rest[64] = "";
	int pair[2];

	memset(&got, 0, sizeof(got));
	got.loop = loop_new();
	assert_int_equal(addr_parse(&peer, "10.0.0.1:4000", 1, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	f.fd = pair[1];
	timer_init(&f.timer, got.loop, on_feed, &f);
	timer_set(&f.timer, 0);
	assert_non_null(arrival_wait(got.loop, pair[0], &peer, 5.0, on_done, &got));
	loop_run(got.loop);
	assert_int_equal(got.calls, 1);
	if (cases[i].why != NULL) {
		assert_string_equal(got.why, cases[i].why);
		assert_int_equal(fcntl(pair[0], F_GETFD), -1);		/* closed */
	} else {
		addr_text(&got.arrival.client, text);
		assert_string_equal(text, strcmp(cases[i].client, "peer") == 0 ? "10.0.0.1:4000" : cases[i].client);
		addr_text(&got.arrival.peer, text);
		assert_string_equal(text, "10.0.0.1:4000");
		assert_int_equal(got.arrival.probe, cases[i].probe);
		while (f.wire.len > 0)
			on_feed(&f);
		shutdown(pair[1], SHUT_WR);
		assert_int_equal(recv(got.arrival.fd, rest, sizeof(rest), 0), strlen(cases[i].rest));
		assert_string_equal(rest, cases[i].rest);
		close(got.arrival.fd);
	}
	close(pair[1]);
	timer_stop(&f.timer);
	loop_free(&got.loop);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= cases[i].wire.len + 1; piece++)
			check(i, piece);
}

static void
test_deadline(void **state)
{
	struct arrival_wait *w;
	struct addr peer;
	int pair[2];

	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		memset(&got, 0, sizeof(got));
		got.loop = loop_new();
		assert_int_equal(addr_parse(&peer, "10.0.0.1:4000", 1, NULL), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		assert_int_equal(write(pair[1], "PROXY ", 6), 6);
		w = arrival_wait(got.loop, pair[0], &peer, 0.02, on_done, &got);
		if (closed == 1) {
			arrival_wait_close(&w);
			assert_null(w);
			assert_int_equal(read(pair[1], &peer, 1), -1);	/* with unread octets: a reset */
		} else {
			loop_run(got.loop);
			assert_string_equal(got.why, "no whole PROXY header came in time");
		}
		assert_int_equal(got.calls, !closed);
		close(pair[1]);
		loop_free(&got.loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
