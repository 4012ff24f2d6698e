/* test_memfd.c - truths about proxy/base/memfd.h: what is sealed stays as it is, for whoever has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"

static void
test_sealed(void **state)
{
	static const char *const texts[] = { "", "a", "some octets" };

	(void)state;
	for (size_t i = 0; i < NITEMS(texts); i++) {
		struct slice text = slice_of(texts[i]);
		struct err err = { "" };
		int fd = memfd_of("test", text, &err);
		char got[64];

		if (fd == -1)
			fail_msg("%s", err.text);
		assert_int_equal(pread(fd, got, sizeof(got), 0), text.len);
		assert_memory_equal(got, text.at, text.len);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_true(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
		assert_true(ftruncate(fd, (off_t)text.len + 1) == -1 && errno == EPERM);
		assert_true(text.len == 0 || (ftruncate(fd, 0) == -1 && errno == EPERM));
		assert_true(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == -1 && errno == EPERM);
		close(fd);
	}
}

static void
test_failures(void **state)
{
	char name[300];		/* the kernel takes 249 */
	struct err err = { "" };

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(memfd_of(name, SLICE(""), &err), -1);
	assert_true(strlen(err.text) > 0);
	assert_int_equal(memfd_of(name, SLICE(""), NULL), -1);
	assert_true(memfd_seal(-1) == -1 && errno == EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
