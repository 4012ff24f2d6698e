#include "proxy/net/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

struct tls_ctx {
	SSL_CTX *ssl;
	bool client;
};

struct tls {
	SSL *ssl;
};

/* The first error that OpenSSL noted, in its words. */
static int
err_ssl(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	err_set(err, "%s: %s", what, reason != NULL ? reason : code != 0 ? "unknown TLS error" : "no reason given");
	ERR_clear_error();
	return -1;
}

static SSL_CTX *
ssl_ctx(const SSL_METHOD *method, int min_version, struct err *err)
{
	SSL_CTX *ssl = SSL_CTX_new(method);

	if (ssl == NULL) {
		err_ssl(err, "TLS context");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ssl, min_version);
	/* Mail ends inside its own protocol; a peer that closes without close_notify ended all the same. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* RELEASE_BUFFERS halves what an idle session costs; the write buffer may have moved or grown. */
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ssl;
}

static struct tls_ctx *
wrap_ctx(SSL_CTX *ssl, bool client)
{
	struct tls_ctx *ctx = mem_new(sizeof(*ctx));

	ctx->ssl = ssl;
	ctx->client = client;
	return ctx;
}

/* The leaf and then its chain, as they stand in the PEM. */
static int
use_chain(SSL_CTX *ssl, const struct conf_blob *pem, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
	X509 *cert;
	int n = 0;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		int ok = n == 0 ? SSL_CTX_use_certificate(ssl, cert) : (int)SSL_CTX_add1_chain_cert(ssl, cert);

		X509_free(cert);
		if (ok != 1) {
			BIO_free(bio);
			return err_ssl(err, pem->path);
		}
		n++;
	}
	BIO_free(bio);
	ERR_clear_error();	/* the end of the PEM counts as an error there */
	return n > 0 ? 0 : err_set(err, "%s: no certificate in PEM form found", pem->path);
}

static int
use_key(SSL_CTX *ssl, const struct conf_blob *pem, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
	/* An empty passphrase: never ask on a terminal. */
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");

	BIO_free(bio);
	if (key == NULL) {
		ERR_clear_error();
		return err_set(err, "%s: no usable private key in PEM form (without passphrase) found", pem->path);
	}
	if (SSL_CTX_use_PrivateKey(ssl, key) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
		EVP_PKEY_free(key);
		ERR_clear_error();
		return err_set(err, "%s: this key does not belong to the certificate", pem->path);
	}
	EVP_PKEY_free(key);
	return 0;
}

struct tls_ctx *
tls_server_ctx(const struct conf_tls *conf, struct err *err)
{
	SSL_CTX *ssl = ssl_ctx(TLS_server_method(), conf->min_version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION, err);

	if (ssl == NULL)
		return NULL;
	if (use_chain(ssl, &conf->certificate, err) == -1 || use_key(ssl, &conf->key, err) == -1) {
		SSL_CTX_free(ssl);
		return NULL;
	}
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"gatepost", 8);
	return wrap_ctx(ssl, false);
}

static int
trust(SSL_CTX *ssl, const struct conf_blob *pem, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	X509 *cert;
	int n = 0;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(store, cert);
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0 ? 0 : err_set(err, "%s: no CA certificate in PEM form found", pem->path);
}

struct tls_ctx *
tls_client_ctx(const struct conf_blob *ca, bool verify, struct err *err)
{
	SSL_CTX *ssl = ssl_ctx(TLS_client_method(), TLS1_2_VERSION, err);

	if (ssl == NULL)
		return NULL;
	if (verify && trust(ssl, ca, err) == -1) {
		SSL_CTX_free(ssl);
		return NULL;
	}
	SSL_CTX_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return wrap_ctx(ssl, true);
}

void
tls_ctx_free(struct tls_ctx **ctx)
{
	if (*ctx == NULL)
		return;
	SSL_CTX_free((*ctx)->ssl);
	free(*ctx);
	*ctx = NULL;
}

struct tls *
tls_new(struct tls_ctx *ctx, int fd, const char *name, struct err *err)
{
	SSL *ssl = SSL_new(ctx->ssl);
	struct tls *tls;

	ERR_clear_error();
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		goto fail;
	if (ctx->client) {
		if (name != NULL && (SSL_set_tlsext_host_name(ssl, name) != 1 || SSL_set1_host(ssl, name) != 1))
			goto fail;
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		SSL_set_connect_state(ssl);
	} else {
		SSL_set_accept_state(ssl);
	}
	tls = mem_new(sizeof(*tls));
	tls->ssl = ssl;
	return tls;
fail:
	SSL_free(ssl);
	err_ssl(err, "TLS session");
	return NULL;
}

/* What OpenSSL says after `rc`; its queue was cleared before the call. errno counts only for SYSCALL. */
static enum tls_step
step(struct tls *tls, int rc, const char *what, struct err *err)
{
	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	case SSL_ERROR_SYSCALL:
		if (ERR_peek_error() == 0) {
			if (errno == 0)
				return TLS_EOF;
			err_sys(err, "%s", what);
			return TLS_FAILED;
		}
		/* fall through */
	default:
		err_ssl(err, what);
		return TLS_FAILED;
	}
}

enum tls_step
tls_handshake(struct tls *tls, struct err *err)
{
	long verified;
	enum tls_step left;
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(tls->ssl);
	if (rc == 1)
		return TLS_DONE;
	verified = SSL_get_verify_result(tls->ssl);
	left = step(tls, rc, "TLS handshake", err);
	if (left == TLS_FAILED && verified != X509_V_OK)
		err_set(err, "TLS handshake: certificate refused: %s", X509_verify_cert_error_string(verified));
	return left;
}

enum tls_step
tls_read(struct tls *tls, char *at, size_t size, size_t *n, struct err *err)
{
	int rc;

	*n = 0;
	ERR_clear_error();
	errno = 0;
	rc = SSL_read_ex(tls->ssl, at, size, n);
	return rc == 1 ? TLS_DONE : step(tls, rc, "TLS read", err);
}

enum tls_step
tls_write(struct tls *tls, struct slice bytes, size_t *n, struct err *err)
{
	int rc;

	*n = 0;
	ERR_clear_error();
	errno = 0;
	rc = SSL_write_ex(tls->ssl, bytes.at, bytes.len, n);
	return rc == 1 ? TLS_DONE : step(tls, rc, "TLS write", err);
}

bool
tls_pending(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl) == 1;
}

void
tls_bye(struct tls *tls)
{
	ERR_clear_error();
	if (SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

void
tls_text(const struct tls *tls, char out[TLS_TEXT_MAX])
{
	snprintf(out, TLS_TEXT_MAX, "%s %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
}

void
tls_free(struct tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_free((*tls)->ssl);
	free(*tls);
	*tls = NULL;
}

const char *
tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
