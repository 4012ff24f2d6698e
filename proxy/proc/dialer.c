#include "proxy/proc/dialer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/title.h"
#include "proxy/net/flagged.h"
#include "proxy/proc/control.h"

#define CHANNELS_MAX 512	/* twice as many as there can be workers: those of the dead go when they are noticed */

struct dialer {
	struct pollfd ends[1 + CHANNELS_MAX];	/* master's, then the workers' */
	nfds_t n;
};

static void
forget(struct dialer *d, nfds_t i)
{
	close(d->ends[i].fd);
	d->ends[i] = d->ends[--d->n];
}

/* False: master is gone. */
static bool
hear_master(struct dialer *d)
{
	struct control_msg msg;
	int got = control_recv(d->ends[0].fd, &msg);

	if (got != 1)
		return got != 0;
	for (size_t i = 0; i < msg.nfds; i++) {
		if (msg.word == CONTROL_DIALER && d->n <= CHANNELS_MAX) {
			fcntl(msg.fds[i], F_SETFL, O_NONBLOCK);
			d->ends[d->n++] = (struct pollfd){ .fd = msg.fds[i], .events = POLLIN };
		} else {
			log_error("control message %d makes no sense", msg.word);
			close(msg.fds[i]);
		}
	}
	return true;
}

/* A worker may ask for one batch at a time and reads what it asked for: whoever does not is let go, and
 * nobody can make this process wait. False: no socket can be made. */
static bool
serve(struct dialer *d, nfds_t i)
{
	int family, fds[FLAGGED_BATCH], channel = d->ends[i].fd, got;
	unsigned count, made = 0;
	struct err err;

	got = flagged_asked(channel, &family, &count);
	if (got == -1 && errno == EAGAIN)
		return true;
	if (got != 1) {
		forget(d, i);
		return true;
	}
	while (made < count && (fds[made] = flagged_new(family, &err)) != -1)
		made++;
	if (made == 0)
		log_error("%s", err.text);
	else if (flagged_answer(channel, family, fds, made) == -1)
		forget(d, i);
	for (unsigned k = 0; k < made; k++)
		close(fds[k]);
	return made > 0;
}

int
dialer_main(int control, const struct priv *priv)
{
	struct dialer d = { .ends = { { .fd = control, .events = POLLIN } }, .n = 1 };
	struct rlimit no_core = { 0, 0 };
	struct err err = { "" };

	title_set("dialer");
	log_name("dialer");
	setrlimit(RLIMIT_CORE, &no_core);
	if (priv_drop_to_net_raw(priv, &err) == -1) {
		log_error("%s", err.text);
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* again: changing the user has cleared it */

	for (;;) {
		if (poll(d.ends, d.n, -1) == -1 && errno != EINTR)
			return 1;
		/* From the end: who is forgotten gives its place to one that was served already. */
		for (nfds_t i = d.n - 1; i > 0; i--)
			if (d.ends[i].revents != 0 && !serve(&d, i))
				return 1;
		if (d.ends[0].revents != 0 && !hear_master(&d))
			return 0;
	}
}
