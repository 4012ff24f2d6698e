/* fuzz_scan_wire.c - any octets as a job, as a scanner's word, as an order to kill: what is taken says
 * the same when it is put again. */
#include <stdlib.h>
#include <string.h>

#include "filters/scan_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_same(struct buf *again, struct slice wire)
{
	if (!slice_same(buf_slice(again), wire))
		abort();
	buf_clear(again);
}

/* An address has more than one spelling, and true more than one octet: so twice. */
static void
check_job(struct slice wire, struct buf *b)
{
	static struct scan_job job, again;
	struct buf twice;

	if (!scan_get_job(wire, &job))
		return;
	buf_init(&twice, CHAN_MAX + ADDR_TEXT_MAX);
	if (!scan_put_job(b, job.number, job.size, &job.facts) || !scan_get_job(buf_slice(b), &again) ||
	    !scan_put_job(&twice, again.number, again.size, &again.facts))
		abort();
	check_same(&twice, buf_slice(b));
	buf_clear(b);
}

static void
check_word(struct slice wire, struct buf *b)
{
	static struct findings f;
	struct err trouble = { "" };
	unsigned slot = 0;
	uint64_t number = 0;

	for (size_t i = 1; i < 9 && i < wire.len; i++)
		number = number << 8 | (unsigned char)wire.at[i];
	switch (scan_get_word(wire, number, &slot, &f, &trouble)) {
	case SCAN_TAKEN:
		scan_put_taken(b, number, slot);
		check_same(b, wire);
		break;
	case SCAN_FINDINGS:
		scan_put_findings(b, number, &f);
		check_same(b, wire);
		break;
	case SCAN_TROUBLE:
		if (strlen(trouble.text) > 300)
			abort();
		break;
	case SCAN_BAD:
		break;
	}
	if (scan_get_word(wire, number + 1, &slot, &f, &trouble) != SCAN_BAD)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	uint64_t number;
	unsigned slot;
	struct buf b;

	buf_init(&b, CHAN_MAX + ADDR_TEXT_MAX);
	check_job(slice_part(wire, 0, CHAN_MAX), &b);
	check_word(slice_part(wire, 0, CHAN_MAX), &b);
	if (scan_get_kill(wire, &slot, &number)) {
		scan_put_kill(&b, slot, number);
		check_same(&b, wire);
	}
	buf_free(&b);
	return 0;
}
