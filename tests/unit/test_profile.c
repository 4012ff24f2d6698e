/* test_profile.c - truths about policy/profile/profile.h: findings become a verdict and header fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "policy/profile/profile.h"
#include "proxy/base/mem.h"

#define REFUSED "550 5.7.1 Message refused"
#define DEFERRED "451 4.7.1 Message deferred, please try again later"

/* tag at 5, refuse at 15; what the profile does with a virus and with what cannot be scanned; what
 * was found: its score, a virus?, a limit? Then the verdict. */
static const struct {
	enum conf_action virus, unscannable;
	int32_t score;
	bool has_virus, has_limit;
	enum conf_action action;
	const char *word, *why, *reply;
} verdicts[] = {
	{ CONF_REFUSE, CONF_DEFER, 0, false, false, CONF_ACCEPT, "accept", "", "" },
	{ CONF_REFUSE, CONF_DEFER, -3000, false, false, CONF_ACCEPT, "accept", "", "" },
	{ CONF_REFUSE, CONF_DEFER, 4999, false, false, CONF_ACCEPT, "accept", "", "" },
	{ CONF_REFUSE, CONF_DEFER, 5000, false, false, CONF_TAG, "tag", "score 5.0 of 5.0", "" },
	{ CONF_REFUSE, CONF_DEFER, 14999, false, false, CONF_TAG, "tag", "score 15.0 of 5.0", "" },
	{ CONF_REFUSE, CONF_DEFER, 15000, false, false, CONF_REFUSE, "refuse", "score 15.0 of 15.0", REFUSED },
	{ CONF_REFUSE, CONF_DEFER, INT32_MAX, false, false, CONF_REFUSE, "refuse", "score 2147483.6 of 15.0", REFUSED },
	{ CONF_REFUSE, CONF_DEFER, INT32_MIN, false, false, CONF_ACCEPT, "accept", "", "" },
	/* one of the other kinds alone */
	{ CONF_REFUSE, CONF_DEFER, 0, true, false, CONF_REFUSE, "refuse", "virus Win.Test-1", REFUSED ": malware found (Win.Test-1)" },
	{ CONF_DEFER, CONF_DEFER, 0, true, false, CONF_DEFER, "defer", "virus Win.Test-1", DEFERRED },
	{ CONF_TAG, CONF_DEFER, 0, true, false, CONF_TAG, "tag", "virus Win.Test-1", "" },
	{ CONF_REFUSE, CONF_DEFER, 0, false, true, CONF_DEFER, "defer", "unscannable too-deep", DEFERRED },
	{ CONF_REFUSE, CONF_REFUSE, 0, false, true, CONF_REFUSE, "refuse", "unscannable too-deep", REFUSED },
	{ CONF_REFUSE, CONF_TAG, 0, false, true, CONF_TAG, "tag", "unscannable too-deep", "" },
	{ CONF_REFUSE, CONF_ACCEPT, 0, false, true, CONF_ACCEPT, "accept", "", "" },
	/* the worst decides, and gives the reason */
	{ CONF_REFUSE, CONF_DEFER, 6000, true, true, CONF_REFUSE, "refuse", "virus Win.Test-1", REFUSED ": malware found (Win.Test-1)" },
	{ CONF_TAG, CONF_DEFER, 6000, true, true, CONF_DEFER, "defer", "unscannable too-deep", DEFERRED },
	{ CONF_TAG, CONF_DEFER, 15000, true, true, CONF_REFUSE, "refuse", "score 15.0 of 15.0", REFUSED },
	{ CONF_TAG, CONF_TAG, 6000, true, true, CONF_TAG, "tag", "virus Win.Test-1", "" },
	{ CONF_REFUSE, CONF_REFUSE, 20000, true, true, CONF_REFUSE, "refuse", "virus Win.Test-1", REFUSED ": malware found (Win.Test-1)" },
	{ CONF_DEFER, CONF_REFUSE, 0, true, true, CONF_REFUSE, "refuse", "unscannable too-deep", REFUSED },
	{ CONF_DEFER, CONF_TAG, 6000, true, true, CONF_DEFER, "defer", "virus Win.Test-1", DEFERRED },
	{ CONF_REFUSE, CONF_TAG, -50000, true, false, CONF_REFUSE, "refuse", "virus Win.Test-1", REFUSED ": malware found (Win.Test-1)" },
};

static void
test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(verdicts); i++) {
		struct conf_profile p = {
			.tag_score = 5000, .refuse_score = 15000, .virus = verdicts[i].virus,
			.unscannable = verdicts[i].unscannable, .refuse_text = (char *)"Message refused",
		};
		struct findings f = { 0 };
		struct verdict v;

		findings_add(&f, FINDING_RULE, "RULE", 0, NULL);
		if (verdicts[i].has_limit)
			findings_add(&f, FINDING_LIMIT, "too-deep", 0, NULL);
		if (verdicts[i].has_virus)
			findings_add(&f, FINDING_VIRUS, "Win.Test-1", 0, NULL);
		f.score = verdicts[i].score;
		memset(&v, 0xff, sizeof(v));
		profile_judge(&p, &f, &v);
		assert_int_equal(v.action, verdicts[i].action);
		assert_string_equal(v.word, verdicts[i].word);
		assert_string_equal(v.why, verdicts[i].why);
		assert_string_equal(v.reply, verdicts[i].reply);
	}
}

/* However long the words are, it stays one reply of one line with its end in place. */
static void
test_long_words(void **state)
{
	char text[400], name[FINDING_NAME_MAX];
	struct conf_profile p = { .tag_score = 5000, .refuse_score = 5000, .virus = CONF_REFUSE, .refuse_text = text };
	struct findings f = { 0 };
	struct verdict v;

	(void)state;
	memset(text, 't', sizeof(text));
	memset(name, 'n', sizeof(name));
	text[sizeof(text) - 1] = name[sizeof(name) - 1] = '\0';
	f.score = 5000;
	profile_judge(&p, &f, &v);
	assert_int_equal(strlen(v.reply), 10 + 150);
	assert_string_equal(v.why, "score 5.0 of 5.0");		/* both thresholds at once: it is refused */
	findings_add(&f, FINDING_VIRUS, name, 0, NULL);
	profile_judge(&p, &f, &v);
	assert_true(slice_iends(slice_of(v.reply), "nnnn)"));
	assert_true(slice_starts(slice_of(v.why), "virus nnnn"));
	profile_unjudged(&v, text);
	assert_int_equal(strlen(v.why), VERDICT_TEXT_MAX - 1);
	assert_int_equal(v.action, CONF_DEFER);
	assert_string_equal(v.word, "defer");
	assert_true(slice_starts(slice_of(v.reply), "451 4.7.1 "));
}

static void
test_score_texts(void **state)
{
	static const struct { int32_t score; const char *text; } cases[] = {
		{ 0, "0.0" }, { 1000, "1.0" }, { 12500, "12.5" }, { -12500, "-12.5" }, { 100, "0.1" }, { -100, "-0.1" },
		{ 49, "0.0" }, { 50, "0.1" }, { -49, "0.0" }, { -50, "-0.1" }, { 999, "1.0" }, { 949, "0.9" },
		{ 1000000, "1000.0" }, { -1000000, "-1000.0" }, { INT32_MAX, "2147483.6" }, { INT32_MIN, "-2147483.6" },
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		profile_score_text(cases[i].score, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* Rules' names, separated by blanks, and the fields that come of them. */
static const struct {
	enum conf_action action;
	int32_t score;
	const char *names, *hostname, *fields;
} headers[] = {
	{ CONF_ACCEPT, 0, "", "mx.example.org",
	    "X-Spam-Score: 0.0\r\n"
	    "X-Spam-Status: No, score=0.0 required=5.0 tests=none by=mx.example.org\r\n" },
	{ CONF_ACCEPT, -1200, "A", "mx.example.org",
	    "X-Spam-Score: -1.2\r\n"
	    "X-Spam-Status: No, score=-1.2 required=5.0 tests=A by=mx.example.org\r\n" },
	{ CONF_TAG, 7600, "ONE_RULE TWO_RULE", "mx.example.org",
	    "X-Spam-Flag: YES\r\n"
	    "X-Spam-Score: 7.6\r\n"
	    "X-Spam-Status: Yes, score=7.6 required=5.0 tests=ONE_RULE,TWO_RULE\r\n"
	    "\t by=mx.example.org\r\n" },
	{ CONF_TAG, 7600, "FIRST_OF_MANY_RULES SECOND_OF_MANY_RULES THIRD_OF_MANY_RULES FOURTH_OF_MANY_RULES FIFTH", "mx",
	    "X-Spam-Flag: YES\r\n"
	    "X-Spam-Score: 7.6\r\n"
	    "X-Spam-Status: Yes, score=7.6 required=5.0 tests=FIRST_OF_MANY_RULES\r\n"
	    "\t,SECOND_OF_MANY_RULES,THIRD_OF_MANY_RULES,FOURTH_OF_MANY_RULES,FIFTH\r\n"
	    "\t by=mx\r\n" },
};

static void
add_names(struct findings *f, const char *names)
{
	struct slice rest = slice_of(names);

	while (rest.len > 0) {
		char *name = mem_slice(slice_word(&rest));

		findings_add(f, FINDING_RULE, name, 0, NULL);
		free(name);
	}
}

static void
test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(headers); i++)
		for (size_t room = 0; room < 400; room++) {
			struct conf_profile p = { .tag_score = 5000, .refuse_score = 15000 };
			struct verdict v = { .action = headers[i].action };
			bool fits = room >= strlen(headers[i].fields);
			struct findings f = { 0 };
			struct buf out;

			add_names(&f, headers[i].names);
			f.score = headers[i].score;
			buf_init(&out, room);
			assert_int_equal(profile_headers(&p, &f, &v, headers[i].hostname, &out), fits);
			if (fits)
				assert_true(slice_is(buf_slice(&out), headers[i].fields));
			buf_free(&out);
		}
}

/* Full findings with names of every length: no long line, none that begins a field of its own, and
 * unfolded it is what it was. */
static void
test_folding(void **state)
{
	(void)state;
	for (size_t len = 1; len < FINDING_NAME_MAX; len++) {
		struct conf_profile p = { .tag_score = 5000, .refuse_score = 15000 };
		struct verdict v = { .action = CONF_ACCEPT };
		static struct findings f;
		char name[FINDING_NAME_MAX] = "";
		struct buf out, flat, want;
		struct slice rest;

		f = (struct findings){ .n = 0 };
		memset(name, 'N', len);
		buf_init(&out, 65536);
		buf_init(&flat, 65536);
		buf_init(&want, 65536);
		buf_puts(&want, "X-Spam-Score: 0.0X-Spam-Status: No, score=0.0 required=5.0 tests=");
		for (int i = 0; i < FINDINGS_MAX; i++) {
			findings_add(&f, FINDING_RULE, name, 0, NULL);
			buf_printf(&want, "%s%s", i > 0 ? "," : "", name);
		}
		buf_puts(&want, " by=mx");
		assert_true(profile_headers(&p, &f, &v, "mx", &out));
		for (rest = buf_slice(&out); rest.len > 0;) {
			struct slice line = slice_cut(&rest, '\n');

			assert_in_range(line.len, 4, len < 60 ? 78 : 998);
			assert_int_equal(line.at[line.len - 1], '\r');
			assert_true(slice_starts(line, "\t") || slice_starts(line, "X-Spam-S"));
			buf_put(&flat, slice_part(line, slice_starts(line, "\t"), line.len - 1 - slice_starts(line, "\t")));
		}
		assert_string_equal(buf_str(&flat), buf_str(&want));
		buf_free(&out);
		buf_free(&flat);
		buf_free(&want);
	}
}

static void
test_owned_fields(void **state)
{
	static const struct { const char *name; bool ours; } cases[] = {
		{ "X-Spam-Flag", true }, { "x-spam-STATUS", true }, { "X-Spam-Score", true }, { "X-Spam-Level", true },
		{ "X-Spam", false }, { "X-Spam-Flag-2", false }, { "Spam-Flag", false }, { "", false }, { "X-Spam-Checker-Version", false },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		assert_int_equal(profile_owns_field(slice_of(cases[i].name)), cases[i].ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_score_texts),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_owned_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
