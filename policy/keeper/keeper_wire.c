#include "policy/keeper/keeper_wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

enum { NUMBER = 1, KEY = 2, COMMIT = 4, COUNT = 8, SIZE = 16, ID = 32, YES = 64, TEXT = 128 };

static const struct row {
	enum keeper_from from;
	unsigned fields;
} rows[KEEPER_WORDS] = {
	[KEEPER_COMMIT]     = { KEEPER_FROM_WORKER, KEY | COMMIT },
	[KEEPER_HEARD]      = { KEEPER_FROM_WORKER, KEY },
	[KEEPER_ASK]        = { KEEPER_FROM_WORKER, NUMBER | KEY },
	[KEEPER_POISON]     = { KEEPER_FROM_WORKER, KEY },
	[KEEPER_POISON_ASK] = { KEEPER_FROM_WORKER, NUMBER | KEY },
	[KEEPER_HOLD]       = { KEEPER_FROM_WORKER, NUMBER | SIZE },
	[KEEPER_RELEASED]   = { KEEPER_FROM_WORKER, NUMBER | YES | TEXT },
	[KEEPER_KNOWN]      = { KEEPER_TO_WORKER, NUMBER | COMMIT },
	[KEEPER_UNKNOWN]    = { KEEPER_TO_WORKER, NUMBER },
	[KEEPER_POISONED]   = { KEEPER_TO_WORKER, NUMBER | COUNT },
	[KEEPER_HELD]       = { KEEPER_TO_WORKER, NUMBER | ID },
	[KEEPER_NOT_HELD]   = { KEEPER_TO_WORKER, NUMBER | TEXT },
	[KEEPER_RELEASE]    = { KEEPER_TO_WORKER, NUMBER | SIZE },
	[KEEPER_STATUS]     = { KEEPER_FROM_CTL, 0 },
	[KEEPER_LIST]       = { KEEPER_FROM_CTL, 0 },
	[KEEPER_SHOW]       = { KEEPER_FROM_CTL, ID },
	[KEEPER_DELIVER]    = { KEEPER_FROM_CTL, ID },
	[KEEPER_DELETE]     = { KEEPER_FROM_CTL, ID },
	[KEEPER_ANSWER]     = { KEEPER_TO_CTL, YES | TEXT },
};

static bool
put_text(struct buf *b, struct slice text)
{
	return wire_put_bytes(b, slice_part(text, 0, KEEPER_TEXT_MAX));
}

static struct slice
get_text(struct wire_in *in, size_t max)
{
	struct slice s = wire_bytes(in);

	in->bad = in->bad || s.len > max;
	return s;
}

bool
keeper_id_good(struct slice id)
{
	for (size_t i = 0; i < id.len; i++) {
		char c = id.at[i];
		bool inner = i > 0 && i + 1 < id.len;

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    !(inner && (c == '.' || c == '-')))
			return false;
	}
	return id.len > 0 && id.len <= KEEPER_ID_MAX;
}

static struct slice
get_id(struct wire_in *in)
{
	struct slice id = wire_bytes(in);

	in->bad = in->bad || !keeper_id_good(id);
	return id;
}

bool
keeper_put_commit(struct buf *b, const struct keeper_commit *c)
{
	return c->nrcpts <= KEEPER_COMMIT_MAX && wire_put_bytes(b, (struct slice){ (const char *)c->rcpts, c->nrcpts * 8 }) &&
	       put_text(b, c->reply);
}

static void
get_commit(struct wire_in *in, struct keeper_commit *c)
{
	struct slice rcpts = wire_bytes(in);

	in->bad = in->bad || rcpts.len % 8 != 0 || rcpts.len / 8 > KEEPER_COMMIT_MAX;
	c->rcpts = (const unsigned char (*)[8])(const void *)rcpts.at;
	c->nrcpts = in->bad ? 0 : rcpts.len / 8;
	c->reply = get_text(in, KEEPER_TEXT_MAX);
}

bool
keeper_get_commit(struct slice bytes, struct keeper_commit *c)
{
	struct wire_in in = wire_open(bytes);

	get_commit(&in, c);
	return wire_done(&in);
}

bool
keeper_put(struct buf *b, const struct keeper_msg *m)
{
	unsigned fields = rows[m->word].fields;

	return wire_put_u8(b, m->word) && (!(fields & NUMBER) || wire_put_u64(b, m->number)) &&
	       (!(fields & KEY) || buf_put(b, (struct slice){ (const char *)m->key.bytes, KEEPER_KEY_LEN })) &&
	       (!(fields & COMMIT) || keeper_put_commit(b, &m->commit)) && (!(fields & COUNT) || wire_put_u32(b, m->count)) &&
	       (!(fields & SIZE) || wire_put_u64(b, m->size)) && (!(fields & ID) || (keeper_id_good(m->id) && wire_put_bytes(b, m->id))) &&
	       (!(fields & YES) || wire_put_u8(b, m->yes)) && (!(fields & TEXT) || put_text(b, m->text));
}

static bool
get_bool(struct wire_in *in)
{
	uint8_t n = wire_u8(in);

	in->bad = in->bad || n > 1;
	return n == 1;
}

static void
get_key(struct wire_in *in, struct keeper_key *key)
{
	in->bad = in->bad || in->left.len < KEEPER_KEY_LEN;
	if (in->bad)
		return;
	memcpy(key->bytes, in->left.at, KEEPER_KEY_LEN);
	in->left = slice_part(in->left, KEEPER_KEY_LEN, in->left.len);
}

bool
keeper_get(struct slice bytes, enum keeper_from from, struct keeper_msg *m)
{
	struct wire_in in = wire_open(bytes);
	unsigned word = wire_u8(&in), fields;

	memset(m, 0, sizeof(*m));
	if (word == 0 || word >= KEEPER_WORDS || rows[word].from != from)
		return false;
	m->word = (enum keeper_word)word;
	fields = rows[word].fields;
	if (fields & NUMBER)
		m->number = wire_u64(&in);
	if (fields & KEY)
		get_key(&in, &m->key);
	if (fields & COMMIT)
		get_commit(&in, &m->commit);
	if (fields & COUNT)
		m->count = wire_u32(&in);
	if (fields & SIZE)
		m->size = wire_u64(&in);
	if (fields & ID)
		m->id = get_id(&in);
	if (fields & YES)
		m->yes = get_bool(&in);
	if (fields & TEXT)
		m->text = get_text(&in, KEEPER_TEXT_MAX);
	return wire_done(&in);
}

static bool
put_mailboxes(struct buf *b, const struct keeper_copy *c)
{
	if (c->nrcpts == 0 || c->nrcpts > KEEPER_RCPTS_MAX || c->from.len > KEEPER_MAILBOX_MAX || !wire_put_bytes(b, c->from) ||
	    !wire_put_u32(b, (uint32_t)c->nrcpts))
		return false;
	for (size_t i = 0; i < c->nrcpts; i++)
		if (c->rcpts[i].len > KEEPER_MAILBOX_MAX || !wire_put_bytes(b, c->rcpts[i]))
			return false;
	return true;
}

static bool
put_pieces(struct buf *b, const struct keeper_copy *c)
{
	if (c->npieces > KEEPER_PIECES_MAX || !wire_put_u32(b, (uint32_t)c->npieces))
		return false;
	for (size_t i = 0; i < c->npieces; i++)
		if (!wire_put_u64(b, c->pieces[i].from) || !wire_put_u64(b, c->pieces[i].len))
			return false;
	return true;
}

bool
keeper_put_copy(struct buf *b, const struct keeper_copy *c)
{
	char client[ADDR_TEXT_MAX] = "";

	if (c->client.len > 0)
		addr_text(&c->client, client);
	return keeper_id_good(c->id) && wire_put_bytes(b, c->id) && put_text(b, c->why) && put_text(b, c->verdict) &&
	       put_text(b, c->listener) && put_text(b, c->profile) && put_text(b, c->backend) &&
	       wire_put_bytes(b, slice_of(client)) && put_text(b, c->helo) && put_text(b, c->user) && put_text(b, c->tls) &&
	       put_mailboxes(b, c) && wire_put_bytes(b, c->envelope) && wire_put_bytes(b, c->headers) && put_pieces(b, c);
}

static void
get_client(struct wire_in *in, struct addr *client)
{
	struct slice text = wire_bytes(in);
	char name[ADDR_TEXT_MAX];

	if (text.len > 0 && (!slice_copy(text, name, sizeof(name)) || !addr_read(client, name)))
		in->bad = true;
}

/* A count whose items take at least `least` octets each: memory is only taken for what can be there. */
static size_t
get_count(struct wire_in *in, size_t max, size_t least)
{
	uint32_t n = wire_u32(in);

	if (n > max || n > in->left.len / least)
		in->bad = true;
	return in->bad ? 0 : n;
}

static void
get_mailboxes(struct wire_in *in, struct keeper_copy *c)
{
	struct slice *rcpts;

	c->from = get_text(in, KEEPER_MAILBOX_MAX);
	c->nrcpts = get_count(in, KEEPER_RCPTS_MAX, 4);
	in->bad = in->bad || c->nrcpts == 0;
	c->rcpts = rcpts = mem_array(c->nrcpts + 1, sizeof(*rcpts));
	for (size_t i = 0; i < c->nrcpts; i++)
		rcpts[i] = get_text(in, KEEPER_MAILBOX_MAX);
}

static void
get_pieces(struct wire_in *in, struct keeper_copy *c)
{
	struct keeper_piece *pieces;

	c->npieces = get_count(in, KEEPER_PIECES_MAX, 16);
	c->pieces = pieces = mem_array(c->npieces + 1, sizeof(*pieces));
	for (size_t i = 0; i < c->npieces; i++) {
		pieces[i].from = wire_u64(in);
		pieces[i].len = wire_u64(in);
	}
}

static bool
get_copy(struct wire_in *in, struct keeper_copy *c)
{
	memset(c, 0, sizeof(*c));
	c->spool = -1;
	c->id = get_id(in);
	c->why = get_text(in, KEEPER_TEXT_MAX);
	c->verdict = get_text(in, KEEPER_TEXT_MAX);
	c->listener = get_text(in, KEEPER_TEXT_MAX);
	c->profile = get_text(in, KEEPER_TEXT_MAX);
	c->backend = get_text(in, KEEPER_TEXT_MAX);
	get_client(in, &c->client);
	c->helo = get_text(in, KEEPER_TEXT_MAX);
	c->user = get_text(in, KEEPER_TEXT_MAX);
	c->tls = get_text(in, KEEPER_TEXT_MAX);
	get_mailboxes(in, c);
	c->envelope = wire_bytes(in);
	c->headers = wire_bytes(in);
	get_pieces(in, c);
	return wire_done(in);
}

bool
keeper_get_copy(struct slice bytes, struct keeper_copy *c)
{
	struct wire_in in = wire_open(bytes);

	return get_copy(&in, c);
}

void
keeper_copy_free(struct keeper_copy *c)
{
	free((void *)c->rcpts);
	free((void *)c->pieces);
	c->rcpts = NULL;
	c->pieces = NULL;
	c->nrcpts = c->npieces = 0;
}

bool
keeper_put_held(struct buf *b, const struct keeper_held *h)
{
	return wire_put_u64(b, (uint64_t)h->time) && wire_put_u64(b, h->size) && wire_put_u32(b, h->attempts) &&
	       put_text(b, h->last) && keeper_put_copy(b, &h->copy);
}

bool
keeper_get_held(struct slice bytes, struct keeper_held *h)
{
	struct wire_in in = wire_open(bytes);

	h->time = (int64_t)wire_u64(&in);
	h->size = wire_u64(&in);
	h->attempts = wire_u32(&in);
	h->last = get_text(&in, KEEPER_TEXT_MAX);
	return get_copy(&in, &h->copy);
}

bool
keeper_is_sealed(int fd, uint64_t size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
}

int
keeper_read_memfd(int fd, size_t max, struct buf *b, struct err *err)
{
	struct stat st;
	size_t size, room;
	char *at;

	if (fstat(fd, &st) == -1 || st.st_size < 0 || (uint64_t)st.st_size > max || !keeper_is_sealed(fd, (uint64_t)st.st_size))
		return err_set(err, "what came is no sealed memfd of at most %zu octets", max);
	size = (size_t)st.st_size;
	if (size == 0)
		return 0;
	at = buf_space(b, size, &room);
	if (at == NULL || room < size || pread(fd, at, size, 0) != (ssize_t)size)
		return err_set(err, "a memfd of %zu octets cannot be read", size);
	buf_filled(b, size);
	return 0;
}
