/* rules.h - rules in SpamAssassin's language, their plain forms.
 *
 * header NAME Field =~ /re/flags     (also !~, exists:Field, Field:addr, :name, :raw, [if-unset: X]; the
 *                                     pseudo fields ALL, ToCc, EnvelopeFrom and MESSAGEID)
 * body | rawbody | full NAME /re/flags
 * meta NAME expression               && || ! ( ) + - * / & | ^ comparisons, numbers, rule names
 * score NAME n [n n n]               describe NAME text          tflags NAME multiple maxhits=N ...
 * if (version >= 4.0), ifplugin, else, endif; lang XX in front of a line
 *
 * What they mean stands in SpamAssassin's manual, Mail::SpamAssassin::Conf. A rule whose name begins with
 * __ has no score and is not reported. A rule without a score line has 1 (0.01 for T_ names; negative
 * with tflags nice); a score of 0 switches it off. Lines that ask for what is not supported (eval:,
 * uri, mimeheader, X-Spam-Relays-*, plugins) are counted and named, and their rules never hit. */
#ifndef FILTERS_RULES_H
#define FILTERS_RULES_H

#include "filters/mail.h"
#include "policy/facts.h"
#include "policy/findings.h"
#include "proxy/base/err.h"

#define RULES_MAX          20000	/* rules altogether */
#define RULES_MATCH_LIMIT  100000	/* PCRE2 match limit for one try */
#define RULES_DEPTH_LIMIT  1000
#define RULES_HEAP_LIMIT   1024		/* KiB */
#define RULES_TIME_MAX     3000		/* milliseconds of processor time for all rules over one message */

struct rules;

/* Reads the files in order (later lines override earlier ones) and compiles with JIT. NULL with
 * "FILE:LINE: sentence" when a line is broken; unsupported lines go to `unsupported` (may be NULL). */
struct rules *rules_load(char *const *files, size_t nfiles,
    void (*unsupported)(void *arg, const char *file, unsigned line, const char *why), void *arg, struct err *);
/* The same in two steps: the files' bytes are read by a process that may read them, and parsed after
 * it has become one that may not. */
struct rules_files;
struct rules_files *rules_files_read(char *const *files, size_t nfiles, struct err *);
struct rules *rules_files_load(const struct rules_files *,
    void (*unsupported)(void *arg, const char *file, unsigned line, const char *why), void *arg, struct err *);
void rules_files_free(struct rules_files **);

void rules_free(struct rules **);
size_t rules_count(const struct rules *);
const char *rules_library(void);		/* PCRE2's version */		/* that run: defined, supported, not switched off */
size_t rules_without_jit(const struct rules *);		/* regular expressions left to the interpreter: slow */

/* Runs all rules over one message. A regular expression that runs into its limits, and rules that found no
 * time left, are a FINDING_LIMIT "RULE_LIMIT" naming the first such rule (text), once a message,
 * never a silent miss. Not for two threads at once. */
void rules_run(struct rules *, const struct mail *, const struct facts *, struct findings *);

#endif
