/* test_keeper.c - truths about the keeper at work: a real one in a process of its own, killed now and then, and
 * workers' sides that talk to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/keeper/keeper.h"
#include "policy/keeper/keeper_client.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"
#include "proxy/proc/commands.h"

#define PATIENCE 10.0

static struct {
	char dir[64];
	struct keeper_hints *hints;
	struct keeper_limits limits;
	rlim_t file_size;		/* 0: no limit */
	pid_t pid;
	int control;
	struct loop *loop;
	struct keeper *client;
	struct timer patience, tick;
} k;

/* --- a keeper, as master would have it */

static struct {
	struct ev_loop *loop;
	struct ev_io io;
	struct keeper_server *server;
} there;

static void
hear_master(void *owner)
{
	char word;
	int fd;
	size_t nfds = 1;
	ssize_t n;

	(void)owner;
	for (; (n = chan_try_recv(there.io.fd, &word, 1, &fd, &nfds)) == 1; nfds = 1)
		keeper_server_channel(there.server, fd);
	if (n == 0)
		ev_break(there.loop, EVBREAK_ALL);
}

static void
on_control(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)io;
	(void)events;
	hear_master(NULL);
}

static _Noreturn void
be_keeper(int control)
{
	struct err err = { "" };

	there.loop = ev_loop_new(0);
	signal(SIGXFSZ, SIG_IGN);
	if (k.file_size != 0)
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ k.file_size, k.file_size });
	if (chdir(k.dir) == -1 || (there.server = keeper_server_new(there.loop, k.hints, &k.limits, &err)) == NULL) {
		fprintf(stderr, "%s\n", err.text);
		_exit(3);
	}
	ev_io_init(&there.io, on_control, control, EV_READ);
	ev_io_start(there.loop, &there.io);
	keeper_server_master(there.server, hear_master, NULL);
	ev_run(there.loop, 0);
	ev_io_stop(there.loop, &there.io);
	keeper_server_end(&there.server);
	ev_loop_destroy(there.loop);
	_exit(0);
}

static void
give_channel(struct keeper *client)
{
	int ends[2];

	assert_int_equal(chan_pair(ends, NULL), 0);
	assert_int_equal(chan_send(k.control, SLICE("c"), &ends[0], 1), 0);
	close(ends[0]);
	keeper_client_use(client, ends[1]);
}

static void
start(void)
{
	int ends[2];

	keeper_hints_clear(k.hints);
	assert_int_equal(chan_pair(ends, NULL), 0);
	k.pid = fork();
	if (k.pid == 0) {
		dup2(ends[1], 3);
		close_range(4, ~0u, 0);
		be_keeper(3);
	}
	close(ends[1]);
	k.control = ends[0];
	give_channel(k.client);
}

static void
stop(bool kill_it)
{
	int status;

	if (kill_it)
		kill(k.pid, SIGKILL);
	close(k.control);
	assert_int_equal(waitpid(k.pid, &status, 0), k.pid);
	assert_true(kill_it ? WIFSIGNALED(status) : status == 0);
}

static void
out_of_patience(void *owner)
{
	(void)owner;
	fail_msg("nothing came");
}

static void
on_tick(void *owner)
{
	(void)owner;
	loop_stop(k.loop);
}

static void
run(void)
{
	timer_set(&k.patience, PATIENCE);
	loop_run(k.loop);
	timer_stop(&k.patience);
}

static int
setup(void **state)
{
	(void)state;
	log_verbosity(LOG_LEVEL_ERROR);
	memset(&k, 0, sizeof(k));
	snprintf(k.dir, sizeof(k.dir), "/tmp/gp-keeper-XXXXXX");
	if (mkdtemp(k.dir) == NULL)
		return -1;
	k.limits = (struct keeper_limits){ { 1u << 20, 86400 }, 7 };
	k.hints = keeper_hints_new();
	k.loop = loop_new();
	k.client = keeper_client_new(k.loop, k.hints);
	timer_init(&k.patience, k.loop, out_of_patience, NULL);
	timer_init(&k.tick, k.loop, on_tick, NULL);
	start();
	return 0;
}

static void
remove_in(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char name[400];

		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.' && unlink(name) == -1)
			remove_in(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

static int
teardown(void **state)
{
	(void)state;
	keeper_client_free(&k.client);
	loop_free(&k.loop);
	stop(false);
	remove_in(k.dir);
	return 0;
}

/* --- questions, asked and waited for */

struct answer {
	bool come, yes;
	char text[KEEPER_TEXT_MAX + 1];
	size_t nrcpts;
	unsigned count;
};

static void
on_known(void *owner, const struct keeper_commit *c)
{
	struct answer *a = owner;

	a->come = true;
	a->yes = c != NULL;
	if (c != NULL) {
		a->nrcpts = c->nrcpts;
		assert_true(slice_copy(c->reply, a->text, sizeof(a->text)));
	}
	loop_stop(k.loop);
}

static void
on_poison(void *owner, unsigned failures)
{
	*(struct answer *)owner = (struct answer){ .come = true, .count = failures };
	loop_stop(k.loop);
}

static void
on_held(void *owner, const char *id, const char *why_not)
{
	struct answer *a = owner;

	a->come = true;
	a->yes = id != NULL;
	assert_true((id == NULL) != (why_not == NULL));
	snprintf(a->text, sizeof(a->text), "%s", id != NULL ? id : why_not);
	loop_stop(k.loop);
}

static struct keeper_key
key_of(unsigned n)
{
	struct keeper_key key = { { (unsigned char)n, (unsigned char)(n >> 8), 1 } };

	return key;
}

/* It may take its time until it has loaded; then it answers at once. */
static void
wait_for_keeper(void)
{
	struct keeper_key key = key_of(65535);

	for (unsigned i = 0; keeper_hints_may_know(k.hints, HINT_POISON, &key); i++) {
		assert_true(i < 10000);
		usleep(1000);
	}
	timer_set(&k.tick, 0);		/* a loop that stood still believes that it is earlier */
	run();
}

static struct answer
ask(unsigned n)
{
	struct keeper_key key = key_of(n);
	struct answer a = { false };

	keeper_ledger_ask(k.client, &key, on_known, &a);
	assert_false(a.come);		/* never inside the question */
	run();
	assert_true(a.come);
	return a;
}

static bool
commit(struct keeper *client, unsigned n, size_t nrcpts)
{
	static const unsigned char rcpts[3][8] = { "a", "b", "c" };
	struct keeper_key key = key_of(n);

	return keeper_ledger_commit(client, &key, &(struct keeper_commit){ rcpts, nrcpts, SLICE("250 2.0.0 queued") });
}

static void
heard(struct keeper *client, unsigned n)
{
	struct keeper_key key = key_of(n);

	keeper_ledger_heard(client, &key);
}

static int
spool_of(const char *text, size_t times)
{
	struct buf b;
	int fd;

	buf_init(&b, 64u << 20);
	for (size_t i = 0; i < times; i++)
		buf_puts(&b, text);
	fd = memfd_of("gatepost-record", buf_slice(&b), NULL);
	buf_free(&b);
	return fd;
}

static struct keeper_copy
copy_of(const char *id, int spool, uint64_t size)
{
	static const struct slice rcpts[] = { { "bob@example.org", 15 }, { "carl@example.org", 16 } };
	struct keeper_copy c = { .id = slice_of(id), .why = SLICE("score 16.2 of 15"), .verdict = SLICE("quarantine"), .listener = SLICE("mx"),
		.profile = SLICE("default"), .backend = SLICE("store"), .helo = SLICE("mail.example.net"), .from = SLICE("ann@example.net"),
		.rcpts = rcpts, .nrcpts = 2, .envelope = SLICE("\1\2\3"), .headers = SLICE("Received: here\r\n"), .size = size, .spool = spool };

	assert_int_equal(addr_parse(&c.client, "192.0.2.1:25", 0, NULL), 0);
	return c;
}

static struct answer
hold(const char *id, const char *text, size_t times)
{
	int spool = spool_of(text, times);
	struct keeper_copy c = copy_of(id, spool, strlen(text) * times);
	struct answer a = { false };

	keeper_hold(k.client, &c, on_held, &a);
	close(spool);
	assert_false(a.come);
	run();
	assert_true(a.come);
	return a;
}

/* gatepost ctl WORDS, its two outputs in one. */
static pid_t
ctl_begin(const char *words, int *output)
{
	char copy[200], *argv[12] = { "ctl", "--state-dir", k.dir };
	int argc = 3, pair[2], status;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *at = copy; at != NULL && argc < 11; argc++) {
		char *end = strchr(at, ' ');

		argv[argc] = at;
		if (end != NULL)
			*end++ = '\0';
		at = end;
	}
	assert_int_equal(pipe(pair), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], 1);
		dup2(pair[1], 2);
		close_range(3, ~0u, 0);		/* a worker's end of a channel must not live on here */
		status = command_ctl(argc, argv);
		fflush(stdout);
		_exit(status);
	}
	close(pair[1]);
	*output = pair[0];
	return pid;
}

static int
ctl_end(pid_t pid, int output, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int status;

	while (len < size - 1 && (n = read(output, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(output);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("gatepost ctl: status %x: %s", status, out);
	return WEXITSTATUS(status);
}

static int
ctl(char *out, size_t size, const char *words)
{
	int output;
	pid_t pid = ctl_begin(words, &output);

	return ctl_end(pid, output, out, size);
}

static size_t
files_held(void)
{
	char path[100];
	DIR *d;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/quarantine", k.dir);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* --- the ledger */

static void
test_ledger(void **state)
{
	struct keeper_key key = key_of(1);
	struct answer a;

	(void)state;
	assert_false(ask(1).yes);
	assert_false(keeper_ledger_may_know(k.client, &key));	/* it has loaded, as it answers */
	assert_true(commit(k.client, 1, 1));
	assert_true(keeper_ledger_may_know(k.client, &key));
	assert_true(commit(k.client, 1, 3));
	a = ask(1);
	assert_true(a.yes);
	assert_int_equal(a.nrcpts, 3);
	assert_string_equal(a.text, "250 2.0.0 queued");
	heard(k.client, 1);
	assert_false(ask(1).yes);
	assert_false(keeper_ledger_may_know(k.client, &key));	/* two were said, one entry made: nothing is left */
}

static void
test_ledger_off(void **state)
{
	struct keeper_key key = key_of(1);

	(void)state;
	assert_false(ask(1).yes);
	keeper_client_ledger(k.client, false);
	assert_true(commit(k.client, 1, 1));
	assert_false(keeper_ledger_may_know(k.client, &key));
	keeper_client_ledger(k.client, true);
	assert_false(ask(1).yes);
}

/* What a worker said before it died is heard, and heard before another worker's question is answered. */
static void
test_last_words(void **state)
{
	(void)state;
	assert_false(ask(0).yes);
	for (unsigned n = 1; n <= 50; n++) {
		struct keeper *other = keeper_client_new(k.loop, k.hints);
		struct keeper_key key = key_of(n);

		give_channel(other);
		assert_true(commit(other, n, 1));
		keeper_client_free(&other);
		assert_true(keeper_ledger_may_know(k.client, &key));
		assert_true(ask(n).yes);
	}
}

static void
test_ledger_outlives_the_keeper(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 100; n++)
		commit(k.client, n, 2);
	for (unsigned n = 1; n <= 50; n++)
		heard(k.client, n);
	assert_true(ask(100).yes);
	stop(false);			/* writes before it ends */
	keeper_client_free(&k.client);
	k.client = keeper_client_new(k.loop, k.hints);
	start();
	wait_for_keeper();
	for (unsigned n = 1; n <= 100; n++) {
		struct keeper_key key = key_of(n);
		struct answer a = ask(n);

		assert_int_equal(a.yes, n > 50);
		assert_int_equal(a.nrcpts, n > 50 ? 2 : 0);
		assert_int_equal(keeper_ledger_may_know(k.client, &key), n > 50);
		heard(k.client, n);
	}
	assert_false(ask(100).yes);
	stop(false);
	start();
	assert_false(ask(99).yes);
}

/* A keeper is killed at any moment: its successor knows what the workers that live have said, and nothing else. */
static void
test_killed_keeper_and_living_worker(void **state)
{
	(void)state;
	srand(42);
	for (unsigned round = 0; round < 30; round++) {
		unsigned base = round * 20;

		for (unsigned n = base; n < base + 20; n++) {
			commit(k.client, n, 1);
			if (n % 2 == 0)
				heard(k.client, n);
		}
		usleep((useconds_t)(rand() % 5000));
		stop(true);
		start();
		wait_for_keeper();
		for (unsigned n = base; n < base + 20; n++) {
			assert_int_equal(ask(n).yes, n % 2 == 1);
			heard(k.client, n);
		}
	}
}

/* Without a keeper nobody waits for long, and nothing is asked needlessly. */
static void
test_no_keeper(void **state)
{
	struct keeper_key key = key_of(1);
	double before;

	(void)state;
	assert_false(ask(1).yes);
	stop(true);
	before = loop_now(k.loop);
	assert_false(ask(1).yes);
	assert_true(loop_now(k.loop) - before < 2.0);
	assert_false(commit(k.client, 1, 1));
	assert_string_equal(hold("1a", "x", 1).text, "the keeper cannot be told");
	start();				/* and now it is told */
	wait_for_keeper();
	assert_true(ask(1).yes);
	assert_true(keeper_ledger_may_know(k.client, &key));
}

static void
test_poison(void **state)
{
	struct keeper_key key = key_of(1);
	struct answer a;

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		keeper_poison_ask(k.client, &key, on_poison, &a);
		run();
		assert_int_equal(a.count, n);
		assert_int_equal(keeper_poison_may_know(k.client, &key), n > 0);
		keeper_poison_add(k.client, &key);
	}
	stop(false);
	start();
	wait_for_keeper();
	keeper_poison_ask(k.client, &key, on_poison, &a);
	run();
	assert_int_equal(a.count, 4);
}

static void
test_cancel(void **state)
{
	struct keeper_key key = key_of(1);
	struct answer a = { false };
	struct keeper_ticket *t = keeper_ledger_ask(k.client, &key, on_known, &a);

	(void)state;
	keeper_cancel(&t);
	assert_null(t);
	keeper_cancel(&t);
	ask(2);
	assert_false(a.come);
}

/* More at once than a socket holds: nothing is lost or mixed up. */
static void
test_a_crowd(void **state)
{
	unsigned at_once = 0;

	(void)state;
	for (unsigned n = 0; n < 3000; n++)
		at_once += commit(k.client, n, 3);
	assert_true(at_once > 0);
	for (unsigned n = 0; n < 3000; n += 2)
		heard(k.client, n);
	for (unsigned wait = 0; wait < 200 && (!ask(2999).yes || ask(2998).yes); wait++)
		continue;
	for (unsigned n = 2900; n < 3000; n++)
		assert_int_equal(ask(n).yes, n % 2 == 1);
}

/* --- nonsense */

static void
test_broken_workers(void **state)
{
	static const struct slice nonsense[] = { { "\x01", 1 }, { "\x06\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5", 17 }, { "\xff", 1 },
		{ "\x08" "aaaa", 5 } };

	(void)state;
	assert_true(commit(k.client, 1, 1));
	for (size_t i = 0; i < NITEMS(nonsense); i++) {
		int ends[2];
		char end;

		assert_int_equal(chan_pair(ends, NULL), 0);
		assert_int_equal(chan_send(k.control, SLICE("c"), &ends[0], 1), 0);
		close(ends[0]);
		assert_int_equal(chan_send(ends[1], nonsense[i], NULL, 0), 0);
		assert_int_equal(chan_recv(ends[1], &end, 1, NULL, NULL), 0);	/* it was let go */
		close(ends[1]);
		assert_true(ask(1).yes);					/* and nobody else */
	}
}

/* A spool that could change, pieces that are not in it, a size that is not its own. */
static void
test_broken_copies(void **state)
{
	static const struct keeper_piece outside[] = { { 3, 3 } }, over[] = { { 1, UINT64_MAX } };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		int spool = spool_of("hello", 1), unsealed = memfd_create("t", MFD_CLOEXEC);
		struct keeper_copy c = copy_of("1a", spool, 5);
		struct answer a = { false };

		assert_int_equal(pwrite(unsealed, "hello", 5, 0), 5);
		if (i == 0)
			c.spool = unsealed;
		c.pieces = i == 1 ? outside : over;
		c.npieces = i == 1 || i == 2;
		c.size = i == 3 ? 6 : 5;
		keeper_hold(k.client, &c, on_held, &a);
		run();
		assert_false(a.yes);
		close(spool);
		close(unsealed);
		give_channel(k.client);
		assert_int_equal(files_held(), 0);
	}
	assert_true(hold("1a", "hello", 1).yes);
}

/* --- quarantine */


static void
test_hold(void **state)
{
	static const struct keeper_piece pieces[] = { { 0, 7 }, { 15, 6 } };
	int spool = spool_of("To: x\r\nX-Y: z\r\n\r\nhi\r\n", 1);
	struct keeper_copy c = copy_of("1ng4.1", spool, 21);
	struct answer a = { false };
	char out[4000];

	(void)state;
	wait_for_keeper();
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	assert_string_equal(out, "nothing is held\n");
	c.pieces = pieces;
	c.npieces = 2;
	keeper_hold(k.client, &c, on_held, &a);
	close(spool);
	run();
	assert_string_equal(a.text, "1ng4.1");
	assert_string_equal(hold("1ng4.1", "second\r\n", 1).text, "1ng4.1.2");
	assert_string_equal(hold("1ng4.1", "third\r\n", 1).text, "1ng4.1.3");
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
		assert_non_null(strstr(out, "<ann@example.net> -> <bob@example.org> <carl@example.org>  score 16.2 of 15\n1ng4.1.2"));
		assert_int_equal(ctl(out, sizeof(out), "quarantine show --raw 1ng4.1"), 0);
		assert_string_equal(out, "Received: here\r\nTo: x\r\n\r\nhi\r\n");
		assert_int_equal(ctl(out, sizeof(out), "quarantine show 1ng4.1.3"), 0);
		assert_non_null(strstr(out, "verdict   quarantine\n"));
		assert_non_null(strstr(out, "client    192.0.2.1:25\n"));
		assert_non_null(strstr(out, "to        carl@example.org\n\nReceived: here\r\nthird\r\n"));
		assert_int_equal(ctl(out, sizeof(out), "quarantine list --json"), 0);
		assert_non_null(strstr(out, "\"to\":[\"bob@example.org\",\"carl@example.org\"],\"attempts\":0,\"last\":\"\"}"));
		assert_int_equal(ctl(out, sizeof(out), "status"), 0);
		assert_non_null(strstr(out, "generation 7\nworkers 1\nheld 3\nheld-octets 76 of 1048576\n"));
		stop(round == 0);
		start();
		wait_for_keeper();
	}
	assert_int_equal(ctl(out, sizeof(out), "quarantine delete 1ng4.1.2"), 0);
	assert_string_equal(out, "deleted\n");
	assert_int_equal(ctl(out, sizeof(out), "quarantine delete 1ng4.1.2"), 1);
	assert_string_equal(out, "gatepost: no message with this id is held\n");
	assert_int_equal(ctl(out, sizeof(out), "quarantine show ../x"), 1);
	assert_int_equal(files_held(), 2);
	stop(true);
	start();
	wait_for_keeper();
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	assert_null(strstr(out, "1ng4.1.2"));
}

static void
test_ctl_words(void **state)
{
	static const struct { const char *words; int status; const char *says; } rows[] = {
		{ "", 64, "there is no such command" }, { "dance", 64, "there is no such command" }, { "drain", 64, "not supported yet" },
		{ "quarantine", 64, "there is no such command" }, { "quarantine show", 64, "one ID" }, { "quarantine list x", 64, "too many" },
		{ "list", 64, "there is no such command" }, { "--dance", 64, "an option" }, { "--help", 0, "usage: gatepost ctl" },
	};
	char out[4000];

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++) {
		assert_int_equal(ctl(out, sizeof(out), rows[i].words), rows[i].status);
		assert_non_null(strstr(out, rows[i].says));
	}
}

static void
test_full(void **state)
{
	struct answer a;
	char out[4000];

	(void)state;
	assert_true(hold("1a", "0123456789abcde\n", 40000).yes);	/* 640,000 octets */
	a = hold("1b", "0123456789abcde\n", 40000);
	assert_false(a.yes);
	assert_non_null(strstr(a.text, "the quarantine is full (1 messages, 640016 of 1048576 octets)"));
	assert_true(hold("1c", "small\n", 1).yes);
	assert_int_equal(ctl(out, sizeof(out), "quarantine delete 1a"), 0);
	assert_true(hold("1b", "0123456789abcde\n", 40000).yes);
	assert_int_equal(files_held(), 2);
}

/* What is older than it has to be goes, and makes room. */
static void
test_expiry(void **state)
{
	char out[4000];

	(void)state;
	assert_true(hold("1a", "0123456789abcde\n", 40000).yes);
	stop(false);
	k.limits.quarantine.keep = 2;
	start();
	assert_false(hold("1b", "0123456789abcde\n", 60000).yes);
	sleep(3);
	assert_true(hold("1c", "0123456789abcde\n", 60000).yes);
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	assert_null(strstr(out, "1a "));
	assert_non_null(strstr(out, "1c "));
	assert_int_equal(files_held(), 1);
}

/* A disk that takes no more: nothing is held, nothing is left. */
static void
test_no_space(void **state)
{
	struct answer a;

	(void)state;
	stop(false);
	k.file_size = 500000;		/* the store needs some, too */
	start();
	a = hold("1a", "0123456789abcde\n", 40000);
	assert_false(a.yes);
	assert_non_null(strstr(a.text, "write a file in state-dir/quarantine: File too large"));
	assert_int_equal(files_held(), 0);
	assert_true(hold("1a", "small\n", 1).yes);
	assert_int_equal(files_held(), 1);
}

/* What is half written, and what nobody put there, is removed at the start; an entry without its file, too. */
static void
test_tidy(void **state)
{
	static const char *const strays[] = { "1x.msg", "garbage", "x..msg" };
	char path[200], out[4000];

	(void)state;
	assert_true(hold("1a", "hello\n", 1).yes);
	assert_true(hold("1b", "hello\n", 1).yes);
	stop(true);
	for (size_t i = 0; i < NITEMS(strays); i++) {
		snprintf(path, sizeof(path), "%s/quarantine/%s", k.dir, strays[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	snprintf(path, sizeof(path), "%s/quarantine/1a.msg", k.dir);
	unlink(path);
	start();
	assert_true(hold("1c", "hello\n", 1).yes);
	assert_int_equal(files_held(), 2);
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	assert_true(strncmp(out, "1b ", 3) == 0);
}

static unsigned
answered(const struct answer *eight)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += eight[i].come;
	return n;
}

/* Killed at any moment, 120 times: what was said to be held is there, whole, and what is there is whole. */
static void
test_killed_while_it_holds(void **state)
{
	static struct answer answers[400][8];
	static char out[1u << 18];
	unsigned said = 0;
	char id[32];

	(void)state;
	srand(4711);
	memset(answers, 0, sizeof(answers));
	for (unsigned round = 0; round < 120; round++) {
		for (unsigned i = 0; i < 8; i++) {
			int spool = spool_of("0123456789abcde\n", 100);
			struct keeper_copy c;

			snprintf(id, sizeof(id), "%u-%u", round, i);
			c = copy_of(id, spool, 1600);
			keeper_hold(k.client, &c, on_held, &answers[round][i]);
			close(spool);
		}
		if (rand() % 2 == 0)
			run();
		usleep((useconds_t)(rand() % 4000));
		stop(true);
		k.limits.quarantine.octets = 1u << 30;
		start();
		while (answered(answers[round]) < 8)
			run();
	}
	wait_for_keeper();
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	for (unsigned round = 0; round < 120; round++)
		for (unsigned i = 0; i < 8; i++) {
			if (!answers[round][i].yes)
				continue;
			said++;
			snprintf(id, sizeof(id), "\n%u-%u  ", round, i);
			assert_true(strstr(out, id) != NULL || strncmp(out, id + 1, strlen(id) - 1) == 0);
		}
	assert_true(said > 20);
	for (char *line = out, *end; *line != '\0'; line = end + 1) {
		char path[200];
		struct stat st;

		end = strchr(line, '\n');
		assert_non_null(end);
		snprintf(path, sizeof(path), "%s/quarantine/%.*s.msg", k.dir, (int)strcspn(line, " "), line);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 1616);
	}
	print_message("%u of 960 were said to be held, %zu are\n", said, files_held());
}

/* --- release */

static const char *release_reply;	/* NULL: the worker dies of it */
static bool release_good;
static char released_text[200];

static void
on_release(void *owner, const struct keeper_release *r)
{
	char text[100] = "";

	(void)owner;
	assert_true(slice_is(r->backend, "store") && slice_is(r->from, "ann@example.net") && r->nrcpts == 2 && r->headers.len == 0);
	assert_true(slice_is(r->envelope, "\1\2\3") && slice_is(r->rcpts[1], "carl@example.org"));
	assert_true(pread(r->spool, text, sizeof(text) - 1, 0) == (ssize_t)r->size);
	snprintf(released_text, sizeof(released_text), "%.*s:%s", (int)r->id.len, r->id.at, text);
	close(r->spool);
	if (release_reply != NULL)
		keeper_released(k.client, r->number, release_good, release_reply);
	else
		give_channel(k.client);	/* the old one ends */
	loop_stop(k.loop);
}

static int
release(char *out, size_t size, const char *reply, bool good)
{
	int output;
	pid_t pid = ctl_begin("quarantine release 1a", &output);

	release_reply = reply;
	release_good = good;
	run();
	return ctl_end(pid, output, out, size);
}

static void
test_release(void **state)
{
	char out[4000];

	(void)state;
	keeper_on_release(k.client, on_release, NULL);
	assert_true(hold("1a", "hello\n", 1).yes);
	assert_int_equal(release(out, sizeof(out), "550 5.1.1 <bob@example.org>\x1b[2J unknown", false), 1);
	assert_string_equal(out, "gatepost: 550 5.1.1 <bob@example.org>\\x1B[2J unknown\n");
	assert_int_equal(ctl(out, sizeof(out), "quarantine list"), 0);
	assert_non_null(strstr(out, "(not released: 550 5.1.1 <bob@example.org>\\x1B[2J unknown)"));
	stop(false);
	start();
	assert_false(ask(1).yes);
	assert_int_equal(ctl(out, sizeof(out), "quarantine show 1a"), 0);
	assert_non_null(strstr(out, "released  1 times\n"));
	assert_int_equal(release(out, sizeof(out), NULL, false), 1);
	assert_non_null(strstr(out, "outcome unknown"));
	assert_non_null(strstr(out, "still held"));
	assert_int_equal(files_held(), 1);
	assert_int_equal(release(out, sizeof(out), "250 2.0.0 queued", true), 0);
	assert_string_equal(out, "250 2.0.0 queued\n");
	assert_int_equal(files_held(), 0);
	assert_int_equal(ctl(out, sizeof(out), "quarantine release 1a"), 1);
	assert_string_equal(out, "gatepost: no message with this id is held\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ledger),
		TEST(test_ledger_off),
		TEST(test_last_words),
		TEST(test_ledger_outlives_the_keeper),
		TEST(test_killed_keeper_and_living_worker),
		TEST(test_no_keeper),
		TEST(test_poison),
		TEST(test_cancel),
		TEST(test_a_crowd),
		TEST(test_broken_workers),
		TEST(test_broken_copies),
		TEST(test_hold),
		TEST(test_ctl_words),
		TEST(test_full),
		TEST(test_expiry),
		TEST(test_no_space),
		TEST(test_tidy),
		TEST(test_killed_while_it_holds),
		TEST(test_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
