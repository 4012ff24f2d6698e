#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "policy/keeper/keeper.h"
#include "policy/keeper/keeper_wire.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"
#include "proxy/base/wire.h"
#include "proxy/proc/commands.h"

#define ANSWER_MS   30000			/* for what is in memory or on the disk */
#define RELEASE_MS  (2 * 3600 * 1000)		/* the keeper itself gives up before */
#define LIST_OCTETS ((size_t)512 << 20)
#define TEXT_OCTETS ((size_t)1 << 30)

struct ctl {
	const char *conf, *state_dir;
	bool json, raw;
	int fd;				/* to the keeper */
	pid_t keeper;
	struct keeper_msg answer;
	char bytes[1024];		/* the answer points into them */
	int fds[KEEPER_FDS_MAX];
	size_t nfds;
};

static const struct option ctl_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "state-dir", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "raw", no_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char ctl_help[] =
    "usage: gatepost ctl [-c FILE | --state-dir DIRECTORY] COMMAND\n\n"
    "  status                      what runs, and what is held\n"
    "  reload                      as SIGHUP to the gateway: its log says how it went\n"
    "  quarantine list [--json]    what is held, the oldest first\n"
    "  quarantine show ID [--raw]  why, the envelope and the message; --raw: only the message, as it would be delivered\n"
    "  quarantine release ID       delivers it to its backend and prints what that said; refused, it stays (exit 1)\n"
    "  quarantine delete ID        takes it away, nobody is told\n\n"
    "Talks to the running gateway: as root, or as the user that it runs as.\n";

static int
fail(const char *what)
{
	fprintf(stderr, "gatepost: %s\n", what);
	return 1;
}

static int
connect_to_keeper(struct ctl *c, const char *dir)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = KEEPER_CONTROL };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct err err = { "" };

	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		err_sys(&err, "socket");
	else if (chdir(dir) == -1)	/* so that its path may be longer than a socket's */
		err_sys(&err, "state-dir %s%s", dir, errno == EACCES ? " (become root, or the user that gatepost runs as)" : "");
	else if (connect(c->fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? (c->keeper = peer.pid, 0) : fail("SO_PEERCRED");
	else if (errno == ENOENT || errno == ECONNREFUSED)
		err_set(&err, "no gateway is running with state-dir %s", dir);
	else
		err_sys(&err, "connect to %s/%s%s", dir, KEEPER_CONTROL, errno == EACCES ? " (become root, or the user that gatepost runs as)" : "");
	return fail(err.text);
}

static int
open_keeper(struct ctl *c)
{
	struct err err = { "" };
	struct conf *conf;
	int rc;

	if (c->state_dir != NULL)
		return connect_to_keeper(c, c->state_dir);
	conf = conf_read(c->conf, &err);
	if (conf == NULL)
		return fail(err.text);
	rc = connect_to_keeper(c, conf->state_dir);
	conf_unref(&conf);
	return rc;
}

/* 0 when the keeper says yes. */
static int
ask(struct ctl *c, enum keeper_word word, const char *id, int wait_ms)
{
	struct keeper_msg m = { .word = word, .id = slice_of(id) };
	struct pollfd ready = { .fd = c->fd, .events = POLLIN };
	struct buf b;
	ssize_t n = -1;
	bool sent;

	if (id != NULL && !keeper_id_good(slice_of(id)))
		return fail("that is no id: \"gatepost ctl quarantine list\" has them");
	buf_init(&b, CHAN_MAX);
	sent = keeper_put(&b, &m) && chan_send(c->fd, buf_slice(&b), NULL, 0) == 0;
	buf_free(&b);
	if (sent && poll(&ready, 1, wait_ms) == 0)
		return fail("the keeper does not answer");
	if (sent) {
		c->nfds = KEEPER_FDS_MAX;
		n = chan_recv(c->fd, c->bytes, sizeof(c->bytes), c->fds, &c->nfds);
	}
	if (n <= 0)
		c->nfds = 0;
	if (n <= 0 || !keeper_get((struct slice){ c->bytes, (size_t)n }, KEEPER_TO_CTL, &c->answer))
		return fail("the gateway refused to talk, or its keeper died: become root or the user that it runs as, or try again");
	return c->answer.yes ? 0 : 1;
}

static void
print_escaped(struct slice s)
{
	struct buf b;

	buf_init(&b, TEXT_OCTETS);
	str_escape(&b, s, TEXT_OCTETS);
	fwrite(buf_slice(&b).at, 1, buf_len(&b), stdout);
	buf_free(&b);
}

/* The answer's sentence on stdout or, when it is a no, on stderr. */
static int
print_answer(const struct ctl *c, const char *done)
{
	struct buf b;

	if (c->answer.text.len > 0 || !c->answer.yes) {
		buf_init(&b, 4096);
		str_escape(&b, c->answer.text, 4000);
		fprintf(c->answer.yes ? stdout : stderr, "%s%s\n", c->answer.yes ? "" : "gatepost: ", buf_str(&b));
		buf_free(&b);
	} else {
		printf("%s\n", done);
	}
	return c->answer.yes ? 0 : 1;
}

/* What the answer brought with it; false with a sentence on stderr. */
static bool
read_fd(const struct ctl *c, size_t i, struct buf *b)
{
	struct err err = { "the answer lacks what was asked for" };

	if (i < c->nfds && keeper_read_memfd(c->fds[i], b->max, b, &err) == 0)
		return true;
	fail(err.text);
	return false;
}

static void
date_text(int64_t when, char out[32])
{
	time_t t = (time_t)when;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

static void
list_line(const struct keeper_held *h)
{
	char date[32];

	date_text(h->time, date);
	print_escaped(h->copy.id);
	printf("  %s  %8llu  <", date, (unsigned long long)h->size);
	print_escaped(h->copy.from);
	printf("> ->");
	for (size_t i = 0; i < h->copy.nrcpts && i < 3; i++) {
		printf(" <");
		print_escaped(h->copy.rcpts[i]);
		printf(">");
	}
	if (h->copy.nrcpts > 3)
		printf(" and %zu more", h->copy.nrcpts - 3);
	printf("  ");
	print_escaped(h->copy.why);
	if (h->attempts > 0) {
		printf("  (not released: ");
		print_escaped(h->last);
		printf(")");
	}
	printf("\n");
}

static void
json_word(struct buf *b, const char *key, struct slice value)
{
	buf_printf(b, "\"%s\":", key);
	str_json(b, value);
	buf_putc(b, ',');
}

static void
json_line(const struct keeper_held *h, bool first)
{
	char client[ADDR_TEXT_MAX] = "";
	const struct keeper_copy *c = &h->copy;
	struct buf b;

	if (c->client.len > 0)
		addr_text(&c->client, client);
	buf_init(&b, TEXT_OCTETS);
	buf_puts(&b, first ? "\n{" : ",\n{");
	json_word(&b, "id", c->id);
	buf_printf(&b, "\"time\":%lld,\"size\":%llu,", (long long)h->time, (unsigned long long)h->size);
	json_word(&b, "why", c->why);
	json_word(&b, "verdict", c->verdict);
	json_word(&b, "listener", c->listener);
	json_word(&b, "profile", c->profile);
	json_word(&b, "backend", c->backend);
	json_word(&b, "client", slice_of(client));
	json_word(&b, "helo", c->helo);
	json_word(&b, "user", c->user);
	json_word(&b, "tls", c->tls);
	json_word(&b, "from", c->from);
	buf_puts(&b, "\"to\":[");
	for (size_t i = 0; i < c->nrcpts; i++) {
		buf_puts(&b, i > 0 ? "," : "");
		str_json(&b, c->rcpts[i]);
	}
	buf_printf(&b, "],\"attempts\":%u,\"last\":", h->attempts);
	str_json(&b, h->last);
	buf_puts(&b, "}");
	fwrite(buf_slice(&b).at, 1, buf_len(&b), stdout);
	buf_free(&b);
}

static int
quarantine_list(struct ctl *c, const char *id)
{
	struct wire_in in;
	bool first = true;
	struct buf list;

	(void)id;
	if (ask(c, KEEPER_LIST, NULL, ANSWER_MS) != 0)
		return c->answer.word != 0 ? print_answer(c, "") : 1;
	buf_init(&list, LIST_OCTETS);
	if (!read_fd(c, 0, &list))
		return 1;
	printf("%s", c->json ? "[" : "");
	for (in = wire_open(buf_slice(&list)); in.left.len > 0; first = false) {
		struct keeper_held h = { .time = 0 };

		if (keeper_get_held(wire_bytes(&in), &h) && c->json)
			json_line(&h, first);
		else if (!in.bad)
			list_line(&h);
		keeper_copy_free(&h.copy);
	}
	printf("%s", c->json ? "\n]\n" : first ? "nothing is held\n" : "");
	buf_free(&list);
	return 0;
}

static void
show_word(const char *key, struct slice value)
{
	if (value.len == 0)
		return;
	printf("%-9s ", key);
	print_escaped(value);
	printf("\n");
}

static void
show_envelope(const struct keeper_held *h)
{
	char text[ADDR_TEXT_MAX] = "";

	show_word("id", h->copy.id);
	date_text(h->time, text);
	show_word("held", slice_of(text));
	printf("%-9s %llu\n", "size", (unsigned long long)h->size);
	show_word("why", h->copy.why);
	show_word("verdict", h->copy.verdict);
	show_word("listener", h->copy.listener);
	show_word("profile", h->copy.profile);
	show_word("backend", h->copy.backend);
	text[0] = '\0';
	if (h->copy.client.len > 0)
		addr_text(&h->copy.client, text);
	show_word("client", slice_of(text));
	show_word("helo", h->copy.helo);
	show_word("user", h->copy.user);
	show_word("tls", h->copy.tls);
	show_word("from", h->copy.from.len > 0 ? h->copy.from : SLICE("<>"));
	for (size_t i = 0; i < h->copy.nrcpts; i++)
		show_word("to", h->copy.rcpts[i]);
	if (h->attempts > 0)
		printf("%-9s %u times\n", "released", h->attempts);
	show_word("answer", h->last);
	printf("\n");
}

static int
quarantine_show(struct ctl *c, const char *id)
{
	struct keeper_held h = { .time = 0 };
	struct buf record, message;
	bool good;

	buf_init(&record, KEEPER_RECORD_MAX + CHAN_MAX);
	buf_init(&message, TEXT_OCTETS);
	if (ask(c, KEEPER_SHOW, id, ANSWER_MS) != 0)
		return c->answer.word != 0 ? print_answer(c, "") : 1;
	good = read_fd(c, 0, &record) && read_fd(c, 1, &message);
	if (good && keeper_get_held(buf_slice(&record), &h) && !c->raw)
		show_envelope(&h);
	if (good)
		fwrite(buf_slice(&message).at, 1, buf_len(&message), stdout);
	keeper_copy_free(&h.copy);
	buf_free(&record);
	buf_free(&message);
	return good ? 0 : 1;
}

static int
quarantine_release(struct ctl *c, const char *id)
{
	if (ask(c, KEEPER_DELIVER, id, RELEASE_MS) != 0 && c->answer.word == 0)
		return 1;
	return print_answer(c, "delivered");
}

static int
quarantine_delete(struct ctl *c, const char *id)
{
	if (ask(c, KEEPER_DELETE, id, ANSWER_MS) != 0)
		return c->answer.word != 0 ? print_answer(c, "") : 1;
	printf("deleted\n");
	return 0;
}

/* The parent of who listens, when it is this very program: nobody else is ever sent a signal. 0: none. */
static pid_t
find_master(const struct ctl *c)
{
	char path[64], ours[4096], theirs[4096];
	ssize_t n, m;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)c->keeper);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/exe", parent);
	n = readlink(path, theirs, sizeof(theirs));
	m = readlink("/proc/self/exe", ours, sizeof(ours));
	return parent > 1 && n > 0 && n == m && memcmp(ours, theirs, (size_t)n) == 0 ? parent : 0;
}

static int
status(struct ctl *c, const char *id)
{
	pid_t master = find_master(c);

	(void)id;
	if (ask(c, KEEPER_STATUS, NULL, ANSWER_MS) != 0)
		return c->answer.word != 0 ? print_answer(c, "") : 1;
	if (master != 0)
		printf("master %d\n", (int)master);
	printf("keeper %d\n%.*s\n", (int)c->keeper, (int)c->answer.text.len, c->answer.text.at);
	return 0;
}

static int
reload(struct ctl *c, const char *id)
{
	pid_t master = find_master(c);
	struct err err = { "" };

	(void)id;
	if (master == 0)
		return fail("the gateway's master cannot be told from here: send it SIGHUP (as root, by the same program that runs)");
	if (kill(master, SIGHUP) == -1) {
		err_sys(&err, "signal the gateway's master, process %d (become root)", (int)master);
		return fail(err.text);
	}
	printf("master %d reloads; its log says how it went\n", (int)master);
	return 0;
}

static const struct {
	const char *group, *name;
	bool with_id;
	int (*run)(struct ctl *, const char *id);	/* NULL: planned, and says so */
} orders[] = {
	{ NULL, "status", false, status },
	{ NULL, "reload", false, reload },
	{ NULL, "drain", false, NULL },
	{ "quarantine", "list", false, quarantine_list },
	{ "quarantine", "show", true, quarantine_show },
	{ "quarantine", "release", true, quarantine_release },
	{ "quarantine", "delete", true, quarantine_delete },
};

static int
run_order(struct ctl *c, int n, char **words)
{
	const char *group = n > 1 && strcmp(words[0], "quarantine") == 0 ? words[0] : NULL;
	const char *name = n == 0 ? "" : words[group != NULL];
	int rest = n - 1 - (group != NULL), rc;

	for (size_t i = 0; i < NITEMS(orders); i++) {
		if (strcmp(orders[i].name, name) != 0 || (orders[i].group == NULL) != (group == NULL))
			continue;
		if (orders[i].run == NULL)
			return command_usage("ctl", "drain is not supported yet");
		if (rest != orders[i].with_id)
			return command_usage("ctl", orders[i].with_id ? "one ID is needed" : "too many words");
		if ((rc = open_keeper(c)) != 0)
			return rc;
		return orders[i].run(c, orders[i].with_id ? words[n - 1] : NULL);
	}
	return command_usage("ctl", n == 0 ? "a command is needed" : "there is no such command");
}

int
command_ctl(int argc, char **argv)
{
	struct ctl *c = mem_new(sizeof(*c));
	int o, rc;

	c->conf = COMMANDS_CONF;
	c->fd = -1;
	log_verbosity(LOG_LEVEL_WARN);
	log_name("ctl");
	opterr = 0;
	while ((o = getopt_long(argc, argv, "c:h", ctl_options, NULL)) != -1)
		switch (o) {
		case 'c':
			c->conf = optarg;
			break;
		case 's':
			c->state_dir = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'r':
			c->raw = true;
			break;
		case 'h':
			fputs(ctl_help, stdout);
			free(c);
			return 0;
		default:
			free(c);
			return command_usage("ctl", "an option that is not known, or without its value");
		}
	rc = run_order(c, argc - optind, argv + optind);
	for (size_t i = 0; i < c->nfds; i++)
		close(c->fds[i]);
	if (c->fd != -1)
		close(c->fd);
	free(c);
	return fflush(stdout) == 0 ? rc : fail("the output could not be written");
}
