/* sink.c - takes all mail, as fast as one thread can, and keeps a record of what it took.
 *
 *	sink --port N [--host 127.0.0.1] [--lmtp] [--record FILE] [--judge NAME] [--blocks]
 *
 * SMTP or LMTP with PIPELINING, 8BITMIME and SIZE. A message ends with CRLF.CRLF and with nothing
 * else. With --record each message is a line of FILE, written before its 250:
 *
 *	id=17 size=4096 received=1 status=1 judged=1 gatepost=0 hash=89abcdef01234567
 *
 * size: octets as decoded; received, status, gatepost: fields named Received, X-Spam-Status,
 * X-Gatepost-*; judged: X-Spam-Status fields that hold NAME; hash: FNV-1a of everything behind the
 * X-Load-Id line (of everything when there is none). --blocks: of a message only its end is looked for, in
 * whole reads, as a server does that writes what it gets to a file. On SIGTERM the sink prints its totals as one
 * line of JSON and ends with 0. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define IN_SIZE  (256 * 1024)	/* octets read at once; no command and no tested line is longer */
#define OUT_SIZE 8192		/* replies that wait: a client that never reads is cut off */
#define RCPT_MAX 200		/* LMTP answers each of them after the dot */

struct message {
	uint64_t hash;
	size_t size;
	unsigned long id;
	unsigned received, status, judged, gatepost;
	bool has_id, in_header, in_status;
};

struct client {
	int fd;
	size_t in_len, out_len, out_sent;
	bool in_data, mid_line, quit, waits_out;
	char last;		/* the octet before this one, where a line came in two pieces */
	unsigned rcpts;
	struct message m;
	char out[OUT_SIZE];
	char in[IN_SIZE + 1];	/* one NUL at its very end, for strtoul */
};

static struct {
	bool lmtp, blocks;
	const char *judge;
	int epoll, listener, record;
	unsigned long connections, messages, bytes;
} sink = { .record = -1 };

static volatile sig_atomic_t ended;

static bool
reply(struct client *c, const char *text)
{
	size_t len = strlen(text);

	if (len > OUT_SIZE - c->out_len)
		return false;
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
	return true;
}

static bool
holds(const char *at, size_t len, const char *word)
{
	return memmem(at, len, word, strlen(word)) != NULL;
}

static bool
field(const char *at, size_t len, const char *name)
{
	return len > strlen(name) && strncasecmp(at, name, strlen(name)) == 0;
}

/* One line of a message's header, in it those lines that the record speaks of. */
static void
header_line(struct message *m, const char *at, size_t len)
{
	bool folded = at[0] == ' ' || at[0] == '\t';

	if (len == 2) {
		m->in_header = false;
	} else if (!folded) {
		m->in_status = field(at, len, "X-Spam-Status:");
		m->status += m->in_status;
		m->received += field(at, len, "Received:");
		m->gatepost += field(at, len, "X-Gatepost-");
	}
	if (m->in_status && sink.judge != NULL && holds(at, len, sink.judge)) {
		m->judged++;
		m->in_status = false;	/* one field counts once */
	}
	if (!m->has_id && field(at, len, "X-Load-Id:")) {
		m->has_id = true;
		m->id = strtoul(at + strlen("X-Load-Id:"), NULL, 10);	/* a line's end stands behind it */
		m->hash = FNV_START;
	}
}

/* A piece of a message's body: a whole line, or a part of one that is longer than the buffer. */
static void
data_piece(struct client *c, const char *at, size_t len)
{
	struct message *m = &c->m;
	bool starts = !c->mid_line, had_id = m->has_id;

	c->mid_line = !(at[len - 1] == '\n' && (len > 1 ? at[len - 2] : c->last) == '\r');
	c->last = at[len - 1];
	if (starts && at[0] == '.') {	/* RFC 5321 section 4.5.2 */
		at++;
		len--;
	}
	m->size += len;
	if (sink.record == -1)
		return;
	if (starts && m->in_header && !c->mid_line)
		header_line(m, at, len);
	if (had_id || !m->has_id)
		m->hash = fnv(m->hash, at, len);
}

static void
record(const struct message *m)
{
	char line[200];
	int len = snprintf(line, sizeof(line), "id=%lu size=%zu received=%u status=%u judged=%u gatepost=%u hash=%016llx\n",
	    m->id, m->size, m->received, m->status, m->judged, m->gatepost, (unsigned long long)m->hash);

	if (write(sink.record, line, (size_t)len) != len)
		die("sink: the record cannot be written: %s", strerror(errno));
}

static bool
data_end(struct client *c)
{
	unsigned replies = sink.lmtp ? c->rcpts : 1;

	if (sink.record != -1)
		record(&c->m);
	sink.messages++;
	sink.bytes += c->m.size;
	c->in_data = false;
	c->rcpts = 0;
	while (replies-- > 0)
		if (!reply(c, "250 2.0.0 Ok: taken\r\n"))
			return false;
	return true;
}

static bool
data_begin(struct client *c)
{
	if (c->rcpts == 0)
		return reply(c, "503 5.5.1 No recipients\r\n");
	c->in_data = true;
	c->mid_line = false;
	c->last = '\n';
	c->m = (struct message){ .in_header = true, .hash = FNV_START };
	return reply(c, "354 Go on\r\n");
}

static bool
hello(struct client *c, bool extended)
{
	c->rcpts = 0;
	return reply(c, extended ? "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n"
				   "250 ENHANCEDSTATUSCODES\r\n"
				 : "250 sink\r\n");
}

static bool
command(struct client *c, const char *line, size_t len)
{
#define IS(verb) (len >= 4 && strncasecmp(line, verb, 4) == 0)
	if (IS(sink.lmtp ? "LHLO" : "EHLO"))
		return hello(c, true);
	if (IS("HELO") && !sink.lmtp)
		return hello(c, false);
	if (IS("MAIL") || IS("RSET")) {
		c->rcpts = 0;
		return reply(c, "250 2.1.0 Ok\r\n");
	}
	if (IS("RCPT")) {
		if (c->rcpts >= RCPT_MAX)
			return reply(c, "452 4.5.3 Too many recipients\r\n");
		c->rcpts++;
		return reply(c, "250 2.1.5 Ok\r\n");
	}
	if (IS("DATA"))
		return data_begin(c);
	if (IS("NOOP"))
		return reply(c, "250 2.0.0 Ok\r\n");
	if (IS("QUIT")) {
		c->quit = true;
		return reply(c, "221 2.0.0 Bye\r\n");
	}
	return reply(c, "500 5.5.2 What?\r\n");
#undef IS
}

/* A message in whole reads: how many octets of the buffer are done with. What may be the beginning of the end stays. */
static size_t
data_block(struct client *c, const char *at, size_t len, bool *ended_here)
{
	static const char end[] = "\r\n.\r\n";
	const char *found = c->m.size == 0 && len >= 3 && memcmp(at, end + 2, 3) == 0 ? at - 2 : memmem(at, len, end, 5);
	size_t done = found != NULL ? (size_t)(found + 5 - at) : len > 4 ? len - 4 : 0;

	*ended_here = found != NULL;
	c->m.size += done;
	return done;
}

/* Takes the whole lines out of the buffer. False: the connection must end. */
static bool
consume(struct client *c)
{
	size_t at = 0;

	while (at < c->in_len && !c->quit) {
		const char *line = c->in + at, *end;
		size_t len;

		if (c->in_data && sink.blocks) {
			bool ended_here;

			at += data_block(c, line, c->in_len - at, &ended_here);
			if (!ended_here)
				break;
			if (!data_end(c))
				return false;
			continue;
		}
		end = memchr(line, '\n', c->in_len - at);
		len = end != NULL ? (size_t)(end - line) + 1 : c->in_len - at;

		if (end == NULL && !(c->in_data && len == IN_SIZE))
			break;
		at += len;
		if (!c->in_data) {
			if (!command(c, line, len))
				return false;
		} else if (!c->mid_line && len == 3 && memcmp(line, ".\r\n", 3) == 0) {
			if (!data_end(c))
				return false;
		} else {
			data_piece(c, line, len);
		}
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	return c->in_len < IN_SIZE;
}

static bool
flush(struct client *c)
{
	struct epoll_event ev = { .data.ptr = c };
	ssize_t n = 0;

	while (c->out_sent < c->out_len && n != -1) {
		n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			c->out_sent += (size_t)n;
		else if (errno != EAGAIN)
			return false;
	}
	if (c->out_sent == c->out_len)
		c->out_sent = c->out_len = 0;
	if (c->waits_out != (c->out_len > 0)) {
		c->waits_out = c->out_len > 0;
		ev.events = EPOLLIN | (c->waits_out ? (uint32_t)EPOLLOUT : 0);
		epoll_ctl(sink.epoll, EPOLL_CTL_MOD, c->fd, &ev);
	}
	return !(c->quit && c->out_len == 0);
}

static void
serve(struct client *c)
{
	ssize_t n = read(c->fd, c->in + c->in_len, IN_SIZE - c->in_len);

	if (n > 0)
		c->in_len += (size_t)n;
	if (n == 0 || (n == -1 && errno != EAGAIN) || !consume(c) || !flush(c)) {
		close(c->fd);
		free(c);
	}
}

static void
greet(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct client *c;
	int fd;

	while ((fd = accept4(sink.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		c = malloc(sizeof(*c));
		if (c == NULL)
			die("sink: out of memory");
		memset(c, 0, offsetof(struct client, out));
		c->in[IN_SIZE] = '\0';
		c->fd = fd;
		no_delay(fd);
		sink.connections++;
		ev.data.ptr = c;
		if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
			die("sink: epoll_ctl: %s", strerror(errno));
		reply(c, "220 sink ESMTP\r\n");
		if (!flush(c)) {
			close(fd);
			free(c);
		}
	}
}

static void
on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static void
options(int argc, char **argv, const char **host, unsigned *port)
{
	static const struct option known[] = {
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "lmtp", no_argument, NULL, 'l' },
		{ "record", required_argument, NULL, 'r' },
		{ "judge", required_argument, NULL, 'j' },
		{ "blocks", no_argument, NULL, 'b' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (opt) {
		case 'h': *host = optarg; break;
		case 'p': *port = (unsigned)number("--port", optarg, 1, 65535); break;
		case 'l': sink.lmtp = true; break;
		case 'b': sink.blocks = true; break;
		case 'j': sink.judge = optarg; break;
		case 'r':
			sink.record = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
			if (sink.record == -1)
				die("--record %s: %s", optarg, strerror(errno));
			break;
		default:
			exit(2);
		}
	if (*port == 0 || optind != argc)
		die("usage: sink --port N [--host A] [--lmtp] [--record FILE] [--judge NAME] [--blocks]");
}

static void
listen_at(const char *host, unsigned port)
{
	struct sockaddr_in in = ipv4(host, port);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int on = 1;

	sink.epoll = epoll_create1(EPOLL_CLOEXEC);
	sink.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(sink.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(sink.listener, (struct sockaddr *)&in, sizeof(in)) == -1 || listen(sink.listener, 4096) == -1)
		die("sink: %s:%u: %s", host, port, strerror(errno));
	if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.listener, &ev) == -1)
		die("sink: epoll_ctl: %s", strerror(errno));
}

int
main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	struct epoll_event events[256];
	const char *host = "127.0.0.1";
	unsigned port = 0;
	sigset_t blocked, open_mask;

	options(argc, argv, &host, &port);
	listen_at(host, port);
	/* The signals are let in only while we wait, so none is missed just before. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &open_mask);
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGINT, &term, NULL);
	while (!ended) {
		int n = epoll_pwait(sink.epoll, events, 256, -1, &open_mask);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				greet();
			else
				serve(events[i].data.ptr);
	}
	printf("{\"connections\": %lu, \"messages\": %lu, \"bytes\": %lu}\n", sink.connections, sink.messages, sink.bytes);
	return 0;
}
