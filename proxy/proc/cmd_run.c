#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "conf/conf_tell.h"
#include "filters/stages.h"
#include "proxy/proc/commands.h"
#include "proxy/proc/master.h"
#include "proxy/proc/setup.h"

static const struct option run_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

int
command_run(int argc, char **argv)
{
	const char *conf = COMMANDS_CONF;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:h", run_options, NULL)) != -1)
		switch (c) {
		case 'c':
			conf = optarg;
			break;
		case 'h':
			printf("usage: gatepost run [-c FILE]\n\n"
			       "Runs in the foreground. SIGHUP reloads the configuration, rules and virus signatures;\n"
			       "SIGUSR1 reopens the log file; SIGTERM lets running transactions end, a second one does not.\n");
			return 0;
		default:
			return command_usage("run", "an option that is not known, or without its value");
		}
	if (optind < argc)
		return command_usage("run", "too many arguments");
	return master_main(conf);
}

#define SESSION_DESCRIPTORS 5	/* client, backend, spool, a job's channel, one to spare */

static const struct option check_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "profile", required_argument, NULL, 'p' },
	{ "listener", required_argument, NULL, 'l' },
	{ "user", required_argument, NULL, 'u' },
	{ "manual", no_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* What --profile asks: of whom, at which listener, by whom. */
struct check_ask {
	const char *recipient, *listener, *user;
};

/* The kernel spreads clients over the workers, evenly only on average: each must be able to serve them all. */
static void
tell_descriptors(const struct conf *conf)
{
	unsigned long long need = (unsigned long long)conf->max_connections * SESSION_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= need)
		printf("max-connections %u needs up to %llu descriptors in a worker, and it may open as many.\n", conf->max_connections, need);
	else
		printf("max-connections %u needs up to %llu descriptors in a worker, but it may open %llu only: raise LimitNOFILE= of the "
		       "service, or set max-connections %llu.\n", conf->max_connections, need, (unsigned long long)limit.rlim_max,
		    (unsigned long long)limit.rlim_max / SESSION_DESCRIPTORS);
}

/* The listener that is named, or the only one; of several the first that takes mail. */
static const struct conf_listener *
listener_for(const struct conf *conf, const char *name)
{
	if (name != NULL)
		return conf_listener_named(conf, slice_of(name));
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i]->protocol == CONF_SMTP)
			return conf->listeners[i];
	return conf->listeners[0];
}

static int
check_profile(const char *path, const struct check_ask *a)
{
	const char *at = strrchr(a->recipient, '@');
	struct err err = { "" };
	struct conf *conf = conf_read(path, &err);
	struct conf_ask ask = { .user = slice_of(a->user) };

	if (conf != NULL && (ask.listener = listener_for(conf, a->listener)) == NULL)
		err_set(&err, "%s has no listener called %.80s", path, a->listener);
	if (ask.listener == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
		conf_unref(&conf);
		return 1;
	}
	ask.local = (struct slice){ a->recipient, (size_t)(at - a->recipient) };
	ask.domain = slice_of(at + 1);
	printf("Mail for %s ", a->recipient);
	conf_tell_recipient(stdout, conf, &ask);
	conf_unref(&conf);
	return 0;
}

static int
check(const char *path)
{
	struct priv worker_user, scan_user;
	struct err err = { "" };
	struct conf *conf = setup_read(path, &worker_user, &scan_user, &err);
	struct stages *stages = NULL;
	bool judges;

	if (conf == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
		return 1;
	}
	judges = conf->nrules > 0 || conf->antivirus.on;
	if (judges && (stages = stages_load(conf, NULL, conf->tmp_dir, &err)) == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
		conf_unref(&conf);
		return 1;
	}
	printf("%s is good: %zu listeners, %zu backends, %zu routes, %zu rules, %zu virus signatures\n", path, conf->nlisteners,
	    conf->nbackends, conf->nroutes, judges ? stages_rules(stages) : 0,
	    judges && stages_av(stages) != NULL ? av_signatures(stages_av(stages)) : 0);
	conf_tell_backends(stdout, conf);
	tell_descriptors(conf);
	stages_free(&stages);
	conf_unref(&conf);
	return 0;
}

int
command_check(int argc, char **argv)
{
	const char *conf = COMMANDS_CONF;
	struct check_ask ask = { 0 };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:p:l:u:mh", check_options, NULL)) != -1)
		switch (c) {
		case 'c':
			conf = optarg;
			break;
		case 'p':
			ask.recipient = optarg;
			break;
		case 'l':
			ask.listener = optarg;
			break;
		case 'u':
			ask.user = optarg;
			break;
		case 'm':
			conf_manual(stdout);
			return 0;
		case 'h':
			printf("usage: gatepost check [-c FILE] [--manual | --profile USER@DOMAIN [--listener NAME] [--user NAME]]\n\n"
			       "Reads the configuration with all files that it names, loads rules and virus signatures, and says\n"
			       "what is wrong (FILE:LINE:COLUMN, exit 1) or that all is good (exit 0), and what has to be allowed to\n"
			       "this gateway on its backends. --manual prints every setting. --profile says what holds for mail to\n"
			       "this recipient: route, backend, and each setting of the profile with where it comes from.\n");
			return 0;
		default:
			return command_usage("check", "an option that is not known, or without its value");
		}
	if (optind < argc)
		return command_usage("check", "too many arguments");
	if (ask.recipient == NULL && (ask.listener != NULL || ask.user != NULL))
		return command_usage("check", "--listener and --user go with --profile");
	if (ask.recipient != NULL && strchr(ask.recipient, '@') == NULL)
		return command_usage("check", "--profile wants an address: USER@DOMAIN");
	return ask.recipient != NULL ? check_profile(conf, &ask) : check(conf);
}
