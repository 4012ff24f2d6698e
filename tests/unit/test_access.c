/* test_access.c - truths about policy/gate/access.h: who may connect, who may relay, where mail goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf/conf_load.h"
#include "policy/gate/access.h"
#include "proxy/base/mem.h"

#define NETS 4

static size_t
nets_of(const char *words, struct net nets[NETS])
{
	struct slice rest = slice_of(words);
	size_t n = 0;

	while (rest.len > 0) {
		char text[64];

		assert_in_range(n, 0, NETS - 1);
		assert_true(slice_copy(slice_word(&rest), text, sizeof(text)));
		assert_int_equal(net_parse(&nets[n++], text, NULL), 0);
	}
	return n;
}

static void
test_connect_and_relay(void **state)
{
	static const struct {
		const char *allow, *deny, *relay, *client;
		bool may_connect, may_relay;
	} cases[] = {
		{ "", "", "", "192.0.2.1:9", true, false },			/* nobody relays unless named */
		{ "192.0.2.0/24", "", "", "192.0.2.255:9", true, false },
		{ "192.0.2.0/24", "", "", "192.0.3.0:9", false, false },
		{ "", "192.0.2.0/24", "", "192.0.2.1:9", false, false },
		{ "", "192.0.2.0/24", "", "192.0.1.255:9", true, false },
		{ "192.0.2.0/24", "192.0.2.7", "", "192.0.2.7:9", false, false },	/* deny wins */
		{ "192.0.2.7", "192.0.2.0/24", "", "192.0.2.7:9", false, false },	/* also over what is narrower */
		{ "192.0.2.0/24", "192.0.2.7", "", "192.0.2.8:9", true, false },
		{ "any", "", "", "[2001:db8::1]:9", true, false },
		{ "", "any", "", "[2001:db8::1]:9", false, false },
		{ "10.0.0.0/8 2001:db8::/32", "", "", "[2001:db8:ffff::1]:9", true, false },
		{ "10.0.0.0/8 2001:db8::/32", "", "", "[2001:db9::1]:9", false, false },
		{ "0.0.0.0/0", "", "", "[2001:db8::1]:9", false, false },
		{ "", "", "10.0.0.0/8", "10.255.0.1:9", true, true },
		{ "", "", "10.0.0.0/8", "11.0.0.1:9", true, false },
		{ "", "", "192.0.2.1 10.0.0.0/8", "10.0.0.1:9", true, true },
		{ "", "", "10.0.0.0/8", "[::ffff:10.0.0.1]:9", true, true },	/* IPv4 in another dress */
		{ "", "10.0.0.0/8", "", "[::ffff:10.0.0.1]:9", false, false },
		{ "", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.1:9", false, true },	/* two questions */
		{ "", "", "::1", "[::1]:9", true, true },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct net allow[NETS], deny[NETS], relay[NETS];
		struct conf_listener l = {
			.allow = allow, .nallow = nets_of(cases[i].allow, allow),
			.deny = deny, .ndeny = nets_of(cases[i].deny, deny),
			.relay_from = relay, .nrelay_from = nets_of(cases[i].relay, relay),
		};
		struct addr client;

		assert_int_equal(addr_parse(&client, cases[i].client, 0, NULL), 0);
		assert_int_equal(gate_may_connect(&l, &client), cases[i].may_connect);
		assert_int_equal(gate_may_relay(&l, &client), cases[i].may_relay);
	}
}

/* Who speaks for others is named, each way for itself, and nobody is unless named. */
static void
test_who_speaks_for_others(void **state)
{
	struct net proxies[NETS], relays[NETS];
	struct conf_listener none = { 0 }, l = {
		.proxy_from = proxies, .nproxy_from = nets_of("10.0.0.0/8 ::1", proxies),
		.xclient_from = relays, .nxclient_from = nets_of("192.0.2.1", relays),
	};
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse(&a, "10.1.2.3:9", 0, NULL), 0);
	assert_true(gate_is_proxy(&l, &a) && !gate_may_xclient(&l, &a) && !gate_is_proxy(&none, &a));
	assert_int_equal(addr_parse(&a, "192.0.2.1:9", 0, NULL), 0);
	assert_true(!gate_is_proxy(&l, &a) && gate_may_xclient(&l, &a) && !gate_may_xclient(&none, &a));
	assert_false(gate_is_proxy(&l, &(struct addr){ .len = 0 }));
}

/* A world of one file. */
static int
ask_text(void *arg, enum conf_question ask, const char *about, struct conf_answer *a, struct err *err)
{
	const char *answer = ask == CONF_ASK_FILE ? arg : ask == CONF_ASK_CORES ? "1" : ask == CONF_ASK_FOLDER ? "/" : "mx.example";

	if (ask == CONF_ASK_GLOB || (ask == CONF_ASK_FILE && strcmp(about, "main") != 0))
		return err_set(err, "no %s here", about);
	a->bytes = mem_str(answer);
	a->len = strlen(answer);
	return 0;
}

static struct conf *
conf_of(const char *routes)
{
	char text[1000];
	struct conf_world world = { ask_text, text };
	struct err err = { "" };
	struct conf *conf;

	snprintf(text, sizeof(text), "listener mx { address 127.0.0.1:25; relay-from 10.0.0.0/8; }\n"
				     "backend one { address 127.0.0.1:1; }\nbackend two { address 127.0.0.1:2; }\n"
				     "backend out { address 127.0.0.1:3; }\nantivirus off;\n%s", routes);
	conf = conf_read_from("main", &world, &err);
	if (conf == NULL)
		fail_msg("%s", err.text);
	return conf;
}

#define CLOSED "route example.org .example.org { backend one; } route two.example { backend two; }"
#define OPEN "route * { backend out; } " CLOSED

static void
test_recipients(void **state)
{
	/* route: the backend's name, or why not, for a stranger and for one who may relay. */
	static const struct {
		const char *routes, *domain, *stranger, *friend;
	} cases[] = {
		{ CLOSED, "example.org", "one", "one" },
		{ CLOSED, "EXAMPLE.Org", "one", "one" },
		{ CLOSED, "a.b.example.org", "one", "one" },
		{ CLOSED, "two.example", "two", "two" },
		{ CLOSED, "sub.two.example", "denied", "no route" },
		{ CLOSED, "other.example", "denied", "no route" },
		{ CLOSED, "notexample.org", "denied", "no route" },
		{ CLOSED, "[127.0.0.1]", "denied", "no route" },
		{ CLOSED, ".example.org", "denied", "no route" },
		{ CLOSED, "*", "denied", "no route" },
		{ CLOSED, "", "one", "one" },		/* <postmaster>: RFC 5321 section 4.5.1 */
		{ OPEN, "example.org", "one", "one" },
		{ OPEN, "other.example", "denied", "out" },
		{ OPEN, "*", "denied", "out" },
		{ OPEN, "[127.0.0.1]", "denied", "out" },
		{ OPEN, "", "one", "one" },		/* ours, though "*" stands first */
		{ "route * { backend out; }", "", "out", "out" },
	};
	struct addr clients[2];

	(void)state;
	assert_int_equal(addr_parse(&clients[0], "192.0.2.1:9", 0, NULL), 0);
	assert_int_equal(addr_parse(&clients[1], "10.0.0.1:9", 0, NULL), 0);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf *conf = conf_of(cases[i].routes);

		for (int friend = 0; friend <= 1; friend++) {
			const char *want = friend ? cases[i].friend : cases[i].stranger, *got = "";
			const struct conf_ask ask = { .listener = conf->listeners[0], .domain = slice_of(cases[i].domain) };
			const struct conf_route *route = NULL;

			switch (gate_route(conf, &clients[friend], false, &ask, &route)) {
			case GATE_RCPT_ROUTE:
				got = route->backend->name;
				break;
			case GATE_RCPT_RELAY_DENIED:
				got = "denied";
				break;
			case GATE_RCPT_NO_ROUTE:
				got = "no route";
				break;
			}
			assert_string_equal(got, want);
		}
		conf_unref(&conf);
	}
}

/* With all that a route can be asked by. */
static void
test_routes(void **state)
{
	static const char routes[] = "route ann@example.org { backend two; } route * { backend out; } "
	    "route example.org { backend two; user *; } route example.org { backend one; }";
	static const struct {
		const char *local, *domain, *user, *client;
		bool relays;	/* auth-relays */
		const char *want;
	} cases[] = {
		{ "bob", "example.org", "", "192.0.2.1:9", true, "one" },
		{ "bob", "example.org", "bob", "192.0.2.1:9", true, "two" },
		{ "ann", "example.org", "", "192.0.2.1:9", true, "two" },
		{ "bob", "example.net", "", "192.0.2.1:9", true, "denied" },
		{ "bob", "example.net", "bob", "192.0.2.1:9", true, "out" },
		{ "bob", "example.net", "bob", "192.0.2.1:9", false, "denied" },
		{ "bob", "example.net", "bob", "10.0.0.1:9", false, "out" },
		{ "postmaster", "", "", "192.0.2.1:9", true, "one" },		/* not the address', not the conditional */
		{ "postmaster", "", "bob", "192.0.2.1:9", true, "two" },
	};
	struct conf *conf = conf_of(routes);

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct conf_ask ask = { .listener = conf->listeners[0], .user = slice_of(cases[i].user),
			.local = slice_of(cases[i].local), .domain = slice_of(cases[i].domain) };
		const struct conf_route *route;
		struct addr client;
		enum gate_rcpt got;

		assert_int_equal(addr_parse(&client, cases[i].client, 0, NULL), 0);
		conf->listeners[0]->auth_relays = cases[i].relays;
		got = gate_route(conf, &client, ask.user.len > 0, &ask, &route);
		assert_string_equal(got == GATE_RCPT_ROUTE ? route->backend->name : "denied", cases[i].want);
		assert_int_equal(got, strcmp(cases[i].want, "denied") == 0 ? GATE_RCPT_RELAY_DENIED : GATE_RCPT_ROUTE);
	}
	conf_unref(&conf);

	conf = conf_of("route ann@example.org { backend two; }");
	{
		const struct conf_ask ask = { .listener = conf->listeners[0], .local = SLICE("postmaster") };
		const struct conf_route *route;
		struct addr client = { 0 };

		assert_int_equal(gate_route(conf, &client, false, &ask, &route), GATE_RCPT_ROUTE);
		assert_ptr_equal(route, conf->routes[0]);
	}
	conf_unref(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_and_relay),
		cmocka_unit_test(test_who_speaks_for_others),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
