/* fuzz_smtp_envelope.c - MAIL and RCPT from anywhere: what is read can be said, and reads the same again. */
#include <stdlib.h>
#include <string.h>

#include "proxy/smtp/smtp_envelope.h"

static const struct backend_caps all = { .extensions = ~0u };

static struct slice
arguments(struct buf *b)
{
	struct slice line = buf_slice(b);

	return slice_part(line, 5, line.len - 7);
}

static void
mail(struct slice in, unsigned offered)
{
	struct smtp_mail m, again;
	struct buf out;

	if (smtp_mail_read(&m, in, offered) != NULL)
		return;
	buf_init(&out, SMTP_MAIL_MAX);
	if (!smtp_mail_say(&m, &all, &out))
		abort();
	for (size_t i = 0; i + 2 < buf_len(&out); i++)
		if (buf_slice(&out).at[i] == '\r' || buf_slice(&out).at[i] == '\n' || buf_slice(&out).at[i] == '\0')
			abort();
	again = m;
	again.prdr = false;		/* it is not said */
	if (smtp_mail_read(&m, arguments(&out), ~0u) != NULL || memcmp(&m, &again, sizeof(m)) != 0)
		abort();
	buf_free(&out);
}

static void
rcpt(struct slice in, unsigned offered)
{
	struct smtp_to to, again;
	struct buf out;

	if (smtp_to_read(&to, in, offered, true) != NULL)
		return;
	buf_init(&out, SMTP_RCPT_MAX);
	if (!smtp_to_say(&to, &all, &out) || smtp_to_read(&again, arguments(&out), ~0u, true) != NULL ||
	    again.notify != to.notify || strcmp(again.to.mailbox, to.to.mailbox) != 0)
		abort();
	smtp_to_free(&to);
	smtp_to_free(&again);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct smtp_mail m;
	struct smtp_to *tos;
	size_t n;

	if (size == 0)
		return 0;
	in = slice_part(in, 1, size);
	mail(in, data[0] & 1 ? ~0u : CONF_EXT_SIZE);
	rcpt(in, data[0] & 2 ? ~0u : 0);
	if (smtp_envelope_unpack(in, &m, &tos, &n))
		smtp_tos_free(&tos, n);
	return 0;
}
