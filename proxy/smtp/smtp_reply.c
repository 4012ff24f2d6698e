#include "proxy/smtp/smtp_reply.h"

#include <stdio.h>

#define SAY_LINES 10	/* of a long reply as many are passed on */
#define SAY_WIDTH (SMTP_REPLY_ROOM - 20)	/* octets of text in a line (RFC 5321 section 4.5.3.1.5: 512 with code and CR LF) */

void
smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){ 0 };
	buf_init(&r->text, SMTP_REPLY_TEXT);
}

void
smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->text);
	r->code = 0;
	r->lines = 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

enum smtp_reply_step
smtp_reply_add(struct smtp_reply *r, struct slice line)
{
	int code;
	char sep = line.len > 3 ? line.at[3] : ' ';

	if (line.len < 3 || line.at[0] < '2' || line.at[0] > '5' || !is_digit(line.at[1]) || !is_digit(line.at[2]))
		return REPLY_BAD;
	code = (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0');
	if ((sep != ' ' && sep != '-') || (r->lines > 0 && code != r->code) || r->lines == SMTP_REPLY_LINES)
		return REPLY_BAD;
	r->code = code;
	r->lines++;
	if (!buf_put(&r->text, slice_part(line, 4, line.len)) || !buf_putc(&r->text, '\n'))
		return REPLY_BAD;
	return sep == '-' ? REPLY_MORE : REPLY_WHOLE;
}

int
smtp_reply_class(const struct smtp_reply *r)
{
	return r->code / 100;
}

/* Length of "5.7.1" at the start of a text whose reply has this class, 0 when there is none
 * (RFC 2034 section 4: class digit equal to the reply's, three numbers of at most three digits). */
static size_t
enhanced_len(struct slice text, int class)
{
	size_t i = 1;

	if (text.len < 5 || text.at[0] != '0' + class)
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i >= text.len || text.at[i++] != '.')
			return 0;
		while (i < text.len && is_digit(text.at[i]) && digits < 4) {
			i++;
			digits++;
		}
		if (digits < 1 || digits > 3)
			return 0;
	}
	return i == text.len || text.at[i] == ' ' ? i : 0;
}

static void
put_clean(struct buf *out, struct slice text)
{
	if (text.len > SAY_WIDTH)
		text.len = SAY_WIDTH;
	for (size_t i = 0; i < text.len; i++)
		buf_putc(out, text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?');
}

static bool
say_lines(const struct smtp_reply *r, unsigned lines, struct buf *out)
{
	struct slice rest = buf_slice(&r->text);
	int class = smtp_reply_class(r);

	if (buf_room(out) < lines * SMTP_REPLY_ROOM)
		return false;
	for (unsigned i = 0; i < lines; i++) {
		struct slice text = slice_cut(&rest, '\n');

		buf_printf(out, "%d%c", r->code, i + 1 < lines ? '-' : ' ');
		if (class != 3 && enhanced_len(text, class) == 0)
			buf_printf(out, "%d.0.0 ", class);
		put_clean(out, text);
		buf_puts(out, "\r\n");
	}
	return true;
}

bool
smtp_reply_say(const struct smtp_reply *r, struct buf *out)
{
	return say_lines(r, r->lines < SAY_LINES ? r->lines : SAY_LINES, out);
}

bool
smtp_reply_say_short(const struct smtp_reply *r, struct buf *out)
{
	return say_lines(r, 1, out);
}

void
smtp_reply_text(const struct smtp_reply *r, char *out, size_t size)
{
	struct slice rest = buf_slice(&r->text), text = slice_cut(&rest, '\n');

	snprintf(out, size, "%d %.*s", r->code, (int)text.len, text.at != NULL ? text.at : "");
}
