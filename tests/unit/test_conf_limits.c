/* test_conf_limits.c - every setting: its default, its limits, its units, its sentence in the manual. */
#include "conf/conf_units.h"
#include "tests/unit/conf_world.h"

static void
test_tls_mode(void **state)
{
	static const struct { const char *text; enum conf_tls_mode want; } modes[] = {
		{ IN_L(""), CONF_TLS_NONE },
		{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t;"), CONF_TLS_OFFER },
		{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t; tls-mode none;"), CONF_TLS_NONE },
		{ IN_L("tls-mode implicit; tls t;") "tls t { certificate c.pem; key k.pem; }", CONF_TLS_IMPLICIT },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(modes); i++) {
		struct conf *conf = read_text(modes[i].text);

		assert_int_equal(conf->listeners[0]->tls_mode, modes[i].want);
		conf_unref(&conf);
	}
}

static void
test_defaults(void **state)
{
	struct conf *conf = read_text(L B);
	const struct conf_listener *l = conf->listeners[0];
	const struct conf_backend *b = conf->backends[0];
	const struct conf_profile *p = conf->routes[0]->profile;
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(conf->hostname, "box.example.net");
	assert_int_equal(conf->workers, 3);
	assert_int_equal(conf->scanners, 12);
	assert_string_equal(conf->user, "gatepost");
	assert_string_equal(conf->scan_user, "gatepost-scan");
	assert_int_equal(conf->log_kind, LOG_TO_STDERR);
	assert_null(conf->log_path);
	assert_int_equal(conf->log_level, LOG_LEVEL_INFO);
	assert_string_equal(conf->tmp_dir, "/tmp");
	assert_int_equal(conf->nrules, 0);
	assert_int_equal(conf->max_connections, 2000);
	assert_int_equal(conf->spool_memory, 256 << 20);
	assert_true(conf->scan_timeout == 30 && conf->scan_wait == 30 && conf->drain_timeout == 30);
	assert_true(conf->scan_budget == 30 && conf->ticket_rotation == 12 * 3600 && conf->quarantine_keep == 30 * 86400);
	assert_string_equal(conf->state_dir, "/var/lib/gatepost");
	assert_true(conf->ledger);
	assert_int_equal(conf->quarantine_size, 1 << 30);
	assert_int_equal(conf->nresolvers, 0);

	assert_true(conf->antivirus.on && !conf->antivirus.alert_encrypted);
	assert_int_equal(conf->antivirus.ndatabases, 1);
	assert_string_equal(conf->antivirus.databases[0], "/var/lib/clamav");
	assert_int_equal(conf->antivirus.max_file, 25 << 20);
	assert_int_equal(conf->antivirus.max_scan, 100 << 20);
	assert_int_equal(conf->antivirus.max_recursion, 16);
	assert_int_equal(conf->antivirus.max_files, 10000);
	assert_true(conf->antivirus.max_time == 20);

	assert_string_equal(l->name, "l");
	assert_int_equal(l->protocol, CONF_SMTP);
	assert_null(l->tls);
	assert_int_equal(l->tls_mode, CONF_TLS_NONE);
	assert_int_equal(l->nallow + l->ndeny + l->nrelay_from, 0);
	assert_true(l->idle_timeout == 300 && l->command_timeout == 60 && l->data_timeout == 180);
	assert_int_equal(l->max_size, 50 << 20);
	assert_int_equal(l->max_recipients, 1000);
	assert_int_equal(l->max_errors, 20);
	assert_int_equal(l->max_hops, 100);
	assert_int_equal(l->max_messages, 0);
	assert_int_equal(l->max_per_address, 50);
	assert_int_equal(l->min_data_rate, 500);
	assert_true(l->park_after == 5);
	assert_int_equal(l->ntlses, 0);
	assert_int_equal(l->without, CONF_EXT_ETRN | CONF_EXT_EXPN | CONF_EXT_VRFY);
	assert_int_equal(l->bare_newline, CONF_NEWLINE_REFUSE);
	assert_int_equal(l->auth, CONF_AUTH_OFF);
	assert_int_equal(l->auth_mechanisms, CONF_MECH_EXTERNAL * 2 - 1);	/* all up to it */
	assert_true(!l->auth_required && l->auth_relays);
	assert_int_equal(l->auth_failures, 10);
	assert_int_equal(l->nproxy_from + l->nxclient_from, 0);

	assert_int_equal(b->tls_mode, CONF_TLS_NONE);
	assert_true(b->tls_verify && b->tls_name == NULL && b->tls_ca.bytes == NULL);
	assert_true(b->connect_timeout == 30 && b->command_timeout == 300 && b->data_timeout == 600);
	assert_true(b->check_interval == 30 && b->grace == 60);
	assert_int_equal(b->slot, 0);
	assert_int_equal(b->nplaces, 1);
	assert_true(b->places[0].host == NULL && !b->places[0].mx && b->places[0].weight == 0 && b->places[0].port == 24);
	addr_text(&b->places[0].addr, text);
	assert_string_equal(text, "127.0.0.1:24");
	assert_int_equal(b->tls_min_version, CONF_TLS_1_2);
	assert_true(b->ntls_pins == 0 && b->tls_client == NULL && b->login_user == NULL && b->login_password.bytes == NULL);
	assert_int_equal(b->identity, CONF_IDENTITY_NONE);
	assert_int_equal(b->max_sessions, 200);
	assert_int_equal(b->keep_sessions, 20);
	assert_int_equal(b->session_messages, 100);
	assert_true(b->session_wait == 30 && b->keep_time == 30 && b->session_age == 300);
	assert_true(b->chunking && b->verify_at == NULL && b->verify_good == 7200 && b->verify_bad == 600);

	assert_int_equal(conf->routes[0]->nbackends, 1);
	assert_ptr_equal(conf->routes[0]->backends[0], b);
	assert_int_equal(conf->routes[0]->nlisteners + conf->routes[0]->nusers, 0);

	assert_string_equal(p->name, "default");
	assert_int_equal(p->tag_score, 5000);
	assert_int_equal(p->refuse_score, 15000);
	assert_int_equal(p->virus, CONF_REFUSE);
	assert_int_equal(p->unscannable, CONF_REFUSE);
	assert_string_equal(p->refuse_text, "Message refused");
	assert_int_equal(p->quarantine_score, CONF_NO_SCORE);
	assert_int_equal(p->split, CONF_SPLIT_QUARANTINE);
	assert_true(p->from == NULL && p->written == NULL && p->nrecipients + p->nusers + p->nlisteners == 0);
	assert_ptr_equal(p, conf->standard);
	conf_unref(&conf);
}

/* What must stand beside a setting for its limits to be allowed: some settings bound each other. */
static const char *
beside(const struct conf_row *row)
{
	static const struct { enum conf_block block; const char *name, *text; } bounds[] = {
		{ CONF_IN_PROFILE, "tag-score", "refuse-score 1000;" },
		{ CONF_IN_PROFILE, "refuse-score", "tag-score -1000;" },
		{ CONF_IN_PROFILE, "quarantine-score", "tag-score -1000;" },
		{ CONF_IN_LISTENER, "keep-source", "mode tproxy;" },
		{ CONF_IN_LISTENER, "auth-required", "auth always;" },
		{ CONF_IN_LISTENER, "intercept-port", "mode redirect;" },
	};

	for (size_t i = 0; i < NITEMS(bounds); i++)
		if (row->block == bounds[i].block && strcmp(row->name, bounds[i].name) == 0)
			return bounds[i].text;
	return "";
}

/* Puts "NAME VALUE;" where the row wants it; whether that loads. */
static bool
accepts(const struct conf_row *row, const char *value)
{
	static const char *const around[CONF_BLOCKS][2] = {
		[CONF_IN_MAIN] = { IN_L("max-size 1M;"), "" },
		[CONF_IN_ANTIVIRUS] = { L B "antivirus { ", " }" },
		[CONF_IN_TLS] = { L B "tls t { certificate c.pem; key k.pem; ", " }" },
		[CONF_IN_LISTENER] = { "spool-memory 4G;" B "listener l { address 127.0.0.1:25; ", " }" },
		[CONF_IN_BACKEND] = { L "backend b { address 127.0.0.1:24; ", " }" ROUTE },
		[CONF_IN_PROFILE] = { L B "profile p { ", " }" },
	};
	struct world w = { 0 };
	struct conf *conf;
	struct err err;
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s %s;%s", around[row->block][0], beside(row), row->name, value, around[row->block][1]);
	conf = read_in(&w, text, &err);
	conf_unref(&conf);
	return err.text[0] == '\0';
}

static void
check_limits(const struct conf_row *row, void (*text)(int64_t, char *))
{
	char value[CONF_UNITS_TEXT_MAX];
	const struct { int64_t n; bool good; } tries[] = {
		{ row->min, true }, { row->max, true }, { row->min - 1, false }, { row->max + 1, false },
	};

	for (size_t i = 0; i < NITEMS(tries); i++) {
		text(tries[i].n, value);
		if (accepts(row, value) != tries[i].good)
			fail_msg("%s %s must %s", row->name, value, tries[i].good ? "load" : "be refused");
	}
}

static void
number_text(int64_t n, char *out)
{
	snprintf(out, CONF_UNITS_TEXT_MAX, "%lld", (long long)n);
}

/* Every row that has limits, at them and one beyond; every word of every enum. */
static void
test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];

		switch (row->type) {
		case CONF_TYPE_NUMBER:
		case CONF_TYPE_AUTO:
			check_limits(row, number_text);
			break;
		case CONF_TYPE_SIZE:
			check_limits(row, conf_units_size_text);
			break;
		case CONF_TYPE_TIME:
			check_limits(row, conf_units_time_text);
			break;
		case CONF_TYPE_SCORE:
			check_limits(row, conf_units_score_text);
			break;
		case CONF_TYPE_ON_OFF:
			assert_true(accepts(row, "on") && accepts(row, "off") && !accepts(row, "On"));
			break;
		default:
			break;
		}
	}
}

static void
test_units(void **state)
{
	static const struct { const char *text; int64_t want; } sizes[] = {
		{ "0", 0 }, { "1", 1 }, { "1k", 1024 }, { "1K", 1024 }, { "1023", 1023 }, { "1025", 1025 }, { "3M", 3 << 20 },
		{ "2g", (int64_t)2 << 30 }, { "8589934591G", (int64_t)8589934591 << 30 },
		{ "8589934592G", -1 }, { "9223372036854775808", -1 }, { "", -1 }, { "K", -1 }, { "1T", -1 }, { "1 K", -1 },
		{ "1KB", -1 }, { "-1", -1 }, { "1.5K", -1 }, { "0x10", -1 },
	}, times[] = {
		{ "0ms", 0 }, { "1ms", 1 }, { "1s", 1000 }, { "90s", 90000 }, { "5m", 300000 }, { "1h", 3600000 }, { "1d", 86400000 },
		{ "5", -1 }, { "s", -1 }, { "5M", -1 }, { "1h30m", -1 }, { "1 s", -1 }, { "106751991168d", -1 },
	}, scores[] = {
		{ "0", 0 }, { "5", 5000 }, { "0.1", 100 }, { "0.01", 10 }, { "0.001", 1 }, { "15.250", 15250 }, { "-3", -3000 },
	};
	int64_t n;
	char text[CONF_UNITS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++) {
		assert_int_equal(conf_units_size(slice_of(sizes[i].text), &n) ? n : -1, sizes[i].want);
		conf_units_size_text(sizes[i].want, text);
		assert_true(sizes[i].want == -1 || (conf_units_size(slice_of(text), &n) && n == sizes[i].want));
	}
	for (size_t i = 0; i < NITEMS(times); i++) {
		assert_int_equal(conf_units_time(slice_of(times[i].text), &n) ? n : -1, times[i].want);
		conf_units_time_text(times[i].want, text);
		assert_true(times[i].want == -1 || (conf_units_time(slice_of(text), &n) && n == times[i].want));
	}
	for (size_t i = 0; i < NITEMS(scores); i++) {
		assert_true(conf_units_score(slice_of(scores[i].text), &n) && n == scores[i].want);
		conf_units_score_text(scores[i].want, text);
		assert_true(conf_units_score(slice_of(text), &n) && n == scores[i].want);
	}
	conf_units_time_text(90000, text);
	assert_string_equal(text, "90s");
	conf_units_score_text(-250, text);
	assert_string_equal(text, "-0.25");
}

/* Blocks of tls: their defaults stand beside what is compulsory. */
static void
test_tls_defaults(void **state)
{
	struct conf *conf = read_text("tls t { certificate c.pem; key k.pem; }" IN_L("tls t;"));
	const struct conf_tls *t = conf->tls[0];

	(void)state;
	assert_int_equal(t->min_version, CONF_TLS_1_2);
	assert_null(t->ciphers);
	assert_int_equal(t->security_level, 2);
	assert_int_equal(t->client_certificate, CONF_CLIENT_CERT_OFF);
	assert_null(t->client_ca.bytes);
	assert_int_equal(conf->listeners[0]->ntlses, 1);
	assert_ptr_equal(conf->listeners[0]->tlses[0], t);
	assert_ptr_equal(conf->listeners[0]->tls, t);
	conf_unref(&conf);
}

static void
test_manual(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	conf_manual(f);
	fclose(f);
	for (size_t i = 0; i < conf_nrows; i++)
		assert_non_null(strstr(text, conf_rows[i].sentence));
	assert_non_null(strstr(text, "\n  max-size\n      a size from 1K to 4G; default: 50M\n      Octets of a message; not more than spool-memory.\n"));
	free(text);
}

/* What we ship loads as it is, with its paths put elsewhere, and relays for nobody. */
static void
test_shipped(void **state)
{
	struct conf_answer *shipped;
	char home[4096], *here, *text;
	struct conf *conf;
	struct err err;
	bool ours;

	(void)state;
	shipped = conf_world_ask(&conf_disk, CONF_ASK_FILE, "conf/dist/gatepost.conf", &err);
	if (shipped == NULL)
		fail_msg("%s (tests run in the top directory)", err.text);
	here = enter_scratch(home, sizeof(home));
	assert_int_equal(mkdir("rules", 0700) | mkdir("tls", 0700), 0);
	write_file("rules/a.cf", "");
	write_file("tls/certificate.pem", "C");
	write_file("tls/key.pem", "K");
	text = substitute(shipped->bytes, "/etc/gatepost/", "");
	write_file("gatepost.conf", text);
	conf = conf_read("gatepost.conf", &err);
	if (conf == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(conf->nrules, 1);
	assert_int_equal(conf->nlisteners, 1);
	assert_int_equal(conf->listeners[0]->tls_mode, CONF_TLS_OFFER);
	assert_int_equal(conf->listeners[0]->nrelay_from, 0);
	assert_non_null(conf_route_find(conf, &(struct conf_ask){ .domain = SLICE("example.org") }, &ours));
	assert_true(ours);
	assert_null(conf_route_find(conf, &(struct conf_ask){ .domain = SLICE("example.net") }, &ours));
	conf_unref(&conf);
	free(text);
	conf_answer_free(&shipped);
	leave_scratch(home, here);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_mode),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_tls_defaults),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
