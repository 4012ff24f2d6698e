/* What a stored message is on the wire of RETR and TOP, whole and in every piece size, with little
 * room for output too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/mem.h"
#include "proxy/pop3/pop3_stuff.h"

#define ALL -1	/* RETR */

static const struct { const char *mail; int lines; const char *wire; } cases[] = {
	{ "A: b\r\n\r\ntext\r\n",	ALL,	"A: b\r\n\r\ntext\r\n.\r\n" },
	{ "A: b\r\n\r\ntext",		ALL,	"A: b\r\n\r\ntext\r\n.\r\n" },	/* no final line end */
	{ "",				ALL,	".\r\n" },
	{ ".",				ALL,	"..\r\n.\r\n" },
	{ ".\r\n+OK forged\r\n",	ALL,	"..\r\n+OK forged\r\n.\r\n" },	/* the first octet counts as a line's start */
	{ "a\r\n.\r\nb\r\n",		ALL,	"a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\n..b\r\n",		ALL,	"a\r\n...b\r\n.\r\n" },
	{ "a.\r\n",			ALL,	"a.\r\n.\r\n" },
	{ "a\n.\nb\n",			ALL,	"a\r\n..\r\nb\r\n.\r\n" },	/* bare LF becomes a line's end */
	{ "a\r.\rb\r\n",		ALL,	"a\r..\rb\r\n.\r\n" },		/* bare CR stays, what follows is stuffed */
	{ "a\r\r\n.\r\n",		ALL,	"a\r\r\n..\r\n.\r\n" },
	{ "a\r",			ALL,	"a\r\r\n.\r\n" },
	{ "a\n\r",			ALL,	"a\r\n\r\r\n.\r\n" },
	{ "A: b\r\n\r\none\r\ntwo\r\n",	0,	"A: b\r\n\r\n.\r\n" },
	{ "A: b\r\n\r\none\r\ntwo\r\n",	1,	"A: b\r\n\r\none\r\n.\r\n" },
	{ "A: b\r\n\r\none\r\ntwo\r\n",	2,	"A: b\r\n\r\none\r\ntwo\r\n.\r\n" },
	{ "A: b\r\n\r\none\r\ntwo",	9,	"A: b\r\n\r\none\r\ntwo\r\n.\r\n" },
	{ "A: b\n\n.one\ntwo\n",	1,	"A: b\r\n\r\n..one\r\n.\r\n" },
	{ "A: b\r\n\r\n\r\n\r\nx\r\n",	2,	"A: b\r\n\r\n\r\n\r\n.\r\n" },
	{ "A: b\r\n",			0,	"A: b\r\n.\r\n" },		/* no body at all: what there is */
	{ "\r\none\r\n",		1,	"\r\none\r\n.\r\n" },
	{ "A: b\r\n \r\nC: d\r\n\r\nx\r\n", 0,	"A: b\r\n \r\nC: d\r\n\r\n.\r\n" },	/* a line of blanks is no empty line */
};

static void
check(size_t which, size_t piece, size_t room)
{
	struct slice mail = slice_of(cases[which].mail);
	struct pop3_stuff stuff;
	struct buf out, wire;

	if (cases[which].lines == ALL)
		pop3_stuff_begin(&stuff);
	else
		pop3_stuff_begin_top(&stuff, (uint64_t)cases[which].lines);
	buf_init(&out, room);
	buf_init(&wire, 4096);
	while (mail.len > 0) {
		struct slice part = slice_part(mail, 0, piece);
		size_t used = pop3_stuff_write(&stuff, part, &out);

		assert_true(used > 0 && used <= part.len);
		mail = slice_part(mail, used, mail.len);
		buf_put(&wire, buf_slice(&out));
		buf_clear(&out);
	}
	assert_true(pop3_stuff_finish(&stuff, &out));
	buf_put(&wire, buf_slice(&out));
	if (!slice_is(buf_slice(&wire), cases[which].wire))
		fail_msg("row %zu, pieces of %zu, room for %zu: %s", which, piece, room, buf_str(&wire));
	buf_free(&out);
	buf_free(&wire);
}

static void
test_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].mail) + 1; piece++)
			for (size_t room = 5; room < 40; room += 7)
				check(i, piece, room);
}

/* Nothing is put when there is no room, and nothing is lost. */
static void
test_no_room(void **state)
{
	struct pop3_stuff stuff;
	struct buf out;

	(void)state;
	pop3_stuff_begin(&stuff);
	buf_init(&out, 3);
	assert_int_equal(pop3_stuff_write(&stuff, SLICE("abc"), &out), 0);
	assert_int_equal(buf_len(&out), 0);
	buf_puts(&out, "x");
	assert_false(pop3_stuff_finish(&stuff, &out));
	assert_int_equal(buf_len(&out), 1);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
