/* tls.h - TLS sessions over a nonblocking socket. SSL_* lives in tls.c and nowhere else.
 *
 * TLS 1.2 at least, no renegotiation, no compression; a client side verifies the certificate's
 * chain and name unless told not to. A context is made once from bytes that master read. */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include "conf/conf.h"

#define TLS_TEXT_MAX 96

struct tls_ctx;
struct tls;

struct tls_ctx *tls_server_ctx(const struct conf_tls *, struct err *);
/* ca: PEM certificates to trust, used when verify is set. */
struct tls_ctx *tls_client_ctx(const struct conf_blob *ca, bool verify, struct err *);
void tls_ctx_free(struct tls_ctx **);

/* What an operation left behind. */
enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_EOF, TLS_FAILED };

/* name: the peer's name that a client asks for (SNI) and verifies; NULL on a server. */
struct tls *tls_new(struct tls_ctx *, int fd, const char *name, struct err *);
enum tls_step tls_handshake(struct tls *, struct err *);
enum tls_step tls_read(struct tls *, char *at, size_t size, size_t *n, struct err *);
enum tls_step tls_write(struct tls *, struct slice, size_t *n, struct err *);
bool tls_pending(const struct tls *);			/* decrypted octets wait inside */
void tls_bye(struct tls *);				/* sends close_notify, waits for nothing */
void tls_text(const struct tls *, char out[TLS_TEXT_MAX]);	/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
void tls_free(struct tls **);
const char *tls_library(void);				/* OpenSSL's version */

#endif
