/* keeper_wire.h - what workers and administrators' commands say to the keeper, and it to them, as explicit bytes.
 *
 * Each message is one datagram. A worker's words are taken as mail is: what does not fit exactly ends its
 * channel. What may be large (the envelope of a held copy, a list) goes as a sealed memfd beside the message. */
#ifndef POLICY_KEEPER_KEEPER_WIRE_H
#define POLICY_KEEPER_KEEPER_WIRE_H

#include "policy/keeper/keeper_hints.h"
#include "proxy/base/addr.h"
#include "proxy/base/buf.h"
#include "proxy/base/chan.h"

#define KEEPER_TEXT_MAX    200		/* octets of a backend's reply, and of any other sentence */
#define KEEPER_ID_MAX      63		/* octets of a held copy's id */
#define KEEPER_MAILBOX_MAX 600		/* octets of a sender's or recipient's address */
#define KEEPER_RCPTS_MAX   100000	/* recipients of one copy */
#define KEEPER_PIECES_MAX  100000	/* pieces that a copy is put together of */
#define KEEPER_RECORD_MAX  (16u << 20)	/* octets of a packed copy */
#define KEEPER_COMMIT_MAX  4000		/* recipients in one entry of the ledger */
#define KEEPER_FDS_MAX     2

/* The ledger: who has a message whose sender may not have heard so. One entry for a key, which the caller makes of
 * client identity, MAIL and the digest of every octet; in it the recipients that have it. */
struct keeper_commit {
	const unsigned char (*rcpts)[8];	/* the first octets of each recipient's digest */
	size_t nrcpts;				/* at most KEEPER_COMMIT_MAX */
	struct slice reply;			/* the backend's, one line; cut at KEEPER_TEXT_MAX */
};

/* Quarantine. A copy is held for all recipients named. */
struct keeper_piece {
	uint64_t from, len;
};
struct keeper_copy {
	struct slice id;		/* the message's; the copy's id becomes ID or ID.2, ID.3 ... */
	struct slice why;		/* "score 16.2 of 15", "the mail server refused it: 550 ..." */
	struct slice verdict;		/* "quarantine", "refuse": what it would have been */
	struct slice listener, profile, backend;	/* their names: where a release goes */
	struct addr client;
	struct slice helo, user, tls, from;
	const struct slice *rcpts;
	size_t nrcpts;
	struct slice envelope;		/* the parameters of MAIL and RCPT as explicit bytes; the keeper does not look at them */
	struct slice headers;		/* ours, for in front */
	const struct keeper_piece *pieces;	/* what of the spool is delivered, in order; none: all of it */
	size_t npieces;
	uint64_t size;			/* of the spool */
	int spool;			/* sealed */
};

/* One that is held. */
struct keeper_held {
	int64_t time;			/* since the epoch, seconds */
	uint64_t size;			/* octets, our headers included */
	uint32_t attempts;		/* how often its release has failed */
	struct slice last;		/* how it ended last time */
	struct keeper_copy copy;	/* its id; no headers, pieces, spool */
};

/* What was read points into the input. get allocates rcpts and pieces: keeper_copy_free() gives them back, after a
 * get that failed, too. put refuses what get would. The spool does not travel here. */
bool keeper_put_copy(struct buf *, const struct keeper_copy *);
bool keeper_get_copy(struct slice, struct keeper_copy *);
void keeper_copy_free(struct keeper_copy *);
bool keeper_put_held(struct buf *, const struct keeper_held *);
bool keeper_get_held(struct slice, struct keeper_held *);

bool keeper_put_commit(struct buf *, const struct keeper_commit *);	/* as the ledger keeps them */
bool keeper_get_commit(struct slice, struct keeper_commit *);

bool keeper_id_good(struct slice);	/* letters, digits, inner dots and dashes: fit to be a file's name */

enum keeper_word {
	/* from a worker */
	KEEPER_COMMIT = 1,	/* key, commit */
	KEEPER_HEARD,		/* key */
	KEEPER_ASK,		/* number, key */
	KEEPER_POISON,		/* key */
	KEEPER_POISON_ASK,	/* number, key */
	KEEPER_HOLD,		/* number, size; the spool, a packed copy */
	KEEPER_RELEASED,	/* number, yes, text */
	/* to a worker */
	KEEPER_KNOWN,		/* number, commit */
	KEEPER_UNKNOWN,		/* number */
	KEEPER_POISONED,	/* number, count */
	KEEPER_HELD,		/* number, id */
	KEEPER_NOT_HELD,	/* number, text */
	KEEPER_RELEASE,		/* number, size; the message, a packed copy */
	/* from "gatepost ctl" */
	KEEPER_STATUS,
	KEEPER_LIST,
	KEEPER_SHOW,		/* id */
	KEEPER_DELIVER,		/* id */
	KEEPER_DELETE,		/* id */
	/* to it */
	KEEPER_ANSWER,		/* yes, text; for LIST a memfd with all that is held, for SHOW the packed held one and the message */
	KEEPER_WORDS
};

enum keeper_from { KEEPER_FROM_WORKER, KEEPER_TO_WORKER, KEEPER_FROM_CTL, KEEPER_TO_CTL };

struct keeper_msg {
	enum keeper_word word;
	uint64_t number, size;
	uint32_t count;
	bool yes;
	struct keeper_key key;
	struct keeper_commit commit;
	struct slice id, text;
};

/* put cuts texts; false when it does not fit. get: what this side says, in full and nothing else. */
bool keeper_put(struct buf *, const struct keeper_msg *);
bool keeper_get(struct slice, enum keeper_from, struct keeper_msg *);

/* All octets of a memfd that nobody can change any more, at most max; -1 with err. */
int keeper_read_memfd(int fd, size_t max, struct buf *, struct err *);
bool keeper_is_sealed(int fd, uint64_t size);		/* a memfd that stays as it is, of that many octets */

#endif
