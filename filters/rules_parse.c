/* rules_parse.c - lines of a .cf file become rules.
 *
 * What a line may be is one table. Three things can become of it: it is done; it is broken, which
 * ends the loading with its place; or it asks for something of SpamAssassin that is not ours, which is told to
 * the listener, and a rule that it defines never hits. */
#include <stdlib.h>
#include <string.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

struct reader {
	struct rules *rules;
	const char *file;
	unsigned line;
	struct conditions conditions;
};

#define SCORE_MAX 1000000	/* a thousand points: findings know no more */

static int
printable(struct slice s)
{
	return (int)slice_part(s, 0, 80).len;
}

static enum outcome
broken(struct err *err, const char *why)
{
	err_set(err, "%s", why);
	return LINE_BROKEN;
}

/* ---- definitions of rules ---- */

static bool
is_rule_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		int c = ascii_lower((unsigned char)s.at[i]);

		if ((c < 'a' || c > 'z') && c != '_' && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return s.len > 0 && s.len < FINDING_NAME_MAX;
}

static enum outcome
take_name(struct reader *r, struct slice *rest, struct rule **rule, struct err *err)
{
	struct slice name = slice_word(rest);

	if (!is_rule_name(name)) {
		err_set(err, "'%.*s' is no name for a rule: letters, digits and _, not a digit first, at most %d",
		    printable(name), name.at, FINDING_NAME_MAX - 1);
		return LINE_BROKEN;
	}
	*rule = rules_name(r->rules, name);
	if (*rule == NULL) {
		err_set(err, "more than %d rules", RULES_MAX);
		return LINE_BROKEN;
	}
	return LINE_DONE;
}

/* The name, and a place for the new definition; the one before it is forgotten. */
static enum outcome
begin_rule(struct reader *r, struct slice *rest, struct rule **rule, struct err *err)
{
	enum outcome outcome = take_name(r, rest, rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	if (rest->len == 0) {
		err_set(err, "%s: nothing stands behind the name", (*rule)->name);
		return LINE_BROKEN;
	}
	rule_forget(*rule);
	(*rule)->file = r->file;
	(*rule)->line = r->line;
	return LINE_DONE;
}

/* The name goes in front of the sentence that says what was wrong. */
static enum outcome
end_rule(struct rule *rule, enum rule_kind kind, enum outcome outcome, struct err *err)
{
	rule->kind = outcome == LINE_DONE ? kind : RULE_UNSUPPORTED;
	if (outcome != LINE_DONE)
		err_set(err, "%s: %s", rule->name, err->text);
	return outcome;
}

static bool
is_eval(struct slice s)
{
	return slice_starts(s, "eval:") || slice_starts(s, "rbleval:");
}

static enum outcome
not_eval(struct err *err)
{
	err_set(err, "eval: calls a function of SpamAssassin's");
	return LINE_UNSUPPORTED;
}

static enum outcome
define_text(struct reader *r, struct slice rest, enum rule_kind kind, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = begin_rule(r, &rest, &rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	outcome = is_eval(rest) ? not_eval(err) : regex_compile(rest, &rule->regex, err);
	return end_rule(rule, kind, outcome, err);
}

static enum outcome
read_body(struct reader *r, struct slice rest, struct err *err)
{
	return define_text(r, rest, RULE_BODY, err);
}

static enum outcome
read_rawbody(struct reader *r, struct slice rest, struct err *err)
{
	return define_text(r, rest, RULE_RAWBODY, err);
}

static enum outcome
read_full(struct reader *r, struct slice rest, struct err *err)
{
	return define_text(r, rest, RULE_FULL, err);
}

static enum outcome
read_foreign_rule(struct reader *r, struct slice rest, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = begin_rule(r, &rest, &rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	err_set(err, "rules of this kind are not supported");
	return end_rule(rule, RULE_UNSUPPORTED, LINE_UNSUPPORTED, err);
}

/* "/re/ [if-unset: text]": takes the second part off. */
static char *
take_if_unset(struct slice *rest)
{
	static const char mark[] = "[if-unset:";
	const char *at = NULL, *next = rest->at;
	struct slice text;

	if (rest->len == 0 || rest->at[rest->len - 1] != ']')
		return NULL;
	while ((next = memmem(next, (size_t)(rest->at + rest->len - next), mark, sizeof(mark) - 1)) != NULL)
		at = next++;
	if (at == NULL || at == rest->at || (at[-1] != ' ' && at[-1] != '\t'))
		return NULL;
	text = slice_part(*rest, (size_t)(at - rest->at) + sizeof(mark) - 1, rest->len);
	text.len--;
	*rest = slice_trim(slice_part(*rest, 0, (size_t)(at - rest->at)));
	return mem_slice(slice_trim(text));
}

static enum outcome
define_match(struct rule *rule, struct slice rest, struct err *err)
{
	size_t at = 0;
	enum outcome outcome;

	while (at + 1 < rest.len && !((rest.at[at] == '=' || rest.at[at] == '!') && rest.at[at + 1] == '~'))
		at++;
	if (at + 1 >= rest.len)
		return broken(err, "neither =~ nor !~ nor exists: stands behind the name");
	rule->negated = rest.at[at] == '!';
	outcome = field_parse(slice_trim(slice_part(rest, 0, at)), &rule->field, err);
	if (outcome != LINE_DONE)
		return outcome;
	rest = slice_trim(slice_part(rest, at + 2, rest.len));
	rule->if_unset = take_if_unset(&rest);
	return regex_compile(rest, &rule->regex, err);
}

static enum outcome
read_header(struct reader *r, struct slice rest, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = begin_rule(r, &rest, &rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	if (is_eval(rest))
		return end_rule(rule, RULE_HEADER, not_eval(err), err);
	if (!slice_starts(rest, "exists:"))
		return end_rule(rule, RULE_HEADER, define_match(rule, rest, err), err);
	outcome = field_parse(slice_trim(slice_part(rest, strlen("exists:"), rest.len)), &rule->field, err);
	return end_rule(rule, RULE_EXISTS, outcome, err);
}

static enum outcome
meta_word(void *arg, struct slice word, struct slice *rest, struct step *step, struct err *err)
{
	struct reader *r = arg;
	struct rule *rule;
	enum outcome outcome;

	(void)rest;
	if (slice_is(word, "rules_matching")) {
		err_set(err, "rules_matching() is not supported");
		return LINE_UNSUPPORTED;
	}
	if (slice_is(word, "local_tests_only")) {
		step->number = 1;
		return LINE_DONE;
	}
	outcome = take_name(r, &word, &rule, err);
	if (outcome == LINE_DONE)
		*step = (struct step){ .op = STEP_RULE, .rule = rule->number };
	return outcome;
}

static enum outcome
read_meta(struct reader *r, struct slice rest, struct err *err)
{
	const struct expr_words words = { meta_word, r };
	struct rule *rule;
	enum outcome outcome = begin_rule(r, &rest, &rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	return end_rule(rule, RULE_META, expr_compile(rest, &words, &rule->expr, err), err);
}

/* ---- what is said about rules ---- */

static int32_t
clamp(int64_t score)
{
	return (int32_t)(score > SCORE_MAX ? SCORE_MAX : score < -SCORE_MAX ? -SCORE_MAX : score);
}

/* "-1.25" in thousandths, rounded to the nearest, halves away from zero; at most a thousand
 * points. *zero: it is nothing but zeros. */
static bool
read_thousandths(struct slice s, int32_t *out, bool *zero)
{
	bool minus = slice_starts(s, "-"), any = false;
	unsigned decimals = 0;
	int64_t n = 0;
	bool point = false, up = false;

	if (minus || slice_starts(s, "+"))
		s = slice_part(s, 1, s.len);
	*zero = true;
	for (size_t i = 0; i < s.len; i++) {
		int digit = s.at[i] - '0';

		if (s.at[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit < 0 || digit > 9)
			return false;
		any = true;
		*zero = *zero && digit == 0;
		if (point && decimals == 3)
			up = digit >= 5;
		if (!point || decimals < 3)
			n = n < 1000000000 ? n * 10 + digit : n;
		decimals += point;
	}
	for (; decimals < 3; decimals++)
		n *= 10;
	n += up;
	*out = clamp(minus ? -n : n);
	return any;
}

/* score NAME n, or four of them: without network tests and without Bayes, as here, the first
 * counts. (n) is added to what was said before. */
static enum outcome
read_score(struct reader *r, struct slice rest, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = take_name(r, &rest, &rule, err);
	int32_t score[5] = { 0 };
	bool zero[5], relative = false;
	size_t n = 0;

	if (outcome != LINE_DONE)
		return outcome;
	while (rest.len > 0 && n < NITEMS(score)) {
		struct slice word = slice_word(&rest);

		if (word.len > 2 && word.at[0] == '(' && word.at[word.len - 1] == ')') {
			relative = true;
			word = slice_part(word, 1, word.len - 2);
		}
		if (!read_thousandths(word, &score[n], &zero[n])) {
			err_set(err, "%s: '%.*s' is no score", rule->name, printable(word), word.at);
			return LINE_BROKEN;
		}
		n++;
	}
	if (n != 1 && n != 4) {
		err_set(err, "%s: a score has one number or four", rule->name);
		return LINE_BROKEN;
	}
	if (relative && !rule->scored) {
		err_set(err, "%s: a score in parentheses adds to one that a line before it sets", rule->name);
		return LINE_BROKEN;
	}
	rule->score = relative ? clamp(rule->score + score[0]) : score[0];
	rule->off = relative ? rule->score == 0 : zero[0];
	rule->scored = true;
	return LINE_DONE;
}

static enum outcome
read_describe(struct reader *r, struct slice rest, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = take_name(r, &rest, &rule, err);

	if (outcome != LINE_DONE)
		return outcome;
	free(rule->describe);
	rule->describe = mem_slice(rest);
	return LINE_DONE;
}

static enum outcome
read_tflags(struct reader *r, struct slice rest, struct err *err)
{
	struct rule *rule;
	enum outcome outcome = take_name(r, &rest, &rule, err);
	uint64_t n;

	if (outcome != LINE_DONE)
		return outcome;
	rule->multiple = rule->nosubject = rule->nice = false;
	rule->maxhits = 0;
	while (rest.len > 0) {
		struct slice flag = slice_word(&rest), key = slice_cut(&flag, '=');

		if (slice_is(key, "multiple")) {
			rule->multiple = true;
		} else if (slice_is(key, "nosubject")) {
			rule->nosubject = true;
		} else if (slice_is(key, "nice")) {
			rule->nice = true;
		} else if (slice_is(key, "maxhits")) {
			if (!slice_number(flag, &n) || n == 0 || n > UINT32_MAX) {
				err_set(err, "%s: maxhits=%.*s is no count", rule->name, printable(flag), flag.at);
				return LINE_BROKEN;
			}
			rule->maxhits = (uint32_t)n;
		}	/* the others speak of learning, networks and who may say what */
	}
	return LINE_DONE;
}

static enum outcome
read_silently(struct reader *r, struct slice rest, struct err *err)
{
	(void)r;
	(void)rest;
	(void)err;
	return LINE_DONE;
}

/* ---- conditionals ---- */

static enum outcome
read_ifplugin(struct reader *r, struct slice rest, struct err *err)
{
	if (rest.len == 0)
		return broken(err, "wants the name of a plugin");
	return conditions_open(&r->conditions, false, r->line, err);
}

static enum outcome
read_if(struct reader *r, struct slice rest, struct err *err)
{
	return conditions_if(&r->conditions, rest, r->line, err);
}

static enum outcome
read_else(struct reader *r, struct slice rest, struct err *err)
{
	return rest.len == 0 ? conditions_else(&r->conditions, err) : broken(err, "stands alone on its line");
}

static enum outcome
read_endif(struct reader *r, struct slice rest, struct err *err)
{
	return rest.len == 0 ? conditions_end(&r->conditions, err) : broken(err, "stands alone on its line");
}

/* ---- lines ---- */

static const struct directive {
	const char *name;
	enum outcome (*read)(struct reader *, struct slice rest, struct err *);
	bool always;		/* read even where a condition does not hold */
} directives[] = {
	{ "header",     read_header,       false },
	{ "body",       read_body,         false },
	{ "rawbody",    read_rawbody,      false },
	{ "full",       read_full,         false },
	{ "meta",       read_meta,         false },
	{ "uri",        read_foreign_rule, false },
	{ "mimeheader", read_foreign_rule, false },
	{ "score",      read_score,        false },
	{ "describe",   read_describe,     false },
	{ "tflags",     read_tflags,       false },
	{ "ifplugin",   read_ifplugin,     true },
	{ "if",         read_if,           true },
	{ "else",       read_else,         true },
	{ "endif",      read_endif,        true },
	/* These change nothing that hits: in which order rules run, what SpamAssassin's own
	 * authors test with. */
	{ "priority",   read_silently,     false },
	{ "reuse",      read_silently,     false },
	{ "test",       read_silently,     false },
};

/* Cuts the comment off and takes the backslash from each \#, in place: neither makes it longer. */
static struct slice
without_comment(char *line, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '#') {
			if (i == 0 || line[i - 1] != '\\')
				break;
			out--;		/* the backslash */
		}
		line[out++] = line[i];
	}
	while (out > 0 && memchr(" \t\r\n\v\f", line[out - 1], 6) != NULL)
		out--;
	return slice_trim((struct slice){ line, out });
}

/* "lang de describe ...": ours are the texts in English. False: the line is not for us. */
static bool
is_our_language(struct slice *line)
{
	struct slice rest = *line, code;

	if (!slice_iis(slice_word(&rest), "lang"))
		return true;
	code = slice_word(&rest);
	*line = rest;
	return slice_iis(code, "en") || slice_iis(code, "en_US");
}

static enum outcome
read_line(struct reader *r, struct slice line, struct err *err)
{
	struct slice key;
	enum outcome outcome;

	if (!is_our_language(&line))
		return LINE_DONE;
	key = slice_word(&line);
	for (size_t i = 0; i < NITEMS(directives); i++) {
		if (!slice_iis(key, directives[i].name))
			continue;
		if (conditions_skip(&r->conditions) && !directives[i].always)
			return LINE_DONE;
		outcome = directives[i].read(r, line, err);
		if (outcome != LINE_DONE)
			err_set(err, "%s %s", directives[i].name, err->text);
		return outcome;
	}
	if (key.len == 0 || conditions_skip(&r->conditions))
		return LINE_DONE;
	err_set(err, "%.*s: not a setting of ours", printable(key), key.at);
	return LINE_UNSUPPORTED;
}

int
rules_text(struct rules *rules, const char *file, struct slice text, const struct rules_listener *listener,
    struct err *err)
{
	char **slot = mem_push(&rules->files, &rules->nfiles, sizeof(*rules->files));
	struct reader r = { .rules = rules, .file = *slot = mem_str(file) };
	char *copy = mem_new(RULES_LINE_MAX);
	enum outcome outcome = LINE_DONE;
	struct err why;

	while (text.len > 0 && outcome != LINE_BROKEN) {
		struct slice line = slice_cut(&text, '\n');

		r.line++;
		if (line.len > RULES_LINE_MAX) {
			err_set(&why, "longer than %d octets", RULES_LINE_MAX);
			outcome = LINE_BROKEN;
			break;
		}
		if (line.len > 0)
			memcpy(copy, line.at, line.len);
		outcome = read_line(&r, without_comment(copy, line.len), &why);
		if (outcome == LINE_UNSUPPORTED && listener->unsupported != NULL)
			listener->unsupported(listener->arg, r.file, r.line, why.text);
	}
	free(copy);
	if (outcome != LINE_BROKEN && r.conditions.n > 0) {
		r.line = r.conditions.list[r.conditions.n - 1].line;
		outcome = broken(&why, "this condition is never closed with endif");
	}
	return outcome == LINE_BROKEN ? err_set(err, "%s:%u: %s", file, r.line, why.text) : 0;
}
