/* fuzz_smtp_reply.c - any lines as a backend's reply: what we say to a client is a reply by the book,
 * and saying it again changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "proxy/smtp/smtp_ehlo.h"
#include "proxy/smtp/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* RFC 5321 section 4.2: printable, in order, the same code on each line, none too long. */
static void
check_said(struct slice said, int code)
{
	struct smtp_reply again;
	enum smtp_reply_step step = REPLY_MORE;
	struct buf twice;
	struct slice rest = said;

	smtp_reply_init(&again);
	buf_init(&twice, 65536);
	while (rest.len > 0) {
		struct slice line = slice_cut(&rest, '\n');

		if (line.len < 5 || line.len > 511 || line.at[--line.len] != '\r' || step != REPLY_MORE)
			abort();
		for (size_t i = 0; i < line.len; i++)
			if (line.at[i] < ' ' || line.at[i] > '~')
				abort();
		step = smtp_reply_add(&again, line);
	}
	if (step != REPLY_WHOLE || again.code != code || !smtp_reply_say(&again, &twice))
		abort();
	/* An enhanced code that was put there is one; only its width may cut a line once more. */
	if (said.len < 480 && !slice_same(said, buf_slice(&twice)))
		abort();
	smtp_reply_free(&again);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size };
	struct backend_caps caps;
	struct smtp_reply r;
	struct buf out;
	char text[64];

	smtp_reply_init(&r);
	buf_init(&out, 65536);
	while (rest.len > 0) {
		struct slice line = slice_part(slice_cut(&rest, '\n'), 0, SMTP_REPLY_LINE_MAX);
		enum smtp_reply_step step = smtp_reply_add(&r, line);

		if (r.lines > SMTP_REPLY_LINES || buf_len(&r.text) > SMTP_REPLY_TEXT)
			abort();
		if (step == REPLY_WHOLE) {
			smtp_ehlo_read(&r, &caps);
			smtp_reply_text(&r, text, sizeof(text));
			if (!smtp_reply_say(&r, &out))
				abort();
			check_said(buf_slice(&out), r.code);
			buf_clear(&out);
		}
		if (step != REPLY_MORE)
			smtp_reply_free(&r);
	}
	smtp_reply_free(&r);
	return 0;
}
