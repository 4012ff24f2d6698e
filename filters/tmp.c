#include "filters/tmp.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

#define PATH_MAX_HERE 4096
#define OPEN_AT_ONCE  16	/* descriptors that a walk through a tree may hold */
#define STALE_AFTER   60	/* seconds; a younger one may not be locked yet */
#define NAME          "gatepost-XXXXXX"

static char *
path_of(const char *dir, const char *name)
{
	struct buf path;
	char *copy;

	buf_init(&path, PATH_MAX_HERE);
	buf_printf(&path, "%s/%s", dir, name);
	copy = mem_str(buf_str(&path));
	buf_free(&path);
	return copy;
}

char *
tmp_make(const char *parent, struct err *err)
{
	char *dir = path_of(parent, NAME);
	int fd;

	if (mkdtemp(dir) != NULL) {
		/* Never closed: the lock says that somebody lives who needs it. */
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1)
			flock(fd, LOCK_SH | LOCK_NB);
		return dir;
	}
	err_sys(err, "make a temporary directory in %s (see tmp-dir)", parent);
	free(dir);
	return NULL;
}

char *
tmp_below(const char *dir, unsigned number)
{
	char name[24];

	snprintf(name, sizeof(name), "%u", number);
	return path_of(dir, name);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void
tmp_remove(const char *dir)
{
	if (dir != NULL)
		nftw(dir, remove_one, OPEN_AT_ONCE, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static bool
is_stale(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool stale;

	if (fd == -1)
		return false;
	stale = fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_mtime + STALE_AFTER < time(NULL) &&
		flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return stale;
}

void
tmp_sweep(const char *parent)
{
	DIR *all = opendir(parent);
	struct dirent *one;

	while (all != NULL && (one = readdir(all)) != NULL) {
		char *dir;

		if (strlen(one->d_name) != strlen(NAME) || strncmp(one->d_name, NAME, strlen("gatepost-")) != 0)
			continue;
		dir = path_of(parent, one->d_name);
		if (is_stale(dir))
			tmp_remove(dir);
		free(dir);
	}
	if (all != NULL)
		closedir(all);
}
