/* master.h - the parent of all: binds, reads the configuration, forks, waits, reloads.
 *
 * It reads no byte that comes from a stranger. SIGHUP reloads, SIGUSR1 reopens the log file,
 * SIGTERM and SIGINT drain and end (a second one ends at once). */
#ifndef PROXY_PROC_MASTER_H
#define PROXY_PROC_MASTER_H

int master_main(const char *conf_path);		/* the exit code */

#endif
