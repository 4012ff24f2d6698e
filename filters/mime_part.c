#include <stdlib.h>
#include <string.h>

#include "filters/mime_int.h"
#include "proxy/base/mem.h"

struct open_part *
part_top(const struct mime *m)
{
	return m->open[m->nopen - 1];
}

bool
part_is_last(const struct mime *m)
{
	return m->parts >= MIME_PARTS_MAX;
}

/* As many octets of a UTF-8 text, counted from its start or its end, as fit without cutting a
 * character. */
static size_t
whole_head(struct slice s, size_t len)
{
	while (len > 0 && len < s.len && ((unsigned char)s.at[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static size_t
whole_tail(struct slice s, size_t len)
{
	while (len > 0 && ((unsigned char)s.at[s.len - len] & 0xc0) == 0x80)
		len--;
	return len;
}

/* Keeps the beginning and the end of a name that is too long: the extension must stay. NUL octets, at
 * which a reader's C string may end and ours must not, are left out. */
void
part_set_name(struct mime_part *part, struct slice s)
{
	struct slice middle = SLICE("...");
	size_t size = sizeof(part->name) - 1, used = 0, head = s.len, tail = 0;

	if (s.len > size) {
		head = whole_head(s, size / 2);
		tail = whole_tail(s, size - middle.len - size / 2);
	}
	for (size_t i = 0; i < head; i++)
		if (s.at[i] != '\0')
			part->name[used++] = s.at[i];
	if (tail > 0) {
		memcpy(part->name + used, middle.at, middle.len);
		used += middle.len;
	}
	for (size_t i = s.len - tail; i < s.len; i++)
		if (s.at[i] != '\0')
			part->name[used++] = s.at[i];
	part->name[used] = '\0';
}

static struct open_part *
push(struct mime *m)
{
	struct open_part *p = mem_new(sizeof(*p)), *parent = m->nopen > 0 ? part_top(m) : NULL;

	if (parent != NULL) {
		p->part.parent = &parent->part;
		p->part.depth = parent->part.depth + 1;
		p->part.in_epilogue = parent->part.in_epilogue || parent->closed;
	}
	p->part.number = m->parts++;
	slice_copy(SLICE("text/plain"), p->part.type, sizeof(p->part.type));
	m->open[m->nopen++] = p;
	return p;
}

void
part_open(struct mime *m, struct layer *l, bool is_message)
{
	bool last = m->parts + 1 >= MIME_PARTS_MAX;
	struct open_part *p = push(m);

	p->is_message = is_message;
	header_begin(m, l);
	if (last) {
		/* One part too many takes all the rest of its layer, headers and delimiters included. */
		p->part.flags |= MIME_TOO_MANY_PARTS;
		l->blind = true;
		part_begin(m, l);
	}
}

static bool
is_message_type(const char *type)
{
	static const char *const types[] = {
		"message/rfc822", "message/global", "message/news", "message/partial", "message/external-body",
	};

	for (size_t i = 0; i < NITEMS(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

static bool
needs_layer(const struct open_part *p)
{
	return p->part.encoding != MIME_7BIT && (p->kind == KIND_MESSAGE || p->is_recoded);
}

/* What kind of part its header makes it; a composite that may not be one any more is a leaf. */
static void
settle(struct mime *m, struct open_part *p)
{
	int index = m->nopen - 1;
	const char *type = p->part.type;

	if (!p->has_type && p->part.parent != NULL && strcmp(p->part.parent->type, "multipart/digest") == 0)
		slice_copy(SLICE("message/rfc822"), p->part.type, sizeof(p->part.type));	/* RFC 2046 section 5.1.5 */
	if (p->kind == KIND_LEAF && is_message_type(type))
		p->kind = KIND_MESSAGE;
	if (strcmp(type, "message/partial") == 0 || strcmp(type, "message/external-body") == 0)
		p->part.flags |= MIME_PARTIAL;
	if (p->kind == KIND_LEAF)
		return;
	if (p->kind == KIND_MULTIPART && delimiter_count(m, index) == 0)
		p->part.flags |= MIME_NO_BOUNDARY;
	if (p->part.encoding != MIME_7BIT)
		p->part.flags |= MIME_BAD_ENCODING;
	if (p->part.depth >= MIME_DEPTH_MAX || (needs_layer(p) && m->nlayers == LAYERS_MAX))
		p->part.flags |= MIME_TOO_DEEP;
	else if (m->parts + 1 >= MIME_PARTS_MAX)
		p->part.flags |= MIME_TOO_MANY_PARTS;
	else
		return;
	p->kind = KIND_LEAF;
	delimiter_drop(m, index);
}

/* The layer that reads what p's transfer encoding hides. */
static struct layer *
open_layer(struct mime *m, struct layer *l, const struct open_part *p)
{
	decode_init(&l->decode, p->part.encoding);
	layer_push(m, m->nopen - 1);
	return m->layers[m->nlayers - 1];
}

void
part_begin(struct mime *m, struct layer *l)
{
	struct open_part *p = part_top(m);

	settle(m, p);
	if (m->ops->begin != NULL)
		m->ops->begin(m->owner, &p->part);
	layer_begin_body(l);
	switch (p->kind) {
	case KIND_LEAF:
		decode_init(&l->decode, p->part.encoding);
		uu_begin(m, slice_starts(slice_of(p->part.type), "text/") && p->part.encoding != MIME_UUENCODE);
		break;
	case KIND_MULTIPART:
		break;
	case KIND_MESSAGE:
		if (p->part.encoding != MIME_7BIT)
			l = open_layer(m, l, p);
		part_open(m, l, true);
		break;
	}
}

/* Text where a multipart has none becomes a leaf. But where the multipart's own transfer encoding
 * is said to be base64 (RFC 2045 section 6.4 forbids it) there are readers that decode first, and
 * what looks like a preamble is all of it, encoded: the same multipart once more, a layer below. */
static void
open_junk(struct mime *m, struct layer *l)
{
	struct open_part *multipart = part_top(m), *p = push(m);
	int owner = m->nopen - 2;

	p->part.in_epilogue = true;
	p->has_type = true;		/* text, also in a digest, whose parts are messages */
	if (!multipart->had_parts && !multipart->is_recoded)
		p->part.encoding = multipart->part.encoding;
	if (p->part.encoding == MIME_7BIT || delimiter_count(m, owner) == 0 || p->part.depth >= MIME_DEPTH_MAX) {
		part_begin(m, l);
		return;
	}
	memcpy(p->part.type, multipart->part.type, sizeof(p->part.type));
	p->kind = KIND_MULTIPART;
	p->is_recoded = true;
	delimiter_copy(m, owner, owner + 1);
	part_begin(m, l);
	if (p->kind == KIND_MULTIPART)
		layer_begin_body(open_layer(m, l, p));
}

static size_t
white_len(struct slice s)
{
	size_t len = 0;

	while (len < s.len && (s.at[len] == ' ' || s.at[len] == '\t' || s.at[len] == '\r' || s.at[len] == '\n'))
		len++;
	return len;
}

void
part_leaf_data(struct mime *m, struct slice decoded)
{
	struct open_part *p = part_top(m);

	if (decoded.len == 0)
		return;
	if (m->ops->data != NULL)
		m->ops->data(m->owner, &p->part, decoded);
	if (m->uu.wanted)
		uu_look(m, decoded);
}

size_t
part_data(struct mime *m, struct layer *l, struct slice raw)
{
	struct layer *below = layer_below(m, l);
	struct open_part *p = below != NULL ? m->open[below->owner] : part_top(m);
	struct slice left = raw;
	size_t len;

	if (p->kind == KIND_MULTIPART && below == NULL) {
		len = white_len(raw);
		if (len < raw.len)
			open_junk(m, l);
		return len;
	}
	if (memchr(raw.at, '\0', raw.len) != NULL)
		p->part.flags |= MIME_NUL;
	if (below != NULL) {
		len = decode_feed(&l->decode, &left, below->mem, sizeof(below->mem));
		below->in = (struct slice){ below->mem, len };
		return raw.len - left.len;
	}
	if (l->decode.encoding == MIME_7BIT) {
		part_leaf_data(m, raw);
		return raw.len;
	}
	while (left.len > 0 && !l->decode.ended) {
		len = decode_feed(&l->decode, &left, m->out, sizeof(m->out));
		part_leaf_data(m, (struct slice){ m->out, len });
	}
	return raw.len;
}

void
part_close(struct mime *m)
{
	struct open_part *p = part_top(m);

	if (p->kind == KIND_LEAF) {
		struct decode *d = &m->layers[m->nlayers - 1]->decode;

		part_leaf_data(m, (struct slice){ m->out, decode_end(d, m->out, sizeof(m->out)) });
		if (d->junk)
			p->part.flags |= MIME_BAD_DATA;
		uu_end(m);
	}
	if (p->kind == KIND_MULTIPART && !p->closed)
		p->part.flags |= MIME_UNCLOSED;
	if (m->ops->end != NULL)
		m->ops->end(m->owner, &p->part);
	m->flags |= p->part.flags;
	delimiter_drop(m, m->nopen - 1);
	m->open[--m->nopen] = NULL;
	free(p);
}
