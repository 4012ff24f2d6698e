#include "proxy/smtp/smtp_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/base/hash.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define REMEMBERED_MAX 100000	/* recipients; who was asked for longest ago makes room */
#define BUCKETS        65536
#define TEXT_MAX       200	/* octets of a refusal's words that are kept */
#define RUNNING_MAX    20	/* questions at a time to one server */
#define QUESTIONS_MAX  1000	/* running and waiting; who comes then hears 450 at once */
#define ANSWER_WAIT    20.0	/* seconds that a client waits, for its turn and for the answer */
#define DOUBT          "450 4.1.1 This recipient cannot be verified now, please try again later"

/* A recipient at a server, as two keyed hashes: addresses are long, and strangers choose them. */
struct key {
	uint64_t half[2];
};

struct verdict {
	int code;		/* 0: good */
	char text[TEXT_MAX];	/* the server's, one line, without the code */
};

struct memory {
	struct memory *next;		/* in its bucket */
	struct memory *older, *newer;
	struct key key;
	double until;
	int code;
	char *text;			/* NULL: good */
};

struct question {
	struct question *next;
	struct smtp_verify *verify;
	struct backend *at;
	struct key key;
	struct smtp_to to;
	double good, bad;
	struct smtp_backend *link;	/* NULL: it waits for its turn */
	bool mail_taken;
	struct smtp_check *checks;
};

struct smtp_check {
	struct smtp_check *next;	/* of its question */
	struct smtp_verify *verify;
	struct question *question;	/* NULL: the verdict is here */
	struct verdict verdict;
	void (*answer)(void *owner, const struct smtp_reply *refusal);
	void *owner;
	struct timer patience;
	struct loop_task done;
};

struct smtp_verify {
	struct loop *loop;
	struct smtp_pool *pool;
	unsigned char secret[2][HASH_KEY_LEN];
	struct memory **buckets;
	struct memory *oldest, *newest;
	unsigned remembered;
	struct question *questions;	/* in the order in which they came */
	unsigned nquestions;
	struct loop_task turn;
};

static void on_turn(void *);

struct smtp_verify *
smtp_verify_new(struct loop *loop, struct smtp_pool *pool)
{
	struct smtp_verify *v = mem_new(sizeof(*v));

	v->loop = loop;
	v->pool = pool;
	v->turn = (struct loop_task){ .run = on_turn, .owner = v };
	/* It does not fail for so few octets, nor wait once the machine is up. */
	if (getrandom(v->secret, sizeof(v->secret), 0) != sizeof(v->secret))
		log_error("getrandom: %m");
	return v;
}

static struct memory **
bucket_of(const struct smtp_verify *v, const struct key *key)
{
	return &v->buckets[key->half[0] % BUCKETS];
}

static void
forget(struct smtp_verify *v, struct memory *m)
{
	struct memory **at = bucket_of(v, &m->key);

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	*(m->older != NULL ? &m->older->newer : &v->oldest) = m->newer;
	*(m->newer != NULL ? &m->newer->older : &v->newest) = m->older;
	v->remembered--;
	free(m->text);
	free(m);
}

static void
put_newest(struct smtp_verify *v, struct memory *m)
{
	m->older = v->newest;
	m->newer = NULL;
	*(m->older != NULL ? &m->older->newer : &v->oldest) = m;
	v->newest = m;
}

static struct memory *
find_memory(struct smtp_verify *v, const struct key *key)
{
	struct memory *m = v->buckets != NULL ? *bucket_of(v, key) : NULL;

	while (m != NULL && memcmp(&m->key, key, sizeof(*key)) != 0)
		m = m->next;
	return m;
}

static void
remember(struct smtp_verify *v, const struct key *key, const struct verdict *verdict, double seconds)
{
	struct memory *m = find_memory(v, key);

	if (v->buckets == NULL)
		v->buckets = mem_array(BUCKETS, sizeof(*v->buckets));
	if (m != NULL)
		forget(v, m);
	if (seconds <= 0)
		return;
	if (v->remembered >= REMEMBERED_MAX)
		forget(v, v->oldest);
	m = mem_new(sizeof(*m));
	m->key = *key;
	m->until = loop_now(v->loop) + seconds;
	m->code = verdict->code;
	m->text = verdict->code != 0 ? mem_str(verdict->text) : NULL;
	m->next = *bucket_of(v, key);
	*bucket_of(v, key) = m;
	put_newest(v, m);
	v->remembered++;
}

/* False: it is not known, or was so too long ago. */
static bool
recall(struct smtp_verify *v, const struct key *key, struct verdict *verdict)
{
	struct memory *m = find_memory(v, key);

	if (m != NULL && m->until <= loop_now(v->loop)) {
		forget(v, m);
		m = NULL;
	}
	if (m == NULL)
		return false;
	*(m->older != NULL ? &m->older->newer : &v->oldest) = m->newer;
	*(m->newer != NULL ? &m->newer->older : &v->newest) = m->older;
	put_newest(v, m);
	*verdict = (struct verdict){ .code = m->code };
	if (m->text != NULL)
		slice_copy(slice_of(m->text), verdict->text, sizeof(verdict->text));
	return true;
}

/* Domains are the same in upper and lower case, local parts need not be (RFC 5321 section 2.4). The server counts by its
 * name: what it said before a reload holds after it. */
static struct key
key_of(const struct smtp_verify *v, const struct backend *at, const struct smtp_path *to)
{
	struct slice mailbox = smtp_path_mailbox(to);
	char text[CONF_NAME_MAX + 1 + SMTP_MAILBOX_MAX + 2];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s %.*s", at->conf->name, (int)mailbox.len, mailbox.at);
	struct key key;

	for (size_t i = len - mailbox.len + to->local_len; i < len; i++)
		text[i] = (char)ascii_lower((unsigned char)text[i]);
	for (int i = 0; i < 2; i++)
		key.half[i] = hash_keyed(v->secret[i], (struct slice){ text, len });
	return key;
}

static void
check_free(struct smtp_check *c)
{
	timer_stop(&c->patience);
	loop_forget(c->verify->loop, &c->done);
	loop_free_later(c->verify->loop, c);
}

/* Ours, or the server's words under the server's code. */
static void
say_refusal(struct smtp_reply *reply, const struct verdict *verdict)
{
	char line[TEXT_MAX + 16];

	smtp_reply_init(reply);
	snprintf(line, sizeof(line), "%d %s", verdict->code, verdict->text);
	smtp_reply_add(reply, verdict->text[0] != '\0' ? slice_of(line) : SLICE(DOUBT));
}

static void
on_done(void *owner)
{
	struct smtp_check *c = owner;
	struct smtp_reply refusal;

	timer_stop(&c->patience);
	if (c->verdict.code == 0) {
		c->answer(c->owner, NULL);
	} else {
		say_refusal(&refusal, &c->verdict);
		c->answer(c->owner, &refusal);
		smtp_reply_free(&refusal);
	}
	check_free(c);
}

/* The verdict is here; the answer comes at the end of this turn. */
static void
settle(struct smtp_check *c, const struct verdict *verdict)
{
	c->question = NULL;
	c->verdict = *verdict;
	loop_at_turn_end(c->verify->loop, &c->done);
}

static const struct verdict doubt = { .code = 450 };

/* Takes a question out of the list, with its session. Others have their turn. */
static void
question_end(struct question *q, bool clean)
{
	struct smtp_verify *v = q->verify;
	struct question **at = &v->questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	v->nquestions--;
	if (q->link != NULL && clean)
		smtp_pool_give(v->pool, &q->link, true);
	else if (q->link != NULL)
		smtp_backend_drop(&q->link);
	loop_at_turn_end(v->loop, &v->turn);
	loop_free_later(v->loop, q);
}

static void
conclude(struct question *q, const struct verdict *verdict, bool clean)
{
	while (q->checks != NULL) {
		struct smtp_check *c = q->checks;

		q->checks = c->next;
		settle(c, verdict);
	}
	question_end(q, clean);
}

static void
on_ready(void *owner)
{
	struct question *q = owner;
	struct smtp_mail mail = { .utf8 = smtp_path_is_utf8(&q->to.to) };

	if ((smtp_mail_needs(&mail) & ~smtp_backend_caps(q->link)->extensions) != 0) {
		conclude(q, &doubt, true);
		return;
	}
	smtp_backend_mail(q->link, &mail, SLICE(""));
	smtp_backend_rcpt(q->link, &q->to);
}

/* One line of what it said: the first. */
static void
take_words(struct verdict *verdict, const struct smtp_reply *reply)
{
	struct slice rest = buf_slice(&reply->text), line = slice_cut(&rest, '\n');

	verdict->code = reply->code;
	slice_copy(slice_part(line, 0, TEXT_MAX - 1), verdict->text, TEXT_MAX);
	if (verdict->text[0] == '\0')
		snprintf(verdict->text, TEXT_MAX, "5.1.1 No such recipient");
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	struct question *q = owner;
	struct verdict verdict = { 0 };
	int class = smtp_reply_class(reply);

	if (order == ORDER_MAIL)
		q->mail_taken = class == 2;
	if (order != ORDER_RCPT)
		return;
	if (!q->mail_taken)		/* it dislikes us or the null sender: that says nothing of the recipient */
		verdict = doubt;
	else if (class == 5)
		take_words(&verdict, reply);
	else if (class != 2)
		verdict = doubt;
	if (verdict.code == 0)
		remember(q->verify, &q->key, &verdict, q->good);
	else if (verdict.code != doubt.code)
		remember(q->verify, &q->key, &verdict, q->bad);
	smtp_backend_reset(q->link);
	conclude(q, &verdict, true);
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct question *q = owner;

	(void)sent;
	log_warn("recipient check at %s: %s", q->at->conf->name, why);
	q->link = NULL;
	conclude(q, &doubt, false);
}

static unsigned
count_running(const struct smtp_verify *v, const struct backend *at)
{
	unsigned n = 0;

	for (const struct question *q = v->questions; q != NULL; q = q->next)
		n += q->at == at && q->link != NULL;
	return n;
}

/* Those that wait and whose server may be asked now. */
static void
on_turn(void *owner)
{
	static const struct smtp_backend_ops calls = { on_ready, on_reply, on_failed };
	struct smtp_verify *v = owner;

	for (struct question *q = v->questions; q != NULL; q = q->next)
		if (q->link == NULL && count_running(v, q->at) < RUNNING_MAX)
			q->link = smtp_pool_take(v->pool, q->at, NULL, &calls, q);
}

static struct question *
question_about(struct smtp_verify *v, struct backend *at, const struct key *key)
{
	for (struct question *q = v->questions; q != NULL; q = q->next)
		if (q->at == at && memcmp(&q->key, key, sizeof(*key)) == 0)
			return q;
	return NULL;
}

static struct question *
question_new(struct smtp_verify *v, struct backend *at, const struct key *key, const struct conf_backend *rules, const struct smtp_to *to)
{
	struct question *q = mem_new(sizeof(*q)), **last = &v->questions;

	while (*last != NULL)
		last = &(*last)->next;
	*last = q;
	v->nquestions++;
	q->verify = v;
	q->at = at;
	q->key = *key;
	q->to.to = to->to;		/* who wants to be told of what is nobody's business here */
	q->good = rules->verify_good;
	q->bad = rules->verify_bad;
	loop_at_turn_end(v->loop, &v->turn);
	return q;
}

/* Takes a check out of its question. One that nobody asks any more ends: who asked kept its server alive. */
static void
leave(struct smtp_check *c)
{
	struct question *q = c->question;
	struct smtp_check **at;

	if (q == NULL)
		return;
	for (at = &q->checks; *at != c; at = &(*at)->next)
		continue;
	*at = c->next;
	c->question = NULL;
	if (q->checks == NULL)
		question_end(q, false);
}

static void
on_impatience(void *owner)
{
	struct smtp_check *c = owner;

	leave(c);
	settle(c, &doubt);
}

struct smtp_check *
smtp_verify_ask(struct smtp_verify *v, struct backend *at, const struct conf_backend *rules, const struct smtp_to *to,
    void (*answer)(void *owner, const struct smtp_reply *refusal), void *owner)
{
	struct smtp_check *c = mem_new(sizeof(*c));
	struct key key = key_of(v, at, &to->to);
	struct verdict verdict;

	c->verify = v;
	c->answer = answer;
	c->owner = owner;
	c->done = (struct loop_task){ .run = on_done, .owner = c };
	timer_init(&c->patience, v->loop, on_impatience, c);
	if (recall(v, &key, &verdict)) {
		settle(c, &verdict);
		return c;
	}
	c->question = question_about(v, at, &key);
	if (c->question == NULL && v->nquestions >= QUESTIONS_MAX) {
		settle(c, &doubt);
		return c;
	}
	if (c->question == NULL)
		c->question = question_new(v, at, &key, rules, to);
	c->next = c->question->checks;
	c->question->checks = c;
	timer_set(&c->patience, ANSWER_WAIT);
	return c;
}

void
smtp_verify_cancel(struct smtp_check **cp)
{
	struct smtp_check *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	leave(c);
	check_free(c);
}

void
smtp_verify_free(struct smtp_verify **vp)
{
	struct smtp_verify *v = *vp;

	*vp = NULL;
	if (v == NULL)
		return;
	while (v->questions != NULL)
		question_end(v->questions, false);
	loop_forget(v->loop, &v->turn);
	while (v->oldest != NULL)
		forget(v, v->oldest);
	free(v->buckets);
	free(v);
}
