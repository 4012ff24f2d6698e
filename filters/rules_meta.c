/* rules_meta.c - expressions: compiled once into postfix steps, then a loop over a stack of numbers.
 *
 * Operators, their ranks and what they give back are Perl's, which SpamAssassin hands its metas to:
 * && and || give back one of their operands, so that a count comes through. No recursion: how
 * deep an expression nests is up to whoever wrote it. */
#include <math.h>
#include <stdlib.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

#define RANK_UNARY 9
#define RANK_PAREN 0	/* below every operator: nothing is taken from under it */

struct operator {
	const char *text;
	enum step_op op;
	int rank;		/* perlop(1); higher binds tighter; all of these are left-associative */
};

static const struct operator binary[] = {	/* longer ones first */
	{ "||", STEP_OR,         1 },
	{ "&&", STEP_AND,        2 },
	{ "==", STEP_EQUAL,      5 },
	{ "!=", STEP_NOT_EQUAL,  5 },
	{ "<=", STEP_LESS_EQUAL, 6 },
	{ ">=", STEP_MORE_EQUAL, 6 },
	{ "<",  STEP_LESS,       6 },
	{ ">",  STEP_MORE,       6 },
	{ "|",  STEP_BIT_OR,     3 },
	{ "^",  STEP_BIT_XOR,    3 },
	{ "&",  STEP_BIT_AND,    4 },
	{ "+",  STEP_ADD,        7 },
	{ "-",  STEP_SUBTRACT,   7 },
	{ "*",  STEP_MULTIPLY,   8 },
	{ "/",  STEP_DIVIDE,     8 },
};

static const struct operator unary[] = {
	{ "!",  STEP_NOT,        RANK_UNARY },
	{ "-",  STEP_NEGATE,     RANK_UNARY },
	{ "+",  STEP_NUMBER,     RANK_UNARY },	/* does nothing and is not kept */
};

static const struct operator paren = { "(", STEP_NUMBER, RANK_PAREN };

struct compiler {
	struct slice rest;
	const struct expr_words *words;
	struct err *err;
	struct expr *expr;
	const struct operator **waiting;	/* operators whose right side is not over yet */
	size_t nwaiting;
	size_t depth;				/* values on the stack at this point of the evaluation */
};

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
emit(struct compiler *c, struct step step)
{
	*(struct step *)mem_push(&c->expr->steps, &c->expr->nsteps, sizeof(step)) = step;
	if (step.op == STEP_NUMBER || step.op == STEP_RULE)
		c->depth++;
	else if (step.op != STEP_NOT && step.op != STEP_NEGATE)
		c->depth--;
	if (c->depth > c->expr->depth)
		c->expr->depth = c->depth;
}

static void
push_waiting(struct compiler *c, const struct operator *operator)
{
	*(const struct operator **)mem_push(&c->waiting, &c->nwaiting, sizeof(operator)) = operator;
}

/* Takes the operators that bind at least as tight as `rank` off the waiting ones. */
static void
settle(struct compiler *c, int rank)
{
	while (c->nwaiting > 0 && c->waiting[c->nwaiting - 1]->rank >= rank)
		emit(c, (struct step){ .op = c->waiting[--c->nwaiting]->op });
}

static const struct operator *
take_operator(struct slice *rest, const struct operator *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_starts(*rest, table[i].text)) {
			*rest = slice_part(*rest, slice_of(table[i].text).len, rest->len);
			return &table[i];
		}
	return NULL;
}

/* Digits and at most one point. Collected as one whole number and divided once, so that 4.000001
 * here equals 4.000001 there. */
static bool
take_number(struct slice *rest, double *number)
{
	double digits = 0, scale = 1;
	bool point = false;
	size_t i;

	for (i = 0; i < rest->len && (is_digit(rest->at[i]) || (rest->at[i] == '.' && !point)); i++) {
		if (rest->at[i] == '.') {
			point = true;
			continue;
		}
		digits = digits * 10 + (rest->at[i] - '0');
		if (point)
			scale *= 10;
	}
	*number = digits / scale;
	*rest = slice_part(*rest, i, rest->len);
	return isfinite(*number) && (rest->len == 0 || (!is_word(rest->at[0]) && rest->at[0] != '.'));
}

static enum outcome
broken(struct compiler *c, const char *what)
{
	if (c->rest.len == 0)
		err_set(c->err, "%s at the end of the expression", what);
	else
		err_set(c->err, "%s at '%.*s'", what, (int)slice_part(c->rest, 0, 40).len, c->rest.at);
	return LINE_BROKEN;
}

/* Where a value may begin. *more: another value must follow. */
static enum outcome
read_value(struct compiler *c, bool *more)
{
	struct step step = { .op = STEP_NUMBER };
	const struct operator *operator;
	enum outcome outcome;
	size_t len = 0;

	*more = true;
	if ((operator = take_operator(&c->rest, &paren, 1)) != NULL ||
	    (operator = take_operator(&c->rest, unary, NITEMS(unary))) != NULL) {
		if (operator == &paren || operator->op != STEP_NUMBER)
			push_waiting(c, operator);
		return LINE_DONE;
	}
	*more = false;
	if (c->rest.len > 0 && (is_digit(c->rest.at[0]) || c->rest.at[0] == '.')) {
		if (!take_number(&c->rest, &step.number))
			return broken(c, "a number that is none");
	} else {
		struct slice word;

		while (len < c->rest.len && (is_word(c->rest.at[len]) || (len > 0 && c->rest.at[len] == ':')))
			len++;
		if (len == 0)
			return broken(c, "a rule name or a number is missing");
		word = slice_part(c->rest, 0, len);
		c->rest = slice_part(c->rest, len, c->rest.len);
		outcome = c->words->meaning(c->words->arg, word, &c->rest, &step, c->err);
		if (outcome != LINE_DONE)
			return outcome;
	}
	emit(c, step);
	return LINE_DONE;
}

/* Where a value has just ended. *more: a value must follow. */
static enum outcome
read_operator(struct compiler *c, bool *more)
{
	const struct operator *operator;

	*more = false;
	if (c->rest.at[0] == ')') {
		settle(c, RANK_PAREN + 1);
		if (c->nwaiting == 0)
			return broken(c, "a parenthesis that was never opened");
		c->nwaiting--;
		c->rest = slice_part(c->rest, 1, c->rest.len);
		return LINE_DONE;
	}
	if (c->rest.at[0] == '?' || c->rest.at[0] == ':') {
		err_set(c->err, "the operator ?: is not supported");
		return LINE_UNSUPPORTED;
	}
	operator = take_operator(&c->rest, binary, NITEMS(binary));
	if (operator == NULL)
		return broken(c, "an operator is missing");
	settle(c, operator->rank);
	push_waiting(c, operator);
	*more = true;
	return LINE_DONE;
}

static enum outcome
read_all(struct compiler *c)
{
	enum outcome outcome = LINE_DONE;
	bool value = true;	/* what must come next */

	c->rest = slice_trim(c->rest);
	while (outcome == LINE_DONE && c->rest.len > 0) {
		outcome = value ? read_value(c, &value) : read_operator(c, &value);
		c->rest = slice_trim(c->rest);
	}
	if (outcome != LINE_DONE)
		return outcome;
	if (value)
		return broken(c, "a rule name or a number is missing");
	settle(c, RANK_PAREN + 1);
	if (c->nwaiting > 0)
		return broken(c, "a parenthesis is not closed");
	return LINE_DONE;
}

enum outcome
expr_compile(struct slice text, const struct expr_words *words, struct expr **out, struct err *err)
{
	struct compiler c = { .rest = text, .words = words, .err = err, .expr = mem_new(sizeof(struct expr)) };
	enum outcome outcome = read_all(&c);

	free(c.waiting);
	if (outcome != LINE_DONE)
		expr_free(&c.expr);
	*out = c.expr;
	return outcome;
}

void
expr_free(struct expr **e)
{
	if (*e != NULL)
		free((*e)->steps);
	free(*e);
	*e = NULL;
}

/* NaN, which products of counts can come to, is no hit. */
static bool
is_true(double n)
{
	return n < 0 || n > 0;
}

static uint64_t
bits(double n)
{
	if (!(n > 0))
		return 0;
	return n < 18446744073709549568.0 ? (uint64_t)n : UINT64_MAX;
}

static double
apply(enum step_op op, double a, double b)
{
	switch (op) {
	case STEP_MULTIPLY:
		return a * b;
	case STEP_DIVIDE:
		return is_true(b) ? a / b : 0;	/* Perl would give the rule up: no hit */
	case STEP_ADD:
		return a + b;
	case STEP_SUBTRACT:
		return a - b;
	case STEP_LESS:
		return a < b;
	case STEP_LESS_EQUAL:
		return a <= b;
	case STEP_MORE:
		return a > b;
	case STEP_MORE_EQUAL:
		return a >= b;
	case STEP_EQUAL:
		return a == b;
	case STEP_NOT_EQUAL:
		return a != b;
	case STEP_BIT_AND:
		return (double)(bits(a) & bits(b));
	case STEP_BIT_OR:
		return (double)(bits(a) | bits(b));
	case STEP_BIT_XOR:
		return (double)(bits(a) ^ bits(b));
	case STEP_AND:
		return is_true(a) ? b : a;
	case STEP_OR:
		return is_true(a) ? a : b;
	case STEP_NUMBER:
	case STEP_RULE:
	case STEP_NOT:
	case STEP_NEGATE:
		break;		/* not of two operands */
	}
	return 0;
}

double
expr_value(const struct expr *e, const double *rules, double *stack)
{
	size_t top = 0;

	for (const struct step *step = e->steps; step < e->steps + e->nsteps; step++)
		switch (step->op) {
		case STEP_NUMBER:
			stack[top++] = step->number;
			break;
		case STEP_RULE:
			stack[top++] = rules[step->rule];
			break;
		case STEP_NOT:
			stack[top - 1] = !is_true(stack[top - 1]);
			break;
		case STEP_NEGATE:
			stack[top - 1] = -stack[top - 1];
			break;
		default:
			top--;
			stack[top - 1] = apply(step->op, stack[top - 1], stack[top]);
		}
	return is_true(stack[0]) ? stack[0] : 0;
}
