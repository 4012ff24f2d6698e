#include "proxy/smtp/smtp_release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"

struct release {
	LIST_ENTRY(release) all;
	struct smtp_releases *owner;
	uint64_t number;
	char id[KEEPER_ID_MAX + 1];
	struct smtp_mail mail;
	struct smtp_to *tos;
	size_t ntos;
	struct slice message;		/* the spool, mapped */
	struct trace_piece whole;
	struct site *site;
	struct smtp_backend *link;
	bool lmtp;
	size_t asked, accepted;		/* RCPTs */
	size_t answered, delivered;	/* after the dot; LMTP: for each recipient */
	char said[KEEPER_TEXT_MAX + 1];	/* the reply that counts: the first that is no 2xx, or the last */
	bool refused;
};

struct smtp_releases {
	struct keeper *keeper;
	struct smtp_pool *pool;
	struct site *site;
	LIST_HEAD(running, release) running;
};

static void on_release(void *owner, const struct keeper_release *);

struct smtp_releases *
smtp_releases_new(struct keeper *keeper, struct smtp_pool *pool)
{
	struct smtp_releases *all = mem_new(sizeof(*all));

	all->keeper = keeper;
	all->pool = pool;
	LIST_INIT(&all->running);
	keeper_on_release(keeper, on_release, all);
	return all;
}

static void
release_free(struct release *r)
{
	if (r->link != NULL)
		smtp_backend_drop(&r->link);
	if (r->message.len > 0)
		munmap((void *)r->message.at, r->message.len);
	smtp_tos_free(&r->tos, r->ntos);
	site_unref(&r->site);
	LIST_REMOVE(r, all);
	free(r);
}

static void
finish(struct release *r, bool delivered, const char *what)
{
	keeper_released(r->owner->keeper, r->number, delivered, what);
	release_free(r);
}

void
smtp_releases_site(struct smtp_releases *all, struct site *site)
{
	site_unref(&all->site);
	all->site = site != NULL ? site_ref(site) : NULL;
}

void
smtp_releases_free(struct smtp_releases **allp)
{
	struct smtp_releases *all = *allp;

	if (all == NULL)
		return;
	keeper_on_release(all->keeper, NULL, NULL);
	while (!LIST_EMPTY(&all->running))
		finish(LIST_FIRST(&all->running), false, "outcome unknown: the worker ended in the middle of it; it is still held");
	smtp_releases_site(all, NULL);
	free(all);
	*allp = NULL;
}

static unsigned
needs(const struct release *r)
{
	unsigned bits = smtp_mail_needs(&r->mail);

	for (size_t i = 0; i < r->ntos; i++)
		bits |= smtp_to_needs(&r->tos[i]);
	return bits;
}

static void
on_ready(void *owner)
{
	struct release *r = owner;
	unsigned lacks = needs(r) & ~smtp_backend_caps(r->link)->extensions;
	char text[100];

	if (lacks != 0) {
		snprintf(text, sizeof(text), "the mail server lacks %s, which this message needs", smtp_extension_name(lacks & -lacks));
		finish(r, false, text);
		return;
	}
	smtp_backend_mail(r->link, &r->mail, slice_of(r->id));
}

static void
ask_rcpts(struct release *r)
{
	while (r->asked < r->ntos && smtp_backend_outstanding(r->link) < SMTP_ORDERS_MAX - 1)
		smtp_backend_rcpt(r->link, &r->tos[r->asked++]);
}

static void
send_message(struct release *r)
{
	smtp_backend_send(r->link, &(struct smtp_message){ .message = r->message, .pieces = &r->whole, .npieces = r->message.len > 0,
	    .nrcpts = (unsigned)r->ntos, .binary = r->mail.body == BODY_BINARYMIME });
}

/* What counts of several: the first refusal. */
static void
remember(struct release *r, const struct smtp_reply *reply)
{
	if (!r->refused)
		smtp_reply_text(reply, r->said, sizeof(r->said));
	r->refused |= smtp_reply_class(reply) != 2;
}

static void
message_answered(struct release *r, const struct smtp_reply *reply)
{
	char text[KEEPER_TEXT_MAX + 1];

	remember(r, reply);
	r->answered += r->lmtp ? 1 : r->ntos;
	r->delivered += smtp_reply_class(reply) != 2 ? 0 : r->lmtp ? 1 : r->ntos;
	if (r->answered < r->ntos)
		return;
	smtp_pool_give(r->owner->pool, &r->link, true);
	r->link = NULL;
	if (r->delivered == r->ntos || r->delivered == 0) {
		finish(r, r->delivered > 0, r->said);
		return;
	}
	log_error("held=%s: the mail server took it for %zu of %zu recipients; a second release would give it to them again", r->id,
	    r->delivered, r->ntos);
	snprintf(text, sizeof(text), "delivered to %zu of %zu recipients only, still held: %.140s", r->delivered, r->ntos, r->said);
	finish(r, false, text);
}

static void
on_reply(void *owner, enum smtp_order order, const struct smtp_reply *reply)
{
	struct release *r = owner;
	bool good = smtp_reply_class(reply) == 2;

	switch (order) {
	case ORDER_MAIL:
		remember(r, reply);
		if (good)
			ask_rcpts(r);
		else
			finish(r, false, r->said);
		return;
	case ORDER_RCPT:
		remember(r, reply);
		if (!good) {
			finish(r, false, r->said);	/* all or nobody: what is under way is dropped with the session */
			return;
		}
		ask_rcpts(r);
		if (++r->accepted == r->ntos)
			send_message(r);
		return;
	case ORDER_BODY:
		message_answered(r, reply);
		return;
	default:
		smtp_reply_text(reply, r->said, sizeof(r->said));	/* to DATA, and no 354 */
		finish(r, false, good ? "the mail server's answer to DATA makes no sense" : r->said);
		return;
	}
}

static void
on_failed(void *owner, const char *why, bool sent)
{
	struct release *r = owner;
	char text[KEEPER_TEXT_MAX + 1];

	r->link = NULL;
	if (sent)
		snprintf(text, sizeof(text), "outcome unknown: the mail server may have it; it is still held: %.120s", why);
	else
		snprintf(text, sizeof(text), "%.200s", why);
	finish(r, false, text);
}

static const struct smtp_backend_ops calls = { on_ready, on_reply, on_failed };

static struct backend *
find_backend(const struct site *site, struct slice name)
{
	for (size_t i = 0; site != NULL && i < site->conf->nbackends; i++)
		if (slice_is(name, site->conf->backends[i]->name))
			return site_backend(site, site->conf->backends[i]);
	return NULL;
}

/* NULL, or why it cannot be delivered. The spool is closed in any case. */
static const char *
prepare(struct release *r, const struct keeper_release *from)
{
	void *map = MAP_FAILED;

	if (from->size > 0)
		map = mmap(NULL, from->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, from->spool, 0);
	close(from->spool);
	if (from->size > 0 && map == MAP_FAILED)
		return "no memory for the message";
	if (from->size > 0)
		r->message = (struct slice){ map, from->size };
	r->whole = (struct trace_piece){ 0, from->size };
	if (!smtp_envelope_unpack(from->envelope, &r->mail, &r->tos, &r->ntos) || r->ntos == 0)
		return "its envelope cannot be read";
	/* What is not the message's own, or long over. */
	r->mail.size = from->size;
	r->mail.prdr = r->mail.by = false;
	return NULL;
}

static void
on_release(void *owner, const struct keeper_release *from)
{
	struct smtp_releases *all = owner;
	struct release *r = mem_new(sizeof(*r));
	struct backend *to = find_backend(all->site, from->backend);
	struct smtp_client nobody = { .own = true };
	const char *why;

	r->owner = all;
	r->number = from->number;
	r->site = all->site != NULL ? site_ref(all->site) : NULL;
	slice_copy(from->id, r->id, sizeof(r->id));
	LIST_INSERT_HEAD(&all->running, r, all);
	why = prepare(r, from);
	if (why == NULL && to == NULL)
		why = "the configuration has no backend of this name any more";
	if (why == NULL && to->conf->original)
		why = "its backend has the address \"original\": the client knew where it was going, the gateway does not";
	if (why != NULL) {
		finish(r, false, why);
		return;
	}
	r->lmtp = to->conf->protocol == CONF_LMTP;
	nobody.id = slice_of(r->id);
	r->link = smtp_pool_take(all->pool, to, &nobody, &calls, r);
}
