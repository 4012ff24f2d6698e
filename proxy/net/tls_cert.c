#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/base/digest.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"
#include "proxy/net/tls_int.h"

#define NAMES_SHOWN 300		/* octets of a refused certificate's names in a sentence */
#define ONE_SHOWN   80		/* of one of them */
#define HOST_MAX    253		/* of a DNS name (RFC 1035 section 3.1, as text) */

int
tls_each_cert(const struct conf_blob *pem, tls_take_cert *take, void *to, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
	bool ended;
	int rc = 0;
	size_t n = 0;
	X509 *cert;

	ERR_clear_error();
	if (bio == NULL)
		return err_set(err, "no file of certificates was given");
	while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (take(to, cert, n++) != 1)
			rc = tls_err(err, pem->path);
		X509_free(cert);
	}
	BIO_free(bio);
	ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;	/* the end counts as an error there */
	ERR_clear_error();
	if (rc == -1)
		return -1;
	if (!ended)
		return err_set(err, "%s: certificate number %zu in it is damaged", pem->path, n + 1);
	return n > 0 ? 0 : err_set(err, "%s: no certificate in PEM form found", pem->path);
}

static int
take_pair(void *to, X509 *cert, size_t n)
{
	return n == 0 ? SSL_CTX_use_certificate(to, cert) : (int)SSL_CTX_add1_chain_cert((SSL_CTX *)to, cert);
}

static int
use_key(SSL_CTX *ssl, const struct conf_blob *pem, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
	/* An empty passphrase: never ask on a terminal. */
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");

	BIO_free(bio);
	ERR_clear_error();
	if (key == NULL)
		return err_set(err, "%s: no usable private key in PEM form (without passphrase) found", pem->path);
	if (SSL_CTX_use_PrivateKey(ssl, key) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
		EVP_PKEY_free(key);
		ERR_clear_error();
		return err_set(err, "%s: this key does not belong to the certificate", pem->path);
	}
	EVP_PKEY_free(key);
	return 0;
}

int
tls_use_pair(SSL_CTX *ssl, const struct conf_tls *conf, struct err *err)
{
	return tls_each_cert(&conf->certificate, take_pair, ssl, err) == -1 ? -1 : use_key(ssl, &conf->key, err);
}

static int
take_trust(void *to, X509 *cert, size_t n)
{
	(void)n;
	return X509_STORE_add_cert(to, cert);
}

int
tls_trust(SSL_CTX *ssl, const struct conf_blob *ca, struct err *err)
{
	return tls_each_cert(ca, take_trust, SSL_CTX_get_cert_store(ssl), err);
}

static int
take_leaf(void *to, X509 *cert, size_t n)
{
	return n > 0 || (X509_up_ref(cert) == 1 && (*(X509 **)to = cert) != NULL);
}

X509 *
tls_leaf(const struct conf_blob *pem, struct err *err)
{
	X509 *leaf = NULL;

	if (tls_each_cert(pem, take_leaf, &leaf, err) == -1) {
		X509_free(leaf);
		return NULL;
	}
	return leaf;
}

/* What a certificate says, as text that holds no more than it shows. */
static struct slice
text_of(const ASN1_STRING *s)
{
	return (struct slice){ (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
}

static struct slice
common_name(const X509 *cert)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at < 0 ? SLICE("") : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

/* The alternative names of one kind, GEN_DNS or GEN_EMAIL; returns how many there are. */
static size_t
each_alternative(const X509 *cert, int kind, void (*name)(void *owner, struct slice), void *owner)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type != kind)
			continue;
		n++;
		name(owner, text_of(g->d.ia5));
	}
	GENERAL_NAMES_free(all);
	return n;
}

/* A host's name as certificates bear it: letters, digits, '-', '_' and dots between labels; "*" may be the whole
 * first label. `out` gets it in lower case. */
static bool
host_name(struct slice name, char out[HOST_MAX + 1])
{
	size_t label = 0;

	if (name.len == 0 || name.len > HOST_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = (char)ascii_lower(name.at[i]);
		bool star = c == '*' && i == 0 && name.len > 2 && name.at[1] == '.';

		if (c == '.' ? label == 0 : !star && c != '-' && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			return false;
		label = c == '.' ? 0 : label + 1;
		out[i] = c;
	}
	out[name.len] = '\0';
	return label > 0 && label < 64;
}

struct naming {
	void (*name)(void *owner, const char *);
	void *owner;
};

static void
name_host(void *owner, struct slice name)
{
	struct naming *to = owner;
	char host[HOST_MAX + 1];

	if (host_name(name, host))
		to->name(to->owner, host);
}

void
tls_server_names(const X509 *cert, void (*name)(void *owner, const char *), void *owner)
{
	struct naming to = { name, owner };

	/* The common name counts only where there is nothing better (RFC 6125 section 6.4.4). */
	if (each_alternative(cert, GEN_DNS, name_host, &to) == 0)
		name_host(&to, common_name(cert));
}

struct client_name {
	char *out;
	bool seen;		/* the first one counts, fit or not */
};

/* A NUL or a line end in it would make it another name for whoever reads it next. */
static void
name_client(void *owner, struct slice name)
{
	struct client_name *to = owner;

	if (to->seen)
		return;
	to->seen = true;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] < ' ' || name.at[i] > '~')
			return;
	slice_copy(name, to->out, TLS_NAME_MAX);
}

bool
tls_client_name(const X509 *cert, char out[TLS_NAME_MAX])
{
	struct client_name to = { .out = out };

	out[0] = '\0';
	if (each_alternative(cert, GEN_EMAIL, name_client, &to) == 0 && each_alternative(cert, GEN_DNS, name_client, &to) == 0)
		name_client(&to, common_name(cert));
	return out[0] != '\0';
}

bool
tls_key_digest(const X509 *cert, unsigned char out[DIGEST_SHA256_LEN])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (len <= 0)
		return false;
	digest_sha256((struct slice){ (const char *)der, (size_t)len }, out);
	OPENSSL_free(der);
	return true;
}

static void
list_name(void *owner, struct slice name)
{
	struct buf *list = owner;

	if (buf_room(list) < ONE_SHOWN + 10)	/* the blank before, the dots behind */
		return;
	if (buf_len(list) > 0)
		buf_puts(list, ", ");
	str_escape(list, name, ONE_SHOWN);
}

/* Whose certificate it is, as it says itself. */
static void
list_names(struct buf *list, const X509 *cert)
{
	if (each_alternative(cert, GEN_DNS, list_name, list) == 0)
		list_name(list, common_name(cert));
	if (buf_len(list) == 0)
		buf_puts(list, "nobody");
}

static void
put_issuer(struct buf *out, const X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	X509_NAME_print_ex(bio, X509_get_issuer_name(cert), 0, XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
	len = BIO_get_mem_data(bio, &text);
	str_escape(out, (struct slice){ text, len > 0 ? (size_t)len : 0 }, 120);
	BIO_free(bio);
}

/* "2026-01-31", or "a day that it does not say". */
static void
put_day(struct buf *out, const ASN1_TIME *when)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(when, &tm) == 1)
		buf_printf(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	else
		buf_puts(out, "a day that it does not say");
}

void
tls_say_refused(X509_STORE_CTX *store, const char *host, struct err *err)
{
	int why = X509_STORE_CTX_get_error(store);
	const X509 *cert = X509_STORE_CTX_get_current_cert(store);
	struct buf names, detail;

	buf_init(&names, NAMES_SHOWN);
	buf_init(&detail, NAMES_SHOWN);
	if (cert == NULL)
		cert = X509_STORE_CTX_get0_cert(store);
	if (cert != NULL)
		list_names(&names, cert);
	/* Who logs it may cut it: what matters goes first, what the certificate says of itself last. */
	switch (cert == NULL ? X509_V_ERR_UNSPECIFIED : why) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
		err_set(err, "not for %s: the certificate is for %s", host != NULL ? host : "us", buf_str(&names));
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		put_day(&detail, X509_get0_notAfter(cert));
		err_set(err, "expired on %s: the certificate of %s", buf_str(&detail), buf_str(&names));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		put_day(&detail, X509_get0_notBefore(cert));
		err_set(err, "valid from %s on only: the certificate of %s", buf_str(&detail), buf_str(&names));
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		err_set(err, "signed by itself and not trusted: the certificate of %s", buf_str(&names));
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		put_issuer(&detail, cert);
		err_set(err, "signed by somebody who is not trusted (%s): the certificate of %s", buf_str(&detail), buf_str(&names));
		break;
	default:
		err_set(err, "%s: the certificate of %s", X509_verify_cert_error_string(why),
		    cert != NULL ? buf_str(&names) : "nobody");
	}
	buf_free(&names);
	buf_free(&detail);
}
