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
enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

/* tls NAME { certificate FILE; key FILE; min-version 1.2; } */
struct conf_tls {
	char *name;
	struct conf_where where;
	struct conf_blob certificate, key;
	enum conf_tls_version min_version;
};

enum conf_protocol { CONF_SMTP, CONF_LMTP, CONF_POP3, CONF_IMAP };

/* How connections come to a listener: by its own address, or taken over on their way to somebody else's
 * (TPROXY leaves the addresses as they were; REDIRECT rewrites the destination, and the kernel remembers it). */
enum conf_mode { CONF_PLAIN, CONF_TPROXY, CONF_REDIRECT };

/* listener NAME { protocol smtp; address A...; tls NAME; tls-mode offer; ... } */
struct conf_listener {
	char *name;
	struct conf_where where;
	enum conf_protocol protocol;
	struct addr *addresses;
	size_t naddresses;
	const struct conf_tls *tls;		/* NULL: none; then tls_mode is CONF_TLS_NONE */
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
	uint64_t max_size;			/* octets of a message; at most spool_memory */
	unsigned max_recipients, max_errors, max_hops;
};

/* backend NAME { protocol smtp; address A...; tls-mode none; ... } Several addresses: tried in order;
 * "address original": none, it is the server that the client was on its way to. */
struct conf_backend {
	char *name;
	struct conf_where where;
	enum conf_protocol protocol;
	struct addr *addresses;
	size_t naddresses;
	bool original;				/* then there are no addresses; only listeners that take over can use it */
	enum conf_tls_mode tls_mode;		/* NONE, REQUIRE (STARTTLS), IMPLICIT; OFFER: STARTTLS if it is there, unverified */
	bool tls_verify;			/* default on */
	char *tls_name;				/* the name the certificate must bear; compulsory when verifying */
	struct conf_blob tls_ca;		/* PEM; empty: the system's store, as read by master */
	double connect_timeout, command_timeout, data_timeout;	/* seconds; data: the reply after the dot */
	double check_interval;			/* seconds between health checks */
	double grace;				/* seconds that all may be down before clients hear 421 at connect */
};

/* route DOMAIN... { backend NAME; profile NAME; } "example.org", ".example.org" (below it),
 * "*" (any other domain: only for clients that may relay). */
struct conf_route {
	struct conf_where where;
	char **domains;
	size_t ndomains;
	const struct conf_backend *backend;
	const struct conf_profile *profile;
};

enum conf_action { CONF_ACCEPT, CONF_TAG, CONF_DEFER, CONF_REFUSE };

/* profile NAME { tag-score 5; refuse-score 15; virus refuse; unscannable defer; ... } */
struct conf_profile {
	char *name;
	struct conf_where where;
	int32_t tag_score, refuse_score;	/* thousandths of a point; refuse_score is never the lower one */
	enum conf_action virus;			/* refuse (default), tag, defer */
	enum conf_action unscannable;		/* what cannot be judged by its nature: too deep, too many parts, encrypted... */
	char *refuse_text;			/* words of a refusal; default "Message refused" */
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
	double drain_timeout;			/* seconds that a retiring process may still work */

	/* Arrays of pointers: blocks point at each other. */
	struct conf_tls **tls;
	struct conf_listener **listeners;
	struct conf_backend **backends;
	struct conf_route **routes;
	struct conf_profile **profiles;
	size_t ntls, nlisteners, nbackends, nroutes, nprofiles;

	struct conf_index *domains;		/* every route's domains in order; for conf_route_for */
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

/* The route of a recipient's domain: an exact name first, then the longest ".parent", then "*".
 * *ours is false for a "*" route. NULL: none. */
const struct conf_route *conf_route_for(const struct conf *, struct slice domain, bool *ours);

/* Whether any listener shows backends the client's address. */
bool conf_keeps_source(const struct conf *);

/* The listener of this name, or NULL. */
const struct conf_listener *conf_listener_named(const struct conf *, struct slice name);

void conf_manual(FILE *);		/* every row: block, name, type, default, sentence */

#endif
