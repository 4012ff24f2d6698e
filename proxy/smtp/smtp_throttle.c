#include "proxy/smtp/smtp_throttle.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "proxy/base/digest.h"

#define BUCKETS    8192
#define WAYS       8		/* entries that a hash may stand in: a cache line */
#define DELAY_MAX  8.0

/* An entry is one word, so that no reader sees half of it and no worker that is killed leaves half of
 * it: 28 bits of the hash, 10 of the count (0: the entry is free), 26 of the second when it began. The
 * highest count stands for trust. */
#define TAG_BITS   28
#define COUNT_BITS 10
#define TIME_BITS  26
#define TRUSTED    ((1u << COUNT_BITS) - 1)
#define COUNT_MAX  (TRUSTED - 1)

struct smtp_throttle {
	unsigned char key[32];
	char apart[32];
	_Atomic uint64_t entries[BUCKETS][WAYS];
};

struct smtp_throttle *
smtp_throttle_new(void)
{
	struct smtp_throttle *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
		smtp_throttle_free(&t);
	return t;
}

void
smtp_throttle_free(struct smtp_throttle **t)
{
	if (*t != NULL)
		munmap(*t, sizeof(**t));
	*t = NULL;
}

static uint64_t
hash(const struct smtp_throttle *t, struct slice what)
{
	unsigned char out[DIGEST_SHA256_LEN];
	uint64_t h;

	digest_hmac_sha256((struct slice){ (const char *)t->key, sizeof(t->key) }, what, out);
	memcpy(&h, out, sizeof(h));
	return h;
}

#define ADDRESS_KEY 9		/* octets: how many of an address, and these */
#define NAME_KEY    255

static void
put_address(const struct addr *a, char key[ADDRESS_KEY])
{
	size_t len;
	const unsigned char *octets = addr_client(a, &len);

	memset(key, 0, ADDRESS_KEY);
	key[0] = (char)len;
	if (len > 0)		/* what has no address is one client */
		memcpy(key + 1, octets, len);
}

static size_t
put_name(struct slice name, char key[NAME_KEY])
{
	size_t n = 0;

	while (n < name.len && n < NAME_KEY) {
		key[n] = (char)ascii_lower((unsigned char)name.at[n]);
		n++;
	}
	return n;
}

uint64_t
smtp_throttle_address(const struct smtp_throttle *t, const struct addr *a)
{
	char key[1 + ADDRESS_KEY] = { 'a' };

	put_address(a, key + 1);
	return hash(t, (struct slice){ key, sizeof(key) });
}

uint64_t
smtp_throttle_user(const struct smtp_throttle *t, struct slice name)
{
	char key[1 + NAME_KEY] = { 'u' };

	return hash(t, (struct slice){ key, 1 + put_name(name, key + 1) });
}

uint64_t
smtp_throttle_both(const struct smtp_throttle *t, const struct addr *a, struct slice name)
{
	char key[1 + ADDRESS_KEY + NAME_KEY] = { 'b' };

	put_address(a, key + 1);
	return hash(t, (struct slice){ key, 1 + ADDRESS_KEY + put_name(name, key + 1 + ADDRESS_KEY) });
}

static uint64_t
entry(uint64_t who, unsigned count, uint64_t began)
{
	return (who >> (64 - TAG_BITS)) << (COUNT_BITS + TIME_BITS) | (uint64_t)count << TIME_BITS | (began & ((1u << TIME_BITS) - 1));
}

static unsigned
count_of(uint64_t e)
{
	return e >> TIME_BITS & TRUSTED;
}

static uint64_t
age_of(uint64_t e, uint64_t now)
{
	return (now - e) & ((1u << TIME_BITS) - 1);
}

static bool
is_fresh(uint64_t e, uint64_t now)
{
	return count_of(e) > 0 && age_of(e, now) < (count_of(e) == TRUSTED ? SMTP_THROTTLE_TRUST : SMTP_THROTTLE_WINDOW);
}

static bool
is_of(uint64_t e, uint64_t who, uint64_t now)
{
	return is_fresh(e, now) && e >> (COUNT_BITS + TIME_BITS) == who >> (64 - TAG_BITS);
}

/* The entry of this one, or else the place where it belongs: one that is free or forgotten, or the oldest. *seen is
 * what stands there now. */
static _Atomic uint64_t *
find(struct smtp_throttle *t, uint64_t who, uint64_t now, uint64_t *seen)
{
	_Atomic uint64_t *bucket = t->entries[who % BUCKETS], *best = NULL;
	uint64_t best_age = 0;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t e = atomic_load(&bucket[i]), age = is_fresh(e, now) ? age_of(e, now) : UINT64_MAX;

		if (is_of(e, who, now)) {
			*seen = e;
			return &bucket[i];
		}
		if (best == NULL || age > best_age) {
			best = &bucket[i];
			best_age = age;
			*seen = e;
		}
	}
	return best;
}

bool
smtp_throttle_take(struct smtp_throttle *t, uint64_t who, unsigned max, uint64_t now, unsigned *booked)
{
	for (;;) {	/* until no other worker was faster */
		uint64_t e, next;
		_Atomic uint64_t *at = find(t, who, now, &e);

		*booked = is_of(e, who, now) ? count_of(e) : 0;
		if (max > 0 && *booked >= max)
			return false;
		next = *booked == 0 ? entry(who, 1, now) : *booked < COUNT_MAX ? e + (1ull << TIME_BITS) : e;
		if (atomic_compare_exchange_strong(at, &e, next)) {
			*booked += *booked < COUNT_MAX;
			return true;
		}
	}
}

void
smtp_throttle_give(struct smtp_throttle *t, uint64_t who, uint64_t now)
{
	for (;;) {
		uint64_t e;
		_Atomic uint64_t *at = find(t, who, now, &e);

		if (!is_of(e, who, now) || atomic_compare_exchange_strong(at, &e, count_of(e) > 1 ? e - (1ull << TIME_BITS) : 0))
			return;
	}
}

void
smtp_throttle_trust(struct smtp_throttle *t, uint64_t both, uint64_t now)
{
	uint64_t e;
	_Atomic uint64_t *at = find(t, both, now, &e);

	/* Another worker that was faster in this place is not pushed out: the next login comes. */
	atomic_compare_exchange_strong(at, &e, entry(both, TRUSTED, now));
}

bool
smtp_throttle_trusts(struct smtp_throttle *t, uint64_t both, uint64_t now)
{
	uint64_t e;

	find(t, both, now, &e);
	return is_of(e, both, now) && count_of(e) == TRUSTED;
}

double
smtp_throttle_delay(unsigned booked)
{
	double delay = 1;

	while (booked-- > 1 && delay < DELAY_MAX)
		delay *= 2;
	return delay;
}
