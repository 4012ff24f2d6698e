/* fuzz_smtp_path.c - anything as MAIL's and RCPT's argument: what is taken is capped, harmless to write
 * into a command of ours, and read the same when it comes back. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/smtp/smtp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_path(const struct smtp_path *path)
{
	struct slice mailbox = smtp_path_mailbox(path), rest;
	struct smtp_path again;
	struct buf wire;

	if (mailbox.len > SMTP_MAILBOX_MAX || path->local_len > SMTP_LOCAL_MAX || path->local_len > mailbox.len ||
	    smtp_path_domain(path).len > SMTP_DOMAIN_MAX)
		abort();
	for (size_t i = 0; i < mailbox.len; i++)
		if (mailbox.at[i] < ' ' || mailbox.at[i] > '~')
			abort();
	if (mailbox.at[0] != '"' && (slice_has(mailbox, ' ') || slice_has(mailbox, '>')))
		abort();
	buf_init(&wire, 1000);
	buf_printf(&wire, "<%s>", path->mailbox);
	rest = buf_slice(&wire);
	if (smtp_path_parse(&rest, &again) != PATH_OK || rest.len != 0 || again.local_len != path->local_len ||
	    strcmp(again.mailbox, path->mailbox) != 0 || smtp_path_is_routed(&again) != smtp_path_is_routed(path))
		abort();
	buf_free(&wire);
}

static void
check_params(const struct smtp_param *params, size_t n)
{
	if (n > SMTP_PARAMS_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (params[i].key.len == 0 || (params[i].value.at != NULL && params[i].value.len == 0))
			abort();
		for (size_t k = 0; k < params[i].value.len; k++)
			if (params[i].value.at[k] <= ' ' || params[i].value.at[k] > '~')
				abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size }, rest = wire;
	struct smtp_param params[SMTP_PARAMS_MAX];
	struct smtp_path path;
	size_t n;

	if (smtp_path_parse(&rest, &path) == PATH_OK) {
		if (rest.len >= wire.len)
			abort();
		check_path(&path);
	} else if (path.mailbox[0] != '\0') {
		abort();
	}
	if (smtp_params_parse(rest, params, &n))
		check_params(params, n);
	return 0;
}
