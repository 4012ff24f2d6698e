#include "proxy/net/id.h"

#include <time.h>
#include <unistd.h>

void
id_begin(struct id_maker *m, unsigned slot)
{
	m->slot = slot;
	m->counter = (uint32_t)getpid() << 8;	/* a replaced worker does not begin where its predecessor did */
}

/* Second, worker and a counter, in letters that are hard to mistake for one another (Crockford's base 32). */
void
id_next(struct id_maker *m, char id[ID_MAX])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t n = ((uint64_t)time(NULL) << 30) | ((uint64_t)(m->slot & 0xff) << 22) | (m->counter++ & 0x3fffff);

	for (int i = 12; i >= 0; i--) {
		id[i] = digits[n & 31];
		n >>= 5;
	}
	id[13] = '\0';
}
