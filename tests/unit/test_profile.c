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

/* tag at 5; quarantine and refuse as they stand; what follows from a score. */
static void
test_quarantine(void **state)
{
	static const struct {
		int32_t quarantine, refuse, score;
		enum conf_action action;
		const char *word, *why;
	} cases[] = {
		{ 8000, 15000, 4999, CONF_ACCEPT, "accept", "" },
		{ 8000, 15000, 7999, CONF_TAG, "tag", "score 8.0 of 5.0" },
		{ 8000, 15000, 8000, CONF_QUARANTINE, "quarantine", "score 8.0 of 8.0" },
		{ 8000, 15000, 14999, CONF_QUARANTINE, "quarantine", "score 15.0 of 8.0" },
		{ 8000, 15000, 15000, CONF_REFUSE, "refuse", "score 15.0 of 15.0" },
		{ 5000, 15000, 5000, CONF_QUARANTINE, "quarantine", "score 5.0 of 5.0" },	/* nothing is tagged */
		{ 15000, 15000, 15000, CONF_REFUSE, "refuse", "score 15.0 of 15.0" },
		{ 20000, 15000, 16000, CONF_REFUSE, "refuse", "score 16.0 of 15.0" },
		{ CONF_NO_SCORE, 15000, 14999, CONF_TAG, "tag", "score 15.0 of 5.0" },
		{ CONF_NO_SCORE, CONF_NO_SCORE, INT32_MAX, CONF_REFUSE, "refuse", "score 2147483.6 of 2147483.6" },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf_profile p = { .tag_score = 5000, .quarantine_score = cases[i].quarantine, .refuse_score = cases[i].refuse,
			.refuse_text = (char *)"No" };
		struct findings f = { .score = cases[i].score };
		struct verdict v;

		profile_judge(&p, &f, &v);
		assert_int_equal(v.action, cases[i].action);
		assert_string_equal(v.word, cases[i].word);
		assert_string_equal(v.why, cases[i].why);
		assert_int_equal(v.reply[0] != '\0', cases[i].action == CONF_REFUSE);
	}
}

/* Between tag and defer. */
static void
test_gravity(void **state)
{
	static const struct { enum conf_action virus, unscannable; int32_t score; enum conf_action action; } cases[] = {
		{ CONF_QUARANTINE, CONF_TAG, 0, CONF_QUARANTINE },
		{ CONF_QUARANTINE, CONF_DEFER, 0, CONF_DEFER },
		{ CONF_TAG, CONF_QUARANTINE, 6000, CONF_QUARANTINE },
		{ CONF_TAG, CONF_TAG, 9000, CONF_QUARANTINE },
		{ CONF_DEFER, CONF_TAG, 9000, CONF_DEFER },
		{ CONF_QUARANTINE, CONF_QUARANTINE, 15000, CONF_REFUSE },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf_profile p = { .tag_score = 5000, .quarantine_score = 9000, .refuse_score = 15000, .virus = cases[i].virus,
			.unscannable = cases[i].unscannable, .refuse_text = (char *)"No" };
		struct findings f = { .score = cases[i].score };
		struct verdict v;

		findings_add(&f, FINDING_LIMIT, "too-deep", 0, NULL);
		findings_add(&f, FINDING_VIRUS, "Win.Test-1", 0, NULL);
		profile_judge(&p, &f, &v);
		assert_int_equal(v.action, cases[i].action);
	}
}

#define HUNDRED(s) s s s s s s s s s s s s s s s s s s s s s s s s s

static void
test_refusals(void **state)
{
	static const struct { const char *text, *why, *reply; } cases[] = {
		{ "Message refused", "score 16.0 of 15.0", "550 5.7.1 Message refused (id 4fE-2)" },
		{ "See {id}", "", "550 5.7.1 See 4fE-2" },
		{ "{host} refuses what {from} sent {to}", "",
		  "550 5.7.1 mx.example refuses what a\"{id}\"??b@x sent {to}@{host} (id 4fE-2)" },
		{ "{id}{id}", "", "550 5.7.1 4fE-24fE-2" },
		{ "{ id} {ID} {} {id", "", "550 5.7.1 { id} {ID} {} {id (id 4fE-2)" },
		{ "No", "virus Win.Test-1", "550 5.7.1 No: malware found (Win.Test-1) (id 4fE-2)" },
		{ "No {id}", "virus Win.Test-1", "550 5.7.1 No 4fE-2: malware found (Win.Test-1)" },
	};
	const struct profile_words w = { SLICE("4fE-2"), SLICE("a\"{id}\"\r\nb@x"), SLICE("{to}@{host}"), SLICE("mx.example") };

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct conf_profile p = { .refuse_text = (char *)cases[i].text };
		struct verdict v = { .action = CONF_REFUSE };

		slice_copy(slice_of(cases[i].why), v.why, sizeof(v.why));
		profile_refusal(&p, &v, &w);
		assert_string_equal(v.reply, cases[i].reply);
	}
}

/* Whatever is filled in: one line of at most 500 octets, printable, and the id is not what is cut off. */
static void
test_long_refusals(void **state)
{
	static const char *const texts[] = { HUNDRED("{to}"), HUNDRED("text"), HUNDRED("{id}"), "{from}{to}{host}{id}" };
	char octets[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)i;
	for (size_t i = 0; i < NITEMS(texts); i++)
		for (size_t from = 0; from < 256; from += 15) {
			const struct slice word = { octets + from, sizeof(octets) - from };
			const struct profile_words w = { word, word, word, word };
			const struct conf_profile p = { .refuse_text = (char *)texts[i] };
			struct verdict v = { .action = CONF_REFUSE, .why = "virus Win.Test-1" };

			profile_refusal(&p, &v, &w);
			assert_in_range(strlen(v.reply), 200, 500);
			for (const char *c = v.reply; *c != '\0'; c++)
				assert_in_range(*c, ' ', '~');
			assert_non_null(strstr(v.reply, ": malware found (Win.Test-1)"));
			assert_int_equal(strstr(v.reply, " (id ") != NULL, strstr(texts[i], "{id}") == NULL);
		}
}

static void
test_other_refusals(void **state)
{
	const struct conf_profile p = { .refuse_text = (char *)"No" };
	const struct profile_words none = { 0 }, some = { .id = SLICE("1") };
	struct verdict v = { .action = CONF_DEFER, .reply = "451 4.7.1 Later" };

	(void)state;
	profile_refusal(&p, &v, &some);
	assert_string_equal(v.reply, "451 4.7.1 Later");
	v.action = CONF_REFUSE;
	profile_refusal(&p, &v, &none);
	assert_string_equal(v.reply, "550 5.7.1 No");
}

/* As profile_headers() itself says. */
static void
test_same_headers(void **state)
{
	static const struct { int32_t tag_score; enum conf_action action; } kinds[] = {
		{ 5000, CONF_ACCEPT }, { 5000, CONF_TAG }, { 5000, CONF_QUARANTINE }, { 5001, CONF_TAG }, { 6000, CONF_TAG },
		{ 6000, CONF_ACCEPT }, { 4999, CONF_ACCEPT },
	};
	struct findings f = { .score = 5500 };

	(void)state;
	for (size_t i = 0; i < NITEMS(kinds); i++)
		for (size_t k = 0; k < NITEMS(kinds); k++) {
			const struct conf_profile a = { .tag_score = kinds[i].tag_score }, b = { .tag_score = kinds[k].tag_score };
			const struct verdict va = { .action = kinds[i].action }, vb = { .action = kinds[k].action };
			struct buf one, other;

			buf_init(&one, 1000);
			buf_init(&other, 1000);
			assert_true(profile_headers(&a, &f, &va, "mx", &one) && profile_headers(&b, &f, &vb, "mx", &other));
			assert_int_equal(profile_same_headers(&a, &va, &b, &vb), slice_same(buf_slice(&one), buf_slice(&other)));
			buf_free(&one);
			buf_free(&other);
		}
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
		cmocka_unit_test(test_quarantine),
		cmocka_unit_test(test_gravity),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_long_refusals),
		cmocka_unit_test(test_other_refusals),
		cmocka_unit_test(test_same_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
