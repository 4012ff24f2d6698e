#include "policy/keeper/keeper_hints.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define COUNTERS 65536	/* by a key's first two octets */

struct keeper_hints {
	_Atomic uint32_t loaded;
	_Atomic uint16_t counters[HINT_KINDS][COUNTERS];
};

struct keeper_hints *
keeper_hints_new(void)
{
	void *page = mmap(NULL, sizeof(struct keeper_hints), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

static size_t
place(const struct keeper_key *key)
{
	return (size_t)key->bytes[0] << 8 | key->bytes[1];
}

void
keeper_hints_clear(struct keeper_hints *h)
{
	atomic_store(&h->loaded, 0);
	for (size_t kind = 0; kind < HINT_KINDS; kind++)
		for (size_t i = 0; i < COUNTERS; i++)
			atomic_store(&h->counters[kind][i], 0);
}

void
keeper_hints_loaded(struct keeper_hints *h)
{
	atomic_store(&h->loaded, 1);
}

void
keeper_hints_add(struct keeper_hints *h, enum keeper_hint kind, const struct keeper_key *key)
{
	_Atomic uint16_t *counter = &h->counters[kind][place(key)];
	uint16_t n = atomic_load(counter);

	while (n < UINT16_MAX && !atomic_compare_exchange_weak(counter, &n, (uint16_t)(n + 1)))
		continue;
}

void
keeper_hints_drop(struct keeper_hints *h, enum keeper_hint kind, const struct keeper_key *key)
{
	_Atomic uint16_t *counter = &h->counters[kind][place(key)];
	uint16_t n = atomic_load(counter);

	while (n > 0 && n < UINT16_MAX && !atomic_compare_exchange_weak(counter, &n, (uint16_t)(n - 1)))
		continue;
}

bool
keeper_hints_may_know(const struct keeper_hints *h, enum keeper_hint kind, const struct keeper_key *key)
{
	return atomic_load(&h->counters[kind][place(key)]) > 0 || atomic_load(&h->loaded) == 0;
}
