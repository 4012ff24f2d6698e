/* conf_profile.c - what a profile does not say is as in the one it comes from. */
#include <string.h>

#include "conf/conf_load.h"

#define FROM_MAX 16	/* profiles that come from each other */

static const struct conf_where *
place_of(const struct conf_profile *p, const char *setting)
{
	return p->written != NULL ? conf_tree_place(p->written, setting) : &p->where;
}

/* Every way up ends at "default", after a few steps. */
static int
check_circle(struct conf_load *ld, const struct conf_profile *p)
{
	const struct conf_profile *q = p->from;

	for (unsigned steps = 0; q != NULL && steps < FROM_MAX; steps++, q = q->from)
		if (q == p)
			return conf_err(ld->err, place_of(p, "from"), "the profile %s comes from itself in the end: leave one \"from\" of the "
			    "circle away", p->name);
	return 0;
}

static int
check_depth(struct conf_load *ld, const struct conf_profile *p)
{
	unsigned depth = 0;

	for (const struct conf_profile *q = p->from; q != NULL; q = q->from)
		if (++depth > FROM_MAX)
			return conf_err(ld->err, place_of(p, "from"), "expected profiles to come from each other at most %d deep", FROM_MAX);
	return 0;
}

const struct conf_node *
conf_profile_says(const struct conf_profile *p, const char *setting, const struct conf_profile **who)
{
	for (; p != NULL; p = p->from) {
		const struct conf_node *node = p->written != NULL ? conf_node_child(p->written, setting) : NULL;

		if (node == NULL)
			continue;
		*who = p;
		return node;
	}
	return NULL;
}

static int
fill(struct conf_load *ld, struct conf_profile *p)
{
	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];
		const struct conf_profile *who = p;
		const struct conf_node *node;
		int rc = 0;

		if (row->block != CONF_IN_PROFILE || !row->inherits)
			continue;
		node = conf_profile_says(p, row->name, &who);
		if (node == NULL)
			rc = conf_value_preset(ld, row, &p->where, p);
		else if (who != p)
			rc = conf_value_set(ld, row, node, p);
		if (rc == -1)
			return -1;
	}
	return 0;
}

/* Some of them may have come from elsewhere: the message points at what was written here. */
static const struct conf_where *
culprit(const struct conf_profile *p, const char *one, const char *other)
{
	const char *const tries[] = { one, other, "from" };

	for (size_t i = 0; p->written != NULL && i < sizeof(tries) / sizeof(tries[0]); i++)
		if (conf_node_child(p->written, tries[i]) != NULL)
			return conf_tree_place(p->written, tries[i]);
	return &p->where;
}

static int
check_scores(struct conf_load *ld, const struct conf_profile *p)
{
	if (p->refuse_score < p->tag_score)
		return conf_err(ld->err, culprit(p, "refuse-score", "tag-score"), "refuse-score is below tag-score: nothing could be tagged");
	if (p->quarantine_score < p->tag_score)
		return conf_err(ld->err, culprit(p, "quarantine-score", "tag-score"),
		    "quarantine-score is below tag-score: nothing could be tagged");
	return 0;
}

int
conf_fill_profiles(struct conf_load *ld)
{
	struct conf *conf = ld->conf;

	conf->standard = conf_index_find(&ld->names[CONF_IN_PROFILE], "default");
	if (conf->standard->from != NULL)
		return conf_err(ld->err, place_of(conf->standard, "from"), "the profile default comes from no other: all others come from it");
	for (size_t i = 0; i < conf->nprofiles; i++)
		if (conf->profiles[i]->from == NULL && conf->profiles[i] != conf->standard)
			conf->profiles[i]->from = conf->standard;
	for (size_t i = 0; i < conf->nprofiles; i++)
		if (check_circle(ld, conf->profiles[i]) == -1)
			return -1;
	for (size_t i = 0; i < conf->nprofiles; i++)
		if (check_depth(ld, conf->profiles[i]) == -1)
			return -1;
	for (size_t i = 0; i < conf->nprofiles; i++)
		if (fill(ld, conf->profiles[i]) == -1 || check_scores(ld, conf->profiles[i]) == -1)
			return -1;
	return 0;
}
