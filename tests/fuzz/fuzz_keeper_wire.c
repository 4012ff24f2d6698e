/* fuzz_keeper_wire.c - any octets as a word of each side, as a copy, as one that is held: what is taken says
 * the same when it is put again. */
#include <stdlib.h>

#include "policy/keeper/keeper_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_word(struct slice wire, enum keeper_from from, struct buf *b)
{
	struct keeper_msg m;

	if (!keeper_get(wire, from, &m))
		return;
	if (!keeper_put(b, &m) || !slice_same(buf_slice(b), wire))
		abort();
	buf_clear(b);
}

/* An address has more than one spelling: so twice. */
static void
check_held(struct slice wire, struct buf *b)
{
	struct keeper_held h, again;
	struct buf twice;

	buf_init(&twice, KEEPER_RECORD_MAX + CHAN_MAX);
	if (keeper_get_held(wire, &h)) {
		if (!keeper_put_held(b, &h) || !keeper_get_held(buf_slice(b), &again) || !keeper_put_held(&twice, &again) ||
		    !slice_same(buf_slice(b), buf_slice(&twice)))
			abort();
		keeper_copy_free(&again.copy);
	}
	keeper_copy_free(&h.copy);
	buf_clear(b);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct keeper_commit commit;
	struct buf b;

	buf_init(&b, KEEPER_RECORD_MAX + CHAN_MAX);
	for (unsigned from = KEEPER_FROM_WORKER; from <= KEEPER_TO_CTL; from++)
		check_word(slice_part(wire, 0, CHAN_MAX), (enum keeper_from)from, &b);
	check_held(wire, &b);
	if (keeper_get_commit(wire, &commit) && (!keeper_put_commit(&b, &commit) || !slice_same(buf_slice(&b), wire)))
		abort();
	buf_free(&b);
	return 0;
}
