/* tls.h - TLS sessions over a nonblocking socket. SSL_* lives in tls*.c and nowhere else.
 *
 * No renegotiation, no compression, no early data. A client side verifies the certificate's chain and
 * name, or its key, unless told not to. A context is made once from bytes that master read, and shared
 * by counting references: sessions keep theirs over a reload. */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include "conf/conf.h"
#include "proxy/net/ticket.h"

#define TLS_TEXT_MAX 48	/* the longest names that OpenSSL has end before 40 */
#define TLS_NAME_MAX 256	/* of a client certificate's name, the NUL included */

struct tls_ctx;
struct tls;

/* What a server's context needs besides its certificates. */
struct tls_server_means {
	enum conf_protocol protocol;		/* whose name a client's ALPN list must hold, if it sends one */
	const struct ticket_keys *tickets;	/* what session tickets are sealed with; NULL: no tickets. Outlives
						 * the context; who owns it may put others in at any time */
	double ticket_life;			/* seconds that a ticket may be used */
};

/* blocks: all of a listener's, at least one. The certificate is chosen by the name that the client asks for (SNI,
 * RFC 6066 section 3): exact names go before "*.parent", and of certificates with different kinds of keys for the
 * same name the client gets one that it can verify. Who asks for nothing, or for a name that none of them bears,
 * gets the first. All else is as the first block says. NULL with a sentence that names the file. */
struct tls_ctx *tls_server_ctx(const struct conf_tls *const *blocks, size_t n, const struct tls_server_means *, struct err *);

/* Verifies as the backend's settings say: pins instead of a chain when there are any, and then whatever the tls-mode
 * is; else chain and name, unless tls-verify is off or the tls-mode is offer. Keeps the backend's last session
 * and takes it up again. */
struct tls_ctx *tls_client_ctx(const struct conf_backend *, struct err *);

struct tls_ctx *tls_ctx_ref(struct tls_ctx *);
void tls_ctx_free(struct tls_ctx **);			/* gives one reference back */
bool tls_ctx_serves(const struct tls_ctx *);		/* a server's */

/* What an operation left behind. */
enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_EOF, TLS_FAILED };

/* name: whom a client asks for (SNI) and whose certificate it wants to see; NULL on a server. */
struct tls *tls_new(struct tls_ctx *, int fd, const char *name, struct err *);
enum tls_step tls_handshake(struct tls *, struct err *);	/* the sentence says what was wrong with a certificate */
enum tls_step tls_read(struct tls *, char *at, size_t size, size_t *n, struct err *);
enum tls_step tls_write(struct tls *, struct slice, size_t *n, struct err *);
bool tls_pending(const struct tls *);			/* octets that came already wait inside */
void tls_bye(struct tls *);				/* sends close_notify, waits for nothing */
void tls_text(const struct tls *, char out[TLS_TEXT_MAX]);	/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */

/* Whom a client's verified certificate names: its first e-mail address, else its first DNS name, else its common
 * name. False (and empty) when it showed none, or the name is not 1 to 255 printable ASCII octets. */
bool tls_peer_name(const struct tls *, char out[TLS_NAME_MAX]);

void tls_free(struct tls **);
const char *tls_library(void);				/* OpenSSL's version */

#endif
