/* loop_int.h - for the files of proxy/net alone. */
#ifndef PROXY_NET_LOOP_INT_H
#define PROXY_NET_LOOP_INT_H

#include "proxy/net/loop.h"

struct ev_loop *loop_ev(struct loop *);
void loop_count_peer(struct loop *, int more);	/* 1: a conn begins, -1: it has ended */

#endif
