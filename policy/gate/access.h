/* access.h - who may connect, and who may relay. Asked before anything else is done. */
#ifndef POLICY_GATE_ACCESS_H
#define POLICY_GATE_ACCESS_H

#include "conf/conf.h"

/* deny wins over allow; without any allow everyone else may come. */
bool gate_may_connect(const struct conf_listener *, const struct addr *client);

/* Whether this client may send mail to domains that are not ours. */
bool gate_may_relay(const struct conf_listener *, const struct addr *client);

/* Whether this peer is a proxy of ours: its connections begin with a PROXY header. */
bool gate_is_proxy(const struct conf_listener *, const struct addr *peer);

/* Whether this peer may tell us on whose behalf it comes (XCLIENT, XFORWARD). */
bool gate_may_xclient(const struct conf_listener *, const struct addr *peer);

enum gate_rcpt {
	GATE_RCPT_ROUTE,		/* goes to *route */
	GATE_RCPT_RELAY_DENIED,		/* foreign, and this client may not */
	GATE_RCPT_NO_ROUTE,		/* foreign, this client may, but no "*" route exists */
};

/* Where mail goes that is asked for (empty domain, as in <postmaster>: our first route). Relaying is for the listener's
 * relay-from clients and, where auth-relays is on, for who has authenticated. */
enum gate_rcpt gate_route(const struct conf *, const struct addr *client, bool authenticated, const struct conf_ask *,
    const struct conf_route **route);

#endif
