#include "proxy/net/ticket.h"

#include <string.h>
#include <sys/random.h>

#include "proxy/base/mem.h"
#include "proxy/base/wire.h"

static int
make(struct ticket_key *key, size_t n, struct err *err)
{
	/* Up to 256 octets come whole or not at all (getrandom(2)); a key is 80. */
	for (size_t i = 0; i < n; i++)
		if (getrandom(&key[i], sizeof(key[i]), 0) != (ssize_t)sizeof(key[i]))
			return err_sys(err, "random octets for session tickets");
	return 0;
}

int
ticket_keys_make(struct ticket_keys *keys, struct err *err)
{
	return make(keys->key, TICKET_KEYS, err);
}

int
ticket_keys_rotate(struct ticket_keys *keys, struct err *err)
{
	struct ticket_key fresh;

	if (make(&fresh, 1, err) == -1)
		return -1;
	keys->key[TICKET_PREVIOUS] = keys->key[TICKET_CURRENT];
	keys->key[TICKET_CURRENT] = keys->key[TICKET_NEXT];
	keys->key[TICKET_NEXT] = fresh;
	mem_wipe(&fresh, sizeof(fresh));
	return 0;
}

void
ticket_keys_wipe(struct ticket_keys *keys)
{
	mem_wipe(keys, sizeof(*keys));
}

enum ticket_age
ticket_key_find(const struct ticket_keys *keys, const unsigned char name[TICKET_NAME_LEN])
{
	enum ticket_age age = TICKET_PREVIOUS;

	while (age < TICKET_KEYS && memcmp(keys->key[age].name, name, TICKET_NAME_LEN) != 0)
		age++;
	return age;
}

bool
ticket_keys_put(const struct ticket_keys *keys, struct buf *out)
{
	for (size_t i = 0; i < TICKET_KEYS; i++) {
		const struct ticket_key *k = &keys->key[i];

		if (!wire_put_bytes(out, (struct slice){ (const char *)k->name, sizeof(k->name) }) ||
		    !wire_put_bytes(out, (struct slice){ (const char *)k->cipher, sizeof(k->cipher) }) ||
		    !wire_put_bytes(out, (struct slice){ (const char *)k->mac, sizeof(k->mac) }))
			return false;
	}
	return true;
}

static bool
get(struct wire_in *in, unsigned char *out, size_t len)
{
	struct slice bytes = wire_bytes(in);

	if (bytes.len != len)
		return false;
	memcpy(out, bytes.at, len);
	return true;
}

bool
ticket_keys_get(struct ticket_keys *keys, struct slice bytes)
{
	struct wire_in in = wire_open(bytes);
	struct ticket_keys got;
	bool good = true;

	for (size_t i = 0; i < TICKET_KEYS; i++)
		good = good && get(&in, got.key[i].name, sizeof(got.key[i].name)) &&
		       get(&in, got.key[i].cipher, sizeof(got.key[i].cipher)) && get(&in, got.key[i].mac, sizeof(got.key[i].mac));
	good = good && wire_done(&in);
	if (good)
		*keys = got;
	ticket_keys_wipe(&got);
	return good;
}
