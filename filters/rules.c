/* rules.c - the door of the rule engine: files are read, then everything is put in its order. */
#include "filters/rules.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/rules_int.h"
#include "proxy/base/mem.h"

#define JIT_STACK_FIRST (32u << 10)
#define JIT_STACK_MAX   (512u << 10)

/* ---- names ---- */

static int
compare_rule_names(const void *a, const void *b)
{
	return strcmp(((const struct rule *)a)->name, ((const struct rule *)b)->name);
}

struct rule *
rules_name(struct rules *rules, struct slice name)
{
	struct rule key = { .name = mem_slice(name) }, *rule;
	struct rule *const *found = tfind(&key, &rules->by_name, compare_rule_names);

	if (found != NULL || rules->nall == RULES_MAX) {
		free(key.name);
		return found != NULL ? *found : NULL;
	}
	rule = mem_new(sizeof(*rule));
	rule->name = key.name;
	rule->number = rules->nall;
	rule->sub = slice_starts(name, "__");
	*(struct rule **)mem_push(&rules->all, &rules->nall, sizeof(rule)) = rule;
	if (tsearch(rule, &rules->by_name, compare_rule_names) == NULL)
		abort();	/* no memory for a tree's node: as proxy/base/mem does */
	return rule;
}

void
rule_forget(struct rule *rule)
{
	pcre2_code_free(rule->regex);
	rule->regex = NULL;
	expr_free(&rule->expr);
	free(rule->field.name);
	free(rule->if_unset);
	rule->field.name = rule->if_unset = NULL;
	rule->negated = false;
	rule->kind = RULE_UNDEFINED;
}

/* ---- loading ---- */

struct rules *
rules_begin(void)
{
	return mem_new(sizeof(struct rules));
}

static void
keep_node(void *node)
{
	(void)node;	/* the rules are freed from the list */
}

void
rules_free(struct rules **rules)
{
	struct rules *r = *rules;

	if (r == NULL)
		return;
	tdestroy(r->by_name, keep_node);
	for (size_t i = 0; i < r->nall; i++) {
		rule_forget(r->all[i]);
		free(r->all[i]->name);
		free(r->all[i]->describe);
		free(r->all[i]);
	}
	for (size_t i = 0; i < r->nfiles; i++)
		free(r->files[i]);
	free(r->all);
	free(r->files);
	free(r->header.list);
	free(r->body.list);
	free(r->rawbody.list);
	free(r->full.list);
	free(r->meta.list);
	pcre2_match_data_free(r->match);
	pcre2_match_context_free(r->limits);
	pcre2_jit_stack_free(r->jit_stack);
	free(r->values);
	free(r->stack);
	free(r);
	*rules = NULL;
}

struct rules_files {
	size_t n;
	struct rules_file {
		char *path;
		struct buf text;
	} *list;
};

static int
read_one(struct rules_files *files, const char *path, struct err *err)
{
	struct rules_file *file = &files->list[files->n++];
	FILE *f = fopen(path, "re");
	size_t room = 1, got = 1;
	char *space;
	int rc = 0;

	file->path = mem_str(path);
	buf_init(&file->text, RULES_FILE_MAX + 1);
	if (f == NULL)
		return err_sys(err, "open %s", path);
	while (got > 0 && (space = buf_space(&file->text, 65536, &room)) != NULL) {
		got = fread(space, 1, room, f);
		buf_filled(&file->text, got);
	}
	if (ferror(f))
		rc = err_sys(err, "read %s", path);
	else if (buf_len(&file->text) > RULES_FILE_MAX)
		rc = err_set(err, "%s: longer than %u octets", path, RULES_FILE_MAX);
	fclose(f);
	return rc;
}

struct rules_files *
rules_files_read(char *const *paths, size_t n, struct err *err)
{
	struct rules_files *files = mem_new(sizeof(*files));

	files->list = mem_array(n, sizeof(*files->list));
	while (files->n < n)
		if (read_one(files, paths[files->n], err) == -1) {
			rules_files_free(&files);
			return NULL;
		}
	return files;
}

void
rules_files_free(struct rules_files **filesp)
{
	struct rules_files *files = *filesp;

	if (files == NULL)
		return;
	for (size_t i = 0; i < files->n; i++) {
		free(files->list[i].path);
		buf_free(&files->list[i].text);
	}
	free(files->list);
	free(files);
	*filesp = NULL;
}

struct rules *
rules_files_load(const struct rules_files *files,
    void (*unsupported)(void *arg, const char *file, unsigned line, const char *why), void *arg, struct err *err)
{
	const struct rules_listener listener = { unsupported, arg };
	struct rules *rules = rules_begin();

	for (size_t i = 0; i < files->n; i++)
		if (rules_text(rules, files->list[i].path, buf_slice(&files->list[i].text), &listener, err) == -1) {
			rules_free(&rules);
			return NULL;
		}
	if (rules_finish(rules, err) == -1)
		rules_free(&rules);
	return rules;
}

struct rules *
rules_load(char *const *paths, size_t n,
    void (*unsupported)(void *arg, const char *file, unsigned line, const char *why), void *arg, struct err *err)
{
	struct rules_files *files = rules_files_read(paths, n, err);
	struct rules *rules = files != NULL ? rules_files_load(files, unsupported, arg, err) : NULL;

	rules_files_free(&files);
	return rules;
}

/* ---- the order in which rules run ---- */

static void
list_push(struct rule_list *list, struct rule *rule)
{
	*(struct rule **)mem_push(&list->list, &list->n, sizeof(rule)) = rule;
}

static int
compare_by_field(const void *a, const void *b)
{
	const struct rule *r = *(struct rule *const *)a, *s = *(struct rule *const *)b;
	int order = field_compare(&r->field, &s->field);

	return order != 0 ? order : (r->number > s->number) - (r->number < s->number);
}

static void
sort_in(struct rules *rules, struct rule *rule)
{
	switch (rule->kind) {
	case RULE_UNDEFINED:
	case RULE_UNSUPPORTED:
		return;
	case RULE_EXISTS:
	case RULE_HEADER:
		list_push(&rules->header, rule);
		return;
	case RULE_BODY:
		list_push(&rules->body, rule);
		return;
	case RULE_RAWBODY:
		list_push(&rules->rawbody, rule);
		return;
	case RULE_FULL:
		list_push(&rules->full, rule);
		return;
	case RULE_META:
		return;		/* order_metas() */
	}
}

static void
set_default_score(struct rule *rule)
{
	if (rule->scored)
		return;
	rule->score = slice_starts(slice_of(rule->name), "T_") ? 10 : 1000;
	if (rule->nice)
		rule->score = -rule->score;
}

/* A JIT that is forbidden (no memory that can be written and run) is no failure: the interpreter gives the
 * same answers under the same limits, many times slower. It is counted. */
static void
compile_jit(struct rules *rules, struct rule *rule)
{
	if (rule->regex != NULL && pcre2_jit_compile(rule->regex, PCRE2_JIT_COMPLETE) != 0)
		rules->without_jit++;
}

static const struct step *
next_meta(const struct rules *rules, const struct expr *e, const struct step *step)
{
	for (; step < e->steps + e->nsteps; step++)
		if (step->op == STEP_RULE && rules->all[step->rule]->kind == RULE_META)
			return step;
	return NULL;
}

/* A meta without a place that this one needs; `left` tells which have none. A rule without a place
 * needs at least one. */
static const struct rule *
unplaced_need(const struct rules *rules, const size_t *left, const struct rule *rule)
{
	const struct step *step = rule->expr->steps;

	for (; (step = next_meta(rules, rule->expr, step)) != NULL; step++)
		if (left[step->rule] > 0)
			return rules->all[step->rule];
	return rule;
}

/* From any rule without a place the way from need to need ends in a circle. The rule of it that
 * was named first is reported. */
static int
report_circle(const struct rules *rules, const size_t *left, const struct rule *rule, struct err *err)
{
	const struct rule *first, *next;

	for (size_t i = 0; i < rules->nall; i++)
		rule = unplaced_need(rules, left, rule);
	first = rule;
	for (next = unplaced_need(rules, left, rule); next != rule; next = unplaced_need(rules, left, next))
		if (next->number < first->number)
			first = next;
	next = unplaced_need(rules, left, first);
	return err_set(err, "%s:%u: meta %s needs itself%s%s", first->file, first->line, first->name,
	    next != first ? ", by way of " : "", next != first ? next->name : "");
}

/* Metas behind those that they need (Kahn's algorithm): no recursion, each use looked at once. */
static int
order_metas(struct rules *rules, struct err *err)
{
	size_t *left = mem_array(rules->nall, sizeof(*left));	/* uses of metas that have no place yet */
	struct rule_list *users = mem_array(rules->nall, sizeof(*users));
	struct rule_list ready = { NULL, 0 };
	int rc = 0;

	for (size_t i = 0; i < rules->nall; i++) {
		struct rule *rule = rules->all[i];

		if (rule->kind != RULE_META)
			continue;
		for (const struct step *step = rule->expr->steps;
		     (step = next_meta(rules, rule->expr, step)) != NULL; step++) {
			list_push(&users[step->rule], rule);
			left[i]++;
		}
		if (left[i] == 0)
			list_push(&ready, rule);
	}
	for (size_t i = 0; i < ready.n; i++) {
		const struct rule_list *waiting = &users[ready.list[i]->number];

		if (!ready.list[i]->off)
			list_push(&rules->meta, ready.list[i]);
		for (size_t j = 0; j < waiting->n; j++)
			if (--left[waiting->list[j]->number] == 0)
				list_push(&ready, waiting->list[j]);
	}
	for (size_t i = 0; i < rules->nall && rc == 0; i++)
		if (left[i] > 0)
			rc = report_circle(rules, left, rules->all[i], err);
	for (size_t i = 0; i < rules->nall; i++)
		free(users[i].list);
	free(users);
	free(ready.list);
	free(left);
	return rc;
}

static void
prepare_runs(struct rules *rules)
{
	size_t depth = 1;

	for (size_t i = 0; i < rules->meta.n; i++)
		if (rules->meta.list[i]->expr->depth > depth)
			depth = rules->meta.list[i]->expr->depth;
	rules->stack = mem_array(depth, sizeof(*rules->stack));
	rules->values = mem_array(rules->nall, sizeof(*rules->values));
	rules->match = pcre2_match_data_create(1, NULL);	/* where the whole match is, no groups */
	rules->limits = pcre2_match_context_create(NULL);
	rules->jit_stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MAX, NULL);
	if (rules->match == NULL || rules->limits == NULL)
		abort();	/* as proxy/base/mem does */
	pcre2_set_match_limit(rules->limits, RULES_MATCH_LIMIT);
	pcre2_set_depth_limit(rules->limits, RULES_DEPTH_LIMIT);
	pcre2_set_heap_limit(rules->limits, RULES_HEAP_LIMIT);
	/* Without a stack of its own (no JIT in this build) PCRE2 takes 32 KiB of the machine's. */
	pcre2_jit_stack_assign(rules->limits, NULL, rules->jit_stack);
}

int
rules_finish(struct rules *rules, struct err *err)
{
	for (size_t i = 0; i < rules->nall; i++) {
		struct rule *rule = rules->all[i];

		set_default_score(rule);
		if (rule->off)
			continue;
		compile_jit(rules, rule);
		sort_in(rules, rule);
	}
	if (rules->header.n > 0)
		qsort(rules->header.list, rules->header.n, sizeof(struct rule *), compare_by_field);
	if (order_metas(rules, err) == -1)
		return -1;
	prepare_runs(rules);
	return 0;
}

size_t
rules_count(const struct rules *rules)
{
	return rules->header.n + rules->body.n + rules->rawbody.n + rules->full.n + rules->meta.n;
}

size_t
rules_without_jit(const struct rules *rules)
{
	return rules->without_jit;
}
