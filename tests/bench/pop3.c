/* pop3.c - reads a maildrop as fast as it can and says how long it took.
 *
 *	pop3 --port N --user U --password P [--host 127.0.0.1] [--window 20] [--rounds 1]
 *
 * Each round is one connection: USER, PASS, STAT and UIDL, each when the one before is answered
 * ("login": ms from connect to the end of UIDL); every message by RETR, each when the one before has
 * come ("retr": messages per second); all of them again with --window commands under way
 * ("pipelined"); QUIT. Nothing is deleted. One blocking socket: what is measured is the other side.
 *
 * Prints one line of JSON for each round. "hash" is FNV-1a over all messages without dot-stuffing,
 * so that two servers of the same mailbox can be compared. Exit 1 when a reply was no +OK or the
 * two readings differ, 2 when it could not run. */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define IN_SIZE     (256 * 1024)
#define REPLY_MAX   1024	/* octets of a reply's first line */
#define WINDOW_MAX  500

static struct {
	const char *host, *user, *password;
	unsigned port, window, rounds;
} opt = { .host = "127.0.0.1", .window = 20, .rounds = 1 };

static struct {
	int fd;
	size_t at, end;			/* of what lies in `in` unread */
	char in[IN_SIZE];
} net;

static void
fill(void)
{
	ssize_t n;

	do
		n = recv(net.fd, net.in, sizeof(net.in), 0);
	while (n == -1 && errno == EINTR);
	if (n <= 0) {
		fprintf(stderr, "pop3: the server closed\n");
		exit(1);
	}
	net.at = 0;
	net.end = (size_t)n;
}

static void
send_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(net.fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("pop3: send: %s", strerror(errno));
		text += n;
		len -= (size_t)n;
	}
}

/* One line without its CR LF. */
static const char *
get_line(void)
{
	static char line[REPLY_MAX];
	size_t len = 0;

	for (;;) {
		char c;

		if (net.at == net.end)
			fill();
		c = net.in[net.at++];
		if (c == '\n')
			break;
		if (len == sizeof(line) - 1)
			die("pop3: a reply is too long");
		line[len++] = c;
	}
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	return line;
}

static const char *
get_ok(const char *what)
{
	const char *line = get_line();

	if (strncmp(line, "+OK", 3) != 0) {
		fprintf(stderr, "pop3: %s: %s\n", what, line);
		exit(1);
	}
	return line;
}

static const char *
ask(const char *verb, const char *arg)
{
	char text[REPLY_MAX];
	int len = snprintf(text, sizeof(text), *arg != '\0' ? "%s %s\r\n" : "%s\r\n", verb, arg);

	if (len < 0 || (size_t)len >= sizeof(text))
		die("pop3: %s: too long", verb);
	send_all(text, (size_t)len);
	return get_ok(verb);
}

/* What follows +OK, up to the line that is a dot (RFC 1939 section 3). *octets: without that and the stuffing. */
static uint64_t
get_lines(uint64_t hash, uint64_t *octets)
{
	enum { AT_START, AFTER_DOT, IN_LINE } state = AT_START;

	for (;;) {
		const char *from, *stop;
		size_t len;

		if (net.at == net.end)
			fill();
		from = net.in + net.at;
		if (state == AT_START && *from == '.') {
			state = AFTER_DOT;
			net.at++;
			continue;
		}
		if (state == AFTER_DOT && *from == '\r') {
			net.at++;
			if (net.at == net.end)
				fill();
			net.at++;
			return hash;
		}
		stop = memchr(from, '\n', net.end - net.at);
		len = stop != NULL ? (size_t)(stop - from) + 1 : net.end - net.at;
		hash = fnv(hash, from, len);
		*octets += len;
		net.at += len;
		state = stop != NULL ? AT_START : IN_LINE;
	}
}

static void
open_connection(void)
{
	struct sockaddr_in to = ipv4(opt.host, opt.port);

	net.at = net.end = 0;
	net.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (net.fd == -1 || connect(net.fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		die("pop3: connect: %s", strerror(errno));
	no_delay(net.fd);
}

/* Reads messages 1 to n with so many commands under way. */
static uint64_t
read_all(unsigned long n, unsigned window, uint64_t *octets)
{
	uint64_t hash = FNV_START;
	unsigned long asked = 0;

	*octets = 0;
	for (unsigned long got = 0; got < n; got++) {
		char text[WINDOW_MAX * 32];
		size_t len = 0;

		/* A new batch when half of the last one is through: few writes, and never an idle server. */
		if (asked - got <= window / 2)
			while (asked < n && asked - got < window)
				len += (size_t)snprintf(text + len, sizeof(text) - len, "RETR %lu\r\n", ++asked);
		send_all(text, len);
		get_ok("RETR");
		hash = get_lines(hash, octets);
	}
	return hash;
}

static bool
play_round(void)
{
	double began = now_ms(), logged_in, read, read_again;
	uint64_t octets = 0, again_octets = 0, hash, again;
	unsigned long n;

	open_connection();
	get_ok("greeting");
	ask("USER", opt.user);
	ask("PASS", opt.password);
	n = strtoul(ask("STAT", "") + 3, NULL, 10);
	ask("UIDL", "");
	get_lines(FNV_START, &octets);
	logged_in = now_ms();
	hash = read_all(n, 1, &octets);
	read = now_ms();
	again = read_all(n, opt.window, &again_octets);
	read_again = now_ms();
	ask("QUIT", "");
	close(net.fd);
	printf("{\"messages\": %lu, \"octets\": %llu, \"login\": %.3f, \"retr\": %.1f, \"pipelined\": %.1f, \"hash\": \"%016llx\"}\n", n,
	    (unsigned long long)octets, logged_in - began, (double)n / (read - logged_in) * 1000,
	    (double)n / (read_again - read) * 1000, (unsigned long long)hash);
	return hash == again && octets == again_octets;
}

int
main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "user", required_argument, NULL, 'u' },
		{ "password", required_argument, NULL, 'w' },
		{ "window", required_argument, NULL, 'n' },
		{ "rounds", required_argument, NULL, 'r' },
		{ 0 },
	};
	bool same = true;
	int o;

	while ((o = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (o) {
		case 'h': opt.host = optarg; break;
		case 'p': opt.port = (unsigned)number("--port", optarg, 1, 65535); break;
		case 'u': opt.user = optarg; break;
		case 'w': opt.password = optarg; break;
		case 'n': opt.window = (unsigned)number("--window", optarg, 1, WINDOW_MAX); break;
		case 'r': opt.rounds = (unsigned)number("--rounds", optarg, 1, 100000); break;
		default: exit(2);
		}
	if (opt.port == 0 || opt.user == NULL || opt.password == NULL || optind != argc)
		die("usage: pop3 --port N --user U --password P [--host A] [--window N] [--rounds N]");
	for (unsigned i = 0; i < opt.rounds; i++)
		same = play_round() && same;
	return same ? 0 : 1;
}
