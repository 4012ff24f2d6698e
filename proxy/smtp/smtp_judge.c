/* A whole message is judged: who has it already, whether it has broken scanners, what is found in it, and what
 * each recipient's profile makes of that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

#define POISON_LAST    2	/* failures from which on it is scanned when nothing else waits */
#define POISON_ENOUGH  3	/* and those after which it is not scanned any more */
#define RCPT_DIGEST    8	/* octets of a recipient's digest, in the ledger */

void
smtp_facts(const struct smtp_session *s, struct facts *f, struct slice *rcpts)
{
	const struct smtp_transaction *t = s->t;

	*f = (struct facts){
		.id = slice_of(t->id),
		.hostname = slice_of(s->site->conf->hostname),
		.listener = slice_of(s->listener->name),
		.client = s->peer,
		.helo = slice_of(s->helo),
		.esmtp = s->esmtp,
		.utf8 = t->mail.utf8,
		.authenticated = s->user_mech != 0,
		.user = slice_of(s->user),
		.tls = slice_of(s->tls),
		.from = smtp_path_mailbox(&t->mail.from),
		.rcpts = rcpts,
		.nrcpts = t->nrcpts,
	};
	for (size_t i = 0; i < t->nrcpts; i++)
		rcpts[i] = smtp_path_mailbox(&t->rcpts[i].to.to);
	smtp_told_facts(s, f);
}

/* The ledger's key: who sends, from whom, what. The recipients stand in the entry. */
static void
make_keys(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;
	struct digest *d = digest_new();
	char client[ADDR_TEXT_MAX];

	digest_end(&t->digest, t->content.bytes);
	addr_host(&s->peer, client);
	digest_add_sized(d, s->user != NULL ? slice_of(s->user) : slice_of(client));
	digest_add_sized(d, smtp_path_mailbox(&t->mail.from));
	digest_add_sized(d, (struct slice){ (const char *)t->content.bytes, sizeof(t->content.bytes) });
	digest_end(&d, t->key.bytes);
	t->keyed = true;
}

void
smtp_rcpt_key(const struct smtp_rcpt *r, unsigned char out[RCPT_DIGEST])
{
	unsigned char all[DIGEST_SHA256_LEN];

	digest_sha256(smtp_path_mailbox(&r->to.to), all);
	memcpy(out, all, RCPT_DIGEST);
}

/* The gravest verdict is the one that the log line tells. */
static void
tell(struct smtp_transaction *t)
{
	const struct smtp_party *worst = NULL;

	for (size_t i = 0; i < t->nparties; i++)
		if (worst == NULL || t->parties[i].verdict.action > worst->verdict.action)
			worst = &t->parties[i];
	if (worst != NULL)
		t->verdict = worst->verdict;
}

/* The words with which a recipient's profile refuses. */
static void
refusal(const struct smtp_session *s, const struct smtp_rcpt *r, struct verdict *v)
{
	const struct smtp_transaction *t = s->t;
	struct profile_words words = { slice_of(t->id), smtp_path_mailbox(&t->mail.from), smtp_path_mailbox(&r->to.to),
		slice_of(s->site->conf->hostname) };

	*v = t->parties[r->party].verdict;
	if (v->action == CONF_REFUSE)
		profile_refusal(t->parties[r->party].profile, v, &words);
}

static void
give_fate(struct smtp_session *s, struct smtp_rcpt *r)
{
	struct verdict v;

	if (r->fate != FATE_OPEN)
		return;
	refusal(s, r, &v);
	switch (v.action) {
	case CONF_ACCEPT:
	case CONF_TAG:
		break;
	case CONF_QUARANTINE:
		smtp_set_fate(r, FATE_TO_HOLD, NULL);
		break;
	case CONF_DEFER:
		smtp_set_fate(r, FATE_DEFERRED, v.reply);
		break;
	case CONF_REFUSE:
		smtp_set_fate(r, FATE_REFUSED, v.reply);
		break;
	}
}

static bool
any(const struct smtp_transaction *t, enum smtp_fate fate)
{
	return smtp_first_with(t, fate) != NULL;
}

static bool
is_strict(const struct smtp_transaction *t)
{
	for (size_t i = 0; i < t->nparties; i++)
		if (t->parties[i].profile->split == CONF_SPLIT_STRICTEST)
			return true;
	return false;
}

/* Without PRDR there is one answer: what some refuse and others take is held for those who refuse it, or
 * refused for all. One copy that must be put off puts off the whole message. */
static void
make_one_answer(struct smtp_transaction *t)
{
	bool taken = any(t, FATE_OPEN) || any(t, FATE_TO_HOLD) || any(t, FATE_KNOWN), strict = is_strict(t);
	const struct smtp_rcpt *deciding = smtp_first_with(t, FATE_DEFERRED);

	if (deciding == NULL && strict)
		deciding = smtp_first_with(t, FATE_REFUSED);
	for (size_t i = 0; i < t->nrcpts; i++) {
		struct smtp_rcpt *r = &t->rcpts[i];

		if (deciding != NULL && r != deciding && r->fate != FATE_KNOWN)
			smtp_set_fate(r, deciding->fate, deciding->words);
		else if (deciding == NULL && taken && r->fate == FATE_REFUSED)
			smtp_set_fate(r, FATE_TO_HOLD, r->words);
	}
}

static void
decide(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	tell(t);
	for (size_t i = 0; i < t->nrcpts; i++)
		give_fate(s, &t->rcpts[i]);
	if (!smtp_prdr(s))
		make_one_answer(t);
	smtp_enter(s, SMTP_DELIVER);
	s->waiting = true;
	smtp_settle(s);
}

static void
judge_by(struct smtp_session *s, const struct findings *found)
{
	struct smtp_transaction *t = s->t;

	t->judged_at = loop_now(s->server->loop);
	t->findings = mem_new(sizeof(*t->findings));
	*t->findings = *found;
	for (size_t i = 0; i < t->nparties; i++)
		profile_judge(t->parties[i].profile, found, &t->parties[i].verdict);
	decide(s);
}

static void
on_findings(void *owner, const struct scan_answer *a)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = s->t;

	t->ticket = NULL;
	if (a->broke)
		keeper_poison_add(s->server->keeper, &t->content);
	if (a->found != NULL) {
		judge_by(s, a->found);
		return;
	}
	t->judged_at = loop_now(s->server->loop);
	for (size_t i = 0; i < t->nparties; i++)
		profile_unjudged(&t->parties[i].verdict, a->why);
	decide(s);
}

static void
scan(struct smtp_session *s)
{
	const struct conf *conf = s->site->conf;
	struct smtp_transaction *t = s->t;
	struct scan_limits limits = { conf->scan_wait, conf->scan_timeout, conf->scan_budget, t->poison >= POISON_LAST };
	static struct findings broken;
	struct slice *rcpts;
	struct facts facts;

	if (conf->nrules == 0 && !conf->antivirus.on) {
		for (size_t i = 0; i < t->nparties; i++)
			t->parties[i].verdict = (struct verdict){ .action = CONF_ACCEPT, .word = "accept" };
		decide(s);
		return;
	}
	if (t->poison >= POISON_ENOUGH) {
		memset(&broken, 0, sizeof(broken));
		findings_add(&broken, FINDING_LIMIT, "Gatepost.BreaksScanners", 0, "scanners died of this message");
		judge_by(s, &broken);
		return;
	}
	rcpts = mem_array(t->nrcpts, sizeof(*rcpts));
	smtp_facts(s, &facts, rcpts);
	t->ticket = scan_submit(s->server->scanners, spool_fd(t->spool), spool_size(t->spool), &facts, limits, on_findings, s);
	free(rcpts);
}

static void
on_poison(void *owner, unsigned failures)
{
	struct smtp_session *s = owner;

	s->t->question = NULL;
	s->t->poison = failures;
	scan(s);
}

static void
ask_poison(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	if (keeper_poison_may_know(s->server->keeper, &t->content))
		t->question = keeper_poison_ask(s->server->keeper, &t->content, on_poison, s);
	else
		scan(s);
}

/* Recipients that an earlier attempt has reached, of which its sender has not heard. */
static void
on_ledger(void *owner, const struct keeper_commit *entry)
{
	struct smtp_session *s = owner;
	struct smtp_transaction *t = s->t;
	unsigned char key[RCPT_DIGEST];
	size_t known = 0;
	char words[KEEPER_TEXT_MAX];

	t->question = NULL;
	for (size_t i = 0; entry != NULL && i < t->nrcpts; i++) {
		smtp_rcpt_key(&t->rcpts[i], key);
		for (size_t k = 0; k < entry->nrcpts; k++)
			if (memcmp(entry->rcpts[k], key, sizeof(key)) == 0 && t->rcpts[i].fate == FATE_OPEN) {
				snprintf(words, sizeof(words), "%.*s", (int)entry->reply.len, entry->reply.at);
				smtp_set_fate(&t->rcpts[i], FATE_KNOWN, words);
				known++;
			}
	}
	if (known < t->nrcpts) {
		ask_poison(s);
		return;
	}
	t->verdict.word = "accept";
	snprintf(t->verdict.why, sizeof(t->verdict.why), "delivered before, when its sender did not hear so");
	smtp_enter(s, SMTP_DELIVER);
	smtp_settle(s);
}

enum smtp_step
smtp_judge(struct smtp_session *s)
{
	struct smtp_transaction *t = s->t;

	make_keys(s);
	smtp_enter(s, SMTP_JUDGE);
	s->waiting = true;
	if (keeper_ledger_may_know(s->server->keeper, &t->key))
		t->question = keeper_ledger_ask(s->server->keeper, &t->key, on_ledger, s);
	else
		ask_poison(s);
	return STEP_WAIT;
}
