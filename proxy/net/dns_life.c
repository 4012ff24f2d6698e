#include "proxy/net/dns_life.h"

#define HEADER       12		/* octets before the question (RFC 1035 section 4.1.1) */
#define TYPE_SOA     6
#define RECORDS_MAX  256	/* looked at */

struct walk {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static unsigned
number(struct walk *w, unsigned octets)
{
	unsigned n = 0;

	if (w->left < octets)
		w->bad = true;
	for (unsigned i = 0; !w->bad && i < octets; i++, w->at++, w->left--)
		n = n << 8 | *w->at;
	return n;
}

static void
skip(struct walk *w, size_t octets)
{
	if (w->left < octets)
		w->bad = true;
	if (w->bad)
		return;
	w->at += octets;
	w->left -= octets;
}

/* Labels up to the root, or to a pointer, which ends a name (RFC 1035 section 4.1.4). */
static void
skip_name(struct walk *w)
{
	unsigned len;

	while (!w->bad && (len = number(w, 1)) != 0) {
		if ((len & 0xc0) == 0xc0) {
			skip(w, 1);
			return;
		}
		if (len > 63)
			w->bad = true;
		skip(w, len);
	}
}

/* A TTL with its highest bit set is 0 (RFC 2181 section 8). */
static unsigned
life(unsigned ttl)
{
	return ttl > INT32_MAX ? 0 : ttl;
}

/* One record: its type and its TTL; of an SOA, in *minimum, the last of its numbers. */
static unsigned
record(struct walk *w, unsigned *ttl, unsigned *minimum)
{
	struct walk data;
	unsigned type, len;

	skip_name(w);
	type = number(w, 2);
	number(w, 2);
	*ttl = life(number(w, 4));
	len = number(w, 2);
	data = (struct walk){ w->at, len < w->left ? len : w->left, w->bad };
	skip(w, len);
	if (type != TYPE_SOA)
		return type;
	skip_name(&data);
	skip_name(&data);
	skip(&data, 16);
	*minimum = life(number(&data, 4));
	w->bad |= data.bad;
	return type;
}

unsigned
dns_life(struct slice answer)
{
	struct walk w = { (const unsigned char *)answer.at, answer.len, false };
	unsigned questions, answers, authorities, ttl, minimum, least = DNS_LIFE_MAX;
	bool found = false;

	skip(&w, 4);
	questions = number(&w, 2);
	answers = number(&w, 2);
	authorities = number(&w, 2);
	skip(&w, HEADER - 10);
	for (unsigned i = 0; i < questions && !w.bad; i++) {
		skip_name(&w);
		skip(&w, 4);
	}
	for (unsigned i = 0; i < (answers > 0 ? answers : authorities) && i < RECORDS_MAX; i++) {
		unsigned type = record(&w, &ttl, &minimum);

		if (w.bad)
			return 1;
		if (answers == 0 && type != TYPE_SOA)
			continue;
		if (answers == 0 && minimum < ttl)
			ttl = minimum;
		least = ttl < least ? ttl : least;
		found = true;
	}
	return found && !w.bad && least > 0 ? least : 1;
}
