#include "conf/conf_world.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/mem.h"

#define HOSTNAME_MAX 256

static int
answer(struct conf_answer *a, const char *text)
{
	a->bytes = mem_str(text);
	a->len = strlen(text);
	return 0;
}

/* Reads `size` octets and sees that nothing stands behind them: a file that grows or shrinks
 * under our hands is half of an old one and half of a new one. The room is taken once, so no
 * freed memory keeps a piece of a key. */
static int
read_whole(int fd, size_t size, const char *path, struct conf_answer *a, struct err *err)
{
	ssize_t n;

	a->bytes = mem_new(size + 1);
	while (a->len <= size) {
		n = read(fd, a->bytes + a->len, size + 1 - a->len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(err, "read %s", path);
		if (n == 0)
			break;
		a->len += (size_t)n;
	}
	if (a->len != size)
		return err_set(err, "%s changed while it was read: try again", path);
	return 0;
}

static int
ask_open_file(int fd, const char *path, unsigned max, struct conf_answer *a, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, "fstat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, "%s is not a regular file", path);
	if (st.st_size > max)
		return err_set(err, "%s is larger than %u octets", path, max);
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	return read_whole(fd, (size_t)st.st_size, path, a, err);
}

/* O_NONBLOCK: opening a FIFO must not hold up who reads a configuration. */
static int
ask_file(const char *path, unsigned max, struct conf_answer *a, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	if (fd == -1)
		return err_sys(err, "open %s", path);
	rc = ask_open_file(fd, path, max, a, err);
	close(fd);
	return rc;
}

/* A folder that is not there matches nothing; one that cannot be read might hide something. */
static int
on_glob_error(const char *path, int error)
{
	(void)path;
	errno = error;
	return error != ENOENT && error != ENOTDIR;
}

static int
ask_glob(const char *pattern, struct conf_answer *a, struct err *err)
{
	glob_t found = { 0 };
	size_t at = 0;
	int rc = glob(pattern, 0, on_glob_error, &found);

	if (rc != 0 && rc != GLOB_NOMATCH) {
		err_sys(err, "look for %s", pattern);
		globfree(&found);
		return -1;
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		a->len += strlen(found.gl_pathv[i]) + 1;
	a->bytes = mem_new(a->len + 1);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct slice path = slice_of(found.gl_pathv[i]);

		slice_copy(path, a->bytes + at, a->len - at);
		at += path.len + 1;
	}
	globfree(&found);
	return 0;
}

static int
ask_hostname(struct conf_answer *a, struct err *err)
{
	char name[HOSTNAME_MAX];

	if (gethostname(name, sizeof(name)) == -1)
		return err_sys(err, "gethostname");
	name[sizeof(name) - 1] = '\0';
	return answer(a, name);
}

static int
ask_cores(struct conf_answer *a)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	char text[32];

	snprintf(text, sizeof(text), "%ld", n > 0 ? n : 1);
	return answer(a, text);
}

static int
ask_folder(struct conf_answer *a, struct err *err)
{
	char path[PATH_MAX];

	if (getcwd(path, sizeof(path)) == NULL)
		return err_sys(err, "the working directory cannot be told (name the configuration by its whole path)");
	return answer(a, path);
}

static int
ask_disk(void *arg, enum conf_question ask, const char *about, struct conf_answer *a, struct err *err)
{
	(void)arg;
	switch (ask) {
	case CONF_ASK_FILE:
		return ask_file(about, CONF_FILE_MAX, a, err);
	case CONF_ASK_LIST:
		return ask_file(about, CONF_LIST_MAX, a, err);
	case CONF_ASK_GLOB:
		return ask_glob(about, a, err);
	case CONF_ASK_HOSTNAME:
		return ask_hostname(a, err);
	case CONF_ASK_CORES:
		return ask_cores(a);
	case CONF_ASK_FOLDER:
		return ask_folder(a, err);
	}
	return err_set(err, "an unknown question");
}

const struct conf_world conf_disk = { ask_disk, NULL };

struct conf_answer *
conf_world_ask(const struct conf_world *world, enum conf_question ask, const char *about, struct err *err)
{
	struct conf_answer *a = mem_new(sizeof(*a));

	a->ask = ask;
	a->about = mem_str(about);
	if (world->ask(world->arg, ask, about, a, err) == -1)
		conf_answer_free(&a);
	return a;
}

void
conf_answer_free(struct conf_answer **ap)
{
	struct conf_answer *a = *ap;

	if (a == NULL)
		return;
	if (a->bytes != NULL)
		mem_wipe(a->bytes, a->len);
	free(a->bytes);
	free(a->about);
	free(a);
	*ap = NULL;
}
