/* keeper_hints.h - a page that master, keeper and all workers share: which keys the keeper cannot know.
 *
 * For each kind of key there are 65,536 counters, and a key's first two octets say which one is its own. A worker
 * counts up *before* it tells the keeper of a key; the keeper counts down when an entry goes, or when it turns
 * out that what it was told of had an entry already. So each entry owns exactly one count, and a counter is never
 * lower than the number of entries in the keeper's memory and in the sockets on the way there:
 *
 *  - who reads 0 can rely on it that nobody whose telling was over before this reading told of such a key;
 *  - workers never count down: one that dies between counting and telling leaves a count too many, which costs
 *    a needless question now and then and never an answer;
 *  - a keeper that died is followed thus: master clears the page when it has reaped the old one and before it
 *    makes the channels to the new one. What is counted before the clearing belonged to old channels, on which
 *    nobody hears anything any more; what is counted after it stays. The new keeper adds what it has loaded, and
 *    until it has said keeper_hints_loaded() any key may be known.
 *
 * A counter that has reached its top stays there. */
#ifndef POLICY_KEEPER_KEEPER_HINTS_H
#define POLICY_KEEPER_KEEPER_HINTS_H

#include <stdbool.h>

#define KEEPER_KEY_LEN 32	/* octets: SHA-256 (base/digest.h) */

struct keeper_key {
	unsigned char bytes[KEEPER_KEY_LEN];
};

enum keeper_hint { HINT_LEDGER, HINT_POISON, HINT_KINDS };

struct keeper_hints;

struct keeper_hints *keeper_hints_new(void);		/* by master, before anyone is forked; NULL with errno */
void keeper_hints_clear(struct keeper_hints *);		/* by master, see above */
void keeper_hints_loaded(struct keeper_hints *);
void keeper_hints_add(struct keeper_hints *, enum keeper_hint, const struct keeper_key *);
void keeper_hints_drop(struct keeper_hints *, enum keeper_hint, const struct keeper_key *);
bool keeper_hints_may_know(const struct keeper_hints *, enum keeper_hint, const struct keeper_key *);

#endif
