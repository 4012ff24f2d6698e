#include <getopt.h>
#include <stdio.h>

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

static const struct option check_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "manual", no_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

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
	stages_free(&stages);
	conf_unref(&conf);
	return 0;
}

int
command_check(int argc, char **argv)
{
	const char *conf = COMMANDS_CONF;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:mh", check_options, NULL)) != -1)
		switch (c) {
		case 'c':
			conf = optarg;
			break;
		case 'm':
			conf_manual(stdout);
			return 0;
		case 'h':
			printf("usage: gatepost check [-c FILE] [--manual]\n\n"
			       "Reads the configuration with all files that it names, loads rules and virus signatures, and says\n"
			       "what is wrong (FILE:LINE:COLUMN, exit 1) or that all is good (exit 0). --manual prints every setting.\n");
			return 0;
		default:
			return command_usage("check", "an option that is not known, or without its value");
		}
	if (optind < argc)
		return command_usage("check", "too many arguments");
	return check(conf);
}
