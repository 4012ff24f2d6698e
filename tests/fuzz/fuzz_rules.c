/* fuzz_rules.c - hostile rule text and a hostile message, with a NUL between them.
 *
 * clang -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -I. tests/fuzz/fuzz_rules.c filters/rules*.c \
 *     policy/findings.c proxy/base/{slice,buf,mem,err,str}.c -lpcre2-8 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/rules_int.h"
#include "tests/unit/make_mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_findings(const struct findings *f)
{
	if (f->n > FINDINGS_MAX)
		abort();
	for (unsigned i = 0; i < f->n; i++)
		if (memchr(f->list[i].name, '\0', FINDING_NAME_MAX) == NULL ||
		    memchr(f->list[i].text, '\0', FINDING_TEXT_MAX) == NULL)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rules_listener listener = { NULL, NULL };
	const struct facts facts = { .from = SLICE("from@sender.example") };
	struct slice message = { (const char *)data, size }, text = slice_cut(&message, '\0');
	struct rules *rules = rules_begin();
	static struct findings found;
	struct mail *mail;
	struct err err;

	if (rules_text(rules, "fuzz.cf", text, &listener, &err) == 0 && rules_finish(rules, &err) == 0) {
		unsigned hits;

		mail = make_mail(message);
		found = (struct findings){ .n = 0 };
		rules_run(rules, mail, &facts, &found);
		check_findings(&found);
		hits = found.n;
		found = (struct findings){ .n = 0 };
		rules_run(rules, mail, &facts, &found);
		if (found.n != hits)
			abort();	/* a run left something behind */
		make_mail_free(&mail);
	}
	rules_free(&rules);
	return 0;
}
