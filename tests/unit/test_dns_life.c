/* test_dns_life.c - truths about proxy/net/dns_life.h: how long answers may be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/net/dns_life.h"

#define HEAD(questions, answers, authorities) "\1\2\x81\x80\0" questions "\0" answers "\0" authorities "\0\0"
#define QUESTION "\1a\4test\0\0\1\0\1"
#define A(ttl)   "\xc0\x0c\0\1\0\1" ttl "\0\4\x7f\0\0\1"
#define SOA(ttl, minimum) "\xc0\x0e\0\6\0\1" ttl "\0\x18\xc0\x0e\xc0\x0e\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4" minimum
#define NS(ttl)  "\xc0\x0e\0\2\0\1" ttl "\0\2\xc0\x0c"
#define T5    "\0\0\0\5"
#define T300  "\0\0\1\x2c"
#define OCTETS(literal) "" literal, sizeof(literal) - 1

static const struct { const char *wire; size_t len; unsigned life; } cases[] = {
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A(T300)), 300 },
	{ OCTETS(HEAD("\1", "\2", "\0") QUESTION A(T300) A(T5)), 5 },
	{ OCTETS(HEAD("\1", "\2", "\1") QUESTION A(T300) A(T300) SOA(T5, T5)), 300 },	/* the answer counts */
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A("\0\1\x51\x80")), 86400 },
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A("\0\1\x51\x81")), 86400 },
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A("\x7f\xff\xff\xff")), 86400 },
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A("\x80\0\0\0")), 1 },			/* RFC 2181 section 8 */
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION A("\0\0\0\0")), 1 },
	{ OCTETS(HEAD("\1", "\0", "\1") QUESTION SOA(T300, T5)), 5 },
	{ OCTETS(HEAD("\1", "\0", "\1") QUESTION SOA(T5, T300)), 5 },
	{ OCTETS(HEAD("\1", "\0", "\2") QUESTION NS(T5) SOA(T300, T300)), 300 },
	{ OCTETS(HEAD("\1", "\0", "\1") QUESTION NS(T5)), 1 },				/* a referral says nothing */
	{ OCTETS(HEAD("\1", "\0", "\0") QUESTION), 1 },
	{ OCTETS(HEAD("\0", "\1", "\0") A(T300)), 300 },
	{ OCTETS(HEAD("\1", "\2", "\0") QUESTION A(T300)), 1 },				/* fewer than announced */
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION "\x40\0\0\1\0\1" T300 "\0\0"), 1 },	/* a label of no kind */
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION "\xc0"), 1 },
	{ OCTETS(HEAD("\1", "\1", "\0") QUESTION "\77\1\1\1"), 1 },
	{ OCTETS(HEAD("\1", "\0", "\1") QUESTION "\0\0\6\0\1" T300 "\0\2\0\0" T5 T5 T5 T5 T5), 1 },	/* an SOA cut short */
	{ OCTETS(""), 1 },
	{ OCTETS("\1\2\x81\x80\377\377\377\377\377\377\377\377"), 1 },
};

static unsigned
life_of(const char *wire, size_t len)
{
	char *copy = malloc(len + 1);		/* so that a sanitizer sees one octet too far */
	unsigned life;

	memcpy(copy, wire, len);
	copy = realloc(copy, len > 0 ? len : 1);
	life = dns_life((struct slice){ copy, len });
	free(copy);
	return life;
}

static void
test_life(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		if (life_of(cases[i].wire, cases[i].len) != cases[i].life)
			fail_msg("case %zu: %u, not %u", i, life_of(cases[i].wire, cases[i].len), cases[i].life);
		/* What stands behind the answer section is not looked at where there are answers. */
		for (size_t len = 0; len < cases[i].len; len++)
			if (cases[i].wire[len > 9 ? 9 : 0] == '\0')
				assert_int_equal(life_of(cases[i].wire, len), 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
