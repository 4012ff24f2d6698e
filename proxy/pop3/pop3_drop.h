/* pop3_drop.h - the maildrop of one session: a picture of a mailbox, taken once.
 *
 * A message's number is its place in the picture and never changes (RFC 1939 section 3); towards the
 * server it is named by its UID alone. Built from FETCH responses that are hostile: what does not
 * fit together (a UID twice, a size missing, fewer messages than were announced) is no maildrop, so
 * that a client never hears of fewer messages than there are. */
#ifndef PROXY_POP3_POP3_DROP_H
#define PROXY_POP3_POP3_DROP_H

#include "proxy/base/buf.h"
#include "proxy/base/err.h"

#define POP3_DROP_MAX 1000000	/* messages of a mailbox */

struct pop3_mail {
	uint64_t size;		/* octets, as the server says */
	uint32_t uid, seq;
	bool deleted;		/* marked by DELE */
	bool read;		/* RETR gave it whole */
	bool seen;		/* \Seen when the picture was taken */
	bool vanished;		/* the server has it no more */
	bool has_size, has_flags, hidden;	/* while the list comes */
};

struct pop3_drop {
	struct pop3_mail *mails;	/* once finished: in order of their UIDs */
	size_t nmails;
	uint32_t uidvalidity;
	uint32_t exists;	/* as SELECT announced */
	uint32_t expunged;	/* messages that went while the list came */
	uint32_t *gone;		/* sequence numbers of those that went later, in order */
	size_t ngone;
};

/* What one FETCH response says of a message while the list comes: all of it, or a part that another
 * one completes. -1: it does not fit. */
struct pop3_listed {
	uint32_t seq, uid;
	uint64_t size;
	bool has_size, has_flags, seen;
	bool deleted;		/* bears \Deleted: hidden */
};
int pop3_drop_add(struct pop3_drop *, const struct pop3_listed *, struct err *);
int pop3_drop_finish(struct pop3_drop *, struct err *);	/* -1: not a whole picture */
void pop3_drop_free(struct pop3_drop *);

/* EXPUNGE of a sequence number: while the list comes, or behind it. */
void pop3_drop_expunged(struct pop3_drop *, uint32_t seq, bool behind);

/* Whether the server has told that a message is gone. */
bool pop3_drop_is_gone(const struct pop3_drop *, const struct pop3_mail *);

/* Message n (from 1), or NULL: none of that number, or marked as deleted. */
struct pop3_mail *pop3_drop_mail(struct pop3_drop *, uint64_t n);
const struct pop3_mail *pop3_drop_uid(const struct pop3_drop *, uint32_t uid);	/* NULL: not in the picture */
void pop3_drop_count(const struct pop3_drop *, uint64_t *mails, uint64_t *octets);	/* without marked ones */
void pop3_drop_reset(struct pop3_drop *);		/* RSET: no marks, nothing read */

/* Appends "UIDL" of a message: UID and UIDVALIDITY as Dovecot writes them (%08Xu%08Xv, which come out in lower case). */
void pop3_drop_uidl(const struct pop3_drop *, const struct pop3_mail *, char out[24]);

/* Appends the UIDs of the messages that want() names as IMAP sets ("1:3,7"; RFC 3501 section 9: sequence-set),
 * from message *from on, until the buf is full; *from is where to go on. Adjacent messages of the
 * picture become a range only where their UIDs follow each other. */
void pop3_drop_set(const struct pop3_drop *, bool (*want)(const struct pop3_mail *), size_t *from, struct buf *out);

#endif
