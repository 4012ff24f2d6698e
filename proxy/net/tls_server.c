#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/digest.h"
#include "proxy/base/mem.h"
#include "proxy/net/tls_int.h"

#define NO_BLOCK SIZE_MAX
#define HOST_MAX 253	/* of a name that a client asks for; longer ones no certificate bears */

/* Certificates of different kinds stand side by side in one context; of one kind there is one. */
static const int kinds[] = { EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_ED448 };
#define KINDS NITEMS(kinds)

struct set {			/* the certificates that a name is answered with */
	size_t block[KINDS];	/* of each kind, or NO_BLOCK */
	SSL_CTX *ssl;
};

struct name {
	char *host;		/* lower case; may begin with "*." */
	size_t set;
};

/* Everything about names is made when the context is: a client's word is only looked up. */
struct tls_names {
	struct name *name;	/* in order, each once */
	size_t n;
	struct set *set;	/* the first is for who asks for nothing that we have */
	size_t nsets;
};

struct bearing {		/* while it is made: block number `block` bears this name */
	char *host;
	size_t block;
};

struct making {
	const struct conf_tls *const *blocks;
	size_t nblocks;
	size_t *kind;		/* of each block, a place in kinds[] */
	struct bearing *bearing;
	size_t n, block;
};

/* ---- names ---- */

static int
compare_name(const void *host, const void *name)
{
	return strcmp(host, ((const struct name *)name)->host);
}

static const struct name *
find_name(const struct tls_names *names, const char *host)
{
	return bsearch(host, names->name, names->n, sizeof(*names->name), compare_name);
}

/* RFC 6066 section 3: a name without a final dot; a client that sends one means the same. */
static const struct set *
find_set(const struct tls_names *names, const char *asked)
{
	char host[HOST_MAX + 1];
	size_t len = strlen(asked);
	const struct name *found;
	char *dot;

	if (len > 0 && asked[len - 1] == '.')
		len--;
	if (len == 0 || len > HOST_MAX || asked[0] == '*')
		return NULL;
	for (size_t i = 0; i < len; i++)
		host[i] = (char)ascii_lower(asked[i]);
	host[len] = '\0';
	found = find_name(names, host);
	if (found == NULL && (dot = strchr(host, '.')) != NULL && dot > host) {
		*--dot = '*';	/* the star stands for one label, the first */
		found = find_name(names, dot);
	}
	return found != NULL ? &names->set[found->set] : NULL;
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_ctx *ctx = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct set *set = asked != NULL ? find_set(ctx->names, asked) : NULL;

	(void)alert;
	if (set == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (set->ssl != ctx->ssl)
		SSL_set_SSL_CTX(ssl, set->ssl);
	return SSL_TLSEXT_ERR_OK;
}

static void
add_bearing(void *owner, const char *host)
{
	struct making *m = owner;
	struct bearing *b = mem_push(&m->bearing, &m->n, sizeof(*b));

	b->host = mem_str(host);
	b->block = m->block;
}

/* By name, and what was written first goes first. */
static int
compare_bearing(const void *a, const void *b)
{
	const struct bearing *x = a, *y = b;
	int order = strcmp(x->host, y->host);

	return order != 0 ? order : x->block < y->block ? -1 : x->block > y->block;
}

/* Who bears this very name fills the kinds that are free yet. */
static void
fill(struct set *set, const struct making *m, const char *host)
{
	size_t from = 0;

	for (size_t to = m->n; from < to;) {	/* the first of that name, or behind it */
		size_t middle = from + (to - from) / 2;

		if (strcmp(m->bearing[middle].host, host) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (; from < m->n && strcmp(m->bearing[from].host, host) == 0; from++) {
		size_t *block = &set->block[m->kind[m->bearing[from].block]];

		if (*block == NO_BLOCK)
			*block = m->bearing[from].block;
	}
}

static struct set
empty_set(void)
{
	struct set set = { .ssl = NULL };

	for (size_t k = 0; k < KINDS; k++)
		set.block[k] = NO_BLOCK;
	return set;
}

static struct set
set_for(const struct making *m, const char *host)
{
	struct set set = empty_set();
	const char *dot = strchr(host, '.');
	char above[HOST_MAX + 2];

	fill(&set, m, host);
	if (host[0] != '*' && dot != NULL) {
		snprintf(above, sizeof(above), "*%s", dot);
		fill(&set, m, above);
	}
	return set;
}

/* The first block, and beside it others that share a name with it; then of each kind that is still missing the first
 * there is: most mail servers ask for no name and verify none, and any certificate is better for them than none. */
static struct set
default_set(const struct making *m)
{
	struct set set = empty_set();

	set.block[m->kind[0]] = 0;
	for (size_t i = 0; i < m->n; i++)
		if (m->bearing[i].block == 0)
			fill(&set, m, m->bearing[i].host);
	for (size_t b = 0; b < m->nblocks; b++)
		if (set.block[m->kind[b]] == NO_BLOCK)
			set.block[m->kind[b]] = b;
	return set;
}

static size_t
add_set(struct tls_names *names, struct set set)
{
	for (size_t i = 0; i < names->nsets; i++)
		if (memcmp(names->set[i].block, set.block, sizeof(set.block)) == 0)
			return i;
	*(struct set *)mem_push(&names->set, &names->nsets, sizeof(set)) = set;
	return names->nsets - 1;
}

static struct tls_names *
make_names(struct making *m)
{
	struct tls_names *names = mem_new(sizeof(*names));

	if (m->n > 0)
		qsort(m->bearing, m->n, sizeof(*m->bearing), compare_bearing);
	add_set(names, default_set(m));
	names->name = mem_array(m->n, sizeof(*names->name));
	for (size_t i = 0; i < m->n; i++)
		if (names->n == 0 || strcmp(names->name[names->n - 1].host, m->bearing[i].host) != 0)
			names->name[names->n++] = (struct name){ mem_str(m->bearing[i].host),
				add_set(names, set_for(m, m->bearing[i].host)) };
	return names;
}

void
tls_names_free(struct tls_names **np)
{
	struct tls_names *names = *np;

	*np = NULL;
	if (names == NULL)
		return;
	for (size_t i = 0; i < names->n; i++)
		free(names->name[i].host);
	for (size_t i = 0; i < names->nsets; i++)
		SSL_CTX_free(names->set[i].ssl);
	free(names->name);
	free(names->set);
	free(names);
}

/* ---- ALPN (RFC 7301) ---- */

/* "pop3" and "imap" are in the registry, SMTP and LMTP never came in; but who says these words can mean nothing else. */
static const char *
alpn_name(enum conf_protocol protocol)
{
	switch (protocol) {
	case CONF_SMTP:
		return "smtp";
	case CONF_LMTP:
		return "lmtp";
	case CONF_POP3:
		return "pop3";
	case CONF_IMAP:
		return "imap";
	}
	return "";
}

/* A client that was made to speak another protocol here, with a certificate that is good for both, is sent away
 * before it says a word (ALPACA). One that says nothing of protocols is served. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *list, unsigned int len, void *arg)
{
	const struct tls_ctx *ctx = arg;
	const char *ours = alpn_name(ctx->protocol);

	(void)ssl;
	for (unsigned int at = 0; at < len && list[at] < len - at; at += list[at] + 1u)
		if (slice_is((struct slice){ (const char *)list + at + 1, list[at] }, ours)) {
			*out = list + at + 1;
			*out_len = list[at];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- session tickets ---- */

static int
use_ticket_key(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seal) == 1 ? 1 : -1;
}

/* 0: no ticket of ours, a full handshake follows; 1: taken; 2: taken, and a new one is due. */
static int
on_ticket(SSL *ssl, unsigned char name[TICKET_NAME_LEN], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	enum ticket_age age;

	if (seal) {
		const struct ticket_key *key = &ctx->tickets->key[TICKET_CURRENT];

		memcpy(name, key->name, sizeof(key->name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
		return use_ticket_key(key, iv, cipher, mac, 1);
	}
	age = ticket_key_find(ctx->tickets, name);
	if (age == TICKET_KEYS)
		return 0;
	if (use_ticket_key(&ctx->tickets->key[age], iv, cipher, mac, 0) != 1)
		return -1;
	return age == TICKET_PREVIOUS ? 2 : 1;
}

/* A session is taken up only where it could have begun: what a listener asks of its clients is in this name. */
static void
name_sessions(SSL_CTX *ssl, const struct conf_tls *conf, enum conf_protocol protocol)
{
	unsigned char name[DIGEST_SHA256_LEN], asks[] = { (unsigned char)protocol, (unsigned char)conf->min_version,
		(unsigned char)conf->security_level, (unsigned char)conf->client_certificate };
	struct digest *d = digest_new();

	digest_add_sized(d, (struct slice){ (const char *)asks, sizeof(asks) });
	digest_add_sized(d, slice_of(conf->ciphers));
	digest_add_sized(d, (struct slice){ conf->client_ca.bytes, conf->client_ca.len });
	digest_end(&d, name);
	SSL_CTX_set_session_id_context(ssl, name, sizeof(name));
}

/* ---- contexts ---- */

static int
verify(X509_STORE_CTX *store, void *arg)
{
	struct err why = { "" };

	(void)arg;
	if (X509_verify_cert(store) == 1)
		return 1;
	tls_say_refused(store, NULL, &why);
	tls_note_refused(store, why.text);
	return 0;
}

static int
take_client_ca(void *to, X509 *cert, size_t n)
{
	(void)n;
	return SSL_CTX_add_client_CA(to, cert);		/* clients choose by these names which certificate they show */
}

static int
ask_clients(SSL_CTX *ssl, const struct conf_tls *conf, struct err *err)
{
	int mode = SSL_VERIFY_PEER | (conf->client_certificate == CONF_CLIENT_CERT_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);

	if (conf->client_ca.len == 0)
		return err_set(err, "tls %s: client certificates need client-ca: who may have signed them", conf->name);
	if (tls_trust(ssl, &conf->client_ca, err) == -1 || tls_each_cert(&conf->client_ca, take_client_ca, ssl, err) == -1)
		return -1;
	SSL_CTX_set_verify(ssl, mode, NULL);
	SSL_CTX_set_cert_verify_callback(ssl, verify, NULL);
	return 0;
}

/* What the listener's first block says, and what holds for all. */
static int
settle(struct tls_ctx *ctx, SSL_CTX *ssl, const struct conf_tls *conf, const struct tls_server_means *means, struct err *err)
{
	SSL_CTX_set_app_data(ssl, ctx);
	if (conf->ciphers != NULL && SSL_CTX_set_cipher_list(ssl, conf->ciphers) != 1) {
		ERR_clear_error();
		return err_set(err, "tls %s: OpenSSL knows no cipher of the list \"%s\"", conf->name, conf->ciphers);
	}
	SSL_CTX_set_security_level(ssl, (int)conf->security_level);
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (conf->min_version < CONF_TLS_1_2)
		SSL_CTX_set_dh_auto(ssl, 1);	/* who is that old may know no elliptic curves */
	SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ssl, ctx);
	SSL_CTX_set_alpn_select_cb(ssl, on_alpn, ctx);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);	/* clients keep their sessions themselves, in tickets */
	name_sessions(ssl, conf, means->protocol);
	if (means->tickets == NULL) {
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ssl, 0);
	} else {
		SSL_CTX_set_num_tickets(ssl, 1);	/* mail clients open one connection at a time */
		SSL_CTX_set_timeout(ssl, (long)means->ticket_life);
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
	}
	return ctx->verifies ? ask_clients(ssl, conf, err) : 0;
}

static int
make_set(struct tls_ctx *ctx, struct set *set, const struct making *m, const struct tls_server_means *means, struct err *err)
{
	set->ssl = tls_ssl_ctx(TLS_server_method(), m->blocks[0]->min_version, err);
	if (set->ssl == NULL || settle(ctx, set->ssl, m->blocks[0], means, err) == -1)
		return -1;
	for (size_t k = 0; k < KINDS; k++)
		if (set->block[k] != NO_BLOCK && tls_use_pair(set->ssl, m->blocks[set->block[k]], err) == -1)
			return -1;
	return 0;
}

static int
look_at_block(struct making *m, struct err *err)
{
	const struct conf_blob *pem = &m->blocks[m->block]->certificate;
	X509 *leaf = tls_leaf(pem, err);
	int kind;

	if (leaf == NULL)
		return -1;
	kind = EVP_PKEY_get_base_id(X509_get0_pubkey(leaf));
	for (size_t k = 0; k < KINDS; k++)
		if (kinds[k] == kind)
			m->kind[m->block] = k;
	tls_server_names(leaf, add_bearing, m);
	X509_free(leaf);
	if (m->kind[m->block] == KINDS)
		return err_set(err, "%s: a key of this kind cannot be used: take RSA, ECDSA or Ed25519", pem->path);
	return 0;
}

static int
make_ctx(struct tls_ctx *ctx, struct making *m, const struct tls_server_means *means, struct err *err)
{
	for (m->block = 0; m->block < m->nblocks; m->block++) {
		m->kind[m->block] = KINDS;
		if (look_at_block(m, err) == -1)
			return -1;
	}
	ctx->names = make_names(m);
	for (size_t i = 0; i < ctx->names->nsets; i++)
		if (make_set(ctx, &ctx->names->set[i], m, means, err) == -1)
			return -1;
	ctx->ssl = ctx->names->set[0].ssl;
	SSL_CTX_up_ref(ctx->ssl);
	return 0;
}

struct tls_ctx *
tls_server_ctx(const struct conf_tls *const *blocks, size_t n, const struct tls_server_means *means, struct err *err)
{
	struct making m = { .blocks = blocks, .nblocks = n, .kind = mem_array(n, sizeof(*m.kind)) };
	struct tls_ctx *ctx = tls_ctx_new();

	ctx->verifies = blocks[0]->client_certificate != CONF_CLIENT_CERT_OFF;
	ctx->protocol = means->protocol;
	ctx->tickets = means->tickets;
	if (make_ctx(ctx, &m, means, err) == -1)
		tls_ctx_free(&ctx);
	for (size_t i = 0; i < m.n; i++)
		free(m.bearing[i].host);
	free(m.bearing);
	free(m.kind);
	return ctx;
}
