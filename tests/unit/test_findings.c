/* test_findings.c - truths about the list of what was found: its caps, and what may not drown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/findings.h"
#include "proxy/base/mem.h"

static void
test_names_and_texts(void **state)
{
	static const struct { const char *name, *text, *want_name, *want_text; } cases[] = {
		{ "RULE", "A text.", "RULE", "A text." },
		{ "RULE", NULL, "RULE", "" },
		{ "", "", "", "" },
		{ "Win.Test.EICAR_HDB-1", "", "Win.Test.EICAR_HDB-1", "" },
		{ "two words", "", "two_words", "" },
		{ "a\tb\nc\x7f\xc3\xa4", "", "a_b_c___", "" },
		{ "x", "says \"C:\\\\\"", "x", "says \"C:\\\\\"" },		/* printable as it is */
		{ "x", "a\r\nb\tc\x1b[31m\x7f", "x", "a??b?c?[31m?" },
		{ "x", "f\xc3\xbcr \xe2\x82\xac 5 \xf0\x9f\x98\x80", "x", "f\xc3\xbcr \xe2\x82\xac 5 \xf0\x9f\x98\x80" },
		{ "x", "\xc3(\xff\xe2\x82", "x", "?(???" },			/* not well-formed */
		{ "x", "a\xe2\x80\xae" "b\xc2\x85" "c", "x", "a?b?c" },		/* override, C1 */
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct findings f = { 0 };

		findings_add(&f, FINDING_RULE, cases[i].name, 10, cases[i].text);
		assert_int_equal(f.n, 1);
		assert_string_equal(f.list[0].name, cases[i].want_name);
		assert_string_equal(f.list[0].text, cases[i].want_text);
	}
}

/* Every length around the caps, with a character of three octets at the end. */
static void
test_cuts(void **state)
{
	char text[400], want[400];

	(void)state;
	for (size_t len = 0; len < 300; len++) {
		struct findings f = { 0 };

		memset(text, 'x', len);
		memcpy(text + len, "\xe2\x82\xac", 4);
		findings_add(&f, FINDING_RULE, text, 0, text);
		memset(want, 'x', len);
		want[len < FINDING_TEXT_MAX ? len : FINDING_TEXT_MAX - 1] = '\0';
		if (len + 3 < FINDING_TEXT_MAX)
			memcpy(want + len, "\xe2\x82\xac", 4);
		assert_string_equal(f.list[0].text, want);
		assert_int_equal(strlen(f.list[0].name), len + 3 < FINDING_NAME_MAX ? len + 3 : FINDING_NAME_MAX - 1);
	}
}

static void
test_scores(void **state)
{
	static const struct { int32_t add[4], sum; } cases[] = {
		{ { 1500, -500, 1, 0 }, 1001 },
		{ { 1000000, 0, 0, 0 }, 1000000 },
		{ { 1000000, 1000000, -1, 0 }, 999999 },
		{ { INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX }, 1000000 },
		{ { INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN }, -1000000 },
		{ { INT32_MIN, INT32_MAX, 0, 0 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct findings f = { 0 };

		for (size_t j = 0; j < 4; j++)
			findings_add(&f, FINDING_RULE, "R", cases[i].add[j], NULL);
		assert_int_equal(f.score, cases[i].sum);
	}
}

static void
test_only_rules_score(void **state)
{
	struct findings f = { 0 };

	(void)state;
	findings_add(&f, FINDING_VIRUS, "V", 5000, NULL);
	findings_add(&f, FINDING_LIMIT, "L", -5000, NULL);
	assert_int_equal(f.score, 0);
	assert_int_equal(f.list[0].score, 0);
	assert_int_equal(f.list[1].score, 0);
	assert_int_equal(f.list[0].kind, FINDING_VIRUS);
	assert_int_equal(f.list[1].kind, FINDING_LIMIT);
}

static void
test_full(void **state)
{
	struct findings f = { 0 };
	char name[32];

	(void)state;
	for (int i = 0; i < FINDINGS_MAX + 50; i++) {
		snprintf(name, sizeof(name), "R%d", i);
		findings_add(&f, FINDING_RULE, name, i == 7 ? -1 : 10, NULL);
	}
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.dropped, 50);
	assert_int_equal(f.score, (FINDINGS_MAX + 49) * 10 - 1);	/* their scores still count */

	/* Malware takes the place of the rule hit that matters least. */
	findings_add(&f, FINDING_VIRUS, "Worm", 0, NULL);
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.dropped, 51);
	assert_string_equal(f.list[7].name, "Worm");
	assert_int_equal(f.list[7].kind, FINDING_VIRUS);
	assert_int_equal(f.score, (FINDINGS_MAX + 49) * 10 - 1);

	for (int i = 0; i < FINDINGS_MAX + 10; i++)
		findings_add(&f, FINDING_LIMIT, "L", 0, NULL);
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.dropped, 51 + FINDINGS_MAX + 10);
	assert_string_equal(f.list[7].name, "Worm");
	assert_string_equal(f.list[0].name, "L");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_texts),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_only_rules_score),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
