/* ledger.h - what the commit ledger and the poison memory mean, on top of a table each.
 *
 * A worker has counted in the hints what it tells of; where no new entry comes of it the count is taken back here. */
#ifndef POLICY_KEEPER_LEDGER_H
#define POLICY_KEEPER_LEDGER_H

#include "policy/keeper/keeper_wire.h"
#include "policy/keeper/table.h"

extern const struct table_kind ledger_kind, poison_kind;

/* Recipients add to what stands there; the reply is the newer one. */
void ledger_commit(struct table *, struct keeper_hints *, const struct keeper_key *, const struct keeper_commit *, int64_t now);
void ledger_heard(struct table *, const struct keeper_key *);
bool ledger_ask(const struct table *, const struct keeper_key *, struct keeper_commit *);	/* valid until the next change */

void poison_add(struct table *, struct keeper_hints *, const struct keeper_key *, int64_t now);
unsigned poison_ask(const struct table *, const struct keeper_key *);

#endif
