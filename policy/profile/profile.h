/* profile.h - findings become a verdict. Pure: no I/O, no clock, no state. */
#ifndef POLICY_PROFILE_PROFILE_H
#define POLICY_PROFILE_PROFILE_H

#include "conf/conf.h"
#include "policy/findings.h"

#define VERDICT_TEXT_MAX  200
#define VERDICT_REPLY_MAX 501	/* RFC 5321 section 4.5.3.1.5: 512 octets with the line's end */

struct verdict {
	enum conf_action action;
	const char *word;			/* "accept", "tag", "quarantine", "defer", "refuse": as it is logged */
	char why[VERDICT_TEXT_MAX];		/* "score 16.2 of 15", "virus Win.Test.EICAR_HDB-1"; empty on accept */
	char reply[VERDICT_REPLY_MAX];		/* refuse, defer: "550 5.7.1 Message refused"; one line without CR LF */
};

/* The worst of virus, unscannable and score decides. The reply to a refusal has the refuse-text as it stands:
 * profile_refusal() fills it in. */
void profile_judge(const struct conf_profile *, const struct findings *, struct verdict *);

/* What the {words} of a refuse-text stand for. Whatever is in them, the reply stays one line of printable ASCII. */
struct profile_words {
	struct slice id, from, to, host;
};

/* Writes the reply of a verdict that refuses anew: "550 5.7.1 TEXT (id ID)"; the id stands behind a text that does
 * not name it itself. Other verdicts stay as they are. */
void profile_refusal(const struct conf_profile *, struct verdict *, const struct profile_words *);

/* What could not be judged at all. */
void profile_unjudged(struct verdict *, const char *why);

/* Appends our header fields (each line ended by CR LF): X-Spam-Flag when tagged, X-Spam-Score and
 * X-Spam-Status always. False when they do not fit. */
bool profile_headers(const struct conf_profile *, const struct findings *, const struct verdict *,
    const char *hostname, struct buf *);

/* Whether profile_headers() writes the same for both, the findings being the same. */
bool profile_same_headers(const struct conf_profile *, const struct verdict *, const struct conf_profile *, const struct verdict *);

/* Whether a field of this name is one of ours, which nobody else may have put there. */
bool profile_owns_field(struct slice name);

/* "12.5" for 12500 thousandths; rounded to tenths as SpamAssassin shows scores. */
void profile_score_text(int32_t score, char out[16]);

#endif
