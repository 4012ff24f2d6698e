/* rules_match.c - runs all rules over one message.
 *
 * Header rules look at a field's text, body and rawbody rules at pieces of 2 to 4 KiB (as in
 * SpamAssassin, and so that one search stays short), full rules at everything. Meta rules come
 * last and work with how often the others hit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

#define PIECE_MAX 2048		/* octets of a paragraph; raw text goes up to twice that */
#define STEP_MAX  4096		/* places where a match may begin, between two looks at the clock */

struct piece {
	struct slice text;
	bool subject;			/* of the message: tflags nosubject passes it over */
};

struct pieces {
	struct piece *list;
	size_t n;
};

struct run {
	struct rules *rules;
	const struct mail *mail;
	struct findings *findings;
	int64_t deadline;		/* by the wall clock */
	int64_t cpu_deadline;		/* of processor time: see is_late() */
	bool late;
	const struct rule *limited;	/* the first one that ran into a limit */
	size_t nlimited;
};

/* ---- pieces ---- */

static void
add_piece(struct pieces *pieces, struct slice text, bool subject)
{
	*(struct piece *)mem_push(&pieces->list, &pieces->n, sizeof(struct piece)) = (struct piece){ text, subject };
}

static bool
has_subject(const struct mail *mail)
{
	for (size_t i = 0; i < mail->nfields; i++)
		if (slice_iis(slice_of(mail->fields[i].name), "Subject"))
			return true;
	return false;
}

/* A paragraph is cut behind a blank where there is one. The first paragraph is the Subject. */
static void
cut_paragraphs(struct pieces *pieces, const struct mail *mail)
{
	bool subject = has_subject(mail);
	size_t start = 0;

	for (size_t i = 0; i < mail->nparagraphs; i++) {
		struct slice rest = { mail->text + start, mail->paragraphs[i] - start };

		while (rest.len > PIECE_MAX) {
			const char *blank = memrchr(rest.at, ' ', PIECE_MAX);
			size_t len = blank != NULL ? (size_t)(blank - rest.at) + 1 : PIECE_MAX;

			add_piece(pieces, slice_part(rest, 0, len), subject && i == 0);
			rest = slice_part(rest, len, rest.len);
		}
		add_piece(pieces, rest, subject && i == 0);
		start = mail->paragraphs[i];
	}
}

/* The end of a raw piece: behind the first line end in its second half; of HTML that is one line,
 * behind a tag; or behind a blank. */
static size_t
raw_piece(struct slice rest)
{
	static const char ends[] = "\n> ";
	const char *at;

	if (rest.len <= 2 * PIECE_MAX)
		return rest.len;
	for (const char *end = ends; *end != '\0'; end++)
		if ((at = memchr(rest.at + PIECE_MAX, *end, PIECE_MAX)) != NULL)
			return (size_t)(at - rest.at) + 1;
	return PIECE_MAX;
}

static void
cut_raw(struct pieces *pieces, struct slice rest)
{
	while (rest.len > 0) {
		size_t len = raw_piece(rest);

		add_piece(pieces, slice_part(rest, 0, len), false);
		rest = slice_part(rest, len, rest.len);
	}
}

/* ---- limits ---- */

static int64_t
clock_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The time that counts is the processor's: a busy machine is not the message's fault. The wall
 * clock costs no system call, so it is asked first. */
static bool
is_late(struct run *run)
{
	if (!run->late && clock_ms(CLOCK_MONOTONIC) >= run->deadline)
		run->late = clock_ms(CLOCK_PROCESS_CPUTIME_ID) >= run->cpu_deadline;
	return run->late;
}

static void
note_limit(struct run *run, const struct rule *rule)
{
	if (run->limited == NULL)
		run->limited = rule;
	run->nlimited++;
}

/* Never a silent miss: whoever judges must know that not all was seen. */
static void
report_limits(struct run *run)
{
	const char *why = run->late ? "no time left" : "a regular expression took too long";
	char text[FINDING_NAME_MAX + FINDING_TEXT_MAX];

	if (run->nlimited == 0)
		return;
	if (run->nlimited == 1)
		snprintf(text, sizeof(text), "%s: %s", run->limited->name, why);
	else
		snprintf(text, sizeof(text), "%s and %zu more rules: %s", run->limited->name, run->nlimited - 1, why);
	findings_add(run->findings, FINDING_LIMIT, "RULE_LIMIT", 0, text);
}

/* ---- one rule, one text ---- */

enum found { FOUND, NOT_FOUND, LIMITED };

/* Searches from `start` on; *match is what was found. PCRE2's match limit holds for each place at
 * which a match may begin, so a long text is searched in steps. */
static enum found
search(struct run *run, const struct rule *rule, struct slice text, size_t start, uint32_t options,
    struct slice *match)
{
	struct rules *rules = run->rules;

	for (;;) {
		const PCRE2_SIZE *at;
		int rc;

		if (is_late(run))
			return LIMITED;
		pcre2_set_offset_limit(rules->limits, start + STEP_MAX);
		rc = pcre2_match(rule->regex, (PCRE2_SPTR)text.at, text.len, start, options, rules->match, rules->limits);
		if (rc >= 0) {
			at = pcre2_get_ovector_pointer(rules->match);
			*match = slice_part(text, at[0], at[1] - at[0]);
			return FOUND;
		}
		if (rc != PCRE2_ERROR_NOMATCH)
			return LIMITED;
		if (text.len - start <= STEP_MAX)
			return NOT_FOUND;
		start += STEP_MAX + 1;
		options = 0;
	}
}

/* Adds to *hits. FOUND: no more are wanted; NOT_FOUND: the next piece of text may bring some. */
static enum found
count(struct run *run, const struct rule *rule, struct slice text, double *hits)
{
	uint32_t options = 0;
	size_t start = 0;
	enum found found;
	struct slice match;

	if (text.len == 0)
		text = SLICE("");
	while ((found = search(run, rule, text, start, options, &match)) == FOUND) {
		++*hits;
		if (!rule->multiple || (rule->maxhits > 0 && *hits >= rule->maxhits))
			return FOUND;
		/* As Perl's //g: behind an empty match the next one must not be empty at the same place. */
		start = (size_t)(match.at - text.at) + match.len;
		options = match.len == 0 ? PCRE2_NOTEMPTY_ATSTART : 0;
	}
	if (found == LIMITED)
		note_limit(run, rule);
	return found;
}

/* ---- the kinds of rules ---- */

static void
run_on_pieces(struct run *run, const struct rule_list *rules, const struct pieces *pieces)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = rules->list[i];
		enum found found = NOT_FOUND;

		for (size_t j = 0; j < pieces->n && found == NOT_FOUND; j++)
			if (!pieces->list[j].subject || !rule->nosubject)
				found = count(run, rule, pieces->list[j].text, &run->rules->values[rule->number]);
	}
}

static void
run_on_field(struct run *run, const struct rule *rule, const struct field_text *field)
{
	double *hits = &run->rules->values[rule->number];
	struct slice text = buf_slice(&field->buf);
	enum found found;

	if (rule->kind == RULE_EXISTS) {
		*hits = field->exists;
		return;
	}
	if (field->full)
		note_limit(run, rule);
	if (!field->exists)
		text = slice_of(rule->if_unset);
	found = count(run, rule, text, hits);
	if (rule->negated)
		*hits = found == NOT_FOUND && *hits == 0;
}

/* Rules stand grouped by their field: its text is made once. */
static void
run_headers(struct run *run, const struct facts *facts)
{
	const struct rule_list *rules = &run->rules->header;
	struct field_index index;
	struct field_text text = { .exists = false };

	field_index_make(&index, run->mail);
	for (size_t i = 0; i < rules->n; i++) {
		if (i == 0 || !field_same(&rules->list[i]->field, &rules->list[i - 1]->field)) {
			field_text_free(&text);
			field_text_make(&text, &rules->list[i]->field, &index, facts);
		}
		run_on_field(run, rules->list[i], &text);
	}
	field_text_free(&text);
	field_index_free(&index);
}

static void
run_body(struct run *run)
{
	struct pieces pieces = { NULL, 0 };

	if (run->rules->body.n > 0)
		cut_paragraphs(&pieces, run->mail);
	run_on_pieces(run, &run->rules->body, &pieces);
	free(pieces.list);
}

static void
run_rawbody(struct run *run)
{
	struct pieces pieces = { NULL, 0 };

	if (run->rules->rawbody.n > 0)
		cut_raw(&pieces, (struct slice){ run->mail->rawtext, run->mail->rawtext_len });
	run_on_pieces(run, &run->rules->rawbody, &pieces);
	free(pieces.list);
}

static void
run_full(struct run *run)
{
	struct piece whole = { .text = run->mail->full };

	run_on_pieces(run, &run->rules->full, &(struct pieces){ &whole, 1 });
}

static void
run_metas(struct run *run)
{
	struct rules *rules = run->rules;

	for (size_t i = 0; i < rules->meta.n; i++) {
		const struct rule *rule = rules->meta.list[i];

		rules->values[rule->number] = expr_value(rule->expr, rules->values, rules->stack);
	}
}

static void
report_hits(const struct rules *rules, struct findings *findings)
{
	for (size_t i = 0; i < rules->nall; i++) {
		const struct rule *rule = rules->all[i];
		double hits = rules->values[i];

		if (!rule->sub && (hits < 0 || hits > 0))
			findings_add(findings, FINDING_RULE, rule->name, rule->score, rule->describe);
	}
}

void
rules_run(struct rules *rules, const struct mail *mail, const struct facts *facts, struct findings *findings)
{
	struct run run = {
		.rules = rules,
		.mail = mail,
		.findings = findings,
		.deadline = clock_ms(CLOCK_MONOTONIC) + RULES_TIME_MAX,
		.cpu_deadline = clock_ms(CLOCK_PROCESS_CPUTIME_ID) + RULES_TIME_MAX,
	};

	for (size_t i = 0; i < rules->nall; i++)
		rules->values[i] = 0;
	run_headers(&run, facts);
	run_body(&run);
	run_rawbody(&run);
	run_full(&run);
	run_metas(&run);
	report_limits(&run);
	report_hits(rules, findings);
}
