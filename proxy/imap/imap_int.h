/* imap_int.h - what the files of this folder share: the session and its orders. */
#ifndef PROXY_IMAP_IMAP_INT_H
#define PROXY_IMAP_IMAP_INT_H

#include "proxy/imap/imap_client.h"
#include "proxy/imap/imap_parse.h"
#include "proxy/net/conn.h"

#define IMAP_SAID_MAX      20480	/* octets of one command: a set; a name and a password, all backslashes */
#define IMAP_LOGIN_MAX     4096		/* octets of a name or of a password */
#define IMAP_RESPONSES_MAX 10000	/* untagged ones that may come with one command, besides 4 for each message */
#define IMAP_WAITS_MAX     2

enum imap_phase {
	PHASE_DIAL,
	PHASE_GREETING,
	PHASE_CAPABILITY,
	PHASE_STARTTLS,
	PHASE_TLS,
	PHASE_CAPABILITY_TLS,
	PHASE_READY,		/* orders run */
};

enum imap_order_kind { ORDER_LOGIN, ORDER_SELECT, ORDER_LIST, ORDER_BODY, ORDER_OTHER };

struct imap_order {
	struct imap_order *next;
	enum imap_order_kind kind;
	const char *name;		/* for sentences: "UID FETCH" */
	void (*done)(void *owner, const struct imap_answer *);
	struct buf said;		/* without the tag, with the final CR LF; wiped */
	size_t waits[IMAP_WAITS_MAX];	/* at these places of `said` a continuation request must come first */
	unsigned nwaits, waited;	/* as many are behind us */
	size_t sent;			/* octets of `said` */
	struct buf secret;		/* ORDER_LOGIN: name and password, until it is their turn; wiped */
	size_t user_len;
	uint32_t uid;			/* ORDER_BODY: what was asked for */
	uint64_t offset, len;
	bool answered;			/* `answer` holds, its call is still to be made */
	struct imap_answer answer;
};

struct imap_client {
	struct loop *loop;
	struct backend *backend;
	const struct imap_client_ops *ops;
	void *owner;
	struct conn *conn;
	enum imap_phase phase;
	uint64_t tried;			/* places tried so far, a bit each */
	unsigned place;			/* the one in use */
	struct backend_waiter waiter;	/* for the backend's names to be known */
	struct addr addr;
	char trouble[160];		/* why the last address did not do */
	struct imap_caps caps;
	bool caps_told;			/* since they were last forgotten */
	bool secure, logged_in, paused;
	struct imap_parse parse;
	uint32_t last_tag;
	uint32_t waiting;		/* the tag whose answer has to come next; 0: none */
	struct imap_order *first, **last;	/* the first one is being carried out when `running` */
	bool running, asking_caps;	/* asking: the login went well, and what we may do now is asked */
	uint32_t exists;		/* messages, as the server last said */
	bool exists_known;
	uint64_t responses;		/* untagged ones since the last command */
	uint64_t responses_max;		/* that many are put up with */
	bool body_came, body_in_fetch;	/* of the running ORDER_BODY; in the FETCH response that is being read */
	bool bye;
	bool alerted;			/* an ALERT of it was logged */
	char bye_text[160];
	struct timer deadline;
	struct loop_task later;		/* what must not happen inside the owner's call */
};

/* imap_order.c */
void imap_wipe(struct buf *);		/* buf_free(), and what it held is gone from memory */
struct imap_order *imap_order_new(enum imap_order_kind, const char *name, void (*done)(void *owner, const struct imap_answer *));
void imap_order_free(struct imap_order **);
/* Our own NO: it is never sent. */
void imap_order_refuse(struct imap_order *, const char *code, const char *text);

/* imap_client.c: takes the order over */
void imap_client_order(struct imap_client *, struct imap_order *);

/* imap_login.c: what a login says to a server that can do this, or its refusal. */
void imap_login_say(struct imap_order *, const struct imap_caps *, bool secure);

/* imap_caps.c: the words of CAPABILITY. */
void imap_caps_read(struct imap_caps *, struct slice words);

#endif
