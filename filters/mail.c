#include "filters/mail.h"

#include <stdlib.h>
#include <string.h>

#include "filters/charset.h"
#include "filters/header.h"
#include "filters/html.h"
#include "filters/text.h"
#include "filters/word.h"
#include "proxy/base/mem.h"

/* Who holds a struct mail holds this: what its pointers point into. */
struct mail_memory {
	struct mail mail;
	struct buf *data;		/* of parts[i]; as many as parts */
	size_t ndata;
	size_t decoded;			/* octets in all of them */
	struct text text;
	struct buf rawtext;
};

static void
keep_field(void *owner, const struct mime_part *part, struct slice name, struct slice raw, struct slice value)
{
	struct mail_memory *mm = owner;
	struct mail_field *f;
	struct buf decoded;

	if (part->parent != NULL)
		return;
	f = mem_push(&mm->mail.fields, &mm->mail.nfields, sizeof(*f));
	f->name = mem_slice(name);
	f->raw = mem_slice(raw);
	f->raw_len = raw.len;
	f->value = mem_slice(value);
	f->value_len = value.len;
	buf_init(&decoded, 4 * MIME_FIELD_MAX);
	if (!word_decode(&decoded, value))
		mm->mail.truncated = true;
	f->decoded = mem_slice(buf_slice(&decoded));
	f->decoded_len = buf_len(&decoded);
	buf_free(&decoded);
}

static void
keep_begin(void *owner, const struct mime_part *info)
{
	struct mail_memory *mm = owner;
	struct mail_part *p = mem_push(&mm->mail.parts, &mm->mail.nparts, sizeof(*p));
	struct buf *data = mem_push(&mm->data, &mm->ndata, sizeof(*data));

	/* mime.h numbers parts in the order in which they begin, so a number is an index. */
	p->parent = info->parent != NULL ? (int)info->parent->number : -1;
	buf_init(data, MAIL_DECODED_MAX);
	if (info->parent == NULL)
		mm->mail.header = slice_part(mm->mail.full, 0, info->body_at);
}

static void
keep_data(void *owner, const struct mime_part *info, struct slice decoded)
{
	struct mail_memory *mm = owner;
	struct slice fits = slice_part(decoded, 0, MAIL_DECODED_MAX - mm->decoded);

	if (fits.len < decoded.len)
		mm->mail.truncated = true;
	buf_put(&mm->data[info->number], fits);
	mm->decoded += fits.len;
}

static void
keep_end(void *owner, const struct mime_part *info)
{
	struct mail_memory *mm = owner;
	struct mail_part *p = &mm->mail.parts[info->number];
	struct slice data = buf_slice(&mm->data[info->number]);

	p->info = *info;
	p->info.parent = NULL;
	p->data = (char *)data.at;
	p->len = data.len;
	mm->mail.flags |= info->flags;
}

/* Which parts a reader shows as text. What stands around the parts of a multipart it does not show,
 * unless there are no parts. */
static void
find_texts(struct mail *m)
{
	bool *has_parts = mem_array(m->nparts, sizeof(*has_parts));

	for (size_t i = 0; i < m->nparts; i++)
		if (m->parts[i].parent >= 0 && !m->parts[i].info.in_epilogue)
			has_parts[m->parts[i].parent] = true;
	for (size_t i = 0; i < m->nparts; i++) {
		struct mail_part *p = &m->parts[i];
		bool aside = p->info.in_epilogue && has_parts[p->parent];

		p->is_text = p->len > 0 && slice_starts(slice_of(p->info.type), "text/") && !p->info.attachment && !aside;
	}
	free(has_parts);
}

static bool
put_text(void *owner, struct slice utf8)
{
	return text_put(owner, utf8);
}

static bool
put_html(void *owner, struct slice utf8)
{
	return html_feed(owner, utf8);
}

static void
render(struct text *text, const struct mail_part *p)
{
	struct slice charset = slice_of(p->info.charset), data = { p->data, p->len };

	if (strcmp(p->info.type, "text/html") == 0) {
		struct html *h = html_new(text);

		charset_utf8(charset, data, put_html, h);
		html_end(&h);
	} else {
		charset_utf8(charset, data, put_text, text);
		text_end(text);
	}
}

static void
keep_raw(struct mail_memory *mm, const struct mail_part *p)
{
	struct slice fits = slice_part((struct slice){ p->data, p->len }, 0, buf_room(&mm->rawtext));

	if (fits.len < p->len)
		mm->mail.text_cut = true;
	buf_put(&mm->rawtext, fits);
}

static void
render_all(struct mail_memory *mm)
{
	struct mail *m = &mm->mail;
	const struct mail_field *subject = mail_field(m, "Subject", 0);

	if (subject != NULL) {
		text_put(&mm->text, (struct slice){ subject->decoded, subject->decoded_len });
		text_end(&mm->text);
	}
	for (size_t i = 0; i < m->nparts; i++)
		if (m->parts[i].is_text) {
			render(&mm->text, &m->parts[i]);
			keep_raw(mm, &m->parts[i]);
		}
	m->text_cut = m->text_cut || mm->text.full;
	m->text = (char *)buf_slice(&mm->text.buf).at;
	m->text_len = buf_len(&mm->text.buf);
	m->paragraphs = mm->text.paragraphs;
	m->nparagraphs = mm->text.nparagraphs;
	m->rawtext = (char *)buf_slice(&mm->rawtext).at;
	m->rawtext_len = buf_len(&mm->rawtext);
}

struct mail *
mail_read(struct slice full)
{
	static const struct mime_ops ops = {
		.field = keep_field,
		.begin = keep_begin,
		.data = keep_data,
		.end = keep_end,
	};
	struct mail_memory *mm = mem_new(sizeof(*mm));
	struct mime *mime = mime_new(&ops, mm);

	mm->mail.full = full;
	text_init(&mm->text, MAIL_TEXT_MAX);
	buf_init(&mm->rawtext, MAIL_TEXT_MAX);
	mime_feed(mime, full);
	mime_end(mime);
	mime_free(&mime);
	find_texts(&mm->mail);
	render_all(mm);
	return &mm->mail;
}

void
mail_free(struct mail **mp)
{
	struct mail_memory *mm = (struct mail_memory *)*mp;	/* its first member */

	if (mm == NULL)
		return;
	for (size_t i = 0; i < mm->mail.nfields; i++) {
		free(mm->mail.fields[i].name);
		free(mm->mail.fields[i].raw);
		free(mm->mail.fields[i].value);
		free(mm->mail.fields[i].decoded);
	}
	for (size_t i = 0; i < mm->ndata; i++)
		buf_free(&mm->data[i]);
	free(mm->mail.fields);
	free(mm->mail.parts);
	free(mm->data);
	text_free(&mm->text);
	buf_free(&mm->rawtext);
	free(mm);
	*mp = NULL;
}

const struct mail_field *
mail_field(const struct mail *m, const char *name, size_t n)
{
	for (size_t i = 0; i < m->nfields; i++)
		if (slice_iis(slice_of(m->fields[i].name), name) && n-- == 0)
			return &m->fields[i];
	return NULL;
}
