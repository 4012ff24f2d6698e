#include "conf/conf_rows.h"

#include <stddef.h>

#include "proxy/base/mem.h"

/* An offset that does not compile when the field is not of the type that the row writes. */
#define AT(in, field, type) (offsetof(struct in, field) + 0 * sizeof((type *)0 == &((struct in *)0)->field))
#define LIST(in, field, type) .at = AT(in, field, type *), .also = AT(in, n##field, size_t)

#define ON_OFF(in, field)           .type = CONF_TYPE_ON_OFF, .at = AT(in, field, bool)
#define NUMBER(in, field, lo, hi)   .type = CONF_TYPE_NUMBER, .at = AT(in, field, unsigned), .min = lo, .max = hi
#define AUTO(in, field, lo, hi)     .type = CONF_TYPE_AUTO, .at = AT(in, field, unsigned), .min = lo, .max = hi
#define SIZE(in, field, lo, hi)     .type = CONF_TYPE_SIZE, .at = AT(in, field, uint64_t), .min = lo, .max = hi
#define TIME(in, field, lo, hi)     .type = CONF_TYPE_TIME, .at = AT(in, field, double), .min = lo, .max = hi
#define SCORE(in, field)            .type = CONF_TYPE_SCORE, .at = AT(in, field, int32_t), .min = -POINTS, .max = POINTS
#define ENUM(in, field, kind, list) .type = CONF_TYPE_ENUM, .at = AT(in, field, enum kind), .words = list
#define TEXT(in, field, kind)       .type = CONF_TYPE_##kind, .at = AT(in, field, char *)
#define LOG(in, field, path)        .type = CONF_TYPE_LOG, .at = AT(in, field, enum log_kind), .also = AT(in, path, char *)
#define BLOB(in, field)             .type = CONF_TYPE_BLOB, .at = AT(in, field, struct conf_blob)
#define REFERENCE(in, field, to, kind) .type = CONF_TYPE_REFERENCE, .at = AT(in, field, const struct to *), .refers = kind
#define REFERENCES(in, field, to, kind) .type = CONF_TYPE_REFERENCES, LIST(in, field, const struct to *), .refers = kind
#define FLAGS(in, field, list)      .type = CONF_TYPE_FLAGS, .at = AT(in, field, unsigned), .words = list
#define ADDRESSES(in, field)        .type = CONF_TYPE_ADDRESSES, LIST(in, field, struct addr)
#define PLACES(in, field, most)     .type = CONF_TYPE_PLACES, LIST(in, field, struct conf_place), .max = most
#define NETWORKS(in, field)         .type = CONF_TYPE_NETWORKS, LIST(in, field, struct net)
#define TEXTS(in, field, kind)      .type = CONF_TYPE_##kind, LIST(in, field, char *)
#define MUST                        .must = true
#define INHERITS                    .inherits = true

#define K ((int64_t)1 << 10)
#define M ((int64_t)1 << 20)
#define G ((int64_t)1 << 30)
#define MS 1
#define SECOND ((int64_t)1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define POINTS 1000000	/* as findings.h saturates */

#define BLOCK(kind, array) .size = sizeof(struct kind), .where = offsetof(struct kind, where), \
	.list = AT(conf, array, struct kind **), .count = AT(conf, n##array, size_t)

const struct conf_block_row conf_block_rows[CONF_BLOCKS] = {
	[CONF_IN_MAIN] = { NULL, NULL,
		"Settings of the whole gateway stand outside of any block.",
		.size = 0 },
	[CONF_IN_ANTIVIRUS] = { "antivirus", NULL,
		"How libclamav looks at messages. Written without a block, antivirus on or off.",
		.size = 0 },
	[CONF_IN_TLS] = { "tls", "NAME",
		"A certificate and its key, for listeners to use.",
		BLOCK(conf_tls, tls) },
	[CONF_IN_LISTENER] = { "listener", "NAME",
		"Where clients connect, and what they may do.",
		BLOCK(conf_listener, listeners) },
	[CONF_IN_BACKEND] = { "backend", "NAME",
		"A mail server that takes the messages, and how it is spoken to.",
		BLOCK(conf_backend, backends) },
	[CONF_IN_ROUTE] = { "route", "DOMAIN...",
		"Which backend gets the mail of a recipient. What has no route is refused.",
		BLOCK(conf_route, routes) },
	[CONF_IN_PROFILE] = { "profile", "NAME",
		"What is done with what the rules and the antivirus find. The profile \"default\" exists even when not written, "
		"and says what others do not (but see from).",
		BLOCK(conf_profile, profiles) },
};

static const struct conf_enum_word levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { NULL, 0 },
};

static const struct conf_enum_word versions[] = {
	{ "1.0", CONF_TLS_1_0 }, { "1.1", CONF_TLS_1_1 }, { "1.2", CONF_TLS_1_2 }, { "1.3", CONF_TLS_1_3 }, { NULL, 0 },
};

static const struct conf_enum_word client_certificates[] = {
	{ "off", CONF_CLIENT_CERT_OFF }, { "ask", CONF_CLIENT_CERT_ASK }, { "require", CONF_CLIENT_CERT_REQUIRE }, { NULL, 0 },
};

static const struct conf_enum_word tls_modes[] = {
	{ "none", CONF_TLS_NONE }, { "offer", CONF_TLS_OFFER }, { "require", CONF_TLS_REQUIRE },
	{ "implicit", CONF_TLS_IMPLICIT }, { NULL, 0 },
};

static const struct conf_enum_word front_protocols[] = {
	{ "smtp", CONF_SMTP }, { "lmtp", CONF_NOT_YET }, { "pop3", CONF_POP3 },
	{ "imap", CONF_NOT_YET }, { NULL, 0 },
};

static const struct conf_enum_word back_protocols[] = {
	{ "smtp", CONF_SMTP }, { "lmtp", CONF_LMTP }, { "pop3", CONF_NOT_YET },
	{ "imap", CONF_IMAP }, { NULL, 0 },
};

static const struct conf_enum_word modes[] = {
	{ "plain", CONF_PLAIN }, { "tproxy", CONF_TPROXY }, { "redirect", CONF_REDIRECT }, { NULL, 0 },
};

static const struct conf_enum_word extensions[] = {
	{ "none", 0 },
	{ "PIPELINING", CONF_EXT_PIPELINING }, { "SIZE", CONF_EXT_SIZE }, { "8BITMIME", CONF_EXT_8BITMIME },
	{ "SMTPUTF8", CONF_EXT_SMTPUTF8 }, { "DSN", CONF_EXT_DSN }, { "ENHANCEDSTATUSCODES", CONF_EXT_ENHANCED },
	{ "CHUNKING", CONF_EXT_CHUNKING }, { "BINARYMIME", CONF_EXT_BINARYMIME }, { "AUTH", CONF_EXT_AUTH },
	{ "DELIVERBY", CONF_EXT_DELIVERBY }, { "REQUIRETLS", CONF_EXT_REQUIRETLS }, { "PRDR", CONF_EXT_PRDR },
	{ "LIMITS", CONF_EXT_LIMITS }, { "ETRN", CONF_EXT_ETRN }, { "VRFY", CONF_EXT_VRFY }, { "EXPN", CONF_EXT_EXPN },
	{ "HELP", CONF_EXT_HELP }, { "STARTTLS", CONF_EXT_STARTTLS }, { NULL, 0 },
};

static const struct conf_enum_word newlines[] = {
	{ "refuse", CONF_NEWLINE_REFUSE }, { "normalize", CONF_NEWLINE_NORMALIZE }, { NULL, 0 },
};

static const struct conf_enum_word auths[] = {
	{ "off", CONF_AUTH_OFF }, { "tls", CONF_AUTH_TLS }, { "always", CONF_AUTH_ALWAYS }, { NULL, 0 },
};

static const struct conf_enum_word mechanisms[] = {
	{ "PLAIN", CONF_MECH_PLAIN }, { "LOGIN", CONF_MECH_LOGIN }, { "CRAM-MD5", CONF_MECH_CRAM_MD5 },
	{ "DIGEST-MD5", CONF_MECH_DIGEST_MD5 }, { "SCRAM-SHA-1", CONF_MECH_SCRAM_SHA_1 },
	{ "SCRAM-SHA-256", CONF_MECH_SCRAM_SHA_256 }, { "SCRAM-SHA-512", CONF_MECH_SCRAM_SHA_512 },
	{ "XOAUTH2", CONF_MECH_XOAUTH2 }, { "OAUTHBEARER", CONF_MECH_OAUTHBEARER }, { "EXTERNAL", CONF_MECH_EXTERNAL },
	{ "SCRAM-SHA-1-PLUS", CONF_MECH_SCRAM_SHA_1_PLUS }, { "SCRAM-SHA-256-PLUS", CONF_MECH_SCRAM_SHA_256_PLUS },
	{ "GSSAPI", CONF_MECH_GSSAPI }, { "NTLM", CONF_MECH_NTLM }, { NULL, 0 },
};

static const struct conf_enum_word identities[] = {
	{ "none", CONF_IDENTITY_NONE }, { "proxy-v1", CONF_IDENTITY_PROXY_V1 }, { "proxy-v2", CONF_IDENTITY_PROXY_V2 },
	{ "xclient", CONF_IDENTITY_XCLIENT }, { "xforward", CONF_IDENTITY_XFORWARD }, { NULL, 0 },
};

static const struct conf_enum_word no_address[] = {	/* what may stand where an address does */
	{ "original", 0 }, { NULL, 0 },
};

static const struct conf_enum_word virus_actions[] = {	/* no accept: who wants that sets antivirus off */
	{ "tag", CONF_TAG }, { "quarantine", CONF_QUARANTINE }, { "defer", CONF_DEFER }, { "refuse", CONF_REFUSE }, { NULL, 0 },
};

static const struct conf_enum_word actions[] = {
	{ "accept", CONF_ACCEPT }, { "tag", CONF_TAG }, { "quarantine", CONF_QUARANTINE }, { "defer", CONF_DEFER },
	{ "refuse", CONF_REFUSE }, { NULL, 0 },
};

static const struct conf_enum_word no_score[] = {	/* what may stand where a score does */
	{ "none", 0 }, { NULL, 0 },
};

static const struct conf_enum_word splits[] = {
	{ "quarantine", CONF_SPLIT_QUARANTINE }, { "defer", CONF_SPLIT_DEFER }, { "strictest", CONF_SPLIT_STRICTEST }, { NULL, 0 },
};

const struct conf_row conf_rows[] = {
	{ CONF_IN_MAIN, "hostname", NULL,
		"The name by which the gateway greets. Without it the machine's own, when that is a whole one (with a "
		"dot).",
		TEXT(conf, hostname, HOST) },
	{ CONF_IN_MAIN, "workers", "auto",
		"Processes that talk to clients and backends; auto is one for each processor.",
		AUTO(conf, workers, 1, 256) },
	{ CONF_IN_MAIN, "scanners", "auto",
		"Processes that look at messages; auto is four for each processor.",
		AUTO(conf, scanners, 1, 1024) },
	{ CONF_IN_MAIN, "user", "gatepost",
		"Whom the workers run as when the gateway is started as root.",
		TEXT(conf, user, USER) },
	{ CONF_IN_MAIN, "scan-user", "gatepost-scan",
		"Whom the scanners run as when the gateway is started as root.",
		TEXT(conf, scan_user, USER) },
	{ CONF_IN_MAIN, "log", "stderr",
		"Where log lines go.",
		LOG(conf, log_kind, log_path) },
	{ CONF_IN_MAIN, "log-level", "info",
		"How much is logged.",
		ENUM(conf, log_level, log_level, levels) },
	{ CONF_IN_MAIN, "tmp-dir", "/tmp",
		"The directory in which scanners make their own ones for temporary files.",
		TEXT(conf, tmp_dir, PATH) },
	{ CONF_IN_MAIN, "rules", NULL,
		"Files with rules in SpamAssassin's language, in this order; later lines override earlier ones.",
		TEXTS(conf, rules, GLOBS) },
	{ CONF_IN_MAIN, "antivirus", "on",
		"Whether messages are given to libclamav at all; the block antivirus { ... } says how.",
		ON_OFF(conf, antivirus.on) },
	{ CONF_IN_MAIN, "max-connections", "2000",
		"Clients that may be connected at the same time.",
		NUMBER(conf, max_connections, 1, 1000000) },
	{ CONF_IN_MAIN, "spool-memory", "256M",
		"Memory that all messages in flight may take together; when it is spent, new ones are put off.",
		SIZE(conf, spool_memory, 1 * M, 1024 * G) },
	{ CONF_IN_MAIN, "scan-timeout", "30s",
		"How long looking at one message may take; then it is put off.",
		TIME(conf, scan_timeout, 10 * MS, 1 * HOUR) },
	{ CONF_IN_MAIN, "scan-wait", "30s",
		"How long a message may wait for a free scanner; then it is put off.",
		TIME(conf, scan_wait, 10 * MS, 1 * HOUR) },
	{ CONF_IN_MAIN, "scan-budget", "30s",
		"How long judging a message may take in all, from its last octet to its verdict; then it is put off.",
		TIME(conf, scan_budget, 10 * MS, 1 * HOUR) },
	{ CONF_IN_MAIN, "state-dir", "/var/lib/gatepost",
		"The directory in which what is to outlive the gateway is kept: quarantine and ledger.",
		TEXT(conf, state_dir, PATH) },
	{ CONF_IN_MAIN, "ledger", "on",
		"Whether a message that was delivered but whose sender did not hear so is answered once without delivering "
		"it again.",
		ON_OFF(conf, ledger) },
	{ CONF_IN_MAIN, "quarantine-size", "1G",
		"Octets of all messages that are held back; when they are spent, messages for the quarantine are put off.",
		SIZE(conf, quarantine_size, 1 * M, 1024 * 1024 * G) },
	{ CONF_IN_MAIN, "quarantine-keep", "30d",
		"How long a message that is held back is kept; then it is deleted.",
		TIME(conf, quarantine_keep, 1 * HOUR, 3650 * DAY) },
	{ CONF_IN_MAIN, "resolver", NULL,
		"DNS servers: 192.0.2.53 or [2001:db8::53], another port than 53 behind a colon. Without it those of "
		"/etc/resolv.conf.",
		ADDRESSES(conf, resolvers), .min = 53, .max = 8 },
	{ CONF_IN_MAIN, "ticket-rotation", "12h",
		"How long a key for TLS session tickets is in use; 0s: there are no tickets.",
		TIME(conf, ticket_rotation, 0, 7 * DAY) },
	{ CONF_IN_MAIN, "drain-timeout", "30s",
		"How long a process that is being replaced may still finish its work.",
		TIME(conf, drain_timeout, 0, 1 * DAY) },

	{ CONF_IN_ANTIVIRUS, "database", "/var/lib/clamav",
		"Directories or files with ClamAV's signatures.",
		TEXTS(conf_antivirus, databases, PATHS) },
	{ CONF_IN_ANTIVIRUS, "max-file", "25M",
		"Octets of one file inside a message; what is larger counts as unscannable.",
		SIZE(conf_antivirus, max_file, 64 * K, 2047 * M) },
	{ CONF_IN_ANTIVIRUS, "max-scan", "100M",
		"Octets of all that is unpacked out of one message; more counts as unscannable.",
		SIZE(conf_antivirus, max_scan, 1 * K, 64 * G) },
	{ CONF_IN_ANTIVIRUS, "max-recursion", "16",
		"Archives inside of archives; deeper ones count as unscannable.",
		NUMBER(conf_antivirus, max_recursion, 1, 100) },
	{ CONF_IN_ANTIVIRUS, "max-files", "10000",
		"Files inside one message; more count as unscannable.",
		NUMBER(conf_antivirus, max_files, 1, 1000000) },
	{ CONF_IN_ANTIVIRUS, "max-time", "20s",
		"How long libclamav may look at one message; longer counts as unscannable.",
		TIME(conf_antivirus, max_time, 10 * MS, 1 * HOUR) },
	{ CONF_IN_ANTIVIRUS, "alert-encrypted", "off",
		"Whether encrypted archives count as unscannable.",
		ON_OFF(conf_antivirus, alert_encrypted) },

	{ CONF_IN_TLS, NULL, NULL,
		"The name by which listeners call it.",
		TEXT(conf_tls, name, NAME) },
	{ CONF_IN_TLS, "certificate", NULL,
		"A PEM file: our certificate, then those that lead to a root.",
		BLOB(conf_tls, certificate), MUST },
	{ CONF_IN_TLS, "key", NULL,
		"A PEM file: the certificate's private key. Only the master process reads it from disk.",
		BLOB(conf_tls, key), MUST },
	{ CONF_IN_TLS, "min-version", "1.2",
		"The oldest version of TLS that clients may speak.",
		ENUM(conf_tls, min_version, conf_tls_version, versions) },
	{ CONF_IN_TLS, "ciphers", NULL,
		"The ciphers of TLS 1.2 and older, as OpenSSL writes them (ECDHE+AESGCM:!aNULL). Without it OpenSSL's own.",
		TEXT(conf_tls, ciphers, CIPHERS) },
	{ CONF_IN_TLS, "security-level", "2",
		"OpenSSL's security level; TLS before 1.2 needs 0.",
		NUMBER(conf_tls, security_level, 0, 5) },
	{ CONF_IN_TLS, "client-certificate", "off",
		"ask: clients may show a certificate; require: no TLS without one that client-ca has signed.",
		ENUM(conf_tls, client_certificate, conf_client_certificate, client_certificates) },
	{ CONF_IN_TLS, "client-ca", NULL,
		"A PEM file: who may have signed the clients' certificates.",
		BLOB(conf_tls, client_ca) },

	{ CONF_IN_LISTENER, NULL, NULL,
		"The name by which log lines call it.",
		TEXT(conf_listener, name, NAME) },
	{ CONF_IN_LISTENER, "protocol", "smtp",
		"What is spoken here.",
		ENUM(conf_listener, protocol, conf_protocol, front_protocols) },
	{ CONF_IN_LISTENER, "address", NULL,
		"Where to listen: 192.0.2.1:25, 0.0.0.0:25, [::]:25.",
		ADDRESSES(conf_listener, addresses), MUST },
	{ CONF_IN_LISTENER, "tls", NULL,
		"The tls block whose certificate is shown here. Of several the one that has the name the client asks for "
		"and a key that it can verify; all else is as the first one says.",
		REFERENCES(conf_listener, tlses, conf_tls, CONF_IN_TLS) },
	{ CONF_IN_LISTENER, "tls-mode", NULL,
		"offer: STARTTLS may be used; require: no mail without it; implicit: TLS from the first octet. "
		"Without this setting: offer when tls is set, else none.",
		ENUM(conf_listener, tls_mode, conf_tls_mode, tls_modes) },
	{ CONF_IN_LISTENER, "backend", NULL,
		"For protocol pop3: the backend (protocol imap) that holds the mailboxes. SMTP listeners have routes instead.",
		REFERENCE(conf_listener, backend, conf_backend, CONF_IN_BACKEND) },
	{ CONF_IN_LISTENER, "plaintext-login", "off",
		"For protocol pop3: whether a password may be said without TLS.",
		ON_OFF(conf_listener, plaintext_login) },
	{ CONF_IN_LISTENER, "mode", "plain",
		"tproxy and redirect take over connections to other servers, as the firewall's rules direct them here "
		"(gatepost nft prints such rules).",
		ENUM(conf_listener, mode, conf_mode, modes) },
	{ CONF_IN_LISTENER, "keep-source", "off",
		"For mode tproxy and redirect: whether backends see the client's own address. Needs CAP_NET_RAW.",
		ON_OFF(conf_listener, keep_source) },
	{ CONF_IN_LISTENER, "intercept-port", NULL,
		"For mode tproxy and redirect: the servers' port, for the rules that gatepost nft prints. Without it 25, "
		"for protocol pop3 110.",
		NUMBER(conf_listener, intercept_port, 1, 65535) },
	{ CONF_IN_LISTENER, "intercept-interface", NULL,
		"For mode tproxy and redirect: the network interface of the clients, for the rules that gatepost nft "
		"prints. Without it all.",
		TEXT(conf_listener, intercept_interface, NAME) },
	{ CONF_IN_LISTENER, "allow", NULL,
		"Networks that may connect; without it everyone may.",
		NETWORKS(conf_listener, allow) },
	{ CONF_IN_LISTENER, "deny", NULL,
		"Networks that may not connect, whatever allow says.",
		NETWORKS(conf_listener, deny) },
	{ CONF_IN_LISTENER, "relay-from", NULL,
		"Networks whose clients may send to any domain (through the route *); never everyone.",
		NETWORKS(conf_listener, relay_from) },
	{ CONF_IN_LISTENER, "proxy-from", NULL,
		"Networks of proxies in front of us: their connections begin with a PROXY header; never everyone.",
		NETWORKS(conf_listener, proxy_from) },
	{ CONF_IN_LISTENER, "xclient-from", NULL,
		"Networks of relays in front of us that may say XCLIENT and XFORWARD; never everyone.",
		NETWORKS(conf_listener, xclient_from) },
	{ CONF_IN_LISTENER, "auth", "off",
		"Whether clients may authenticate (by the backend, which knows their passwords). tls: only inside of TLS.",
		ENUM(conf_listener, auth, conf_auth, auths) },
	{ CONF_IN_LISTENER, "auth-mechanisms",
		"PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 XOAUTH2 OAUTHBEARER EXTERNAL",
		"The SASL mechanisms that are passed on where the backend has them; EXTERNAL ends here, with the name in the "
		"client's certificate. DIGEST-MD5: clients put the name by which they call the gateway into digest-uri "
		"(smtp/NAME). Dovecot takes any name, Cyrus SASL any behind smtp/; a server that compares it must go by the "
		"gateway's name, or clients must be told the server's. What works behind a gateway only at times has to be named "
		"here: SCRAM-*-PLUS (client and server see the same certificate), GSSAPI and NTLM (without a security layer).",
		FLAGS(conf_listener, auth_mechanisms, mechanisms) },
	{ CONF_IN_LISTENER, "auth-required", "off",
		"Whether nobody may send mail without having authenticated: a submission service.",
		ON_OFF(conf_listener, auth_required) },
	{ CONF_IN_LISTENER, "auth-relays", "on",
		"Whether who has authenticated may send to any domain (through the route *).",
		ON_OFF(conf_listener, auth_relays) },
	{ CONF_IN_LISTENER, "auth-failures", "10",
		"Failed attempts of one address (IPv6: /64) or for one user in ten minutes, over all workers; who has more is "
		"put off. Answers to failures come late, up to 8 s. 0: neither.",
		NUMBER(conf_listener, auth_failures, 0, 100000) },
	{ CONF_IN_LISTENER, "idle-timeout", "5m",
		"How long a client may be silent between two commands.",
		TIME(conf_listener, idle_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "command-timeout", "1m",
		"How long one command line may take to arrive.",
		TIME(conf_listener, command_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "data-timeout", "3m",
		"How long a client may be silent inside a message.",
		TIME(conf_listener, data_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "min-data-rate", "500",
		"Octets a second that a message must at least arrive with, on average over data-timeout; 0: any.",
		SIZE(conf_listener, min_data_rate, 0, 1 * G) },
	{ CONF_IN_LISTENER, "park-after", "5s",
		"A message that takes longer to arrive lets its backend's session go meanwhile; 0s: it never does.",
		TIME(conf_listener, park_after, 0, 1 * HOUR) },
	{ CONF_IN_LISTENER, "max-size", "50M",
		"Octets of a message; not more than spool-memory.",
		SIZE(conf_listener, max_size, 1 * K, 4 * G) },
	{ CONF_IN_LISTENER, "max-recipients", "1000",
		"Recipients of one message.",
		NUMBER(conf_listener, max_recipients, 1, 100000) },
	{ CONF_IN_LISTENER, "max-messages", "0",
		"Messages of one connection; 0: any number.",
		NUMBER(conf_listener, max_messages, 0, 1000000) },
	{ CONF_IN_LISTENER, "max-per-address", "50",
		"Connections from one address (of IPv6: from one /64) at the same time; 0: any number.",
		NUMBER(conf_listener, max_per_address, 0, 1000000) },
	{ CONF_IN_LISTENER, "max-errors", "20",
		"Commands of one connection that may be refused; then it is closed.",
		NUMBER(conf_listener, max_errors, 1, 10000) },
	{ CONF_IN_LISTENER, "max-hops", "100",
		"Received fields of a message; more mean that it runs in circles.",
		NUMBER(conf_listener, max_hops, 1, 1000) },
	{ CONF_IN_LISTENER, "without", "ETRN EXPN VRFY",
		"What is not offered here and not passed to backends. What is written takes the place of the default: "
		"without none; offers all.",
		FLAGS(conf_listener, without, extensions) },
	{ CONF_IN_LISTENER, "bare-newline", "refuse",
		"What is done with a CR or LF that stands alone inside a message: refused, or made a CR LF.",
		ENUM(conf_listener, bare_newline, conf_newline, newlines) },

	{ CONF_IN_BACKEND, NULL, NULL,
		"The name by which routes call it.",
		TEXT(conf_backend, name, NAME) },
	{ CONF_IN_BACKEND, "protocol", "smtp",
		"What the mail server speaks.",
		ENUM(conf_backend, protocol, conf_protocol, back_protocols) },
	{ CONF_IN_BACKEND, "address", NULL,
		"Where the mail server listens: 192.0.2.1:25, [2001:db8::1]:25, unix:/run/lmtp, mail.example.org:25, "
		"mx:example.org (its MX records). A UNIX socket must be open to the user that `user` names. Several are tried in "
		"this order, or share the work where weight=N stands behind them. original: the server that the client was on its "
		"way to, for listeners with mode tproxy or redirect.",
		PLACES(conf_backend, places, 64), .words = no_address, MUST },
	{ CONF_IN_BACKEND, "tls-mode", "none",
		"offer: STARTTLS where the server has it, unverified; require: STARTTLS always; implicit: TLS from "
		"the first octet.",
		ENUM(conf_backend, tls_mode, conf_tls_mode, tls_modes) },
	{ CONF_IN_BACKEND, "tls-verify", "on",
		"Whether tls-mode require and implicit want a certificate that is valid for tls-name.",
		ON_OFF(conf_backend, tls_verify) },
	{ CONF_IN_BACKEND, "tls-name", NULL,
		"The name that the server's certificate must bear. Without it the host's own, where every address is the name of "
		"a host; mail servers that an MX record names need it, for nobody has signed that record.",
		TEXT(conf_backend, tls_name, HOST) },
	{ CONF_IN_BACKEND, "tls-ca", NULL,
		"A PEM file: who may have signed the server's certificate. Without it the system's store.",
		BLOB(conf_backend, tls_ca) },
	{ CONF_IN_BACKEND, "tls-min-version", "1.2",
		"The oldest version of TLS that is spoken with the server.",
		ENUM(conf_backend, tls_min_version, conf_tls_version, versions) },
	{ CONF_IN_BACKEND, "tls-pin", NULL,
		"sha256//BASE64 of the server's public key, as curl --pinnedpubkey has it. Any of them will do, and takes the "
		"place of tls-ca and tls-name.",
		TEXTS(conf_backend, tls_pins, PINS) },
	{ CONF_IN_BACKEND, "tls-client", NULL,
		"The tls block whose certificate is shown to the server if it asks for one.",
		REFERENCE(conf_backend, tls_client, conf_tls, CONF_IN_TLS) },
	{ CONF_IN_BACKEND, "client-identity", "none",
		"How the server hears who the client is: by a PROXY header, XCLIENT or XFORWARD. It must have been told to "
		"believe us.",
		ENUM(conf_backend, identity, conf_identity, identities) },
	{ CONF_IN_BACKEND, "login-user", NULL,
		"As whom the gateway itself authenticates at the server (AUTH PLAIN).",
		TEXT(conf_backend, login_user, LOGIN) },
	{ CONF_IN_BACKEND, "login-password", NULL,
		"A file with one line: the password to login-user.",
		BLOB(conf_backend, login_password) },
	{ CONF_IN_BACKEND, "max-sessions", "200",
		"Sessions with the server at the same time, of all workers together; 0: any number.",
		NUMBER(conf_backend, max_sessions, 0, 100000) },
	{ CONF_IN_BACKEND, "session-wait", "30s",
		"How long a client waits for a session when all are in use; then it is put off.",
		TIME(conf_backend, session_wait, 0, 1 * HOUR) },
	{ CONF_IN_BACKEND, "keep-sessions", "20",
		"Idle sessions that each worker keeps for the next client; 0: none.",
		NUMBER(conf_backend, keep_sessions, 0, 10000) },
	{ CONF_IN_BACKEND, "keep-time", "30s",
		"How long a session is kept idle.",
		TIME(conf_backend, keep_time, 10 * MS, 1 * DAY) },
	{ CONF_IN_BACKEND, "session-age", "5m",
		"From this age on a session is not used again.",
		TIME(conf_backend, session_age, 10 * MS, 1 * DAY) },
	{ CONF_IN_BACKEND, "session-messages", "100",
		"After so many messages a session is not used again.",
		NUMBER(conf_backend, session_messages, 1, 1000000) },
	{ CONF_IN_BACKEND, "chunking", "on",
		"Whether messages go by BDAT to a server that has CHUNKING.",
		ON_OFF(conf_backend, chunking) },
	{ CONF_IN_BACKEND, "verify-recipients", NULL,
		"The backend that is asked whether a recipient exists, for a server that takes all and bounces later.",
		REFERENCE(conf_backend, verify_at, conf_backend, CONF_IN_BACKEND) },
	{ CONF_IN_BACKEND, "verify-good", "2h",
		"How long the answer that a recipient exists is remembered.",
		TIME(conf_backend, verify_good, 0, 7 * DAY) },
	{ CONF_IN_BACKEND, "verify-bad", "10m",
		"How long the answer that there is no such recipient is remembered.",
		TIME(conf_backend, verify_bad, 0, 7 * DAY) },
	{ CONF_IN_BACKEND, "connect-timeout", "30s",
		"How long connecting may take.",
		TIME(conf_backend, connect_timeout, 10 * MS, 1 * HOUR) },
	{ CONF_IN_BACKEND, "command-timeout", "5m",
		"How long a reply to a command may take.",
		TIME(conf_backend, command_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_BACKEND, "data-timeout", "10m",
		"How long the reply to a whole message may take.",
		TIME(conf_backend, data_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_BACKEND, "check-interval", "30s",
		"How often each address is asked whether it is well.",
		TIME(conf_backend, check_interval, 10 * MS, 1 * DAY) },
	{ CONF_IN_BACKEND, "grace", "1m",
		"How long all addresses may be down before clients are turned away as they connect.",
		TIME(conf_backend, grace, 0, 1 * DAY) },

	{ CONF_IN_ROUTE, NULL, NULL,
		"example.org, .example.org (all below it), bob@example.org, file:PATH (such words, one in a line), or * (all "
		"others: only for clients that may relay).",
		TEXTS(conf_route, domains, DOMAINS) },
	{ CONF_IN_ROUTE, "backend", NULL,
		"The backend that gets this mail; of several the first that can be reached.",
		REFERENCES(conf_route, backends, conf_backend, CONF_IN_BACKEND), MUST },
	{ CONF_IN_ROUTE, "listener", NULL,
		"Holds only for mail that came in at these listeners; other mail looks for the next route.",
		REFERENCES(conf_route, listeners, conf_listener, CONF_IN_LISTENER) },
	{ CONF_IN_ROUTE, "user", NULL,
		"Holds only for mail of these authenticated users: ann, *@example.org, * (any of them).",
		TEXTS(conf_route, users, USERS) },
	{ CONF_IN_ROUTE, "profile", "default",
		"The profile by which this mail is judged.",
		REFERENCE(conf_route, profile, conf_profile, CONF_IN_PROFILE) },

	{ CONF_IN_PROFILE, NULL, NULL,
		"The name by which routes call it.",
		TEXT(conf_profile, name, NAME) },
	{ CONF_IN_PROFILE, "from", NULL,
		"The profile that says what is not written here. Without it \"default\".",
		REFERENCE(conf_profile, from, conf_profile, CONF_IN_PROFILE) },
	{ CONF_IN_PROFILE, "recipient", NULL,
		"For whom it holds, whatever the route says: bob@example.org, example.org, .example.org (all below it).",
		TEXTS(conf_profile, recipients, RECIPIENTS) },
	{ CONF_IN_PROFILE, "user", NULL,
		"For mail of which authenticated users it holds: ann, *@example.org, * (any of them).",
		TEXTS(conf_profile, users, USERS) },
	{ CONF_IN_PROFILE, "listener", NULL,
		"For mail that came in at which listeners it holds.",
		REFERENCES(conf_profile, listeners, conf_listener, CONF_IN_LISTENER) },
	{ CONF_IN_PROFILE, "tag-score", "5",
		"From this score on a message is marked as spam.",
		SCORE(conf_profile, tag_score), INHERITS },
	{ CONF_IN_PROFILE, "refuse-score", "15",
		"From this score on a message is refused; not below tag-score.",
		SCORE(conf_profile, refuse_score), INHERITS },
	{ CONF_IN_PROFILE, "quarantine-score", "none",
		"From this score on a message is held back; not below tag-score.",
		SCORE(conf_profile, quarantine_score), .words = no_score, INHERITS },
	{ CONF_IN_PROFILE, "virus", "refuse",
		"What is done with a message in which the antivirus found malware.",
		ENUM(conf_profile, virus, conf_action, virus_actions), INHERITS },
	{ CONF_IN_PROFILE, "unscannable", "refuse",
		"What is done with a message that cannot be judged by its nature: too deep, too many parts, "
		"encrypted.",
		ENUM(conf_profile, unscannable, conf_action, actions), INHERITS },
	{ CONF_IN_PROFILE, "refuse-text", "Message refused",
		"The words of a refusal; {id} {from} {to} {host} stand for the message's id, its sender, its recipient, and us.",
		TEXT(conf_profile, refuse_text, REFUSAL), INHERITS },
	{ CONF_IN_PROFILE, "split", "quarantine",
		"What is done when recipients of one message differ in their verdicts and the client does not speak PRDR: "
		"the refused ones' copies are held back, all is put off, or the strictest verdict holds for all.",
		ENUM(conf_profile, split, conf_split, splits), INHERITS },
};

const size_t conf_nrows = NITEMS(conf_rows);

_Static_assert(NITEMS(conf_rows) <= CONF_ROWS_MAX, "make CONF_ROWS_MAX larger");
