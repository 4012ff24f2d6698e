/* test_conf_find.c - which route and which profile a recipient gets. */
#include <time.h>

#include "tests/unit/conf_world.h"

/* By the domain alone, whoever asks. */
static const struct conf_route *
route_for(const struct conf *conf, struct slice domain, bool *ours)
{
	return conf_route_find(conf, &(struct conf_ask){ .domain = domain }, ours);
}

static void
test_route_for(void **state)
{
	static const struct { const char *domain; int route; bool ours; } lookups[] = {	/* route -1: none */
		{ "example.org", 0, true },
		{ "EXAMPLE.org.", 0, true },
		{ "a.example.org", 1, true },
		{ "a.b.example.org", 1, true },
		{ "sub.example.org", 2, true },		/* exact wins over .example.org */
		{ "a.deep.example.org", 3, true },	/* the longest parent wins */
		{ "deep.example.org", 1, true },
		{ "xexample.org", 4, false },
		{ "org", 4, false },
		{ "example.org.example", 4, false },
		{ "example.org..", 4, false },
		{ ".example.org", 4, false },		/* patterns are not found by their name */
		{ "*", 4, false },
		{ "[192.0.2.1]", 4, false },
		{ "", -1, false },
		{ ".", -1, false },
	};
	struct conf *conf = read_text(L BACKEND "route example.org { backend b; } route .example.org { backend b; }"
	    "route sub.example.org { backend b; } route .deep.example.org { backend b; } route * { backend b; }");
	char longest[300];
	bool ours;

	(void)state;
	for (size_t i = 0; i < NITEMS(lookups); i++) {
		const struct conf_route *route = route_for(conf, slice_of(lookups[i].domain), &ours);

		if (route != (lookups[i].route >= 0 ? conf->routes[lookups[i].route] : NULL) || ours != lookups[i].ours)
			fail_msg("\"%s\" finds another route", lookups[i].domain);
	}
	memset(longest, 'a', sizeof(longest));
	assert_null(route_for(conf, (struct slice){ longest, 254 }, &ours));
	assert_ptr_equal(route_for(conf, (struct slice){ longest, 253 }, &ours), conf->routes[4]);
	assert_null(route_for(conf, SLICE("example.org\0.net"), &ours));
	assert_ptr_equal(conf_listener_named(conf, SLICE("l")), conf->listeners[0]);
	assert_null(conf_listener_named(conf, SLICE("L")));
	assert_null(conf_listener_named(conf, SLICE("")));
	conf_unref(&conf);

	conf = read_text(L BACKEND "route example.org { backend b; }");
	assert_null(route_for(conf, SLICE("example.net"), &ours));
	conf_unref(&conf);
}

/* One question: "LOCAL@DOMAIN" as a client wrote it, at which listener, by whom. */
struct question {
	const char *rcpt, *listener, *user;
};

static struct conf_ask
ask_of(const struct conf *conf, const struct question *q)
{
	const char *at = strrchr(q->rcpt, '@');

	return (struct conf_ask){ .listener = q->listener != NULL ? conf_listener_named(conf, slice_of(q->listener)) : NULL,
		.user = slice_of(q->user), .local = { q->rcpt, (size_t)(at - q->rcpt) }, .domain = slice_of(at + 1) };
}

static void
test_routes(void **state)
{
	static const char text[] =
	    "listener mx { address 127.0.0.1:25; }\nlistener sub { address 127.0.0.1:587; }\n" BACKEND "\n"
	    "route bob@example.org { backend b; user ann; }\n"				/* 0 */
	    "route BOB@example.org { backend b; listener sub; }\n"			/* 1 */
	    "route example.org { backend b; user *@Staff.example; listener sub; }\n"	/* 2 */
	    "route example.org { backend b; user *; }\n"				/* 3 */
	    "route example.org { backend b; }\n"					/* 4 */
	    "route .example.org { backend b; listener sub mx; }\n"			/* 5 */
	    "route deep.example.org { backend b; user nobody; }\n"			/* 6 */
	    "route file:list { backend b; }\n"						/* 7: Bob@example.org, .sub.example.org, example.net */
	    "route * { backend b; user *; }\n"						/* 8 */
	    "route * { backend b; listener mx; }\n";					/* 9 */
	static const struct { struct question q; int route; bool ours; } cases[] = {
		{ { "bob@example.org", "mx", "ann" }, 0, true },
		{ { "bob@example.org", "mx", "ANN" }, 0, true },
		{ { "bob@example.org", "mx", "annabel" }, 7, true },
		{ { "bob@example.org", "mx", "" }, 7, true },
		{ { "Bob@EXAMPLE.org.", "sub", "" }, 1, true },
		{ { "\"bob\"@example.org", "sub", "" }, 1, true },
		{ { "\"b\\ob\"@example.org", "sub", "" }, 1, true },
		{ { "\"bob\\\"@example.org", "sub", "" }, 4, true },	/* no whole quotes: bob" */
		{ { "bob+x@example.org", "sub", "" }, 4, true },
		{ { "ann@example.org", "sub", "x@staff.EXAMPLE" }, 2, true },
		{ { "ann@example.org", "mx", "x@staff.example" }, 3, true },
		{ { "ann@example.org", "sub", "x@other.staff.example" }, 3, true },
		{ { "ann@example.org", "sub", "staff.example" }, 3, true },
		{ { "ann@example.org", "sub", "" }, 4, true },
		{ { "ann@a.example.org", "mx", "" }, 5, true },
		{ { "ann@a.example.org", NULL, "" }, -1, false },	/* no listener: no route that wants one */
		{ { "ann@deep.example.org", "mx", "nobody" }, 6, true },
		{ { "ann@deep.example.org", "mx", "somebody" }, 5, true },	/* falls through to the next less specific word */
		{ { "ann@x.sub.example.org", "mx", "" }, 7, true },
		{ { "ann@example.net", "mx", "" }, 7, true },
		{ { "ann@example.com", "mx", "" }, 9, false },
		{ { "ann@example.com", "mx", "x" }, 8, false },
		{ { "ann@example.com", "sub", "" }, -1, false },
		{ { "@example.org", "mx", "" }, 4, true },
		{ { "*@example.org", "mx", "" }, 4, true },
		{ { "x@.sub.example.org", "mx", "" }, 5, true },
	};
	struct conf *conf = read_text(text);
	bool ours;

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct conf_ask ask = ask_of(conf, &cases[i].q);
		const struct conf_route *route = conf_route_find(conf, &ask, &ours);

		if (route != (cases[i].route >= 0 ? conf->routes[cases[i].route] : NULL) || ours != cases[i].ours)
			fail_msg("%s at %s by \"%s\" finds another route", cases[i].q.rcpt, cases[i].q.listener, cases[i].q.user);
	}
	{
		/* Somebody, and nobody knows whom: any user, but none by name. */
		struct conf_ask ask = { .listener = conf->listeners[0], .authenticated = true, .domain = SLICE("example.org") };

		assert_ptr_equal(conf_route_find(conf, &ask, &ours), conf->routes[3]);
		ask.listener = conf->listeners[1];
		assert_ptr_equal(conf_route_find(conf, &ask, &ours), conf->routes[3]);
	}
	/* A domain that is spelled like an address of the configuration is none of its words. */
	assert_null(route_for(conf, SLICE("bob@example.org"), &ours));
	conf_unref(&conf);
}

static void
test_profiles(void **state)
{
	static const char text[] =
	    "listener mx { address 127.0.0.1:25; }\nlistener sub { address 127.0.0.1:587; }\n" BACKEND "\n"
	    "route example.org { backend b; profile routed; }\nroute * { backend b; }\nprofile routed { }\n"
	    "profile bobs { recipient Bob@Example.org; }\n"
	    "profile ann { user Ann; }\nprofile staff { user *@staff.example; }\nprofile anybody { user *; }\n"
	    "profile domain { recipient example.org; }\nprofile below { recipient .example.org .deep.example.org; }\n"
	    "profile in { listener sub; }\n";
	static const struct { struct question q; const char *profile; } cases[] = {
		{ { "bob@example.org", "sub", "ann" }, "bobs" },
		{ { "\"BOB\"@example.org", "sub", "ann" }, "bobs" },
		{ { "x@example.org", "sub", "aNN" }, "ann" },
		{ { "x@example.org", "sub", "y@Staff.example" }, "staff" },
		{ { "x@example.org", "sub", "ann@other.example" }, "anybody" },
		{ { "x@example.org", "sub", "*" }, "anybody" },
		{ { "x@example.org", "sub", "*@staff.example" }, "staff" },
		{ { "x@example.org", "sub", "" }, "domain" },
		{ { "x@a.example.org", "sub", "" }, "below" },
		{ { "x@a.deep.example.org", "mx", "" }, "below" },
		{ { "x@example.net", "sub", "" }, "in" },
		{ { "x@example.net", "mx", "" }, "default" },
		{ { "x@example.net", NULL, "" }, "default" },
	};
	struct conf *conf = read_text(text);
	bool ours;

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct conf_ask ask = ask_of(conf, &cases[i].q);
		const struct conf_profile *p = conf_profile_find(conf, &ask, conf_route_find(conf, &ask, &ours));

		if (strcmp(p->name, cases[i].profile) != 0)
			fail_msg("%s at %s by \"%s\" is judged by %s", cases[i].q.rcpt, cases[i].q.listener, cases[i].q.user, p->name);
	}
	assert_string_equal(conf_profile_find(conf, &(struct conf_ask){ .authenticated = true }, NULL)->name, "anybody");
	conf_unref(&conf);

	conf = read_text(L BACKEND "route example.org { backend b; profile routed; } profile routed { }");
	assert_string_equal(conf_profile_find(conf, &(struct conf_ask){ .domain = SLICE("x") }, conf->routes[0])->name, "routed");
	assert_string_equal(conf_profile_find(conf, &(struct conf_ask){ .domain = SLICE("x") }, NULL)->name, "default");
	conf_unref(&conf);
}

static void
test_inheritance(void **state)
{
	static const char text[] = L B
	    "profile default { tag-score 4; split defer; }\n"
	    "profile a { from b; refuse-text A; }\n"		/* before what it comes from */
	    "profile b { refuse-score 9; quarantine-score 6; virus tag; }\n"
	    "profile c { from a; quarantine-score none; virus refuse; }\n";
	struct conf *conf = read_text(text);
	const struct conf_profile *d = conf->profiles[0], *a = conf->profiles[1], *b = conf->profiles[2], *c = conf->profiles[3];

	(void)state;
	assert_ptr_equal(conf->standard, d);
	assert_true(a->from == b && b->from == d && c->from == a && d->from == NULL);
	assert_true(d->tag_score == 4000 && d->refuse_score == 15000 && d->split == CONF_SPLIT_DEFER);
	assert_true(a->tag_score == 4000 && a->refuse_score == 9000 && a->quarantine_score == 6000 && a->virus == CONF_TAG);
	assert_true(b->split == CONF_SPLIT_DEFER && b->quarantine_score == 6000);
	assert_string_equal(b->refuse_text, "Message refused");
	assert_true(c->quarantine_score == CONF_NO_SCORE && c->virus == CONF_REFUSE && c->refuse_score == 9000);
	assert_string_equal(c->refuse_text, "A");
	conf_unref(&conf);
}

/* Profiles may come from each other 16 deep, and no deeper. */
static void
test_depth(void **state)
{
	struct world w = { 0 };
	struct buf text;

	(void)state;
	buf_init(&text, CONF_TEXT_MAX);
	buf_puts(&text, L B "profile p1 { }\n");
	for (unsigned i = 2; i <= 16; i++)
		buf_printf(&text, "profile p%u { from p%u; }\n", i, i - 1);
	check(&w, buf_str(&text), NULL);
	buf_puts(&text, "profile p17 { from p16; }\n");
	check(&w, buf_str(&text), "main.conf:19:15: expected profiles to come from each other at most 16 deep");
	buf_free(&text);
}

#define MANY 100000

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
check_many(const struct conf *conf)
{
	char local[32];
	bool ours;

	assert_int_equal(conf->routes[0]->ndomains, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct conf_ask ask = { .domain = SLICE("EXAMPLE.org") };

		snprintf(local, sizeof(local), "User.%u", i);
		ask.local = slice_of(local);
		if (conf_route_find(conf, &ask, &ours) != conf->routes[0])
			fail_msg("%s@ has another route", local);
		ask.local = slice_part(slice_of(local), 0, 4);
		assert_null(conf_route_find(conf, &ask, &ours));
	}
}

/* A hundred thousand addresses in a file: read, packed, unpacked, and all of them found, in seconds even under a
 * sanitizer and on a busy machine (a tenth of that otherwise). */
static void
test_many_addresses(void **state)
{
	char home[4096], *here = enter_scratch(home, sizeof(home));
	struct conf *conf, *copy;
	struct buf packed;
	struct err err = { "" };
	double begin;
	FILE *f = fopen("list", "w");

	(void)state;
	assert_non_null(f);
	for (unsigned i = 0; i < MANY; i++)
		fprintf(f, "user.%u@example.org\n", i * 7919 % MANY);	/* in no order */
	assert_int_equal(fclose(f), 0);
	write_file("main.conf", "hostname mx.example.org;\n" L BACKEND "route file:list { backend b; }");
	begin = now();
	conf = conf_read("main.conf", &err);
	if (conf == NULL)
		fail_msg("%s", err.text);
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	copy = conf_unpack(buf_slice(&packed), &err);
	assert_non_null(copy);
	check_many(copy);
	if (now() - begin > 10)
		fail_msg("%u addresses took %.1f seconds", MANY, now() - begin);
	conf_unref(&copy);
	conf_unref(&conf);
	buf_free(&packed);
	leave_scratch(home, here);
}

/* The caps of a list's file: its lines, its size. */
static void
test_long_lists(void **state)
{
	char home[4096], wanted[512], *here = enter_scratch(home, sizeof(home));
	FILE *f = fopen("list", "w");

	(void)state;
	assert_non_null(f);
	for (unsigned i = 0; i < 1000000; i++)
		fputc('\n', f);
	fputs("a@example.org", f);
	assert_int_equal(fclose(f), 0);
	snprintf(wanted, sizeof(wanted), "%s/list:1000001:1: expected at most 1000000 lines", here);
	check_disk("main.conf", "hostname mx.example.org;\n" L BACKEND "route file:list { backend b; }", wanted);
	assert_int_equal(truncate("list", (48 << 20) + 1), 0);
	snprintf(wanted, sizeof(wanted), "main.conf:3:42: %s/list is larger than 50331648 octets", here);
	check_disk("main.conf", "hostname mx.example.org;\n" L BACKEND "route file:list { backend b; }", wanted);
	leave_scratch(home, here);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_for),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_inheritance),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
