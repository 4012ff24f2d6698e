#include "proxy/backend/site.h"

#include <stdlib.h>

#include "proxy/base/mem.h"

struct site *
site_new(struct loop *loop, struct conf *conf, const struct backend_probe *(*probe_for)(const struct conf_backend *),
    struct err *err)
{
	struct site *s = mem_new(sizeof(*s));

	s->refs = 1;
	s->loop = loop;
	s->conf = conf_ref(conf);
	s->backends = mem_array(conf->nbackends, sizeof(*s->backends));
	s->tls = mem_array(conf->nlisteners, sizeof(*s->tls));
	for (size_t i = 0; i < conf->nbackends; i++)
		if ((s->backends[i] = backend_new(loop, conf->backends[i], conf->hostname, probe_for(conf->backends[i]), err)) == NULL)
			goto fail;
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->tls != NULL && (s->tls[i] = tls_server_ctx(conf->listeners[i]->tls, err)) == NULL)
			goto fail;
	return s;
fail:
	site_unref(&s);
	return NULL;
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
