#include "proxy/base/crowd.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "proxy/base/hash.h"

#define COUNTERS 32768u		/* in each half; a power of two */
#define DOOR_MAX 64		/* octets of a door's name that count */

struct row {
	_Atomic uint16_t one[COUNTERS], other[COUNTERS];
};

struct crowd {
	unsigned rows;
	unsigned char key[HASH_KEY_LEN];
	struct row row[];
};

struct crowd *
crowd_new(unsigned rows)
{
	struct crowd *c = mmap(NULL, sizeof(*c) + rows * sizeof(struct row), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	if (getrandom(c->key, sizeof(c->key), 0) != sizeof(c->key)) {
		munmap(c, sizeof(*c) + rows * sizeof(struct row));
		return NULL;
	}
	c->rows = rows;
	return c;
}

void
crowd_clear(struct crowd *c, unsigned row)
{
	for (unsigned i = 0; i < COUNTERS; i++) {
		atomic_store_explicit(&c->row[row].one[i], 0, memory_order_relaxed);
		atomic_store_explicit(&c->row[row].other[i], 0, memory_order_relaxed);
	}
}

static uint64_t
hash_of(const struct crowd *c, struct slice door, const unsigned char *id, size_t len)
{
	char text[8 + DOOR_MAX];

	memcpy(text, id, len);
	door = slice_part(door, 0, DOOR_MAX);
	memcpy(text + len, door.at, door.len);
	return hash_keyed(c->key, (struct slice){ text, len + door.len });
}

/* Of both counters, over all rows, the smaller one. */
static unsigned
count(const struct crowd *c, const struct crowd_place *p)
{
	unsigned one = 0, other = 0;

	for (unsigned i = 0; i < c->rows; i++) {
		one += atomic_load_explicit(&c->row[i].one[p->one], memory_order_relaxed);
		other += atomic_load_explicit(&c->row[i].other[p->other], memory_order_relaxed);
	}
	return one < other ? one : other;
}

bool
crowd_enter(struct crowd *c, unsigned row, struct slice door, const struct addr *a, unsigned max, struct crowd_place *p)
{
	struct row *r = &c->row[row];
	size_t len;
	const unsigned char *id = addr_client(a, &len);
	uint64_t hash;

	*p = (struct crowd_place){ 0 };
	if (max == 0 || len == 0)
		return true;
	hash = hash_of(c, door, id, len);
	p->one = hash % COUNTERS;
	p->other = (hash >> 32) % COUNTERS;
	/* A counter that is full could not be counted down rightly. */
	if (count(c, p) >= max || r->one[p->one] == UINT16_MAX || r->other[p->other] == UINT16_MAX)
		return false;
	atomic_fetch_add_explicit(&r->one[p->one], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&r->other[p->other], 1, memory_order_relaxed);
	p->in = true;
	return true;
}

void
crowd_leave(struct crowd *c, unsigned row, struct crowd_place *p)
{
	if (!p->in)
		return;
	p->in = false;
	atomic_fetch_sub_explicit(&c->row[row].one[p->one], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&c->row[row].other[p->other], 1, memory_order_relaxed);
}
