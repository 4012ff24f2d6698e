/* resolver.h - names asked for in the DNS (c-ares), in the loop. Nothing is read from a file here.
 *
 * What comes back is hostile: numbers of records are bounded, names are checked, and nothing blocks. */
#ifndef PROXY_NET_RESOLVER_H
#define PROXY_NET_RESOLVER_H

#include "proxy/base/addr.h"
#include "proxy/net/loop.h"

#define RESOLVER_RECORDS_MAX 64		/* taken from one answer */

struct resolver;
struct resolver_query;

struct resolver *resolver_new(struct loop *, const struct addr *servers, size_t nservers, struct err *);
void resolver_free(struct resolver **);		/* questions that run are never answered */
const char *resolver_library(void);		/* c-ares' version */

enum resolver_result {
	RESOLVER_FOUND,
	RESOLVER_NONE,		/* the name does not exist, or has no such record */
	RESOLVER_FAILED,	/* no answer, or nonsense: ask again later */
};

struct resolver_mx {
	unsigned preference;
	char host[256];
};

struct resolver_answer {
	enum resolver_result result;
	unsigned ttl;			/* seconds; the smallest, at least 1, at most a day */
	struct addr *addresses;		/* A and AAAA, port 0 */
	struct resolver_mx *mx;		/* by preference */
	size_t n;
	const char *why;		/* for a log, when nothing was found */
};

/* The answer comes once, never inside this call, and is valid during the call back. */
struct resolver_query *resolver_addresses(struct resolver *, const char *host,
    void (*answer)(void *owner, const struct resolver_answer *), void *owner);
struct resolver_query *resolver_mail_hosts(struct resolver *, const char *domain,
    void (*answer)(void *owner, const struct resolver_answer *), void *owner);
void resolver_cancel(struct resolver_query **);

#endif
