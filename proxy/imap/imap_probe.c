#include "proxy/imap/imap_client.h"

/* As smtp_probe: the session does the bookkeeping itself, a probe adds nothing but its end. */
static void
on_ready(void *owner)
{
	struct backend *b = owner;
	struct imap_client *session = b->probing;

	b->probing = NULL;
	imap_client_quit(&session);
}

static void
on_untagged(void *owner, const struct imap_untagged *data)
{
	(void)owner;
	(void)data;
}

static void
on_failed(void *owner, const char *why, bool connected)
{
	struct backend *b = owner;

	(void)why;
	(void)connected;
	b->probing = NULL;
}

static void
probe_start(struct backend *b)
{
	static const struct imap_client_ops calls = { on_ready, on_untagged, on_failed };

	b->probing = imap_client_open(b->loop, b, &calls, b);
}

static void
probe_cancel(struct backend *b)
{
	struct imap_client *session = b->probing;

	b->probing = NULL;
	imap_client_drop(&session);
}

const struct backend_probe imap_probe = { probe_start, probe_cancel };
