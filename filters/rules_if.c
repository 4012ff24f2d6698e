/* rules_if.c - which lines of a file count: if, ifplugin, else, endif. */
#include <stdlib.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

/* Whose language this is. Plugins we have none, and can(...) is true for what we can. */
#define SA_VERSION      4.0
#define SA_PERL_VERSION 5.036

static const char *const abilities[] = {
	"Mail::SpamAssassin::Conf::feature_bug6558_free",	/* tflags maxhits=N is obeyed */
	"Mail::SpamAssassin::Conf::perl_min_version_5010000",	/* named groups, possessive quantifiers */
};

static bool
is_able(struct slice name)
{
	for (size_t i = 0; i < NITEMS(abilities); i++)
		if (slice_is(name, abilities[i]))
			return true;
	return false;
}

static enum outcome
condition_word(void *arg, struct slice word, struct slice *rest, struct step *step, struct err *err)
{
	struct slice name;

	(void)arg;
	if (slice_is(word, "version")) {
		step->number = SA_VERSION;
	} else if (slice_is(word, "perl_version")) {
		step->number = SA_PERL_VERSION;
	} else if (slice_is(word, "local_tests_only")) {
		step->number = 1;
	} else if (slice_is(word, "plugin") || slice_is(word, "can") || slice_is(word, "has")) {
		*rest = slice_trim(*rest);
		if (!slice_starts(*rest, "(") || !slice_has(*rest, ')')) {
			err_set(err, "%.*s wants a name in parentheses", (int)word.len, word.at);
			return LINE_BROKEN;
		}
		*rest = slice_part(*rest, 1, rest->len);
		name = slice_trim(slice_cut(rest, ')'));
		step->number = !slice_is(word, "plugin") && is_able(name);
	} else {
		err_set(err, "the word '%.*s' is not known here", (int)slice_part(word, 0, 80).len, word.at);
		return LINE_BROKEN;
	}
	return LINE_DONE;
}

bool
conditions_skip(const struct conditions *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].holds)
			return true;
	return false;
}

enum outcome
conditions_open(struct conditions *c, bool holds, unsigned line, struct err *err)
{
	if (c->n == RULES_IF_MAX) {
		err_set(err, "more than %d conditions inside each other", RULES_IF_MAX);
		return LINE_BROKEN;
	}
	c->list[c->n++] = (struct condition){ .line = line, .holds = holds };
	return LINE_DONE;
}

enum outcome
conditions_if(struct conditions *c, struct slice expression, unsigned line, struct err *err)
{
	const struct expr_words words = { condition_word, NULL };
	struct expr *expr;
	double *stack;
	bool holds;

	if (conditions_skip(c))
		return conditions_open(c, false, line, err);
	/* A condition that we cannot read is an error: not even which lines count is known. */
	if (expr_compile(expression, &words, &expr, err) != LINE_DONE)
		return LINE_BROKEN;
	stack = mem_array(expr->depth, sizeof(*stack));
	holds = expr_value(expr, NULL, stack) != 0;
	free(stack);
	expr_free(&expr);
	return conditions_open(c, holds, line, err);
}

enum outcome
conditions_else(struct conditions *c, struct err *err)
{
	struct condition *last = c->n > 0 ? &c->list[c->n - 1] : NULL;

	if (last == NULL || last->has_else) {
		err_set(err, last == NULL ? "without an if" : "for the second time");
		return LINE_BROKEN;
	}
	last->has_else = true;
	last->holds = !last->holds;
	return LINE_DONE;
}

enum outcome
conditions_end(struct conditions *c, struct err *err)
{
	if (c->n == 0) {
		err_set(err, "without an if");
		return LINE_BROKEN;
	}
	c->n--;
	return LINE_DONE;
}
