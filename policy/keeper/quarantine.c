#include "policy/keeper/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define BUCKETS    4096
#define COPIES_MAX 1000		/* of one message: ID, ID.2, ... */

struct quarantine {
	LIST_HEAD(bucket, held) buckets[BUCKETS];
	TAILQ_HEAD(held_list, held) ages;	/* the oldest first */
	size_t n;
	uint64_t octets;
};

struct quarantine *
quarantine_new(void)
{
	struct quarantine *q = mem_new(sizeof(*q));

	TAILQ_INIT(&q->ages);
	return q;
}

/* FNV-1a: ids are our own. */
static unsigned
bucket_of(struct slice id)
{
	uint32_t n = 2166136261u;

	for (size_t i = 0; i < id.len; i++)
		n = (n ^ (unsigned char)id.at[i]) * 16777619u;
	return n % BUCKETS;
}

struct held *
quarantine_find(const struct quarantine *q, struct slice id)
{
	struct held *h;

	LIST_FOREACH(h, &q->buckets[bucket_of(id)], bucket)
		if (slice_is(id, h->id))
			return h;
	return NULL;
}

static void
insert(struct quarantine *q, struct held *h)
{
	struct held *before = TAILQ_LAST(&q->ages, held_list);

	while (before != NULL && before->time > h->time)
		before = TAILQ_PREV(before, held_list, age);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&q->ages, before, h, age);
	else
		TAILQ_INSERT_HEAD(&q->ages, h, age);
	LIST_INSERT_HEAD(&q->buckets[bucket_of(slice_of(h->id))], h, bucket);
	q->n++;
	q->octets += h->size;
}

void
quarantine_remove(struct quarantine *q, struct held **hp)
{
	struct held *h = *hp;

	TAILQ_REMOVE(&q->ages, h, age);
	LIST_REMOVE(h, bucket);
	q->n--;
	if (h->state != HELD_LEAVING)
		q->octets -= h->size;
	free(h->copy);
	free(h);
	*hp = NULL;
}

void
quarantine_free(struct quarantine **qp)
{
	struct quarantine *q = *qp;
	struct held *h;

	if (q == NULL)
		return;
	while ((h = TAILQ_FIRST(&q->ages)) != NULL)
		quarantine_remove(q, &h);
	free(q);
	*qp = NULL;
}

static void
keep_text(char out[KEEPER_TEXT_MAX + 1], struct slice text)
{
	if (!slice_copy(slice_part(text, 0, KEEPER_TEXT_MAX), out, KEEPER_TEXT_MAX + 1))
		out[0] = '\0';
}

/* The copy without what the file holds. It was read from a record not larger than KEEPER_RECORD_MAX and fits. */
static void
keep_copy(struct held *h, const struct keeper_copy *c)
{
	struct keeper_copy lean = *c;
	struct buf b;

	lean.id = slice_of(h->id);
	lean.headers = SLICE("");
	lean.npieces = 0;
	buf_init(&b, KEEPER_RECORD_MAX + 64);
	keeper_put_copy(&b, &lean);
	h->copy_len = buf_len(&b);
	h->copy = mem_slice(buf_slice(&b));
	buf_free(&b);
}

static void
load_one(void *owner, struct slice key, struct slice value)
{
	struct quarantine *q = owner;
	struct keeper_held kept;
	struct held *h;

	if (keeper_get_held(value, &kept) && slice_same(key, kept.copy.id)) {
		h = mem_new(sizeof(*h));
		slice_copy(key, h->id, sizeof(h->id));
		h->state = HELD_STANDING;
		h->time = kept.time;
		h->size = kept.size;
		h->attempts = kept.attempts;
		keep_text(h->last, kept.last);
		keep_copy(h, &kept.copy);
		insert(q, h);
	} else {
		log_error("a record of the quarantine cannot be read and is left away");
	}
	keeper_copy_free(&kept.copy);
}

int
quarantine_load(struct quarantine *q, struct store *store, struct err *err)
{
	return store_read(store, STORE_QUARANTINE, load_one, q, err);
}

static bool
find_id(const struct quarantine *q, struct slice id, char out[KEEPER_ID_MAX + 1])
{
	if (!slice_copy(id, out, KEEPER_ID_MAX + 1))
		return false;
	for (unsigned i = 2; quarantine_find(q, slice_of(out)) != NULL; i++)
		if (i > COPIES_MAX || snprintf(out, KEEPER_ID_MAX + 1, "%.*s.%u", (int)id.len, id.at, i) > KEEPER_ID_MAX)
			return false;
	return true;
}

struct held *
quarantine_admit(struct quarantine *q, const struct quarantine_limits *limits, const struct keeper_copy *c, uint64_t size, int64_t now,
    struct err *err)
{
	struct held *h;
	char id[KEEPER_ID_MAX + 1];

	if (q->n >= QUARANTINE_MAX || size > limits->octets || q->octets > limits->octets - size) {
		err_set(err, "the quarantine is full (%zu messages, %llu of %llu octets)", q->n, (unsigned long long)q->octets,
		    (unsigned long long)limits->octets);
		return NULL;
	}
	if (!find_id(q, c->id, id)) {
		err_set(err, "too many copies of message %.*s are held", (int)c->id.len, c->id.at);
		return NULL;
	}
	h = mem_new(sizeof(*h));
	memcpy(h->id, id, sizeof(h->id));
	h->state = HELD_WRITING;
	h->time = now;
	h->size = size;
	keep_copy(h, c);
	insert(q, h);
	return h;
}

struct held *
quarantine_expired(const struct quarantine *q, const struct quarantine_limits *limits, int64_t now)
{
	struct held *h;

	for (h = TAILQ_FIRST(&q->ages); h != NULL; h = TAILQ_NEXT(h, age)) {
		if (now - h->time < limits->keep)
			return NULL;
		if (h->state == HELD_STANDING)
			return h;
	}
	return NULL;
}

struct held *
quarantine_first(const struct quarantine *q)
{
	return TAILQ_FIRST(&q->ages);
}

/* The writer does things in order: the room that this one leaves is there when the next one is written. */
void
quarantine_leaves(struct quarantine *q, struct held *h)
{
	h->state = HELD_LEAVING;
	q->octets -= h->size;
}

void
quarantine_stays(struct quarantine *q, struct held *h)
{
	h->state = HELD_STANDING;
	q->octets += h->size;
}

void
quarantine_failed(struct held *h, struct slice reply)
{
	h->state = HELD_STANDING;
	h->attempts++;
	keep_text(h->last, reply);
}

void
quarantine_record(const struct held *h, struct buf *b)
{
	struct keeper_held kept = { .time = h->time, .size = h->size, .attempts = h->attempts, .last = slice_of(h->last) };

	keeper_get_copy((struct slice){ h->copy, h->copy_len }, &kept.copy);
	keeper_put_held(b, &kept);
	keeper_copy_free(&kept.copy);
}

size_t
quarantine_count(const struct quarantine *q)
{
	return q->n;
}

uint64_t
quarantine_octets(const struct quarantine *q)
{
	return q->octets;
}
