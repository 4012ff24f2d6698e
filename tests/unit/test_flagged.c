/* test_flagged.c - truths about a worker's stock of flagged sockets, with a dialer of our own.
 *
 * Its sockets are not flagged: anything in 127/8 may be bound to without. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/chan.h"
#include "proxy/net/flagged.h"
#include "proxy/net/original.h"

struct scene {
	struct loop *loop;
	struct flagged *stock;
	int dialer;			/* our end of its channel */
	int server;
	struct addr to;
};

static int
listening(const char *text, struct addr *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(at->ss);
	struct err err;

	assert_int_equal(addr_parse(at, text, 1, &err), 0);
	((struct sockaddr_in *)&at->ss)->sin_port = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&at->ss, at->len), 0);
	assert_int_equal(listen(fd, 100), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at->ss, &len), 0);
	return fd;
}

static void
new_channel(struct scene *s)
{
	struct err err;
	int ends[2];

	assert_int_equal(chan_pair(ends, &err), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	s->dialer = ends[0];
	flagged_use(s->stock, ends[1], true);
}

static void
set_up(struct scene *s)
{
	s->loop = loop_new();
	s->stock = flagged_stock(s->loop);
	s->server = listening("127.0.0.1", &s->to);
	new_channel(s);
}

static void
tear_down(struct scene *s)
{
	flagged_free(&s->stock);
	close(s->dialer);
	close(s->server);
	loop_free(&s->loop);
}

/* Answers a request with so many IPv4 sockets. */
static void
send_sockets(struct scene *s, unsigned count)
{
	int fds[FLAGGED_BATCH] = { 0 };

	for (unsigned i = 0; i < count; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(flagged_answer(s->dialer, AF_INET, fds, count), 0);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static void
expect_request(struct scene *s, int family, unsigned count)
{
	struct flagged_request r;

	assert_int_equal(flagged_asked(s->dialer, &r), 1);
	assert_int_equal(r.family, family);
	assert_int_equal(r.count, count);
}

static void
expect_no_request(struct scene *s)
{
	struct flagged_request r;

	assert_int_equal(flagged_asked(s->dialer, &r), -1);
	assert_int_equal(errno, EAGAIN);
}

static int
connect_as(struct scene *s, const char *client, bool same_port, struct addr *seen, struct err *err)
{
	struct addr from;
	bool asked;
	int fd;

	assert_int_equal(addr_parse(&from, client, 0, err), 0);
	fd = flagged_connect(s->stock, &from, same_port, &s->to, &asked, err);
	if (fd != -1 && seen != NULL) {
		socklen_t len = sizeof(seen->ss);
		int accepted;

		accepted = accept(s->server, (struct sockaddr *)&seen->ss, &len);
		assert_int_not_equal(accepted, -1);
		seen->len = len;
		close(accepted);
	}
	return fd;
}

/* A full stock is asked for at once; more when a quarter is gone, and never twice before the answer. */
static void
test_stock(void **state)
{
	struct scene s;
	struct addr seen;
	struct err err;
	char text[ADDR_TEXT_MAX];

	(void)state;
	set_up(&s);
	expect_request(&s, AF_INET, 64);
	expect_request(&s, AF_INET6, 64);
	expect_no_request(&s);
	send_sockets(&s, 64);
	for (unsigned i = 0; i < 20; i++) {
		int fd = connect_as(&s, "127.0.0.2:2000", false, &seen, &err);

		assert_int_not_equal(fd, -1);
		addr_host(&seen, text);
		assert_string_equal(text, "127.0.0.2");
		assert_in_range(addr_port(&seen), 16384, 32767);
		close(fd);
		if (i == 14)
			expect_no_request(&s);
		if (i == 15)
			expect_request(&s, AF_INET, 16);
	}
	expect_no_request(&s);
	tear_down(&s);
}

/* The client's own port, and another one while that is in use towards the same server. */
static void
test_same_port(void **state)
{
	struct addr used, first, second;
	struct err err;
	struct scene s;
	char client[ADDR_TEXT_MAX];
	int fds[2];

	(void)state;
	set_up(&s);
	send_sockets(&s, 10);
	close(listening("127.0.0.3", &used));	/* a port that is free */
	addr_text(&used, client);
	fds[0] = connect_as(&s, client, true, &first, &err);
	fds[1] = connect_as(&s, client, true, &second, &err);
	assert_true(fds[0] != -1 && fds[1] != -1);
	assert_true(addr_same(&first, &used));
	assert_in_range(addr_port(&second), 16384, 32767);
	close(fds[0]);
	close(fds[1]);
	tear_down(&s);
}

/* Nothing in stock, nobody who answers: an error soon, and for whoever comes next at once. */
static void
test_empty(void **state)
{
	struct scene s;
	struct err err;

	(void)state;
	set_up(&s);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
		assert_non_null(strstr(err.text, "the dialer does not answer"));
	}
	send_sockets(&s, 3);
	assert_int_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);	/* not looked for: it was silent */
	new_channel(&s);
	send_sockets(&s, 1);
	assert_int_not_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
	assert_int_equal(connect_as(&s, "[::1]:2000", false, NULL, &err), -1);
	assert_non_null(strstr(err.text, "an IPv6 client cannot be shown to 127.0.0.1"));
	tear_down(&s);
}

/* A dialer that dies takes nothing along that is in stock. */
static void
test_dialer_dies(void **state)
{
	struct scene s;
	struct err err;
	int old;

	(void)state;
	set_up(&s);
	send_sockets(&s, 2);
	for (int i = 0; i < 2; i++)
		close(connect_as(&s, "127.0.0.2:2000", false, NULL, &err));
	send_sockets(&s, 2);
	expect_request(&s, AF_INET, 64);
	expect_request(&s, AF_INET6, 64);
	expect_request(&s, AF_INET, 63);
	close(s.dialer);
	for (int i = 0; i < 2; i++)
		assert_int_not_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
	assert_int_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
	new_channel(&s);
	expect_request(&s, AF_INET, 64);
	expect_request(&s, AF_INET6, 64);
	send_sockets(&s, 1);
	assert_int_not_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
	old = s.dialer;
	new_channel(&s);	/* the one before is given up */
	assert_int_equal(flagged_asked(old, &(struct flagged_request){ 0 }), 1);
	assert_int_equal(flagged_asked(old, &(struct flagged_request){ 0 }), 0);
	close(old);
	tear_down(&s);
}

/* What makes no sense is not taken, on either side. */
static void
test_nonsense(void **state)
{
	static const struct { const char *bytes; size_t len; } nonsense[] = {
		{ "\4", 1 }, { "\4\0", 2 }, { "\4\101", 2 }, { "\4\377", 2 }, { "\5\1", 2 }, { "\0\1", 2 }, { "\4\1\1", 3 },
		{ "\1", 1 }, { "\1\0\0\0\1", 5 }, { "\1\0\0\0\1\0\0\0\2/x\0", 12 }, { "\1\0\0\0\1\0\0\0\2/\0", 11 },
		{ "\1\0\0\0\1\377\377\377\377", 9 },
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct flagged_request r;
	struct err err;
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		int ends[2];

		set_up(&s);
		assert_int_equal(chan_send(s.dialer, (struct slice){ nonsense[i].bytes, nonsense[i].len }, &fd, 1), 0);
		assert_int_equal(connect_as(&s, "127.0.0.2:2000", false, NULL, &err), -1);
		tear_down(&s);
		assert_int_equal(chan_pair(ends, &err), 0);
		assert_int_equal(chan_send(ends[0], (struct slice){ nonsense[i].bytes, nonsense[i].len }, NULL, 0), 0);
		assert_int_equal(flagged_asked(ends[1], &r), -1);
		assert_int_not_equal(errno, EAGAIN);
		close(ends[0]);
		close(ends[1]);
	}
	close(fd);
}

/* A conn that the dialer makes: what its owner was told. */
struct owner {
	struct loop *loop;
	struct conn *conn;
	bool up;
	char why[80];
};

static void
on_up(void *owner)
{
	struct owner *o = owner;

	o->up = true;
}

static void
on_input(void *owner)
{
	(void)owner;
}

static void
on_lost(void *owner, const char *why)
{
	struct owner *o = owner;

	o->conn = NULL;
	slice_copy(slice_of(why), o->why, sizeof(o->why));
}

static const struct conn_ops calls = { on_up, on_input, NULL, on_lost };

static void
stop(void *loop)
{
	loop_stop(loop);
}

static void
turn(struct loop *loop)
{
	struct timer t;

	timer_init(&t, loop, stop, loop);
	timer_set(&t, 0.01);
	loop_run(loop);
}

static void
dial(struct scene *s, struct owner *o, const char *path)
{
	struct addr to;
	struct err err;

	assert_int_equal(addr_parse(&to, path, 0, &err), 0);
	*o = (struct owner){ .loop = s->loop };
	o->conn = flagged_dial(s->stock, &to, false, &calls, o);
	assert_non_null(o->conn);
}

static uint32_t
expect_path(struct scene *s, const char *path)
{
	struct flagged_request r;
	char text[ADDR_TEXT_MAX];

	do
		assert_int_equal(flagged_asked(s->dialer, &r), 1);
	while (r.family != AF_UNIX);		/* the stock's */
	addr_text(&r.path, text);
	assert_string_equal(text, path);
	return r.number;
}

static void
give_path(struct scene *s, uint32_t number, int *peer)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(flagged_answer_path(s->dialer, number, ends[0], 0), 0);
	close(ends[0]);
	*peer = ends[1];
}

static void
test_paths(void **state)
{
	uint32_t numbers[4];
	struct owner o[4];
	struct scene s;
	char got[8];
	int peer;

	(void)state;
	set_up(&s);
	dial(&s, &o[0], "unix:/run/a");
	dial(&s, &o[1], "unix:/run/b");
	dial(&s, &o[2], "unix:/run/c");
	dial(&s, &o[3], "unix:/run/d");
	for (int i = 0; i < 4; i++)
		numbers[i] = expect_path(&s, ((const char *[]){ "unix:/run/a", "unix:/run/b", "unix:/run/c", "unix:/run/d" })[i]);
	buf_puts(conn_out(o[1].conn), "hello");		/* waits for the socket */
	conn_close(&o[3].conn);
	give_path(&s, numbers[1], &peer);
	assert_int_equal(flagged_answer_path(s.dialer, numbers[0], -1, ENOENT), 0);
	assert_int_equal(flagged_answer_path(s.dialer, numbers[2], -1, EAGAIN), 0);
	turn(s.loop);
	assert_string_equal(o[0].why, "No such file or directory");
	assert_true(o[1].up);
	assert_int_equal(read(peer, got, sizeof(got)), 5);
	assert_string_equal(o[2].why, "its queue of connections is full");
	close(peer);
	give_path(&s, numbers[3], &peer);		/* nobody wants it any more */
	turn(s.loop);
	assert_int_equal(read(peer, got, sizeof(got)), 0);
	close(peer);
	give_path(&s, numbers[1], &peer);		/* nor this, a second time */
	turn(s.loop);
	assert_int_equal(read(peer, got, sizeof(got)), 0);
	close(peer);
	conn_close(&o[1].conn);
	tear_down(&s);
}

/* Who waits for a path when the dialer dies is the next one's; more than it may be asked at once wait their turn. */
static void
test_paths_wait(void **state)
{
	struct flagged_request r;
	struct owner o[40];
	struct scene s;
	int peer, old;

	(void)state;
	set_up(&s);
	old = s.dialer;
	for (int i = 0; i < 40; i++)
		dial(&s, &o[i], "unix:/run/a");
	for (int i = 0; i < 32; i++)
		expect_path(&s, "unix:/run/a");
	expect_no_request(&s);
	conn_close(&o[0].conn);			/* asked for */
	conn_close(&o[39].conn);		/* not asked for yet */
	new_channel(&s);
	close(old);
	for (int i = 1; i < 33; i++) {
		give_path(&s, expect_path(&s, "unix:/run/a"), &peer);
		close(peer);
	}
	turn(s.loop);
	for (int i = 1; i < 33; i++) {
		assert_true(o[i].up);
		conn_close(&o[i].conn);
	}
	for (int i = 33; i < 39; i++) {
		assert_false(o[i].up);
		expect_path(&s, "unix:/run/a");
	}
	assert_int_equal(flagged_asked(s.dialer, &r), -1);
	flagged_free(&s.stock);
	turn(s.loop);
	assert_string_equal(o[38].why, "nobody is left to connect to it");
	tear_down(&s);
}

/* A dialer that flags nothing is not asked for sockets. */
static void
test_paths_alone(void **state)
{
	struct err err;
	struct owner o;
	struct scene s;
	int ends[2];

	(void)state;
	set_up(&s);
	close(s.dialer);
	assert_int_equal(chan_pair(ends, &err), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	s.dialer = ends[0];
	flagged_use(s.stock, ends[1], false);
	expect_no_request(&s);
	dial(&s, &o, "unix:/run/a");
	expect_path(&s, "unix:/run/a");
	conn_close(&o.conn);
	tear_down(&s);
}

static void
test_original(void **state)
{
	static const struct { const char *address; bool ours; } cases[] = {
		{ "127.0.0.1:25", true }, { "127.5.6.7:25", true }, { "[::1]:25", true },
		{ "192.0.2.1:25", false }, { "[2001:db8::1]:25", false }, { "128.0.0.1:25", false },
	};
	struct addr at, to;
	struct err err;
	int fds[3];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(addr_parse(&at, cases[i].address, 0, &err), 0);
		if (strcmp(cases[i].address, "[::1]:25") != 0 || access("/proc/net/if_inet6", F_OK) == 0)
			assert_int_equal(original_is_ours(&at), cases[i].ours);
	}
	fds[0] = listening("127.0.0.1", &at);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&at.ss, at.len), 0);
	fds[2] = accept(fds[0], NULL, NULL);
	assert_int_equal(original_destination(fds[2], false, &to, &err), 0);
	assert_true(addr_same(&to, &at));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(original_destination(-1, true, &to, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_same_port),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_dialer_dies),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_paths_wait),
		cmocka_unit_test(test_paths_alone),
		cmocka_unit_test(test_original),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
