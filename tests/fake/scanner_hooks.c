/* A scanner that misbehaves when a message asks it to, by a field "X-Test-Scanner: WORD". Linked
 * into gatepost-hooks (Makefile) in front of the real scanner_judge(); never into gatepost. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filters/scanner.h"
#include "proxy/base/mem.h"

#define LOOK 4096	/* octets of a message in which the field must stand */

void __real_scanner_judge(struct stages *, const struct scan_job *, unsigned slot, int spool, int channel);
void __wrap_scanner_judge(struct stages *, const struct scan_job *, unsigned slot, int spool, int channel);

static void
send_word(int channel, struct buf *b)
{
	chan_send(channel, buf_slice(b), NULL, 0);
	buf_clear(b);
}

static void
send_taken(const struct scan_job *job, unsigned slot, int channel)
{
	struct buf b;

	buf_init(&b, CHAN_MAX);
	scan_put_taken(&b, job->number, slot);
	send_word(channel, &b);
	buf_free(&b);
}

/* Not an exit: a scanner that is killed by libclamav's faults says nothing either. */
static void
die(void)
{
	raise(SIGKILL);
}

static void
hang(void)
{
	for (;;)
		pause();
}

static void
answer_nonsense(int channel)
{
	struct buf b;

	buf_init(&b, CHAN_MAX);
	buf_puts(&b, "\x02this is no answer, whatever it begins with");
	send_word(channel, &b);
	buf_free(&b);
}

/* More than CHAN_MAX, and the beginning would be a good answer. */
static void
answer_too_much(const struct scan_job *job, int channel)
{
	struct findings *clean = mem_new(sizeof(*clean));
	struct buf b;

	buf_init(&b, 2 * CHAN_MAX);
	scan_put_findings(&b, job->number, clean);
	while (buf_room(&b) > 0)
		buf_putc(&b, '\0');
	send_word(channel, &b);
	buf_free(&b);
	free(clean);
}

/* Good findings, with descriptors that nobody asked for. */
static void
push_descriptors(const struct scan_job *job, int channel)
{
	struct findings *clean = mem_new(sizeof(*clean));
	int fds[CHAN_FDS_MAX];
	struct buf b;

	for (size_t i = 0; i < NITEMS(fds); i++)
		fds[i] = channel;
	buf_init(&b, CHAN_MAX);
	scan_put_findings(&b, job->number, clean);
	chan_send(channel, buf_slice(&b), fds, NITEMS(fds));
	buf_free(&b);
	free(clean);
}

/* The word behind X-Test-Scanner:, or the empty string. */
static void
read_word(int spool, char *word, size_t size)
{
	static const char field[] = "X-Test-Scanner: ";
	char text[LOOK + 1];
	ssize_t n = pread(spool, text, LOOK, 0);
	const char *at;

	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, field);
	word[0] = '\0';
	if (at != NULL)
		slice_copy((struct slice){ at + strlen(field), strcspn(at + strlen(field), "\r\n") }, word, size);
}

void
__wrap_scanner_judge(struct stages *stages, const struct scan_job *job, unsigned slot, int spool, int channel)
{
	char word[32];

	read_word(spool, word, sizeof(word));
	if (strcmp(word, "die-early") == 0)
		die();
	if (strcmp(word, "seek") == 0)		/* the offset is shared with the worker: it must not rely on it */
		lseek(spool, 0, SEEK_END);
	if (word[0] == '\0' || strcmp(word, "seek") == 0) {
		__real_scanner_judge(stages, job, slot, spool, channel);
		return;
	}
	send_taken(job, slot, channel);
	if (strcmp(word, "die") == 0)
		die();
	else if (strcmp(word, "hang") == 0)
		hang();
	else if (strcmp(word, "nonsense") == 0)
		answer_nonsense(channel);
	else if (strcmp(word, "oversize") == 0)
		answer_too_much(job, channel);
	else if (strcmp(word, "fdpush") == 0)
		push_descriptors(job, channel);
	/* "eof": nothing more; the channel is closed when we return. */
}
