/* fuzz_smtp_path.c - anything as MAIL's and RCPT's argument, with UTF-8 and without: what is taken is capped,
 * harmless to write into a command of ours, and read the same when it comes back. */
#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/base/str.h"
#include "proxy/smtp/smtp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
is_harmless(struct slice s, bool utf8)
{
	while (s.len > 0) {
		size_t len = str_utf8_len(s);

		if (len == 0 || (len == 1 && (s.at[0] < ' ' || s.at[0] > '~')) || (len > 1 && !utf8))
			return false;
		s = slice_part(s, len, s.len);
	}
	return true;
}

static void
check_path(const struct smtp_path *path, bool utf8)
{
	struct slice mailbox = smtp_path_mailbox(path), rest;
	struct smtp_path again;
	struct buf wire;

	if (mailbox.len > SMTP_MAILBOX_MAX || path->local_len > SMTP_LOCAL_MAX || path->local_len > mailbox.len ||
	    smtp_path_domain(path).len > SMTP_DOMAIN_MAX)
		abort();
	if (!is_harmless(mailbox, utf8) || (smtp_path_is_utf8(path) && !utf8))
		abort();
	if (mailbox.at[0] != '"' && (slice_has(mailbox, ' ') || slice_has(mailbox, '>')))
		abort();
	buf_init(&wire, 1000);
	buf_printf(&wire, "<%s>", path->mailbox);
	rest = buf_slice(&wire);
	if (smtp_path_parse(&rest, &again, utf8) != PATH_OK || rest.len != 0 || again.local_len != path->local_len ||
	    strcmp(again.mailbox, path->mailbox) != 0 || smtp_path_is_routed(&again) != smtp_path_is_routed(path))
		abort();
	buf_free(&wire);
}

/* Octets above ASCII may stand in a value: who reads it looks closer. */
static void
check_params(const struct smtp_param *params, size_t n)
{
	if (n > SMTP_PARAMS_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (params[i].key.len == 0 || (params[i].value.at != NULL && params[i].value.len == 0))
			abort();
		for (size_t k = 0; k < params[i].value.len; k++) {
			unsigned char c = (unsigned char)params[i].value.at[k];

			if (c <= ' ' || c == 0x7f || c == '=')
				abort();
		}
	}
}

static void
check(struct slice wire, bool utf8)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	struct slice rest = wire;
	struct smtp_path path;
	size_t n;

	if (smtp_path_parse(&rest, &path, utf8) == PATH_OK) {
		if (rest.len >= wire.len)
			abort();
		check_path(&path, utf8);
	} else if (path.mailbox[0] != '\0') {
		abort();
	}
	if (smtp_params_parse(rest, params, &n))
		check_params(params, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };

	check(wire, false);
	check(wire, true);
	return 0;
}
