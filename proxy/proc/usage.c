#include <stdio.h>

#include "proxy/proc/commands.h"

int
command_usage(const char *command, const char *what)
{
	fprintf(stderr, "gatepost: %s; see gatepost %s%s--help\n", what, command, command[0] != '\0' ? " " : "");
	return 64;	/* EX_USAGE */
}
