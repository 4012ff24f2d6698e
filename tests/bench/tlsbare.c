/* tlsbare.c - the least that a TLS server of libev and OpenSSL can do: accept, handshake, greet, close.
 *
 *	tlsbare --port N --certificate FILE --key FILE [--processes 2]
 *
 * What a handshake costs in such a server is what a handshake costs; what another server takes beyond that is its
 * own. OpenSSL as it comes, but for what anybody would set who answers clients that do not come again: one session
 * ticket and not two, and no sessions kept in memory. It answers nothing that a client says, and closes with it. */
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define GREETING "220 bare.example.org ESMTP\r\n"

struct client {
	struct ev_io io;
	SSL *ssl;
	bool greeted;
};

static SSL_CTX *ctx;

static void
drop(struct ev_loop *loop, struct client *c)
{
	ev_io_stop(loop, &c->io);
	SSL_shutdown(c->ssl);
	close(c->io.fd);
	SSL_free(c->ssl);
	free(c);
}

static void
on_client(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct client *c = w->data;
	char octets[512];
	int rc;

	(void)revents;
	if (!c->greeted) {
		rc = SSL_accept(c->ssl);
		if (rc == 1) {
			c->greeted = SSL_write(c->ssl, GREETING, sizeof(GREETING) - 1) > 0;
			return;
		}
	} else {
		while ((rc = SSL_read(c->ssl, octets, sizeof(octets))) > 0)
			continue;
	}
	if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
		drop(loop, c);
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int revents)
{
	int one = 1, fd;

	(void)revents;
	while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		struct client *c = calloc(1, sizeof(*c));

		if (c == NULL || (c->ssl = SSL_new(ctx)) == NULL || SSL_set_fd(c->ssl, fd) != 1)
			die("no memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		ev_io_init(&c->io, on_client, fd, EV_READ);
		c->io.data = c;
		ev_io_start(loop, &c->io);
	}
}

static int
listen_on(unsigned long port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1 || listen(fd, 1024) == -1)
		die("listen on port %lu: %s", port, strerror(errno));
	return fd;
}

static void
serve(unsigned long port)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	struct ev_io listener;

	signal(SIGPIPE, SIG_IGN);
	ev_io_init(&listener, on_accept, listen_on(port), EV_READ);
	ev_io_start(loop, &listener);
	ev_run(loop, 0);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' }, { "certificate", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' }, { "processes", required_argument, NULL, 'n' }, { NULL, 0, NULL, 0 },
	};
	unsigned long port = 0, processes = 2;
	const char *certificate = NULL, *key = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 'p': port = number("--port", optarg, 1, 65535); break;
		case 'c': certificate = optarg; break;
		case 'k': key = optarg; break;
		case 'n': processes = number("--processes", optarg, 1, 64); break;
		default: die("usage: tlsbare --port N --certificate FILE --key FILE [--processes N]");
		}
	if (port == 0 || certificate == NULL || key == NULL)
		die("--port, --certificate and --key are needed");
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("%s, %s: no certificate and key", certificate, key);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	for (unsigned long i = 1; i < processes; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	serve(port);
	return 0;
}
