#include "filters/scan_wire.h"

#include <string.h>

#include "proxy/base/wire.h"

bool
scan_put_job(struct buf *b, uint64_t number, uint64_t size, const struct facts *f)
{
	char client[ADDR_TEXT_MAX] = "";		/* empty: unknown, as a relay may say */
	size_t nrcpts = f->nrcpts < SCAN_RCPTS_MAX ? f->nrcpts : SCAN_RCPTS_MAX;
	bool fits;

	if (f->client.len > 0)
		addr_text(&f->client, client);
	fits = wire_put_u64(b, number) && wire_put_u64(b, size) && wire_put_bytes(b, f->id) &&
	       wire_put_bytes(b, f->hostname) && wire_put_bytes(b, f->listener) && wire_put_bytes(b, slice_of(client)) &&
	       wire_put_bytes(b, f->helo) && wire_put_u8(b, f->esmtp) && wire_put_bytes(b, f->tls) &&
	       wire_put_bytes(b, f->from) && wire_put_u16(b, (uint16_t)nrcpts);
	for (size_t i = 0; fits && i < nrcpts; i++)
		fits = wire_put_bytes(b, f->rcpts[i]);
	return fits;
}

bool
scan_get_job(struct slice bytes, struct scan_job *job)
{
	struct wire_in in = wire_open(bytes);
	struct facts *f = &job->facts;
	char client[ADDR_TEXT_MAX];

	memset(job, 0, sizeof(*job));
	job->number = wire_u64(&in);
	job->size = wire_u64(&in);
	f->id = wire_bytes(&in);
	f->hostname = wire_bytes(&in);
	f->listener = wire_bytes(&in);
	if (!slice_copy(wire_bytes(&in), client, sizeof(client)) ||
	    (client[0] != '\0' && !addr_read(&f->client, client)))
		return false;
	f->helo = wire_bytes(&in);
	f->esmtp = wire_u8(&in) != 0;
	f->tls = wire_bytes(&in);
	f->from = wire_bytes(&in);
	f->nrcpts = wire_u16(&in);
	if (f->nrcpts > SCAN_RCPTS_MAX)
		return false;
	for (size_t i = 0; i < f->nrcpts; i++)
		job->rcpts[i] = wire_bytes(&in);
	f->rcpts = job->rcpts;
	return wire_done(&in);
}

bool
scan_put_taken(struct buf *b, uint64_t number, unsigned slot)
{
	return wire_put_u8(b, SCAN_TAKEN) && wire_put_u64(b, number) && wire_put_u32(b, slot);
}

bool
scan_put_trouble(struct buf *b, uint64_t number, const char *sentence)
{
	return wire_put_u8(b, SCAN_TROUBLE) && wire_put_u64(b, number) && wire_put_bytes(b, slice_of(sentence));
}

bool
scan_put_findings(struct buf *b, uint64_t number, const struct findings *f)
{
	bool fits = wire_put_u8(b, SCAN_FINDINGS) && wire_put_u64(b, number) && wire_put_i32(b, f->score) &&
		    wire_put_u32(b, f->dropped) && wire_put_u32(b, f->mime_us) && wire_put_u32(b, f->rules_us) &&
		    wire_put_u32(b, f->av_us) && wire_put_u16(b, (uint16_t)f->n);

	for (unsigned i = 0; fits && i < f->n; i++)
		fits = wire_put_u8(b, f->list[i].kind) && wire_put_i32(b, f->list[i].score) &&
		       wire_put_bytes(b, slice_of(f->list[i].name)) && wire_put_bytes(b, slice_of(f->list[i].text));
	return fits;
}

/* A name goes into headers and logs: printable ASCII without blanks, or it is no name. */
static bool
good_name(const char *name)
{
	if (name[0] == '\0')
		return false;
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name > '~')
			return false;
	return true;
}

static bool
get_findings(struct wire_in *in, struct findings *f)
{
	memset(f, 0, sizeof(*f));
	f->score = wire_i32(in);
	f->dropped = wire_u32(in);
	f->mime_us = wire_u32(in);
	f->rules_us = wire_u32(in);
	f->av_us = wire_u32(in);
	f->n = wire_u16(in);
	if (f->n > FINDINGS_MAX)
		return false;
	for (unsigned i = 0; i < f->n; i++) {
		struct finding *one = &f->list[i];
		unsigned kind = wire_u8(in);

		one->score = wire_i32(in);
		if (kind > FINDING_LIMIT || !slice_copy(wire_bytes(in), one->name, sizeof(one->name)) ||
		    !slice_copy(wire_bytes(in), one->text, sizeof(one->text)) || !good_name(one->name))
			return false;
		one->kind = (enum finding_kind)kind;
	}
	return wire_done(in);
}

enum scan_word
scan_get_word(struct slice bytes, uint64_t number, unsigned *slot, struct findings *f, struct err *trouble)
{
	struct wire_in in = wire_open(bytes);
	unsigned word = wire_u8(&in);
	struct slice sentence;

	if (wire_u64(&in) != number || in.bad)
		return SCAN_BAD;
	switch (word) {
	case SCAN_TAKEN:
		*slot = wire_u32(&in);
		return wire_done(&in) ? SCAN_TAKEN : SCAN_BAD;
	case SCAN_FINDINGS:
		return get_findings(&in, f) ? SCAN_FINDINGS : SCAN_BAD;
	case SCAN_TROUBLE:
		sentence = wire_bytes(&in);
		if (!wire_done(&in))
			return SCAN_BAD;
		err_set(trouble, "%.*s", (int)(sentence.len < 300 ? sentence.len : 300), sentence.at);
		return SCAN_TROUBLE;
	default:
		return SCAN_BAD;
	}
}

bool
scan_put_kill(struct buf *b, unsigned slot, uint64_t number)
{
	return wire_put_u32(b, slot) && wire_put_u64(b, number);
}

bool
scan_get_kill(struct slice bytes, unsigned *slot, uint64_t *number)
{
	struct wire_in in = wire_open(bytes);

	*slot = wire_u32(&in);
	*number = wire_u64(&in);
	return wire_done(&in);
}
