#include "policy/keeper/ledger.h"

#include <string.h>

#include "proxy/base/wire.h"

#define DAY 86400

const struct table_kind ledger_kind = { STORE_LEDGER, HINT_LEDGER, .entries = 200000, .octets = 64u << 20, .life = DAY };
const struct table_kind poison_kind = { STORE_POISON, HINT_POISON, .entries = 20000, .octets = 1u << 20, .life = DAY };

static bool
has(const struct keeper_commit *c, const unsigned char rcpt[8])
{
	for (size_t i = 0; i < c->nrcpts; i++)
		if (memcmp(c->rcpts[i], rcpt, 8) == 0)
			return true;
	return false;
}

/* What stands there and what is new; beyond KEEPER_COMMIT_MAX recipients the rest is forgotten: it may get
 * the message twice. */
static void
merge(struct table *t, const struct keeper_key *key, const struct keeper_commit *there, const struct keeper_commit *more)
{
	unsigned char rcpts[KEEPER_COMMIT_MAX][8];
	struct keeper_commit both = { .rcpts = (const unsigned char (*)[8])rcpts, .reply = more->reply };
	struct buf value;

	if (there->nrcpts > 0)
		memcpy(rcpts, there->rcpts, there->nrcpts * 8);
	both.nrcpts = there->nrcpts;
	for (size_t i = 0; i < more->nrcpts && both.nrcpts < KEEPER_COMMIT_MAX; i++)
		if (!has(there, more->rcpts[i]))
			memcpy(rcpts[both.nrcpts++], more->rcpts[i], 8);
	buf_init(&value, CHAN_MAX);
	if (keeper_put_commit(&value, &both))
		table_change(t, key, buf_slice(&value));
	buf_free(&value);
}

void
ledger_commit(struct table *t, struct keeper_hints *hints, const struct keeper_key *key, const struct keeper_commit *c, int64_t now)
{
	struct keeper_commit there;
	struct buf value;

	if (ledger_ask(t, key, &there)) {
		keeper_hints_drop(hints, HINT_LEDGER, key);
		merge(t, key, &there, c);
		return;
	}
	buf_init(&value, CHAN_MAX);
	table_remove(t, key);		/* one from the store that cannot be read */
	if (keeper_put_commit(&value, c))
		table_add(t, key, buf_slice(&value), now);
	buf_free(&value);
}

void
ledger_heard(struct table *t, const struct keeper_key *key)
{
	table_remove(t, key);
}

bool
ledger_ask(const struct table *t, const struct keeper_key *key, struct keeper_commit *c)
{
	struct slice value;

	return table_find(t, key, &value) && keeper_get_commit(value, c);
}

unsigned
poison_ask(const struct table *t, const struct keeper_key *key)
{
	struct slice value;
	struct wire_in in;

	if (!table_find(t, key, &value))
		return 0;
	in = wire_open(value);
	return wire_u32(&in);
}

void
poison_add(struct table *t, struct keeper_hints *hints, const struct keeper_key *key, int64_t now)
{
	unsigned n = poison_ask(t, key);
	struct slice there;
	struct buf value;

	buf_init(&value, 16);
	wire_put_u32(&value, n < UINT32_MAX ? n + 1 : n);
	if (table_find(t, key, &there)) {
		keeper_hints_drop(hints, HINT_POISON, key);
		table_change(t, key, buf_slice(&value));
	} else {
		table_add(t, key, buf_slice(&value), now);
	}
	buf_free(&value);
}
