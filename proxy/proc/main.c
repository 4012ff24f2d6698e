#include <stdio.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/base/title.h"
#include "proxy/proc/commands.h"
#include "proxy/proc/version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);	/* NULL: planned, and says so */
	const char *text;
} commands[] = {
	{ "run", command_run, "run the gateway in the foreground" },
	{ "check", command_check, "check the configuration, or print all that can be configured" },
	{ "scan", command_scan, "judge one message as the gateway would, without any network" },
	{ "nft", command_nft, "print the firewall's rules for listeners that take connections over" },
	{ "ctl", command_ctl, "ask the running gateway: its state, what is held in quarantine" },
	{ "learn", NULL, NULL },
	{ "rules", NULL, NULL },
	{ "explain", NULL, NULL },
};

static void
print_help(FILE *out)
{
	fprintf(out, "usage: gatepost COMMAND [OPTIONS]\n\n");
	for (size_t i = 0; i < NITEMS(commands); i++)
		if (commands[i].run != NULL)
			fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].text);
	fprintf(out, "\n  gatepost COMMAND --help tells more of one; gatepost --version names the libraries in use.\n"
		     "  Without -c FILE the configuration is " COMMANDS_CONF ".\n");
}

int
main(int argc, char **argv)
{
	char what[200];

	if (argc < 2) {
		print_help(stderr);
		return 64;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		version_print(stdout);
		return 0;
	}
	for (size_t i = 0; i < NITEMS(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (commands[i].run != NULL) {
			title_init(argc, argv);
			return commands[i].run(argc - 1, argv + 1);
		}
		snprintf(what, sizeof(what), "\"%s\" is not supported yet", commands[i].name);
		return command_usage("", what);
	}
	snprintf(what, sizeof(what), "there is no command \"%.100s\"", argv[1]);
	return command_usage("", what);
}
