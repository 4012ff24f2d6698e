/* conf_resolv.h - the DNS servers of /etc/resolv.conf (resolv.conf(5)). */
#ifndef CONF_CONF_RESOLV_H
#define CONF_CONF_RESOLV_H

#include "conf/conf.h"

#define CONF_RESOLV_PATH "/etc/resolv.conf"
#define CONF_RESOLV_MAX  3	/* nameserver lines that count, as in the C library (MAXNS) */

/* Appends the servers that the file's text names, port 53; 127.0.0.1 where it names none. What is no address that
 * can be used here (one with an interface, fe80::1%eth0) is passed over. */
void conf_resolv_read(struct slice text, struct addr **, size_t *n);

#endif
