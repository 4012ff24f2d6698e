#include "proxy/proc/priv.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/slice.h"
#include "proxy/net/flagged.h"

/* AddressSanitizer's leak check reads /proc and looks at the process through ptrace: it needs both. */
#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static bool
numeric(const char *user, struct priv *p)
{
	struct slice rest = slice_of(user), first = slice_cut(&rest, ':');
	uint64_t uid, gid;

	if (!slice_number(first, &uid) || uid > INT32_MAX)
		return false;
	gid = uid;
	if (rest.len > 0 && (!slice_number(rest, &gid) || gid > INT32_MAX))
		return false;
	p->uid = (uid_t)uid;
	p->gid = (gid_t)gid;
	return true;
}

int
priv_find(const char *user, struct priv *p, struct err *err)
{
	const struct passwd *pw;

	if (geteuid() != 0) {
		p->uid = geteuid();
		p->gid = getegid();
		return 0;
	}
	if (!numeric(user, p)) {
		pw = getpwnam(user);
		if (pw == NULL)
			return err_set(err, "there is no user \"%s\" to run as: adduser --system --group --no-create-home %s", user, user);
		p->uid = pw->pw_uid;
		p->gid = pw->pw_gid;
	}
	if (p->uid == 0 || p->gid == 0)
		return err_set(err, "user \"%s\" is root: name an unprivileged one", user);
	return 0;
}

/* A directory that is removed before it becomes the root holds nothing and takes nothing. */
static int
enter_nowhere(struct err *err)
{
	char dir[] = "/tmp/gatepost-root-XXXXXX";
	int fd;

	if (mkdtemp(dir) == NULL)
		return err_sys(err, "make a directory in /tmp to be an empty root");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rmdir(dir) == -1 || fd == -1 || fchdir(fd) == -1 || chroot(".") == -1)
		return err_sys(err, "change to an empty root");
	close(fd);
	return 0;
}

/* These capabilities of the first 32, and no others. */
static int
keep_capabilities(uint32_t keep, struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { .effective = keep, .permitted = keep } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, data) == -1 ? err_sys(err, "keep no capabilities but %#x", keep) : 0;
}

bool
priv_has_net_raw(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct err err;
	int fd;

	if (syscall(SYS_capget, &head, data) == -1 || (data[0].effective & 1u << CAP_NET_RAW) == 0)
		return false;
	fd = flagged_new(AF_INET, &err);	/* having it elsewhere than in this network's namespace is of no use */
	if (fd != -1)
		close(fd);
	return fd != -1;
}

static int
drop(const struct priv *p, bool empty_root, uint32_t keep, struct err *err)
{
	tzset();
	if (geteuid() == 0) {
		if (empty_root && !sanitized && enter_nowhere(err) == -1)
			return -1;
		prctl(PR_SET_KEEPCAPS, keep != 0);
		if (setgroups(0, NULL) == -1 || setresgid(p->gid, p->gid, p->gid) == -1 || setresuid(p->uid, p->uid, p->uid) == -1)
			return err_sys(err, "become uid %u, gid %u", (unsigned)p->uid, (unsigned)p->gid);
	}
	if (keep_capabilities(keep, err) == -1)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(err, "PR_SET_NO_NEW_PRIVS");
	if (sanitized)
		prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

int
priv_drop(const struct priv *p, bool empty_root, struct err *err)
{
	return drop(p, empty_root, 0, err);
}

int
priv_drop_into(const struct priv *p, const char *dir, struct err *err)
{
	tzset();
	if (chdir(dir) == -1)
		return err_sys(err, "enter %s", dir);
	if (geteuid() == 0 && !sanitized && chroot(".") == -1)
		return err_sys(err, "change the root to %s", dir);
	return drop(p, false, 0, err);
}

int
priv_drop_to_net_raw(const struct priv *p, bool empty_root, struct err *err)
{
	return drop(p, empty_root, 1u << CAP_NET_RAW, err);
}

void
priv_raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}
