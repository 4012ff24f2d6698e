/* conf.h - the configuration: an nginx-like text becomes one immutable struct conf.
 *
 * Every setting is one row (conf_rows.c): block, name, type, limits, default, sentence. The same
 * rows check the file, fill the struct and print the manual. Strings and arrays belong to the
 * struct conf; it is shared by counting references inside one process, and travels between
 * processes as explicit bytes (conf_pack), files' contents included, so that who receives it
 * opens nothing. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdio.h>

#include "proxy/base/addr.h"
#include "proxy/base/buf.h"
#include "proxy/base/err.h"
#include "proxy/base/log.h"

#define CONF_NAME_MAX 63	/* octets in a block's name */

struct conf_where {		/* where a block or setting stands, for messages about it */
	const char *file;
	unsigned line, column;
};

struct conf_blob {		/* a file's contents, read when the configuration was */
	char *path;
	char *bytes;
	size_t len;
};

enum conf_tls_mode { CONF_TLS_NONE, CONF_TLS_OFFER, CONF_TLS_REQUIRE, CONF_TLS_IMPLICIT };
enum conf_tls_version { CONF_TLS_1_0, CONF_TLS_1_1, CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_client_certificate { CONF_CLIENT_CERT_OFF, CONF_CLIENT_CERT_ASK, CONF_CLIENT_CERT_REQUIRE };

/* tls NAME { certificate FILE; key FILE; min-version 1.2; } A listener may name several: the certificate is
 * chosen by the client's SNI and what it can verify (RSA, ECDSA); everything else is the first one's. */
struct conf_tls {
	char *name;
	struct conf_where where;
	struct conf_blob certificate, key;
	enum conf_tls_version min_version;	/* below 1.2 only with a security_level of 0 */
	char *ciphers;				/* OpenSSL's cipher list for TLS 1.2 and older; NULL: its own */
	unsigned security_level;		/* OpenSSL's, 0 to 5; default 2 */
	enum conf_client_certificate client_certificate;
	struct conf_blob client_ca;		/* PEM: who may have signed clients' certificates */
};

enum conf_protocol { CONF_SMTP, CONF_LMTP, CONF_POP3, CONF_IMAP };

/* How connections come to a listener: by its own address, or taken over on their way to somebody else's
 * (TPROXY leaves the addresses as they were; REDIRECT rewrites the destination, and the kernel remembers it). */
enum conf_mode { CONF_PLAIN, CONF_TPROXY, CONF_REDIRECT };

/* The ESMTP extensions, as bits: what a listener does not offer, what a backend does. */
enum conf_extension {
	CONF_EXT_PIPELINING = 1 << 0, CONF_EXT_SIZE = 1 << 1, CONF_EXT_8BITMIME = 1 << 2, CONF_EXT_SMTPUTF8 = 1 << 3,
	CONF_EXT_DSN = 1 << 4, CONF_EXT_ENHANCED = 1 << 5, CONF_EXT_CHUNKING = 1 << 6, CONF_EXT_BINARYMIME = 1 << 7,
	CONF_EXT_AUTH = 1 << 8, CONF_EXT_DELIVERBY = 1 << 9, CONF_EXT_REQUIRETLS = 1 << 10, CONF_EXT_PRDR = 1 << 11,
	CONF_EXT_LIMITS = 1 << 12, CONF_EXT_ETRN = 1 << 13, CONF_EXT_VRFY = 1 << 14, CONF_EXT_EXPN = 1 << 15,
	CONF_EXT_HELP = 1 << 16, CONF_EXT_STARTTLS = 1 << 17, CONF_EXT_XCLIENT = 1 << 18, CONF_EXT_XFORWARD = 1 << 19,
};

/* SASL mechanisms, as bits (proxy/sasl knows their names). */
enum conf_mechanism {
	CONF_MECH_PLAIN = 1 << 0, CONF_MECH_LOGIN = 1 << 1, CONF_MECH_CRAM_MD5 = 1 << 2, CONF_MECH_DIGEST_MD5 = 1 << 3,
	CONF_MECH_SCRAM_SHA_1 = 1 << 4, CONF_MECH_SCRAM_SHA_256 = 1 << 5, CONF_MECH_SCRAM_SHA_512 = 1 << 6,
	CONF_MECH_XOAUTH2 = 1 << 7, CONF_MECH_OAUTHBEARER = 1 << 8, CONF_MECH_EXTERNAL = 1 << 9,
	CONF_MECH_SCRAM_SHA_1_PLUS = 1 << 10, CONF_MECH_SCRAM_SHA_256_PLUS = 1 << 11, CONF_MECH_GSSAPI = 1 << 12,
	CONF_MECH_NTLM = 1 << 13,
};

enum conf_auth { CONF_AUTH_OFF, CONF_AUTH_TLS, CONF_AUTH_ALWAYS };	/* TLS: offered inside TLS only */
enum conf_newline { CONF_NEWLINE_REFUSE, CONF_NEWLINE_NORMALIZE };

/* listener NAME { protocol smtp; address A...; tls NAME...; tls-mode offer; ... } */
struct conf_listener {
	char *name;
	struct conf_where where;
	enum conf_protocol protocol;
	struct addr *addresses;
	size_t naddresses;
	const struct conf_tls *tls;		/* the first one; NULL: none; then tls_mode is CONF_TLS_NONE */
	const struct conf_tls **tlses;		/* all of them */
	size_t ntlses;
	enum conf_tls_mode tls_mode;		/* default with a tls: offer */
	const struct conf_backend *backend;	/* POP3: the IMAP server that holds the mailboxes; NULL for SMTP */
	bool plaintext_login;			/* POP3: passwords may be said without TLS */
	enum conf_mode mode;
	bool keep_source;			/* backends see the client's address; never with CONF_PLAIN */
	unsigned intercept_port;		/* whose connections are taken over; for the firewall's rules only */
	char *intercept_interface;		/* where they come in; NULL: anywhere */
	struct net *allow, *deny, *relay_from;	/* deny wins; no allow: everyone; relay_from: never everyone */
	size_t nallow, ndeny, nrelay_from;
	double idle_timeout;			/* seconds a client may stay silent between commands */
	double command_timeout;			/* seconds for one whole command line */
	double data_timeout;			/* seconds without a byte inside DATA */
	uint64_t min_data_rate;			/* octets a second of a message, on average over data_timeout; 0: any */
	double park_after;			/* seconds of DATA after which the backend's session is let go; 0: never */
	uint64_t max_size;			/* octets of a message; at most spool_memory */
	unsigned max_recipients, max_errors, max_hops;
	unsigned max_messages;			/* of one connection; 0: any number */
	unsigned max_per_address;		/* connections from one address (IPv6: /64); 0: any number */
	unsigned without;			/* bits of enum conf_extension: not offered here */
	enum conf_newline bare_newline;		/* inside a message; a NUL is always refused */
	enum conf_auth auth;
	unsigned auth_mechanisms;		/* bits of enum conf_mechanism */
	bool auth_required;			/* no MAIL without */
	bool auth_relays;			/* who has authenticated may send to any domain */
	unsigned auth_failures;			/* of one address or user name in ten minutes; more are put off */
	struct net *proxy_from, *xclient_from;	/* who begins with a PROXY header; who may say XCLIENT, XFORWARD */
	size_t nproxy_from, nxclient_from;
};

enum conf_identity { CONF_IDENTITY_NONE, CONF_IDENTITY_PROXY_V1, CONF_IDENTITY_PROXY_V2, CONF_IDENTITY_XCLIENT,
	CONF_IDENTITY_XFORWARD };

/* One word of "address": 192.0.2.1:25, [2001:db8::1]:25, unix:/run/x, mail.example.org:25, mx:example.org;
 * "weight=3" behind it. */
struct conf_place {
	struct addr addr;			/* len 0: a name */
	char *host;				/* a name for the DNS; NULL: an address */
	bool mx;				/* its MX records say which hosts */
	unsigned port;
	unsigned weight;			/* 0: not said */
};

/* backend NAME { protocol smtp; address A...; tls-mode none; ... } Several addresses: tried in order, or where
 * weights are given shared by them; "address original": none, it is the server that the client was on its way to. */
struct conf_backend {
	char *name;
	struct conf_where where;
	unsigned slot;				/* its row in the page of global limits: its number in this configuration */
	enum conf_protocol protocol;
	struct conf_place *places;		/* all that was written */
	size_t nplaces;
	bool original;				/* then there are no places; only listeners that take over can use it */
	enum conf_tls_mode tls_mode;		/* NONE, REQUIRE (STARTTLS), IMPLICIT; OFFER: STARTTLS if it is there, unverified */
	bool tls_verify;			/* default on */
	char *tls_name;				/* the name the certificate must bear; compulsory when verifying */
	struct conf_blob tls_ca;		/* PEM; empty: the system's store, as read by master */
	enum conf_tls_version tls_min_version;
	char **tls_pins;			/* "sha256//BASE64" of a public key (as curl's --pinnedpubkey); any of them will do */
	size_t ntls_pins;
	const struct conf_tls *tls_client;	/* our own certificate, if the server asks for one; NULL: none */
	enum conf_identity identity;		/* how the server hears who the client is */
	char *login_user;			/* we authenticate there ourselves (AUTH PLAIN, inside TLS); NULL: we do not */
	struct conf_blob login_password;	/* a file; its one line, without the line's end */
	unsigned max_sessions;			/* of all workers together; 0: any number */
	double session_wait;			/* seconds that a client waits when they are all in use */
	unsigned keep_sessions;			/* idle ones that each worker keeps for the next client; 0: none */
	double keep_time;			/* seconds that one is kept idle */
	double session_age;			/* seconds after which none is used again */
	unsigned session_messages;		/* messages after which none is used again */
	bool chunking;				/* BDAT to servers that have it */
	const struct conf_backend *verify_at;	/* the server that is asked whether a recipient exists; NULL: none */
	double verify_good, verify_bad;		/* seconds that its answers are remembered */
	double connect_timeout, command_timeout, data_timeout;	/* seconds; data: the reply after the dot */
	double check_interval;			/* seconds between health checks */
	double grace;				/* seconds that all may be down before clients hear 421 at connect */
};

/* route DOMAIN... { backend NAME...; profile NAME; } "example.org", ".example.org" (below it), "bob@example.org",
 * "file:PATH" (a list of such, one in a line), "*" (any other domain: only for clients that may relay). */
struct conf_route {
	struct conf_where where;
	char **domains;				/* lower case; local parts as written; file: is replaced by what it lists */
	size_t ndomains;
	const struct conf_backend *backend;	/* the first one */
	const struct conf_backend **backends;	/* all: the first that can be reached takes a message */
	size_t nbackends;
	const struct conf_listener **listeners;	/* only for mail that came in there; none: any */
	size_t nlisteners;
	char **users;				/* only for these authenticated users ("*": any, "*@example.org"); none: all */
	size_t nusers;
	const struct conf_profile *profile;
};

enum conf_action { CONF_ACCEPT, CONF_TAG, CONF_QUARANTINE, CONF_DEFER, CONF_REFUSE };

/* What happens without PRDR when verdicts on one message differ. */
enum conf_split { CONF_SPLIT_QUARANTINE, CONF_SPLIT_DEFER, CONF_SPLIT_STRICTEST };

#define CONF_NO_SCORE INT32_MAX			/* a threshold that is never reached */

/* profile NAME { from NAME; tag-score 5; refuse-score 15; virus refuse; unscannable defer; ... } What is not
 * written is as in the profile that `from` names; all come from "default" in the end. Once loaded every field is filled. */
struct conf_profile {
	char *name;
	struct conf_where where;
	const struct conf_node *written;	/* its block; NULL: built in */
	const struct conf_profile *from;	/* NULL for "default" only */
	char **recipients, **users;		/* whom it is for: "bob@example.org", "example.org", ".example.org"; "ann", "*@x" */
	size_t nrecipients, nusers;
	const struct conf_listener **listeners;
	size_t nlisteners;
	enum conf_split split;
	int32_t quarantine_score;		/* CONF_NO_SCORE: never */
	int32_t tag_score, refuse_score;	/* thousandths of a point; refuse_score is never the lower one */
	enum conf_action virus;			/* refuse (default), tag, defer */
	enum conf_action unscannable;		/* what cannot be judged by its nature: too deep, too many parts, encrypted... */
	char *refuse_text;			/* words of a refusal; {id}, {from}, {to}, {host} stand for what they say */
};

struct conf_antivirus {
	bool on;
	char **databases;			/* directories or files */
	size_t ndatabases;
	uint64_t max_file, max_scan;		/* octets: one file inside; all that is unpacked out of one message */
	unsigned max_recursion, max_files;
	double max_time;			/* seconds, libclamav's own limit */
	bool alert_encrypted;			/* encrypted archives count as unscannable */
};

struct conf {
	unsigned refs;
	char *hostname;
	unsigned workers, scanners;		/* both > 0 once loaded: "auto" is resolved when read */
	char *user, *scan_user;			/* used only when started as root; NAME or UID[:GID] */
	enum log_kind log_kind;
	char *log_path;				/* for LOG_TO_FILE */
	enum log_level log_level;
	char *tmp_dir;				/* scanners' temporary files */
	char **rules;				/* files, globs already expanded, in order */
	size_t nrules;
	struct conf_antivirus antivirus;
	unsigned max_connections;		/* whole gateway */
	uint64_t spool_memory;			/* octets that all messages in flight may take together */
	double scan_timeout;			/* seconds from TAKEN to FINDINGS */
	double scan_wait;			/* seconds that a message may wait for a free scanner */
	double scan_budget;			/* seconds from the end of a message to its verdict, waiting included */
	char *state_dir;			/* the keeper's: quarantine, ledger */
	bool ledger;
	uint64_t quarantine_size;		/* octets of all that is held */
	double quarantine_keep;			/* seconds until what is held is deleted */
	struct addr *resolvers;			/* DNS servers; none: those of resolv.conf, which master reads */
	size_t nresolvers;
	double ticket_rotation;			/* seconds after which TLS session tickets get a new key; 0: no tickets */
	double drain_timeout;			/* seconds that a retiring process may still work */

	/* Arrays of pointers: blocks point at each other. */
	struct conf_tls **tls;
	struct conf_listener **listeners;
	struct conf_backend **backends;
	struct conf_route **routes;
	struct conf_profile **profiles;
	size_t ntls, nlisteners, nbackends, nroutes, nprofiles;

	const struct conf_profile *standard;	/* the one called "default" */
	struct conf_index *domains;		/* every route's domains in order; for conf_route_find */
	struct conf_index *choices;		/* whom profiles are for, in order; for conf_profile_find */
	struct conf_tree *tree;			/* what it was made of; for conf_pack */
};

/* Reads a file with its includes, environment and blobs. NULL with "FILE:LINE:COLUMN: sentence". */
struct conf *conf_read(const char *path, struct err *);
struct conf *conf_ref(struct conf *);
void conf_unref(struct conf **);

/* The configuration as explicit bytes for another process, and back. A packed configuration
 * holds private keys: it goes into sealed memfds only. */
bool conf_pack(const struct conf *, struct buf *);
struct conf *conf_unpack(struct slice, struct err *);

/* For whom a route or a profile is asked. The local part as it was written: quotes and case do not matter. */
struct conf_ask {
	const struct conf_listener *listener;
	struct slice user;			/* authenticated; empty: nobody, or the mechanism does not tell */
	bool authenticated;			/* somebody, then; not needed where a user is named */
	struct slice local, domain;		/* the recipient's */
};

/* The route of a recipient: one for its address first, then for its domain, the longest ".parent", "*"; among routes
 * for the same word the first whose listeners and users fit. *ours is false for a "*" route. NULL: none. */
const struct conf_route *conf_route_find(const struct conf *, const struct conf_ask *, bool *ours);

/* Whether this route's listeners and users fit. */
bool conf_route_fits(const struct conf_route *, const struct conf_ask *);

/* The profile that holds: one for this recipient's address, this user, the domain, the longest ".parent", the
 * listener; else the route's. Never NULL. */
const struct conf_profile *conf_profile_find(const struct conf *, const struct conf_ask *, const struct conf_route *);

/* Whether any listener shows backends the client's address. */
bool conf_keeps_source(const struct conf *);

/* Whether mail that came in at this listener may take this route, as far as it says. */
bool conf_route_is_at(const struct conf_route *, const struct conf_listener *);

/* Whether some backend is named by a name: then there is a resolver. */
bool conf_asks_dns(const struct conf *);

/* The listener of this name, or NULL. */
const struct conf_listener *conf_listener_named(const struct conf *, struct slice name);

void conf_manual(FILE *);		/* every row: block, name, type, default, sentence */

#endif
