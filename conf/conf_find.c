#include "conf/conf_find.h"

#include <stdio.h>
#include <string.h>

#define DOMAIN_MAX 253
#define LOCAL_MAX  255	/* octets of a local part that is looked for, its quotes taken off */
#define USER_MAX   255
#define KEY_MAX    (sizeof(CONF_FOR_RECIPIENT) + LOCAL_MAX + 1 + DOMAIN_MAX)

/* A recipient as keys have it. What is longer than the limits has no key. */
struct names {
	char local[LOCAL_MAX + 1], domain[DOMAIN_MAX + 1];
};

static bool
put_lower(struct slice text, char *out, size_t size)
{
	if (!slice_copy(text, out, size))
		return false;
	for (char *c = out; *c != '\0'; c++)
		*c = (char)ascii_lower((unsigned char)*c);
	return true;
}

/* "bob"@x is bob@x written otherwise (RFC 5321 section 4.1.2): it must not get around what is said of bob. */
static struct slice
unquoted(struct slice local, char room[LOCAL_MAX])
{
	size_t len = 0;

	if (local.len < 2 || local.at[0] != '"' || local.at[local.len - 1] != '"' || local.len - 2 > LOCAL_MAX)
		return local;
	for (size_t i = 1; i < local.len - 1; i++) {
		if (local.at[i] == '\\' && i + 1 < local.len - 1)
			i++;
		room[len++] = local.at[i];
	}
	return (struct slice){ room, len };
}

/* False when there is no domain by which anything could be found. */
static bool
read_names(const struct conf_ask *ask, struct names *names)
{
	struct slice domain = ask->domain;
	char room[LOCAL_MAX];

	if (domain.len > 0 && domain.at[domain.len - 1] == '.')
		domain.len--;
	if (!put_lower(unquoted(ask->local, room), names->local, sizeof(names->local)))
		names->local[0] = '\0';
	return domain.len > 0 && put_lower(domain, names->domain, sizeof(names->domain));
}

bool
conf_route_is_at(const struct conf_route *r, const struct conf_listener *l)
{
	for (size_t i = 0; i < r->nlisteners; i++)
		if (r->listeners[i] == l)
			return true;
	return r->nlisteners == 0;
}

/* "ann", "*@example.org", "*". */
static bool
names_user(const char *word, const struct conf_ask *ask)
{
	if (strcmp(word, "*") == 0)
		return ask->authenticated || ask->user.len > 0;
	if (word[0] == '*')
		return slice_iends(ask->user, word + 1);
	return ask->user.len > 0 && slice_iis(ask->user, word);
}

static bool
fits_user(const struct conf_route *r, const struct conf_ask *ask)
{
	for (size_t i = 0; i < r->nusers; i++)
		if (names_user(r->users[i], ask))
			return true;
	return r->nusers == 0;
}

bool
conf_route_fits(const struct conf_route *r, const struct conf_ask *ask)
{
	return conf_route_is_at(r, ask->listener) && fits_user(r, ask);
}

/* The first entry of this key that holds. Of profiles only one has it. */
static const struct conf_entry *
find(const struct conf_index *index, const char *key, const struct conf_ask *ask)
{
	size_t n;
	const struct conf_entry *entries = conf_index_all(index, key, &n);

	for (size_t i = 0; i < n; i++)
		if (ask == NULL || conf_route_fits(entries[i].what, ask))
			return &entries[i];
	return NULL;
}

/* What a recipient is found by begins with `kind`. */
static const struct conf_entry *
find_address(const struct conf_index *index, const char *kind, const struct names *names, const struct conf_ask *ask)
{
	char key[KEY_MAX + 1];

	if (names->local[0] == '\0')
		return NULL;
	snprintf(key, sizeof(key), "%s%s@%s", kind, names->local, names->domain);
	return find(index, key, ask);
}

/* The domain, then the longest parent. A recipient's "domain" may be spelled like a pattern or an address of the
 * configuration; it must not find that by name. */
static const struct conf_entry *
find_domain(const struct conf_index *index, const char *kind, const char *domain, const struct conf_ask *ask)
{
	char key[KEY_MAX + 1];
	size_t kind_len = strlen(kind);
	const struct conf_entry *entry = NULL;

	if (strchr(domain, '@') != NULL)
		return NULL;
	memcpy(key, kind, kind_len);
	slice_copy(slice_of(domain), key + kind_len, sizeof(key) - kind_len);
	if (domain[0] != '.' && domain[0] != '*')
		entry = find(index, key, ask);
	for (const char *dot = strchr(domain + 1, '.'); entry == NULL && dot != NULL; dot = strchr(dot + 1, '.')) {
		slice_copy(slice_of(dot), key + kind_len, sizeof(key) - kind_len);
		entry = find(index, key, ask);
	}
	return entry;
}

const struct conf_entry *
conf_find_route(const struct conf *conf, const struct conf_ask *ask, bool *ours)
{
	const struct conf_entry *entry;
	struct names names;

	*ours = false;
	if (!read_names(ask, &names))
		return NULL;
	entry = find_address(conf->domains, "", &names, ask);
	if (entry == NULL)
		entry = find_domain(conf->domains, "", names.domain, ask);
	*ours = entry != NULL;
	return entry != NULL ? entry : find(conf->domains, "*", ask);
}

static const struct conf_entry *
find_user(const struct conf_index *index, const struct conf_ask *ask)
{
	char key[sizeof(CONF_FOR_USER) + USER_MAX + 1] = CONF_FOR_USER, *name = key + strlen(CONF_FOR_USER), *at;
	const struct conf_entry *entry;

	if (ask->user.len == 0 && !ask->authenticated)
		return NULL;
	if (!put_lower(ask->user, name, USER_MAX + 1))
		name[0] = '\0';
	entry = name[0] != '*' ? find(index, key, NULL) : NULL;
	at = strrchr(name, '@');
	if (entry == NULL && at != NULL && at > name) {
		memmove(name + 1, at, strlen(at) + 1);
		name[0] = '*';
		entry = find(index, key, NULL);
	}
	return entry != NULL ? entry : find(index, CONF_FOR_USER "*", NULL);
}

static const struct conf_entry *
find_listener(const struct conf_index *index, const struct conf_listener *l)
{
	char key[sizeof(CONF_FOR_LISTENER) + CONF_NAME_MAX + 1] = CONF_FOR_LISTENER;
	size_t len = strlen(key);

	if (l == NULL || !slice_copy(slice_of(l->name), key + len, sizeof(key) - len))
		return NULL;
	return find(index, key, NULL);
}

const struct conf_entry *
conf_find_profile(const struct conf *conf, const struct conf_ask *ask)
{
	const struct conf_entry *entry = NULL;
	struct names names;
	bool has_names = read_names(ask, &names);

	if (conf->choices->n == 0)
		return NULL;
	if (has_names)
		entry = find_address(conf->choices, CONF_FOR_RECIPIENT, &names, NULL);
	if (entry == NULL)
		entry = find_user(conf->choices, ask);
	if (entry == NULL && has_names)
		entry = find_domain(conf->choices, CONF_FOR_RECIPIENT, names.domain, NULL);
	return entry != NULL ? entry : find_listener(conf->choices, ask->listener);
}

const struct conf_route *
conf_route_find(const struct conf *conf, const struct conf_ask *ask, bool *ours)
{
	const struct conf_entry *entry = conf_find_route(conf, ask, ours);

	return entry != NULL ? entry->what : NULL;
}

const struct conf_profile *
conf_profile_find(const struct conf *conf, const struct conf_ask *ask, const struct conf_route *route)
{
	const struct conf_entry *entry = conf_find_profile(conf, ask);

	if (entry != NULL)
		return entry->what;
	return route != NULL ? route->profile : conf->standard;
}

bool
conf_keeps_source(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->keep_source)
			return true;
	return false;
}

bool
conf_asks_dns(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nbackends; i++)
		for (size_t k = 0; k < conf->backends[i]->nplaces; k++)
			if (conf->backends[i]->places[k].host != NULL)
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
