/* Certificates by name, ALPN, client certificates, tickets, pins: contexts made from certificates that are made here,
 * and handshakes between them over a pair of sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/b64.h"
#include "proxy/base/digest.h"
#include "proxy/base/mem.h"
#include "proxy/net/tls.h"

#define DAY (24 * 3600)

struct pair {			/* a certificate and its key, as OpenSSL has them */
	X509 *cert;
	EVP_PKEY *key;
};

static struct pair ca, other_ca;

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* kind: "P-256", "RSA" or "ED25519"; alternative: as openssl.cnf has it, or NULL; days until it ends, may be past. */
static struct pair
make_pair(const char *kind, const char *cn, const char *alternative, const struct pair *issuer, int days)
{
	struct pair p = { X509_new(), NULL };
	static long serial;

	if (strcmp(kind, "RSA") == 0)
		p.key = EVP_RSA_gen(2048);
	else
		p.key = strcmp(kind, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind) : EVP_EC_gen(kind);
	if (issuer == NULL)
		issuer = &p;
	X509_set_version(p.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), -2 * DAY);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), (long)days * DAY);
	if (cn != NULL)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(p.cert), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p.cert, X509_get_subject_name(issuer->cert));
	X509_set_pubkey(p.cert, p.key);
	add_extension(p.cert, issuer->cert, NID_basic_constraints, issuer == &p ? "critical,CA:TRUE" : "CA:FALSE");
	if (alternative != NULL)
		add_extension(p.cert, issuer->cert, NID_subject_alt_name, alternative);
	assert_true(X509_sign(p.cert, issuer->key, EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL : EVP_sha256()) > 0);
	return p;
}

static void
free_pair(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

static struct conf_blob
blob(BIO *pem, const char *path)
{
	struct conf_blob b = { .path = (char *)path };
	char *at;

	b.len = (size_t)BIO_get_mem_data(pem, &at);
	b.bytes = mem_slice((struct slice){ at, b.len });
	BIO_free(pem);
	return b;
}

static struct conf_blob
cert_blob(const struct pair *p, const struct pair *chain)
{
	BIO *pem = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(pem, p->cert);
	if (chain != NULL)
		PEM_write_bio_X509(pem, chain->cert);
	return blob(pem, "c.pem");
}

static struct conf_tls
conf_of(const struct pair *p)
{
	BIO *pem = BIO_new(BIO_s_mem());

	PEM_write_bio_PrivateKey(pem, p->key, NULL, NULL, 0, NULL, NULL);
	return (struct conf_tls){ .name = (char *)"test", .min_version = CONF_TLS_1_2, .security_level = 2,
		.certificate = cert_blob(p, NULL), .key = blob(pem, "k.pem") };
}

static void
free_conf(struct conf_tls *conf)
{
	free(conf->certificate.bytes);
	free(conf->key.bytes);
	free(conf->client_ca.bytes);
}

/* ---- handshakes ---- */

struct ends {
	int fd[2];
	struct tls *server;
	enum tls_step left;		/* what the server's handshake left behind */
	struct err why;
};

static void
begin_server(struct ends *e, struct tls_ctx *ctx)
{
	struct err err = { "" };

	*e = (struct ends){ .left = TLS_WANT_READ };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, e->fd), 0);
	e->server = tls_new(ctx, e->fd[0], NULL, &err);
	assert_non_null(e->server);
}

static void
end_server(struct ends *e)
{
	tls_free(&e->server);
	close(e->fd[0]);
	close(e->fd[1]);
}

static bool
unfinished(enum tls_step left)
{
	return left == TLS_WANT_READ || left == TLS_WANT_WRITE;
}

static void
serve(struct ends *e)
{
	if (unfinished(e->left))
		e->left = tls_handshake(e->server, &e->why);
}

/* A client of OpenSSL's own. 1: done, also with what the server says afterwards; else its first error is kept. */
static int
greet(struct ends *e, SSL *client, unsigned long *error)
{
	char octet;
	size_t n;
	int rc = -1;

	SSL_set_fd(client, e->fd[1]);
	SSL_set_connect_state(client);
	ERR_clear_error();
	*error = 0;
	for (int i = 0; i < 10 && *error == 0; i++) {
		rc = SSL_do_handshake(client);
		*error = ERR_peek_error();
		serve(e);
	}
	if (rc == 1 && e->left == TLS_DONE) {
		assert_int_equal(tls_write(e->server, SLICE("x"), &n, &e->why), TLS_DONE);
		assert_int_equal(SSL_read(client, &octet, 1), 1);	/* the ticket came before it */
	} else if (*error == 0) {
		(void)SSL_read(client, &octet, 1);	/* TLS 1.3: the alert comes when the client thinks that all is well */
		*error = ERR_peek_error();
	}
	return rc == 1 && e->left == TLS_DONE;
}

static const struct tls_server_means plain = { .protocol = CONF_SMTP };

static struct tls_ctx *
server_ctx(const struct conf_tls *conf, const struct tls_server_means *means)
{
	struct err err = { "" };
	struct tls_ctx *ctx = tls_server_ctx(&conf, 1, means, &err);

	assert_string_equal(err.text, "");
	assert_non_null(ctx);
	return ctx;
}

/* ---- which certificate ---- */

static const struct {
	const char *kind, *cn, *alternative;
} shown[] = {
	{ "P-256",   "zero",             "DNS:mx.example.org, DNS:Two.Example.ORG" },
	{ "RSA",     "one",              "DNS:mx.example.org" },
	{ "P-256",   "two",              "DNS:*.example.org, DNS:*.deep.example.net" },
	{ "P-256",   "mail.example.com", NULL },
	{ "RSA",     "four",             "DNS:www.example.org" },
	{ "ED25519", "five",             "DNS:ed.example.net, DNS:*, DNS:x*.example.net, DNS:a..b" },
	{ "P-256",   "ignored.example",  "DNS:six.example.net" },
	{ "P-256",   "seven",            "DNS:mx.example.org" },
};

static const struct {
	const char *asked;
	const char *ecdsa, *rsa;	/* whom a client meets that can only verify these; NULL: nobody */
} rows[] = {
	{ NULL,                     "zero",             "one" },
	{ "mx.example.org",         "zero",             "one" },
	{ "MX.Example.Org",         "zero",             "one" },
	{ "mx.example.org.",        "zero",             "one" },
	{ "two.example.org",        "zero",             NULL },
	{ "www.example.org",        "two",              "four" },
	{ "other.example.org",      "two",              NULL },
	{ "a.b.example.org",        "zero",             "one" },	/* the star is one label */
	{ "example.org",            "zero",             "one" },
	{ ".example.org",           "zero",             "one" },
	{ "*.example.org",          "zero",             "one" },	/* nobody is called that */
	{ "x.deep.example.net",     "two",              NULL },
	{ "mail.example.com",       "mail.example.com", NULL },
	{ "ignored.example",        "zero",             "one" },	/* a common name beside alternative names is none */
	{ "six.example.net",        "ignored.example",  NULL },
	{ "xy.example.net",         "zero",             "one" },
	{ "nobody.example",         "zero",             "one" },
	{ "n\303\266body.example",  "zero",             "one" },
	{ "a",                      "zero",             "one" },
};

/* The common name of what the server shows to this client; "" when no handshake comes about. */
static void
whom(struct tls_ctx *ctx, const char *asked, const char *algorithms, char out[64])
{
	SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
	SSL *client = SSL_new(theirs);
	unsigned long error;
	struct ends e;

	begin_server(&e, ctx);
	assert_int_equal(SSL_set1_sigalgs_list(client, algorithms), 1);
	if (asked != NULL)
		assert_int_equal(SSL_set_tlsext_host_name(client, asked), 1);
	out[0] = '\0';
	if (greet(&e, client, &error))
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client)), NID_commonName, out, 64);
	SSL_free(client);
	SSL_CTX_free(theirs);
	end_server(&e);
}

static void
test_names(void **state)
{
	struct conf_tls conf[NITEMS(shown)];
	const struct conf_tls *blocks[NITEMS(shown)];
	struct tls_ctx *ctx;
	struct err err = { "" };
	char name[64], longest[256];

	(void)state;
	for (size_t i = 0; i < NITEMS(shown); i++) {
		struct pair p = make_pair(shown[i].kind, shown[i].cn, shown[i].alternative, &ca, 10);

		conf[i] = conf_of(&p);
		blocks[i] = &conf[i];
		free_pair(&p);
	}
	ctx = tls_server_ctx(blocks, NITEMS(blocks), &plain, &err);
	assert_string_equal(err.text, "");
	for (size_t i = 0; i < NITEMS(rows); i++) {
		whom(ctx, rows[i].asked, "ECDSA+SHA256", name);
		assert_string_equal(name, rows[i].ecdsa);
		whom(ctx, rows[i].asked, "RSA-PSS+SHA256:RSA+SHA256", name);
		assert_string_equal(name, rows[i].rsa != NULL ? rows[i].rsa : "");
		whom(ctx, rows[i].asked, "RSA-PSS+SHA256:ECDSA+SHA256", name);	/* who can do both gets what costs us less */
		assert_string_equal(name, rows[i].ecdsa);
	}
	whom(ctx, "ed.example.net", "ed25519", name);
	assert_string_equal(name, "five");
	whom(ctx, "nobody.example", "ed25519", name);
	assert_string_equal(name, "five");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	whom(ctx, longest, "ECDSA+SHA256", name);
	assert_string_equal(name, "zero");
	tls_ctx_free(&ctx);
	for (size_t i = 0; i < NITEMS(shown); i++)
		free_conf(&conf[i]);
}

static void
test_bad_certificates(void **state)
{
	struct pair good = make_pair("P-256", "good", NULL, &ca, 10), other = make_pair("P-256", "other", NULL, &ca, 10);
	struct conf_tls a = conf_of(&good), b = conf_of(&other), damaged = conf_of(&good);
	struct { struct conf_tls conf; const char *says; } cases[] = {
		{ { .certificate = a.certificate, .key = b.key }, "k.pem: this key does not belong to the certificate" },
		{ { .certificate = damaged.certificate, .key = a.key }, "c.pem: certificate number 2 in it is damaged" },
		{ { .certificate = a.key, .key = a.key }, "c.pem: no certificate in PEM form found" },
		{ { .certificate = a.certificate, .key = a.certificate },
		  "k.pem: no usable private key in PEM form (without passphrase) found" },
		{ { .certificate = a.certificate, .key = a.key, .ciphers = (char *)"NOTHING" },
		  "tls test: OpenSSL knows no cipher of the list \"NOTHING\"" },
		{ { .certificate = a.certificate, .key = a.key, .client_certificate = CONF_CLIENT_CERT_ASK },
		  "tls test: client certificates need client-ca: who may have signed them" },
	};

	(void)state;
	free(damaged.certificate.bytes);
	damaged.certificate = cert_blob(&good, &other);
	damaged.certificate.bytes[damaged.certificate.len - 100] = '!';
	cases[1].conf.certificate = damaged.certificate;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf_tls conf = cases[i].conf;
		const struct conf_tls *one = &conf;
		struct err err = { "" };

		conf.name = (char *)"test";
		conf.certificate.path = (char *)"c.pem";
		conf.key.path = (char *)"k.pem";
		assert_null(tls_server_ctx(&one, 1, &plain, &err));
		assert_string_equal(err.text, cases[i].says);
	}
	free_conf(&a);
	free_conf(&b);
	free_conf(&damaged);
	free_pair(&good);
	free_pair(&other);
}

/* ---- ALPN ---- */

static const struct {
	enum conf_protocol protocol;
	const char *offered;		/* names, blanks between; NULL: no extension */
	const char *chosen;		/* NULL: refused with alert 120 */
} alpn[] = {
	{ CONF_SMTP, NULL,                "" },
	{ CONF_SMTP, "smtp",              "smtp" },
	{ CONF_SMTP, "h2 http/1.1 smtp",  "smtp" },
	{ CONF_SMTP, "h2 http/1.1",       NULL },
	{ CONF_SMTP, "smt",               NULL },
	{ CONF_SMTP, "smtps",             NULL },
	{ CONF_SMTP, "pop3",              NULL },
	{ CONF_LMTP, "lmtp",              "lmtp" },
	{ CONF_POP3, "pop3",              "pop3" },
	{ CONF_POP3, "imap",              NULL },
	{ CONF_POP3, "ftp pop3",          "pop3" },
	{ CONF_IMAP, "imap",              "imap" },
	{ CONF_IMAP, "smtp",              NULL },
};

static void
test_alpn(void **state)
{
	struct pair p = make_pair("P-256", "mx", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p);

	(void)state;
	for (size_t i = 0; i < NITEMS(alpn); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct tls_server_means means = { .protocol = alpn[i].protocol };
			struct tls_ctx *ctx = server_ctx(&conf, &means);
			SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
			SSL *client = SSL_new(theirs);
			const unsigned char *chosen;
			struct slice rest = slice_of(alpn[i].offered), word;
			unsigned char list[64];
			unsigned len = 0, chosen_len;
			unsigned long error;
			struct ends e;

			begin_server(&e, ctx);
			while ((word = slice_word(&rest)).len > 0) {
				list[len++] = (unsigned char)word.len;
				memcpy(list + len, word.at, word.len);
				len += (unsigned)word.len;
			}
			SSL_set_max_proto_version(client, version);
			if (len > 0)
				assert_int_equal(SSL_set_alpn_protos(client, list, len), 0);
			assert_int_equal(greet(&e, client, &error), alpn[i].chosen != NULL);
			SSL_get0_alpn_selected(client, &chosen, &chosen_len);
			if (alpn[i].chosen != NULL)
				assert_true(slice_is((struct slice){ (const char *)chosen, chosen_len }, alpn[i].chosen));
			else
				assert_int_equal(ERR_GET_REASON(error), SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
			SSL_free(client);
			SSL_CTX_free(theirs);
			end_server(&e);
			tls_ctx_free(&ctx);
		}
	free_conf(&conf);
	free_pair(&p);
}

/* ---- client certificates ---- */

static const struct {
	const char *cn, *alternative;
	const char *name;		/* NULL: none that could be used */
} clients[] = {
	{ "Ann",       NULL,                                        "Ann" },
	{ "Ann",       "DNS:host.example.net",                      "host.example.net" },
	{ "Ann",       "DNS:host.example.net, email:ann@x.example", "ann@x.example" },
	{ "Ann",       "email:ann@x.example, email:bob@x.example",  "ann@x.example" },
	{ "Ann",       "IP:192.0.2.1",                              "Ann" },
	{ "Ann\nBob",  NULL,                                        NULL },
	{ "\303\204n", NULL,                                        NULL },
	{ NULL,        NULL,                                        NULL },
};

static void
test_client_names(void **state)
{
	struct pair p = make_pair("P-256", "mx", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p);
	struct tls_ctx *ctx;

	(void)state;
	conf.client_certificate = CONF_CLIENT_CERT_ASK;
	conf.client_ca = cert_blob(&ca, NULL);
	ctx = server_ctx(&conf, &plain);
	for (size_t i = 0; i < NITEMS(clients); i++) {
		struct pair c = make_pair("P-256", clients[i].cn, clients[i].alternative, &ca, 10);
		SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
		SSL *client = SSL_new(theirs);
		char name[TLS_NAME_MAX] = "?";
		unsigned long error;
		struct ends e;

		SSL_use_certificate(client, c.cert);
		SSL_use_PrivateKey(client, c.key);
		begin_server(&e, ctx);
		assert_true(greet(&e, client, &error));
		assert_int_equal(tls_peer_name(e.server, name), clients[i].name != NULL);
		assert_string_equal(name, clients[i].name != NULL ? clients[i].name : "");
		SSL_free(client);
		SSL_CTX_free(theirs);
		end_server(&e);
		free_pair(&c);
	}
	tls_ctx_free(&ctx);
	free_conf(&conf);
	free_pair(&p);
}

/* A NUL in a name, as no certificate of ours could hold it: X509_NAME takes it as it is. */
static void
test_client_name_with_nul(void **state)
{
	struct pair p = make_pair("P-256", "mx", NULL, &ca, 10), c = make_pair("P-256", "x", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p);
	SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
	SSL *client = SSL_new(theirs);
	char name[TLS_NAME_MAX];
	struct tls_ctx *ctx;
	unsigned long error;
	struct ends e;

	(void)state;
	X509_NAME_ENTRY_free(X509_NAME_delete_entry(X509_get_subject_name(c.cert), 0));
	X509_NAME_add_entry_by_NID(X509_get_subject_name(c.cert), NID_commonName, MBSTRING_ASC,
	    (const unsigned char *)"admin\0.evil.example", 19, -1, 0);
	X509_sign(c.cert, ca.key, EVP_sha256());
	conf.client_certificate = CONF_CLIENT_CERT_REQUIRE;
	conf.client_ca = cert_blob(&ca, NULL);
	ctx = server_ctx(&conf, &plain);
	SSL_use_certificate(client, c.cert);
	SSL_use_PrivateKey(client, c.key);
	begin_server(&e, ctx);
	assert_true(greet(&e, client, &error));
	assert_false(tls_peer_name(e.server, name));
	assert_string_equal(name, "");
	SSL_free(client);
	SSL_CTX_free(theirs);
	end_server(&e);
	tls_ctx_free(&ctx);
	free_conf(&conf);
	free_pair(&p);
	free_pair(&c);
}

static void
test_client_refused(void **state)
{
	static const struct {
		enum conf_client_certificate mode;
		char shown;		/* 'n'one, 'g'ood, 'f'oreign, 'e'xpired, 's'elf-signed */
		int alert;		/* 0: the client is let in */
		const char *says;	/* a part of our sentence */
	} cases[] = {
		{ CONF_CLIENT_CERT_OFF,     'f', 0,                            NULL },
		{ CONF_CLIENT_CERT_ASK,     'n', 0,                            NULL },
		{ CONF_CLIENT_CERT_ASK,     'g', 0,                            NULL },
		{ CONF_CLIENT_CERT_ASK,     'f', SSL_AD_UNKNOWN_CA,            "signed by somebody who is not trusted (CN=other): the certificate of c" },
		{ CONF_CLIENT_CERT_ASK,     'e', SSL_AD_CERTIFICATE_EXPIRED,   "expired on 20" },
		{ CONF_CLIENT_CERT_REQUIRE, 'g', 0,                            NULL },
		{ CONF_CLIENT_CERT_REQUIRE, 'n', SSL_AD_CERTIFICATE_REQUIRED,  "peer did not return a certificate" },
		{ CONF_CLIENT_CERT_REQUIRE, 's', SSL_AD_UNKNOWN_CA,            "signed by itself and not trusted: the certificate of c" },
	};
	struct pair p = make_pair("P-256", "mx", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p);

	(void)state;
	conf.client_ca = cert_blob(&ca, NULL);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct pair c = make_pair("P-256", "c", NULL, cases[i].shown == 'f' ? &other_ca : cases[i].shown == 's' ? NULL : &ca,
		    cases[i].shown == 'e' ? -1 : 10);
		SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
		SSL *client = SSL_new(theirs);
		struct tls_ctx *ctx;
		unsigned long error;
		struct ends e;

		conf.client_certificate = cases[i].mode;
		ctx = server_ctx(&conf, &plain);
		if (cases[i].shown != 'n') {
			SSL_use_certificate(client, c.cert);
			SSL_use_PrivateKey(client, c.key);
		}
		begin_server(&e, ctx);
		assert_int_equal(greet(&e, client, &error), cases[i].alert == 0);
		if (cases[i].alert != 0) {
			assert_int_equal(ERR_GET_REASON(error), SSL_AD_REASON_OFFSET + cases[i].alert);
			assert_non_null(strstr(e.why.text, cases[i].says));
		}
		SSL_free(client);
		SSL_CTX_free(theirs);
		end_server(&e);
		tls_ctx_free(&ctx);
		free_pair(&c);
	}
	free_conf(&conf);
	free_pair(&p);
}

/* ---- session tickets ---- */

/* Connects with the session that was kept; whether it was taken up. */
static bool
resume(struct tls_ctx *ctx, SSL_CTX *theirs, SSL_SESSION **session, int version, struct pair *own)
{
	SSL *client = SSL_new(theirs);
	unsigned long error;
	struct ends e;
	bool reused;

	begin_server(&e, ctx);
	SSL_set_max_proto_version(client, version);
	if (own != NULL) {
		SSL_use_certificate(client, own->cert);
		SSL_use_PrivateKey(client, own->key);
	}
	if (*session != NULL)
		SSL_set_session(client, *session);
	assert_true(greet(&e, client, &error));
	reused = SSL_session_reused(client);
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(client);
	SSL_shutdown(client);
	SSL_free(client);
	end_server(&e);
	return reused;
}

static void
test_tickets(void **state)
{
	struct pair p = make_pair("P-256", "mx", NULL, &ca, 10), c = make_pair("P-256", "ann", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p), asking = conf_of(&p), asking_others = conf_of(&p);
	struct ticket_keys keys, copy;
	struct tls_server_means means = { CONF_SMTP, &keys, 3600 }, same = { CONF_SMTP, &copy, 3600 },
				others[] = { { CONF_POP3, &keys, 3600 }, { CONF_SMTP, NULL, 0 } };
	struct err err = { "" };
	struct buf bytes;

	(void)state;
	assert_int_equal(ticket_keys_make(&keys, &err), 0);
	buf_init(&bytes, 1024);
	assert_true(ticket_keys_put(&keys, &bytes));
	assert_true(ticket_keys_get(&copy, buf_slice(&bytes)));
	for (size_t n = 0; n < buf_len(&bytes); n++)
		assert_false(ticket_keys_get(&copy, slice_part(buf_slice(&bytes), 0, n)));
	buf_free(&bytes);
	asking.client_certificate = asking_others.client_certificate = CONF_CLIENT_CERT_REQUIRE;
	asking.client_ca = cert_blob(&ca, NULL);
	asking_others.client_ca = cert_blob(&ca, &other_ca);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tls_ctx *one = server_ctx(&conf, &means), *worker2 = server_ctx(&conf, &same), *pop3 = server_ctx(&conf, &others[0]),
			       *none = server_ctx(&conf, &others[1]), *asks = server_ctx(&asking, &means),
			       *asks_others = server_ctx(&asking_others, &means);
		SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
		SSL_SESSION *session = NULL;

		copy = keys;
		assert_false(resume(one, theirs, &session, version, NULL));
		assert_true(resume(one, theirs, &session, version, NULL));
		assert_true(resume(worker2, theirs, &session, version, NULL));
		assert_int_equal(ticket_keys_rotate(&keys, &err), 0);	/* the other worker has not heard of it yet */
		assert_true(resume(one, theirs, &session, version, NULL));
		assert_true(resume(worker2, theirs, &session, version, NULL));
		copy = keys;
		assert_int_equal(ticket_keys_rotate(&keys, &err), 0);
		assert_true(resume(one, theirs, &session, version, NULL));
		ticket_keys_rotate(&keys, &err);
		ticket_keys_rotate(&keys, &err);
		assert_false(resume(one, theirs, &session, version, NULL));	/* too old */
		assert_true(resume(one, theirs, &session, version, NULL));
		assert_false(resume(pop3, theirs, &session, version, NULL));	/* another protocol's */
		assert_false(resume(one, theirs, &session, version, NULL));
		assert_false(resume(asks, theirs, &session, version, &c));	/* somebody who was not asked */
		assert_true(resume(asks, theirs, &session, version, &c));
		assert_false(resume(asks_others, theirs, &session, version, &c));	/* others are trusted now */
		SSL_SESSION_free(session);
		session = NULL;
		assert_false(resume(none, theirs, &session, version, NULL));
		assert_false(resume(none, theirs, &session, version, NULL));
		SSL_SESSION_free(session);
		SSL_CTX_free(theirs);
		tls_ctx_free(&one);
		tls_ctx_free(&worker2);
		tls_ctx_free(&pop3);
		tls_ctx_free(&none);
		tls_ctx_free(&asks);
		tls_ctx_free(&asks_others);
	}
	free_conf(&conf);
	free_conf(&asking);
	free_conf(&asking_others);
	free_pair(&p);
	free_pair(&c);
}

/* ---- our client side ---- */

/* A handshake of two of ours; what the client's left behind. */
static enum tls_step
meet(struct tls_ctx *server, struct tls_ctx *client, const char *name, struct err *why)
{
	enum tls_step left = TLS_WANT_WRITE;
	struct tls *tls;
	struct ends e;
	char octet;
	size_t n;

	begin_server(&e, server);
	*why = (struct err){ "" };
	tls = tls_new(client, e.fd[1], name, why);
	assert_non_null(tls);
	for (int i = 0; i < 10; i++) {
		if (unfinished(left))
			left = tls_handshake(tls, why);
		serve(&e);
	}
	if (left == TLS_DONE && e.left == TLS_DONE) {
		tls_write(e.server, SLICE("x"), &n, why);
		assert_int_equal(tls_read(tls, &octet, 1, &n, why), TLS_DONE);
		tls_bye(tls);
	}
	tls_free(&tls);
	end_server(&e);
	return left;
}

static void
pin_of(const struct pair *p, const char *begins, char out[80])
{
	unsigned char *der = NULL, key[DIGEST_SHA256_LEN];
	int len = i2d_PUBKEY(p->key, &der);
	struct buf text;

	digest_sha256((struct slice){ (char *)der, (size_t)len }, key);
	OPENSSL_free(der);
	buf_init(&text, 80);
	buf_puts(&text, begins);
	b64_encode(&text, (struct slice){ (char *)key, sizeof(key) });
	strncpy(out, buf_str(&text), 80);
	buf_free(&text);
}

static void
test_backend_verification(void **state)
{
	struct pair good = make_pair("RSA", "x", "DNS:store.example.org, DNS:*.wild.example.org", &ca, 10),
		    old = make_pair("P-256", "store.example.org", NULL, &ca, -1),
		    self = make_pair("P-256", "store.example.org", NULL, NULL, 10),
		    foreign = make_pair("P-256", "store.example.org", NULL, &other_ca, 10);
	char good_pin[80], bare_pin[80], self_pin[80], says_pin[200];
	char *pins[][2] = { { self_pin, good_pin }, { bare_pin, NULL }, { self_pin, NULL } };
	const struct {
		const struct pair *server;
		const char *name;
		enum conf_tls_mode mode;
		bool verify;
		char **pins;
		size_t npins;
		const char *says;	/* NULL: all is well */
	} cases[] = {
		{ &good,    "store.example.org",    CONF_TLS_REQUIRE, true, NULL, 0, NULL },
		{ &good,    "STORE.example.org",    CONF_TLS_REQUIRE, true, NULL, 0, NULL },
		{ &good,    "a.wild.example.org",   CONF_TLS_IMPLICIT, true, NULL, 0, NULL },
		{ &good,    "vault.example.org",    CONF_TLS_REQUIRE, true, NULL, 0,
		  "TLS handshake: not for vault.example.org: the certificate is for store.example.org, *.wild.example.org" },
		{ &good,    "vault.example.org",    CONF_TLS_OFFER,   true, NULL, 0, NULL },
		{ &good,    "vault.example.org",    CONF_TLS_REQUIRE, false, NULL, 0, NULL },
		{ &good,    NULL,                   CONF_TLS_REQUIRE, false, NULL, 0, NULL },
		{ &old,     "store.example.org",    CONF_TLS_REQUIRE, true, NULL, 0,
		  "TLS handshake: expired on 20" },
		{ &self,    "store.example.org",    CONF_TLS_REQUIRE, true, NULL, 0,
		  "TLS handshake: signed by itself and not trusted: the certificate of store.example.org" },
		{ &foreign, "store.example.org",    CONF_TLS_REQUIRE, true, NULL, 0,
		  "TLS handshake: signed by somebody who is not trusted (CN=other): the certificate of store.example.org" },
		{ &good,    NULL,                   CONF_TLS_REQUIRE, true, pins[0], 2, NULL },
		{ &self,    "any.example",          CONF_TLS_REQUIRE, true, pins[0], 2, NULL },
		{ &good,    NULL,                   CONF_TLS_REQUIRE, true, pins[1], 1, NULL },
		{ &good,    "store.example.org",    CONF_TLS_REQUIRE, true, pins[2], 1, says_pin },
		{ &good,    "store.example.org",    CONF_TLS_OFFER,   false, pins[2], 1, says_pin },
	};

	(void)state;
	pin_of(&good, "sha256//", good_pin);
	pin_of(&good, "", bare_pin);
	pin_of(&self, "sha256//", self_pin);
	snprintf(says_pin, sizeof(says_pin), "TLS handshake: key %s is none of tls-pin", good_pin);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf_tls server_conf = conf_of(cases[i].server);
		struct conf_backend conf = { .tls_mode = cases[i].mode, .tls_verify = cases[i].verify, .tls_min_version = CONF_TLS_1_2,
			.tls_ca = cert_blob(&ca, NULL), .tls_pins = cases[i].pins, .ntls_pins = cases[i].npins };
		struct tls_ctx *server = server_ctx(&server_conf, &plain), *client;
		struct err why = { "" };
		enum tls_step left;

		client = tls_client_ctx(&conf, &why);
		assert_non_null(client);
		left = meet(server, client, cases[i].name, &why);
		assert_int_equal(left, cases[i].says == NULL ? TLS_DONE : TLS_FAILED);
		assert_true(slice_starts(slice_of(why.text), cases[i].says != NULL ? cases[i].says : ""));
		tls_ctx_free(&server);
		tls_ctx_free(&client);
		free(conf.tls_ca.bytes);
		free_conf(&server_conf);
	}
	free_pair(&good);
	free_pair(&old);
	free_pair(&self);
	free_pair(&foreign);
}

static void
test_bad_pins(void **state)
{
	static const char *const bad[] = { "", "sha256//", "sha256//x", "sha256//AAAA", "md5//AAAA",
		"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };

	(void)state;
	for (size_t i = 0; i < NITEMS(bad); i++) {
		char *pins[] = { (char *)bad[i] };
		struct conf_backend conf = { .tls_mode = CONF_TLS_REQUIRE, .tls_verify = true, .tls_pins = pins, .ntls_pins = 1 };
		struct err err = { "" };

		assert_null(tls_client_ctx(&conf, &err));
		assert_non_null(strstr(err.text, "is no pin: sha256//"));
	}
}

/* Who verifies by name must be told which. */
static void
test_backend_without_name(void **state)
{
	struct conf_backend conf = { .tls_mode = CONF_TLS_REQUIRE, .tls_verify = true, .tls_ca = cert_blob(&ca, NULL) };
	struct err err = { "" };
	struct tls_ctx *ctx = tls_client_ctx(&conf, &err);

	(void)state;
	assert_non_null(ctx);
	assert_null(tls_new(ctx, 0, NULL, &err));
	assert_string_equal(err.text, "TLS session: no name that the certificate could be compared with");
	tls_ctx_free(&ctx);
	free(conf.tls_ca.bytes);
}

/* A backend asks for our certificate. When its session is taken up it shows none itself: even one whose certificate
 * we would refuse passes then, but not when the session is not taken up. */
static void
test_backend_resumes_and_shows(void **state)
{
	struct pair p = make_pair("P-256", "store", NULL, &ca, 10), c = make_pair("RSA", "gateway", NULL, &ca, 10),
		    s = make_pair("P-256", "store", NULL, NULL, 10);
	struct conf_tls server_conf = conf_of(&p), own = conf_of(&c), impostor_conf = conf_of(&s);
	struct conf_backend conf = { .tls_mode = CONF_TLS_REQUIRE, .tls_verify = true, .tls_min_version = CONF_TLS_1_2, .tls_client = &own };
	struct ticket_keys keys;
	struct tls_server_means means = { CONF_SMTP, &keys, 3600 };
	struct err why = { "" };

	(void)state;
	ticket_keys_make(&keys, &why);
	conf.tls_ca = cert_blob(&ca, NULL);
	server_conf.client_ca = cert_blob(&ca, NULL);
	server_conf.client_certificate = impostor_conf.client_certificate = CONF_CLIENT_CERT_REQUIRE;
	impostor_conf.client_ca = cert_blob(&ca, NULL);
	for (int version = CONF_TLS_1_2; version <= CONF_TLS_1_3; version++) {
		struct tls_ctx *server, *impostor, *client;

		server_conf.min_version = (enum conf_tls_version)version;
		impostor_conf.min_version = server_conf.min_version;
		server = server_ctx(&server_conf, &means);
		impostor = server_ctx(&impostor_conf, &means);
		client = tls_client_ctx(&conf, &why);
		assert_non_null(client);
		assert_int_equal(meet(impostor, client, "store", &why), TLS_FAILED);
		assert_int_equal(meet(server, client, "store", &why), TLS_DONE);
		assert_int_equal(meet(impostor, client, "store", &why), TLS_DONE);
		ticket_keys_make(&keys, &why);
		assert_int_equal(meet(impostor, client, "store", &why), TLS_FAILED);
		tls_ctx_free(&server);
		tls_ctx_free(&impostor);
		tls_ctx_free(&client);
	}
	free(conf.tls_ca.bytes);
	free_conf(&impostor_conf);
	free_conf(&server_conf);
	free_conf(&own);
	free_pair(&p);
	free_pair(&c);
	free_pair(&s);
}

/* ---- old versions ---- */

static void
test_versions(void **state)
{
	static const struct {
		enum conf_tls_version min;
		unsigned level;
		int client;
		bool in;
	} cases[] = {
		{ CONF_TLS_1_0, 0, TLS1_VERSION,   true },
		{ CONF_TLS_1_0, 0, TLS1_1_VERSION, true },
		{ CONF_TLS_1_0, 0, TLS1_3_VERSION, true },
		{ CONF_TLS_1_0, 2, TLS1_VERSION,   false },
		{ CONF_TLS_1_1, 0, TLS1_VERSION,   false },
		{ CONF_TLS_1_2, 2, TLS1_1_VERSION, false },
		{ CONF_TLS_1_2, 2, TLS1_2_VERSION, true },
		{ CONF_TLS_1_3, 2, TLS1_2_VERSION, false },
		{ CONF_TLS_1_3, 2, TLS1_3_VERSION, true },
	};
	struct pair p = make_pair("RSA", "mx", NULL, &ca, 10);
	struct conf_tls conf = conf_of(&p);

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
		struct conf_backend backend = { .tls_mode = CONF_TLS_REQUIRE, .tls_min_version = cases[i].min };
		struct tls_ctx *server, *client;
		struct err why = { "" };
		unsigned long error;
		struct ends e;
		SSL *ssl;

		SSL_CTX_set_security_level(theirs, 0);
		SSL_CTX_set_min_proto_version(theirs, cases[i].client);
		SSL_CTX_set_max_proto_version(theirs, cases[i].client);
		ssl = SSL_new(theirs);
		conf.min_version = cases[i].min;
		conf.security_level = cases[i].level;
		server = server_ctx(&conf, &plain);
		begin_server(&e, server);
		assert_int_equal(greet(&e, ssl, &error), cases[i].in);
		if (cases[i].in)
			assert_int_equal(SSL_version(ssl), cases[i].client);
		SSL_free(ssl);
		SSL_CTX_free(theirs);
		end_server(&e);
		client = tls_client_ctx(&backend, &why);
		assert_int_equal(meet(server, client, NULL, &why), TLS_DONE);	/* ours can do 1.3 whatever the least is */
		tls_ctx_free(&client);
		tls_ctx_free(&server);
	}
	free_conf(&conf);
	free_pair(&p);
}

static int
make_authorities(void **state)
{
	(void)state;
	ca = make_pair("P-256", "authority", NULL, NULL, 30);
	other_ca = make_pair("P-256", "other", NULL, NULL, 30);
	return 0;
}

static int
free_authorities(void **state)
{
	(void)state;
	free_pair(&ca);
	free_pair(&other_ca);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_certificates),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_client_names),
		cmocka_unit_test(test_client_name_with_nul),
		cmocka_unit_test(test_client_refused),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_backend_verification),
		cmocka_unit_test(test_bad_pins),
		cmocka_unit_test(test_backend_without_name),
		cmocka_unit_test(test_backend_resumes_and_shows),
		cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
