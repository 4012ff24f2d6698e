/* smtp_int.h - what the files of this folder share: the session. */
#ifndef PROXY_SMTP_SMTP_INT_H
#define PROXY_SMTP_SMTP_INT_H

#include "policy/keeper/keeper_client.h"
#include "policy/profile/profile.h"
#include "proxy/base/digest.h"
#include "proxy/net/conn.h"
#include "proxy/net/dot.h"
#include "proxy/net/id.h"
#include "proxy/net/line.h"
#include "proxy/net/pace.h"
#include "proxy/smtp/smtp.h"
#include "proxy/smtp/smtp_backend.h"
#include "proxy/smtp/smtp_offer.h"
#include "proxy/smtp/smtp_pool.h"
#include "proxy/smtp/smtp_told.h"

#define SMTP_LINE_MAX 2048	/* octets of a command line: 512 and room for the extensions' parameters */
#define SMTP_HELO_MAX 255
#define SMTP_ASKS_MAX 64	/* RCPTs that the backend has not answered yet */
#define SMTP_ANSWER_ROOM 16384	/* octets for any answer but to RCPTs and PRDR */
#define SMTP_PRDR_MAX 1500	/* recipients of a message with an answer for each */
#define SMTP_PRDR_ROOM 60	/* octets at least for each of these */

enum smtp_state {
	SMTP_GREETED,		/* no HELO yet */
	SMTP_READY,		/* no transaction */
	SMTP_MAIL,		/* MAIL accepted */
	SMTP_RCPT,		/* and a recipient */
	SMTP_BDAT,		/* between two chunks */
	SMTP_DATA,		/* the message, or a chunk of it, comes in */
	SMTP_JUDGE,		/* it is whole; a scanner has it */
	SMTP_DELIVER,		/* it goes to the backend, or into quarantine */
};
#define IN(state) (1u << SMTP_##state)
#define IN_ANY    (IN(GREETED) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(BDAT))

enum smtp_step {		/* what a handler leaves behind */
	STEP_NEXT,		/* answered, or will be in its turn: the next command may come */
	STEP_WAIT,		/* the answer comes from elsewhere; further commands stay buffered */
	STEP_GONE,		/* the session has ended */
};

_Static_assert(SMTP_ANSWER_ROOM + SMTP_PRDR_MAX * SMTP_PRDR_ROOM < CONN_OUT_MAX, "all answers to one message fit");

/* What has become of a recipient's copy. */
enum smtp_fate {
	FATE_OPEN,		/* to be delivered */
	FATE_TO_HOLD,		/* to be put into quarantine */
	FATE_KNOWN,		/* delivered by an earlier attempt whose answer nobody heard */
	FATE_DELIVERED,
	FATE_HELD,		/* in quarantine */
	FATE_REFUSED,
	FATE_DEFERRED,
};

struct smtp_rcpt {		/* one that was accepted at RCPT */
	struct smtp_to to;
	unsigned party;		/* its place in the transaction's parties */
	enum smtp_fate fate;
	char *words;		/* one line: the reply that decided, as the client may hear it; NULL: none yet */
};

struct smtp_party {		/* recipients who share a profile */
	const struct conf_profile *profile;
	struct verdict verdict;
};

struct smtp_ask {		/* a RCPT whose answer is still to be said; in the order of the commands */
	struct smtp_to to;
	const struct conf_profile *profile;
	const char *refusal;	/* ours; the backend is not asked */
};

/* One message from MAIL to its end. */
struct smtp_transaction {
	char id[ID_MAX];
	struct smtp_mail mail;
	struct backend *backend;	/* where it goes; NULL while no recipient has said */
	const struct conf_backend *const *choices;	/* where it may go: those of the route, in order */
	size_t nchoices;
	unsigned tried;			/* of them, a bit each */
	bool mail_sent;			/* the backend has MAIL, and has said yes */
	unsigned standing;		/* recipients that stand in the backend's transaction */
	struct smtp_rcpt *rcpts;
	size_t nrcpts;
	struct smtp_party *parties;
	size_t nparties;
	struct smtp_ask asks[SMTP_ASKS_MAX];	/* a ring */
	unsigned first_ask, nasks;
	struct smtp_check *check;	/* a recipient that another server is asked about */
	bool broken;			/* the backend was lost: nothing but 451 from here on */
	char trouble[200];		/* why */
	struct timer park;		/* when DATA has lasted so long that the backend is let go */
	bool parked;			/* it was */
	/* The message. */
	struct spool *spool;
	struct digest *digest;		/* of its octets, while they come in; NULL: nobody needs it */
	struct keeper_key content, key;	/* of the whole; and the ledger's */
	bool keyed;			/* these two are known */
	struct dot_reader dot;
	struct crlf_reader lines;	/* BDAT */
	bool chunked;			/* it comes by BDAT */
	bool last_chunk;
	uint64_t chunk_left;		/* octets */
	const char *chunk_trouble;	/* the reply to all further chunks */
	uint64_t received;		/* decoded octets, kept or not */
	uint64_t taken_in;		/* the same as they came, also those that decode to nothing */
	struct pace pace;
	bool too_big, no_room;		/* the rest is read and thrown away */
	struct trace trace;
	/* Judging. */
	struct scan_ticket *ticket;
	struct keeper_ticket *question;	/* to the keeper */
	unsigned poison;		/* how often this content has broken a scanner */
	struct findings *findings;	/* NULL: nothing was to be judged */
	struct verdict verdict;		/* of all, for the log: the gravest */
	/* Delivery: in rounds, one for each set of header fields that recipients get. */
	struct buf headers;		/* ours, for in front of the message */
	unsigned *round;		/* who is in this one: places in rcpts */
	unsigned nround, asked, answered;	/* of them: RCPTs sent, answers */
	enum { ROUND_LINK, ROUND_MAIL, ROUND_RCPT, ROUND_SEND } round_step;
	struct smtp_reply answer;	/* the backend's last, whole */
	unsigned covered;		/* recipients for whom it speaks */
	char last_reply[200];		/* the same for the log */
	bool said_421;			/* the backend did: the session ends, too */
	bool committed;			/* the ledger has an entry of it */
	bool delivering;		/* counted as on its way into the server (BUDGET_DELIVERING) */
	char held[KEEPER_TEXT_MAX];	/* ids of the copies in quarantine */
	double began, dot_at, judged_at;	/* loop_now() */
};

struct smtp_session {
	struct smtp_server *server;
	struct smtp_session *next, **prev;
	struct site *site;
	const struct conf_listener *listener;
	struct conn *client;
	struct addr peer;		/* the client: who connected, or whom a proxy or XCLIENT named */
	struct addr *relay;		/* who connected, or whom a proxy named, once XCLIENT has made peer another; NULL: peer */
	struct addr local;		/* where the client connected to */
	struct crowd_place place;	/* among the connections of its address */
	bool probe;			/* a balancer's look at us */
	struct smtp_told *xclient, *xforward;	/* what a relay in front of us said; NULL: nothing */
	struct addr *original;		/* where it was going when it was taken over; NULL: to us */
	char id[ID_MAX];
	enum smtp_state state;
	bool waiting;			/* for something other than the client's next octets */
	bool esmtp;
	bool handshake;			/* STARTTLS: the handshake runs */
	bool quit, last_words;		/* the client said QUIT; we have said our last */
	bool line_begun;		/* a command is here in part: its own deadline runs */
	bool link_ready, own;		/* of the link; it is this client's alone (it has authenticated there) */
	bool link_forwarded;		/* it was told what XFORWARD says of one message */
	bool opening;			/* not greeted: the server that the client was going to has to be there first */
	bool heard_due;			/* the next command will tell that the client has its answer: key is the ledger's */
	struct keeper_key heard;
	bool spoke_last;		/* its side was still open when the answer was said */
	struct line_reader lines;
	unsigned offered;		/* bits of enum conf_extension: what the last EHLO was told; 0 after HELO */
	unsigned errors, junk, messages;
	char *helo;			/* NULL: none yet */
	char *tls;			/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; NULL without */
	unsigned user_mech;		/* how it has authenticated (a bit of enum conf_mechanism); 0: it has not */
	char *user;			/* as whom; NULL: nobody, or the mechanism hides it */
	struct timer deadline;
	double began;
	struct smtp_backend *link;	/* an open session to link_to */
	struct backend *link_to;
	struct backend_caps *original_caps;	/* of the server that it was going to */
	bool asking;			/* VRFY, EXPN, ETRN: the server's answer is awaited */
	char *text;			/* such a command, while it waits for the link */
	uint64_t unwanted;		/* octets of a chunk that belongs to no message, to be read and forgotten */
	const char *unwanted_reply;	/* what is said then; NULL: there is none */
	struct smtp_auth *auth;		/* an exchange under way */
	struct smtp_transaction *t;	/* NULL: none */
};

struct smtp_server {
	struct loop *loop;
	struct scan_pool *scanners;
	struct flagged *flagged;	/* sockets for keep-source */
	struct keeper *keeper;
	struct smtp_pool *pool;
	struct smtp_verify *verify;
	struct smtp_throttle *throttle;
	struct budgets *budgets;
	struct crowd *crowd;
	struct spool_house spools;
	unsigned slot, sessions, sessions_max;
	struct id_maker ids;
	struct smtp_session *first;
	bool draining;
	void (*all_gone)(void *owner);
	void *owner;
};

/* smtp_session.c: one session (smtp_server.c: all of them, smtp.h) */
void smtp_say(struct smtp_session *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));	/* one reply line */
enum smtp_step smtp_ok(struct smtp_session *, const char *reply);
enum smtp_step smtp_refuse(struct smtp_session *, const char *reply);	/* counts as an error of the client */
enum smtp_step smtp_end(struct smtp_session *, const char *reply, const char *why);	/* last words (may be NULL), then goodbye */
void smtp_enter(struct smtp_session *, enum smtp_state);
void smtp_greet(struct smtp_session *);		/* the server that was waited for is there */
void smtp_resume(struct smtp_session *);	/* the awaited answer was said: go on with what is buffered */
/* The connection is the session's from here on, and the place in the crowd; it was booked as one already. */
void smtp_session_begin(struct smtp_server *, struct site *, const struct conf_listener *, const struct arrival *,
    const struct crowd_place *);
void smtp_session_drain(struct smtp_session *);	/* it ends now if nothing is under way, else when that is over */

/* smtp_cmd.c: the commands that end here */
struct smtp_cmd {
	const char *verb;
	enum smtp_step (*run)(struct smtp_session *, struct slice args);
	unsigned states;
	unsigned flags;
	const char *help;	/* what it does, or why it is refused */
};
enum {
	CMD_PRE_TLS = 1,	/* allowed before a STARTTLS that is required */
	CMD_LAST = 2,		/* nothing may be pipelined behind it (RFC 2920 section 3.1) */
	CMD_JUNK = 4,		/* does nothing: an endless series of it is no use to anyone */
	CMD_PRE_AUTH = 8,	/* allowed before an AUTH that is required (RFC 4954 section 6) */
};
const struct smtp_cmd *smtp_cmd_find(struct slice verb);

/* smtp_hello.c: what we offer to whom */
unsigned smtp_can_offer(const struct smtp_session *);	/* bits of enum conf_extension */
const struct backend_caps *smtp_known_caps(const struct smtp_session *, const struct backend *);	/* NULL: nothing yet */
void smtp_say_ehlo(struct smtp_session *);
uint64_t smtp_size_limit(const struct smtp_session *);	/* octets of a message */

/* smtp_link.c: the session to a backend */
void smtp_link_take(struct smtp_session *, struct backend *);	/* ready() or failed() follow, never inside */
void smtp_link_give(struct smtp_session *, bool clean);		/* back to the pool, or kept where it is this client's */
void smtp_link_leave(struct smtp_session *);			/* without a transaction: back to the pool, or QUIT, whosever it is */
void smtp_link_drop(struct smtp_session *);
bool smtp_is_bound(const struct smtp_session *);		/* it has authenticated at a server: that one gets all its mail */
bool smtp_link_own(struct smtp_session *, struct backend *);	/* one for this client alone; true: it is ready already */
enum smtp_step smtp_ask_text(struct smtp_session *, const char *verb, struct slice args);	/* VRFY, EXPN, ETRN */
bool smtp_pass_on(struct smtp_session *, const struct smtp_reply *);	/* false: it was a 421, and the session has ended */
const struct conf_route *smtp_only_route(const struct smtp_session *);	/* all mail of this client goes its way; or NULL */

/* smtp_transaction.c: MAIL and RCPT, live to the backend */
bool smtp_may_relay(const struct smtp_session *);	/* to domains that are not ours */
enum smtp_step smtp_mail(struct smtp_session *, struct slice args);
enum smtp_step smtp_rcpt(struct smtp_session *, struct slice args);
void smtp_transaction_end(struct smtp_session *);	/* forgets it; what the backend holds of it is the caller's matter */
void smtp_transaction_abort(struct smtp_session *);	/* the same, and the backend hears RSET */
void smtp_mail_ready(struct smtp_session *);		/* the link is there for it */
void smtp_mail_answered(struct smtp_session *, const struct smtp_reply *);
void smtp_rcpt_answered(struct smtp_session *, const struct smtp_reply *);
void smtp_transaction_lost(struct smtp_session *, const char *why, bool was_ready);	/* the link is gone, before delivery */

/* smtp_data.c: the message comes in */
enum smtp_step smtp_data(struct smtp_session *, struct slice args);
enum smtp_step smtp_bdat(struct smtp_session *, struct slice args);
enum smtp_step smtp_data_input(struct smtp_session *);	/* octets while SMTP_DATA */
enum smtp_step smtp_refuse_message(struct smtp_session *, const char *reply, const char *why);

/* smtp_judge.c: ledger, poison, scanners, verdicts */
enum smtp_step smtp_judge(struct smtp_session *);
void smtp_rcpt_key(const struct smtp_rcpt *, unsigned char out[8]);	/* how the ledger names a recipient */
void smtp_facts(const struct smtp_session *, struct facts *, struct slice *rcpts);

/* smtp_deliver.c: to the backend, in rounds */
void smtp_round_begin(struct smtp_session *);		/* for those whose fate is open */
void smtp_round_ready(struct smtp_session *);
void smtp_round_reply(struct smtp_session *, enum smtp_order, const struct smtp_reply *);
void smtp_round_lost(struct smtp_session *, const char *why, bool sent);
void smtp_round_left(struct smtp_session *);	/* nothing is on its way to the server any more */

/* smtp_settle.c: what becomes of each copy, and what the client hears */
void smtp_settle(struct smtp_session *);		/* one step on: hold, deliver, or answer */
void smtp_set_fate(struct smtp_rcpt *, enum smtp_fate, const char *words);
const struct smtp_rcpt *smtp_first_with(const struct smtp_transaction *, enum smtp_fate);	/* NULL: none */
bool smtp_prdr(const struct smtp_session *);		/* each recipient hears its own answer */
bool smtp_headers(struct smtp_session *, const struct smtp_party *);	/* ours, into t->headers */

/* smtp_xclient.c: what a trusted relay in front of us says about the client */
enum smtp_step smtp_xclient(struct smtp_session *, struct slice args);
enum smtp_step smtp_xforward(struct smtp_session *, struct slice args);
const struct addr *smtp_relay(const struct smtp_session *);	/* who may say XCLIENT or not, and stands in the log */
void smtp_xclient_hello(struct smtp_session *);		/* HELO or EHLO was said: what the relay told holds against it */
void smtp_xforward_end(struct smtp_session *);		/* the transaction is over */
void smtp_told_facts(const struct smtp_session *, struct facts *);	/* on whose behalf this transaction is */
void smtp_told_client(const struct smtp_session *, struct smtp_client *);	/* the same for the backend */
void smtp_told_log(const struct smtp_session *, struct buf *line);

/* smtp_log.c: one line per connection and per message */
void smtp_log_connection(const struct smtp_session *, const char *why);
void smtp_log_message(const struct smtp_session *, const char *reply);
void smtp_log_fates(const struct smtp_session *);	/* one line for each recipient, where they differ */

#endif
