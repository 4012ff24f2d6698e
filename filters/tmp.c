#include "filters/tmp.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

#define PATH_MAX_HERE 4096
#define OPEN_AT_ONCE  16	/* descriptors that a walk through a tree may hold */

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
	char *dir = path_of(parent, "gatepost-XXXXXX");

	if (mkdtemp(dir) != NULL)
		return dir;
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
