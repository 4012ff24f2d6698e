#include "proxy/smtp/smtp_trace.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

/* Where the line that begins at `at` ends, behind its LF. */
static size_t
line_end(struct slice m, size_t at)
{
	const char *lf = memchr(m.at + at, '\n', m.len - at);

	return lf != NULL ? (size_t)(lf - m.at) + 1 : m.len;
}

static bool
is_blank_at(struct slice m, size_t at)
{
	return at < m.len && (m.at[at] == ' ' || m.at[at] == '\t');
}

/* A field's name, or the empty slice when it is no field. Blanks before the colon are obsolete syntax
 * (RFC 5322 section 4.5), and a line end among them is none at all; but readers that unfold first take
 * both, so a forged field must not hide behind them. */
static struct slice
field_name(struct slice field)
{
	struct slice rest = field, name = slice_cut(&rest, ':');

	if (name.len == field.len)
		return SLICE("");
	while (name.len > 0 && strchr(" \t\r\n", name.at[name.len - 1]) != NULL)
		name.len--;
	name = slice_trim(name);
	return slice_has(name, ' ') || slice_has(name, '\t') || slice_has(name, '\r') ? SLICE("") : name;
}

static void
add_piece(struct trace *t, size_t from, size_t to)
{
	struct trace_piece *p;

	if (from == to)
		return;
	p = mem_push(&t->pieces, &t->npieces, sizeof(*p));
	p->from = from;
	p->len = to - from;
}

void
trace_read(struct trace *t, struct slice m, bool (*owns)(struct slice name))
{
	size_t at = 0, kept_from = 0;

	memset(t, 0, sizeof(*t));
	t->starts_blank = is_blank_at(m, 0);
	while (at < m.len) {
		size_t end = line_end(m, at);
		struct slice name;

		if (slice_is(slice_part(m, at, end - at), "\r\n"))
			break;
		while (is_blank_at(m, end))	/* folded (RFC 5322 section 2.2.3) */
			end = line_end(m, end);
		if (end > TRACE_HEADER_MAX) {
			t->too_big = true;
			break;
		}
		name = field_name(slice_part(m, at, end - at));
		t->hops += slice_iis(name, "Received");
		if (name.len > 0 && owns(name)) {
			add_piece(t, kept_from, at);
			kept_from = end;
			t->stripped++;
		}
		at = end;
	}
	add_piece(t, kept_from, m.len);
}

void
trace_free(struct trace *t)
{
	free(t->pieces);
	memset(t, 0, sizeof(*t));
}

/* A client's name for itself may hold anything printable; a comment's parentheses and the like must not. */
static void
put_name(struct buf *b, struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		buf_putc(b, strchr("()<>\\\";", name.at[i]) == NULL && name.at[i] > ' ' && name.at[i] <= '~' ? name.at[i] : '?');
}

/* RFC 3848: with what protocol the message came. */
static const char *
with_protocol(const struct facts *f)
{
	if (!f->esmtp)
		return "SMTP";
	if (f->authenticated)
		return f->tls.len > 0 ? "ESMTPSA" : "ESMTPA";
	return f->tls.len > 0 ? "ESMTPS" : "ESMTP";
}

bool
trace_received(struct buf *b, const struct facts *f, time_t now)
{
	char ip[ADDR_TEXT_MAX], date[64];
	struct tm tm;

	if (buf_room(b) < 2048)
		return false;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	addr_host(&f->client, ip);
	buf_puts(b, "Received: from ");
	put_name(b, f->helo);
	buf_printf(b, " ([%s%s])\r\n\tby %.*s", f->client.ss.ss_family == AF_INET6 ? "IPv6:" : "", ip,
	    (int)f->hostname.len, f->hostname.at);
	buf_printf(b, " with %s", with_protocol(f));
	if (f->tls.len > 0)
		buf_printf(b, " (%.*s)", (int)f->tls.len, f->tls.at);
	buf_printf(b, "\r\n\tid %.*s", (int)f->id.len, f->id.at);
	if (f->nrcpts == 1 && f->rcpts[0].len < 500)
		buf_printf(b, "\r\n\tfor <%.*s>", (int)f->rcpts[0].len, f->rcpts[0].at);
	return buf_printf(b, ";\r\n\t%s\r\n", date);
}
