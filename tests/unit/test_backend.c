/* test_backend.c - truths about proxy/backend/backend.h: which address is tried next, what names become, and when all
 * are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/backend/backend_int.h"
#include "proxy/base/mem.h"
#include "tests/unit/dns.h"
#include "tests/unit/run_for.h"

static unsigned probes;

static void
on_probe(struct backend *b)
{
	(void)b;
	probes++;
}

static const struct backend_probe probe = { on_probe, on_probe };

static struct conf_place places[3];
static struct conf_backend conf = {
	.name = (char *)"store", .places = places, .nplaces = 3, .check_interval = 30, .grace = 0.05,
};
static const struct backend_means no_means;

static struct backend *
backend_of(struct loop *loop)
{
	struct err err = { "" };
	struct backend *b;

	for (size_t i = 0; i < NITEMS(places); i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%zu:25", i + 1);
		assert_int_equal(addr_parse(&places[i].addr, text, 0, &err), 0);
	}
	b = backend_new(loop, &conf, "mx.example.org", &probe, &no_means, &err);
	assert_non_null(b);
	return b;
}

/* All addresses in the order in which they are tried, as "012". */
static void
order_of(struct backend *b, uint64_t tried, char order[8])
{
	const struct addr *a;
	unsigned place;

	while ((a = backend_address(b, tried, &place)) != NULL) {
		assert_true(addr_same(a, &places[place].addr));
		*order++ = (char)('0' + place);
		tried |= UINT64_C(1) << place;
	}
	*order = '\0';
}

static void
test_order(void **state)
{
	/* What happens one after the other: a digit has failed, a digit behind "+" has worked. */
	static const struct { const char *events, *order, *trouble; } cases[] = {
		{ "", "012", "no address to try" },
		{ "0", "120", "0 failed" },
		{ "1", "021", "1 failed" },
		{ "01", "201", "1 failed" },
		{ "10", "201", "0 failed" },		/* the last attempt's words */
		{ "012", "012", "2 failed" },		/* all are down: each is tried all the same */
		{ "012+1", "102", "2 failed" },
		{ "012+2", "201", "1 failed" },
		{ "0+0", "012", "no address to try" },
		{ "2+1", "012", "2 failed" },
		{ "00", "120", "0 failed" },
	};
	struct backend_caps caps = { .extensions = CONF_EXT_8BITMIME };
	struct loop *loop = loop_new();

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct backend *b = backend_of(loop);
		char order[8];

		for (const char *e = cases[i].events; *e != '\0'; e++) {
			char why[] = "x failed";

			why[0] = *e;
			if (*e == '+')
				backend_worked(b, (unsigned)(*++e - '0'), &caps);
			else
				backend_failed(b, (unsigned)(*e - '0'), why);
		}
		order_of(b, 0, order);
		assert_string_equal(order, cases[i].order);
		assert_string_equal(backend_trouble(b), cases[i].trouble);
		assert_int_equal(b->caps_known, strchr(cases[i].events, '+') != NULL);
		assert_int_equal(b->caps.extensions == CONF_EXT_8BITMIME, b->caps_known);
		order_of(b, 1, order);
		assert_null(strchr(order, '0'));	/* never twice */
		assert_int_equal(strlen(order), 2);
		order_of(b, 7, order);
		assert_string_equal(order, "");
		backend_free(&b);
	}
	loop_free(&loop);
}

static void
test_grace(void **state)
{
	struct backend_caps caps = { 0 };
	struct loop *loop = loop_new();
	struct backend *b = backend_of(loop);

	(void)state;
	run_for(loop, 0.01);
	assert_int_equal(probes, 1);		/* one at once; the next one is far away */
	backend_failed(b, 0, "x");
	backend_failed(b, 1, "x");
	run_for(loop, 0.1);
	assert_false(backend_is_lost(b));	/* one is not down */
	assert_true(backend_is_up(b));
	backend_failed(b, 2, "x");
	assert_false(backend_is_up(b));
	assert_false(backend_is_lost(b));
	run_for(loop, 0.1);
	backend_failed(b, 2, "x");		/* once more begins no new time of grace */
	assert_true(backend_is_lost(b));
	backend_worked(b, 1, &caps);
	assert_false(backend_is_lost(b));
	backend_free(&b);
	assert_null(b);
	loop_free(&loop);
}

/* The server that a client was on its way to: nobody looks after it, and it is never lost. */
static void
test_original(void **state)
{
	const struct conf_backend original = { .name = (char *)"there", .original = true, .check_interval = 0.01 };
	const struct backend_caps caps = { .extensions = CONF_EXT_8BITMIME };
	struct loop *loop = loop_new();
	struct err err = { "" };
	struct backend *b = backend_new(loop, &original, "mx.example.org", &probe, &no_means, &err);
	unsigned before = probes, place;

	(void)state;
	assert_non_null(b);
	assert_false(timer_running(&b->check));
	assert_null(backend_address(b, 0, &place));
	backend_failed(b, 0, "refused");
	backend_worked(b, 0, &caps);
	assert_false(backend_is_lost(b));
	assert_true(backend_is_up(b));
	assert_false(b->caps_known);	/* another client's is another server */
	assert_int_equal(probes, before);
	backend_free(&b);
	loop_free(&loop);
}

/* Shares of many turns, while all are up, while one is down, and of one that is down: none. */
static void
test_weights(void **state)
{
	static const struct { unsigned weights[3]; int down; unsigned shares[3]; } cases[] = {
		{ { 1, 1, 1 }, -1, { 200, 200, 200 } },
		{ { 3, 2, 1 }, -1, { 300, 200, 100 } },
		{ { 5, 0, 0 }, -1, { 429, 86, 86 } },		/* not said: one */
		{ { 3, 2, 1 }, 0, { 0, 400, 200 } },
		{ { 1000, 1, 1 }, 1, { 599, 0, 1 } },
	};
	struct loop *loop = loop_new();

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		unsigned shares[3] = { 0 }, place, others;
		struct backend *b;

		for (size_t k = 0; k < 3; k++)
			places[k].weight = cases[i].weights[k];
		b = backend_of(loop);
		if (cases[i].down != -1)
			backend_failed(b, (unsigned)cases[i].down, "x");
		for (size_t k = 0; k < 600; k++) {
			assert_non_null(backend_address(b, 0, &place));
			shares[place]++;
		}
		for (size_t k = 0; k < 3; k++)
			assert_in_range(shares[k], cases[i].shares[k] > 6 ? cases[i].shares[k] - 6 : 0, cases[i].shares[k] + 6);
		/* Who is down comes last. */
		others = cases[i].down == -1 ? 3 : 7 & ~(1u << cases[i].down);
		assert_non_null(backend_address(b, others, &place));
		assert_int_equal(place, cases[i].down == -1 ? 2 : cases[i].down);
		backend_free(&b);
	}
	for (size_t k = 0; k < 3; k++)
		places[k].weight = 0;
	loop_free(&loop);
}

/* Each address has its turn with the health check, one that is down as well. */
static unsigned looked_at[3];

static void
look(struct backend *b)
{
	unsigned place;

	assert_non_null(backend_address(b, 0, &place));
	looked_at[place]++;
	if (place == 1)
		backend_failed(b, place, "x");
	else
		backend_worked(b, place, &(struct backend_caps){ 0 });
}

static void
test_checks(void **state)
{
	static const struct backend_probe looks = { look, on_probe };
	struct loop *loop = loop_new();
	struct backend *b = backend_of(loop);

	(void)state;
	conf.check_interval = 0.03;
	b->probe = &looks;
	run_for(loop, 1.6);		/* the least pause lies between two: 0, 0.25... */
	assert_in_range(looked_at[0], 2, 3);
	assert_in_range(looked_at[1], 2, 3);
	assert_in_range(looked_at[2], 2, 3);
	conf.check_interval = 30;
	backend_free(&b);
	loop_free(&loop);
}

/* A backend of one name, its resolver and the DNS. */
struct named {
	struct loop *loop;
	struct dns dns;
	struct resolver *resolver;
	struct conf_place place;
	struct conf_backend conf;
	struct backend *backend;
	struct backend_waiter waiter;
	unsigned woken;
};

static void
on_known(void *owner)
{
	struct named *n = owner;

	n->woken++;
}

static void
named_begin(struct named *n, const char *host, bool mx, const char *table)
{
	struct backend_means means = { 0 };
	struct err err;

	*n = (struct named){ .loop = loop_new(), .place = { .host = (char *)host, .mx = mx, .port = 25 } };
	n->conf = (struct conf_backend){ .name = (char *)"store", .places = &n->place, .nplaces = 1, .check_interval = 30, .grace = 0.05 };
	dns_start(&n->dns, n->loop, table);
	n->resolver = resolver_new(n->loop, &n->dns.addr, 1, &err);
	means.resolver = n->resolver;
	n->backend = backend_new(n->loop, &n->conf, "mx.example.org", &probe, &means, &err);
	n->waiter = (struct backend_waiter){ .known = on_known, .owner = n };
}

static void
named_end(struct named *n)
{
	backend_free(&n->backend);
	resolver_free(&n->resolver);
	dns_stop(&n->dns);
	loop_free(&n->loop);
}

/* Until the round of questions that begins now is over. */
static void
round_ends(struct named *n)
{
	const struct backend_name *name = &n->backend->names[0];

	run_for(n->loop, 0.01);
	for (int i = 0; i < 500 && (name->mail_hosts != NULL || name->open > 0); i++)
		run_for(n->loop, 0.01);
}

/* Asks anew, as if the answer's time were over. */
static void
another_round(struct named *n, const char *table)
{
	n->dns.table = table;
	timer_set(&n->backend->names[0].again, 0);
	round_ends(n);
}

/* All that is tried, in order: "1:192.0.2.1 0:192.0.2.2", with the numbers of the places. */
static const char *
all_of(struct named *n)
{
	static char text[400];
	char host[ADDR_TEXT_MAX];
	const struct addr *a;
	uint64_t tried = 0;
	unsigned place;
	size_t len = 0;

	text[0] = '\0';
	while ((a = backend_address(n->backend, tried, &place)) != NULL) {
		addr_host(a, host);
		assert_int_equal(addr_port(a), 25);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u:%s", len > 0 ? " " : "", place, host);
		tried |= UINT64_C(1) << place;
	}
	return text;
}

static void
test_name(void **state)
{
	static const struct backend_caps caps;
	struct named n;
	unsigned place;

	(void)state;
	named_begin(&n, "mail.test", false, "mail.test A 192.0.2.1 192.0.2.2\n");
	assert_true(backend_pending(n.backend));
	assert_true(backend_is_up(n.backend));
	assert_null(backend_address(n.backend, 0, &place));
	assert_string_equal(backend_trouble(n.backend), "the DNS has not answered yet");
	backend_await(n.backend, &n.waiter);
	round_ends(&n);
	assert_int_equal(n.woken, 1);
	assert_false(backend_pending(n.backend));
	assert_string_equal(all_of(&n), "0:192.0.2.1 1:192.0.2.2");
	assert_string_equal(backend_name(n.backend, 1), "mail.test");

	/* One stays what it was, though down; one comes; one goes, and its place stays empty. */
	backend_failed(n.backend, 1, "refused");
	another_round(&n, "mail.test A 192.0.2.3 192.0.2.2\n");
	assert_string_equal(all_of(&n), "2:192.0.2.3 1:192.0.2.2");
	assert_string_equal(backend_trouble(n.backend), "refused");
	backend_failed(n.backend, 0, "an attempt of before");
	backend_worked(n.backend, 0, &caps);
	assert_string_equal(all_of(&n), "2:192.0.2.3 1:192.0.2.2");
	assert_string_equal(backend_name(n.backend, 0), "mail.test");

	/* Who comes back has its old number, and nothing is held against it. */
	backend_failed(n.backend, 2, "refused");
	another_round(&n, "mail.test A 192.0.2.1\n");
	another_round(&n, "mail.test A 192.0.2.3 192.0.2.1\n");
	assert_string_equal(all_of(&n), "2:192.0.2.3 0:192.0.2.1");
	named_end(&n);
}

/* What was known stays while the DNS fails; a "no" is an answer. */
static void
test_name_fails(void **state)
{
	struct named n;

	(void)state;
	named_begin(&n, "mail.test", false, "mail.test A 192.0.2.1\n");
	round_ends(&n);
	another_round(&n, "mail.test fail\n");
	assert_string_equal(all_of(&n), "0:192.0.2.1");
	assert_in_range((int)(n.backend->names[0].again.ev.repeat * 10), 10, 30);	/* soon again, then later and later */
	another_round(&n, "mail.test fail\n");
	another_round(&n, "mail.test fail\n");
	assert_in_range((int)n.backend->names[0].again.ev.repeat, 7, 9);
	assert_false(backend_is_lost(n.backend));
	another_round(&n, "mail.test A 192.0.2.2\n");
	assert_string_equal(all_of(&n), "1:192.0.2.2");
	assert_int_equal((int)n.backend->names[0].again.ev.repeat, 60);			/* its TTL */
	n.dns.ttl = 1;
	another_round(&n, "mail.test A 192.0.2.2\n");
	assert_int_equal((int)n.backend->names[0].again.ev.repeat, 5);
	another_round(&n, "");
	assert_string_equal(all_of(&n), "");
	assert_string_equal(backend_trouble(n.backend), "mail.test has no address in the DNS");
	assert_false(backend_is_up(n.backend));
	run_for(n.loop, 0.1);
	assert_true(backend_is_lost(n.backend));
	another_round(&n, "mail.test A 192.0.2.2\n");
	assert_false(backend_is_lost(n.backend));
	named_end(&n);
}

/* From the start: who waits is told all the same. */
static void
test_name_never_known(void **state)
{
	struct backend_waiter gone = { .known = on_known };
	struct named n;

	(void)state;
	named_begin(&n, "mail.test", false, "mail.test fail\n");
	gone.owner = &n;
	backend_await(n.backend, &gone);
	backend_await(n.backend, &n.waiter);
	backend_await(n.backend, &n.waiter);
	backend_await_no_more(&gone);
	backend_await_no_more(&gone);
	round_ends(&n);
	assert_int_equal(n.woken, 1);
	assert_false(backend_pending(n.backend));
	assert_string_equal(all_of(&n), "");
	assert_non_null(strstr(backend_trouble(n.backend), "mail.test: "));
	run_for(n.loop, 0.1);
	assert_true(backend_is_lost(n.backend));
	backend_await(n.backend, &n.waiter);	/* and its end takes along who still waits */
	named_end(&n);
	assert_null(n.waiter.waits_for);
}

/* A host with two addresses, two hosts with one preference, and one with a worse. */
static void
test_mail_hosts(void **state)
{
	static const char table[] = "test MX 20=b.test 10=a.test 20=c.test\n"
	    "a.test A 192.0.2.1\na.test AAAA 2001:db8::1\nb.test A 192.0.2.2\nc.test A 192.0.2.3\n";
	static const char b_fails[] = "test MX 20=b.test 10=a.test 20=c.test\na.test A 192.0.2.1\nb.test fail\nc.test A 192.0.2.3\n";
	unsigned first[64] = { 0 }, place;
	struct named n;

	(void)state;
	named_begin(&n, "test", true, table);
	round_ends(&n);
	assert_int_equal(strlen(all_of(&n)), strlen("0:192.0.2.1 1:2001:db8::1 2:192.0.2.2 3:192.0.2.3"));
	for (int i = 0; i < 1000; i++) {
		uint64_t tried = 0;

		for (int k = 0; k < 2; k++) {
			assert_non_null(backend_address(n.backend, tried, &place));
			assert_string_equal(backend_name(n.backend, place), "a.test");
			tried |= UINT64_C(1) << place;
		}
		assert_non_null(backend_address(n.backend, tried, &place));
		assert_string_not_equal(backend_name(n.backend, place), "a.test");
		first[place]++;
	}
	for (unsigned i = 0; i < 64; i++)
		if (first[i] > 0)
			assert_in_range(first[i], 400, 600);	/* each about half of the time */
	another_round(&n, b_fails);
	assert_non_null(strstr(all_of(&n), ":192.0.2.2"));	/* known from before */
	another_round(&n, "test fail\n");
	assert_non_null(strstr(all_of(&n), ":192.0.2.2"));
	another_round(&n, "test MX 0=b.test\nb.test A 192.0.2.4\n");
	assert_non_null(strstr(all_of(&n), ":192.0.2.4"));
	assert_null(strchr(all_of(&n), ' '));
	another_round(&n, "test MX 0=\n");
	assert_string_equal(all_of(&n), "");
	assert_string_equal(backend_trouble(n.backend), "test takes no mail: it says that it takes no mail (a null MX)");
	another_round(&n, "test A 192.0.2.5\n");		/* RFC 5321 section 5.1 */
	assert_non_null(strstr(all_of(&n), ":192.0.2.5"));
	named_end(&n);
}

/* More addresses than there are places, and changing all the time: no number is given to another too soon. */
static void
test_too_many(void **state)
{
	char table[2][2000] = { "mail.test A", "mail.test A" };
	struct named n;
	unsigned place;

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(table[0] + strlen(table[0]), 20, " 192.0.2.%u", (unsigned)i % 100);
		snprintf(table[1] + strlen(table[1]), 20, " 192.0.2.%u", 100 + (unsigned)i % 100);
	}
	named_begin(&n, "mail.test", false, table[0]);
	round_ends(&n);
	another_round(&n, table[1]);
	assert_non_null(backend_address(n.backend, 0, &place));
	assert_int_equal(place, 40);
	assert_null(backend_address(n.backend, ~UINT64_C(0) << 40, &place));	/* 24 of them have a place */
	another_round(&n, table[0]);
	assert_non_null(backend_address(n.backend, 0, &place));
	assert_int_equal(place, 0);
	for (unsigned i = 0; i < 64; i++)
		if (!n.backend->places[i].live)
			n.backend->places[i].gone -= 601;
	another_round(&n, table[1]);
	assert_int_equal(n.backend->places[40].live, true);
	named_end(&n);
}

/* A name and an address side by side: nobody waits, and each has its turn. */
static void
test_mixed(void **state)
{
	struct conf_place mixed[2] = { { .host = (char *)"mail.test", .port = 25 }, { .port = 26 } };
	struct conf_backend both = { .name = (char *)"store", .places = mixed, .nplaces = 2, .check_interval = 30, .tls_name = (char *)"x.test" };
	struct backend_means means = { 0 };
	struct loop *loop = loop_new();
	struct backend *b;
	struct dns dns;
	struct err err;
	unsigned place;

	(void)state;
	dns_start(&dns, loop, "mail.test A 192.0.2.1\n");
	means.resolver = resolver_new(loop, &dns.addr, 1, &err);
	assert_int_equal(addr_parse(&mixed[1].addr, "192.0.2.9:26", 0, &err), 0);
	b = backend_new(loop, &both, "mx.example.org", &probe, &means, &err);
	assert_false(backend_pending(b));
	assert_int_equal(addr_port(backend_address(b, 0, &place)), 26);
	run_for(loop, 0.05);
	assert_int_equal(addr_port(backend_address(b, 0, &place)), 25);
	assert_int_equal(addr_port(backend_address(b, UINT64_C(1) << place, &place)), 26);
	assert_string_equal(backend_name(b, place), "x.test");
	backend_free(&b);
	resolver_free(&means.resolver);
	dns_stop(&dns);
	loop_free(&loop);
}

static void
test_sessions(void **state)
{
	struct conf_backend limited = { .name = (char *)"store", .max_sessions = 2, .check_interval = 30, .slot = 3 };
	struct backend_means means[2] = { { .budgets = budgets_new(2), .slot = 0 }, { .budgets = NULL, .slot = 1 } };
	struct loop *loop = loop_new();
	struct backend *b[3];
	struct err err;

	(void)state;
	means[1].budgets = means[0].budgets;
	for (int i = 0; i < 2; i++)
		b[i] = backend_new(loop, &limited, "mx.example.org", &probe, &means[i], &err);
	b[2] = backend_new(loop, &limited, "mx.example.org", &probe, &no_means, &err);
	assert_true(backend_session_begin(b[0]));
	assert_true(backend_session_begin(b[1]));
	assert_false(backend_session_begin(b[0]));
	assert_false(backend_session_begin(b[1]));
	backend_session_end(b[1]);
	assert_true(backend_session_begin(b[0]));
	assert_false(backend_session_begin(b[1]));
	limited.max_sessions = 0;
	assert_true(backend_session_begin(b[1]));
	limited.max_sessions = 2;
	limited.slot = BUDGET_BACKENDS_MAX;	/* no room in the page: each worker for itself */
	assert_true(backend_session_begin(b[2]));
	assert_true(backend_session_begin(b[2]));
	assert_false(backend_session_begin(b[2]));
	backend_session_end(b[2]);
	assert_true(backend_session_begin(b[2]));
	for (int i = 0; i < 3; i++)
		backend_free(&b[i]);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_original),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_name_fails),
		cmocka_unit_test(test_name_never_known),
		cmocka_unit_test(test_mail_hosts),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
