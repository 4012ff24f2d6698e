/* proxyproto.h - the header of the PROXY protocol, which tells a server behind us who the client is
 * (haproxy.org, doc/proxy-protocol.txt). It stands in front of everything else, TLS included. */
#ifndef PROXY_NET_PROXYPROTO_H
#define PROXY_NET_PROXYPROTO_H

#include "proxy/base/addr.h"
#include "proxy/base/buf.h"

/* Append a header: from the client to where it had connected to. from NULL: the connection is our own (a health
 * check): LOCAL in version 2; version 1 has only "UNKNOWN" for it. Addresses of two families, or none of TCP's, are said as
 * unknown. False when out has no room (then nothing was put). */
bool proxyproto_v1(struct buf *out, const struct addr *from, const struct addr *to);
bool proxyproto_v2(struct buf *out, const struct addr *from, const struct addr *to);

#endif
