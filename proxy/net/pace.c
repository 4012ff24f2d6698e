#include "proxy/net/pace.h"

void
pace_begin(struct pace *p, double now, double window, uint64_t rate)
{
	double least = window * (double)rate;

	*p = (struct pace){ .window = window, .until = now + window, .least = 1 };
	if (least >= (double)UINT64_MAX)
		p->least = UINT64_MAX;
	else if (least > 1)
		p->least = (uint64_t)least;
}

void
pace_feed(struct pace *p, double now, uint64_t octets)
{
	/* A late octet mends nothing. */
	if (now > p->until)
		return;
	p->got = octets > UINT64_MAX - p->got ? UINT64_MAX : p->got + octets;
	if (p->got < p->least)
		return;
	p->got = 0;
	p->until = now + p->window;
}

double
pace_left(const struct pace *p, double now)
{
	return p->until > now ? p->until - now : 0;
}
