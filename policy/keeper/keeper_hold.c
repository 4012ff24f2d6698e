#include <stdio.h>
#include <unistd.h>

#include "policy/keeper/keeper_int.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define PENDING_MAX        500			/* copies that may wait for the disk; a descriptor each */
#define PENDING_OCTETS_MAX ((uint64_t)256 << 20)	/* a copy that is larger goes alone */
#define WARN_EVERY         60			/* seconds between two lines about a lack of room */

static void
say_held(struct keeper_server *s, uint64_t channel, uint64_t number, const char *id, const char *why_not)
{
	struct keeper_msg m = { .word = id != NULL ? KEEPER_HELD : KEEPER_NOT_HELD, .number = number, .id = slice_of(id), .text = slice_of(why_not) };
	struct channel *c = keeper_find_channel(s, channel);

	if (c == NULL || keeper_say(c->io.fd, &m, NULL, 0) == -1)
		log_warn("held=%s: nobody waits for this any more; the sender may send it again", id != NULL ? id : "none");
}

static void
warn(struct keeper_server *s, const char *why)
{
	int64_t now = keeper_now();

	if (s->warned != 0 && now - s->warned < WARN_EVERY && now >= s->warned)
		return;
	s->warned = now;
	log_warn("messages are not held and their senders hear 451: %s; see gatepost ctl quarantine list, and release or delete "
	    "what is there, or set quarantine-size and quarantine-keep", why);
}

/* How long the file will be; false when the pieces do not lie in the spool. */
static bool
size_of(const struct keeper_copy *c, uint64_t *size)
{
	uint64_t sum = c->npieces == 0 ? c->size : 0;

	for (size_t i = 0; i < c->npieces; i++) {
		if (c->pieces[i].from > c->size || c->pieces[i].len > c->size - c->pieces[i].from)
			return false;
		sum += c->pieces[i].len;	/* at most 100,000 times a memfd's size: no overflow */
	}
	*size = sum + c->headers.len;
	return true;
}

/* The packed copy, checked, as a job to hold it. NULL: nonsense. */
static struct writer_job *
read_copy(const struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	struct writer_job *j = writer_job_new(WRITER_HOLD, NULL);
	struct err err = { "" };
	struct buf b;
	bool good;

	buf_init(&b, KEEPER_RECORD_MAX);
	good = keeper_read_memfd(fds[1], KEEPER_RECORD_MAX, &b, &err) == 0;
	if (good) {
		j->record = mem_slice(buf_slice(&b));
		good = keeper_get_copy((struct slice){ j->record, buf_len(&b) }, &j->copy);
	}
	buf_free(&b);
	close(fds[1]);
	j->copy.spool = fds[0];
	j->copy.size = m->size;
	if (!good || m->size > INT64_MAX / 2 || !keeper_is_sealed(fds[0], m->size) || !size_of(&j->copy, &j->size))
		writer_job_free(&j);
	return j;
}

static struct held *
admit(struct keeper_server *s, struct writer_job *j, struct err *err)
{
	struct held *h;
	struct buf record;

	if (s->pending >= PENDING_MAX || (s->pending > 0 && s->pending_octets + j->size > PENDING_OCTETS_MAX)) {
		err_set(err, "the disk is too slow: %u copies wait for it", s->pending);
		return NULL;
	}
	keeper_expire(s);
	h = quarantine_admit(s->quarantine, &s->limits.quarantine, &j->copy, j->size, keeper_now(), err);
	if (h == NULL)
		return NULL;
	buf_init(&record, KEEPER_RECORD_MAX + CHAN_MAX);
	quarantine_record(h, &record);
	if (!store_batch_put(&j->batch, STORE_QUARANTINE, slice_of(h->id), buf_slice(&record))) {
		err_set(err, "its envelope is too large");
		quarantine_remove(s->quarantine, &h);
	}
	buf_free(&record);
	return h;
}

bool
keeper_take_copy(struct channel *c, const struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	struct keeper_server *s = c->server;
	struct writer_job *j = read_copy(m, fds);
	struct err err = { "" };
	struct held *h;

	if (j == NULL)
		return false;
	if ((h = admit(s, j, &err)) == NULL) {
		warn(s, err.text);
		say_held(s, c->serial, m->number, NULL, err.text);
		writer_job_free(&j);
		return true;
	}
	snprintf(j->id, sizeof(j->id), "%s", h->id);
	j->channel = c->serial;
	j->number = m->number;
	s->pending++;
	s->pending_octets += j->size;
	writer_give(s->writer, j);
	return true;
}

void
keeper_delete_held(struct keeper_server *s, struct held *h, uint64_t ctl, bool delivered)
{
	struct writer_job *j = writer_job_new(WRITER_DELETE, h->id);

	quarantine_leaves(s->quarantine, h);
	j->ctl = ctl;
	j->delivered = delivered;
	store_batch_delete(&j->batch, STORE_QUARANTINE, slice_of(h->id));
	writer_give(s->writer, j);
}

void
keeper_expire(struct keeper_server *s)
{
	struct held *h;

	while ((h = quarantine_expired(s->quarantine, &s->limits.quarantine, keeper_now())) != NULL) {
		log_info("held=%s: deleted, it was held for longer than quarantine-keep", h->id);
		keeper_delete_held(s, h, 0, false);
	}
}

static void
hold_done(struct keeper_server *s, struct writer_job *j)
{
	struct held *h = quarantine_find(s->quarantine, slice_of(j->id));

	s->pending--;
	s->pending_octets -= j->size;
	if (j->failed) {
		warn(s, j->err.text);
		quarantine_remove(s->quarantine, &h);
		say_held(s, j->channel, j->number, NULL, j->err.text);
		return;
	}
	h->state = HELD_STANDING;
	say_held(s, j->channel, j->number, j->id, NULL);
}

static void
delete_done(struct keeper_server *s, struct writer_job *j)
{
	struct held *h = quarantine_find(s->quarantine, slice_of(j->id));
	char said[KEEPER_TEXT_MAX + 1];

	snprintf(said, sizeof(said), "%s", h->last);
	if (j->failed) {
		log_error("held=%s: it cannot be deleted: %s", j->id, j->err.text);
		quarantine_stays(s->quarantine, h);
		keeper_ctl_answer(s, j->ctl, j->delivered, j->delivered ? said : j->err.text, NULL, 0);
		return;
	}
	quarantine_remove(s->quarantine, &h);
	keeper_ctl_answer(s, j->ctl, true, said, NULL, 0);
}

static void
batch_done(struct keeper_server *s, struct writer_job *j)
{
	if (j->failed && !s->flush_failed)
		log_error("the ledger is only in memory: %s", j->err.text);
	s->flush_failed = j->failed;
	if (!j->tables)
		return;
	s->flushing = false;
	keeper_settle_flush(s);
}

void
keeper_job_done(void *server, struct writer_job *j)
{
	struct keeper_server *s = server;

	switch (j->what) {
	case WRITER_BATCH:
		batch_done(s, j);
		break;
	case WRITER_HOLD:
		hold_done(s, j);
		break;
	case WRITER_DELETE:
		delete_done(s, j);
		break;
	case WRITER_LOAD:
		keeper_ctl_loaded(s, j);
		break;
	}
	writer_job_free(&j);
}
