#include "proxy/smtp/smtp.h"
#include "proxy/smtp/smtp_backend.h"

/* The session to the backend does the bookkeeping itself, address by address: a probe adds
 * nothing but its end. */
static void
on_ready(void *owner)
{
	struct backend *b = owner;
	struct smtp_backend *link = b->probing;

	b->probing = NULL;
	smtp_backend_quit(&link);
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	(void)owner;
	(void)order;
	(void)reply;
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct backend *b = owner;

	(void)why;
	(void)sent;
	b->probing = NULL;
}

static void
probe_start(struct backend *b)
{
	static const struct smtp_backend_ops calls = { on_ready, on_reply, on_failed };

	b->probing = smtp_backend_open(b->loop, b, NULL, &calls, b);
}

static void
probe_cancel(struct backend *b)
{
	struct smtp_backend *link = b->probing;

	b->probing = NULL;
	smtp_backend_drop(&link);
}

const struct backend_probe smtp_probe = { probe_start, probe_cancel };
