#include "proxy/base/log.h"


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/str.h"

#define VALUE_MAX 256

static struct {
	enum log_kind kind;
	int fd;
	bool is_socket, waits, own;		/* waits: the descriptor may block, so it is asked first */
	enum log_level max;
	char role[32];
	uint64_t lost, told;
} out = { .fd = STDERR_FILENO, .waits = true, .max = LOG_LEVEL_INFO };

/* stderr's open file description is shared with whoever started us; O_NONBLOCK set on it would
 * be set for the shell as well. Opened anew it is ours alone. */
static int
reopen_stderr(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	return fd != -1 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static int
open_syslog(struct err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return err_sys(err, "socket for syslog");
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1) {
		err_sys(err, "connect to syslog at /dev/log (is a syslog daemon running? otherwise set log stderr)");
		close(fd);
		return -1;
	}
	return fd;
}

int
log_open(enum log_kind kind, const char *path, struct err *err)
{
	int fd;

	switch (kind) {
	case LOG_TO_SYSLOG:
		return open_syslog(err);
	case LOG_TO_FILE:
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
		return fd != -1 ? fd : err_sys(err, "open log file %s", path);
	case LOG_TO_STDERR:
		break;
	}
	fd = reopen_stderr();
	return fd != -1 ? fd : err_sys(err, "open stderr for the log");
}

void
log_use(enum log_kind kind, int fd)
{
	struct stat st;

	if (out.own && out.fd != fd)
		close(out.fd);
	out.kind = kind;
	out.fd = fd;
	out.own = true;
	out.is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	out.waits = (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

int
log_fd(void)
{
	return out.fd;
}

void
log_name(const char *role)
{
	snprintf(out.role, sizeof(out.role), "%s", role);
}

void
log_verbosity(enum log_level max)
{
	out.max = max;
}

static bool
write_out(const char *line, size_t len)
{
	struct pollfd ready = { .fd = out.fd, .events = POLLOUT };
	ssize_t n;

	do {
		if (out.is_socket)
			n = send(out.fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (!out.waits || poll(&ready, 1, 0) == 1)
			n = write(out.fd, line, len);
		else
			return false;
	} while (n == -1 && errno == EINTR);
	return n == (ssize_t)len;
}

static const struct { const char *word; int syslog; } levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_MAIL | LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning", LOG_MAIL | LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_MAIL | LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_MAIL | LOG_DEBUG },
};

static size_t
line_head(char *at, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out.kind == LOG_TO_SYSLOG) {
		localtime_r(&now.tv_sec, &tm);
		len = (size_t)snprintf(at, size, "<%d>", levels[level].syslog);
		len += strftime(at + len, size - len, "%b %e %H:%M:%S ", &tm);
		return len + (size_t)snprintf(at + len, size - len, "gatepost[%d]: %s: ", (int)getpid(), out.role);
	}
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(at, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return len + (size_t)snprintf(at + len, size - len, ".%03ldZ gatepost[%d] %s %s: ",
	    now.tv_nsec / 1000000, (int)getpid(), levels[level].word, out.role);
}

static bool
write_line(enum log_level level, struct slice text)
{
	char line[LOG_LINE_MAX + 200];
	size_t len = line_head(line, sizeof(line), level);

	if (text.len > LOG_LINE_MAX)
		text.len = LOG_LINE_MAX;
	memcpy(line + len, text.at, text.len);
	len += text.len;
	if (out.kind != LOG_TO_SYSLOG)
		line[len++] = '\n';
	return write_out(line, len);
}

void
log_line(enum log_level level, struct slice text)
{
	char said[80];
	int len;

	if (level > out.max)
		return;
	if (out.lost != out.told) {
		len = snprintf(said, sizeof(said), "%llu log lines lost", (unsigned long long)(out.lost - out.told));
		if (write_line(LOG_LEVEL_WARN, (struct slice){ said, (size_t)len }))
			out.told = out.lost;
	}
	if (!write_line(level, text))
		out.lost++;
}

static void __attribute__((format(printf, 2, 0)))
log_args(enum log_level level, const char *fmt, va_list args)
{
	char text[LOG_LINE_MAX];
	int len;

	if (level > out.max)
		return;
	len = vsnprintf(text, sizeof(text), fmt, args);
	if (len < 0)
		return;
	log_line(level, (struct slice){ text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1 });
}

#define LOG_AT(name, level)                                                                        \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, fmt);                                                               \
		log_args(level, fmt, args);                                                        \
		va_end(args);                                                                      \
	}

LOG_AT(log_error, LOG_LEVEL_ERROR)
LOG_AT(log_warn, LOG_LEVEL_WARN)
LOG_AT(log_info, LOG_LEVEL_INFO)
LOG_AT(log_debug, LOG_LEVEL_DEBUG)

void
log_word(struct buf *line, const char *key, struct slice value)
{
	bool quote = value.len == 0 || slice_has(value, ' ') || slice_has(value, '"') || slice_has(value, '\t');

	if (buf_len(line) > 0)
		buf_putc(line, ' ');
	buf_printf(line, quote ? "%s=\"" : "%s=", key);
	str_escape(line, value, VALUE_MAX);
	if (quote)
		buf_putc(line, '"');
}

void
log_wordf(struct buf *line, const char *key, const char *fmt, ...)
{
	char value[LOG_LINE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	log_word(line, key, slice_of(value));
}
