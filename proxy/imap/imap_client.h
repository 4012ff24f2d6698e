/* imap_client.h - one session to an IMAP server (RFC 3501; RFC 9051 where they agree), from our side.
 *
 * It dials (address after address until one greets), takes TLS as configured, and then carries what
 * the owner orders. Orders queue, those given before ready() too, and are sent one after another;
 * each has one answer, and everything untagged comes through one call while it arrives. Bodies are
 * streamed: an owner that cannot take more pauses the session. What a server says is hostile:
 * tokens, lines, nesting and numbers have limits; passing one, saying what was not asked for (a body
 * of another message, a continuation request, another tag) or BYE ends the session. After failed()
 * no call is made any more. Copies of a password are wiped as soon as the connection has it. */
#ifndef PROXY_IMAP_IMAP_CLIENT_H
#define PROXY_IMAP_IMAP_CLIENT_H

#include "proxy/backend/backend.h"

struct imap_client;

enum imap_result { IMAP_OK, IMAP_NO, IMAP_BAD };

/* A tagged response, or our own NO to an order that cannot be sent; its code then comes from RFC 5530:
 * login: AUTHENTICATIONFAILED (a name or password that IMAP cannot carry), PRIVACYREQUIRED (the
 * server takes no passwords without TLS), UNAVAILABLE (nor any other way that we know); others: CLIENTBUG. */
struct imap_answer {
	enum imap_result result;
	char code[64];			/* its response code's first word in upper case ("AUTHENTICATIONFAILED"), or empty */
	char text[200];			/* what a human may read: printable ASCII */
	bool bye;			/* the server had said BYE before: a NO is about that, perhaps */
};

enum imap_untagged_kind {
	IMAP_EXISTS,			/* number */
	IMAP_EXPUNGE,			/* number: the sequence number that is gone */
	IMAP_UIDVALIDITY,		/* number, from SELECT; never 0 */
	IMAP_FETCH,			/* one FETCH response is over: seq and whatever stood in it, a body too */
	IMAP_BODY_BEGIN,		/* a body comes: seq, size (octets that were announced). is_nil: none does, neither DATA nor END */
	IMAP_BODY_DATA,			/* a piece of it: data, at most IMAP_DATA_MAX octets and never empty */
	IMAP_BODY_END,			/* all octets that were announced have come */
	IMAP_SEARCH,			/* number: one of the UIDs found */
};

#define IMAP_DATA_MAX 16384

struct imap_untagged {
	enum imap_untagged_kind kind;
	uint32_t number, seq;
	uint32_t uid;			/* FETCH; 0: not said (for BODY_* it may still come behind the body) */
	uint64_t size;			/* RFC822.SIZE, or the body's */
	bool has_size, has_flags, deleted, seen, is_nil;
	struct slice data;
};

struct imap_client_ops {
	void (*ready)(void *owner);		/* greeted, TLS as required: login can be ordered */
	void (*untagged)(void *owner, const struct imap_untagged *);	/* once logged in */
	/* The session is over; the last call. `connected`: it had been ready once. */
	void (*failed)(void *owner, const char *why, bool connected);
};

struct imap_caps {
	bool uidplus, literal_plus, literal_minus, sasl_ir, auth_plain, login_disabled, unselect, move, id, starttls;
};

struct imap_client *imap_client_open(struct loop *, struct backend *, const struct imap_client_ops *, void *owner);
const struct imap_caps *imap_client_caps(const struct imap_client *);	/* asked again after TLS and after the login */
const struct addr *imap_client_addr(const struct imap_client *);
bool imap_client_secure(const struct imap_client *);	/* TLS is up */

/* Every order's answer comes once, unless failed() comes; never inside the call that orders it. */
void imap_login(struct imap_client *, struct slice user, struct slice password, void (*done)(void *owner, const struct imap_answer *));
void imap_select(struct imap_client *, const char *mailbox, void (*done)(void *owner, const struct imap_answer *));
/* UID FETCH 1:* (UID RFC822.SIZE FLAGS); an empty mailbox is not asked (some servers say BAD then) */
void imap_fetch_list(struct imap_client *, void (*done)(void *owner, const struct imap_answer *));
/* UID FETCH uid (UID BODY.PEEK[]), or a part of it when len > 0: BODY.PEEK[]<offset.len>. What comes is
 * of that message (or says no UID), begins at offset, and is one body with at most len octets, or none. */
void imap_fetch_body(struct imap_client *, uint32_t uid, uint64_t offset, uint64_t len, void (*done)(void *owner, const struct imap_answer *));
/* set: "1:3,7", at most IMAP_SET_MAX octets; flag: "\\Deleted". UID STORE set +FLAGS.SILENT (flag) */
#define IMAP_SET_MAX 8000
void imap_store(struct imap_client *, struct slice set, const char *flag, void (*done)(void *owner, const struct imap_answer *));
void imap_uid_expunge(struct imap_client *, struct slice set, void (*done)(void *owner, const struct imap_answer *));	/* RFC 4315 */
void imap_expunge(struct imap_client *, void (*done)(void *owner, const struct imap_answer *));
void imap_search_deleted(struct imap_client *, void (*done)(void *owner, const struct imap_answer *));	/* UID SEARCH DELETED */
void imap_noop(struct imap_client *, void (*done)(void *owner, const struct imap_answer *));

/* true: read no more from the server for now; no call but failed() is made until it is false again, and
 * silence is no fault meanwhile. May be called inside any call: what was read already waits, too. */
void imap_client_pause(struct imap_client *, bool);
void imap_client_quit(struct imap_client **);		/* LOGOUT, ends by itself; no more calls */
void imap_client_drop(struct imap_client **);		/* closes at once; no more calls */

/* A health check: connect, greeting, LOGOUT. */
extern const struct backend_probe imap_probe;

#endif
