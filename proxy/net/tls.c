#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/base/mem.h"
#include "proxy/net/tls_int.h"

#define SESSION_AGE_MAX 3600	/* seconds after which a backend's certificate is looked at again, whatever its ticket says */

int
tls_err(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	err_set(err, "%s: %s", what, reason != NULL ? reason : code != 0 ? "unknown TLS error" : "no reason given");
	ERR_clear_error();
	return -1;
}

static int
version_number(enum conf_tls_version version)
{
	switch (version) {
	case CONF_TLS_1_0:
		return TLS1_VERSION;
	case CONF_TLS_1_1:
		return TLS1_1_VERSION;
	case CONF_TLS_1_2:
		return TLS1_2_VERSION;
	case CONF_TLS_1_3:
		return TLS1_3_VERSION;
	}
	return TLS1_3_VERSION;
}

SSL_CTX *
tls_ssl_ctx(const SSL_METHOD *method, enum conf_tls_version min, struct err *err)
{
	SSL_CTX *ssl;

	ERR_clear_error();
	ssl = SSL_CTX_new(method);
	if (ssl == NULL) {
		tls_err(err, "TLS context");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ssl, version_number(min));
	/* Mail ends inside its own protocol; a peer that closes without close_notify ended all the same. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* RELEASE_BUFFERS: an idle session holds no record buffers. The write buffer of a conn may move or grow. */
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);		/* one read(2) takes all that has come, not two for each record */
	return ssl;
}

struct tls_ctx *
tls_ctx_new(void)
{
	struct tls_ctx *ctx = mem_new(sizeof(*ctx));

	ctx->refs = 1;
	return ctx;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

void
tls_ctx_free(struct tls_ctx **cp)
{
	struct tls_ctx *ctx = *cp;

	*cp = NULL;
	if (ctx == NULL || --ctx->refs > 0)
		return;
	SSL_SESSION_free(ctx->session);
	SSL_CTX_free(ctx->ssl);
	tls_names_free(&ctx->names);
	free(ctx->pins);
	free(ctx);
}

bool
tls_ctx_serves(const struct tls_ctx *ctx)
{
	return !ctx->client;
}

void
tls_note_refused(const X509_STORE_CTX *store, const char *why)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);

	free(tls->refused);
	tls->refused = mem_str(why);
}

static int
begin_client(struct tls_ctx *ctx, SSL *ssl, const char *name, struct err *err)
{
	if (name != NULL && SSL_set_tlsext_host_name(ssl, name) != 1)
		return tls_err(err, "TLS session");
	if (ctx->verifies && ctx->npins == 0) {
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		if (name == NULL || SSL_set1_host(ssl, name) != 1)
			return err_set(err, "TLS session: no name that the certificate could be compared with");
	}
	if (ctx->session != NULL && time(NULL) - SSL_SESSION_get_time(ctx->session) < SESSION_AGE_MAX)
		SSL_set_session(ssl, ctx->session);
	SSL_set_connect_state(ssl);
	return 0;
}

struct tls *
tls_new(struct tls_ctx *ctx, int fd, const char *name, struct err *err)
{
	struct tls *tls;
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(ctx->ssl);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		tls_err(err, "TLS session");
		return NULL;
	}
	if (!ctx->client) {
		SSL_set_accept_state(ssl);
	} else if (begin_client(ctx, ssl, name, err) == -1) {
		SSL_free(ssl);
		return NULL;
	}
	tls = mem_new(sizeof(*tls));
	tls->ssl = ssl;
	tls->ctx = tls_ctx_ref(ctx);
	if (ctx->verifies)
		SSL_set_app_data(ssl, tls);	/* costs each session memory: only where somebody looks at it */
	return tls;
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
		tls_err(err, what);
		return TLS_FAILED;
	}
}

enum tls_step
tls_handshake(struct tls *tls, struct err *err)
{
	enum tls_step left;
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(tls->ssl);
	if (rc == 1)
		return TLS_DONE;
	left = step(tls, rc, "TLS handshake", err);
	if (left == TLS_FAILED && tls->refused != NULL)
		err_set(err, "TLS handshake: %s", tls->refused);
	if (left == TLS_FAILED || left == TLS_EOF) {
		SSL_SESSION_free(tls->ctx->session);	/* perhaps it was this that the server did not like */
		tls->ctx->session = NULL;
	}
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

bool
tls_peer_name(const struct tls *tls, char out[TLS_NAME_MAX])
{
	const X509 *cert = SSL_get0_peer_certificate(tls->ssl);

	out[0] = '\0';
	return tls->ctx->verifies && cert != NULL && SSL_get_verify_result(tls->ssl) == X509_V_OK && tls_client_name(cert, out);
}

void
tls_free(struct tls **tp)
{
	struct tls *tls = *tp;

	*tp = NULL;
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	tls_ctx_free(&tls->ctx);
	free(tls->refused);
	free(tls);
}

const char *
tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
