/* findings.h - what was found in one message; no decision. Everyone may read it.
 *
 * Scanners fill it, policy/profile judges it. The caps keep it within one message between
 * processes, and a hostile scanner from growing a worker. */
#ifndef POLICY_FINDINGS_H
#define POLICY_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#define FINDINGS_MAX      200	/* more are counted in `dropped` (their scores still count) */
#define FINDING_NAME_MAX  96	/* octets with the NUL; printable ASCII without blanks */
#define FINDING_TEXT_MAX  160	/* octets with the NUL */

enum finding_kind {
	FINDING_RULE,		/* a rule hit; score counts */
	FINDING_VIRUS,		/* the antivirus found malware */
	FINDING_LIMIT,		/* by its nature not wholly judged: too deep, too many parts, bomb, encrypted */
};

struct finding {
	enum finding_kind kind;
	int32_t score;			/* thousandths of a point; 0 for the other kinds */
	char name[FINDING_NAME_MAX];	/* rule, signature or limit */
	char text[FINDING_TEXT_MAX];	/* the rule's description; may be empty */
};

struct findings {
	int32_t score;			/* the sum of all rule hits, thousandths */
	unsigned n, dropped;
	struct finding list[FINDINGS_MAX];
	/* Microseconds that each stage took. */
	uint32_t mime_us, rules_us, av_us;
};

/* Appends one; name and text are made printable and cut. Adds a rule's score to the sum
 * (saturating at +-1,000,000). In a full list a virus or a limit takes the place of the rule hit
 * that weighs least, so that no number of rule hits hides one. */
void findings_add(struct findings *, enum finding_kind, const char *name, int32_t score, const char *text);

#endif
