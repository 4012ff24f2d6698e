/* conn.h - one nonblocking peer, plain or TLS.
 *
 * A conn owns its socket, its TLS state and two bounded buffers. The owner sees only bytes and
 * four calls back. It may close the conn inside any of them: memory lives till the turn ends.
 * What is put into conn_out() is written at the end of the turn; nobody flushes. */
#ifndef PROXY_NET_CONN_H
#define PROXY_NET_CONN_H

#include "proxy/base/addr.h"
#include "proxy/base/buf.h"
#include "proxy/net/loop.h"
#include "proxy/net/tls.h"

#define CONN_IN_MAX  65536	/* octets read ahead at the most */
#define CONN_OUT_MAX 131072	/* octets waiting to be written */
#define CONN_LENT    16		/* stretches lent at once */

struct conn;

struct conn_ops {
	void (*up)(void *owner);			/* connected, or the TLS handshake is done */
	void (*input)(void *owner);			/* conn_in() has new bytes */
	void (*drained)(void *owner);			/* all is written, what was lent, too (may be NULL) */
	void (*lost)(void *owner, const char *why);	/* the last call made; why is NULL for a plain end */
};

/* Takes a connected socket. */
struct conn *conn_new(struct loop *, int fd, const struct conn_ops *, void *owner);

/* Connects to an address; up() or lost() tells. NULL when not even that can be begun. they_begin: the
 * peer speaks first, so up() may wait for its first octets: one wakeup for both. */
struct conn *conn_dial(struct loop *, const struct addr *, bool they_begin, const struct conn_ops *, void *owner, struct err *);

/* Takes a socket that is connecting already. */
struct conn *conn_dialed(struct loop *, int fd, bool they_begin, const struct conn_ops *, void *owner);

/* One whose socket somebody else still makes: he hands it over, connected or connecting, with conn_give(), or
 * ends the conn with conn_fail(), which lost() tells at the end of the turn; `why` must last till then. given_up:
 * the owner has closed it first, so neither call may come any more. */
struct conn *conn_awaited(struct loop *, bool they_begin, const struct conn_ops *, void *owner, void (*given_up)(void *maker),
    void *maker);
void conn_give(struct conn *, int fd);
void conn_fail(struct conn *, const char *why);

/* Begins a handshake, as server or client as the context says. name: the server's, for a client; may be NULL
 * where nothing is verified by it. What was read ahead in the clear is dropped; what conn_out() holds is
 * written first. -1: no session can begin. */
int conn_starttls(struct conn *, struct tls_ctx *, const char *name, struct err *);

struct buf *conn_in(struct conn *);
struct buf *conn_out(struct conn *);
/* Octets that stay the owner's and stay where they are until drained(): written from there, behind what conn_out()
 * holds and what was lent before; nothing is put into conn_out() meanwhile. False: CONN_LENT of them wait. A conn
 * that is finished or closed before drained() writes no more of them. */
bool conn_lend(struct conn *, struct slice);
uint64_t conn_unwritten(const struct conn *);		/* octets in conn_out() and lent */
/* Nothing has come that was not read yet, nor the end (inside TLS: as far as it was decrypted). Costs a system call. */
bool conn_is_quiet(const struct conn *);
void conn_pass(struct conn *, const struct conn_ops *, void *owner);	/* it has another owner from now on */
void conn_pause(struct conn *, bool);			/* true: stop reading; how we push back */
/* Octets that the peer has not acknowledged yet; *taken counts those that it has, so that a slow reader
 * can be told from one that has stopped. */
uint64_t conn_untaken(const struct conn *, uint64_t *taken);
bool conn_ended(const struct conn *);			/* the peer has sent its last byte */
bool conn_stands(const struct conn *);			/* connected, whether or not up() was called yet */

/* Much is about to come in: fewer and larger reads from now on. */
void conn_expect_much(struct conn *);

void conn_close(struct conn **);			/* at once; sets NULL */
/* Writes what is left, says goodbye, waits a little for the peer to close, then closes: a peer
 * that is still sending then hears our last words instead of a reset. Sets NULL. */
void conn_finish(struct conn **);
/* Writes what is left, then closes: for a peer that has said it is done (QUIT). Sets NULL. */
void conn_bye(struct conn **);

void conn_peer(const struct conn *, struct addr *);
void conn_local(const struct conn *, struct addr *);	/* our own address in it */
void conn_tls_text(const struct conn *, char out[TLS_TEXT_MAX]);	/* empty without TLS */
bool conn_tls_peer_name(const struct conn *, char out[TLS_NAME_MAX]);	/* tls_peer_name(); false without TLS */

#endif
