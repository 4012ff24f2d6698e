#include "conf/conf_rows.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_units.h"
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
#define ADDRESSES(in, field)        .type = CONF_TYPE_ADDRESSES, LIST(in, field, struct addr)
#define NETWORKS(in, field)         .type = CONF_TYPE_NETWORKS, LIST(in, field, struct net)
#define TEXTS(in, field, kind)      .type = CONF_TYPE_##kind, LIST(in, field, char *)
#define MUST                        .must = true

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
		"Which backend gets the mail of a recipient's domain. What has no route is refused.",
		BLOCK(conf_route, routes) },
	[CONF_IN_PROFILE] = { "profile", "NAME",
		"What is done with what the rules and the antivirus find. The profile \"default\" exists even when not written.",
		BLOCK(conf_profile, profiles) },
};

static const struct conf_enum_word levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { NULL, 0 },
};

static const struct conf_enum_word versions[] = {
	{ "1.2", CONF_TLS_1_2 }, { "1.3", CONF_TLS_1_3 }, { NULL, 0 },
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

static const struct conf_enum_word no_address[] = {	/* what may stand where an address does */
	{ "original", 0 }, { NULL, 0 },
};

static const struct conf_enum_word virus_actions[] = {	/* no accept: who wants that sets antivirus off */
	{ "tag", CONF_TAG }, { "defer", CONF_DEFER }, { "refuse", CONF_REFUSE }, { NULL, 0 },
};

static const struct conf_enum_word actions[] = {
	{ "accept", CONF_ACCEPT }, { "tag", CONF_TAG }, { "defer", CONF_DEFER },
	{ "refuse", CONF_REFUSE }, { NULL, 0 },
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
		"The tls block whose certificate is shown here.",
		REFERENCE(conf_listener, tls, conf_tls, CONF_IN_TLS) },
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
	{ CONF_IN_LISTENER, "idle-timeout", "5m",
		"How long a client may be silent between two commands.",
		TIME(conf_listener, idle_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "command-timeout", "1m",
		"How long one command line may take to arrive.",
		TIME(conf_listener, command_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "data-timeout", "3m",
		"How long a client may be silent inside a message.",
		TIME(conf_listener, data_timeout, 10 * MS, 1 * DAY) },
	{ CONF_IN_LISTENER, "max-size", "50M",
		"Octets of a message; not more than spool-memory.",
		SIZE(conf_listener, max_size, 1 * K, 4 * G) },
	{ CONF_IN_LISTENER, "max-recipients", "1000",
		"Recipients of one message.",
		NUMBER(conf_listener, max_recipients, 1, 100000) },
	{ CONF_IN_LISTENER, "max-errors", "20",
		"Commands of one connection that may be refused; then it is closed.",
		NUMBER(conf_listener, max_errors, 1, 10000) },
	{ CONF_IN_LISTENER, "max-hops", "100",
		"Received fields of a message; more mean that it runs in circles.",
		NUMBER(conf_listener, max_hops, 1, 1000) },

	{ CONF_IN_BACKEND, NULL, NULL,
		"The name by which routes call it.",
		TEXT(conf_backend, name, NAME) },
	{ CONF_IN_BACKEND, "protocol", "smtp",
		"What the mail server speaks.",
		ENUM(conf_backend, protocol, conf_protocol, back_protocols) },
	{ CONF_IN_BACKEND, "address", NULL,
		"Where the mail server listens; several are tried in this order. original: the server that the client was "
		"on its way to, for listeners with mode tproxy or redirect.",
		ADDRESSES(conf_backend, addresses), .words = no_address, MUST },
	{ CONF_IN_BACKEND, "tls-mode", "none",
		"offer: STARTTLS where the server has it, unverified; require: STARTTLS always; implicit: TLS from "
		"the first octet.",
		ENUM(conf_backend, tls_mode, conf_tls_mode, tls_modes) },
	{ CONF_IN_BACKEND, "tls-verify", "on",
		"Whether tls-mode require and implicit want a certificate that is valid for tls-name.",
		ON_OFF(conf_backend, tls_verify) },
	{ CONF_IN_BACKEND, "tls-name", NULL,
		"The name that the server's certificate must bear.",
		TEXT(conf_backend, tls_name, HOST) },
	{ CONF_IN_BACKEND, "tls-ca", NULL,
		"A PEM file: who may have signed the server's certificate. Without it the system's store.",
		BLOB(conf_backend, tls_ca) },
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
		"example.org, .example.org (all below it), or * (all others: only for clients that may relay).",
		TEXTS(conf_route, domains, DOMAINS) },
	{ CONF_IN_ROUTE, "backend", NULL,
		"The backend that gets this mail.",
		REFERENCE(conf_route, backend, conf_backend, CONF_IN_BACKEND), MUST },
	{ CONF_IN_ROUTE, "profile", "default",
		"The profile by which this mail is judged.",
		REFERENCE(conf_route, profile, conf_profile, CONF_IN_PROFILE) },

	{ CONF_IN_PROFILE, NULL, NULL,
		"The name by which routes call it.",
		TEXT(conf_profile, name, NAME) },
	{ CONF_IN_PROFILE, "tag-score", "5",
		"From this score on a message is marked as spam.",
		SCORE(conf_profile, tag_score) },
	{ CONF_IN_PROFILE, "refuse-score", "15",
		"From this score on a message is refused; not below tag-score.",
		SCORE(conf_profile, refuse_score) },
	{ CONF_IN_PROFILE, "virus", "refuse",
		"What is done with a message in which the antivirus found malware.",
		ENUM(conf_profile, virus, conf_action, virus_actions) },
	{ CONF_IN_PROFILE, "unscannable", "refuse",
		"What is done with a message that cannot be judged by its nature: too deep, too many parts, "
		"encrypted.",
		ENUM(conf_profile, unscannable, conf_action, actions) },
	{ CONF_IN_PROFILE, "refuse-text", "Message refused",
		"The words of a refusal.",
		TEXT(conf_profile, refuse_text, WORDS) },
};

const size_t conf_nrows = NITEMS(conf_rows);

_Static_assert(NITEMS(conf_rows) <= CONF_ROWS_MAX, "make CONF_ROWS_MAX larger");

const struct conf_row *
conf_row_find(enum conf_block block, const char *name)
{
	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (row->block == block && (name == NULL || row->name == NULL ? name == row->name : strcmp(row->name, name) == 0))
			return row;
	}
	return NULL;
}

enum conf_block
conf_block_find(const char *name)
{
	enum conf_block block = CONF_IN_MAIN + 1;

	while (block < CONF_BLOCKS && strcmp(conf_block_rows[block].name, name) != 0)
		block++;
	return block;
}

const char *
conf_row_name(const struct conf_row *row)
{
	return row->name != NULL ? row->name : conf_block_rows[row->block].name;
}

bool
conf_row_is_list(const struct conf_row *row)
{
	return row->type >= CONF_TYPE_ADDRESSES;
}

/* What is not supported yet is not expected either. */
static void
expect_one_of(const struct conf_enum_word *words, struct buf *out)
{
	size_t left = 0;
	bool first = true;

	for (size_t i = 0; words[i].word != NULL; i++)
		left += words[i].value != CONF_NOT_YET;
	for (size_t i = 0; words[i].word != NULL; i++) {
		if (words[i].value == CONF_NOT_YET)
			continue;
		left--;
		buf_printf(out, "%s%s", first ? "" : left == 0 ? " or " : ", ", words[i].word);
		first = false;
	}
}

static void
expect_between(const struct conf_row *row, void (*text)(int64_t, char *), const char *what, struct buf *out)
{
	char min[CONF_UNITS_TEXT_MAX], max[CONF_UNITS_TEXT_MAX];

	text(row->min, min);
	text(row->max, max);
	buf_printf(out, "a %s from %s to %s", what, min, max);
}

void
conf_row_expects(const struct conf_row *row, struct buf *out)
{
	static const char *const plain[CONF_TYPES] = {
		[CONF_TYPE_ON_OFF] = "on or off",
		[CONF_TYPE_NAME] = "a name",
		[CONF_TYPE_HOST] = "a host's name",
		[CONF_TYPE_USER] = "a user: NAME, UID or UID:GID",
		[CONF_TYPE_WORDS] = "a text in ASCII, in quotes when it has blanks",
		[CONF_TYPE_PATH] = "a path",
		[CONF_TYPE_LOG] = "stderr, syslog or file PATH",
		[CONF_TYPE_BLOB] = "a file",
		[CONF_TYPE_NETWORKS] = "networks",
		[CONF_TYPE_PATHS] = "paths",
		[CONF_TYPE_GLOBS] = "paths (* ? [] match)",
		[CONF_TYPE_DOMAINS] = "domains",
	};

	switch (row->type) {
	case CONF_TYPE_NUMBER:
		buf_printf(out, "a number from %lld to %lld", (long long)row->min, (long long)row->max);
		break;
	case CONF_TYPE_AUTO:
		buf_printf(out, "auto or a number from %lld to %lld", (long long)row->min, (long long)row->max);
		break;
	case CONF_TYPE_SIZE:
		expect_between(row, conf_units_size_text, "size", out);
		break;
	case CONF_TYPE_TIME:
		expect_between(row, conf_units_time_text, "time", out);
		break;
	case CONF_TYPE_SCORE:
		expect_between(row, conf_units_score_text, "score", out);
		break;
	case CONF_TYPE_ENUM:
		expect_one_of(row->words, out);
		break;
	case CONF_TYPE_ADDRESSES:
		buf_printf(out, "addresses with ports%s%s", row->words != NULL ? " or " : "", row->words != NULL ? row->words[0].word : "");
		break;
	case CONF_TYPE_REFERENCE:
		buf_printf(out, "the name of a %s block", conf_block_rows[row->refers].name);
		break;
	default:
		buf_puts(out, plain[row->type]);
	}
}

static void
free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void *
pointer_at(const void *at)
{
	void *p;

	memcpy(&p, at, sizeof(p));
	return p;
}

static void
free_row(const struct conf_row *row, char *block)
{
	switch (row->type) {
	case CONF_TYPE_NAME:
	case CONF_TYPE_HOST:
	case CONF_TYPE_USER:
	case CONF_TYPE_WORDS:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ADDRESSES:
	case CONF_TYPE_NETWORKS:
		free(pointer_at(block + row->at));
		break;
	case CONF_TYPE_LOG:
		free(pointer_at(block + row->also));
		break;
	case CONF_TYPE_PATHS:
	case CONF_TYPE_GLOBS:
	case CONF_TYPE_DOMAINS:
		free_texts(pointer_at(block + row->at), *(size_t *)(void *)(block + row->also));
		break;
	default:	/* numbers; references; blobs point into the tree's answers */
		break;
	}
}

void
conf_rows_free(enum conf_block block, void *at)
{
	for (size_t i = 0; i < conf_nrows; i++)
		if (conf_rows[i].block == block)
			free_row(&conf_rows[i], at);
}
