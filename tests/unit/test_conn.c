/* test_conn.c - truths about proxy/net/conn.h: one nonblocking peer, plain or TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/conn.h"

struct owner {
	struct loop *loop;
	struct conn *conn;
	char story[200];	/* what was called: u(p) i(nput) d(rained) l(ost) */
	char why[64];		/* of lost */
	struct buf got;		/* what input() ate */
	bool leave;		/* input() eats nothing */
	size_t wanted;		/* stop the loop once so much was eaten */
	char close_in;		/* the call inside which the conn is closed: one of uidl */
	const char *answer;	/* put by the first input(), octet for octet */
};

static void
called(struct owner *o, char what)
{
	size_t len = strlen(o->story);

	assert_in_range(len, 0, sizeof(o->story) - 2);
	o->story[len] = what;
	o->story[len + 1] = '\0';
	if (o->close_in == what) {
		conn_close(&o->conn);
		assert_null(o->conn);
	}
}

static void
on_up(void *owner)
{
	called(owner, 'u');
}

static void
on_input(void *owner)
{
	struct owner *o = owner;

	if (!o->leave && o->close_in != 'i') {
		buf_put(&o->got, buf_slice(conn_in(o->conn)));
		buf_clear(conn_in(o->conn));
	}
	for (; o->answer != NULL && *o->answer != '\0'; o->answer++)
		buf_putc(conn_out(o->conn), *o->answer);
	called(o, 'i');
	if (o->wanted > 0 && buf_len(&o->got) >= o->wanted)
		loop_stop(o->loop);
}

static void
on_drained(void *owner)
{
	called(owner, 'd');
}

static void
on_lost(void *owner, const char *why)
{
	struct owner *o = owner;

	slice_copy(slice_of(why), o->why, sizeof(o->why));
	called(o, 'l');
	o->conn = NULL;
}

static const struct conn_ops ops = { on_up, on_input, on_drained, on_lost };

static void
on_stop(void *loop)
{
	loop_stop(loop);
}

static double
run_for(struct loop *loop, double seconds)
{
	double begun = loop_now(loop);
	struct timer t;

	timer_init(&t, loop, on_stop, loop);
	timer_set(&t, seconds);
	loop_run(loop);
	timer_stop(&t);
	return loop_now(loop) - begun;
}

/* A conn and the other end of its socket. SOCK_SEQPACKET shows each write by itself. */
static void
begin(struct owner *o, int type, int *peer)
{
	int ends[2];

	*o = (struct owner){ .loop = loop_new() };
	buf_init(&o->got, 1u << 20);
	assert_non_null(o->loop);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	o->conn = conn_new(o->loop, ends[0], &ops, o);
	*peer = ends[1];
	assert_int_equal(loop_peers(o->loop), 1);
}

static void
end(struct owner *o, int peer)
{
	conn_close(&o->conn);
	assert_int_equal(loop_peers(o->loop), 0);
	loop_free(&o->loop);
	buf_free(&o->got);
	if (peer != -1)
		close(peer);
}

static void
assert_peer_gets(int peer, const char *text)
{
	char got[100];
	ssize_t n = read(peer, got, sizeof(got));

	assert_int_equal(n, (ssize_t)strlen(text));
	assert_memory_equal(got, text, n);
}

static void
assert_peer_gets_none_yet(int peer)
{
	char c;

	assert_int_equal(read(peer, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
test_answers_leave_in_one_packet(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_SEQPACKET, &peer);
	o.answer = "250 one\r\n250 two\r\n";
	buf_puts(conn_out(o.conn), "220 ");
	buf_puts(conn_out(o.conn), "hello");
	assert_peer_gets_none_yet(peer);		/* not before the turn ends */
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "220 hello");
	assert_int_equal(write(peer, "a\r\nb\r\n", 6), 6);
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "250 one\r\n250 two\r\n");
	assert_peer_gets_none_yet(peer);
	assert_string_equal(o.story, "did");
	assert_string_equal(buf_str(&o.got), "a\r\nb\r\n");
	end(&o, peer);
}

static void
test_close_inside_a_callback(void **state)
{
	static const struct { char close_in; const char *story; } cases[] = { { 'i', "i" }, { 'd', "d" }, { 'l', "l" } };

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct owner o;
		int peer;

		begin(&o, SOCK_STREAM, &peer);
		o.close_in = cases[i].close_in;
		if (o.close_in == 'i') {
			assert_int_equal(write(peer, "x", 1), 1);
		} else {
			buf_puts(conn_out(o.conn), "x");
			if (o.close_in == 'l') {
				close(peer);
				peer = -1;
			}
		}
		run_for(o.loop, 0.01);
		assert_string_equal(o.story, cases[i].story);
		assert_null(o.conn);
		end(&o, peer);
	}
}

static void
test_pause(void **state)
{
	clock_t begun = clock();
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	conn_pause(o.conn, true);
	assert_int_equal(write(peer, "x", 1), 1);
	buf_puts(conn_out(o.conn), "y");		/* writing goes on */
	run_for(o.loop, 0.2);
	assert_string_equal(o.story, "d");
	assert_in_range((clock() - begun) * 1000 / CLOCKS_PER_SEC, 0, 50);	/* it waits, and does not ask again and again */
	assert_peer_gets(peer, "y");
	conn_pause(o.conn, false);
	run_for(o.loop, 0.01);
	assert_string_equal(o.story, "di");
	end(&o, peer);
}

/* Reading stops when the buffer is full, and goes on once its owner has taken something. */
static void
test_full_input(void **state)
{
	static char much[300000];
	size_t sent = 0;
	struct owner o;
	ssize_t n;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	o.leave = true;
	for (int i = 0; i < 20; i++) {
		while ((n = write(peer, much, 10000)) > 0)
			sent += (size_t)n;
		run_for(o.loop, 0.002);
		assert_in_range(buf_len(conn_in(o.conn)), 1, CONN_IN_MAX);
	}
	assert_int_equal(buf_len(conn_in(o.conn)), CONN_IN_MAX);
	assert_in_range(strlen(o.story), 1, 40);
	o.leave = false;
	o.wanted = sent;
	on_input(&o);
	run_for(o.loop, 2);
	assert_int_equal(buf_len(&o.got), sent);
	end(&o, peer);
}

static void
test_full_output(void **state)
{
	static char much[CONN_OUT_MAX + 1];
	struct owner o;
	size_t got = 0;
	ssize_t n;
	int peer, small = 4096;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_false(buf_put(conn_out(o.conn), (struct slice){ much, CONN_OUT_MAX + 1 }));
	assert_true(buf_put(conn_out(o.conn), (struct slice){ much, CONN_OUT_MAX }));
	run_for(o.loop, 0.01);
	while (buf_put(conn_out(o.conn), (struct slice){ much, 20000 }))	/* until the socket is full, too */
		run_for(o.loop, 0.002);
	o.story[0] = '\0';
	run_for(o.loop, 0.01);
	assert_string_equal(o.story, "");		/* drained() is called when all is gone */
	for (int i = 0; i < 1000 && o.story[0] == '\0'; i++) {
		while ((n = read(peer, much, sizeof(much))) > 0)
			got += (size_t)n;
		run_for(o.loop, 0.001);
	}
	assert_string_equal(o.story, "d");
	assert_in_range(got, CONN_OUT_MAX, 10 * CONN_OUT_MAX);
	end(&o, peer);
}

/* The peer's end is told with the input; what we still say arrives. */
static void
test_half_close(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	o.answer = "221 bye\r\n";
	assert_int_equal(write(peer, "QUIT\r\n", 6), 6);
	shutdown(peer, SHUT_WR);
	run_for(o.loop, 0.01);
	assert_true(conn_ended(o.conn));
	assert_string_equal(o.story, "idi");
	assert_peer_gets(peer, "221 bye\r\n");
	run_for(o.loop, 0.01);
	assert_string_equal(o.story, "idi");		/* said once */
	end(&o, peer);
}

static void
test_lost_is_the_last_call(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	close(peer);
	buf_puts(conn_out(o.conn), "x");
	run_for(o.loop, 0.01);
	assert_string_equal(o.story, "l");
	assert_string_equal(o.why, "Broken pipe");
	end(&o, -1);
}

/* Our last words are heard by a peer that is still sending, and nothing more is called. */
static void
test_finish(void **state)
{
	struct owner o;
	int peer;
	char c;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	assert_int_equal(write(peer, "x", 1), 1);
	buf_puts(conn_out(o.conn), "421 too late\r\n");
	conn_finish(&o.conn);
	assert_null(o.conn);
	run_for(o.loop, 0.005);
	assert_int_equal(loop_peers(o.loop), 1);		/* it still waits... */
	assert_int_equal(write(peer, "more", 4), 4);
	assert_peer_gets(peer, "421 too late\r\n");
	assert_int_equal(read(peer, &c, 1), 0);			/* ...with its own end said */
	run_for(o.loop, 0.005);
	assert_int_equal(loop_peers(o.loop), 1);
	close(peer);
	run_for(o.loop, 0.005);
	assert_int_equal(loop_peers(o.loop), 0);
	assert_string_equal(o.story, "");
	conn_finish(&o.conn);
	end(&o, -1);
}

static void
test_finish_waits_not_for_ever(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	conn_finish(&o.conn);
	run_for(o.loop, 1.5);
	assert_int_equal(loop_peers(o.loop), 1);
	run_for(o.loop, 1);
	assert_int_equal(loop_peers(o.loop), 0);
	end(&o, peer);
}

static void
test_bye(void **state)
{
	struct owner o;
	int peer;
	char c;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	buf_puts(conn_out(o.conn), "221 bye\r\n");
	conn_bye(&o.conn);
	assert_null(o.conn);
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "221 bye\r\n");
	assert_int_equal(read(peer, &c, 1), 0);
	assert_int_equal(loop_peers(o.loop), 0);	/* gone at once */
	end(&o, peer);
}

static int
listen_on_loopback(struct addr *at)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in4);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in4, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &len), 0);
	addr_from(at, (struct sockaddr *)&in4, len);
	return fd;
}

static void
test_dial(void **state)
{
	struct addr at, peer;
	int fd = listen_on_loopback(&at);

	(void)state;
	for (int alive = 1; alive >= 0; alive--)
		for (int close_in = 0; close_in <= 1; close_in++) {
			struct owner o = { .loop = loop_new(), .close_in = close_in ? 'u' : '\0' };
			struct err err = { "" };

			if (!alive && fd != -1) {
				close(fd);
				fd = -1;
			}
			o.conn = conn_dial(o.loop, &at, false, &ops, &o, &err);
			assert_non_null(o.conn);
			run_for(o.loop, 0.02);
			assert_string_equal(o.story, alive ? "u" : "l");
			assert_string_equal(o.why, alive ? "" : "Connection refused");
			if (o.conn != NULL) {
				conn_peer(o.conn, &peer);
				assert_true(addr_same(&peer, &at));
			}
			end(&o, -1);
		}
}

/* A certificate of our own, for itself. */
static void
make_certificate(struct conf_tls *tls)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *pem[2] = { BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()) };
	char *at;

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"mx", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_X509(pem[0], cert) && PEM_write_bio_PrivateKey(pem[1], key, NULL, NULL, 0, NULL, NULL));
	tls->certificate.len = (size_t)BIO_get_mem_data(pem[0], &at);
	tls->certificate.bytes = mem_slice((struct slice){ at, tls->certificate.len });
	tls->key.len = (size_t)BIO_get_mem_data(pem[1], &at);
	tls->key.bytes = mem_slice((struct slice){ at, tls->key.len });
	BIO_free(pem[0]);
	BIO_free(pem[1]);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Server and client in one loop, the handshake done. */
static void
begin_tls(struct owner *server, struct owner *client)
{
	struct conf_tls tls = { .certificate.path = (char *)"c.pem", .key.path = (char *)"k.pem" };
	const struct conf_tls *one = &tls;
	const struct tls_server_means means = { .protocol = CONF_SMTP };
	const struct conf_backend unverified = { .tls_mode = CONF_TLS_OFFER };
	struct tls_ctx *ours, *theirs;
	struct err err = { "" };
	int fd;

	make_certificate(&tls);
	ours = tls_server_ctx(&one, 1, &means, &err);
	theirs = tls_client_ctx(&unverified, &err);
	assert_non_null(ours);
	assert_non_null(theirs);
	begin(server, SOCK_STREAM, &fd);
	*client = (struct owner){ .loop = server->loop };
	buf_init(&client->got, 1u << 20);
	client->conn = conn_new(client->loop, fd, &ops, client);
	assert_int_equal(conn_starttls(server->conn, ours, NULL, &err), 0);
	assert_int_equal(conn_starttls(client->conn, theirs, "mx", &err), 0);
	tls_ctx_free(&ours);
	tls_ctx_free(&theirs);
	free(tls.certificate.bytes);
	free(tls.key.bytes);
	run_for(server->loop, 0.1);
	assert_string_equal(server->story, "u");
	assert_string_equal(client->story, "u");
	server->story[0] = client->story[0] = '\0';
}

/* Octets that OpenSSL has decrypted already make no socket readable, and a silent loop must not
 * forget them: one TLS record is larger than the first reads. */
static void
test_tls_records(void **state)
{
	static const size_t sizes[] = { 1, 2047, 2048, 2049, 6144, 6145, 16384, 50000, CONN_OUT_MAX };
	static char octets[CONN_OUT_MAX];

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++) {
		struct owner server, client;

		begin_tls(&server, &client);
		server.wanted = sizes[i];
		for (size_t k = 0; k < sizes[i]; k++)
			octets[k] = (char)(k / 251 + k);
		assert_true(buf_put(conn_out(client.conn), (struct slice){ octets, sizes[i] }));
		assert_in_range(run_for(server.loop, 1) * 1000, 0, 900);
		assert_true(slice_same(buf_slice(&server.got), (struct slice){ octets, sizes[i] }));
		conn_close(&client.conn);
		buf_free(&client.got);
		end(&server, -1);
	}
}

/* The answer to what came last in a record leaves in the same turn, though nothing else happens. */
static void
test_tls_answers_at_once(void **state)
{
	static char octets[3000];
	struct owner server, client;

	(void)state;
	begin_tls(&server, &client);
	server.leave = true;
	buf_put(conn_out(client.conn), (struct slice){ octets, sizeof(octets) });
	conn_pause(server.conn, true);
	run_for(server.loop, 0.01);
	assert_string_equal(server.story, "");
	conn_pause(server.conn, false);		/* pausing holds for what is decrypted, too */
	server.leave = false;
	server.wanted = sizeof(octets);
	client.wanted = 1;
	run_for(server.loop, 1);
	server.answer = "250 ok\r\n";
	buf_put(conn_out(client.conn), (struct slice){ octets, sizeof(octets) });
	assert_in_range(run_for(server.loop, 1) * 1000, 0, 900);
	run_for(server.loop, 0.02);
	assert_string_equal(buf_str(&client.got), "250 ok\r\n");
	conn_close(&client.conn);
	buf_free(&client.got);
	end(&server, -1);
}

/* What is lent leaves behind what was put, in one packet, and drained() comes when all of it is written. */
static void
test_lent_leaves_in_one_packet(void **state)
{
	static const char words[] = "Subject: x\r\n\r\n.\r\n";
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_SEQPACKET, &peer);
	buf_puts(conn_out(o.conn), "BDAT 16 LAST\r\n");
	assert_true(conn_lend(o.conn, (struct slice){ words, 14 }));
	assert_true(conn_lend(o.conn, SLICE("")));
	assert_true(conn_lend(o.conn, (struct slice){ words + 14, 3 }));
	assert_int_equal(conn_unwritten(o.conn), 31);
	assert_peer_gets_none_yet(peer);
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "BDAT 16 LAST\r\nSubject: x\r\n\r\n.\r\n");
	assert_string_equal(o.story, "d");
	assert_int_equal(conn_unwritten(o.conn), 0);
	end(&o, peer);
}

static void
test_lent_has_its_bound(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	for (int i = 0; i < CONN_LENT; i++)
		assert_true(conn_lend(o.conn, SLICE("x")));
	assert_false(conn_lend(o.conn, SLICE("y")));
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "xxxxxxxxxxxxxxxx");
	assert_true(conn_lend(o.conn, SLICE("y")));
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "y");
	assert_string_equal(o.story, "dd");
	/* Whose octets they are goes away: no more of them are touched. */
	buf_puts(conn_out(o.conn), "bye");
	assert_true(conn_lend(o.conn, SLICE("z")));
	conn_finish(&o.conn);
	run_for(o.loop, 0.005);
	assert_peer_gets(peer, "bye");
	close(peer);
	run_for(o.loop, 0.02);
	end(&o, -1);
}

/* Stretches of all sizes, short ones between long ones, through a peer that reads little at a time; plain and TLS. */
static void
check_lent(size_t put, const size_t *lent, size_t nlent, bool tls)
{
	static char octets[1u << 20];
	struct owner from, to;
	size_t at = put;
	int fd;

	for (size_t k = 0; k < sizeof(octets); k++)
		octets[k] = (char)(k / 251 + k);
	if (tls) {
		begin_tls(&to, &from);
	} else {
		begin(&to, SOCK_STREAM, &fd);
		from = (struct owner){ .loop = to.loop };
		buf_init(&from.got, 1u << 20);
		from.conn = conn_new(to.loop, fd, &ops, &from);
	}
	assert_true(buf_put(conn_out(from.conn), (struct slice){ octets, put }));
	for (size_t i = 0; i < nlent; i++) {
		assert_true(conn_lend(from.conn, (struct slice){ octets + at, lent[i] }));
		at += lent[i];
	}
	to.wanted = at;
	assert_in_range(run_for(to.loop, 2) * 1000, 0, 1900);
	assert_true(slice_same(buf_slice(&to.got), (struct slice){ octets, at }));
	assert_string_equal(from.story, "d");
	conn_close(&from.conn);
	buf_free(&from.got);
	end(&to, -1);
}

static void
test_lent_of_all_sizes(void **state)
{
	static const size_t rows[][4] = {
		{ 1 }, { 300000 }, { 1, 1, 1, 1 }, { 16384, 1, 16384, 1 }, { 1, 16383, 2, 40000 }, { 16385, 3, 100, 300000 }, { 0, 0, 0, 5 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++)
		for (int tls = 0; tls <= 1; tls++)
			for (size_t put = 0; put <= 20000; put += 10000)
				check_lent(put, rows[i], NITEMS(rows[i]), tls == 1);
}

static void
test_quiet(void **state)
{
	struct owner o, other = { 0 };
	int peer;

	(void)state;
	begin(&o, SOCK_STREAM, &peer);
	assert_true(conn_is_quiet(o.conn));
	assert_int_equal(write(peer, "x", 1), 1);
	assert_false(conn_is_quiet(o.conn));		/* not read yet */
	run_for(o.loop, 0.005);
	assert_true(conn_is_quiet(o.conn));
	o.leave = true;
	assert_int_equal(write(peer, "x", 1), 1);
	run_for(o.loop, 0.005);
	assert_false(conn_is_quiet(o.conn));		/* read, and left there */
	buf_clear(conn_in(o.conn));
	assert_true(conn_is_quiet(o.conn));
	/* Another owner hears what comes from now on. */
	conn_pass(o.conn, &ops, &other);
	other.conn = o.conn;
	buf_init(&other.got, 100);
	assert_int_equal(write(peer, "y", 1), 1);
	run_for(o.loop, 0.005);
	assert_string_equal(o.story, "ii");
	assert_string_equal(other.story, "i");
	buf_free(&other.got);
	close(peer);
	assert_false(conn_is_quiet(o.conn));		/* the end */
	end(&o, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_leave_in_one_packet),
		cmocka_unit_test(test_close_inside_a_callback),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_full_input),
		cmocka_unit_test(test_full_output),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_lost_is_the_last_call),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_finish_waits_not_for_ever),
		cmocka_unit_test(test_bye),
		cmocka_unit_test(test_dial),
		cmocka_unit_test(test_tls_records),
		cmocka_unit_test(test_tls_answers_at_once),
		cmocka_unit_test(test_lent_leaves_in_one_packet),
		cmocka_unit_test(test_lent_has_its_bound),
		cmocka_unit_test(test_lent_of_all_sizes),
		cmocka_unit_test(test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
