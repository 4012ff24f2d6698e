/* profile.h - findings become a verdict. Pure: no I/O, no clock, no state. */
#ifndef POLICY_PROFILE_PROFILE_H
#define POLICY_PROFILE_PROFILE_H

#include "conf/conf.h"
#include "policy/findings.h"

#define VERDICT_TEXT_MAX 200

struct verdict {
	enum conf_action action;
	const char *word;			/* "accept", "tag", "refuse", "defer": as it is logged */
	char why[VERDICT_TEXT_MAX];		/* "score 16.2 of 15", "virus Win.Test.EICAR_HDB-1"; empty on accept */
	char reply[VERDICT_TEXT_MAX];		/* refuse, defer: "550 5.7.1 Message refused"; one line without CR LF */
};

/* The worst of virus, unscannable and score decides. */
void profile_judge(const struct conf_profile *, const struct findings *, struct verdict *);

/* What could not be judged at all. */
void profile_unjudged(struct verdict *, const char *why);

/* Appends our header fields (each line ended by CR LF): X-Spam-Flag when tagged, X-Spam-Score and
 * X-Spam-Status always. False when they do not fit. */
bool profile_headers(const struct conf_profile *, const struct findings *, const struct verdict *,
    const char *hostname, struct buf *);

/* Whether a field of this name is one of ours, which nobody else may have put there. */
bool profile_owns_field(struct slice name);

/* "12.5" for 12500 thousandths; rounded to tenths as SpamAssassin shows scores. */
void profile_score_text(int32_t score, char out[16]);

#endif
