/* make_mail.h - a struct mail by hand, for tests of what looks at one.
 *
 * The text is a message with LF line ends. Fields are unfolded, nothing is decoded (but see
 * make_mail_decoded), the body is one text part whose paragraphs stand between empty lines. */
#ifndef TESTS_UNIT_MAKE_MAIL_H
#define TESTS_UNIT_MAKE_MAIL_H

#include <stdlib.h>
#include <string.h>

#include "filters/mail.h"
#include "proxy/base/mem.h"

static inline void
make_mail_field(struct mail *m, struct slice line)
{
	struct mail_field *f = mem_push(&m->fields, &m->nfields, sizeof(*f));
	struct slice raw = line, name = slice_cut(&raw, ':');
	size_t n = 0;

	raw = slice_trim(raw);
	f->name = mem_slice(name);
	f->raw = mem_slice(raw);
	f->value = mem_slice(raw);
	for (size_t i = 0; i < raw.len; i++)
		if (raw.at[i] != '\r' && raw.at[i] != '\n')
			f->value[n++] = raw.at[i];
	f->value[n] = '\0';
	f->raw_len = raw.len;
	f->value_len = f->decoded_len = n;
	f->decoded = mem_slice((struct slice){ f->value, n });
}

/* What a decoder of RFC 2047 would have made of the n-th field. */
static inline void
make_mail_decoded(struct mail *m, size_t n, const char *decoded)
{
	free(m->fields[n].decoded);
	m->fields[n].decoded = mem_str(decoded);
	m->fields[n].decoded_len = strlen(decoded);
}

static inline void
make_mail_paragraph(struct mail *m, struct slice text)
{
	char *at;

	while (text.len > 0 && text.at[text.len - 1] == '\n')
		text.len--;
	m->text = mem_grow(m->text, m->text_len + text.len + 1);
	at = m->text + m->text_len;
	for (size_t i = 0; i < text.len; i++)
		at[i] = text.at[i] == '\n' ? ' ' : text.at[i];
	at[text.len] = '\n';
	m->text_len += text.len + 1;
	*(size_t *)mem_push(&m->paragraphs, &m->nparagraphs, sizeof(size_t)) = m->text_len;
}

static inline struct mail *
make_mail(struct slice full)
{
	struct mail *m = mem_new(sizeof(*m));
	struct slice rest = full;

	m->full = full;
	while (rest.len > 0 && rest.at[0] != '\n') {
		size_t len = 0;

		do {
			const char *end = memchr(rest.at + len, '\n', rest.len - len);

			len = end != NULL ? (size_t)(end - rest.at) + 1 : rest.len;
		} while (len < rest.len && (rest.at[len] == ' ' || rest.at[len] == '\t'));
		make_mail_field(m, slice_part(rest, 0, rest.at[len - 1] == '\n' ? len - 1 : len));
		rest = slice_part(rest, len, rest.len);
	}
	rest = slice_part(rest, 1, rest.len);
	m->header = slice_part(full, 0, full.len - rest.len);
	m->rawtext = mem_slice(rest);
	m->rawtext_len = rest.len;
	for (size_t i = 0; i < m->nfields; i++)
		if (slice_iis(slice_of(m->fields[i].name), "Subject")) {
			make_mail_paragraph(m, (struct slice){ m->fields[i].value, m->fields[i].value_len });
			break;
		}
	if (m->nparagraphs == 0)
		make_mail_paragraph(m, SLICE(""));
	while (rest.len > 0) {
		const char *end = memmem(rest.at, rest.len, "\n\n", 2);
		size_t len = end != NULL ? (size_t)(end - rest.at) : rest.len;

		make_mail_paragraph(m, slice_part(rest, 0, len));
		rest = slice_part(rest, len + 2, rest.len);
	}
	return m;
}

static inline void
make_mail_free(struct mail **mail)
{
	struct mail *m = *mail;

	for (size_t i = 0; i < m->nfields; i++) {
		free(m->fields[i].name);
		free(m->fields[i].raw);
		free(m->fields[i].value);
		free(m->fields[i].decoded);
	}
	free(m->fields);
	free(m->text);
	free(m->paragraphs);
	free(m->rawtext);
	free(m);
	*mail = NULL;
}

#endif
