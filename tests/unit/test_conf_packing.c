/* test_conf_packing.c - everything that can be said is read, and comes out of its packed bytes as it went in. */
#include "tests/unit/conf_world.h"

/* Everything that can be said, said differently from its default. */
#define PIN "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static const char whole[] =
    "hostname mx.example.org; workers 2; scanners 5; user 65534:65534; scan-user nobody;\n"
    "log file log/g.log; log-level debug; tmp-dir /var/tmp;\n"
    "rules rules/*.cf; rules none/*.cf /gp/rules/10.cf;\n"
    "max-connections 7; spool-memory 1g; scan-timeout 250ms; scan-wait 2m; drain-timeout 1h;\n"
    "scan-budget 45s; state-dir state; ledger off; quarantine-size 2M; quarantine-keep 2h; resolver 127.0.0.53 [::1]:5353; ticket-rotation 0s;\n"
    "antivirus { database /db virus; max-file 64k; max-scan 65K; max-recursion 3; max-files 4; max-time 5s; alert-encrypted on; }\n"
    "tls corp { certificate c.pem; key k.pem; min-version 1.3; ciphers AES; security-level 1; client-certificate ask; client-ca ca.pem; }\n"
    "tls ours { certificate c.pem; key k.pem; }\n"
    "listener mx-in {\n"
    "	protocol smtp; address 0.0.0.0:25 [::]:25; address 127.0.0.1:2525;\n"
    "	tls corp; tls-mode require; tls ours;\n"
    "	allow any; deny 192.0.2.0/24; relay-from 127.0.0.1 10.0.0.0/8;\n"
    "	idle-timeout 1s; command-timeout 2s; data-timeout 3s;\n"
    "	max-size 4K; max-recipients 5; max-errors 6; max-hops 7;\n"
    "	min-data-rate 1K; park-after 0s; max-messages 8; max-per-address 9; without chunking PRDR; bare-newline normalize;\n"
    "	auth tls; auth-mechanisms PLAIN; auth-mechanisms login; auth-required on; auth-relays off; auth-failures 3;\n"
    "	proxy-from 127.0.0.1; xclient-from ::1 10.0.0.0/8;\n"
    "}\n"
    "backend store { protocol lmtp; address 127.0.0.1:24 [::1]:24; tls-mode require; tls-name store.example.org; tls-ca ca.pem;\n"
    "	connect-timeout 1s; command-timeout 2s; data-timeout 3s; check-interval 4s; grace 0s; }\n"
    "backend smarthost { address 192.0.2.25:25 weight=3 MX.example.net:587; address mx:Example.COM unix:/run/x weight=2; tls-mode implicit;\n"
    "	tls-name smtp.example.net; tls-min-version 1.3; tls-client ours; client-identity proxy-v2; login-user me; login-password word;\n"
    "	max-sessions 0; session-wait 1s; keep-sessions 2; keep-time 3s; session-age 4s; session-messages 5; chunking off;\n"
    "	verify-recipients lax; verify-good 1m; verify-bad 1s; }\n"
    "backend lax { address 192.0.2.26:25; tls-mode require; tls-verify off; }\n"
    "backend pinned { address 192.0.2.27:25; tls-mode require; tls-pin " PIN "; }\n"
    "route Example.ORG .Example.org { backend store; profile strict; }\n"
    "route * { backend smarthost; }\n"
    "route file:list Ann@Example.NET { backend smarthost b; listener mx-in; user Ann *@x; }\n"
    "profile strict { tag-score -0.5; refuse-score 7.125; virus tag; unscannable accept; refuse-text \"Not \\\"this\\\" one\";\n"
    "	quarantine-score 3; split defer; recipient Bob@Example.org .x.example; user *; listener mx-in; }\n"
    "profile stricter { from strict; refuse-score 3; }\n"
    "include more/*.conf;\n"
    "backend b { address 127.0.0.1:26; }\n";

static void
check_smarthost(const struct conf *conf)
{
	const struct conf_backend *b = conf->backends[1];
	char text[ADDR_TEXT_MAX];

	assert_int_equal(b->slot, 1);
	assert_int_equal(b->nplaces, 4);
	assert_true(b->places[0].host == NULL && b->places[0].weight == 3 && b->places[0].port == 25);
	assert_string_equal(b->places[1].host, "mx.example.net");
	assert_true(b->places[1].addr.len == 0 && !b->places[1].mx && b->places[1].weight == 0 && b->places[1].port == 587);
	assert_string_equal(b->places[2].host, "example.com");
	assert_true(b->places[2].mx && b->places[2].port == 25);
	addr_text(&b->places[3].addr, text);
	assert_string_equal(text, "unix:/run/x");
	assert_int_equal(b->places[3].weight, 2);
	assert_int_equal(b->tls_min_version, CONF_TLS_1_3);
	assert_ptr_equal(b->tls_client, conf->tls[1]);
	assert_int_equal(b->identity, CONF_IDENTITY_PROXY_V2);
	assert_string_equal(b->login_user, "me");
	assert_int_equal(b->login_password.len, 6);
	assert_memory_equal(b->login_password.bytes, "secret", 6);
	assert_true(b->max_sessions == 0 && b->keep_sessions == 2 && b->session_messages == 5 && !b->chunking);
	assert_true(b->session_wait == 1 && b->keep_time == 3 && b->session_age == 4 && b->verify_good == 60 && b->verify_bad == 1);
	assert_ptr_equal(b->verify_at, conf->backends[2]);
	assert_int_equal(conf->backends[3]->ntls_pins, 1);
	assert_string_equal(conf->backends[3]->tls_pins[0], PIN);
	assert_null(conf->backends[3]->tls_ca.bytes);
}

static void
check_conditional(const struct conf *conf, const struct conf_route *r)
{
	static const char *const domains[] = { "Bob@example.org", ".sub.example.org", "example.net", "Ann@example.net" };

	assert_int_equal(r->ndomains, NITEMS(domains));
	for (size_t i = 0; i < NITEMS(domains); i++)
		assert_string_equal(r->domains[i], domains[i]);
	assert_int_equal(r->nbackends, 2);
	assert_ptr_equal(r->backend, conf->backends[1]);
	assert_ptr_equal(r->backends[1], conf->backends[4]);
	assert_int_equal(r->nlisteners, 1);
	assert_ptr_equal(r->listeners[0], conf->listeners[0]);
	assert_int_equal(r->nusers, 2);
	assert_string_equal(r->users[0], "Ann");
	assert_string_equal(r->users[1], "*@x");
}

static void
check_profiles(const struct conf *conf)
{
	const struct conf_profile *strict = conf->profiles[0], *stricter = conf->profiles[1];

	assert_ptr_equal(strict->from, conf->standard);
	assert_int_equal(strict->quarantine_score, 3000);
	assert_int_equal(strict->split, CONF_SPLIT_DEFER);
	assert_int_equal(strict->nrecipients, 2);
	assert_string_equal(strict->recipients[0], "Bob@example.org");
	assert_string_equal(strict->recipients[1], ".x.example");
	assert_int_equal(strict->nusers, 1);
	assert_string_equal(strict->users[0], "*");
	assert_int_equal(strict->nlisteners, 1);
	assert_ptr_equal(strict->listeners[0], conf->listeners[0]);

	assert_ptr_equal(stricter->from, strict);
	assert_int_equal(stricter->tag_score, -500);
	assert_int_equal(stricter->refuse_score, 3000);
	assert_int_equal(stricter->virus, CONF_TAG);
	assert_int_equal(stricter->split, CONF_SPLIT_DEFER);
	assert_string_equal(stricter->refuse_text, "Not \"this\" one");
	assert_int_equal(stricter->nrecipients + stricter->nusers + stricter->nlisteners, 0);	/* for whom is not handed down */
}

static void
check_whole(const struct conf *conf)
{
	const struct conf_listener *l = conf->listeners[0];
	const struct conf_backend *b = conf->backends[0];
	const struct conf_profile *p = conf->routes[0]->profile;
	char text[ADDR_TEXT_MAX];

	assert_string_equal(conf->hostname, "mx.example.org");
	assert_int_equal(conf->workers, 2);
	assert_int_equal(conf->scanners, 5);
	assert_string_equal(conf->user, "65534:65534");
	assert_string_equal(conf->scan_user, "nobody");
	assert_int_equal(conf->log_kind, LOG_TO_FILE);
	assert_string_equal(conf->log_path, "/gp/log/g.log");
	assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf->tmp_dir, "/var/tmp");
	assert_int_equal(conf->nrules, 3);
	assert_string_equal(conf->rules[0], "/gp/rules/10.cf");
	assert_string_equal(conf->rules[1], "/gp/rules/20.cf");
	assert_string_equal(conf->rules[2], "/gp/rules/10.cf");
	assert_int_equal(conf->max_connections, 7);
	assert_int_equal(conf->spool_memory, 1 << 30);
	assert_true(conf->scan_timeout == 0.25 && conf->scan_wait == 120 && conf->drain_timeout == 3600);

	assert_true(conf->antivirus.on && conf->antivirus.alert_encrypted);
	assert_int_equal(conf->antivirus.ndatabases, 2);
	assert_string_equal(conf->antivirus.databases[0], "/db");
	assert_string_equal(conf->antivirus.databases[1], "/gp/virus");
	assert_int_equal(conf->antivirus.max_file, 64 << 10);
	assert_int_equal(conf->antivirus.max_scan, 65 << 10);
	assert_int_equal(conf->antivirus.max_recursion, 3);
	assert_int_equal(conf->antivirus.max_files, 4);
	assert_true(conf->antivirus.max_time == 5);

	assert_true(conf->scan_budget == 45 && conf->quarantine_keep == 7200 && conf->ticket_rotation == 0 && !conf->ledger);
	assert_string_equal(conf->state_dir, "/gp/state");
	assert_int_equal(conf->quarantine_size, 2 << 20);
	assert_int_equal(conf->nresolvers, 2);
	addr_text(&conf->resolvers[0], text);
	assert_string_equal(text, "127.0.0.53:53");
	addr_text(&conf->resolvers[1], text);
	assert_string_equal(text, "[::1]:5353");

	assert_int_equal(conf->ntls, 2);
	assert_ptr_equal(l->tls, conf->tls[0]);
	assert_string_equal(l->tls->certificate.path, "/gp/c.pem");
	assert_string_equal(l->tls->certificate.bytes, "CERTIFICATE");
	assert_int_equal(l->tls->key.len, 3);
	assert_memory_equal(l->tls->key.bytes, "KEY", 3);
	assert_int_equal(l->tls->min_version, CONF_TLS_1_3);
	assert_string_equal(l->tls->ciphers, "AES");
	assert_int_equal(l->tls->security_level, 1);
	assert_int_equal(l->tls->client_certificate, CONF_CLIENT_CERT_ASK);
	assert_string_equal(l->tls->client_ca.bytes, "AUTHORITY");
	assert_int_equal(l->ntlses, 2);
	assert_ptr_equal(l->tlses[0], conf->tls[0]);
	assert_ptr_equal(l->tlses[1], conf->tls[1]);

	assert_string_equal(l->where.file, "main.conf");
	assert_int_equal(l->where.line, 9);
	assert_int_equal(l->where.column, 1);
	assert_int_equal(l->naddresses, 3);
	addr_text(&l->addresses[1], text);
	assert_string_equal(text, "[::]:25");
	addr_text(&l->addresses[2], text);
	assert_string_equal(text, "127.0.0.1:2525");
	assert_int_equal(l->tls_mode, CONF_TLS_REQUIRE);
	assert_int_equal(l->nallow, 1);
	assert_int_equal(l->allow[0].family, AF_UNSPEC);
	assert_int_equal(l->ndeny, 1);
	assert_int_equal(l->deny[0].bits, 24);
	assert_int_equal(l->nrelay_from, 2);
	assert_true(l->idle_timeout == 1 && l->command_timeout == 2 && l->data_timeout == 3);
	assert_int_equal(l->max_size, 4096);
	assert_int_equal(l->max_recipients, 5);
	assert_int_equal(l->max_errors, 6);
	assert_int_equal(l->max_hops, 7);

	assert_int_equal(l->min_data_rate, 1024);
	assert_true(l->park_after == 0);
	assert_int_equal(l->max_messages, 8);
	assert_int_equal(l->max_per_address, 9);
	assert_int_equal(l->without, CONF_EXT_CHUNKING | CONF_EXT_PRDR);
	assert_int_equal(l->bare_newline, CONF_NEWLINE_NORMALIZE);
	assert_int_equal(l->auth, CONF_AUTH_TLS);
	assert_int_equal(l->auth_mechanisms, CONF_MECH_PLAIN | CONF_MECH_LOGIN);
	assert_true(l->auth_required && !l->auth_relays);
	assert_int_equal(l->auth_failures, 3);
	assert_int_equal(l->nproxy_from, 1);
	assert_int_equal(l->nxclient_from, 2);
	assert_int_equal(l->xclient_from[1].bits, 8);
	check_smarthost(conf);

	assert_int_equal(conf->nbackends, 5);
	assert_int_equal(b->protocol, CONF_LMTP);
	assert_int_equal(b->nplaces, 2);
	addr_text(&b->places[1].addr, text);
	assert_string_equal(text, "[::1]:24");
	assert_int_equal(b->tls_mode, CONF_TLS_REQUIRE);
	assert_string_equal(b->tls_name, "store.example.org");
	assert_string_equal(b->tls_ca.bytes, "AUTHORITY");
	assert_true(b->connect_timeout == 1 && b->command_timeout == 2 && b->data_timeout == 3);
	assert_true(b->check_interval == 4 && b->grace == 0);
	assert_string_equal(conf->backends[1]->tls_ca.bytes, "STORE");
	assert_string_equal(conf->backends[1]->tls_ca.path, "/etc/ssl/certs/ca-certificates.crt");
	assert_false(conf->backends[2]->tls_verify);
	assert_null(conf->backends[2]->tls_ca.bytes);

	assert_int_equal(conf->nroutes, 5);
	assert_string_equal(conf->routes[0]->domains[0], "example.org");
	assert_string_equal(conf->routes[0]->domains[1], ".example.org");
	assert_ptr_equal(conf->routes[0]->backend, b);
	assert_ptr_equal(conf->routes[4]->backend, conf->backends[4]);
	assert_string_equal(conf->routes[4]->where.file, "/gp/more/near.inc");
	check_conditional(conf, conf->routes[2]);
	assert_string_equal(conf->routes[1]->profile->name, "default");
	assert_int_equal(conf->nprofiles, 3);
	check_profiles(conf);
	assert_int_equal(p->tag_score, -500);
	assert_int_equal(p->refuse_score, 7125);
	assert_int_equal(p->virus, CONF_TAG);
	assert_int_equal(p->unscannable, CONF_ACCEPT);
	assert_string_equal(p->refuse_text, "Not \"this\" one");
}

static void
test_whole(void **state)
{
	struct conf *conf = read_text(whole), *second = conf_ref(conf);

	(void)state;
	check_whole(conf);
	conf_unref(&conf);
	assert_null(conf);
	check_whole(second);	/* still there: it was counted */
	conf_unref(&second);
	conf_unref(&second);
}

static void
check_taken(const struct conf *conf)
{
	const struct conf_listener *l = conf->listeners[0], *pop = conf->listeners[1];

	assert_true(conf_keeps_source(conf));
	assert_int_equal(l->mode, CONF_TPROXY);
	assert_true(l->keep_source);
	assert_int_equal(l->intercept_port, 25);
	assert_null(l->intercept_interface);
	assert_int_equal(pop->mode, CONF_REDIRECT);
	assert_false(pop->keep_source);
	assert_int_equal(pop->intercept_port, 110);
	assert_string_equal(pop->intercept_interface, "g0");
	assert_true(conf->backends[0]->original);
	assert_int_equal(conf->backends[0]->nplaces, 0);
	assert_false(conf->backends[1]->original);
	assert_int_equal(conf->backends[1]->nplaces, 1);
}

/* Connections that are taken over: what is written, and what follows from it; the same behind a pack. */
static void
test_taken_over(void **state)
{
	struct conf *conf = read_text("listener l { address 127.0.0.1:25; mode tproxy; keep-source on; }\n"
				      "listener p { protocol pop3; address 127.0.0.1:110; mode redirect; intercept-interface g0; backend i; plaintext-login on; }\n"
				      "backend b { address original; }\nbackend i { protocol imap; address 127.0.0.1:143; }" ROUTE), *copy;
	struct buf bytes;
	struct err err;

	(void)state;
	check_taken(conf);
	buf_init(&bytes, PACKED_MAX);
	assert_true(conf_pack(conf, &bytes));
	copy = conf_unpack(buf_slice(&bytes), &err);
	assert_non_null(copy);
	check_taken(copy);
	conf_unref(&copy);
	conf_unref(&conf);
	buf_free(&bytes);
	conf = read_text(L B);
	assert_false(conf_keeps_source(conf));
	assert_int_equal(conf->listeners[0]->mode, CONF_PLAIN);
	assert_int_equal(conf->listeners[0]->intercept_port, 0);
	conf_unref(&conf);
}

/* What is taken is taken as it stands: nothing in it was overlooked or read as something else. */
static void
check_packs_as(const struct conf *conf, struct slice bytes)
{
	struct buf packed;

	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	assert_true(slice_same(buf_slice(&packed), bytes));
	buf_free(&packed);
}

static void
test_pack(void **state)
{
	struct world w = { 0 };
	struct err err;
	struct conf *conf = read_in(&w, whole, &err), *copy;
	struct buf packed;
	unsigned asked = w.asked;

	(void)state;
	assert_non_null(conf);
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	conf_unref(&conf);
	copy = conf_unpack(buf_slice(&packed), &err);
	if (copy == NULL)
		fail_msg("%s", err.text);
	check_whole(copy);
	assert_int_equal(w.asked, asked);	/* nobody was asked again */
	check_packs_as(copy, buf_slice(&packed));
	conf_unref(&copy);
	buf_free(&packed);
}

/* What "auto" and the host's own name were on the machine that read it. */
static void
test_pack_answers(void **state)
{
	struct conf *conf = read_text(L B), *copy;
	struct buf packed;
	struct err err;

	(void)state;
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	copy = conf_unpack(buf_slice(&packed), &err);
	assert_non_null(copy);
	assert_string_equal(copy->hostname, "box.example.net");
	assert_int_equal(copy->workers, 3);
	assert_int_equal(copy->scanners, 12);
	conf_unref(&copy);
	buf_free(&packed);
	for (size_t max = 0; max < 200; max++) {	/* a buf that is too small: false, never half */
		buf_init(&packed, max);
		assert_int_equal(conf_pack(conf, &packed), false);
		buf_free(&packed);
	}
	conf_unref(&conf);
}

static void
test_unpack_damaged(void **state)
{
	struct conf *conf = read_text(whole), *copy;
	struct buf packed;
	struct slice bytes;
	struct err err;
	char *damaged;

	(void)state;
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	bytes = buf_slice(&packed);
	for (size_t len = 0; len < bytes.len; len++) {
		damaged = mem_slice(slice_part(bytes, 0, len));	/* its own memory: reading past the end is seen */
		assert_null(conf_unpack((struct slice){ damaged, len }, &err));
		assert_string_equal(err.text, "the packed configuration is damaged, or from another version of gatepost");
		free(damaged);
	}
	for (size_t i = 0; i < bytes.len; i++)
		for (unsigned how = 0; how < 4; how++) {
			static const unsigned flips[] = { 1, 8, 64, 0 };	/* 0: the octet becomes NUL */

			damaged = mem_slice(bytes);
			damaged[i] = (char)(flips[how] != 0 ? (unsigned char)damaged[i] ^ flips[how] : 0);
			copy = conf_unpack((struct slice){ damaged, bytes.len }, &err);
			if (copy != NULL)
				check_packs_as(copy, (struct slice){ damaged, bytes.len });
			conf_unref(&copy);
			free(damaged);
		}
	assert_true(buf_putc(&packed, 'x'));
	assert_null(conf_unpack(buf_slice(&packed), NULL));
	buf_free(&packed);
	conf_unref(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_pack_answers),
		cmocka_unit_test(test_unpack_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
