/* test_chan.c - truths about proxy/base/chan.h: messages and descriptors between processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/chan.h"
#include "proxy/base/mem.h"

static size_t
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
test_chan_bytes(void **state)
{
	static const size_t lens[] = { 1, 2, 100, 4096, CHAN_MAX };
	static char out[CHAN_MAX], in[CHAN_MAX];
	size_t before = open_fds();
	struct err err;
	int ends[2];

	(void)state;
	assert_int_equal(chan_pair(ends, &err), 0);
	assert_true((fcntl(ends[0], F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(ends[1], F_GETFD) & FD_CLOEXEC) != 0);
	for (size_t i = 0; i < NITEMS(lens); i++) {
		memset(out, (int)('a' + i), lens[i]);
		assert_int_equal(chan_send(ends[0], (struct slice){ out, lens[i] }, NULL, 0), 0);
	}
	for (size_t i = 0; i < NITEMS(lens); i++) {	/* each arrives whole, and alone */
		assert_int_equal(chan_recv(ends[1], in, sizeof(in), NULL, NULL), (ssize_t)lens[i]);
		memset(out, (int)('a' + i), lens[i]);
		assert_memory_equal(in, out, lens[i]);
	}
	assert_int_equal(chan_send(ends[0], (struct slice){ out, 100 }, NULL, 0), 0);
	errno = 0;
	assert_int_equal(chan_recv(ends[1], in, 99, NULL, NULL), -1);	/* too long: never half a message */
	assert_int_equal(errno, EMSGSIZE);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	assert_int_equal(chan_recv(ends[1], in, sizeof(in), NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(chan_send(ends[0], SLICE("last words"), NULL, 0), 0);
	close(ends[0]);
	assert_int_equal(chan_recv(ends[1], in, sizeof(in), NULL, NULL), 10);	/* they outlive who said them */
	assert_int_equal(chan_recv(ends[1], in, sizeof(in), NULL, NULL), 0);
	errno = 0;
	assert_int_equal(chan_send(ends[1], SLICE("x"), NULL, 0), -1);
	assert_int_equal(errno, EPIPE);
	close(ends[1]);
	assert_int_equal(open_fds(), before);
}

static void
test_chan_full(void **state)
{
	struct err err;
	int ends[2], n = 0;

	(void)state;
	assert_int_equal(chan_pair(ends, &err), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while (n < 100000 && chan_send(ends[0], SLICE("x"), NULL, 0) == 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_in_range(n, 1, 99999);
	close(ends[0]);
	close(ends[1]);
}

static void
test_chan_fds(void **state)
{
	static const struct { size_t sent, room; bool ask, ok; size_t got; } cases[] = {
		{ 0, 4, true, true, 0 },
		{ 1, 4, true, true, 1 },
		{ 4, 4, true, true, 4 },
		{ 5, 4, true, false, 0 },		/* one too many: none is kept open */
		{ 1, 0, true, false, 0 },
		{ CHAN_FDS_MAX, CHAN_FDS_MAX, true, true, CHAN_FDS_MAX },
		{ 3, 0, false, true, 0 },		/* who does not ask gets none, and loses nothing else */
	};
	size_t before = open_fds();

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		int ends[2], out[CHAN_FDS_MAX], in[CHAN_FDS_MAX], file = memfd_create("t", MFD_CLOEXEC);
		size_t n = cases[i].room, while_open;
		struct err err;
		ssize_t len;
		char msg[16];

		assert_int_equal(chan_pair(ends, &err), 0);
		assert_int_equal(pwrite(file, "hello", 5, 0), 5);
		while_open = open_fds();
		for (size_t k = 0; k < cases[i].sent; k++)
			out[k] = file;
		assert_int_equal(chan_send(ends[0], SLICE("msg"), out, cases[i].sent), 0);
		len = chan_recv(ends[1], msg, sizeof(msg), cases[i].ask ? in : NULL, cases[i].ask ? &n : NULL);
		assert_int_equal(len, cases[i].ok ? 3 : -1);
		if (!cases[i].ok)
			assert_int_equal(errno, EMSGSIZE);
		if (cases[i].ask)
			assert_int_equal(n, cases[i].got);
		assert_int_equal(open_fds(), while_open + cases[i].got);
		for (size_t k = 0; k < cases[i].got; k++) {
			assert_int_equal(pread(in[k], msg, 5, 0), 5);
			assert_memory_equal(msg, "hello", 5);
			assert_true((fcntl(in[k], F_GETFD) & FD_CLOEXEC) != 0);
			close(in[k]);
		}
		close(file);
		close(ends[0]);
		close(ends[1]);
	}
	assert_int_equal(open_fds(), before);
}

/* A message that is too long takes its descriptors down with it. */
static void
test_chan_long_with_fds(void **state)
{
	int ends[2], in[4], file = memfd_create("t", MFD_CLOEXEC), many[CHAN_FDS_MAX + 1] = { 0 };
	size_t n = 4, before;
	struct err err;
	char msg[2];

	(void)state;
	assert_int_equal(chan_pair(ends, &err), 0);
	before = open_fds();
	assert_int_equal(chan_send(ends[0], SLICE("msg"), &file, 1), 0);
	errno = 0;
	assert_int_equal(chan_recv(ends[1], msg, sizeof(msg), in, &n), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
	assert_int_equal(chan_send(ends[0], SLICE("msg"), many, NITEMS(many)), -1);
	assert_int_equal(errno, EMSGSIZE);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chan_bytes),
		cmocka_unit_test(test_chan_full),
		cmocka_unit_test(test_chan_fds),
		cmocka_unit_test(test_chan_long_with_fds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
