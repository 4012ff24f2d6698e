/* trace.h - what the MIME reader says of a message, as one line; for tests and fuzzers.
 *
 *   <multipart/mixed !UNCLOSED<text/plain{hello}><text/html;utf-8 @ +"a.html"{<b>} !NUL>>
 *
 * A part: its type and charset, '@' when found where none should be, '+' when an attachment,
 * "..." its name, {...} its data, !... its flags, then the parts in it. Before its '<' stand its
 * fields, but for the Content- ones: "Subject=x;". */
#ifndef TESTS_UNIT_TRACE_H
#define TESTS_UNIT_TRACE_H

#include <stdlib.h>

#include "filters/mime.h"
#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

#define TRACE_MAX (64u << 20)

struct trace_part {
	struct mime_part info;
	int parent;
	bool ended;
	struct buf data;
};

struct trace {
	struct trace_part *parts;
	size_t nparts;
	struct buf *fields;		/* of parts[i]; there may be one more, not begun yet */
	size_t nfields;
	bool broken;			/* calls came in an order that mime.h forbids */
	struct buf line;		/* the result */
};

static inline void
trace_field(void *owner, const struct mime_part *part, struct slice name, struct slice raw, struct slice value)
{
	struct trace *t = owner;
	struct buf *b;

	t->broken = t->broken || part->number != t->nparts || raw.len < value.len;
	if (slice_istarts(name, "Content-"))
		return;
	while (t->nfields <= part->number)
		buf_init(mem_push(&t->fields, &t->nfields, sizeof(*t->fields)), TRACE_MAX);
	b = &t->fields[part->number];
	buf_put(b, name);
	buf_puts(b, "=");
	buf_put(b, value);
	buf_puts(b, ";");
}

static inline void
trace_begin(void *owner, const struct mime_part *part)
{
	struct trace *t = owner;
	struct trace_part *p;

	t->broken = t->broken || part->number != t->nparts;
	p = mem_push(&t->parts, &t->nparts, sizeof(*p));
	p->info = *part;
	p->parent = part->parent != NULL ? (int)part->parent->number : -1;
	buf_init(&p->data, TRACE_MAX);
	t->broken = t->broken || (p->parent >= 0 && t->parts[p->parent].ended);
}

static inline void
trace_data(void *owner, const struct mime_part *part, struct slice decoded)
{
	struct trace *t = owner;
	struct trace_part *p = &t->parts[part->number];

	t->broken = t->broken || p->ended || decoded.len == 0;
	buf_put(&p->data, decoded);
}

static inline void
trace_end(void *owner, const struct mime_part *part)
{
	struct trace *t = owner;
	struct trace_part *p = &t->parts[part->number];

	t->broken = t->broken || p->ended;
	p->ended = true;
	p->info = *part;
}

static inline void
trace_print(struct buf *b, const struct trace_part *p)
{
	static const char *const names[] = {
		"TOO_DEEP", "TOO_MANY_PARTS", "FIELD_TOO_LONG", "HEADER_TOO_BIG", "NO_BOUNDARY", "DUPLICATE_FIELD",
		"BAD_ENCODING", "BAD_DATA", "NUL", "UNCLOSED", "PARTIAL", "BAD_HEADER",
	};

	buf_printf(b, "<%s%s%s%s", p->info.type, p->info.charset[0] != '\0' ? ";" : "", p->info.charset,
	    p->info.in_epilogue ? " @" : "");
	if (p->info.attachment || p->info.name[0] != '\0')
		buf_printf(b, " %s\"%s\"", p->info.attachment ? "+" : "", p->info.name);
	if (buf_len(&p->data) > 0) {
		buf_puts(b, "{");
		buf_put(b, buf_slice(&p->data));
		buf_puts(b, "}");
	}
	for (size_t i = 0; i < NITEMS(names); i++)
		if (p->info.flags & 1u << i)
			buf_printf(b, " !%s", names[i]);
}

static inline void
trace_finish(struct trace *t)
{
	int open = -1;

	buf_init(&t->line, TRACE_MAX);
	for (size_t i = 0; i < t->nparts; i++) {
		for (; open != t->parts[i].parent; open = t->parts[open].parent)
			buf_puts(&t->line, ">");
		if (i < t->nfields)
			buf_put(&t->line, buf_slice(&t->fields[i]));
		trace_print(&t->line, &t->parts[i]);
		open = (int)i;
		t->broken = t->broken || !t->parts[i].ended;
	}
	for (; open >= 0; open = t->parts[open].parent)
		buf_puts(&t->line, ">");
	if (t->broken)
		buf_puts(&t->line, " BROKEN");
}

/* Reads `wire` in pieces of this size, into t->line; returns the flags of the whole. */
static inline unsigned
trace_mime(struct trace *t, struct slice wire, size_t piece)
{
	static const struct mime_ops ops = {
		.field = trace_field,
		.begin = trace_begin,
		.data = trace_data,
		.end = trace_end,
	};
	struct mime *m;
	unsigned flags;

	*t = (struct trace){ 0 };
	m = mime_new(&ops, t);
	while (wire.len > 0) {
		/* A copy of the exact size: a look beyond its end is seen by the sanitizer. */
		struct slice part = slice_part(wire, 0, piece);
		char *copy = malloc(part.len);

		for (size_t i = 0; copy != NULL && i < part.len; i++)
			copy[i] = part.at[i];
		mime_feed(m, (struct slice){ copy, part.len });
		free(copy);
		wire = slice_part(wire, piece, wire.len);
	}
	flags = mime_end(m);
	mime_free(&m);
	trace_finish(t);
	return flags;
}

static inline void
trace_free(struct trace *t)
{
	for (size_t i = 0; i < t->nparts; i++)
		buf_free(&t->parts[i].data);
	for (size_t i = 0; i < t->nfields; i++)
		buf_free(&t->fields[i]);
	free(t->parts);
	free(t->fields);
	buf_free(&t->line);
}

#endif
