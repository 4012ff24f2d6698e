/* id.h - ids of connections: short, printable, and never given twice. */
#ifndef PROXY_NET_ID_H
#define PROXY_NET_ID_H

#include <stdint.h>

#define ID_MAX 24	/* octets with the NUL; an id of a connection takes 14 */

struct id_maker {
	unsigned slot;		/* the worker's */
	uint32_t counter;
};

void id_begin(struct id_maker *, unsigned slot);
void id_next(struct id_maker *, char id[ID_MAX]);

#endif
