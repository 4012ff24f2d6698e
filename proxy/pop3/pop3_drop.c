#include "proxy/pop3/pop3_drop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

int
pop3_drop_add(struct pop3_drop *d, const struct pop3_listed *l, struct err *err)
{
	struct pop3_mail *m;

	if (l->uid == 0)
		return err_set(err, "a message without a UID");
	if (d->nmails == POP3_DROP_MAX)
		return err_set(err, "more than %d messages", POP3_DROP_MAX);
	m = mem_push(&d->mails, &d->nmails, sizeof(*m));
	m->seq = l->seq;
	m->uid = l->uid;
	m->size = l->size;
	m->seen = l->seen;
	m->hidden = l->deleted;
	m->has_size = l->has_size;
	m->has_flags = l->has_flags;
	return 0;
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t one = ((const struct pop3_mail *)a)->uid, other = ((const struct pop3_mail *)b)->uid;

	return (one > other) - (one < other);
}

/* Two responses about one message: one says what the other left away, or another client has changed its
 * flags meanwhile. Two sizes are two messages. */
static int
join(struct pop3_mail *m, const struct pop3_mail *other, struct err *err)
{
	if (m->seq != other->seq || (m->has_size && other->has_size))
		return err_set(err, "the server gave UID %u to two messages", m->uid);
	if (other->has_size)
		m->size = other->size;
	m->has_size |= other->has_size;
	m->has_flags |= other->has_flags;
	m->seen |= other->seen;
	m->hidden |= other->hidden;
	return 0;
}

int
pop3_drop_finish(struct pop3_drop *d, struct err *err)
{
	size_t n = 0, shown = 0;

	if (d->nmails > 1)
		qsort(d->mails, d->nmails, sizeof(*d->mails), by_uid);
	for (size_t i = 0; i < d->nmails; i++) {
		if (n > 0 && d->mails[n - 1].uid == d->mails[i].uid) {
			if (join(&d->mails[n - 1], &d->mails[i], err) == -1)
				return -1;
		} else {
			d->mails[n++] = d->mails[i];
		}
	}
	if (n + d->expunged < d->exists)
		return err_set(err, "the server listed %zu of %u messages", n, d->exists);
	for (size_t i = 0; i < n; i++) {
		if (!d->mails[i].has_size || !d->mails[i].has_flags)
			return err_set(err, "the server left size or flags of UID %u away", d->mails[i].uid);
		if (!d->mails[i].hidden)
			d->mails[shown++] = d->mails[i];
	}
	d->nmails = shown;
	return 0;
}

void
pop3_drop_expunged(struct pop3_drop *d, uint32_t seq, bool behind)
{
	if (!behind)
		d->expunged++;
	else if (d->ngone < POP3_DROP_MAX)
		*(uint32_t *)mem_push(&d->gone, &d->ngone, sizeof(*d->gone)) = seq;
}

/* Each EXPUNGE moves the sequence numbers above it down by one (RFC 3501 section 7.4.1). Followed through
 * for the one message that is asked about, so that no flood of them costs more than its length. */
bool
pop3_drop_is_gone(const struct pop3_drop *d, const struct pop3_mail *m)
{
	uint32_t seq = m->seq;

	for (size_t i = 0; i < d->ngone && !m->vanished; i++) {
		if (d->gone[i] == seq)
			return true;
		seq -= d->gone[i] < seq;
	}
	return m->vanished;
}

void
pop3_drop_free(struct pop3_drop *d)
{
	free(d->gone);
	free(d->mails);
	memset(d, 0, sizeof(*d));
}

struct pop3_mail *
pop3_drop_mail(struct pop3_drop *d, uint64_t n)
{
	if (n == 0 || n > d->nmails || d->mails[n - 1].deleted)
		return NULL;
	return &d->mails[n - 1];
}

const struct pop3_mail *
pop3_drop_uid(const struct pop3_drop *d, uint32_t uid)
{
	const struct pop3_mail key = { .uid = uid };

	return d->nmails > 0 ? bsearch(&key, d->mails, d->nmails, sizeof(key), by_uid) : NULL;
}

void
pop3_drop_count(const struct pop3_drop *d, uint64_t *mails, uint64_t *octets)
{
	*mails = *octets = 0;
	for (size_t i = 0; i < d->nmails; i++)
		if (!d->mails[i].deleted) {
			++*mails;
			*octets += d->mails[i].size;
		}
}

void
pop3_drop_reset(struct pop3_drop *d)
{
	for (size_t i = 0; i < d->nmails; i++)
		d->mails[i].deleted = d->mails[i].read = false;
}

void
pop3_drop_uidl(const struct pop3_drop *d, const struct pop3_mail *m, char out[24])
{
	snprintf(out, 24, "%08x%08x", m->uid, d->uidvalidity);
}

void
pop3_drop_set(const struct pop3_drop *d, bool (*want)(const struct pop3_mail *), size_t *from, struct buf *out)
{
	while (*from < d->nmails) {
		size_t first = *from, last;
		const char *comma = buf_len(out) > 0 ? "," : "";
		bool fits;

		if (!want(&d->mails[first])) {
			++*from;
			continue;
		}
		for (last = first; last + 1 < d->nmails && want(&d->mails[last + 1]) && d->mails[last + 1].uid == d->mails[last].uid + 1;)
			last++;
		fits = last > first ? buf_printf(out, "%s%u:%u", comma, d->mails[first].uid, d->mails[last].uid) :
				      buf_printf(out, "%s%u", comma, d->mails[first].uid);
		if (!fits)
			return;
		*from = last + 1;
	}
}
