/* backend_int.h - what the files of this folder share: places, and the names that they come from. */
#ifndef PROXY_BACKEND_BACKEND_INT_H
#define PROXY_BACKEND_BACKEND_INT_H

#include "proxy/backend/backend.h"

/* One address. Its number is its own for good: one that the DNS names no more leaves its place empty for a while. */
struct backend_place {
	struct addr addr;
	unsigned word;		/* which of the words of "address" it comes from */
	char *host;		/* the name that it belongs to; NULL: the address was written */
	unsigned preference;	/* of the MX record */
	unsigned rank;		/* in the DNS's answer */
	bool live;		/* else: gone, or not used yet */
	bool named;		/* in the round of questions that runs */
	double gone;		/* since when; 0: it was never used */
	bool down;
	unsigned failure;	/* the how manieth of the backend it was */
	double looked;		/* when it was last spoken to */
	char why[128];
};

/* One word of "address" that the DNS is asked for. */
struct backend_name {
	struct backend *backend;
	unsigned word;
	struct timer again;
	struct resolver_query *mail_hosts;
	struct backend_question *questions;	/* of this round: one for each host */
	size_t nquestions, open;
	unsigned ttl;		/* the smallest of this round's answers */
	bool failed;		/* something of this round */
	bool changed, lost;	/* some address is new, or gone; gone */
	bool full;		/* an address found no place */
	bool answered;		/* the first round is over */
	double pause;		/* seconds to the next round after failures */
	unsigned failure;	/* the how manieth of the backend it was; 0: the last round went well */
	char why[160];
};

/* backend.c: after every change of what is live or down */
void backend_settle(struct backend *);

/* backend_names.c */
void backend_names_begin(struct backend *);
void backend_names_end(struct backend *);

#endif
