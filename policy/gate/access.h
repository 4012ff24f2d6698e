/* access.h - who may connect, and who may relay. Asked before anything else is done. */
#ifndef POLICY_GATE_ACCESS_H
#define POLICY_GATE_ACCESS_H

#include "conf/conf.h"

/* deny wins over allow; without any allow everyone else may come. */
bool gate_may_connect(const struct conf_listener *, const struct addr *client);

/* Whether this client may send mail to domains that are not ours. */
bool gate_may_relay(const struct conf_listener *, const struct addr *client);

enum gate_rcpt {
	GATE_RCPT_ROUTE,		/* goes to *route */
	GATE_RCPT_RELAY_DENIED,		/* foreign, and this client may not */
	GATE_RCPT_NO_ROUTE,		/* foreign, this client may, but no "*" route exists */
};

/* Where mail for this domain goes (empty domain, as in <postmaster>: our first route). */
enum gate_rcpt gate_recipient(const struct conf *, const struct conf_listener *, const struct addr *client,
    struct slice domain, const struct conf_route **route);

#endif
