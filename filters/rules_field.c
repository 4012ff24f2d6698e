/* rules_field.c - what a header rule looks at: fields, pseudo fields and their :modifiers.
 *
 * As in SpamAssassin, several fields of one name are one text, a line each. ALL and MESSAGEID are
 * written in capitals only, so that fields of those names can be reached too. */
#include <stdlib.h>
#include <string.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

static const char *const message_ids[] = {
	"X-Message-Id", "Resent-Message-Id", "X-Original-Message-ID", "Message-Id", NULL
};
static const char *const to_cc[] = { "To", "Cc", NULL };

/* They need a list of the relays that are ours, or the client's name in the DNS: to take them as empty
 * would make rules hit that ask for what is missing. */
static const char *const not_here[] = {
	"ALL-TRUSTED", "ALL-UNTRUSTED", "ALL-INTERNAL", "ALL-EXTERNAL",
	"X-Spam-Relays-Trusted", "X-Spam-Relays-Untrusted", "X-Spam-Relays-Internal", "X-Spam-Relays-External",
};

/* ---- parsing ---- */

static bool
is_field_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		int c = ascii_lower((unsigned char)s.at[i]);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return s.len > 0;
}

static enum outcome
read_modifier(struct slice word, struct field *field, struct err *err)
{
	static const char *const others[] = { "host", "domain", "ip", "revip" };

	if (slice_is(word, "raw")) {
		if (field->form == FORM_DECODED)
			field->form = FORM_RAW;		/* From:addr:raw is From:addr */
	} else if (slice_is(word, "addr")) {
		field->form = FORM_ADDR;
	} else if (slice_is(word, "name")) {
		field->form = FORM_NAME;
	} else if (slice_is(word, "first")) {
		field->pick = PICK_FIRST;
	} else if (slice_is(word, "last")) {
		field->pick = PICK_LAST;
	} else {
		err_set(err, "the field's modifier :%.*s is not known", (int)slice_part(word, 0, 40).len, word.at);
		for (size_t i = 0; i < NITEMS(others); i++)
			if (slice_is(word, others[i])) {
				err_set(err, "the field's modifier :%s is not supported", others[i]);
				return LINE_UNSUPPORTED;
			}
		return LINE_BROKEN;
	}
	return LINE_DONE;
}

enum outcome
field_parse(struct slice text, struct field *field, struct err *err)
{
	struct slice name = slice_cut(&text, ':');
	enum outcome outcome = LINE_DONE;

	*field = (struct field){ .form = FORM_DECODED };
	if (!is_field_name(name)) {
		err_set(err, "not the name of a header field: '%.*s'", (int)slice_part(name, 0, 40).len, name.at);
		return LINE_BROKEN;
	}
	for (size_t i = 0; i < NITEMS(not_here); i++)
		if (slice_iis(name, not_here[i])) {
			err_set(err, "the pseudo field %s is not supported", not_here[i]);
			return LINE_UNSUPPORTED;
		}
	while (text.len > 0 && outcome == LINE_DONE)
		outcome = read_modifier(slice_cut(&text, ':'), field, err);
	if (outcome == LINE_DONE)
		field->name = mem_slice(name);
	return outcome;
}

static bool
is_capitals_only(const char *name)
{
	return strcmp(name, "ALL") == 0 || strcmp(name, "MESSAGEID") == 0;
}

static int
compare_names(const char *a, const char *b)
{
	for (; ascii_lower((unsigned char)*a) == ascii_lower((unsigned char)*b); a++, b++)
		if (*a == '\0')
			return 0;
	return ascii_lower((unsigned char)*a) - ascii_lower((unsigned char)*b);
}

int
field_compare(const struct field *a, const struct field *b)
{
	int order = compare_names(a->name, b->name);

	if (order == 0)
		order = is_capitals_only(a->name) - is_capitals_only(b->name);
	if (order == 0)
		order = (int)a->form - (int)b->form;
	if (order == 0)
		order = (int)a->pick - (int)b->pick;
	return order;
}

bool
field_same(const struct field *a, const struct field *b)
{
	return field_compare(a, b) == 0;
}

/* ---- looking up ---- */

static int
compare_fields(const void *a, const void *b)
{
	const struct mail_field *f = *(const struct mail_field *const *)a, *g = *(const struct mail_field *const *)b;
	int order = compare_names(f->name, g->name);

	return order != 0 ? order : (f > g) - (f < g);	/* of one array: in the order of the message */
}

void
field_index_make(struct field_index *index, const struct mail *mail)
{
	*index = (struct field_index){ .mail = mail, .nfields = mail->nfields };
	index->fields = mem_array(mail->nfields, sizeof(*index->fields));
	for (size_t i = 0; i < mail->nfields; i++)
		index->fields[i] = &mail->fields[i];
	qsort(index->fields, index->nfields, sizeof(*index->fields), compare_fields);
}

void
field_index_free(struct field_index *index)
{
	free(index->fields);
	*index = (struct field_index){ 0 };
}

/* The fields of one name: *first is the place of the first, the answer is how many. */
static size_t
find(const struct field_index *index, const char *name, size_t *first)
{
	size_t low = 0, high = index->nfields;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(index->fields[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*first = low;
	while (high < index->nfields && compare_names(index->fields[high]->name, name) == 0)
		high++;
	return high - low;
}

/* ---- the first mailbox of a field (RFC 5322 section 3.4, read as mail readers do) ---- */

struct mailbox {
	struct slice addr, name;	/* parts of the value; empty when there is none */
};

/* The length of the quoted string or comment that the slice begins with, 0 when it begins with
 * neither. One that is never closed is plain text, and so is everything after it: *unclosed keeps
 * a value full of parentheses from being read again for each of them. */
static size_t
bracketed(struct slice s, bool *unclosed)
{
	size_t i = 1, depth = 1;

	if (*unclosed || s.len == 0 || (s.at[0] != '"' && s.at[0] != '('))
		return 0;
	for (; i < s.len && depth > 0; i++) {
		if (s.at[i] == '\\')
			i++;
		else if (s.at[0] == '"')
			depth -= s.at[i] == '"';
		else if (s.at[i] == '(')
			depth++;
		else if (s.at[i] == ')')
			depth--;
	}
	*unclosed = depth > 0;
	return *unclosed ? 0 : i;
}

/* Without angle brackets: the word with an @ is the address, a comment is the name. */
static struct mailbox
bare_mailbox(struct slice s)
{
	struct mailbox box = { { s.at, 0 }, { s.at, 0 } };
	bool unclosed = false, word_has_at = false;
	size_t start = 0;

	for (size_t i = 0; i <= s.len; i++) {
		size_t len = bracketed(slice_part(s, i, s.len), &unclosed);
		bool comment = len > 0 && s.at[i] == '(';

		if (i == s.len || s.at[i] == ' ' || s.at[i] == '\t' || comment) {
			if (word_has_at && box.addr.len == 0)
				box.addr = slice_part(s, start, i - start);
			if (comment && box.name.len == 0)
				box.name = slice_trim(slice_part(s, i + 1, len - 2));
			start = i + (len > 0 ? len : 1);
			word_has_at = false;
		} else if (s.at[i] == '@') {
			word_has_at = true;
		}
		if (len > 0)
			i += len - 1;
	}
	return box;
}

/* What stands in <...>, with or without the source route of old ("@a,@b:addr"). */
static struct slice
angle_addr(struct slice s)
{
	struct slice rest = slice_part(s, 1, s.len), addr = slice_trim(slice_cut(&rest, '>'));

	if (slice_starts(addr, "@") && slice_has(addr, ':'))
		slice_cut(&addr, ':');
	return slice_trim(addr);
}

/* "user@[IPv6:2001:db8::1]" is no group. */
static size_t
domain_literal(struct slice value, size_t i)
{
	const char *end;

	if (value.at[i] != '[' || i == 0 || value.at[i - 1] != '@')
		return 0;
	end = memchr(value.at + i, ']', value.len - i);
	return end != NULL ? (size_t)(end - value.at) - i + 1 : 0;
}

static struct mailbox
first_mailbox(struct slice value)
{
	struct mailbox box = { { value.at, 0 }, { value.at, 0 } };
	bool unclosed = false;
	size_t start = 0, len;

	for (size_t i = 0; i < value.len && box.addr.len == 0; i++) {
		struct slice rest = slice_part(value, i, value.len);

		if ((len = bracketed(rest, &unclosed)) > 0 || (len = domain_literal(value, i)) > 0) {
			i += len - 1;
		} else if (value.at[i] == '<') {
			box.addr = angle_addr(rest);
			box.name = slice_trim(slice_part(value, start, i - start));
			if (box.addr.len == 0)
				start = i + 1;
		} else if (value.at[i] == ',' || value.at[i] == ';') {
			box = bare_mailbox(slice_part(value, start, i - start));
			start = i + 1;
		} else if (value.at[i] == ':') {
			start = i + 1;		/* a group's name stood there */
		}
	}
	return box.addr.len > 0 ? box : bare_mailbox(slice_part(value, start, value.len));
}

/* The display name with its encoded words decoded. RFC 2047 is behind us: what surrounds the name holds
 * no encoded words as a rule and is found again at both ends of the decoded value. Where it is
 * not, the decoded value is what a reader sees, and we read the name there. */
static struct slice
decoded_name(const struct mail_field *f, struct slice name)
{
	struct slice decoded = { f->decoded, f->decoded_len };
	size_t before = (size_t)(name.at - f->value), behind = f->value_len - before - name.len;

	if (decoded.len >= before + behind && memcmp(f->decoded, f->value, before) == 0 &&
	    memcmp(f->decoded + decoded.len - behind, name.at + name.len, behind) == 0)
		return slice_part(decoded, before, decoded.len - before - behind);
	return first_mailbox(decoded).name;
}

/* ---- values ---- */

static void
put(struct field_text *out, struct slice s)
{
	if (!buf_put(&out->buf, s))
		out->full = true;
}

/* As it came, but with the line ends that rules are written for. */
static void
put_lf(struct field_text *out, struct slice s)
{
	while (s.len > 0) {
		const char *cr = memmem(s.at, s.len, "\r\n", 2);
		size_t len = cr != NULL ? (size_t)(cr - s.at) : s.len;

		put(out, slice_part(s, 0, len));
		if (cr != NULL)
			put(out, SLICE("\n"));
		s = slice_part(s, cr != NULL ? len + 2 : len, s.len);
	}
}

/* Takes the quotes off, single ones too: "'Foo Bar'" is Foo Bar. */
static void
put_name(struct field_text *out, struct slice name)
{
	name = slice_trim(name);
	if (name.len >= 2 && name.at[0] == '"' && name.at[name.len - 1] == '"')
		name = slice_trim(slice_part(name, 1, name.len - 2));
	if (name.len >= 2 && name.at[0] == '\'' && name.at[name.len - 1] == '\'')
		name = slice_part(name, 1, name.len - 2);
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] == '\\' && i + 1 < name.len)
			i++;
		put(out, slice_part(name, i, 1));
	}
}

/* A field without an address or name adds nothing where one is asked for. */
static void
put_field(struct field_text *out, const struct mail_field *f, enum field_form form)
{
	struct mailbox box = { { NULL, 0 }, { NULL, 0 } };

	if (form == FORM_ADDR || form == FORM_NAME) {
		box = first_mailbox((struct slice){ f->value, f->value_len });
		if ((form == FORM_ADDR ? box.addr : box.name).len == 0)
			return;
	}
	if (out->exists)
		put(out, SLICE("\n"));
	out->exists = true;
	switch (form) {
	case FORM_DECODED:
		put(out, (struct slice){ f->decoded, f->decoded_len });
		break;
	case FORM_RAW:
		put_lf(out, (struct slice){ f->raw, f->raw_len });
		break;
	case FORM_ADDR:
		put(out, box.addr);
		break;
	case FORM_NAME:
		put_name(out, decoded_name(f, box.name));
		break;
	}
}

static void
put_named(struct field_text *out, const struct field *field, const char *const *names, const struct field_index *index)
{
	size_t total = 0, seen = 0, first;

	for (const char *const *name = names; *name != NULL; name++)
		total += find(index, *name, &first);
	for (; *names != NULL; names++) {
		size_t n = find(index, *names, &first);

		for (size_t i = first; i < first + n; i++) {
			seen++;
			if ((field->pick == PICK_FIRST && seen > 1) || (field->pick == PICK_LAST && seen < total))
				continue;
			put_field(out, index->fields[i], field->form);
		}
	}
}

static void
put_all(struct field_text *out, const struct field *field, const struct mail *mail)
{
	out->exists = true;
	if (field->form == FORM_RAW) {
		struct slice header = mail->header;	/* with the empty line, which is no field's */

		if (header.len > 2 && memcmp(header.at + header.len - 2, "\r\n", 2) == 0)
			header.len -= 2;
		else if (header.len > 1 && header.at[header.len - 1] == '\n')
			header.len--;
		put_lf(out, header);
		return;
	}
	for (size_t i = 0; i < mail->nfields; i++) {
		put(out, slice_of(mail->fields[i].name));
		put(out, SLICE(": "));
		put(out, (struct slice){ mail->fields[i].decoded, mail->fields[i].decoded_len });
		put(out, SLICE("\n"));
	}
}

void
field_text_make(struct field_text *out, const struct field *field, const struct field_index *index,
    const struct facts *facts)
{
	const char *const plain[] = { field->name, NULL };

	*out = (struct field_text){ .exists = false };
	buf_init(&out->buf, FIELD_TEXT_MAX);
	if (strcmp(field->name, "ALL") == 0) {
		put_all(out, field, index->mail);
	} else if (strcmp(field->name, "MESSAGEID") == 0) {
		put_named(out, field, message_ids, index);
	} else if (compare_names(field->name, "ToCc") == 0) {
		put_named(out, field, to_cc, index);
	} else if (compare_names(field->name, "EnvelopeFrom") == 0) {
		out->exists = true;
		put(out, facts->from);
	} else {
		put_named(out, field, plain, index);
	}
}

void
field_text_free(struct field_text *text)
{
	buf_free(&text->buf);
}
