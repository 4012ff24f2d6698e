/* test_rules.c - truths about rules in SpamAssassin's language: what hits, what is broken, what is
 * too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filters/rules_int.h"
#include "tests/unit/make_mail.h"

static const struct facts facts = { .from = { "bounce@sender.example", 21 } };

/* ---- loading ---- */

static void
count_unsupported(void *arg, const char *file, unsigned line, const char *why)
{
	struct buf *heard = arg;

	buf_printf(heard, "%s:%u: %s\n", file, line, why);
}

/* NULL with *err when broken. */
static struct rules *
load(const char *const *texts, size_t n, struct buf *heard, struct err *err)
{
	const struct rules_listener listener = { heard != NULL ? count_unsupported : NULL, heard };
	struct rules *rules = rules_begin();
	char name[16];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%zu.cf", i + 1);
		if (rules_text(rules, name, slice_of(texts[i]), &listener, err) == -1) {
			rules_free(&rules);
			return NULL;
		}
	}
	if (rules_finish(rules, err) == -1)
		rules_free(&rules);
	return rules;
}

static struct rules *
load_one(const char *text)
{
	struct err err;
	struct rules *rules = load(&text, 1, NULL, &err);

	if (rules == NULL)
		fail_msg("%s\nin: %s", err.text, text);
	return rules;
}

/* "A B=0.5 C=-1": the names of what was found, with the score where it is not 1. */
static void
found_words(const struct findings *found, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < found->n; i++) {
		const struct finding *f = &found->list[i];

		used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", f->name);
		if (f->kind == FINDING_RULE && f->score != 1000)
			used += (size_t)snprintf(out + used, size - used, "=%g", f->score / 1000.0);
		assert_true(used < size);
	}
}

static void
check_hits(const char *rule_text, const char *message, const char *want)
{
	struct rules *rules = load_one(rule_text);
	struct mail *mail = make_mail(slice_of(message));
	char got[4096];

	for (int again = 0; again < 2; again++) {	/* a run leaves nothing behind */
		struct findings found = { 0 };

		rules_run(rules, mail, &facts, &found);
		found_words(&found, got, sizeof(got));
		if (strcmp(got, want) != 0)
			fail_msg("rules:\n%s\nmessage:\n%s\ngot: \"%s\"\nexpected: \"%s\"", rule_text, message, got, want);
	}
	make_mail_free(&mail);
	rules_free(&rules);
}

static const char letter[] =
    "Received: from a.example\n\tby b.example\n"
    "Received: from c.example by a.example\n"
    "From: \"Foo Blah\" <foo@one.example>\n"
    "To: bar@two.example, baz@three.example\n"
    "Cc: qux@four.example\n"
    "Subject: Money for nothing\n"
    "Message-ID: <1@one.example>\n"
    "Resent-Message-ID: <2@list.example>\n"
    "X-Empty:\n"
    "\n"
    "Dear friend,\nyou have won\n"
    "\n"
    "One Million dollars.\nOne million times.\n";

/* ---- what hits ---- */

static const struct { const char *rules, *hits; } header_cases[] = {
	{ "header A Subject =~ /money/i", "A" },
	{ "header A Subject =~ /money/", "" },
	{ "header A subject=~/Money/", "A" },		/* no blanks needed, names in any case */
	{ "header A Subject !~ /money/", "A" },
	{ "header A Subject !~ /Money/", "" },
	{ "header A Subject =~ /^Money for nothing$/", "A" },
	{ "header A Subject: =~ /Money/", "A" },

	/* A field that is not there is empty, or what if-unset says; an empty one is there. */
	{ "header A X-None =~ /^$/", "A" },
	{ "header A X-None !~ /x/", "A" },
	{ "header A X-None =~ /unset/ [if-unset: UNSET]", "" },
	{ "header A X-None =~ /UNSET/ [if-unset: UNSET]", "A" },
	{ "header A X-None =~ /^two words$/ [if-unset: two words]", "A" },
	{ "header A X-Empty =~ /^$/ [if-unset: UNSET]", "A" },
	{ "header A Subject =~ /[if-unset: x]/", "A" },		/* that is a class of characters */
	{ "header A Subject =~ /UNSET/ [if-unset: UNSET]", "" },
	{ "header A exists:Subject", "A" },
	{ "header A exists:subject", "A" },
	{ "header A exists:X-Empty", "A" },
	{ "header A exists:X-None", "" },

	/* Several fields are lines of one text, in their order. */
	{ "header A Received =~ /a\\.example.*by b\\.example\\nfrom c/s", "A" },
	{ "header A Received =~ /^from c/", "" },
	{ "header A Received =~ /^from c/m", "A" },
	{ "header A Received:first =~ /from c/", "" },
	{ "header A Received:last =~ /^from c/", "A" },
	{ "header A Received:raw =~ /a\\.example\\n\\tby/", "A" },
	{ "header A Received =~ /a\\.example\\n\\tby/", "" },

	/* :addr and :name are of the first mailbox. */
	{ "header A From:addr =~ /^foo\\@one\\.example$/", "A" },
	{ "header A From:name =~ /^Foo Blah$/", "A" },
	{ "header A To:addr =~ /^bar\\@two\\.example$/", "A" },
	{ "header A From:addr:raw =~ /^foo\\@one\\.example$/", "A" },
	{ "header A Subject:addr =~ /./ [if-unset: none]\nheader B Subject:addr =~ /none/ [if-unset: none]", "A B" },

	/* Pseudo fields. */
	{ "header A ToCc =~ /three\\.example\\nqux/", "A" },
	{ "header A exists:ToCc", "A" },
	{ "header A EnvelopeFrom =~ /^bounce\\@sender\\.example$/", "A" },
	{ "header A MESSAGEID =~ /^<2\\@list\\.example>\\n<1\\@one/", "A" },
	{ "header A MessageID =~ /./", "" },			/* a field of that name: there is none */
	{ "header A ALL =~ /^X-Empty: $/m", "A" },
	{ "header A ALL =~ /^Received: from a\\.example\\tby b/", "A" },
	{ "header A ALL:raw =~ /^Received: from a\\.example\\n\\tby b.*X-Empty:\\n$/s", "A" },
	{ "header A all =~ /./", "" },

	{ "header A Received =~ /from/\ntflags A multiple\nmeta B A == 2", "A B" },
	{ "header A Received =~ /from/\nmeta B A == 1", "A B" },
	{ "header A Received !~ /nowhere/\ntflags A multiple\nmeta B A == 1", "A B" },
};

static const struct { const char *rules, *hits; } text_cases[] = {
	{ "body A /you have won/", "A" },
	{ "body A /friend, you/", "A" },			/* a paragraph is one line */
	{ "body A /won One/", "" },				/* and the next one another */
	{ "body A /^Dear/", "A" },
	{ "body A /^One/", "A" },
	{ "body A /times\\.$/", "A" },
	{ "body A /^Money for nothing$/", "A" },		/* the Subject is the first */
	{ "body A /^Money for nothing$/\ntflags A nosubject", "" },
	{ "body A /one million/i\ntflags A multiple\nmeta B A == 2", "A B" },
	{ "body A /one million/i\nmeta B A == 1", "A B" },
	{ "body A /./\ntflags A multiple maxhits=5\nmeta B A == 5", "A B" },
	{ "body A /o/\ntflags A multiple maxhits=3\nmeta B A == 3", "A B" },
	/* Empty matches are counted once for each place, as Perl's //g does: "won" and its end. */
	{ "header A X-None =~ /z*/ [if-unset: won]\ntflags A multiple\nmeta B A == 4", "A B" },
	{ "header A X-None =~ /z*/ [if-unset: wzz]\ntflags A multiple\nmeta B A == 3", "A B" },

	{ "rawbody A /friend,\\nyou/", "A" },
	{ "rawbody A /won\\n\\nOne/", "A" },
	{ "rawbody A /Money/", "" },
	{ "rawbody A /^One/\nrawbody B /^One/m", "B" },
	{ "full A /^Received: from a/\nfull B /Blah.*Million/s\nfull C /nowhere/", "A B" },

	/* Delimiters and flags. */
	{ "body A m{Dear friend}", "A" },
	{ "body A m!Dear friend!", "A" },
	{ "body A m(D(e)ar f)", "A" },
	{ "body A m<Dear>i", "A" },
	{ "body A m[^Dear [f]]", "A" },
	{ "body A m,Dear friend\\,,", "A" },
	{ "body A qr/Dear/", "A" },
	{ "body A m'Dear'", "A" },
	{ "full A m{two\\.example, baz}\nfull B /b\\/x|two/", "A B" },
	{ "body A / d e a r \\s f /xi", "A" },
	{ "body A /dear/gi\nbody B /DEAR/ui", "A B" },
	{ "body A /[d] e/xx\nbody B /[D ]  e/xx", "B" },

	/* '#' begins a comment unless a backslash stands before it. */
	{ "body A /Dear/ # and more", "A" },
	{ "header A X-None =~ /a\\#b/ [if-unset: a\\#b]", "A" },
	{ "#body A /Dear/\n  \t \n   body B /Dear/  \r\n", "B" },
	{ "\tBODY\tA\t/Dear/\t", "A" },

	/* Octets, not characters. */
	{ "header A X-None =~ /^..$/ [if-unset: \xc3\xa4]", "A" },
	{ "header A X-None =~ /^\\xc3\\xa4\xff$/ [if-unset: \xc3\xa4\xff]", "A" },
};

/* What `meta M expression` comes to, with A, B one hit each, N three, Z none. */
static const struct { const char *expression; bool hit; } meta_cases[] = {
	{ "A", true },
	{ "Z", false },
	{ "NEVER_HEARD_OF", false },
	{ "!A", false },
	{ "!Z", true },
	{ "!!A", true },
	{ "! (A && Z)", true },
	{ "A && B", true },
	{ "A && Z", false },
	{ "A || Z", true },
	{ "Z || Z", false },
	{ "A&&B||Z", true },
	{ "Z || A && B", true },
	{ "A || B && Z", true },			/* && binds tighter */
	{ "(A || B) && Z", false },
	{ "!Z && A", true },				/* ! binds tightest */
	{ "!A || B", true },
	{ "A & B", true },
	{ "A & 2", false },				/* of bits, as in Perl */
	{ "N & 2", true },
	{ "Z | A", true },
	{ "A ^ B", false },
	{ "A ^ Z", true },
	{ "A + B > 1", true },
	{ "A + B + Z > 2", false },
	{ "(A + B + N) >= 5", true },
	{ "A + B * 2 == 3", true },
	{ "(A + B) * 2 == 4", true },
	{ "10 - 4 - 3 == 3", true },			/* from the left */
	{ "8 / 4 / 2 == 1", true },
	{ "A -1", false },				/* two operands, not "-1" */
	{ "A - 2 < 0", true },
	{ "-A", true },
	{ "2 - -1 == 3", true },
	{ "2 * -3 == -6", true },
	{ "1 / Z", false },
	{ "1 / Z > 0", false },
	{ "N == 3", true },
	{ "N != 3", false },
	{ "N > 2.5", true },
	{ "N < 3", false },
	{ "N <= 3", true },
	{ ".5 + .5 == 1", true },
	{ "0.1 == 1 / 10", true },
	{ "(A && N) == 3", true },			/* && gives its last operand */
	{ "(N || A) == 3", true },			/* || the first that is not 0 */
	{ "((((((A))))))", true },
	{ "0", false },
	{ "00.0", false },
	{ "1", true },
	{ "local_tests_only", true },
	{ "__SUB && A", true },
	{ "OFF", false },				/* score 0: it does not run */
	{ "BAD", false },				/* not supported */
	{ "A > B == 0", true },
};

static const char meta_base[] =
    "body A /Dear/\nbody B /won/\nbody N /[Oo]n/\ntflags N multiple maxhits=3\nbody Z /nowhere/\n"
    "body __SUB /Dear/\nbody OFF /Dear/\nscore OFF 0\nuri BAD /x/\n";

static void
test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(header_cases); i++)
		check_hits(header_cases[i].rules, letter, header_cases[i].hits);
}

static void
test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(text_cases); i++)
		check_hits(text_cases[i].rules, letter, text_cases[i].hits);
}

static void
test_metas(void **state)
{
	char text[1024], got[256];

	(void)state;
	for (size_t i = 0; i < NITEMS(meta_cases); i++) {
		struct findings found = { 0 };
		struct mail *mail = make_mail(slice_of(letter));
		struct rules *rules;

		/* The meta comes first: the order of definitions means nothing. */
		snprintf(text, sizeof(text), "meta M %s\n%s", meta_cases[i].expression, meta_base);
		rules = load_one(text);
		rules_run(rules, mail, &facts, &found);
		found_words(&found, got, sizeof(got));
		if ((strncmp(got, "M", 1) == 0) != meta_cases[i].hit)
			fail_msg("meta M %s: got \"%s\"", meta_cases[i].expression, got);
		make_mail_free(&mail);
		rules_free(&rules);
	}
}

static void
test_metas_over_metas(void **state)
{
	char *text = mem_new(200000);
	size_t used = 0;

	(void)state;
	check_hits("meta C B > 1\nmeta B 2 * A\nmeta A __X\nbody __X /Dear/", letter, "C B A");
	check_hits("meta A B\nmeta B C && 0\nmeta C 1", letter, "C");
	check_hits("meta A B\nmeta B C\nscore B 0\nmeta C 1", letter, "C");
	/* A long chain, and a deep expression, cost no stack. */
	for (unsigned i = 0; i < 5000; i++)
		used += (size_t)snprintf(text + used, 200000 - used, "meta __M%u __M%u\n", i, i + 1);
	used += (size_t)snprintf(text + used, 200000 - used, "meta __M5000 1\nmeta A __M0\nmeta B ");
	memset(text + used, '(', 30000);
	text[used + 30000] = '1';
	memset(text + used + 30001, ')', 30000);
	check_hits(text, letter, "A B");
	free(text);
}

/* ---- the first mailbox ---- */

static const struct { const char *value, *decoded, *addr, *name; } mailbox_cases[] = {
	/* These are of SpamAssassin's manual. */
	{ "example@foo", NULL, "example@foo", "-" },
	{ "example@foo (Foo Blah)", NULL, "example@foo", "Foo Blah" },
	{ "example@foo, example@bar", NULL, "example@foo", "-" },
	{ "display: example@foo (Foo Blah), example@bar ;", NULL, "example@foo", "Foo Blah" },
	{ "Foo Blah <example@foo>", NULL, "example@foo", "Foo Blah" },
	{ "\"Foo Blah\" <example@foo>", NULL, "example@foo", "Foo Blah" },
	{ "\"'Foo Blah'\" <example@foo>", NULL, "example@foo", "Foo Blah" },

	{ "<example@foo>", NULL, "example@foo", "-" },
	{ "Foo<example@foo>", NULL, "example@foo", "Foo" },
	{ "Foo <example@foo", NULL, "example@foo", "Foo" },		/* never closed */
	{ "< example@foo >", NULL, "example@foo", "-" },
	{ "Foo <@a,@b:example@foo>", NULL, "example@foo", "Foo" },	/* RFC 5322 section 4.4 */
	{ "\"a@b, c\" <example@foo>", NULL, "example@foo", "a@b, c" },
	{ "a@b <example@foo>", NULL, "example@foo", "a@b" },
	{ "\"x <y@z>\" <example@foo>", NULL, "example@foo", "x <y@z>" },
	{ "(x <y@z>) example@foo", NULL, "example@foo", "x <y@z>" },
	{ "\"q\\\"q\" <example@foo>", NULL, "example@foo", "q\"q" },
	{ "\"Foo <example@foo>", NULL, "example@foo", "\"Foo" },	/* a quote that is never closed hides nothing */
	{ "((( <example@foo>", NULL, "example@foo", "(((" },
	{ "\"q q\"@foo", NULL, "\"q q\"@foo", "-" },
	{ "user@[IPv6:2001:db8::1]", NULL, "user@[IPv6:2001:db8::1]", "-" },
	{ "user@[192.0.2.1] (x)", NULL, "user@[192.0.2.1]", "x" },
	{ " , ,example@foo", NULL, "example@foo", "-" },
	{ "<>, example@foo", NULL, "example@foo", "-" },
	{ "Foo Blah", NULL, "-", "-" },
	{ "", NULL, "-", "-" },
	{ "@", NULL, "@", "-" },
	{ "\"", NULL, "-", "-" },
	{ "(", NULL, "-", "-" },
	{ "<", NULL, "-", "-" },

	/* The name is decoded, and what is decoded cannot pass for the address. */
	{ "=?utf-8?q?F=C3=B6?= <example@foo>", "F\xc3\xb6 <example@foo>", "example@foo", "F\xc3\xb6" },
	{ "=?utf-8?q?a=40b_=3C?= <example@foo>", "a@b < <example@foo>", "example@foo", "a@b <" },
	{ "\"=?utf-8?q?F?=\" <example@foo>", "\"F\" <example@foo>", "example@foo", "F" },
	{ "=?utf-8?q?F?= <a@b>, =?utf-8?q?G?= <c@d>", "F <a@b>, G <c@d>", "a@b", "F" },
};

static void
test_mailboxes(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(mailbox_cases); i++)
		for (int name = 0; name < 2; name++) {
			const char *want = name ? mailbox_cases[i].name : mailbox_cases[i].addr;
			struct field field = { .name = "From", .form = name ? FORM_NAME : FORM_ADDR };
			struct mail *mail = make_mail(SLICE("From: x\n\n"));
			struct field_index index;
			struct field_text text;

			free(mail->fields[0].value);
			mail->fields[0].value = mem_str(mailbox_cases[i].value);
			mail->fields[0].value_len = strlen(mailbox_cases[i].value);
			make_mail_decoded(mail, 0, mailbox_cases[i].decoded != NULL ? mailbox_cases[i].decoded :
			    mailbox_cases[i].value);
			field_index_make(&index, mail);
			field_text_make(&text, &field, &index, &facts);
			if (!slice_is(text.exists ? buf_slice(&text.buf) : SLICE("-"), want))
				fail_msg("%s of \"%s\": got \"%.*s\", expected \"%s\"", name ? "name" : "addr",
				    mailbox_cases[i].value, (int)buf_len(&text.buf), buf_slice(&text.buf).at, want);
			field_text_free(&text);
			field_index_free(&index);
			make_mail_free(&mail);
		}
}

/* ---- scores ---- */

static const struct { const char *rules, *hits; } score_cases[] = {
	{ "body A /Dear/", "A" },
	{ "body T_A /Dear/", "T_A=0.01" },
	{ "body A /Dear/\ntflags A nice", "A=-1" },
	{ "body A /Dear/\ntflags A nice\nscore A 2", "A=2" },
	{ "body __A /Dear/", "" },
	{ "body __A /Dear/\nscore __A 5", "" },
	{ "body A /Dear/\nscore A 2.5", "A=2.5" },
	{ "score A 2.5\nbody A /Dear/", "A=2.5" },
	{ "body A /Dear/\nscore A -1.25", "A=-1.25" },
	{ "body A /Dear/\nscore A +1.25", "A=1.25" },
	{ "body A /Dear/\nscore A 0.001", "A=0.001" },
	{ "body A /Dear/\nscore A .5", "A=0.5" },
	{ "body A /Dear/\nscore A 5.", "A=5" },
	{ "body A /Dear/\nscore A 1.0004999", "A" },
	{ "body A /Dear/\nscore A 1.0005", "A=1.001" },
	{ "body A /Dear/\nscore A -1.0005", "A=-1.001" },
	{ "body A /Dear/\nscore A 0.9999", "A" },
	{ "body A /Dear/\nscore A 0.0001", "A=0" },		/* not 0: it runs and is reported */
	{ "body A /Dear/\nscore A 99999999999999999999", "A=1000" },
	{ "body A /Dear/\nscore A 0", "" },
	{ "body A /Dear/\nscore A -0.000", "" },
	{ "body A /Dear/\nscore A 1.5 2 3 4", "A=1.5" },	/* without network tests and Bayes */
	{ "body A /Dear/\nscore A 0 2 3 4", "" },
	{ "body A /Dear/\nscore A 0\nscore A 3", "A=3" },
	{ "body A /Dear/\nscore A 3\nscore A 0", "" },
	{ "body A /Dear/\nscore A 2\nscore A (0.5)", "A=2.5" },
	{ "body A /Dear/\nscore A 2\nscore A (-2)", "" },
	{ "body A /nowhere/\nbody A /Dear/", "A" },		/* the later one counts */
	{ "body A /Dear/\nbody A /nowhere/", "" },
	{ "body A /Dear/\nuri A /Dear/", "" },
	{ "uri A /Dear/\nheader A exists:To", "A" },
	{ "header A X-None =~ /u/ [if-unset: u]\nheader A X-None =~ /u/", "" },
	{ "header A To !~ /u/\nheader A To =~ /u/", "" },
};

static void
test_scores(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(score_cases); i++)
		check_hits(score_cases[i].rules, letter, score_cases[i].hits);
}

static void
test_later_files_override(void **state)
{
	static const char *const files[] = {
		"body A /Dear/\nscore A 1.5\ndescribe A First\nbody B /won/\nscore B 1\nbody C /Million/\n",
		"score A 4\nscore B 0\ndescribe A Second and last\n",
		"score A 4.25\nbody C /nowhere/\n",
	};
	struct rules *rules = load(files, 3, NULL, NULL);
	struct mail *mail = make_mail(slice_of(letter));
	struct findings found = { 0 };

	(void)state;
	assert_non_null(rules);
	assert_int_equal(rules_count(rules), 2);
	rules_run(rules, mail, &facts, &found);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.list[0].name, "A");
	assert_string_equal(found.list[0].text, "Second and last");
	assert_int_equal(found.list[0].score, 4250);
	assert_int_equal(found.score, 4250);
	make_mail_free(&mail);
	rules_free(&rules);
}

/* ---- what counts of a file ---- */

static const struct { const char *rules, *hits; } condition_cases[] = {
	{ "ifplugin Mail::SpamAssassin::Plugin::DKIM\nbody A /Dear/\nelse\nbody B /Dear/\nendif\nbody C /Dear/", "B C" },
	{ "if (version >= 3.004003)\nbody A /Dear/\nendif", "A" },
	{ "if (version >= 4.000000)\nbody A /Dear/\nendif", "A" },
	{ "if version > 4.0\nbody A /Dear/\nelse\nbody B /Dear/\nendif # if", "B" },
	{ "if (version >= 3.0) && !(version >= 5)\nbody A /Dear/\nendif", "A" },
	{ "if !plugin(Mail::SpamAssassin::Plugin::DKIM)\nbody A /Dear/\nendif", "A" },
	{ "if can(Mail::SpamAssassin::Conf::feature_dns_query_restriction)\nbody A /Dear/\nendif", "" },
	{ "if has(Mail::SpamAssassin::Plugin::URIDNSBL::has_x)\nbody A /Dear/\nelse\nbody B /Dear/\nendif", "B" },
	{ "if can(Mail::SpamAssassin::Conf::feature_bug6558_free)\nbody A /Dear/\nendif", "A" },
	{ "if (perl_version >= 5.018)\nbody A /Dear/\nendif", "A" },
	{ "if 0\nif 1\nbody A /Dear/\nelse\nbody B /Dear/\nendif\nbody C /Dear/\nelse\nbody D /Dear/\nendif", "D" },
	{ "if 1\nif 0\nbody A /Dear/\nelse\nbody B /Dear/\nendif\nbody C /Dear/\nelse\nbody D /Dear/\nendif", "B C" },
	{ "if 0\nif nonsense nobody reads\nbody ( [ what\nendif\nendif", "" },
	{ "lang de body A /Dear/\nlang en body B /Dear/\nlang en_US body C /Dear/", "B C" },
	{ "lang de nonsense", "" },
};

static void
test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(condition_cases); i++)
		check_hits(condition_cases[i].rules, letter, condition_cases[i].hits);
}

/* ---- what is broken, what is not ours ---- */

static const struct { const char *rules, *error; } broken_cases[] = {
	{ "body A /ok/\n\nbody B /(/\n", "1.cf:3: body B: the regular expression at octet 1: missing closing parenthesis" },
	{ "body A no", "1.cf:1: body A: a regular expression stands in /.../ or m{...}" },
	{ "body A mxDearx", "1.cf:1: body A: a regular expression stands in /.../ or m{...}" },
	{ "body A m", "1.cf:1: body A: a regular expression stands in /.../ or m{...}" },
	{ "body A /Dear", "1.cf:1: body A: the regular expression does not end in / and flags" },
	{ "body A /Dear\\/", "1.cf:1: body A: the regular expression does not end in / and flags" },
	{ "body A /", "1.cf:1: body A: the regular expression does not end in / and flags" },
	{ "body A m{Dear", "1.cf:1: body A: the regular expression does not end in } and flags" },
	{ "body A /a/b/", "1.cf:1: body A: / stands inside the regular expression without a backslash" },
	{ "body A /a/ie", "1.cf:1: body A: the regular expression's flags are not of imsxn: ie" },
	{ "body A /(*UTF)a/", "1.cf:1: body A: the regular expression at octet 6: using UTF is disabled by the application" },
	{ "body A /(?{ 1 })/", "1.cf:1: body A: the regular expression at octet 2: unrecognized character after (? or (?-" },
	{ "body A", "1.cf:1: body A: nothing stands behind the name" },
	{ "body", "1.cf:1: body '' is no name for a rule: letters, digits and _, not a digit first, at most 95" },
	{ "body 1A /x/", "1.cf:1: body '1A' is no name for a rule: letters, digits and _, not a digit first, at most 95" },
	{ "body A-B /x/", "1.cf:1: body 'A-B' is no name for a rule: letters, digits and _, not a digit first, at most 95" },
	{ "header A Subject /x/", "1.cf:1: header A: neither =~ nor !~ nor exists: stands behind the name" },
	{ "header A Sub ject =~ /x/", "1.cf:1: header A: not the name of a header field: 'Sub ject'" },
	{ "header A =~ /x/", "1.cf:1: header A: not the name of a header field: ''" },
	{ "header A exists:", "1.cf:1: header A: not the name of a header field: ''" },
	{ "header A To:addy =~ /x/", "1.cf:1: header A: the field's modifier :addy is not known" },
	{ "header A To =~ ", "1.cf:1: header A: a regular expression stands in /.../ or m{...}" },
	{ "meta A (B", "1.cf:1: meta A: a parenthesis is not closed at the end of the expression" },
	{ "meta A B)", "1.cf:1: meta A: a parenthesis that was never opened at ')'" },
	{ "meta A B C", "1.cf:1: meta A: an operator is missing at 'C'" },
	{ "meta A B and C", "1.cf:1: meta A: an operator is missing at 'and C'" },
	{ "meta A B &&", "1.cf:1: meta A: a rule name or a number is missing at the end of the expression" },
	{ "meta A && B", "1.cf:1: meta A: a rule name or a number is missing at '&& B'" },
	{ "meta A ()", "1.cf:1: meta A: a rule name or a number is missing at ')'" },
	{ "meta A B = 1", "1.cf:1: meta A: an operator is missing at '= 1'" },
	{ "meta A 1.2.3", "1.cf:1: meta A: a number that is none at '.3'" },
	{ "meta A 1x", "1.cf:1: meta A: a number that is none at 'x'" },
	{ "meta A B ! C", "1.cf:1: meta A: an operator is missing at '! C'" },
	{ "meta A B $ C", "1.cf:1: meta A: an operator is missing at '$ C'" },
	{ "score A", "1.cf:1: score A: a score has one number or four" },
	{ "score A 1 2", "1.cf:1: score A: a score has one number or four" },
	{ "score A 1 2 3 4 5", "1.cf:1: score A: a score has one number or four" },
	{ "score A one", "1.cf:1: score A: 'one' is no score" },
	{ "score A 1.2.3", "1.cf:1: score A: '1.2.3' is no score" },
	{ "score A 1e3", "1.cf:1: score A: '1e3' is no score" },
	{ "score A -", "1.cf:1: score A: '-' is no score" },
	{ "score A (1)", "1.cf:1: score A: a score in parentheses adds to one that a line before it sets" },
	{ "tflags A maxhits=x", "1.cf:1: tflags A: maxhits=x is no count" },
	{ "tflags A maxhits=0", "1.cf:1: tflags A: maxhits=0 is no count" },
	{ "if 1\n\nbody A /x/\n", "1.cf:1: this condition is never closed with endif" },
	{ "if version >> 3\nendif", "1.cf:1: if a rule name or a number is missing at '> 3'" },
	{ "if wersion\nendif", "1.cf:1: if the word 'wersion' is not known here" },
	{ "if can\nendif", "1.cf:1: if can wants a name in parentheses" },
	{ "ifplugin\nendif", "1.cf:1: ifplugin wants the name of a plugin" },
	{ "endif", "1.cf:1: endif without an if" },
	{ "else", "1.cf:1: else without an if" },
	{ "if 1\nelse\nelse\nendif", "1.cf:3: else for the second time" },
	{ "if 1\nelse if 2\nendif", "1.cf:2: else stands alone on its line" },
	{ "meta A A", "1.cf:1: meta A needs itself" },
	{ "body X /x/\nmeta A B && X\nmeta B A\n", "1.cf:2: meta A needs itself, by way of B" },
	/* D and C only lead to the circle: it is A or B that is named, the earlier one. */
	{ "meta D C\nmeta C A\nmeta A B\nmeta B A\n", "1.cf:3: meta A needs itself, by way of B" },
};

static void
test_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(broken_cases); i++) {
		struct err err = { "" };
		struct rules *rules = load(&broken_cases[i].rules, 1, NULL, &err);

		if (rules != NULL || strcmp(err.text, broken_cases[i].error) != 0)
			fail_msg("%s\ngot: %s\nexpected: %s", broken_cases[i].rules, rules != NULL ? "no error" : err.text,
			    broken_cases[i].error);
	}
}

static const struct { const char *line, *why; } unsupported_cases[] = {
	{ "uri A /x/", "1.cf:1: uri A: rules of this kind are not supported\n" },
	{ "mimeheader A Content-Type =~ /x/", "1.cf:1: mimeheader A: rules of this kind are not supported\n" },
	{ "body A eval:check()", "1.cf:1: body A: eval: calls a function of SpamAssassin's\n" },
	{ "header A eval:check_rbl('a', 'b')", "1.cf:1: header A: eval: calls a function of SpamAssassin's\n" },
	{ "header A X-Spam-Relays-External =~ /x/",
	    "1.cf:1: header A: the pseudo field X-Spam-Relays-External is not supported\n" },
	{ "header A From:domain =~ /x/", "1.cf:1: header A: the field's modifier :domain is not supported\n" },
	{ "meta A B ? 1 : 0", "1.cf:1: meta A: the operator ?: is not supported\n" },
	{ "meta A rules_matching(X_*)", "1.cf:1: meta A: rules_matching() is not supported\n" },
	{ "body A /x%{TAG}/", "1.cf:1: body A: %{NAME} of another rule's capture is not supported\n" },
	{ "body A /\\x{456}/", "1.cf:1: body A: the regular expression at octet 6: "
	    "character code point value in \\x{} or \\o{} is too large\n" },
	{ "report_safe 1", "1.cf:1: report_safe: not a setting of ours\n" },
	{ "require_version 3.4", "1.cf:1: require_version: not a setting of ours\n" },
	{ "priority A 5", "" },
	{ "describe A x", "" },
	{ "lang fr describe A x", "" },
	{ "if 0\nreport_safe 1\nendif", "" },
	{ "tflags A learn net userconf multiple", "" },
	{ "meta B A\n\nbody A eval:check()", "1.cf:3: body A: eval: calls a function of SpamAssassin's\n" },
};

static void
test_unsupported(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(unsupported_cases); i++) {
		struct mail *mail = make_mail(slice_of(letter));
		struct findings found = { 0 };
		struct rules *rules;
		struct buf heard;
		struct err err;

		buf_init(&heard, 4096);
		rules = load(&unsupported_cases[i].line, 1, &heard, &err);
		assert_non_null(rules);
		if (!slice_is(buf_slice(&heard), unsupported_cases[i].why))
			fail_msg("%s\ngot: %s\nexpected: %s", unsupported_cases[i].line, buf_str(&heard),
			    unsupported_cases[i].why);
		rules_run(rules, mail, &facts, &found);
		assert_int_equal(found.n, 0);
		buf_free(&heard);
		make_mail_free(&mail);
		rules_free(&rules);
	}
}

/* ---- long texts ---- */

/* A letter whose only paragraph is `len` octets of `fill`, with `what` at `at`. */
static struct mail *
long_mail(size_t len, const char *fill, size_t at, const char *what)
{
	char *text = mem_new(len + 20);
	size_t head = (size_t)snprintf(text, 20, "Subject: s\n\n");
	struct mail *mail;

	for (size_t i = 0; i < len; i++)
		text[head + i] = fill[i % strlen(fill)];
	if (what != NULL)
		memcpy(text + head + at, what, strlen(what));
	mail = make_mail((struct slice){ text, head + len });
	mail->full.at = text;
	return mail;
}

static void
long_mail_free(struct mail **mail)
{
	char *text = (char *)(uintptr_t)(*mail)->full.at;

	make_mail_free(mail);
	free(text);
}

/* Wherever something stands in a long text, it is found: once. */
static void
test_long_texts(void **state)
{
	struct rules *rules = load_one("full F /needle/\ntflags F multiple\nbody B /n.ed?le/\ntflags B multiple\n"
	    "rawbody R /needle/\ntflags R multiple\nmeta ONE F == 1 && B == 1 && R == 1\n"
	    "full END /x{3}\\Z/\nfull BEGIN /\\A.{4}x/\nfull BEHIND /(?<=needle)./s");
	static const size_t around[] = { 0, 2048, 4096, 8192, 12293, 30000 };
	char got[256];

	(void)state;
	for (size_t i = 0; i < NITEMS(around); i++)
		for (size_t at = around[i] < 40 ? 0 : around[i] - 40; at < around[i] + 40; at++) {
			/* Pieces are cut behind a blank, so the needle stands between two. */
			struct mail *mail = long_mail(32768, "xxxxxxxx xxx", at, " needle ");
			struct findings found = { 0 };

			rules_run(rules, mail, &facts, &found);
			found_words(&found, got, sizeof(got));
			if (strcmp(got, "F B R ONE BEHIND") != 0 && strcmp(got, "F B R ONE END BEHIND") != 0)
				fail_msg("at %zu: \"%s\"", at, got);
			long_mail_free(&mail);
		}
	rules_free(&rules);
}

/* A piece of body text ends behind a blank, one of raw text behind a line end, a tag or a blank. */
static void
test_pieces(void **state)
{
	static const struct { size_t at; const char *cut, *hits; } cases[] = {
		{ 2000, " ", "X_BLANK X_END Y_BEGIN" },
		{ 2047, " ", "X_BLANK X_END Y_BEGIN" },
		{ 3000, "> ", "R_TAG" },
		{ 3000, "\n", "R_LINE" },
		{ 3000, " ", "R_BLANK" },
	};
	struct rules *rules = load_one("body X_BLANK /x $/\nbody X_END /x\\s?$/\nbody X_Y /x y/\nbody Y_BEGIN /^y/\n"
	    "rawbody R_TAG />$/\nrawbody R_LINE /\\n\\z/\nrawbody R_BLANK /x $/");
	char got[256];

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct mail *mail = long_mail(6000, "x", cases[i].at, cases[i].cut);
		struct findings found = { 0 };

		memset(mail->text + 2 + cases[i].at + strlen(cases[i].cut), 'y', 50);
		rules_run(rules, mail, &facts, &found);
		found_words(&found, got, sizeof(got));
		for (struct slice rest = slice_of(cases[i].hits); rest.len > 0;) {
			struct slice word = slice_word(&rest);

			if (memmem(got, strlen(got), word.at, word.len) == NULL)
				fail_msg("%zu: got \"%s\", expected \"%s\"", i, got, cases[i].hits);
		}
		if (i < 2 && strstr(got, "X_Y") != NULL)
			fail_msg("%zu: not cut where it should be", i);
		long_mail_free(&mail);
	}
	rules_free(&rules);
}

static int64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A regular expression that would take for ever is given up, and said so; others go on. */
static void
test_match_limit(void **state)
{
	static const char *const texts[] = {
		"body SLOW /^(a+)+$/\nbody FAST /aab/\n",
		"header SLOW Subject =~ /^(a|aa|a?a)+$/ [if-unset: x]\nbody FAST /aab/\n",
		"rawbody SLOW /(?:a*)*[cd]/\nbody FAST /aab/\n",
		"body SLOW /^(?:(?:a|a)*)*$/m\nbody FAST /aab/\nbody SLOWER /^(a+)+$/",
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(texts); i++) {
		struct rules *rules = load_one(texts[i]);
		struct mail *mail = make_mail(SLICE("Subject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n\n"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n"));
		struct findings found = { 0 };
		int64_t start = milliseconds();

		rules_run(rules, mail, &facts, &found);
		assert_true(milliseconds() - start < 50);
		if (found.n != 2)
			fail_msg("%s: %u findings, \"%s\"", texts[i], found.n, found.n > 0 ? found.list[0].text : "");
		assert_int_equal(found.list[0].kind, FINDING_LIMIT);
		assert_string_equal(found.list[0].name, "RULE_LIMIT");
		assert_string_equal(found.list[0].text, i == 3 ? "SLOW and 1 more rules: a regular expression took too long" :
		    "SLOW: a regular expression took too long");
		assert_string_equal(found.list[1].name, "FAST");
		assert_int_equal(found.score, 1000);
		make_mail_free(&mail);
		rules_free(&rules);
	}
}

/* !~ must not hit because its regular expression was given up. */
static void
test_match_limit_negated(void **state)
{
	(void)state;
	check_hits("header SLOW Subject !~ /^(a+)+$/", "Subject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n\n",
	    "RULE_LIMIT");
}

/* Slow at every place, too quick at each for the match limit: the clock ends it. */
static void
test_time_limit(void **state)
{
	struct rules *rules = load_one("full SLOW /a{9000}[bc]y/\nfull LAST /nowhere/");
	struct mail *mail = long_mail(4u << 20, "a", (4u << 20) - 2, "cb");
	struct findings found = { 0 };
	int64_t start = milliseconds();

	(void)state;
	rules_run(rules, mail, &facts, &found);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.list[0].name, "RULE_LIMIT");
	assert_string_equal(found.list[0].text, "SLOW and 1 more rules: no time left");
	assert_in_range(milliseconds() - start, RULES_TIME_MAX, RULES_TIME_MAX * 4);
	long_mail_free(&mail);
	rules_free(&rules);
}

/* ---- files ---- */

static void
test_files(void **state)
{
	char path[] = "/tmp/test_rules.XXXXXX", *files[] = { path };
	char *big = mem_new(RULES_LINE_MAX + 10), want[200];
	int fd = mkstemp(path);
	struct rules *rules;
	struct err err;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "body A /x/\nscore A 2", 20), 20);
	rules = rules_load(files, 1, NULL, NULL, &err);
	assert_non_null(rules);
	assert_int_equal(rules_count(rules), 1);
	assert_int_equal(rules_without_jit(rules), 0);
	rules_free(&rules);

	/* A line as long as may be, then one octet more. */
	memset(big, '#', RULES_LINE_MAX + 1);
	assert_int_equal(pwrite(fd, "\n", 1, 20), 1);
	assert_int_equal(pwrite(fd, big, RULES_LINE_MAX, 21), RULES_LINE_MAX);
	rules = rules_load(files, 1, NULL, NULL, &err);
	assert_non_null(rules);
	rules_free(&rules);
	assert_int_equal(pwrite(fd, big, RULES_LINE_MAX + 1, 21), RULES_LINE_MAX + 1);
	assert_null(rules_load(files, 1, NULL, NULL, &err));
	snprintf(want, sizeof(want), "%s:3: longer than 65536 octets", path);
	assert_string_equal(err.text, want);

	assert_int_equal(ftruncate(fd, RULES_FILE_MAX + 1), 0);
	assert_null(rules_load(files, 1, NULL, NULL, &err));
	snprintf(want, sizeof(want), "%s: longer than 16777216 octets", path);
	assert_string_equal(err.text, want);

	close(fd);
	unlink(path);
	assert_null(rules_load(files, 1, NULL, NULL, &err));
	snprintf(want, sizeof(want), "open %s: No such file or directory", path);
	assert_string_equal(err.text, want);
	free(big);
}

static void
test_too_many(void **state)
{
	char *text = mem_new(400000);
	size_t used = 0;
	const char *one = text;
	struct rules *rules;
	struct err err;

	(void)state;
	for (unsigned i = 0; i < RULES_MAX; i++)
		used += (size_t)snprintf(text + used, 400000 - used, "score R%u 1\n", i);
	rules = load(&one, 1, NULL, &err);
	assert_non_null(rules);
	rules_free(&rules);
	snprintf(text + used, 400000 - used, "meta R1 R2 && TOO_MANY\n");
	assert_null(load(&one, 1, NULL, &err));
	assert_string_equal(err.text, "1.cf:20001: meta R1: more than 20000 rules");
	free(text);
}

/* ---- the rules that we ship ---- */

#define HEAD "Date: Tue, 3 Mar 2026 10:15:00 +0100\nMessage-ID: <x1@one.example>\nTo: you@two.example\n"

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_metas),
		cmocka_unit_test(test_metas_over_metas),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_later_files_override),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_match_limit),
		cmocka_unit_test(test_match_limit_negated),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
