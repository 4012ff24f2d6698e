/* tlsload.c - clients that do nothing but shake hands, and clients that do nothing at all.
 *
 *	tlsload --port N --handshakes 5000 [--connections 16]
 *	tlsload --port N --hold 2000 [--plain]
 *
 * The first: TLS 1.3 and nothing else, a full handshake each time (no session is ever taken up), the greeting is read,
 * close_notify is sent, and the next one begins; 16 at once. One line of JSON: {"handshakes": 5000, "failed": 0, "seconds": 1.2}.
 * The second: opens that many sessions, one after another, says EHLO in each and reads the answer; then says "held"
 * and keeps them until its input ends. */
#include <errno.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static SSL_CTX *ctx;
static unsigned long port;
static bool plain;
static atomic_long left;
static atomic_ulong failed;

struct session {
	int fd;
	SSL *ssl;
};

static ssize_t
hear(struct session *s, char *at, size_t size)
{
	return plain ? read(s->fd, at, size) : SSL_read(s->ssl, at, (int)size);
}

/* A whole reply, its last line "250 ...". */
static bool
hear_reply(struct session *s)
{
	char text[4096], *line = text;
	size_t len = 0;

	for (;;) {
		ssize_t n = hear(s, text + len, sizeof(text) - 1 - len);
		char *end;

		if (n <= 0)
			return false;
		text[len += (size_t)n] = '\0';
		while ((end = strchr(line, '\n')) != NULL) {
			if (end - line >= 4 && line[0] == '2' && line[3] == ' ')
				return true;
			line = end + 1;
		}
	}
}

static bool
begin(struct session *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	s->ssl = NULL;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd == -1 || connect(s->fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		return false;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (plain)
		return true;
	s->ssl = SSL_new(ctx);
	return s->ssl != NULL && SSL_set_fd(s->ssl, s->fd) == 1 && SSL_connect(s->ssl) == 1;
}

static void
end(struct session *s)
{
	if (s->ssl != NULL) {
		SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
	}
	if (s->fd != -1)
		close(s->fd);
}

static void *
shake_hands(void *arg)
{
	while (atomic_fetch_sub(&left, 1) > 0) {
		struct session s;

		if (!begin(&s) || !hear_reply(&s) || SSL_session_reused(s.ssl))
			atomic_fetch_add(&failed, 1);
		end(&s);
	}
	return arg;
}

static int
hold(unsigned long n)
{
	static const char ehlo[] = "EHLO client.example.net\r\n";
	struct session *s = calloc(n, sizeof(*s));
	char octet;

	for (unsigned long i = 0; i < n; i++) {
		if (s == NULL || !begin(&s[i]) || !hear_reply(&s[i]))
			die("session %lu of %lu does not begin: %s", i + 1, n, strerror(errno));
		if ((plain ? write(s[i].fd, ehlo, sizeof(ehlo) - 1) : SSL_write(s[i].ssl, ehlo, sizeof(ehlo) - 1)) <= 0 || !hear_reply(&s[i]))
			die("session %lu of %lu gets no answer to EHLO", i + 1, n);
	}
	puts("held");
	fflush(stdout);
	while (read(STDIN_FILENO, &octet, 1) > 0)
		continue;
	return 0;	/* all of them end with the process */
}

static void
raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' }, { "handshakes", required_argument, NULL, 'n' },
		{ "connections", required_argument, NULL, 'c' }, { "hold", required_argument, NULL, 'h' },
		{ "plain", no_argument, NULL, 'P' }, { NULL, 0, NULL, 0 },
	};
	unsigned long handshakes = 0, connections = 16, held = 0;
	pthread_t threads[256];
	double began;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 'p': port = number("--port", optarg, 1, 65535); break;
		case 'n': handshakes = number("--handshakes", optarg, 1, 100000000); break;
		case 'c': connections = number("--connections", optarg, 1, 256); break;
		case 'h': held = number("--hold", optarg, 1, 100000); break;
		case 'P': plain = true; break;
		default: die("usage: tlsload --port N (--handshakes N [--connections N] | --hold N [--plain])");
		}
	if (port == 0 || (handshakes == 0) == (held == 0) || (plain && held == 0))
		die("--port and either --handshakes or --hold are needed");
	raise_descriptors();
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
		die("no TLS 1.3");
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	if (held > 0)
		return hold(held);
	atomic_store(&left, (long)handshakes);
	began = now_ms();
	for (unsigned long i = 0; i < connections; i++)
		if (pthread_create(&threads[i], NULL, shake_hands, NULL) != 0)
			die("no thread");
	for (unsigned long i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	printf("{\"handshakes\": %lu, \"failed\": %lu, \"seconds\": %.3f}\n", handshakes, atomic_load(&failed), (now_ms() - began) / 1e3);
	return 0;
}
