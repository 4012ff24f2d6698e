/* tls_int.h - what the tls*.c files share: OpenSSL's objects behind ours. */
#ifndef PROXY_NET_TLS_INT_H
#define PROXY_NET_TLS_INT_H

#include <openssl/ssl.h>

#include "proxy/net/tls.h"

struct tls_names;

struct tls_ctx {
	unsigned refs;
	SSL_CTX *ssl;
	bool client, verifies;
	struct tls_names *names;	/* servers: which certificates a name is answered with */
	const struct ticket_keys *tickets;	/* NULL: no tickets */
	enum conf_protocol protocol;
	unsigned char (*pins)[32];	/* clients: SHA-256 of the keys that will do */
	size_t npins;
	SSL_SESSION *session;		/* clients: the last one, to be taken up again */
};

struct tls {
	SSL *ssl;
	struct tls_ctx *ctx;
	char *refused;			/* why the peer's certificate was, as a sentence; NULL: it was not */
};

/* tls.c */
int tls_err(struct err *, const char *what);	/* OpenSSL's first noted error in its words; -1 */
SSL_CTX *tls_ssl_ctx(const SSL_METHOD *, enum conf_tls_version min, struct err *);	/* with what holds for all of ours */
struct tls_ctx *tls_ctx_new(void);		/* empty */
void tls_note_refused(const X509_STORE_CTX *, const char *why);	/* for the sentence that tls_handshake() gives */

/* tls_cert.c: certificates. PEM comes as conf_blobs, whose path the sentences name. */
typedef int tls_take_cert(void *to, X509 *, size_t n);	/* 1: taken, as OpenSSL has it */
int tls_each_cert(const struct conf_blob *, tls_take_cert *, void *to, struct err *);
int tls_use_pair(SSL_CTX *, const struct conf_tls *, struct err *);	/* the certificate, its chain and its key */
int tls_trust(SSL_CTX *, const struct conf_blob *ca, struct err *);
X509 *tls_leaf(const struct conf_blob *, struct err *);	/* the first one; freed by the caller */
/* Calls for each name that a server's certificate bears: its DNS names, else its common name; lower case, checked. */
void tls_server_names(const X509 *, void (*name)(void *owner, const char *), void *owner);
bool tls_client_name(const X509 *, char out[TLS_NAME_MAX]);
bool tls_key_digest(const X509 *, unsigned char out[32]);	/* SHA-256 of its SubjectPublicKeyInfo */
/* Why the certificate that verification stopped at was refused. host: whom a client was looking for, or NULL. */
void tls_say_refused(X509_STORE_CTX *, const char *host, struct err *);

/* tls_server.c */
void tls_names_free(struct tls_names **);

#endif
