#include "conf/conf_tell.h"

#include <string.h>

#include "conf/conf_find.h"
#include "conf/conf_load.h"

#define POSTFIX_CONNECTIONS 50	/* its smtpd_client_connection_count_limit when nobody sets it */
#define NAME_WIDTH  18
#define VALUE_WIDTH 24

static void
put_where(FILE *out, const struct conf_where *where)
{
	fprintf(out, "%s:%u:%u", where->file, where->line, where->column);
}

/* As it has to be written, and blanks up to the next column. */
static void
put_value(FILE *out, const char *text)
{
	bool quoted = text[0] == '\0' || strpbrk(text, " \t;{}\"\\$#") != NULL;
	int width = quoted ? 2 : 0;

	fputs(quoted ? "\"" : "", out);
	for (; *text != '\0'; text++, width++) {
		bool escaped = strchr("\"\\$", *text) != NULL;

		fprintf(out, "%s%c", escaped ? "\\" : "", *text);
		width += escaped;
	}
	fprintf(out, "%s%*s", quoted ? "\"" : "", width < VALUE_WIDTH ? VALUE_WIDTH - width : 1, "");
}

/* One setting as it was written, by whom. */
static void
tell_setting(FILE *out, const struct conf_profile *p, const struct conf_row *row)
{
	const struct conf_profile *who = p;
	const struct conf_node *node = conf_profile_says(p, row->name, &who);

	fprintf(out, "  %-*s", NAME_WIDTH, row->name);
	put_value(out, node != NULL ? node->words[1].text : row->preset);
	if (node == NULL) {
		fputs("default value\n", out);
		return;
	}
	put_where(out, &node->words[0].where);
	fprintf(out, ", profile %s\n", who->name);
}

static void
tell_profile(FILE *out, const struct conf *conf, const struct conf_ask *ask, const struct conf_route *route)
{
	const struct conf_entry *entry = conf_find_profile(conf, ask);
	const struct conf_profile *p = conf_profile_find(conf, ask, route);

	fprintf(out, "profile %s, ", p->name);
	if (entry != NULL) {
		fprintf(out, "because of \"%s\" (", entry->key);
		put_where(out, &entry->where);
		fputs(")\n", out);
	} else {
		fprintf(out, "%s\n", route != NULL ? "because of its route" : "because nothing names another");
	}
	for (size_t i = 0; i < conf_nrows; i++)
		if (conf_rows[i].block == CONF_IN_PROFILE && conf_rows[i].inherits)
			tell_setting(out, p, &conf_rows[i]);
}

static void
tell_route(FILE *out, const struct conf_entry *entry, bool ours)
{
	const struct conf_route *route;

	if (entry == NULL) {
		fputs("no route: such mail is refused\n", out);
		return;
	}
	route = entry->what;
	fprintf(out, "route \"%s\" (", entry->key);
	put_where(out, &entry->where);
	fprintf(out, ")%s\n", ours ? "" : ", only for clients that may relay");
	for (size_t i = 0; i < route->nbackends; i++) {
		fprintf(out, "%s %s (", i == 0 ? "backend" : "  or backend", route->backends[i]->name);
		put_where(out, &route->backends[i]->where);
		fputs(")\n", out);
	}
}

void
conf_tell_recipient(FILE *out, const struct conf *conf, const struct conf_ask *ask)
{
	bool ours;
	const struct conf_entry *entry = conf_find_route(conf, ask, &ours);

	if (ask->listener != NULL)
		fprintf(out, "at the listener %s, ", ask->listener->name);
	if (ask->user.len > 0)
		fprintf(out, "of the user %.*s:\n", (int)ask->user.len, ask->user.at);
	else
		fputs("of nobody who has authenticated:\n", out);
	tell_route(out, entry, ours);
	tell_profile(out, conf, ask, entry != NULL ? entry->what : NULL);
}

/* How the server comes to believe us who the client is. */
static void
tell_identity(FILE *out, const struct conf_backend *b)
{
	static const struct { enum conf_identity identity; enum conf_protocol protocol; const char *advice; } advices[] = {
		{ CONF_IDENTITY_XCLIENT, CONF_SMTP, "(Postfix): smtpd_authorized_xclient_hosts must name this gateway" },
		{ CONF_IDENTITY_XFORWARD, CONF_SMTP, "(Postfix): smtpd_authorized_xforward_hosts must name this gateway" },
		{ CONF_IDENTITY_PROXY_V1, CONF_SMTP, "(Postfix): smtpd_upstream_proxy_protocol = haproxy, for a port that only this "
		    "gateway reaches" },
		{ CONF_IDENTITY_PROXY_V2, CONF_SMTP, "(Postfix): smtpd_upstream_proxy_protocol = haproxy, for a port that only this "
		    "gateway reaches" },
		{ CONF_IDENTITY_XCLIENT, CONF_LMTP, "(Dovecot): login_trusted_networks must name this gateway" },
		{ CONF_IDENTITY_PROXY_V1, CONF_LMTP, "(Dovecot): haproxy = yes for its inet_listener, and haproxy_trusted_networks must "
		    "name this gateway" },
		{ CONF_IDENTITY_PROXY_V2, CONF_LMTP, "(Dovecot): haproxy = yes for its inet_listener, and haproxy_trusted_networks must "
		    "name this gateway" },
	};

	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (b->identity == advices[i].identity && b->protocol == advices[i].protocol)
			fprintf(out, "On the backend %s %s.\n", b->name, advices[i].advice);
}

/* To the server all sessions come from one client, unless it is shown theirs at once. */
static void
tell_sessions(FILE *out, const struct conf_backend *b)
{
	char many[32];

	if (b->protocol != CONF_SMTP || b->identity == CONF_IDENTITY_PROXY_V1 || b->identity == CONF_IDENTITY_PROXY_V2)
		return;
	if (b->max_sessions > 0 && b->max_sessions <= POSTFIX_CONNECTIONS)
		return;
	snprintf(many, sizeof(many), "max-sessions %u", b->max_sessions);
	fprintf(out, "On the backend %s (Postfix): smtpd_client_event_limit_exceptions must name this gateway (%s, and one client may "
	    "have %d unless smtpd_client_connection_count_limit says more).\n", b->name,
	    b->max_sessions > 0 ? many : "any number of sessions", POSTFIX_CONNECTIONS);
}

void
conf_tell_backends(FILE *out, const struct conf *conf)
{
	for (size_t i = 0; i < conf->nbackends; i++) {
		if (conf->backends[i]->original)	/* whose servers these are is not ours to know */
			continue;
		tell_identity(out, conf->backends[i]);
		tell_sessions(out, conf->backends[i]);
	}
}
