/* load.c - sends mail over many SMTP connections at once and says how it went.
 *
 *	load --port N [--host 127.0.0.1] [--connections 20] [--messages 1000] [--size 4096 | --body FILE]
 *	     [--from A] [--rcpt A] [--kept] [--pipelined] [--retry] [--cut N] [--wait 20] [--timeout 60] [--log FILE]
 *
 * One thread, epoll, TCP_NODELAY. --kept: connections carry one message after another; --pipelined:
 * MAIL, RCPT and DATA in one write. Every message bears its number in X-Load-Id; behind that line
 * all messages are the same octets, whose FNV-1a is printed as "hash". In --from, {id} is that number.
 *
 * --retry: what got a 4xx or lost its connection is tried again after --wait ms, until a 250; 5xx
 * is final. --log writes one line per message when all is done:
 *
 *	id=17 attempts=2 code=250 lost=1 unsure=1 longest=12.345 total=40.120
 *
 * lost: connections that ended without an answer; unsure: of these, such that had taken the whole
 * message with its final dot, so only they can leave a second copy behind (RFC 1047); longest: ms
 * of the longest attempt; total: ms from the first attempt's start to the last one's end.
 *
 * --cut N: in every N-th attempt the client's link breaks, by turns behind the greeting, EHLO, MAIL, RCPT, DATA,
 * in the middle of the message, behind its final dot, behind the answer to that; now with FIN, now with RST.
 *
 * Prints one line of JSON; times are ms. session: connect to the answer to QUIT (--kept: MAIL to
 * the answer to the dot); dot: last octet handed to the kernel to the answer; "steps": how many of
 * these answers took 35 to 50 ms, the mark of Nagle's algorithm meeting a delayed ACK. Exit 0 when
 * every message was accepted, else 1; 2 when it could not run. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define REPLY_MAX 4096	/* octets of one whole reply */
#define HEAD_MAX  600	/* octets of what differs between messages */
#define TEXT_LINE 72	/* octets of a line of text without its end */
#define STEP_FROM 35.0	/* ms */
#define STEP_TO   50.0
#define CODE_LOST 0	/* stands where a reply's code would */

enum step { IDLE, GREETING, HELLO, MAIL, RCPT, DATA, DOT, QUIT, BODY };	/* BODY: a place to cut only */

static const int wanted[] = { [GREETING] = 220, [HELLO] = 250, [MAIL] = 250, [RCPT] = 250,
	[DATA] = 354, [DOT] = 250, [QUIT] = 221 };

static const struct {
	enum step step;
	const char *name;
} cuts[] = {
	{ GREETING, "greeting" }, { HELLO, "ehlo" }, { MAIL, "mail" }, { RCPT, "rcpt" }, { DATA, "data" }, { BODY, "body" },
	{ DOT, "dot" }, { QUIT, "answer" },
};

#define CUTS (sizeof(cuts) / sizeof(cuts[0]))

struct message {
	unsigned attempts, lost, unsure;
	int code;			/* of its last attempt */
	double first, longest, total;	/* ms */
	double due;			/* not to be tried again before */
};

struct client {
	int fd;
	enum step step, cut;		/* cut: where this attempt's link breaks; IDLE: nowhere */
	struct message *m;
	double opened, began, dotted, heard;	/* connection, attempt, last octet of a message, last sign of life */
	size_t head_len, sent, in_len;
	bool waits_out;
	char head[HEAD_MAX + 1];
	char in[REPLY_MAX];
};

struct samples {
	double *at;
	size_t n, size;
};

static struct {
	const char *host, *from, *rcpt, *body, *log;
	unsigned port, connections, messages;
	size_t size;
	bool kept, pipelined, retry;
	unsigned cut;
	double wait, timeout;
} opt = { .host = "127.0.0.1", .from = "load@example.net", .rcpt = "user@example.org", .connections = 20,
	.messages = 1000, .size = 4096, .wait = 20, .timeout = 60000 };

static struct {
	int epoll;
	struct sockaddr_in to;
	struct message *messages;
	struct client *clients;
	unsigned next, done, idle;
	struct message **again;		/* a ring, in the order in which they fall due */
	unsigned again_first, again_n;
	char *text, *wire;		/* what all messages share: decoded, and stuffed with the final dot */
	size_t text_len, wire_len;
	unsigned codes[1000];		/* how attempts that failed were answered; [CODE_LOST] */
	unsigned long sent;
	unsigned accepted, unsure, lost_quit, steps;
	unsigned attempts, cut[CUTS];
	struct samples session, dot;
} run;

static void
sample(struct samples *s, double ms)
{
	if (s->n == s->size) {
		s->size = s->size > 0 ? s->size * 2 : 4096;
		s->at = realloc(s->at, s->size * sizeof(*s->at));
		if (s->at == NULL)
			die("load: out of memory");
	}
	s->at[s->n++] = ms;
}

/* ---- what is sent ---- */

static void
make_text(void)
{
	static const char head[] = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n";
	size_t left, line;
	uint32_t seed = 1;
	char *at;

	if (opt.size < HEAD_MAX + sizeof(head))
		die("--size %zu: at least %zu is needed for the header", opt.size, HEAD_MAX + sizeof(head));
	run.text_len = opt.size - HEAD_MAX;	/* the head is made this long in every message */
	run.text = malloc(run.text_len);
	if (run.text == NULL)
		die("load: out of memory");
	memcpy(run.text, head, sizeof(head) - 1);
	at = run.text + sizeof(head) - 1;
	for (left = run.text_len - (sizeof(head) - 1); left > 0; left -= line) {
		line = left > TEXT_LINE + 4 ? TEXT_LINE + 2 : left;
		for (size_t i = 0; i < line; i++) {
			seed = seed * 1664525 + 1013904223;
			*at++ = "etaoin shrdlu.cmf "[(seed >> 16) % 18];	/* some lines begin with a dot */
		}
		if (line >= 2)
			memcpy(at - 2, "\r\n", 2);
	}
}

/* A message from a file. Its lines get CRLF ends whatever they had. */
static void
read_text(void)
{
	FILE *f = fopen(opt.body, "r");
	int c, last = '\n';

	if (f == NULL)
		die("--body %s: %s", opt.body, strerror(errno));
	fseek(f, 0, SEEK_END);
	run.text = malloc(2 * (size_t)ftell(f) + 2);
	if (run.text == NULL)
		die("load: out of memory");
	rewind(f);
	while ((c = getc(f)) != EOF) {
		if (c == '\n' && last != '\r')
			run.text[run.text_len++] = '\r';
		run.text[run.text_len++] = (char)c;
		last = c;
	}
	if (last != '\n') {
		memcpy(run.text + run.text_len, "\r\n", 2);
		run.text_len += 2;
	}
	fclose(f);
}

/* RFC 5321 section 4.5.2: a dot that begins a line is doubled; the end is CRLF.CRLF. */
static void
make_wire(void)
{
	run.wire = malloc(2 * run.text_len + 3);
	if (run.wire == NULL)
		die("load: out of memory");
	for (size_t i = 0; i < run.text_len; i++) {
		if (run.text[i] == '.' && (i == 0 || run.text[i - 1] == '\n'))
			run.wire[run.wire_len++] = '.';
		run.wire[run.wire_len++] = run.text[i];
	}
	memcpy(run.wire + run.wire_len, ".\r\n", 3);
	run.wire_len += 3;
}

/* The sender's address, its {id} replaced. */
static const char *
sender(const struct client *c)
{
	static char text[HEAD_MAX];
	const char *mark = strstr(opt.from, "{id}");

	if (mark == NULL)
		return opt.from;
	snprintf(text, sizeof(text), "%.*s%u%s", (int)(mark - opt.from), opt.from, (unsigned)(c->m - run.messages), mark + 4);
	return text;
}

static void
make_head(struct client *c)
{
	unsigned id = (unsigned)(c->m - run.messages);
	int len = 0;

	if (opt.body == NULL) {
		len = snprintf(c->head, HEAD_MAX, "From: <%s>\r\nTo: <%s>\r\nSubject: message %u\r\n"
		    "Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%010u@load.example.net>\r\nX-Load-Fill: ",
		    sender(c), opt.rcpt, id, id);
		if (len > HEAD_MAX - 60)
			die("load: the addresses are too long");
		while (len < HEAD_MAX - 25)
			c->head[len++] = 'x';
		memcpy(c->head + len, "\r\n", 2);
		len += 2;
	}
	c->head_len = (size_t)(len + snprintf(c->head + len, (size_t)(HEAD_MAX + 1 - len), "X-Load-Id: %010u\r\n", id));
}

/* ---- a message's fate ---- */

static struct message *
next_message(double now)
{
	struct message *m;

	if (run.again_n > 0 && run.again[run.again_first]->due <= now) {
		m = run.again[run.again_first];
		run.again_first = (run.again_first + 1) % opt.messages;
		run.again_n--;
		return m;
	}
	return run.next < opt.messages ? &run.messages[run.next++] : NULL;
}

/* The client's message has its answer (or CODE_LOST: none). */
static void
finish(struct client *c, int code, double now)
{
	struct message *m = c->m;
	bool again = opt.retry && code / 100 != 2 && code / 100 != 5;

	c->m = NULL;
	m->code = code;
	m->total = now - m->first;
	if (now - c->began > m->longest)
		m->longest = now - c->began;
	if (code / 100 == 2)
		run.accepted++;
	else
		run.codes[code]++;
	if (!again) {
		run.done++;
		return;
	}
	m->due = now + opt.wait;
	run.again[(run.again_first + run.again_n++) % opt.messages] = m;
}

/* ---- a connection ---- */

static void
hang_up(struct client *c)
{
	close(c->fd);	/* leaves the epoll set with it */
	c->fd = -1;
	c->step = IDLE;
	run.idle++;
}

static void
lost(struct client *c, double now)
{
	if (c->m == NULL) {
		run.lost_quit += c->step == QUIT;
	} else {
		c->m->lost++;
		if (c->step == DOT && c->sent == c->head_len + run.wire_len) {
			c->m->unsure++;
			run.unsure++;
		}
		finish(c, CODE_LOST, now);
	}
	hang_up(c);
}

/* Our side of the link breaks. False, as for any connection that is no more. */
static bool
cut(struct client *c, double now)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	static unsigned turn;

	for (unsigned i = 0; i < CUTS; i++)
		run.cut[i] += cuts[i].step == c->cut;
	c->cut = IDLE;
	if (turn++ / CUTS % 2 == 1)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	lost(c, now);
	return false;
}

static bool
say(struct client *c, const char *text)
{
	size_t len = strlen(text);

	/* A few octets always fit into an empty socket; when not, the connection is no good. */
	return send(c->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool
send_message(struct client *c)
{
	size_t total = c->head_len + (c->cut == BODY ? run.wire_len / 2 : run.wire_len);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	while (c->sent < total) {
		size_t head = c->sent < c->head_len ? c->head_len - c->sent : 0;
		size_t done = c->sent + head - c->head_len;
		struct iovec iov[2] = { { c->head + c->sent, head }, { run.wire + done, total - c->head_len - done } };
		struct msghdr msg = { .msg_iov = head > 0 ? iov : iov + 1, .msg_iovlen = head > 0 ? 2 : 1 };
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			return false;
		c->sent += (size_t)n;
	}
	if (c->sent == total) {
		c->dotted = now_ms();
		run.sent += c->cut != BODY;
		if (c->cut == BODY || c->cut == DOT)
			return cut(c, c->dotted);
	}
	if (c->waits_out != (c->sent < total)) {
		c->waits_out = c->sent < total;
		ev.events |= c->waits_out ? (uint32_t)EPOLLOUT : 0;
		epoll_ctl(run.epoll, EPOLL_CTL_MOD, c->fd, &ev);
	}
	return true;
}

static bool
say_mail(struct client *c)
{
	char text[2 * HEAD_MAX];

	c->step = MAIL;
	snprintf(text, sizeof(text), opt.pipelined ? "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" : "MAIL FROM:<%s>\r\n",
	    sender(c), opt.rcpt);
	return say(c, text);
}

static bool
say_rcpt(struct client *c)
{
	char text[HEAD_MAX];

	c->step = RCPT;
	if (opt.pipelined)
		return true;
	snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", opt.rcpt);
	return say(c, text);
}

static void
begin_attempt(struct client *c, double now)
{
	c->began = now;
	c->sent = 0;
	c->cut = opt.cut > 0 && ++run.attempts % opt.cut == 0 ? cuts[run.attempts / opt.cut % CUTS].step : IDLE;
	if (c->m->attempts++ == 0)
		c->m->first = now;
	make_head(c);
}

/* The dot was answered with 250: on with the next message, or goodbye. */
static bool
accepted(struct client *c, double now)
{
	double waited = now - c->dotted;

	sample(&run.dot, waited);
	run.steps += waited >= STEP_FROM && waited <= STEP_TO;
	if (opt.kept)
		sample(&run.session, now - c->began);
	finish(c, wanted[DOT], now);
	if (c->cut == QUIT)
		return cut(c, now);
	if (opt.kept && (c->m = next_message(now)) != NULL) {
		begin_attempt(c, now);
		return say_mail(c);
	}
	c->step = QUIT;
	return say(c, "QUIT\r\n");
}

/* One whole reply came. False: the connection is lost, or over (step IDLE). */
static bool
answer(struct client *c, int code, double now)
{
	if (code / 100 != wanted[c->step] / 100) {
		if (c->m != NULL)
			finish(c, code >= 400 ? code : CODE_LOST, now);	/* a 2xx to DATA is no answer */
		say(c, "QUIT\r\n");
		hang_up(c);
		return false;
	}
	if (c->cut == c->step)
		return cut(c, now);
	switch (c->step) {
	case GREETING:
		c->step = HELLO;
		return say(c, "EHLO load.example.net\r\n");
	case HELLO:
		return say_mail(c);
	case MAIL:
		return say_rcpt(c);
	case RCPT:
		c->step = DATA;
		return opt.pipelined || say(c, "DATA\r\n");
	case DATA:
		c->step = DOT;
		return send_message(c);
	case DOT:
		return accepted(c, now);
	case QUIT:
		if (!opt.kept)
			sample(&run.session, now - c->opened);
		hang_up(c);
		return false;
	case BODY:
	case IDLE:
		break;
	}
	return false;
}

/* "250-..." goes on, "250 ..." ends a reply (RFC 5321 section 4.2.1). */
static bool
take_replies(struct client *c, double now)
{
	char *at = c->in, *end;

	while ((end = memchr(at, '\n', c->in_len - (size_t)(at - c->in))) != NULL) {
		bool last = end - at < 4 || at[3] != '-';
		int code = 0;

		for (int i = 0; i < 3 && at[i] >= '0' && at[i] <= '9'; i++)
			code = code * 10 + (at[i] - '0');
		at = end + 1;
		if (last && !answer(c, code, now))
			return false;
	}
	c->in_len -= (size_t)(at - c->in);
	memmove(c->in, at, c->in_len);
	return c->in_len < REPLY_MAX;
}

static void
on_event(struct client *c, uint32_t events)
{
	double now = now_ms();
	ssize_t n;

	c->heard = now;
	if ((events & EPOLLOUT) != 0 && c->step == DOT && !send_message(c)) {
		if (c->step != IDLE)
			lost(c, now);
		return;
	}
	if ((events & ~(uint32_t)EPOLLOUT) == 0)
		return;
	n = recv(c->fd, c->in + c->in_len, REPLY_MAX - c->in_len, MSG_DONTWAIT);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n > 0)
		c->in_len += (size_t)n;
	if ((n <= 0 || !take_replies(c, now)) && c->step != IDLE)
		lost(c, now);
}

static void
begin_session(struct client *c, double now)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		die("load: socket: %s", strerror(errno));
	no_delay(c->fd);
	c->step = GREETING;
	c->opened = c->heard = now;
	c->in_len = 0;
	c->waits_out = false;
	run.idle--;
	begin_attempt(c, now);
	if (connect(c->fd, (struct sockaddr *)&run.to, sizeof(run.to)) == -1 && errno != EINPROGRESS)
		lost(c, now);
	else if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		die("load: epoll_ctl: %s", strerror(errno));
}

/* ---- all of them ---- */

static void
fill_idle(double now)
{
	for (unsigned i = 0; i < opt.connections && run.idle > 0; i++) {
		struct client *c = &run.clients[i];

		if (c->step != IDLE)
			continue;
		c->m = next_message(now);
		if (c->m == NULL)
			return;
		begin_session(c, now);
	}
}

static void
end_silent(double now)
{
	static double looked;

	if (now - looked < 100)
		return;
	looked = now;
	for (unsigned i = 0; i < opt.connections; i++)
		if (run.clients[i].step != IDLE && now - run.clients[i].heard > opt.timeout)
			lost(&run.clients[i], now);
}

static int
wait_ms(double now)
{
	double wait = 100;

	if (run.idle > 0 && run.again_n > 0 && run.again[run.again_first]->due - now < wait)
		wait = run.again[run.again_first]->due - now;
	return wait > 0 ? (int)wait + 1 : 0;
}

static void
send_all(void)
{
	struct epoll_event events[256];

	while (run.done < opt.messages || run.idle < opt.connections) {
		double now = now_ms();
		int n;

		fill_idle(now);
		end_silent(now);
		n = epoll_wait(run.epoll, events, 256, wait_ms(now));
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
	}
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_samples(const char *name, struct samples *s)
{
	qsort(s->at, s->n, sizeof(*s->at), by_size);
	printf(", \"%s\": {\"n\": %zu", name, s->n);
	if (s->n > 0)
		printf(", \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f", s->at[s->n / 2], s->at[s->n * 99 / 100], s->at[s->n - 1]);
	putchar('}');
}

static void
print_codes(const char *name, int from, int to)
{
	const char *comma = "";

	printf(", \"%s\": {", name);
	for (int code = from; code <= to; code++)
		if (run.codes[code] > 0) {
			printf("%s\"%d\": %u", comma, code, run.codes[code]);
			comma = ", ";
		}
	putchar('}');
}

static void
report(double seconds)
{
	double longest = 0, total = 0;

	for (unsigned i = 0; i < opt.messages; i++) {
		if (run.messages[i].longest > longest)
			longest = run.messages[i].longest;
		if (run.messages[i].total > total)
			total = run.messages[i].total;
	}
	printf("{\"messages\": %u, \"sent\": %lu, \"accepted\": %u", opt.messages, run.sent, run.accepted);
	print_codes("temporary", 100, 499);
	print_codes("refused", 500, 999);
	printf(", \"lost\": %u, \"unsure\": %u, \"lost_quit\": %u", run.codes[CODE_LOST], run.unsure, run.lost_quit);
	printf(", \"seconds\": %.3f, \"rate\": %.1f", seconds, run.accepted / seconds);
	print_samples("session", &run.session);
	print_samples("dot", &run.dot);
	printf(", \"cuts\": {");
	for (unsigned i = 0; i < CUTS; i++)
		printf("%s\"%s\": %u", i > 0 ? ", " : "", cuts[i].name, run.cut[i]);
	printf("}");
	printf(", \"steps\": %u, \"longest\": %.3f, \"total\": %.3f", run.steps, longest, total);
	printf(", \"hash\": \"%016llx\"}\n", (unsigned long long)fnv(FNV_START, run.text, run.text_len));
}

static void
write_log(void)
{
	FILE *f = fopen(opt.log, "w");

	if (f == NULL)
		die("--log %s: %s", opt.log, strerror(errno));
	for (unsigned i = 0; i < opt.messages; i++) {
		const struct message *m = &run.messages[i];

		fprintf(f, "id=%u attempts=%u code=%d lost=%u unsure=%u longest=%.3f total=%.3f\n", i, m->attempts, m->code,
		    m->lost, m->unsure, m->longest, m->total);
	}
	if (fclose(f) != 0)
		die("--log %s: %s", opt.log, strerror(errno));
}

static void
options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "connections", required_argument, NULL, 'c' },
		{ "messages", required_argument, NULL, 'm' },
		{ "size", required_argument, NULL, 's' },
		{ "body", required_argument, NULL, 'b' },
		{ "from", required_argument, NULL, 'f' },
		{ "rcpt", required_argument, NULL, 't' },
		{ "kept", no_argument, NULL, 'k' },
		{ "pipelined", no_argument, NULL, 'i' },
		{ "retry", no_argument, NULL, 'r' },
		{ "cut", required_argument, NULL, 'u' },
		{ "wait", required_argument, NULL, 'w' },
		{ "timeout", required_argument, NULL, 'o' },
		{ "log", required_argument, NULL, 'l' },
		{ 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (o) {
		case 'h': opt.host = optarg; break;
		case 'p': opt.port = (unsigned)number("--port", optarg, 1, 65535); break;
		case 'c': opt.connections = (unsigned)number("--connections", optarg, 1, 20000); break;
		case 'm': opt.messages = (unsigned)number("--messages", optarg, 1, 100000000); break;
		case 's': opt.size = number("--size", optarg, 1, 1 << 30); break;
		case 'b': opt.body = optarg; break;
		case 'f': opt.from = optarg; break;
		case 't': opt.rcpt = optarg; break;
		case 'k': opt.kept = true; break;
		case 'i': opt.pipelined = true; break;
		case 'r': opt.retry = true; break;
		case 'u': opt.cut = (unsigned)number("--cut", optarg, 0, 1000000); break;
		case 'w': opt.wait = (double)number("--wait", optarg, 0, 60000); break;
		case 'o': opt.timeout = (double)number("--timeout", optarg, 1, 3600) * 1000; break;
		case 'l': opt.log = optarg; break;
		default: exit(2);
		}
	if (opt.port == 0 || optind != argc || strlen(opt.from) > 200 || strlen(opt.rcpt) > 200)
		die("usage: load --port N [--host A] [--connections N] [--messages N] [--size N | --body FILE] [--from A]\n"
		    "            [--rcpt A] [--kept] [--pipelined] [--retry] [--cut N] [--wait MS] [--timeout S] [--log FILE]");
}

int
main(int argc, char **argv)
{
	double began;

	options(argc, argv);
	if (opt.body != NULL)
		read_text();
	else
		make_text();
	make_wire();
	run.to = ipv4(opt.host, opt.port);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.messages = calloc(opt.messages, sizeof(*run.messages));
	run.again = calloc(opt.messages, sizeof(struct message *));
	run.clients = calloc(opt.connections, sizeof(*run.clients));
	if (run.epoll == -1 || run.messages == NULL || run.again == NULL || run.clients == NULL)
		die("load: out of memory");
	run.idle = opt.connections;
	began = now_ms();
	send_all();
	report((now_ms() - began) / 1000);
	if (opt.log != NULL)
		write_log();
	return run.accepted == opt.messages ? 0 : 1;
}
