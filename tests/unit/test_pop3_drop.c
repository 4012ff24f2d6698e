/* The picture of a mailbox: what makes one, and what is no picture at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/mem.h"
#include "proxy/pop3/pop3_drop.h"

struct listed { uint32_t seq, uid; uint64_t size; bool seen, deleted, no_size, no_flags; };

#define MAIL(number, id, octets, ...) { .seq = number, .uid = id, .size = octets, __VA_ARGS__ }

static int
build(struct pop3_drop *d, const struct listed *list, size_t n, uint32_t exists, struct err *err)
{
	memset(d, 0, sizeof(*d));
	d->exists = exists;
	d->uidvalidity = 0x1234abcd;
	for (size_t i = 0; i < n; i++)
		if (pop3_drop_add(d, &(struct pop3_listed){ list[i].seq, list[i].uid, list[i].size, !list[i].no_size, !list[i].no_flags,
					 list[i].seen, list[i].deleted }, err) == -1)
			return -1;
	return pop3_drop_finish(d, err);
}

static const struct listed mailbox[] = {
	MAIL(1, 5, 100,), MAIL(2, 6, 200, .seen = true), MAIL(3, 7, 400, .deleted = true), MAIL(4, 9, 800,),
};

static void
test_picture(void **state)
{
	struct pop3_drop d;
	struct err err = { "" };
	uint64_t mails, octets;
	char uidl[24];

	(void)state;
	assert_int_equal(build(&d, mailbox, NITEMS(mailbox), 4, &err), 0);
	pop3_drop_count(&d, &mails, &octets);
	assert_int_equal(mails, 3);		/* what bears \Deleted is hidden */
	assert_int_equal(octets, 1100);
	assert_int_equal(pop3_drop_mail(&d, 3)->uid, 9);
	assert_null(pop3_drop_mail(&d, 0));
	assert_null(pop3_drop_mail(&d, 4));
	pop3_drop_uidl(&d, pop3_drop_mail(&d, 3), uidl);
	assert_string_equal(uidl, "000000091234abcd");

	pop3_drop_mail(&d, 2)->deleted = true;
	assert_null(pop3_drop_mail(&d, 2));
	assert_int_equal(pop3_drop_mail(&d, 3)->uid, 9);	/* numbers do not move */
	pop3_drop_count(&d, &mails, &octets);
	assert_int_equal(mails, 2);
	assert_int_equal(octets, 900);
	pop3_drop_reset(&d);
	assert_non_null(pop3_drop_mail(&d, 2));
	pop3_drop_free(&d);
}

/* Fewer messages than announced, a UID twice, no UID: never a maildrop with something missing. */
static void
test_no_picture(void **state)
{
	static const struct { struct listed list[3]; size_t n; uint32_t exists; const char *why; } cases[] = {
		{ { MAIL(1, 5, 1,) }, 1, 2, "the server listed 1 of 2 messages" },
		{ { MAIL(1, 5, 1,), MAIL(2, 5, 1,) }, 2, 2, "the server gave UID 5 to two messages" },
		{ { MAIL(1, 0, 1,) }, 1, 1, "a message without a UID" },
		{ { MAIL(0, 0, 0,) }, 0, 1, "the server listed 0 of 1 messages" },
		{ { MAIL(1, 5, 1, .no_flags = true) }, 1, 1, "the server left size or flags of UID 5 away" },
		{ { MAIL(1, 5, 1, .no_flags = true), MAIL(1, 5, 1, .no_flags = true) }, 2, 1, "the server gave UID 5 to two messages" },
		{ { MAIL(1, 5, 1,), MAIL(2, 5, 0, .no_size = true) }, 2, 1, "the server gave UID 5 to two messages" },
	};
	struct pop3_drop d;
	struct err err = { "" };

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(build(&d, cases[i].list, cases[i].n, cases[i].exists, &err), -1);
		assert_string_equal(err.text, cases[i].why);
		pop3_drop_free(&d);
	}
	/* In another order, and with one that went while the list came: a picture all the same. */
	assert_int_equal(build(&d, (const struct listed[]){ MAIL(2, 8, 1,), MAIL(1, 7, 1,) }, 2, 2, &err), 0);
	assert_int_equal(pop3_drop_mail(&d, 1)->uid, 7);
	pop3_drop_free(&d);
	/* Size and flags in two responses. */
	assert_int_equal(build(&d, (const struct listed[]){ MAIL(1, 7, 0, .no_size = true, .seen = true), MAIL(1, 7, 33, .no_flags = true) }, 2, 1, &err), 0);
	assert_int_equal(pop3_drop_mail(&d, 1)->size, 33);
	assert_true(pop3_drop_mail(&d, 1)->seen);
	pop3_drop_free(&d);
	/* Another client reads it while the list comes. */
	assert_int_equal(build(&d, (const struct listed[]){ MAIL(1, 7, 33,), MAIL(1, 7, 0, .no_size = true, .seen = true) }, 2, 1, &err), 0);
	assert_true(pop3_drop_mail(&d, 1)->seen);
	pop3_drop_free(&d);
}

/* Sequence numbers move down behind each that goes. */
static void
test_gone(void **state)
{
	struct pop3_drop d;
	struct err err;

	(void)state;
	assert_int_equal(build(&d, mailbox, NITEMS(mailbox), 4, &err), 0);	/* sequence numbers 1, 2, 4 are shown */
	pop3_drop_expunged(&d, 1, true);
	assert_true(pop3_drop_is_gone(&d, pop3_drop_mail(&d, 1)));
	assert_false(pop3_drop_is_gone(&d, pop3_drop_mail(&d, 2)));
	pop3_drop_expunged(&d, 3, true);	/* what was 4 */
	assert_true(pop3_drop_is_gone(&d, pop3_drop_mail(&d, 3)));
	assert_false(pop3_drop_is_gone(&d, pop3_drop_mail(&d, 2)));
	pop3_drop_expunged(&d, 1, true);	/* what was 2 */
	assert_true(pop3_drop_is_gone(&d, pop3_drop_mail(&d, 2)));
	pop3_drop_free(&d);
}

static bool
is_marked(const struct pop3_mail *m)
{
	return m->deleted;
}

static void
test_sets(void **state)
{
	static const struct { uint32_t uids[8]; const char *marks, *sets; size_t room; } cases[] = {
		{ { 1, 2, 3, 7, 9, 10 }, "111111", "1:3,7,9:10", 80 },
		{ { 1, 2, 3, 7, 9, 10 }, "101010", "1,3,9", 80 },
		{ { 1, 2, 3 }, "000", "", 80 },
		{ { 4294967294, 4294967295 }, "11", "4294967294:4294967295", 80 },
		{ { 11, 13, 15, 17 }, "1111", "11,13|15,17", 6 },	/* a second set where the first is full */
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct pop3_drop d = { 0 };
		struct buf set, sets;
		struct err err;
		size_t from = 0;

		for (size_t k = 0; k < strlen(cases[i].marks); k++)
			pop3_drop_add(&d, &(struct pop3_listed){ (uint32_t)k + 1, cases[i].uids[k], 1, true, true, false, false }, &err);
		for (size_t k = 0; k < d.nmails; k++)
			d.mails[k].deleted = cases[i].marks[k] == '1';
		buf_init(&sets, 200);
		buf_init(&set, cases[i].room);
		for (;;) {
			buf_clear(&set);
			pop3_drop_set(&d, is_marked, &from, &set);
			if (buf_len(&set) == 0)
				break;
			if (buf_len(&sets) > 0)
				buf_putc(&sets, '|');
			buf_put(&sets, buf_slice(&set));
		}
		assert_true(slice_is(buf_slice(&sets), cases[i].sets));
		buf_free(&set);
		buf_free(&sets);
		pop3_drop_free(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture),
		cmocka_unit_test(test_no_picture),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
