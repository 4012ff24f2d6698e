#include "filters/mime.h"

#include <stdlib.h>
#include <string.h>

#include "filters/mime_int.h"
#include "proxy/base/mem.h"

void
layer_push(struct mime *m, int owner)
{
	struct layer *l = mem_new(sizeof(*l));

	l->owner = owner;
	buf_init(&l->again, 2 * MIME_FIELD_MAX);
	decode_init(&l->decode, MIME_7BIT);
	m->layers[m->nlayers++] = l;
}

static void
layer_pop(struct mime *m)
{
	struct layer *l = m->layers[--m->nlayers];

	m->layers[m->nlayers] = NULL;
	buf_free(&l->again);
	free(l);
}

struct layer *
layer_below(const struct mime *m, const struct layer *l)
{
	for (int i = m->nlayers - 1; i > 0; i--)
		if (m->layers[i - 1] == l)
			return m->layers[i];
	return NULL;
}

struct slice
layer_input(const struct layer *l)
{
	return buf_len(&l->again) > 0 ? buf_slice(&l->again) : l->in;
}

void
layer_eat(struct layer *l, size_t len)
{
	if (buf_len(&l->again) > 0)
		buf_eat(&l->again, len);
	else
		l->in = slice_part(l->in, len, l->in.len);
}

void
layer_begin_body(struct layer *l)
{
	l->state = LAYER_BODY;
	l->line_start = true;
	l->hold_len = l->hold_end_len = 0;
}

/* The layer below reads to its end what this one still owes it. */
static void
finish_below(struct mime *m, struct layer *l, struct layer *below)
{
	below->in = (struct slice){ below->mem, decode_end(&l->decode, below->mem, sizeof(below->mem)) };
	below->eof = true;
	if (l->decode.junk)
		m->open[below->owner]->part.flags |= MIME_BAD_DATA;
}

/* A delimiter was read: what stands inside its multipart ends, and perhaps the next part begins. */
static void
switch_parts(struct mime *m, struct layer *l)
{
	struct layer *below = layer_below(m, l);

	if (below != NULL) {
		finish_below(m, l, below);
		return;
	}
	while (m->nopen - 1 > l->target)
		part_close(m);
	if (l->closes) {
		part_top(m)->closed = true;
		layer_begin_body(l);
		return;
	}
	part_top(m)->had_parts = true;
	part_open(m, l, false);
}

/* The layer's input is over. */
static void
finish(struct mime *m, struct layer *l)
{
	struct layer *below = layer_below(m, l);

	if (l->state == LAYER_HEADER)
		header_end_of_input(m, l);
	else if (l->hold_len > 0)
		body_end_of_input(m, l);
	else if (below != NULL)
		finish_below(m, l, below);
	else {
		while (m->nopen - 1 > l->owner)
			part_close(m);
		layer_pop(m);
	}
}

static void
step(struct mime *m, struct layer *l)
{
	struct slice in = layer_input(l);

	if (l->state == LAYER_SWITCH)
		switch_parts(m, l);
	else if (in.len == 0)
		finish(m, l);
	else if (l->skip_lf) {
		l->skip_lf = false;
		layer_eat(l, in.at[0] == '\n');
	} else if (l->skip_line)
		body_skip_line(l);
	else if (l->state == LAYER_HEADER)
		header_step(m, l);
	else
		body_step(m, l);
}

static void
run(struct mime *m)
{
	for (int i = m->nlayers - 1; i >= 0;) {
		struct layer *l = m->layers[i];

		if (l->state == LAYER_SWITCH || l->eof || layer_input(l).len > 0) {
			step(m, l);
			i = m->nlayers - 1;
		} else {
			i--;
		}
	}
}

struct mime *
mime_new(const struct mime_ops *ops, void *owner)
{
	struct mime *m = mem_new(sizeof(*m));

	m->ops = ops;
	m->owner = owner;
	buf_init(&m->header.text, MIME_FIELD_MAX);
	layer_push(m, -1);
	part_open(m, m->layers[0], true);
	return m;
}

void
mime_feed(struct mime *m, struct slice piece)
{
	m->piece = piece;
	m->layers[0]->in = piece;
	run(m);
	m->fed += piece.len;
	m->piece = SLICE("");
}

unsigned
mime_end(struct mime *m)
{
	if (m->nlayers > 0)
		m->layers[0]->eof = true;
	run(m);
	return m->flags;
}

void
mime_free(struct mime **mp)
{
	struct mime *m = *mp;

	if (m == NULL)
		return;
	while (m->nlayers > 0)
		layer_pop(m);
	while (m->nopen > 0)
		free(m->open[--m->nopen]);
	buf_free(&m->header.text);
	free(m);
	*mp = NULL;
}
