#include <string.h>

#include "proxy/smtp/smtp_backend_int.h"

#define COPY_MAX 16384	/* octets: what is shorter is copied, which costs less than a stretch of its own */
#define ROOM_MIN 16	/* octets: the end goes in whole */
#define PROGRESS 1024	/* octets that a server has to take in one data-timeout */
#define BEHIND   262144	/* octets not taken yet: then it is far behind what is written */

/* The octets of the whole message as BDAT counts them. */
static uint64_t
octets(const struct smtp_message *m)
{
	uint64_t n = m->headers.len;

	for (size_t i = 0; i < m->npieces; i++)
		n += slice_part(m->message, m->pieces[i].from, m->pieces[i].len).len;
	return n;
}

void
smtp_backend_send(struct smtp_backend *b, const struct smtp_message *m)
{
	unsigned has = smtp_backend_caps(b)->extensions;
	size_t before = buf_len(&b->words);

	b->message = *m;
	b->body_replies = b->backend->conf->protocol == CONF_LMTP ? m->nrcpts : 1;
	b->by_bdat = (has & CONF_EXT_CHUNKING) && (b->backend->conf->chunking || m->binary);
	if (m->binary && !(b->by_bdat && (has & CONF_EXT_BINARYMIME))) {
		smtp_backend_fail_soon(b, "the message is BINARYMIME, which the server does not take");
		return;
	}
	if (b->by_bdat)
		buf_printf(&b->words, "BDAT %llu LAST\r\n", (unsigned long long)octets(m));
	else
		buf_puts(&b->words, "DATA\r\n");
	smtp_orders_push(b, b->by_bdat ? ORDER_BODY : ORDER_DATA, buf_len(&b->words) - before);
}

/* Copied while that is cheap and nothing was lent before it, else lent. How much was taken: none when there is no
 * room, a part of what is copied. */
static size_t
put(struct smtp_backend *b, struct slice s)
{
	struct conn *conn = b->wire.conn;
	struct buf *out = conn_out(conn);

	if (s.len >= COPY_MAX || conn_unwritten(conn) > buf_len(out))
		return conn_lend(conn, s) ? s.len : 0;
	if (buf_room(out) < ROOM_MIN)
		return 0;
	s = slice_part(s, 0, buf_room(out));
	return buf_put(out, s) ? s.len : 0;
}

/* False: no room for now. */
static bool
put_piece(struct smtp_backend *b, struct slice piece)
{
	while (b->piece_done < piece.len) {
		struct slice rest = slice_part(piece, b->piece_done, piece.len);
		struct slice next = b->by_bdat ? rest : dot_next(&b->dot, rest);
		size_t n = put(b, next);

		if (n == 0)
			return false;
		b->piece_done += b->by_bdat ? n : dot_wrote(&b->dot, next, n);
	}
	return true;
}

/* As much of the message as there is room for; goes on when that is written. */
static void
fill(struct smtp_backend *b)
{
	const struct smtp_message *m = &b->message;

	while (b->piece < m->npieces) {
		if (!put_piece(b, slice_part(m->message, m->pieces[b->piece].from, m->pieces[b->piece].len)))
			return;
		b->piece++;
		b->piece_done = 0;
	}
	b->ended = b->by_bdat || put(b, dot_end(&b->dot)) > 0;
}

void
smtp_send_begin(struct smtp_backend *b)
{
	b->phase = PHASE_BODY;
	b->piece = b->piece_done = 0;
	b->dot = (struct dot_writer){ false, false };
	b->ended = b->out = false;
	b->taken = b->left = 0;
	timer_set(&b->deadline, b->backend->conf->data_timeout);
	/* Our fields never begin with a dot and end in CR LF: they need no stuffing. */
	if (!buf_put(conn_out(b->wire.conn), b->message.headers))
		smtp_backend_fail_soon(b, "our headers do not fit");
	else
		fill(b);
}

void
smtp_send_on(struct smtp_backend *b)
{
	timer_set(&b->deadline, b->backend->conf->data_timeout);
	b->left = conn_untaken(b->wire.conn, &b->taken);
	b->out = b->ended;
	if (!b->ended)
		fill(b);
}

bool
smtp_send_progress(struct smtp_backend *b)
{
	uint64_t before = b->taken, left = b->left;

	/* All may be written long before the server has read it. Its time to answer begins when it has. */
	b->left = conn_untaken(b->wire.conn, &b->taken);
	return b->taken >= before + PROGRESS && (b->left > 0 || left > BEHIND);
}
