#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "proxy/proc/commands.h"

#define MARK  1		/* on packets that are for a socket of ours although their destination is elsewhere */
#define TABLE 100	/* the routing table that brings those to us */

static const struct option nft_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static bool
is_any(const struct addr *a)
{
	static const unsigned char nothing[sizeof(struct in6_addr)];
	const struct sockaddr_in6 *in6 = (const void *)&a->ss;
	const struct sockaddr_in *in4 = (const void *)&a->ss;

	return a->ss.ss_family == AF_INET6 ? memcmp(&in6->sin6_addr, nothing, sizeof(nothing)) == 0 :
					     in4->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* 'iifname "g0" ', or nothing. The name is made of harmless characters: conf saw to that. */
static void
print_interface(const struct conf_listener *l)
{
	if (l->intercept_interface != NULL)
		printf("iifname \"%s\" ", l->intercept_interface);
}

/* One address of a listener: which packets go to it, and how. */
static void
print_take_over(const struct conf_listener *l, const struct addr *a)
{
	const char *family = a->ss.ss_family == AF_INET6 ? "ip6" : "ip";
	char to[ADDR_TEXT_MAX];

	if (is_any(a))
		snprintf(to, sizeof(to), ":%u", addr_port(a));
	else
		addr_text(a, to);
	printf("\t\t");
	print_interface(l);
	printf("meta nfproto ipv%c tcp dport %u ", a->ss.ss_family == AF_INET6 ? '6' : '4', l->intercept_port);
	if (l->mode == CONF_TPROXY)
		printf("tproxy %s to %s meta mark set %d accept\n", family, to, MARK);
	else if (is_any(a))
		printf("redirect to %s\n", to);
	else
		printf("dnat %s to %s\n", family, to);
}

static void
print_take_overs(const struct conf *conf, enum conf_mode mode)
{
	printf("\t\t# what is for this machine itself stays what it is\n\t\tfib daddr type local accept\n");
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *l = conf->listeners[i];

		if (l->mode != mode)
			continue;
		printf("\t\t# listener %s\n", l->name);
		for (size_t k = 0; k < l->naddresses; k++)
			print_take_over(l, &l->addresses[k]);
	}
}

/* Packets that belong to a socket of ours: of a connection taken over, or of one that bears a client's address. */
static void
print_mangle(const struct conf *conf, bool tproxy)
{
	printf("\tchain mangle {\n"
	       "\t\ttype filter hook prerouting priority mangle; policy accept;\n"
	       "\t\t# packets of connections that are ours already: those taken over, and a server's answers to a client's address\n"
	       "\t\tmeta l4proto tcp socket transparent 1 meta mark set %d accept\n", MARK);
	if (tproxy)
		print_take_overs(conf, CONF_TPROXY);
	printf("\t}\n");
}

static void
print_closed(const struct conf *conf)
{
	printf("\tchain closed {\n"
	       "\t\ttype filter hook forward priority filter; policy accept;\n"
	       "\t\t# without gatepost running, tproxy would let these pass unfiltered\n");
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *l = conf->listeners[i];

		if (l->mode == CONF_PLAIN)
			continue;
		printf("\t\t");
		print_interface(l);
		printf("tcp dport %u reject with tcp reset\n", l->intercept_port);
	}
	printf("\t}\n");
}

/* Whether any packet of this family is marked. */
static bool
has_marks(const struct conf *conf, int family)
{
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *l = conf->listeners[i];

		for (size_t k = 0; k < l->naddresses && (l->mode == CONF_TPROXY || l->keep_source); k++)
			if (l->addresses[k].ss.ss_family == family)
				return true;
	}
	return false;
}

static void
print_routes(const char *version, const char *all)
{
	printf("\n# Marked packets come to us, wherever they were going.\n"
	       "while ip -%s rule del fwmark %d lookup %d 2>/dev/null; do :; done\n"
	       "ip -%s rule add fwmark %d lookup %d\n"
	       "ip -%s route replace local %s dev lo table %d\n", version, MARK, TABLE, version, MARK, TABLE, version, all, TABLE);
}

static void
print_script(const struct conf *conf, bool tproxy, bool redirect)
{
	printf("#!/bin/sh\n"
	       "# What the firewall must do so that connections are taken over; made by \"gatepost nft\" out of its\n"
	       "# configuration. To be run as root: gatepost nft -c FILE | sh. It may be run again after a change.\n"
	       "# Servers must send their answers to clients through this machine.\n"
	       "set -e\n");
	printf("\nnft -f - <<'END'\n"
	       "table inet gatepost\n"
	       "delete table inet gatepost\n"
	       "table inet gatepost {\n");
	if (tproxy || conf_keeps_source(conf))
		print_mangle(conf, tproxy);
	if (redirect) {
		printf("\tchain redirected {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
		print_take_overs(conf, CONF_REDIRECT);
		printf("\t}\n");
	}
	print_closed(conf);
	printf("}\nEND\n");
	if (has_marks(conf, AF_INET))
		print_routes("4", "0.0.0.0/0");
	if (has_marks(conf, AF_INET6))
		print_routes("6", "::/0");
}

static bool
has_mode(const struct conf *conf, enum conf_mode mode)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->mode == mode)
			return true;
	return false;
}

static int
print_for(const char *path)
{
	struct err err = { "" };
	struct conf *conf = conf_read(path, &err);
	bool tproxy, redirect;

	if (conf == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
		return 1;
	}
	tproxy = has_mode(conf, CONF_TPROXY);
	redirect = has_mode(conf, CONF_REDIRECT);
	if (tproxy || redirect)
		print_script(conf, tproxy, redirect);
	else
		fprintf(stderr, "gatepost: %s: no listener has mode tproxy or redirect: there is nothing to take over\n", path);
	conf_unref(&conf);
	return tproxy || redirect ? 0 : 1;
}

int
command_nft(int argc, char **argv)
{
	const char *conf = COMMANDS_CONF;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:h", nft_options, NULL)) != -1)
		switch (c) {
		case 'c':
			conf = optarg;
			break;
		case 'h':
			printf("usage: gatepost nft [-c FILE]\n\n"
			       "Prints a shell script with the nftables rules and routes that bring connections to listeners with\n"
			       "mode tproxy or redirect, and that let none of them pass while gatepost is not running. Nothing is\n"
			       "changed: read it, then run it as root (gatepost nft | sh). intercept-port and intercept-interface\n"
			       "of a listener say which connections are meant.\n");
			return 0;
		default:
			return command_usage("nft", "an option that is not known, or without its value");
		}
	if (optind < argc)
		return command_usage("nft", "too many arguments");
	return print_for(conf);
}
