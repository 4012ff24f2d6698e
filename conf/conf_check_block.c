/* conf_check_block.c - what no single row can say about one block: settings that need each other. */
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_place.h"
#include "proxy/base/mem.h"

#define SYSTEM_STORE "/etc/ssl/certs/ca-certificates.crt"	/* Debian's ca-certificates */
#define PASSWORD_MAX 255
#define INTERFACE_MAX 15	/* IFNAMSIZ without its NUL */

/* Connections that are taken over on their way to somebody else. */
static int
check_mode(struct conf_load *ld, const struct conf_node *node, struct conf_listener *l)
{
	static const char *const only[] = { "keep-source", "intercept-port", "intercept-interface" };

	for (size_t i = 0; i < NITEMS(only) && l->mode == CONF_PLAIN; i++)
		if (conf_node_child(node, only[i]) != NULL && (i > 0 || l->keep_source))
			return conf_err(ld->err, conf_tree_place(node, only[i]), "%s is for listeners with mode tproxy or redirect", only[i]);
	if (l->keep_source && l->protocol != CONF_SMTP)
		return conf_err(ld->err, conf_tree_place(node, "keep-source"), "keep-source is supported for protocol smtp only");
	if (l->intercept_interface != NULL && strlen(l->intercept_interface) > INTERFACE_MAX)
		return conf_err(ld->err, conf_tree_place(node, "intercept-interface"), "the name of an interface has at most %d characters",
		    INTERFACE_MAX);
	if (l->mode != CONF_PLAIN && l->intercept_port == 0)
		l->intercept_port = l->protocol == CONF_POP3 ? 110 : 25;
	return 0;
}

static int
check_tls(struct conf_load *ld, const struct conf_node *node, const struct conf_tls *t)
{
	if (t->min_version < CONF_TLS_1_2 && t->security_level > 0)
		return conf_err(ld->err, conf_tree_place(node, "min-version"), "min-version %s needs security-level 0: OpenSSL's higher "
		    "ones have no ciphers for it", conf_row_word(CONF_IN_TLS, "min-version", t->min_version));
	if (t->client_certificate != CONF_CLIENT_CERT_OFF && t->client_ca.bytes == NULL)
		return conf_err(ld->err, conf_tree_place(node, "client-certificate"),
		    "client-certificate %s needs the setting client-ca: a file with who may have signed them",
		    conf_row_word(CONF_IN_TLS, "client-certificate", t->client_certificate));
	if (t->client_certificate == CONF_CLIENT_CERT_OFF && t->client_ca.bytes != NULL)
		return conf_err(ld->err, conf_tree_place(node, "client-ca"), "client-ca is for client-certificate ask or require");
	return 0;
}

static int
check_networks(struct conf_load *ld, const struct conf_node *node, const char *setting, const struct net *nets, size_t n,
    const char *why)
{
	for (size_t i = 0; i < n; i++)
		if (nets[i].bits == 0)
			return conf_err(ld->err, conf_tree_place_of_value(node, setting, i), "%s", why);
	return 0;
}

/* Networks whose word we take for something. */
static int
check_trusted(struct conf_load *ld, const struct conf_node *node, const struct conf_listener *l)
{
	if (check_networks(ld, node, "relay-from", l->relay_from, l->nrelay_from,
		"this would let everyone send anywhere: name the networks of your own clients") == -1)
		return -1;
	if (check_networks(ld, node, "proxy-from", l->proxy_from, l->nproxy_from,
		"this would let everyone say who they are: name the addresses of your proxies") == -1)
		return -1;
	return check_networks(ld, node, "xclient-from", l->xclient_from, l->nxclient_from,
	    "this would let everyone say who they are: name the addresses of your relays");
}

static int
check_without(struct conf_load *ld, const struct conf_node *node, const struct conf_listener *l)
{
	for (const struct conf_node *child = node->first; child != NULL; child = child->next)
		for (size_t i = 1; strcmp(child->words[0].text, "without") == 0 && i < child->nwords; i++)
			if (slice_iis(slice_of(child->words[i].text), "none") && l->without != 0)
				return conf_err(ld->err, &child->words[i].where, "without: none stands alone");
	return 0;
}

static int
check_auth(struct conf_load *ld, const struct conf_node *node, const struct conf_listener *l)
{
	if (l->auth == CONF_AUTH_TLS && l->tls_mode == CONF_TLS_NONE)
		return conf_err(ld->err, conf_tree_place(node, "auth"), "nobody could authenticate here: set tls, or auth always");
	if (l->auth != CONF_AUTH_OFF && (l->without & CONF_EXT_AUTH) != 0)
		return conf_err(ld->err, conf_tree_place(node, "without"), "without AUTH and auth %s contradict each other",
		    conf_row_word(CONF_IN_LISTENER, "auth", l->auth));
	if (l->auth == CONF_AUTH_OFF && l->auth_required)
		return conf_err(ld->err, conf_tree_place(node, "auth-required"), "auth-required on needs the setting auth: tls or always");
	if (l->tls_mode == CONF_TLS_REQUIRE && (l->without & CONF_EXT_STARTTLS) != 0)
		return conf_err(ld->err, conf_tree_place(node, "without"), "without STARTTLS and tls-mode require contradict each other");
	return 0;
}

static int
check_listener(struct conf_load *ld, const struct conf_node *node, struct conf_listener *l)
{
	bool has_tls = conf_node_child(node, "tls") != NULL;

	if (conf_node_child(node, "tls-mode") == NULL)
		l->tls_mode = has_tls ? CONF_TLS_OFFER : CONF_TLS_NONE;
	if (l->tls_mode != CONF_TLS_NONE && !has_tls)
		return conf_err(ld->err, conf_tree_place(node, "tls-mode"),
		    "tls-mode other than none needs the setting tls in this listener: the name of a tls block");
	for (size_t i = 0; i < l->naddresses; i++)
		if (l->addresses[i].ss.ss_family == AF_UNIX)
			return conf_err(ld->err, conf_tree_place_of_value(node, "address", i), "a listener's address cannot be a UNIX socket");
	if (check_trusted(ld, node, l) == -1 || check_without(ld, node, l) == -1 || check_auth(ld, node, l) == -1)
		return -1;
	return check_mode(ld, node, l);
}

/* The k-th place: words that weigh one are none. */
static const struct conf_where *
place_of_place(const struct conf_node *block, size_t k)
{
	for (const struct conf_node *node = block->first; node != NULL; node = node->next)
		for (size_t i = 1; strcmp(node->words[0].text, "address") == 0 && i < node->nwords; i++)
			if (!slice_starts(slice_of(node->words[i].text), CONF_PLACE_WEIGHT) && k-- == 0)
				return &node->words[i].where;
	return &block->words[0].where;
}

/* "address original": what stands there for it gives way to the flag. */
static int
check_places(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	for (size_t i = 0; i < b->nplaces; i++) {
		const struct conf_place *place = &b->places[i];

		b->original |= place->host == NULL && place->addr.len == 0;
		if (place->mx && b->protocol != CONF_SMTP)
			return conf_err(ld->err, place_of_place(node, i), "mx: is for protocol smtp: MX records name SMTP servers");
	}
	if (b->original && b->nplaces > 1)
		return conf_err(ld->err, place_of_place(node, 1), "address original stands alone");
	if (b->original)
		b->nplaces = 0;
	return 0;
}

/* One line; its end is no part of the password. */
static int
check_password(struct conf_load *ld, const struct conf_node *node, struct conf_blob *password)
{
	struct slice line = { password->bytes, password->len };

	if (line.len > 0 && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0 || line.len > PASSWORD_MAX || slice_has(line, '\n') || slice_has(line, '\r') || slice_has(line, '\0'))
		return conf_err(ld->err, conf_tree_place(node, "login-password"), "expected a file with one line of 1 to %d octets", PASSWORD_MAX);
	password->len = line.len;
	return 0;
}

static bool
is_local(const struct conf_backend *b)
{
	for (size_t i = 0; i < b->nplaces; i++)
		if (!conf_place_is_local(&b->places[i]))
			return false;
	return b->nplaces > 0;
}

static int
check_login(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	bool is_safe = b->tls_mode == CONF_TLS_REQUIRE || b->tls_mode == CONF_TLS_IMPLICIT || is_local(b);

	if ((b->login_user != NULL) != (b->login_password.bytes != NULL))
		return conf_err(ld->err, conf_tree_place(node, b->login_user != NULL ? "login-user" : "login-password"),
		    "login-user and login-password need each other");
	if (b->login_user == NULL)
		return 0;
	if (!is_safe)
		return conf_err(ld->err, conf_tree_place(node, "login-user"), "the password would be readable on its way: set tls-mode require "
		    "or implicit, or an address on this machine");
	return check_password(ld, node, &b->login_password);
}

/* Each address is a host's name, which its certificate must bear then. Not so mail servers that an MX record
 * names: nobody has signed that record. */
static bool
is_named(const struct conf_backend *b)
{
	for (size_t i = 0; i < b->nplaces; i++)
		if (b->places[i].host == NULL || b->places[i].mx)
			return false;
	return b->nplaces > 0;
}

/* A pin says more than any authority: with one neither a name nor a store is needed. */
static int
check_verifying(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	bool verifies = b->tls_mode == CONF_TLS_REQUIRE || b->tls_mode == CONF_TLS_IMPLICIT;
	const struct conf_where *where = conf_tree_place(node, "tls-mode");

	if (b->ntls_pins > 0 && !verifies)
		return conf_err(ld->err, conf_tree_place(node, "tls-pin"), "tls-pin is for tls-mode require or implicit");
	if (b->ntls_pins > 0 && !b->tls_verify)
		return conf_err(ld->err, conf_tree_place(node, "tls-verify"), "tls-pin and tls-verify off contradict each other");
	if (!b->tls_verify || !verifies || b->ntls_pins > 0)
		return 0;
	if (b->tls_name == NULL && !is_named(b))
		return conf_err(ld->err, where, "tls-mode %s with tls-verify on needs the setting tls-name: the name that the "
		    "backend's certificate bears", b->tls_mode == CONF_TLS_REQUIRE ? "require" : "implicit");
	if (b->tls_ca.bytes != NULL || conf_value_blob(ld, SYSTEM_STORE, where, &b->tls_ca) == 0)
		return 0;
	return err_set(ld->err, "%s (install ca-certificates or set tls-ca)", ld->err->text);
}

/* Who keeps mailboxes is not told who the client is, and everybody logs in there for himself. */
static int
check_mailboxes(struct conf_load *ld, const struct conf_node *node, const struct conf_backend *b)
{
	static const char *const not_there[] = { "client-identity", "login-user", "login-password" };

	for (size_t i = 0; b->protocol == CONF_IMAP && i < NITEMS(not_there); i++)
		if (conf_node_child(node, not_there[i]) != NULL)
			return conf_err(ld->err, conf_tree_place(node, not_there[i]), "%s is for protocol smtp or lmtp", not_there[i]);
	return 0;
}

static int
check_backend(struct conf_load *ld, const struct conf_node *node, struct conf_backend *b)
{
	if (check_places(ld, node, b) == -1 || check_mailboxes(ld, node, b) == -1 || check_login(ld, node, b) == -1)
		return -1;
	return check_verifying(ld, node, b);
}

int
conf_check_block(struct conf_load *ld, enum conf_block block, const struct conf_node *node, void *at)
{
	struct conf_profile *profile = at;

	if (block == CONF_IN_TLS)
		return check_tls(ld, node, at);
	if (block == CONF_IN_LISTENER)
		return check_listener(ld, node, at);
	if (block == CONF_IN_BACKEND)
		return check_backend(ld, node, at);
	if (block == CONF_IN_PROFILE)
		profile->written = node;
	return 0;
}
