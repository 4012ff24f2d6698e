/* imap_trace.h - what the IMAP reader says of a server's octets, as one line; for tests and fuzzers.
 *
 *   *OK[ALERT]text g7NO[]text +text caps(IMAP4rev1 ID) 3EXISTS 4EXPUNGE 5UIDVALIDITY ?7 other
 *   {2.9:11<5>}abc.defg(5u9s120fDS)
 *
 * {seq.uid:size} begins a body, <origin> stands in it when it is a part, {seq.uid:NIL} is none; its
 * octets follow, then ".", and a FETCH ends as (seq u uid s size f flags). "!" ends what is BAD. */
#ifndef TESTS_UNIT_IMAP_TRACE_H
#define TESTS_UNIT_IMAP_TRACE_H

#include "proxy/base/mem.h"
#include "proxy/imap/imap_parse.h"

#define IMAP_TRACE_MAX (64u << 20)

static inline void
imap_trace_data(struct buf *out, const struct imap_item *item)
{
	const struct imap_untagged *d = &item->data;

	switch (d->kind) {
	case IMAP_EXISTS:
		buf_printf(out, "%uEXISTS ", d->number);
		break;
	case IMAP_EXPUNGE:
		buf_printf(out, "%uEXPUNGE ", d->number);
		break;
	case IMAP_SEARCH:
		buf_printf(out, "?%u ", d->number);
		break;
	case IMAP_UIDVALIDITY:
		buf_printf(out, "%uUIDVALIDITY ", d->number);
		break;
	case IMAP_BODY_BEGIN:
		buf_printf(out, "{%u.%u:", d->seq, d->uid);
		if (d->is_nil)
			buf_puts(out, "NIL");
		else
			buf_printf(out, "%llu", (unsigned long long)d->size);
		if (item->is_part)
			buf_printf(out, "<%llu>", (unsigned long long)item->origin);
		buf_puts(out, "}");
		break;
	case IMAP_BODY_DATA:
		buf_put(out, d->data);
		break;
	case IMAP_BODY_END:
		buf_puts(out, ".");
		break;
	case IMAP_FETCH:
		buf_printf(out, "(%u", d->seq);
		if (d->uid != 0)
			buf_printf(out, "u%u", d->uid);
		if (d->has_size)
			buf_printf(out, "s%llu", (unsigned long long)d->size);
		if (d->has_flags)
			buf_printf(out, "f%s%s", d->deleted ? "D" : "", d->seen ? "S" : "");
		buf_puts(out, ") ");
		break;
	}
}

static inline void
imap_trace_item(struct buf *out, const struct imap_item *item)
{
	static const char *const status[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	switch (item->kind) {
	case ITEM_TAGGED:
	case ITEM_STATUS:
		buf_printf(out, item->kind == ITEM_STATUS ? "*" : "g%u", item->tag);
		buf_printf(out, "%s[%.*s]%.*s ", status[item->status], (int)item->code.len, item->code.at,
		    (int)item->text.len, item->text.at);
		break;
	case ITEM_CONTINUE:
		buf_printf(out, "+%.*s ", (int)item->text.len, item->text.at);
		break;
	case ITEM_CAPABILITY:
		buf_printf(out, "caps(%.*s) ", (int)item->text.len, item->text.at);
		break;
	case ITEM_DATA:
		imap_trace_data(out, item);
		break;
	case ITEM_OTHER:
		buf_puts(out, "other ");
		break;
	}
}

/* All of the wire, `piece` octets at a time, each as soon as the reader waits for it. */
static inline void
imap_trace(struct buf *out, struct slice wire, size_t piece)
{
	enum imap_step step = IMAP_STEP_MORE;
	struct imap_parse parse;
	struct imap_item item;
	struct buf in;

	buf_init(&in, 65536);
	buf_init(out, IMAP_TRACE_MAX);
	imap_parse_init(&parse);
	for (;;) {
		while ((step = imap_parse_next(&parse, &in, &item)) == IMAP_STEP_ITEM)
			imap_trace_item(out, &item);
		if (step == IMAP_STEP_BAD || wire.len == 0)
			break;
		if (piece > buf_room(&in))
			piece = buf_room(&in);
		buf_put(&in, slice_part(wire, 0, piece));
		wire = slice_part(wire, piece, wire.len);
	}
	if (step == IMAP_STEP_BAD)
		buf_puts(out, "!");
	buf_free(&in);
}

#endif
