/* test_resolver.c - truths about proxy/net/resolver.h: when answers come, and that they may be given up. What answers
 * say, and what bad ones do, is in tests/net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/base/mem.h"
#include "tests/unit/dns.h"
#include "tests/unit/run_for.h"

struct asker {
	struct loop *loop;
	struct resolver *resolver, **ends;	/* ends: freed by the answer */
	struct resolver_query *query, **gives_up;	/* another one's, by the answer */
	unsigned answers;
	bool inside;			/* a call that asks */
	enum resolver_result result;
	size_t n;
};

static void
on_answer(void *owner, const struct resolver_answer *a)
{
	struct asker *s = owner;

	assert_false(s->inside);
	s->query = NULL;
	s->answers++;
	s->result = a->result;
	s->n = a->n;
	if (s->gives_up != NULL)
		resolver_cancel(s->gives_up);
	if (s->ends != NULL)
		resolver_free(s->ends);
	loop_stop(s->loop);
}

static void
ask(struct asker *s, struct resolver *r, const char *name)
{
	s->inside = true;
	s->query = resolver_addresses(r, name, on_answer, s);
	s->inside = false;
	assert_non_null(s->query);
}

static const char table[] = "mail.test A 192.0.2.1 192.0.2.2\nmail.test AAAA 2001:db8::1\nother.test A 192.0.2.3\nbad.test fail\n";

/* Whatever is asked, the answer comes once, and never inside the question. */
static void
test_answers(void **state)
{
	static const struct { const char *name; enum resolver_result result; size_t n; } cases[] = {
		{ "mail.test", RESOLVER_FOUND, 3 }, { "other.test", RESOLVER_FOUND, 1 }, { "none.test", RESOLVER_NONE, 0 },
		{ "bad.test", RESOLVER_FAILED, 0 }, { "not a name", RESOLVER_FAILED, 0 }, { "192.0.2.9", RESOLVER_FOUND, 1 },
		{ "::1", RESOLVER_FOUND, 1 },
	};
	struct loop *loop = loop_new();
	struct resolver *r;
	struct err err;
	struct dns dns;

	(void)state;
	dns_start(&dns, loop, table);
	r = resolver_new(loop, &dns.addr, 1, &err);
	assert_non_null(r);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct asker s = { .loop = loop };

		ask(&s, r, cases[i].name);
		loop_run(loop);
		assert_int_equal(s.answers, 1);
		assert_int_equal(s.result, cases[i].result);
		assert_int_equal(s.n, cases[i].n);
	}
	resolver_free(&r);
	assert_null(r);
	dns_stop(&dns);
	loop_free(&loop);
}

static void
test_given_up(void **state)
{
	static const char *const names[] = { "mail.test", "192.0.2.1", "not a name" };
	struct loop *loop = loop_new();
	struct resolver *r;
	struct err err;
	struct dns dns;

	(void)state;
	dns_start(&dns, loop, table);
	r = resolver_new(loop, &dns.addr, 1, &err);
	for (size_t i = 0; i < NITEMS(names); i++) {
		struct asker at_once = { .loop = loop }, first = { .loop = loop }, second = { .loop = loop };

		ask(&at_once, r, names[i]);
		resolver_cancel(&at_once.query);
		assert_null(at_once.query);
		/* Whose answer comes first gives up the other's, which may lie there already. */
		ask(&first, r, names[i]);
		ask(&second, r, names[i]);
		first.gives_up = &second.query;
		second.gives_up = &first.query;
		run_for(loop, 0.05);
		assert_int_equal(at_once.answers, 0);
		run_for(loop, 0.05);
		assert_int_equal(first.answers + second.answers, 1);
	}
	resolver_free(&r);
	dns_stop(&dns);
	loop_free(&loop);
}

/* Questions that run when the resolver ends are never answered; it may end inside an answer. */
static void
test_ends(void **state)
{
	struct loop *loop = loop_new();
	struct asker s[4] = { { .loop = loop }, { .loop = loop }, { .loop = loop }, { .loop = loop } };
	struct resolver *r;
	struct err err;
	struct dns dns;

	(void)state;
	dns_start(&dns, loop, table);
	r = resolver_new(loop, &dns.addr, 1, &err);
	ask(&s[0], r, "mail.test");
	ask(&s[1], r, "192.0.2.1");
	s[1].ends = &r;
	ask(&s[2], r, "192.0.2.2");
	ask(&s[3], r, "none.test");
	resolver_cancel(&s[3].query);
	run_for(loop, 0.05);
	run_for(loop, 0.05);
	assert_null(r);
	assert_int_equal(s[1].answers, 1);
	assert_int_equal(s[0].answers + s[2].answers + s[3].answers, 0);
	dns_stop(&dns);
	loop_free(&loop);
}

static void
test_servers(void **state)
{
	struct loop *loop = loop_new();
	struct err err = { "" };
	struct addr path;

	(void)state;
	assert_null(resolver_new(loop, NULL, 0, &err));
	assert_non_null(strstr(err.text, "resolver needs the address of a server"));
	assert_int_equal(addr_parse(&path, "unix:/run/dns", 0, &err), 0);
	assert_null(resolver_new(loop, &path, 1, &err));
	assert_non_null(strchr(resolver_library(), '.'));
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
