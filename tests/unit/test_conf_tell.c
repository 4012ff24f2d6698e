/* test_conf_tell.c - what `gatepost check` tells an administrator. */
#include "conf/conf_tell.h"
#include "tests/unit/conf_world.h"

static const char text[] =
    "listener mx { address 127.0.0.1:25; }\n"
    "listener sub { address 127.0.0.1:587; }\n"
    "backend store { address 127.0.0.1:24; }\n"
    "backend spare { address 127.0.0.1:26; }\n"
    "route example.org { backend store spare; profile staff; }\n"
    "route * { backend spare; listener sub; }\n"
    "profile default { tag-score 4; }\n"
    "profile staff { from base; quarantine-score 8; }\n"
    "profile base { refuse-text \"Sorry {from}, \\\"no\\\"\"; user *@example.net; }\n";

#define DEFAULTS \
	"  virus             refuse                  default value\n" \
	"  unscannable       refuse                  default value\n"
#define OTHERS \
	"  quarantine-score  none                    default value\n" DEFAULTS

static const struct { const char *local, *domain, *listener, *user, *told; } cases[] = {
	{ "ann", "Example.ORG", "mx", "",
	  "at the listener mx, of nobody who has authenticated:\n"
	  "route \"example.org\" (main.conf:5:7)\n"
	  "backend store (main.conf:3:1)\n"
	  "  or backend spare (main.conf:4:1)\n"
	  "profile staff, because of its route\n"
	  "  tag-score         4                       main.conf:7:19, profile default\n"
	  "  refuse-score      15                      default value\n"
	  "  quarantine-score  8                       main.conf:8:28, profile staff\n"
	  DEFAULTS
	  "  refuse-text       \"Sorry {from}, \\\"no\\\"\"  main.conf:9:16, profile base\n"
	  "  split             quarantine              default value\n" },
	{ "ann", "example.net", "mx", "",
	  "at the listener mx, of nobody who has authenticated:\n"
	  "no route: such mail is refused\n"
	  "profile default, because nothing names another\n"
	  "  tag-score         4                       main.conf:7:19, profile default\n"
	  "  refuse-score      15                      default value\n"
	  OTHERS
	  "  refuse-text       \"Message refused\"       default value\n"
	  "  split             quarantine              default value\n" },
	{ "ann", "example.net", "sub", "Bob@Example.net",
	  "at the listener sub, of the user Bob@Example.net:\n"
	  "route \"*\" (main.conf:6:7), only for clients that may relay\n"
	  "backend spare (main.conf:4:1)\n"
	  "profile base, because of \"user *@example.net\" (main.conf:9:57)\n"
	  "  tag-score         4                       main.conf:7:19, profile default\n"
	  "  refuse-score      15                      default value\n"
	  OTHERS
	  "  refuse-text       \"Sorry {from}, \\\"no\\\"\"  main.conf:9:16, profile base\n"
	  "  split             quarantine              default value\n" },
};

static void
test_recipients(void **state)
{
	struct conf *conf = read_text(text);

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct conf_ask ask = { .listener = conf_listener_named(conf, slice_of(cases[i].listener)),
			.user = slice_of(cases[i].user), .local = slice_of(cases[i].local), .domain = slice_of(cases[i].domain) };
		char *told = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&told, &len);

		conf_tell_recipient(f, conf, &ask);
		fclose(f);
		assert_string_equal(told, cases[i].told);
		free(told);
	}
	conf_unref(&conf);
}

#define MANY(what) "On the backend b (Postfix): smtpd_client_event_limit_exceptions must name this gateway (" what ", and one client may " \
	"have 50 unless smtpd_client_connection_count_limit says more).\n"

static void
test_backends(void **state)
{
	static const struct { const char *settings, *told; } backends[] = {
		{ "max-sessions 50;", "" },
		{ "max-sessions 51;", MANY("max-sessions 51") },
		{ "max-sessions 0;", MANY("any number of sessions") },
		{ "", MANY("max-sessions 200") },
		{ "protocol lmtp;", "" },
		{ "client-identity proxy-v2;",
		  "On the backend b (Postfix): smtpd_upstream_proxy_protocol = haproxy, for a port that only this gateway reaches.\n" },
		{ "client-identity xclient; max-sessions 5;",
		  "On the backend b (Postfix): smtpd_authorized_xclient_hosts must name this gateway.\n" },
		{ "client-identity xforward;",
		  "On the backend b (Postfix): smtpd_authorized_xforward_hosts must name this gateway.\n" MANY("max-sessions 200") },
		{ "protocol lmtp; client-identity xclient;",
		  "On the backend b (Dovecot): login_trusted_networks must name this gateway.\n" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(backends); i++) {
		char file[400], *told = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&told, &len);
		struct conf *conf;

		snprintf(file, sizeof(file), IN_B("%s"), backends[i].settings);
		conf = read_text(file);
		conf_tell_backends(f, conf);
		fclose(f);
		assert_string_equal(told, backends[i].told);
		free(told);
		conf_unref(&conf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
