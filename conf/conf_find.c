#include <string.h>

#include "conf/conf_index.h"

#define DOMAIN_MAX 253

/* A recipient's "domain" may be spelled like a route's pattern; it must not find that by name. */
static const struct conf_route *
find_exact(const struct conf *conf, const char *name)
{
	return name[0] != '.' && name[0] != '*' ? conf_index_find(conf->domains, name) : NULL;
}

static const struct conf_route *
find_parent(const struct conf *conf, const char *name)
{
	const struct conf_route *route = NULL;

	for (const char *dot = strchr(name + 1, '.'); route == NULL && dot != NULL; dot = strchr(dot + 1, '.'))
		route = conf_index_find(conf->domains, dot);
	return route;
}

const struct conf_route *
conf_route_for(const struct conf *conf, struct slice domain, bool *ours)
{
	const struct conf_route *route;
	char name[DOMAIN_MAX + 1];

	*ours = false;
	if (domain.len > 0 && domain.at[domain.len - 1] == '.')
		domain.len--;
	if (domain.len == 0 || !slice_copy(domain, name, sizeof(name)))
		return NULL;
	for (char *c = name; *c != '\0'; c++)
		*c = (char)ascii_lower((unsigned char)*c);
	route = find_exact(conf, name);
	if (route == NULL)
		route = find_parent(conf, name);
	*ours = route != NULL;
	return route != NULL ? route : conf_index_find(conf->domains, "*");
}

bool
conf_keeps_source(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->keep_source)
			return true;
	return false;
}

const struct conf_listener *
conf_listener_named(const struct conf *conf, struct slice name)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (slice_is(name, conf->listeners[i]->name))
			return conf->listeners[i];
	return NULL;
}
