/* The rules that we ship: they load whole, say what they are, and tell these letters apart.
 *
 * All letters were written for this test. How the rules do on real mail cannot be said in a unit
 * test; what can is that a change does not lose a kind of spam, or hit a kind of honest letter. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filters/charset.h"
#include "filters/mail.h"
#include "filters/rules_int.h"
#include "proxy/base/mem.h"

#define RULES_COUNT_MAX 220	/* so that the set stays one that can be read, and quick */

#define HEAD "Date: Tue, 3 Mar 2026 10:15:00 +0100\nMIME-Version: 1.0\n"
#define ID   "Message-ID: <20260303101500.1234@one.example>\n"
#define TO   "To: Ann Smith <ann@two.example>\n"
#define HTML "Content-Type: text/html; charset=utf-8\n\n"

static glob_t files;

static struct rules *
load(void (*unsupported)(void *arg, const char *file, unsigned line, const char *why))
{
	struct err err;
	struct rules *rules = rules_load(files.gl_pathv, files.gl_pathc, unsupported, NULL, &err);

	if (rules == NULL)
		fail_msg("%s", err.text);
	return rules;
}

/* ---- the files ---- */

static void
on_unsupported(void *arg, const char *file, unsigned line, const char *why)
{
	(void)arg;
	fail_msg("%s:%u: %s", file, line, why);
}

static void
test_files(void **state)
{
	struct rules *rules = load(on_unsupported);

	(void)state;
	assert_in_range(rules_count(rules), 100, RULES_COUNT_MAX);
	assert_int_equal(rules_without_jit(rules), 0);
	for (size_t i = 0; i < rules->nall; i++) {
		const struct rule *rule = rules->all[i];

		if (rule->kind == RULE_UNDEFINED)
			fail_msg("%s is named but not defined", rule->name);
		if (rule->sub && (rule->describe != NULL || rule->scored))
			fail_msg("%s is not reported, but described or scored", rule->name);
		if (rule->sub)
			continue;
		if (rule->describe == NULL || !rule->scored)
			fail_msg("%s has no description or no score", rule->name);
		if (strlen(rule->describe) >= FINDING_TEXT_MAX)
			fail_msg("%s: the description will be cut", rule->name);
		/* What lowers a score can be forged, and no single rule but the test string may refuse. */
		if (strcmp(rule->name, "GTUBE") != 0 && (rule->score < 200 || rule->score > 4000))
			fail_msg("%s: a score of %d thousandths", rule->name, (int)rule->score);
	}
	rules_free(&rules);
}

/* ---- letters ---- */

static void
judge(struct rules *rules, const char *letter, struct findings *found)
{
	struct facts facts = { .from = SLICE("") };
	struct mail *mail = mail_read(slice_of(letter));

	*found = (struct findings){ 0 };
	rules_run(rules, mail, &facts, found);
	mail_free(&mail);
}

static void
complain(const char *letter, const struct findings *found)
{
	print_error("%s\n", letter);
	for (unsigned i = 0; i < found->n; i++)
		print_error("%6.1f %s\n", found->list[i].score / 1000.0, found->list[i].name);
	fail_msg("%.1f points", found->score / 1000.0);
}

static const char *const spam[] = {
	/* an heir in need */
	HEAD "Message-ID: <a1@mail.three.example>\nFrom: \"Barrister John Doe\" <office@three.example>\n"
	"Reply-To: barr.john.doe@gmail.com\nTo: undisclosed-recipients:;\nSubject: YOUR URGENT REPLY IS NEEDED\n\n"
	"Dear Friend,\n\nMy name is John Doe, attorney to a late client who left USD 8.5 million in a dormant account "
	"without next of kin. I crave your indulgence: the matter is strictly confidential.\n\n"
	"Send me your full names and your direct phone number.\n",

	/* a house that is none */
	HEAD ID TO "From: PayPal Service <help@evil.example>\nSubject: Your account has been limited!\n" HTML
	"<p>Dear customer,</p><p>Your account has been temporarily suspended. Please verify your account within 24 "
	"hours to avoid permanent closure.</p><p><a href=\"http://192.0.2.77/x\">Click here</a></p>",

	/* a mailbox that is full, at a page that anybody can put there */
	HEAD ID TO "From: Mail Admin <admin@mailbox-team.top>\nSubject: Action required: ann@two.example\n" HTML
	"<p>Dear ann@two.example,</p><p>Your mailbox is full. Please update your account information immediately: "
	"<a href=\"https://mail-update.pages.dev/#ann@two.example\">Click here</a></p>",

	/* a prize, in German */
	HEAD ID TO "From: \"\xf0\x9f\x8e\x81 Gutschein Team\" <x4y5z6w7@q1w2e3r4.click>\n"
	"Subject: Herzlichen =?utf-8?q?Gl=C3=BCckwunsch!_Ihr_500=E2=82=AC_Gutschein_wartet!?=\n" HTML
	"<p>Hallo ann@two.example</p><p>Sie wurden f\xc3\xbcr einen Gutschein ausgew\xc3\xa4hlt. Klicken Sie hier und "
	"sichern Sie sich Ihren Preis.</p><a href=\"https://q1w2e3r4.click/a\"><img src=\"https://q1w2e3r4.click/b\"></a>",

	/* a parcel, in Portuguese, from a domain that cannot be */
	HEAD ID TO "From: Correios <aviso@correios123456>\nSubject: Seu pedido esta retido - Protocolo: 88123456\n" HTML
	"<p>Ol\xc3\xa1 ann@two.example,</p><p>Seu pacote est\xc3\xa1 retido, o pagamento da taxa est\xc3\xa1 pendente. "
	"Clique aqui e regularize.</p><a href=\"https://bit.ly/abcdef\">PAGAR</a>",

	/* coins for those who open their wallet */
	HEAD ID TO "From: MetaMask Support <noreply@wallets.three.example>\nSubject: Your wallet will be suspended\n" HTML
	"<p>Dear user,</p><p>Your MetaMask wallet has not been verified. Verify your wallet within 48 hours or your "
	"tokens will be lost.</p><a href=\"https://three.example/verify\">Verify now</a>",

	/* a threat */
	HEAD ID TO "From: you <ann@two.example>\nSubject: I recorded you\n\n"
	"I have access to your camera. I recorded you while you visited adult sites.\n\nPay $900 in bitcoin to "
	"1BoatSLRHtKNngkdXEeobR76b53LETtpyT. You have 48 hours, or the video goes to all your contacts.\n",

	/* cures that no doctor prescribes */
	HEAD ID TO "From: \"Best Pills Shop\" <pills@meds.four.example>\nSubject: Save 80% on Viagra today!!\n" HTML
	"<p>Viagra and Cialis from $1.20, no prescription. Penis enlargement pills. Order now, limited time offer, "
	"100% satisfaction guaranteed!</p><a href=\"http://meds.four.example/\">click here</a>",

	/* a picture to click on, and a subject in letters made for formulas */
	HEAD ID TO "From: \"Prize Desk ,_\" <Smith_Robert_25737@a1b2c3d4.vip>\n"
	"Subject: \xf0\x9d\x90\x98\xf0\x9d\x90\xa8\xf0\x9d\x90\xae \xf0\x9d\x90\xb0\xf0\x9d\x90\xa8\xf0\x9d\x90\xa7!\n" HTML
	"<a href=\"http://a1b2c3d4.vip/c\"><img src=\"http://a1b2c3d4.vip/d\"></a>",
};

static const char *const ham[] = {
	HEAD ID TO "From: Joe Miller <joe@one.example>\nSubject: Lunch\n\nAt noon? The account is fine.\n",

	/* a password that really ends */
	HEAD ID TO "From: Service Desk <helpdesk@two.example>\nSubject: Your password will expire in 5 days\n\n"
	"Dear colleague,\n\nyour password expires in 5 days. Change it in the portal: https://portal.two.example/\n"
	"We never ask for a password by mail.\n",

	/* a shop that shouts, as shops do */
	HEAD "Message-ID: <1@news.shop.example>\n" TO "From: Shoe Shop <news@shop.example>\n"
	"Subject: Last chance: 30% off ends tonight! \xf0\x9f\x8e\x89\n" HTML
	"<div style=\"display:none;font-size:1px\">Save 30% today &zwnj;&nbsp;&zwnj;&nbsp;</div><center><table><tr><td>"
	"<a href=\"https://click.shop.example/1\"><img src=\"https://img.shop.example/1\"></a><p>Don't miss out: up to "
	"50% off, free shipping. Limited time offer, while supplies last.</p><a style=\"color:#ffffff\" "
	"href=\"https://click.shop.example/2\">Shop now</a><p>You receive this because you have an account with us. "
	"<a href=\"https://click.shop.example/3\">Unsubscribe</a></p></td></tr></table></center>",

	/* the real house */
	HEAD "Message-ID: <2@paypal.com>\n" TO "From: PayPal <service@paypal.com>\nSubject: Your account is limited\n" HTML
	"<p>Hello Ann Smith,</p><p>your account has been limited. Log in and confirm your identity.</p>"
	"<a href=\"https://www.paypal.com/\">Log in</a>",

	/* a parcel that is really on its way */
	HEAD "Message-ID: <3@dhl.de>\n" TO "From: DHL Paket <noreply@dhl.de>\nSubject: Ihr Paket kommt heute\n" HTML
	"<p>Guten Tag Frau Smith,</p><p>Ihre Sendung wird heute zugestellt. Klicken Sie hier, wenn Sie nicht zu Hause "
	"sind.</p><a href=\"https://www.dhl.de/\">Sendung verfolgen</a>",

	/* an honest lawyer, and an honest loan */
	HEAD ID TO "From: Office <office@lawyers.example>\nSubject: Estate of the late Mr. Brown\n\n"
	"Dear Ms Smith,\n\nyou are named as a beneficiary in the will of the late Mr. Brown; the inheritance amounts to "
	"12,000 pounds. Please send us your bank details by post.\n",
	HEAD ID TO "From: Joe Miller <joe.miller1975@gmail.com>\nSubject: Re: the house\nIn-Reply-To: <x@two.example>\n\n"
	"The lender says our mortgage rate is 3.1%, and wants the loan application by Friday. Call me: 555-123-4567.\n",

	/* developers speak of tokens and wallets too */
	HEAD ID TO "From: Dev <dev@one.example>\nSubject: [PATCH v2] i2c: verify the token before the device is locked\n\n"
	"The token is claimed twice, so the account of free tokens is wrong. Fix it.\n\n> if (!token)\n>   return;\n",

	/* a list that writes for somebody */
	HEAD ID TO "From: \"ann@one.example via Friends\" <friends@lists.example>\nSubject: [Friends] Trip\n\nWho comes along?\n",
};

static void
test_letters(void **state)
{
	struct rules *rules = load(NULL);
	struct findings found;

	(void)state;
	for (size_t i = 0; i < NITEMS(spam); i++) {
		judge(rules, spam[i], &found);
		if (found.score < 5000)
			complain(spam[i], &found);
	}
	for (size_t i = 0; i < NITEMS(ham); i++) {
		judge(rules, ham[i], &found);
		if (found.score >= 5000)
			complain(ham[i], &found);
	}
	rules_free(&rules);
}

static void
test_gtube(void **state)
{
	struct rules *rules = load(NULL);
	struct findings found;

	(void)state;
	judge(rules, HEAD ID TO "From: Joe <joe@one.example>\nSubject: Test\n\n"
	    "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n", &found);
	if (found.score < 1000000 || found.n != 1 || strcmp(found.list[0].name, "GTUBE") != 0)
		complain("GTUBE", &found);
	rules_free(&rules);
}

/* ---- what a stranger sends to keep us busy ---- */

static const char *const again[] = {
	"a", "1.", "a@", "your account ", "<a href=\"http://x\">", "<a href=http://a/#", "<div style=\"color:#fff ",
	"a<b>", "&#65;", "<br>", "\n", "<!--", "ABCD ", "my name is ", "konto ", "paypal ", "\xd0\xb0" "a", "  ",
};

static void
test_hostile(void **state)
{
	struct rules *rules = load(NULL);
	char *letter = mem_new(100000 + 200);
	struct findings found;

	(void)state;
	for (size_t i = 0; i < 2 * NITEMS(again); i++) {
		const char *piece = again[i / 2];
		size_t used = 0;

		/* Odd turns: in the field, where a line end would begin another one. */
		if (i % 2 == 1 && *piece == '\n')
			continue;
		used += (size_t)snprintf(letter, 200, "%s", i % 2 == 1 ? "From: " : HEAD HTML);
		while (used + strlen(piece) < 100000)
			used += (size_t)snprintf(letter + used, 200, "%s", piece);
		judge(rules, letter, &found);
		for (unsigned j = 0; j < found.n; j++)
			if (found.list[j].kind == FINDING_LIMIT)
				fail_msg("'%s' again and again: %s", piece, found.list[j].text);
	}
	free(letter);
	rules_free(&rules);
}

static int
setup(void **state)
{
	(void)state;
	charset_init();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_gtube),
		cmocka_unit_test(test_hostile),
	};
	int rc;

	/* Only the top of the tree has them. */
	if (glob("conf/dist/rules/*.cf", 0, NULL, &files) != 0) {
		print_error("conf/dist/rules: not here, passed over\n");
		return 0;
	}
	rc = cmocka_run_group_tests(tests, setup, NULL);
	globfree(&files);
	return rc;
}
