/* commands.h - what the command line can do; each takes its own arguments and returns the exit code. */
#ifndef PROXY_PROC_COMMANDS_H
#define PROXY_PROC_COMMANDS_H

#define COMMANDS_CONF "/etc/gatepost/gatepost.conf"	/* without -c */

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_scan(int argc, char **argv);
int command_nft(int argc, char **argv);
int command_ctl(int argc, char **argv);

/* "gatepost: ..." and how to get help, on stderr; returns 64 (EX_USAGE). */
int command_usage(const char *command, const char *what);

#endif
