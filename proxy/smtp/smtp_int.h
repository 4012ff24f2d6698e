/* smtp_int.h - what the files of this folder share: the session. */
#ifndef PROXY_SMTP_SMTP_INT_H
#define PROXY_SMTP_SMTP_INT_H

#include "policy/profile/profile.h"
#include "proxy/net/conn.h"
#include "proxy/net/dot.h"
#include "proxy/net/id.h"
#include "proxy/net/line.h"
#include "proxy/smtp/smtp.h"
#include "proxy/smtp/smtp_backend.h"
#include "proxy/smtp/smtp_ehlo.h"
#include "proxy/smtp/smtp_path.h"

#define SMTP_LINE_MAX 2048	/* octets of a command line: 512 and room for the extensions' parameters */
#define SMTP_HELO_MAX 255

enum smtp_state {
	SMTP_GREETED,		/* no HELO yet */
	SMTP_READY,		/* no transaction */
	SMTP_MAIL,		/* MAIL accepted */
	SMTP_RCPT,		/* and a recipient */
	SMTP_DATA,		/* the message comes in */
	SMTP_JUDGE,		/* it is whole; a scanner has it */
	SMTP_DELIVER,		/* it goes to the backend */
};
#define IN(state) (1u << SMTP_##state)
#define IN_ANY    (IN(GREETED) | IN(READY) | IN(MAIL) | IN(RCPT))

enum smtp_step {		/* what a handler leaves behind */
	STEP_NEXT,		/* answered: the next command may come */
	STEP_WAIT,		/* the answer comes from elsewhere; further commands stay buffered */
	STEP_GONE,		/* the session has ended */
};

/* One message from MAIL to its end; the part of a session that is thrown away after each. */
struct smtp_transaction {
	char id[ID_MAX];
	struct smtp_path from;
	bool eightbit;			/* BODY=8BITMIME */
	uint64_t size_said;		/* SIZE=, 0 when not said */
	const struct conf_route *route;	/* of the first recipient; the others must agree */
	struct backend *backend;	/* where it goes; NULL while no recipient has said */
	bool mail_sent;			/* the backend has MAIL */
	struct smtp_path *rcpts;	/* accepted ones */
	size_t nrcpts;
	struct smtp_path rcpt;		/* the one that is asked for now */
	bool broken;			/* the backend was lost: nothing but 451 from here on */
	char trouble[200];		/* why */
	struct spool *spool;
	struct dot_reader dot;
	uint64_t received;		/* decoded octets, kept or not */
	uint64_t deadline_at;		/* taken_in when the deadline was set last */
	uint64_t taken_in;		/* the same as they came, also those that decode to nothing */
	bool too_big, no_room;		/* the rest is read and thrown away */
	struct scan_ticket *ticket;
	struct trace trace;
	struct verdict verdict;
	struct buf headers;		/* ours, for in front of the message */
	struct findings *findings;	/* NULL: nothing was to be judged */
	unsigned replies;		/* LMTP: answers after the dot so far */
	unsigned taken;			/* LMTP: recipients whose copy was accepted */
	bool *holds;			/* LMTP: of each recipient, whether its copy was accepted */
	struct smtp_reply worst;	/* LMTP: the answer that decides */
	char last_reply[200];		/* the backend's, for the log */
	double began, dot_at, judged_at;	/* loop_now() */
};

struct smtp_session {
	struct smtp_server *server;
	struct smtp_session *next, **prev;
	struct site *site;
	const struct conf_listener *listener;
	struct conn *client;
	struct addr peer;
	struct addr original;		/* where it was going when it was taken over; len 0: to us */
	char id[ID_MAX];
	enum smtp_state state;
	bool waiting;			/* for something other than the client's next octets */
	bool esmtp;
	bool handshake;			/* STARTTLS: the handshake runs */
	bool quit, last_words;		/* the client said QUIT; we have said our last */
	bool line_begun;		/* a command is here in part: its own deadline runs */
	char helo[SMTP_HELO_MAX + 1];
	char tls[TLS_TEXT_MAX];
	struct line_reader lines;
	unsigned errors, junk, messages;
	struct timer deadline;
	double began;
	struct smtp_backend *link;	/* an open session to link_to */
	struct backend *link_to;
	bool link_ready;
	bool opening;			/* not greeted: the server that the client was going to has to be there first */
	struct backend_caps original_caps;	/* of that server */
	struct smtp_transaction t;
};

struct smtp_server {
	struct loop *loop;
	struct scan_pool *scanners;
	struct flagged *flagged;	/* sockets for keep-source */
	unsigned slot, sessions, sessions_max;
	struct spool_budget spools;
	struct id_maker ids;
	struct smtp_session *first;
	bool draining;
	void (*all_gone)(void *owner);
	void *owner;
};

/* smtp_session.c: the engine */
void smtp_say(struct smtp_session *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));	/* one reply line */
enum smtp_step smtp_ok(struct smtp_session *, const char *reply);
enum smtp_step smtp_refuse(struct smtp_session *, const char *reply);	/* counts as an error of the client */
enum smtp_step smtp_end(struct smtp_session *, const char *reply, const char *why);	/* last words (may be NULL), then goodbye */
void smtp_enter(struct smtp_session *, enum smtp_state);
void smtp_greet(struct smtp_session *);		/* the server that was waited for is there */
void smtp_resume(struct smtp_session *);	/* the awaited answer was said: go on with what is buffered */

/* smtp_cmd.c: the commands that end here */
const struct smtp_cmd *smtp_cmd_find(struct slice verb);
void smtp_offer(const struct smtp_session *, struct smtp_offer *);
struct smtp_cmd {
	const char *verb;
	enum smtp_step (*run)(struct smtp_session *, struct slice args);
	unsigned states;
	unsigned flags;
};
enum {
	CMD_PRE_TLS = 1,	/* allowed before a STARTTLS that is required */
	CMD_LAST = 2,		/* nothing may be pipelined behind it (RFC 2920 section 3.1) */
	CMD_JUNK = 4,		/* does nothing: an endless series of it is no use to anyone */
};

/* smtp_transaction.c: MAIL and RCPT, live to the backend */
enum smtp_step smtp_mail(struct smtp_session *, struct slice args);
enum smtp_step smtp_rcpt(struct smtp_session *, struct slice args);
void smtp_transaction_begin(struct smtp_session *);
void smtp_transaction_end(struct smtp_session *);	/* forgets it; the link stays */
void smtp_transaction_abort(struct smtp_session *);	/* the same, and the backend hears RSET */
void smtp_link_open(struct smtp_session *, struct backend *);
void smtp_link_drop(struct smtp_session *);

/* smtp_data.c: DATA, judging, delivery */
enum smtp_step smtp_data(struct smtp_session *, struct slice args);
enum smtp_step smtp_data_input(struct smtp_session *);	/* octets while SMTP_DATA */
void smtp_data_reply(struct smtp_session *, enum smtp_order, const struct smtp_reply *);
void smtp_data_link_lost(struct smtp_session *, bool sent);
void smtp_facts(const struct smtp_session *, struct facts *, struct slice *rcpts);

/* smtp_log.c: one line per connection and per message */
void smtp_log_connection(const struct smtp_session *, const char *why);
void smtp_log_message(const struct smtp_session *, const char *reply);
void smtp_log_holders(const struct smtp_session *);	/* LMTP: one line for each recipient that has the message */

#endif
