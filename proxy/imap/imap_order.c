#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/mem.h"
#include "proxy/imap/imap_int.h"

void
imap_wipe(struct buf *b)
{
	if (b->mem != NULL)
		mem_wipe(b->mem, b->size);
	buf_free(b);
}

struct imap_order *
imap_order_new(enum imap_order_kind kind, const char *name, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = mem_new(sizeof(*order));

	order->kind = kind;
	order->name = name;
	order->done = done;
	buf_init(&order->said, IMAP_SAID_MAX);
	buf_init(&order->secret, 2 * IMAP_LOGIN_MAX);
	return order;
}

void
imap_order_free(struct imap_order **orderp)
{
	struct imap_order *order = *orderp;

	if (order == NULL)
		return;
	imap_wipe(&order->said);
	imap_wipe(&order->secret);
	free(order);
	*orderp = NULL;
}

void
imap_order_refuse(struct imap_order *order, const char *code, const char *text)
{
	order->answered = true;
	order->answer.result = IMAP_NO;
	snprintf(order->answer.code, sizeof(order->answer.code), "%s", code);
	snprintf(order->answer.text, sizeof(order->answer.text), "%s", text);
}

void
imap_login(struct imap_client *c, struct slice user, struct slice password, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_LOGIN, "the login", done);
	size_t room;

	buf_space(&order->secret, order->secret.max, &room);	/* all at once: growing would leave copies behind */
	if (user.len <= IMAP_LOGIN_MAX && password.len <= IMAP_LOGIN_MAX) {
		buf_put(&order->secret, user);
		buf_put(&order->secret, password);
		order->user_len = user.len;
	}
	imap_client_order(c, order);
}

void
imap_select(struct imap_client *c, const char *mailbox, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_SELECT, "SELECT", done);
	bool sayable = true;

	buf_puts(&order->said, "SELECT \"");
	for (; *mailbox != '\0'; mailbox++) {
		if (*mailbox == '"' || *mailbox == '\\')
			buf_putc(&order->said, '\\');
		/* Names are modified UTF-7: no octet above (RFC 3501 section 5.1.3). */
		sayable = sayable && *mailbox >= ' ' && *mailbox <= '~' && buf_putc(&order->said, *mailbox);
	}
	if (!buf_puts(&order->said, "\"\r\n") || !sayable)
		imap_order_refuse(order, "CLIENTBUG", "no name of a mailbox");
	imap_client_order(c, order);
}

void
imap_fetch_list(struct imap_client *c, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_LIST, "UID FETCH", done);

	buf_puts(&order->said, "UID FETCH 1:* (UID RFC822.SIZE FLAGS)\r\n");
	imap_client_order(c, order);
}

void
imap_fetch_body(struct imap_client *c, uint32_t uid, uint64_t offset, uint64_t len, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_BODY, "UID FETCH of a message", done);

	order->uid = uid;
	order->offset = offset;
	order->len = len;
	buf_printf(&order->said, "UID FETCH %u (UID BODY.PEEK[]", uid);
	if (len > 0)
		buf_printf(&order->said, "<%llu.%llu>", (unsigned long long)offset, (unsigned long long)len);
	buf_puts(&order->said, ")\r\n");
	if (uid == 0)
		imap_order_refuse(order, "CLIENTBUG", "no UID");
	imap_client_order(c, order);
}

/* "UID STORE 1:3 ...": a set goes out only when it is one (RFC 3501 section 9: sequence-set). */
static void
order_with_set(struct imap_client *c, const char *name, struct slice set, const char *rest,
    void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_OTHER, name, done);
	bool is_set = set.len > 0 && set.len <= IMAP_SET_MAX;

	for (size_t i = 0; i < set.len && is_set; i++)
		is_set = (set.at[i] >= '0' && set.at[i] <= '9') || set.at[i] == ',' || set.at[i] == ':';
	if (!is_set)
		imap_order_refuse(order, "CLIENTBUG", "no set of UIDs");
	else
		buf_printf(&order->said, "%s %.*s%s\r\n", name, (int)set.len, set.at, rest);
	imap_client_order(c, order);
}

void
imap_store(struct imap_client *c, struct slice set, const char *flag, void (*done)(void *owner, const struct imap_answer *))
{
	char rest[64];

	snprintf(rest, sizeof(rest), " +FLAGS.SILENT (%s)", flag);
	order_with_set(c, "UID STORE", set, rest, done);
}

void
imap_uid_expunge(struct imap_client *c, struct slice set, void (*done)(void *owner, const struct imap_answer *))
{
	order_with_set(c, "UID EXPUNGE", set, "", done);
}

/* A command that is its own name. */
static void
order_words(struct imap_client *c, const char *words, void (*done)(void *owner, const struct imap_answer *))
{
	struct imap_order *order = imap_order_new(ORDER_OTHER, words, done);

	buf_printf(&order->said, "%s\r\n", words);
	imap_client_order(c, order);
}

void
imap_expunge(struct imap_client *c, void (*done)(void *owner, const struct imap_answer *))
{
	order_words(c, "EXPUNGE", done);
}

void
imap_search_deleted(struct imap_client *c, void (*done)(void *owner, const struct imap_answer *))
{
	order_words(c, "UID SEARCH DELETED", done);
}

void
imap_noop(struct imap_client *c, void (*done)(void *owner, const struct imap_answer *))
{
	order_words(c, "NOOP", done);
}
