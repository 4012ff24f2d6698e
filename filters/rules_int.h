/* rules_int.h - what the files of the rule engine share among themselves.
 *
 * rules.c        the door: loads, orders, switches off
 * rules_parse.c  lines of a .cf file become rules
 * rules_if.c     which lines of it count: if, ifplugin, else, endif
 * rules_regex.c  /pattern/flags becomes a compiled regular expression
 * rules_meta.c   an expression becomes steps, steps become a number
 * rules_field.c  what a header rule looks at
 * rules_match.c  runs everything over one message */
#ifndef FILTERS_RULES_INT_H
#define FILTERS_RULES_INT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "filters/rules.h"
#include "proxy/base/buf.h"

#define RULES_LINE_MAX 65536		/* octets of one line; SpamAssassin ships lines of 5,000 */
#define RULES_FILE_MAX (16u << 20)	/* octets of one file */
#define RULES_IF_MAX   32		/* conditionals inside each other */
#define FIELD_TEXT_MAX (8u << 20)	/* octets; MIME_HEADER_MAX decoded is less */

/* What became of a line. Both others say why in a struct err. */
enum outcome { LINE_DONE, LINE_BROKEN, LINE_UNSUPPORTED };

/* ---- expressions: of meta rules and of `if` lines ---- */

enum step_op {
	STEP_NUMBER, STEP_RULE,
	STEP_NOT, STEP_NEGATE,
	STEP_MULTIPLY, STEP_DIVIDE, STEP_ADD, STEP_SUBTRACT,
	STEP_LESS, STEP_LESS_EQUAL, STEP_MORE, STEP_MORE_EQUAL, STEP_EQUAL, STEP_NOT_EQUAL,
	STEP_BIT_AND, STEP_BIT_OR, STEP_BIT_XOR,
	STEP_AND, STEP_OR,
};

struct step {
	enum step_op op;
	double number;		/* STEP_NUMBER */
	size_t rule;		/* STEP_RULE: its place in struct rules */
};

struct expr {
	struct step *steps;	/* in postfix order */
	size_t nsteps;
	size_t depth;		/* how many values its evaluation stacks at most */
};

/* Says what a word stands for, as a STEP_NUMBER or STEP_RULE. What follows the word may be taken
 * off *rest, as can(...) needs it. */
struct expr_words {
	enum outcome (*meaning)(void *arg, struct slice word, struct slice *rest, struct step *, struct err *);
	void *arg;
};

enum outcome expr_compile(struct slice text, const struct expr_words *, struct expr **, struct err *);
double expr_value(const struct expr *, const double *rules, double *stack);	/* stack: `depth` values */
void expr_free(struct expr **);

/* ---- conditionals of a file ---- */

struct conditions {
	struct condition {
		unsigned line;
		bool holds;
		bool has_else;
	} list[RULES_IF_MAX];
	size_t n;
};

bool conditions_skip(const struct conditions *);	/* lines are not for us */
enum outcome conditions_open(struct conditions *, bool holds, unsigned line, struct err *);
enum outcome conditions_if(struct conditions *, struct slice expression, unsigned line, struct err *);
enum outcome conditions_else(struct conditions *, struct err *);
enum outcome conditions_end(struct conditions *, struct err *);

/* ---- what a header rule looks at ---- */

enum field_form { FORM_DECODED, FORM_RAW, FORM_ADDR, FORM_NAME };
enum field_pick { PICK_ALL, PICK_FIRST, PICK_LAST };

struct field {
	char *name;		/* of a header field, or a pseudo field's */
	enum field_form form;
	enum field_pick pick;
};

/* A message's fields in the order of their names, so that looking one up costs the same whatever
 * a message brings. */
struct field_index {
	const struct mail *mail;
	const struct mail_field **fields;
	size_t nfields;
};

enum outcome field_parse(struct slice text, struct field *, struct err *);
bool field_same(const struct field *, const struct field *);
int field_compare(const struct field *, const struct field *);

void field_index_make(struct field_index *, const struct mail *);
void field_index_free(struct field_index *);

/* What a header rule's regular expression sees: the values of all fields of that name, one a line. */
struct field_text {
	struct buf buf;
	bool exists;
	bool full;		/* there is more than FIELD_TEXT_MAX */
};

void field_text_make(struct field_text *, const struct field *, const struct field_index *, const struct facts *);
void field_text_free(struct field_text *);

/* ---- regular expressions ---- */

enum outcome regex_compile(struct slice text, pcre2_code **, struct err *);

/* ---- rules ---- */

enum rule_kind {
	RULE_UNDEFINED,		/* named by score, describe, tflags or a meta rule only */
	RULE_UNSUPPORTED,
	RULE_EXISTS,
	RULE_HEADER,
	RULE_BODY,
	RULE_RAWBODY,
	RULE_FULL,
	RULE_META,
};

struct rule {
	char *name;
	size_t number;		/* its place in struct rules */
	enum rule_kind kind;
	const char *file;	/* where it is defined */
	unsigned line;
	char *describe;		/* may be NULL */
	bool sub;		/* __NAME: neither scored nor reported */
	bool scored;		/* there is a score line */
	bool off;
	int32_t score;		/* thousandths */

	bool multiple;		/* tflags */
	bool nosubject;
	bool nice;
	uint32_t maxhits;	/* 0: no limit */

	pcre2_code *regex;	/* all kinds but exists and meta */
	bool negated;		/* header: !~ */
	struct field field;	/* header, exists */
	char *if_unset;		/* header; may be NULL */
	struct expr *expr;	/* meta */
};

struct rule_list {
	struct rule **list;
	size_t n;
};

struct rules {
	struct rule **all;	/* in order of appearance */
	size_t nall;
	void *by_name;		/* tsearch(3) */
	char **files;
	size_t nfiles;

	/* What runs, in the order in which it runs. Header rules stand grouped by what they look
	 * at, meta rules behind those that they need. */
	struct rule_list header, body, rawbody, full, meta;
	size_t without_jit;

	/* What a run needs, made when loading, so that a forked scanner asks for nothing new. A
	 * run leaves nothing behind in it that the next one looks at. */
	pcre2_match_context *limits;
	pcre2_match_data *match;
	pcre2_jit_stack *jit_stack;
	double *values;		/* of each rule, as meta rules see it */
	double *stack;
};

/* Who hears of lines that are not supported. */
struct rules_listener {
	void (*unsupported)(void *arg, const char *file, unsigned line, const char *why);	/* may be NULL */
	void *arg;
};

/* Loading by hand: rules_begin, rules_text as often as needed, rules_finish. */
struct rules *rules_begin(void);
int rules_text(struct rules *, const char *file, struct slice text, const struct rules_listener *, struct err *);
int rules_finish(struct rules *, struct err *);

/* The rule of this name, made when there is none; NULL when there are too many. */
struct rule *rules_name(struct rules *, struct slice name);
void rule_forget(struct rule *);	/* its definition; score, description and flags stay */

#endif
