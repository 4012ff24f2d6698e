#include <string.h>

#include "proxy/base/b64.h"
#include "proxy/base/digest.h"
#include "proxy/base/mem.h"
#include "proxy/net/tls_int.h"

#define PIN_BEGINS "sha256//"
#define PIN_MAX    64	/* octets that one may decode to before it is looked at; a right one has 32 */

static int
take_pin(struct tls_ctx *ctx, const char *pin, struct err *err)
{
	struct slice text = slice_of(pin);
	struct buf key;
	bool good;

	if (slice_starts(text, PIN_BEGINS))
		text = slice_part(text, sizeof(PIN_BEGINS) - 1, text.len);
	buf_init(&key, PIN_MAX);
	good = b64_decode(&key, text) && buf_len(&key) == sizeof(*ctx->pins);
	if (good)
		memcpy(ctx->pins[ctx->npins++], buf_slice(&key).at, sizeof(*ctx->pins));
	buf_free(&key);
	return good ? 0 : err_set(err, "\"%s\" is no pin: " PIN_BEGINS " and the base64 of a public key's SHA-256", pin);
}

static bool
is_pinned(const struct tls_ctx *ctx, const unsigned char *key)
{
	for (size_t i = 0; i < ctx->npins; i++)
		if (memcmp(ctx->pins[i], key, sizeof(*ctx->pins)) == 0)
			return true;
	return false;
}

/* Who holds the key is who we mean: what stands in the certificate besides, and who signed it, does not count. */
static int
verify_pin(const struct tls_ctx *ctx, X509_STORE_CTX *store)
{
	const X509 *leaf = X509_STORE_CTX_get0_cert(store);
	unsigned char key[DIGEST_SHA256_LEN];
	struct err why = { "" };
	struct buf text;

	if (leaf != NULL && tls_key_digest(leaf, key)) {
		if (is_pinned(ctx, key))
			return 1;
		buf_init(&text, 64);
		b64_encode(&text, (struct slice){ (const char *)key, sizeof(key) });
		err_set(&why, "key " PIN_BEGINS "%s is none of tls-pin", buf_str(&text));
		buf_free(&text);
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	tls_note_refused(store, leaf != NULL ? why.text : "the server shows no key that could be pinned");
	return 0;
}

static int
verify(X509_STORE_CTX *store, void *arg)
{
	const struct tls_ctx *ctx = arg;
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct err why = { "" };

	if (!ctx->verifies)
		return 1;
	if (ctx->npins > 0)
		return verify_pin(ctx, store);
	if (X509_verify_cert(store) == 1)
		return 1;
	tls_say_refused(store, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), &why);
	tls_note_refused(store, why.text);
	return 0;
}

/* One session for each backend is enough: whoever comes next takes it up, and gets a new one. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(ctx->session);
	ctx->session = session;
	return 1;	/* the reference is ours */
}

static int
settle(struct tls_ctx *ctx, const struct conf_backend *conf, struct err *err)
{
	/* TLS 1.0 and 1.1 sign with MD5 and SHA-1, which only level 0 lets pass. */
	if (conf->tls_min_version < CONF_TLS_1_2)
		SSL_CTX_set_security_level(ctx->ssl, 0);
	ctx->pins = mem_array(conf->ntls_pins, sizeof(*ctx->pins));
	for (size_t i = 0; i < conf->ntls_pins; i++)
		if (take_pin(ctx, conf->tls_pins[i], err) == -1)
			return -1;
	/* Opportunistic TLS (RFC 3207 section 4.1's "may") is not verified: it might be absent altogether. */
	ctx->verifies = ctx->npins > 0 || (conf->tls_verify && conf->tls_mode != CONF_TLS_OFFER);
	if (ctx->verifies && ctx->npins == 0 && tls_trust(ctx->ssl, &conf->tls_ca, err) == -1)
		return -1;
	if (conf->tls_client != NULL && tls_use_pair(ctx->ssl, conf->tls_client, err) == -1)
		return -1;
	SSL_CTX_set_verify(ctx->ssl, ctx->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx->ssl, verify, ctx);
	SSL_CTX_set_app_data(ctx->ssl, ctx);
	SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx->ssl, on_session);
	return 0;
}

struct tls_ctx *
tls_client_ctx(const struct conf_backend *conf, struct err *err)
{
	struct tls_ctx *ctx = tls_ctx_new();

	ctx->client = true;
	ctx->ssl = tls_ssl_ctx(TLS_client_method(), conf->tls_min_version, err);
	if (ctx->ssl == NULL || settle(ctx, conf, err) == -1)
		tls_ctx_free(&ctx);
	return ctx;
}
