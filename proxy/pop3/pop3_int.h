/* pop3_int.h - what the files of this folder share: the session. */
#ifndef PROXY_POP3_POP3_INT_H
#define PROXY_POP3_POP3_INT_H

#include "proxy/imap/imap_client.h"
#include "proxy/net/conn.h"
#include "proxy/net/id.h"
#include "proxy/net/line.h"
#include "proxy/pop3/pop3.h"
#include "proxy/pop3/pop3_drop.h"
#include "proxy/pop3/pop3_stuff.h"

#define POP3_LINE_MAX     12288	/* octets of a line: AUTH's may be long (RFC 4954 section 4) */
#define POP3_COMMAND_MAX  2048	/* of any other (RFC 2449 section 4 says 255; some clients say more) */
#define POP3_USER_MAX     255

enum pop3_state {
	POP3_AUTHORIZATION,
	POP3_SASL,		/* AUTH: the client's answer comes */
	POP3_TRANSACTION,
};
#define IN(state) (1u << POP3_##state)
#define IN_ANY    (IN(AUTHORIZATION) | IN(TRANSACTION))

enum pop3_step { STEP_NEXT, STEP_WAIT, STEP_GONE };	/* as in smtp_int.h: what a handler leaves behind */

/* One RETR or TOP while it runs. */
struct pop3_retr {
	struct pop3_mail *mail;
	struct pop3_stuff stuff;
	struct buf spill;	/* octets that the client's buffer had no room for */
	uint64_t lines;		/* TOP's */
	uint64_t part, offset;	/* TOP: the part that is asked for, and where it begins; part 0: the whole */
	uint64_t got;		/* octets of it */
	bool top;
	bool begun;		/* +OK was said: from here on only the whole message will do */
	bool whole;		/* the last octet came */
	bool answered;		/* and the tagged OK behind it */
	bool swallow;		/* its size is not the one that was listed: looked at first, then given */
	bool missing;		/* NIL: it is gone */
	bool looked;		/* the second try: the size is what it is */
};

struct pop3_session {
	struct pop3_server *server;
	struct pop3_session *next, **prev;
	struct site *site;
	const struct conf_listener *listener;
	struct conn *client;
	struct addr peer;		/* the client, as a proxy in front of us may have told */
	struct crowd_place place;	/* among the connections of its address */
	bool probe;			/* a balancer's look at us */
	char id[ID_MAX];
	enum pop3_state state;
	bool waiting, last_words;
	bool line_begun;
	char tls[TLS_TEXT_MAX];
	struct line_reader lines;
	unsigned errors, failed_logins;
	struct timer deadline;
	double began;
	char user[POP3_USER_MAX + 1];	/* as USER or AUTH said it */
	struct buf password;		/* until it is sent on */
	struct imap_client *mailbox;
	bool mailbox_ready, login_done, selected, has_exists;
	struct pop3_drop drop;
	char list_trouble[160];		/* why the list is no maildrop; empty: nothing yet */
	bool sizes_are_estimates;	/* this server's RFC822.SIZE is not what it sends */
	struct pop3_retr retr;
	struct {			/* LIST or UIDL while it goes out; put NULL: none */
		void (*put)(const struct pop3_session *, const struct pop3_mail *, char *out, size_t size);
		size_t next;
	} list;
	/* QUIT: what is done, in this order, and how far. */
	size_t set_from;
	struct buf set;
	unsigned foreign;		/* SEARCH DELETED: other clients' */
	bool update_failed;
	unsigned nretr, ntop, ndele;
	uint64_t octets;		/* sent */
	uint64_t taken;			/* as conn_untaken() said when the deadline passed last */
};

struct pop3_server {
	struct loop *loop;
	struct budgets *budgets;
	struct crowd *crowd;
	struct id_maker ids;
	unsigned slot, sessions, sessions_max;
	struct pop3_session *first;
	bool draining;
	void (*all_gone)(void *owner);
	void *owner;
};

/* pop3_session.c: the engine */
void pop3_say(struct pop3_session *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum pop3_step pop3_ok(struct pop3_session *, const char *text);	/* "+OK text" */
enum pop3_step pop3_err(struct pop3_session *, const char *text);	/* "-ERR text"; counts as an error */
enum pop3_step pop3_end(struct pop3_session *, const char *reply, const char *why);
void pop3_resume(struct pop3_session *);
bool pop3_in_answer(const struct pop3_session *);	/* of more than one line: no other word may stand in it */

/* pop3_cmd.c: the commands that end here */
struct pop3_cmd {
	const char *verb;
	enum pop3_step (*run)(struct pop3_session *, struct slice args);
	unsigned states;
};
const struct pop3_cmd *pop3_cmd_find(struct slice verb);
void pop3_list_drained(struct pop3_session *);
struct pop3_mail *pop3_named_mail(struct pop3_session *, struct slice arg, enum pop3_step *);	/* NULL after "-ERR" */
bool pop3_may_log_in(const struct pop3_session *);	/* now: TLS, or plaintext-login */
bool pop3_can_start_tls(const struct pop3_session *);

/* pop3_login.c */
enum pop3_step pop3_user(struct pop3_session *, struct slice args);
enum pop3_step pop3_pass(struct pop3_session *, struct slice args);
enum pop3_step pop3_auth(struct pop3_session *, struct slice args);
enum pop3_step pop3_sasl_answer(struct pop3_session *, struct slice line);

/* pop3_retr.c */
enum pop3_step pop3_retr(struct pop3_session *, struct slice args);
enum pop3_step pop3_top(struct pop3_session *, struct slice args);
void pop3_retr_untagged(struct pop3_session *, const struct imap_untagged *);
void pop3_retr_drained(struct pop3_session *);
void pop3_retr_end(struct pop3_session *);		/* forgets it */

/* pop3_quit.c */
enum pop3_step pop3_quit(struct pop3_session *, struct slice args);
void pop3_quit_untagged(struct pop3_session *, const struct imap_untagged *);

/* pop3_log.c: one line per session */
void pop3_log(const struct pop3_session *, const char *why);

#endif
