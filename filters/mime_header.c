#include <string.h>

#include "filters/header.h"
#include "filters/mime_int.h"
#include "filters/word.h"

#define LINE_STRETCH 4096	/* how far a line end is looked for in one go */

void
header_begin(struct mime *m, struct layer *l)
{
	struct header_state *h = &m->header;

	buf_clear(&h->text);
	*h = (struct header_state){ .text = h->text };
	l->state = LAYER_HEADER;
}

static struct slice
without_line_end(struct slice s)
{
	if (s.len > 0 && s.at[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.at[s.len - 1] == '\r')
		s.len--;
	return s;
}

static struct slice
current_line(const struct header_state *h)
{
	return slice_part(buf_slice(&h->text), h->line_at, buf_len(&h->text));
}

/* What fields say of the part ------------------------------------------------------------- */

/* RFC 2231's form first, as readers do that know it; else the plain one, in which nearly everybody
 * puts encoded words although RFC 2047 section 5 forbids it. */
static bool
read_file_name(struct mime_part *part, const struct header_params *params, const char *param)
{
	struct buf plain, text;
	bool found;

	buf_init(&plain, MIME_FIELD_MAX);
	buf_init(&text, 4 * MIME_FIELD_MAX);
	found = header_joined(params, param, &text);
	if (!found && header_plain(params, param, 0, &plain)) {
		word_decode(&text, buf_slice(&plain));
		found = true;
	}
	found = found && buf_len(&text) > 0;
	if (found)
		part_set_name(part, buf_slice(&text));
	buf_free(&plain);
	buf_free(&text);
	return found;
}

static void
read_charset(struct mime_part *part, const struct header_params *params)
{
	struct buf text;

	buf_init(&text, MIME_FIELD_MAX);
	if (header_plain(params, "charset", 0, &text) || header_joined(params, "charset", &text)) {
		struct header_in in = header_open(buf_slice(&text));

		slice_copy(header_token(&in), part->charset, sizeof(part->charset));
		for (char *p = part->charset; *p != '\0'; p++)
			*p = (char)ascii_lower((unsigned char)*p);
	}
	buf_free(&text);
}

/* Every spelling that some reader would take for the boundary becomes one, up to BOUNDARIES_MAX. */
static void
read_boundaries(struct mime *m, struct open_part *p, const struct header_params *params)
{
	struct buf text, decoded;
	size_t n;

	buf_init(&text, MIME_FIELD_MAX);
	buf_init(&decoded, 4 * MIME_FIELD_MAX);
	for (n = 0; header_plain(params, "boundary", n, &text); n++) {
		struct header_in in = header_open(buf_slice(&text));

		delimiter_add(m, m->nopen - 1, buf_slice(&text));
		if (!header_quoted(params, "boundary", n))	/* there may be a comment in it */
			delimiter_add(m, m->nopen - 1, header_token(&in));
		/* RFC 2047 section 5 forbids encoded words here; some decode them first. */
		word_decode(&decoded, buf_slice(&text));
		delimiter_add(m, m->nopen - 1, buf_slice(&decoded));
		buf_clear(&decoded);
		buf_clear(&text);
	}
	buf_clear(&text);
	if (header_joined(params, "boundary", &text)) {
		delimiter_add(m, m->nopen - 1, buf_slice(&text));
		n++;
	}
	if (n > 1)
		p->part.flags |= MIME_DUPLICATE_FIELD;
	buf_free(&text);
	buf_free(&decoded);
}

/* "text/plain, multipart/mixed; boundary=x" and "multipart; boundary=x": there are readers that split. */
static bool
says_multipart(struct slice value)
{
	struct slice left = value;

	while (left.len > 0 && !slice_istarts(left, "multipart"))
		left = slice_part(left, 1, left.len);
	return left.len > 0;
}

static void
read_content_type(struct mime *m, struct open_part *p, struct slice value)
{
	struct header_in in = header_open(value);
	struct header_params params;
	char type[sizeof(p->part.type)];
	bool known = header_type(&in, type, sizeof(type)), is_multipart = slice_istarts(slice_of(type), "multipart/");

	header_params(&in, &params);
	if (is_multipart || says_multipart(value))
		read_boundaries(m, p, &params);
	if (is_multipart || delimiter_count(m, m->nopen - 1) > 0)
		p->kind = KIND_MULTIPART;
	if (p->kind == KIND_MULTIPART && !is_multipart && known)
		p->part.flags |= MIME_DUPLICATE_FIELD;
	if (p->has_type) {
		p->part.flags |= MIME_DUPLICATE_FIELD;
		return;
	}
	p->has_type = true;
	slice_copy(known ? slice_of(type) : SLICE("text/plain"), p->part.type, sizeof(p->part.type));
	read_charset(&p->part, &params);
	if (!p->has_filename)
		read_file_name(&p->part, &params, "name");
}

static void
read_disposition(struct open_part *p, struct slice value)
{
	struct header_in in = header_open(value);
	struct header_params params;
	struct slice word = header_token(&in);

	header_params(&in, &params);
	/* RFC 2183 section 2.8: an unknown disposition is an attachment. */
	p->part.attachment = p->part.attachment || (word.len > 0 && !slice_iis(word, "inline"));
	if (!p->has_filename)
		p->has_filename = read_file_name(&p->part, &params, "filename");
}

/* Of "base64; x" and "(x) base64" every reader that is lenient enough sees base64. Of two fields the
 * one that encodes counts: the other reading is the message as it came, which is looked at anyway. */
static void
read_encoding(struct open_part *p, struct slice value)
{
	static const struct {
		const char *name;
		enum mime_encoding encoding;
	} encodings[] = {
		{ "7bit", MIME_7BIT },
		{ "8bit", MIME_7BIT },
		{ "binary", MIME_7BIT },
		{ "7-bit", MIME_7BIT },
		{ "8-bit", MIME_7BIT },
		{ "base64", MIME_BASE64 },
		{ "quoted-printable", MIME_QP },
		{ "x-uuencode", MIME_UUENCODE },
		{ "uuencode", MIME_UUENCODE },
		{ "x-uue", MIME_UUENCODE },
		{ "uue", MIME_UUENCODE },
	};
	struct header_in in = header_open(value);
	struct slice word = header_token(&in);

	word = slice_cut(&word, '\0');	/* where readers written in C see its end */
	if (p->has_encoding)
		p->part.flags |= MIME_DUPLICATE_FIELD;
	p->has_encoding = true;
	if (p->part.encoding != MIME_7BIT)
		return;
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		if (slice_iis(word, encodings[i].name)) {
			p->part.encoding = encodings[i].encoding;
			return;
		}
	p->part.flags |= MIME_BAD_ENCODING;
}

static void
read_field(struct mime *m, struct open_part *p, struct slice name, struct slice value)
{
	if (slice_iis(name, "Content-Type"))
		read_content_type(m, p, value);
	else if (slice_iis(name, "Content-Transfer-Encoding"))
		read_encoding(p, value);
	else if (slice_iis(name, "Content-Disposition"))
		read_disposition(p, value);
}

/* Lines to fields ------------------------------------------------------------------------- */

static void
hand_out(struct mime *m, struct open_part *p, struct slice name, struct slice raw, struct slice value)
{
	struct header_state *h = &m->header;

	h->fields++;
	h->octets += name.len + raw.len + 1;
	if (h->fields > MIME_FIELDS_MAX || h->octets > MIME_HEADER_MAX)
		p->part.flags |= MIME_HEADER_TOO_BIG;
	else if (m->ops->field != NULL)
		m->ops->field(m->owner, &p->part, name, raw, value);
}

static void
field_done(struct mime *m)
{
	struct header_state *h = &m->header;
	struct open_part *p = part_top(m);
	struct slice line = without_line_end(buf_slice(&h->text)), name, raw;
	struct buf value;

	while (line.len > 0 && (line.at[0] == ' ' || line.at[0] == '\t'))
		line = slice_part(line, 1, line.len);
	name = slice_part(line, 0, header_name_len(line));
	raw = line;
	slice_cut(&raw, ':');
	if (slice_has(line, '\0'))
		p->part.flags |= MIME_NUL;
	buf_init(&value, MIME_FIELD_MAX);
	header_unfold(&value, raw);
	read_field(m, p, name, slice_trim(buf_slice(&value)));
	hand_out(m, p, name, raw, slice_trim(buf_slice(&value)));
	buf_free(&value);
	buf_clear(&h->text);
	h->line_at = 0;
	h->in_field = false;
}

enum line_kind { LINE_FIELD, LINE_EMPTY, LINE_MBOX, LINE_DELIMITER, LINE_GARBAGE };

static enum line_kind
line_kind(const struct mime *m, const struct layer *l, struct slice line)
{
	const struct header_state *h = &m->header;
	bool first = h->fields == 0 && h->line_at == 0, closes;
	int owner;

	if (line.len == 0)
		return LINE_EMPTY;
	/* Only what is there of every line when this is asked: it may not be whole yet. */
	line = slice_part(line, 0, HEADER_NAME_MAX);
	if (delimiter_find(m, l, slice_part(line, 0, HOLD_MAX - 2), &owner, &closes))
		return LINE_DELIMITER;
	if (first && m->nopen == 1 && (slice_starts(line, "From ") || slice_starts(line, ">From ")))
		return LINE_MBOX;
	if (h->fields == 0 && (line.at[0] == ' ' || line.at[0] == '\t'))
		line = slice_trim(line);	/* nothing that it could continue */
	return header_name_len(line) > 0 ? LINE_FIELD : LINE_GARBAGE;
}

/* The header section is over. The lines that are still in h->text are the body's first. */
static void
header_over(struct mime *m, struct layer *l)
{
	struct header_state *h = &m->header;
	struct slice text = buf_slice(&h->text);
	struct buf again;
	size_t unread;

	/* An empty line in front, not knowing then whether a header comes, was its end. */
	if (text.len > 0 && (text.at[0] == '\n' || text.at[0] == '\r'))
		text = slice_part(text, text.len > 1 && text.at[0] == '\r' && text.at[1] == '\n' ? 2 : 1, text.len);
	buf_init(&again, l->again.max);
	buf_put(&again, text);
	buf_put(&again, buf_slice(&l->again));
	buf_free(&l->again);
	l->again = again;
	buf_clear(&h->text);
	unread = m->layers[0]->in.len + buf_len(&m->layers[0]->again);
	if (m->nopen == 1)
		part_top(m)->part.body_at = m->fed + m->piece.len - unread;
	part_begin(m, l);
}

static void
line_done(struct mime *m, struct layer *l)
{
	struct header_state *h = &m->header;
	struct open_part *p = part_top(m);
	struct slice line = current_line(h);

	h->cr = false;
	if (h->in_field) {		/* a fold: lines that are none have ended the field before */
		h->line_at = buf_len(&h->text);
		return;
	}
	switch (line_kind(m, l, without_line_end(line))) {
	case LINE_FIELD:
		if (h->line_at > 0 || line.at[0] == ' ' || line.at[0] == '\t')
			p->part.flags |= MIME_BAD_HEADER;
		buf_eat(&h->text, h->line_at);	/* lines in doubt: junk before a field */
		h->line_at = buf_len(&h->text);
		h->garbage = 0;
		h->in_field = true;
		return;
	case LINE_MBOX:
		p->part.flags |= MIME_BAD_HEADER;
		buf_clear(&h->text);
		return;
	case LINE_EMPTY:
		if (h->fields == 0 && p->is_message && buf_len(&h->text) < DOUBT_MAX)
			break;
		if (h->line_at == 0)
			buf_clear(&h->text);
		header_over(m, l);
		return;
	case LINE_GARBAGE:
		p->part.flags |= MIME_BAD_HEADER;
		if (h->garbage++ == 0 && line.len < HEADER_NAME_MAX)
			break;
		header_over(m, l);
		return;
	case LINE_DELIMITER:		/* the body, which is empty, reads it once more */
		header_over(m, l);
		return;
	}
	h->line_at = buf_len(&h->text);	/* in doubt: if a field comes next it was junk, else it is body */
}

/* Appends to the current line; what passes the cap is dropped. Two octets are kept for its end. */
static void
put_line(struct mime *m, struct slice s)
{
	struct header_state *h = &m->header;
	size_t room = buf_room(&h->text);
	struct slice fits = slice_part(s, 0, room > 2 ? room - 2 : 0);

	buf_put(&h->text, fits);
	if (fits.len < s.len)
		part_top(m)->part.flags |= MIME_FIELD_TOO_LONG;
}

static size_t
until_line_end(struct slice s)
{
	const char *lf, *cr;

	s = slice_part(s, 0, LINE_STRETCH);
	lf = memchr(s.at, '\n', s.len);
	if (lf != NULL)
		s.len = (size_t)(lf - s.at);
	cr = memchr(s.at, '\r', s.len);
	return cr != NULL ? (size_t)(cr - s.at) : s.len;
}

void
header_step(struct mime *m, struct layer *l)
{
	struct header_state *h = &m->header;
	struct slice in = layer_input(l);
	size_t len;
	char c = in.at[0];

	if (h->cr) {
		if (c == '\n') {
			buf_putc(&h->text, c);
			layer_eat(l, 1);
		}
		line_done(m, l);
		return;
	}
	if (h->in_field && buf_len(&h->text) == h->line_at && c != ' ' && c != '\t')
		field_done(m);
	len = until_line_end(in);
	if (len > 0) {
		put_line(m, slice_part(in, 0, len));
		layer_eat(l, len);
		/* So long, and no field: it need not be kept to be known as body. */
		if (!h->in_field && current_line(h).len >= HEADER_NAME_MAX &&
		    line_kind(m, l, current_line(h)) == LINE_GARBAGE)
			line_done(m, l);
		return;
	}
	buf_putc(&h->text, c);
	h->cr = c == '\r';
	layer_eat(l, 1);
	if (c == '\n')
		line_done(m, l);
}

void
header_end_of_input(struct mime *m, struct layer *l)
{
	struct header_state *h = &m->header;

	if (current_line(h).len > 0) {
		line_done(m, l);
		return;
	}
	if (h->in_field)
		field_done(m);
	header_over(m, l);
}
