#include "proxy/backend/site.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"

static struct tls_ctx *
listener_tls(const struct conf *conf, const struct conf_listener *l, const struct ticket_keys *tickets, struct err *err)
{
	struct tls_server_means means = { .protocol = l->protocol, .tickets = conf->ticket_rotation > 0 ? tickets : NULL,
		.ticket_life = conf->ticket_rotation };

	return tls_server_ctx(l->tlses, l->ntlses, &means, err);
}

struct site *
site_new(struct loop *loop, struct conf *conf, const struct backend_probe *(*probe_for)(const struct conf_backend *),
    const struct site_means *means, struct err *err)
{
	struct site *s = mem_new(sizeof(*s));
	struct backend_means theirs = { NULL, means->flagged, means->budgets, means->slot };

	s->refs = 1;
	s->loop = loop;
	s->conf = conf_ref(conf);
	s->backends = mem_array(conf->nbackends, sizeof(*s->backends));
	s->tls = mem_array(conf->nlisteners, sizeof(*s->tls));
	if (conf_asks_dns(conf) && (s->resolver = resolver_new(loop, conf->resolvers, conf->nresolvers, err)) == NULL)
		goto fail;
	theirs.resolver = s->resolver;
	for (size_t i = 0; i < conf->nbackends; i++) {
		const struct conf_backend *b = conf->backends[i];

		if ((s->backends[i] = backend_new(loop, b, conf->hostname, probe_for(b), &theirs, err)) == NULL)
			goto fail;
	}
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->tls != NULL && (s->tls[i] = listener_tls(conf, conf->listeners[i], means->tickets, err)) == NULL)
			goto fail;
	return s;
fail:
	site_unref(&s);
	return NULL;
}

void
site_inherit(struct site *s, const struct site *old)
{
	for (size_t i = 0; i < s->conf->nbackends; i++)
		for (size_t k = 0; k < old->conf->nbackends; k++) {
			const struct conf_backend *a = s->conf->backends[i], *b = old->conf->backends[k];

			if (strcmp(a->name, b->name) == 0 && a->protocol == b->protocol && a->tls_mode == b->tls_mode)
				backend_inherit(s->backends[i], old->backends[k]);
		}
}

bool
site_is_known(const struct site *s)
{
	for (size_t i = 0; i < s->conf->nbackends; i++)
		if (!backend_was_asked(s->backends[i]))
			return false;
	return true;
}

struct site *
site_ref(struct site *s)
{
	s->refs++;
	return s;
}

void
site_unref(struct site **sp)
{
	struct site *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	for (size_t i = 0; i < s->conf->nbackends; i++)
		backend_free(&s->backends[i]);
	resolver_free(&s->resolver);
	for (size_t i = 0; i < s->conf->nlisteners; i++)
		tls_ctx_free(&s->tls[i]);
	free(s->backends);
	free(s->tls);
	conf_unref(&s->conf);
	free(s);
}

struct backend *
site_backend(const struct site *s, const struct conf_backend *conf)
{
	for (size_t i = 0; i < s->conf->nbackends; i++)
		if (s->conf->backends[i] == conf)
			return s->backends[i];
	return NULL;
}

struct tls_ctx *
site_tls(const struct site *s, const struct conf_listener *conf)
{
	for (size_t i = 0; i < s->conf->nlisteners; i++)
		if (s->conf->listeners[i] == conf)
			return s->tls[i];
	return NULL;
}
