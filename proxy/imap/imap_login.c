#include "proxy/base/b64.h"
#include "proxy/imap/imap_int.h"
#include "proxy/sasl/plain.h"

#define LITERAL_MINUS_MAX 4096	/* RFC 7888 section 5 */

/* What neither a quoted string nor a literal of a sane server takes, and NUL, which PLAIN parts with. */
static bool
can_be_said(struct slice text)
{
	return text.len > 0 && text.len <= IMAP_LOGIN_MAX && !slice_has(text, '\0') && !slice_has(text, '\r') && !slice_has(text, '\n');
}

static bool
can_be_quoted(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] >= 0x80)
			return false;
	return true;
}

static void
wait_here(struct imap_order *order)
{
	order->waits[order->nwaits++] = buf_len(&order->said);
}

/* RFC 3501 section 9: astring. Where no literal can be sent at once (RFC 7888) the server is asked first. */
static void
say_string(struct imap_order *order, const struct imap_caps *caps, struct slice text)
{
	struct buf *out = &order->said;
	bool at_once = caps->literal_plus || (caps->literal_minus && text.len <= LITERAL_MINUS_MAX);

	if (!can_be_quoted(text)) {
		buf_printf(out, "{%zu%s}\r\n", text.len, at_once ? "+" : "");
		if (!at_once)
			wait_here(order);
		buf_put(out, text);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, text.at[i]);
	}
	buf_putc(out, '"');
}

static void
say_plain(struct imap_order *order, const struct imap_caps *caps, struct slice user, struct slice password)
{
	struct sasl_plain plain = { .user = user, .password = password };
	struct buf message;
	size_t room;

	buf_init(&message, 2 * IMAP_LOGIN_MAX + 2);
	buf_space(&message, message.max, &room);	/* all at once: growing would leave copies behind */
	sasl_plain_write(&message, &plain);
	buf_puts(&order->said, caps->sasl_ir ? "AUTHENTICATE PLAIN " : "AUTHENTICATE PLAIN\r\n");
	if (!caps->sasl_ir)
		wait_here(order);
	b64_encode(&order->said, buf_slice(&message));
	imap_wipe(&message);
}

void
imap_login_say(struct imap_order *order, const struct imap_caps *caps, bool secure)
{
	struct slice both = buf_slice(&order->secret);
	struct slice user = slice_part(both, 0, order->user_len), password = slice_part(both, order->user_len, both.len);
	size_t room;

	if (!can_be_said(user) || !can_be_said(password)) {
		imap_order_refuse(order, "AUTHENTICATIONFAILED", "the name or the password cannot be said in IMAP");
	} else if (caps->login_disabled && !caps->auth_plain && !secure) {
		imap_order_refuse(order, "PRIVACYREQUIRED", "the server takes no passwords without TLS");
	} else if (caps->login_disabled && !caps->auth_plain) {
		imap_order_refuse(order, "UNAVAILABLE", "the server offers no way to log in that we know");
	} else {
		buf_space(&order->said, IMAP_SAID_MAX, &room);
		if (caps->auth_plain) {
			say_plain(order, caps, user, password);
		} else {
			buf_puts(&order->said, "LOGIN ");
			say_string(order, caps, user);
			buf_putc(&order->said, ' ');
			say_string(order, caps, password);
		}
		buf_puts(&order->said, "\r\n");
	}
	imap_wipe(&order->secret);
}
