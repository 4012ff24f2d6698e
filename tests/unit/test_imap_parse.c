/* test_imap_parse.c - truths about proxy/imap/imap_parse.h and imap_lex.h: a server's responses, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/imap_trace.h"

/* What it means, as imap_trace.h writes it. A "!" at the end: refused. */
static const struct { const char *wire, *says; } cases[] = {
	/* status responses, their codes and their texts */
	{ "* OK ready\r\n", "*OK[]ready " },
	{ "* ok ready\r\n", "*OK[]ready " },
	{ "* OK\r\n", "*OK[] " },
	{ "* OK \r\n", "*OK[] " },
	{ "* PREAUTH hello\r\n", "*PREAUTH[]hello " },
	{ "* BYE\r\n", "*BYE[] " },
	{ "* OK [CAPABILITY IMAP4rev1 ID] ready\r\n", "*OK[CAPABILITY IMAP4rev1 ID]ready " },
	{ "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited\r\n", "*OK[PERMANENTFLAGS (\\Deleted \\Seen \\*)]Limited " },
	{ "* OK [UIDVALIDITY 3857529045]\r\n", "*OK[UIDVALIDITY 3857529045] " },
	{ "* OK [half a code\r\n", "*OK[][half a code " },
	{ "* NO text with \"quotes (and {5}\r\n", "*NO[]text with \"quotes (and {5} " },
	{ "* OK 8-bit \xc3\xa4\r\n", "*OK[]8-bit \xc3\xa4 " },
	{ "g1 OK done\r\ng20 NO [ALERT] no\r\ng300 BAD what\r\n", "g1OK[]done g20NO[ALERT]no g300BAD[]what " },
	{ "g4294967295 OK x\r\n", "g4294967295OK[]x " },
	{ "g4294967296 OK x\r\n", "g0OK[]x " },		/* none of ours: the session judges */
	{ "g0 OK x\r\ng OK x\r\nG1 OK x\r\na1 OK x\r\n", "g0OK[]x g0OK[]x g0OK[]x g0OK[]x " },
	{ "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "caps(IMAP4rev1 AUTH=PLAIN) " },
	{ "* CAPABILITY\r\n", "caps() " },
	{ "+ go on\r\n+\r\n+ \r\n+dGV4dA==\r\n", "+go on + + +dGV4dA== " },
	/* numbers */
	{ "* 0 EXISTS\r\n* 23 exists\r\n* 4294967295 EXISTS\r\n", "0EXISTS 23EXISTS 4294967295EXISTS " },
	{ "* 44 EXPUNGE\r\n", "44EXPUNGE " },
	{ "* 3 RECENT\r\n* 3 WHATEVER (a \"b\") {2}\r\n)( x\r\n", "other other " },
	{ "* SEARCH\r\n* SEARCH 2 84 882\r\n* SEARCH 1 \r\n", "other ?2 ?84 ?882 other ?1 other " },
	{ "* SEARCH 2 5 (MODSEQ 917162500)\r\n", "?2 ?5 other " },
	/* what says nothing to us is passed over, however it is put */
	{ "* FLAGS (\\Answered $Forwarded foo])\r\n", "other " },
	{ "* LIST (\\Noselect) \"/\" ~/Mail/[foo\r\n", "other " },
	{ "* LIST () NIL {5}\r\nIN\r\nB\r\n", "other " },
	{ "* LIST () NIL {5+}\r\nINBOX\r\n* LIST () NIL ~{2}\r\nab\r\n", "other other " },
	{ "* STATUS \"a \\\"b\\\\\" (MESSAGES 1)\r\n", "other " },
	{ "* ID (\"name\" \"Dovecot\" \"x\" NIL)\r\n", "other " },
	{ "* NAMESPACE ((\"\" \"/\")(\"x\" \"y\")) NIL NIL\r\n", "other " },
	{ "* X ((((((((((((((((a))))))))))))))))\r\n", "other " },
	{ "* X\r\n", "other " },
	{ "*  X  (  a  )  \r\n", "other " },
	{ "* OKAY then\r\n", "other " },
	/* FETCH: items in any order */
	{ "* 12 FETCH (UID 7 RFC822.SIZE 44827 FLAGS (\\Seen))\r\n", "(12u7s44827fS) " },
	{ "* 12 fetch (flags (\\DELETED \\seen $x) rfc822.size 0 uid 4294967295)\r\n", "(12u4294967295s0fDS) " },
	{ "* 1 FETCH (FLAGS ())\r\n* 1 FETCH ()\r\n", "(1f) (1) " },
	{ "* 1 FETCH ( UID  7 )\r\n* 1 FETCH(UID 7)\r\n* 1 FETCH (FLAGS(\\Seen)UID 7)\r\n", "(1u7) (1u7) !" },
	{ "* 1 FETCH (RFC822.SIZE 9223372036854775807)\r\n", "(1s9223372036854775807) " },
	{ "* 1 FETCH (RFC822.SIZE NIL UID 7)\r\n", "(1u7) " },
	{ "* 1 FETCH (UID 7 UID 7)\r\n", "(1u7) " },
	{ "* 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" MODSEQ (12) UID 7 X-GM-MSGID 12)\r\n", "(1u7) " },
	{ "* 1 FETCH (ENVELOPE ({1}\r\n(\"x\") UID 7)\r\n", "!" },
	{ "* 1 FETCH (ENVELOPE (\"a\" NIL ((NIL NIL {1}\r\n( \"x\")) \"b\") UID 7)\r\n", "(1u7) " },
	{ "* 1 FETCH (BODYSTRUCTURE ((\"a\" \"b\")(\"c\" \"d\") \"MIXED\") UID 7)\r\n", "(1u7) " },
	{ "* 1 FETCH (BODY[HEADER.FIELDS (FROM TO)]<0> {2}\r\nab UID 7 BODY[1.TEXT] \"x\" RFC822.HEADER NIL)\r\n", "(1u7) " },
	/* bodies: literal, literal8, quoted, NIL; before and after the rest */
	{ "* 1 FETCH (BODY[] {3}\r\na\r\n UID 7)\r\n", "{1.0:3}a\r\n.(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[] {3}\r\n)(\")\r\n", "{1.7:3})(\".(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[] {0}\r\n)\r\n", "{1.7:0}.(1u7) " },
	{ "* 1 FETCH (UID 7 body[] ~{2+}\r\nab FLAGS (\\Seen))\r\n", "{1.7:2}ab.(1u7fS) " },
	{ "* 1 FETCH (UID 7 BODY[]<0> {2}\r\nab)\r\n", "{1.7:2<0>}ab.(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[]<18446744073709551615> {2}\r\nab)\r\n", "{1.7:2<18446744073709551615>}ab.(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[] \"\")\r\n", "{1.7:0}.(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[] \"a b\" FLAGS ())\r\n", "{1.7:3}a b.(1u7f) " },
	{ "* 1 FETCH (UID 7 BODY[] \"\\\"\\\\\\\\x\\\"\")\r\n", "{1.7:5}\"\\\\x\".(1u7) " },
	{ "* 1 FETCH (UID 7 BODY[] NIL)\r\n* 2 EXPUNGE\r\n", "{1.7:NIL}(1u7) 2EXPUNGE " },
	{ "* 1 FETCH (BODY[]<5> nil UID 7)\r\n", "{1.0:NIL<5>}(1u7) " },
	{ "* 1 FETCH (BODY[] {1}\r\nx RFC822.SIZE 9 UID 7)\r\n", "{1.0:1}x.(1u7s9) " },
	{ "* 1 FETCH (UID 7 BODY[] {9999999999}\r\nabc", "{1.7:9999999999}abc" },	/* and no end */
	{ "* 1 FETCH (UID 7 BODY[] {4}\r\n* 2 ", "{1.7:4}* 2 ." },
	/* refused: what is no response */
	{ "\r\n", "!" },
	{ " * OK x\r\n", "!" },
	{ "*\r\n", "!" },
	{ "* \r\n", "!" },
	{ "* (x)\r\n", "!" },
	{ "(\r\n", "!" },
	{ "{3}\r\nabc OK\r\n", "!" },
	{ "\"g1\" OK\r\n", "!" },
	{ "g1\r\n", "!" },
	{ "g1 BYE x\r\n", "!" },
	{ "g1 FINE x\r\n", "!" },
	{ "g1 \"OK\" x\r\n", "!" },
	{ "HTTP/1.1 200 OK\r\n", "!" },
	{ "* OK x\n", "!" },
	{ "* OK x\ry\r\n", "!" },
	{ "* X x\n", "!" },
	{ "* X\n\r\n", "!" },
	{ "* X x\ry\r\n", "!" },
	{ "* X \x01\r\n", "!" },
	{ "* X \x7f\r\n", "!" },
	{ "* X a\tb\r\n", "!" },
	/* numbers and UIDs */
	{ "* 4294967296 EXISTS\r\n", "!" },
	{ "* 99999999999999999999 EXISTS\r\n", "!" },
	{ "* 1x EXISTS\r\n", "!" },
	{ "* 1 (EXISTS)\r\n", "!" },
	{ "* 1 EXISTS x\r\n", "!" },
	{ "* 0 EXPUNGE\r\n", "!" },
	{ "* 0 FETCH (UID 7)\r\n", "!" },
	{ "* SEARCH 1 0\r\n", "?1 !" },
	{ "* SEARCH 4294967296\r\n", "!" },
	{ "* SEARCH x\r\n", "!" },
	{ "* SEARCH \"1\"\r\n", "!" },
	{ "* 1 FETCH (UID 0)\r\n", "!" },
	{ "* 1 FETCH (UID -1)\r\n", "!" },
	{ "* 1 FETCH (UID \"7\")\r\n", "!" },
	{ "* 1 FETCH (UID {1}\r\n7)\r\n", "!" },
	{ "* 1 FETCH (UID NIL)\r\n", "!" },
	{ "* 1 FETCH (UID 4294967296)\r\n", "!" },
	{ "* 1 FETCH (UID 7 UID 8)\r\n", "!" },
	{ "* 1 FETCH (RFC822.SIZE 9223372036854775808)\r\n", "!" },
	{ "* 1 FETCH (RFC822.SIZE 99999999999999999999999)\r\n", "!" },
	{ "* 1 FETCH (RFC822.SIZE -1)\r\n", "!" },
	{ "* 1 FETCH (RFC822.SIZE \"1\")\r\n", "!" },
	/* FETCH that is not well formed */
	{ "* 1 FETCH\r\n", "!" },
	{ "* 1 FETCH UID 7\r\n", "!" },
	{ "* 1 FETCH (UID 7\r\n", "!" },
	{ "* 1 FETCH (UID 7) x\r\n", "!" },
	{ "* 1 FETCH (UID)\r\n", "!" },
	{ "* 1 FETCH (\"UID\" 7)\r\n", "!" },
	{ "* 1 FETCH (FLAGS \\Seen)\r\n", "!" },
	{ "* 1 FETCH (FLAGS ((\\Seen)))\r\n", "!" },
	{ "* 1 FETCH (FLAGS (\"\\\\Seen\"))\r\n", "!" },
	{ "* 1 FETCH (FLAGS (\\Seen\r\n", "!" },
	{ "* 1 FETCH (X)\r\n", "!" },
	{ "* 1 FETCH (X (a)\r\n", "!" },
	{ "* 1 FETCH (X \"a\"\"b\")\r\n", "!" },
	{ "* 1 FETCH (BODY[ {1}\r\nx)\r\n", "!" },
	{ "* 1 FETCH (BODY[HEADER.FIELDS (\"A\")] {1}\r\nx)\r\n", "!" },
	{ "* 1 FETCH (BODY[] {1}\r\nxUID 7)\r\n", "{1.0:1}x.!" },
	{ "* 1 FETCH (BODY[] {1}\r\nx BODY[] {1}\r\ny)\r\n", "{1.0:1}x.!" },
	{ "* 1 FETCH (BODY[] x)\r\n", "!" },
	{ "* 1 FETCH (BODY[] (x))\r\n", "!" },
	{ "* 1 FETCH (BODY[])\r\n", "!" },
	{ "* 1 FETCH (BODY[] \"a\r\nb\")\r\n", "!" },
	{ "* 1 FETCH (BODY[] \"a\\b\")\r\n", "!" },
	{ "* 1 FETCH (BODY[] \"a\"b)\r\n", "{1.0:1}a.!" },
	{ "* 1 FETCH (BODY[]7 {1}\r\nx)\r\n", "!" },
	{ "* 1 FETCH (BODY[]<18446744073709551616> {1}\r\nx)\r\n", "!" },
	{ "* 1 FETCH (BODY[]<> {1}\r\nx)\r\n", "!" },
	/* literals */
	{ "* X {}\r\n", "!" },
	{ "* X {-1}\r\n", "!" },
	{ "* X {1\r\n", "!" },
	{ "* X {1}x\r\n", "!" },
	{ "* X {1}\nx\r\n", "!" },
	{ "* X {1++}\r\nx\r\n", "!" },
	{ "* X {1 }\r\nx\r\n", "!" },
	{ "* X {8193}\r\n", "!" },
	{ "* X {18446744073709551616}\r\n", "!" },
	{ "* X {99999999999999999999999999999999999999}\r\n", "!" },
	{ "* X a{1}\r\nx\r\n", "!" },
	{ "* 1 FETCH (BODY[] {9223372036854775808}\r\n", "!" },
	{ "* 1 FETCH (BODY[] {00000000000000000000000000000001}\r\nx)\r\n", "!" },
	/* nesting */
	{ "* X (((((((((((((((((a)))))))))))))))))\r\n", "!" },
	{ "* X (a\r\n", "!" },
	{ "* X a)\r\n", "!" },
	{ "* X )(\r\n", "!" },
};

static void
check(struct slice wire, size_t piece, const char *says)
{
	struct buf out;

	imap_trace(&out, wire, piece);
	if (!slice_is(buf_slice(&out), says))
		print_error("%.*s\nin pieces of %zu: %s\n", (int)wire.len, wire.at, piece, buf_str(&out));
	assert_true(slice_is(buf_slice(&out), says));
	buf_free(&out);
}

static void
test_responses(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].wire); piece++)
			check(slice_of(cases[i].wire), piece, cases[i].says);
}

/* The same with octets that a C string cannot hold. */
static void
test_nul(void **state)
{
	static const struct { struct slice wire; const char *says; } rows[] = {
		{ { "* 1 FETCH (BODY[] {2}\r\n\0x)\r\n", 28 }, NULL },
		{ { "* LIST () NIL ~{2}\r\n\0\0\r\n", 24 }, "other " },
		{ { "* OK a\0b\r\n", 10 }, "!" },
		{ { "* X a\0b\r\n", 9 }, "!" },
		{ { "* X \0\r\n", 7 }, "!" },
		{ { "* X \"\0\"\r\n", 9 }, "!" },
		{ { "* 1 FETCH (BODY[a\0] NIL)\r\n", 26 }, "!" },
		{ { "\0", 1 }, "!" },
	};

	(void)state;
	for (size_t piece = 1; piece < 30; piece++) {
		struct buf out;

		imap_trace(&out, rows[0].wire, piece);
		assert_true(slice_same(buf_slice(&out), (struct slice){ "{1.0:2}\0x.(1) ", 14 }));
		buf_free(&out);
		for (size_t i = 1; i < NITEMS(rows); i++)
			check(rows[i].wire, piece, rows[i].says);
	}
}

/* head, `n` times `fill`, tail. */
static struct slice
grown(struct buf *b, const char *head, const char *fill, size_t n, const char *tail)
{
	buf_init(b, 64u << 20);
	buf_puts(b, head);
	while (n-- > 0)
		buf_puts(b, fill);
	buf_puts(b, tail);
	return buf_slice(b);
}

/* The last size that is taken, and the first one that is not; none needs a large reader's buffer. */
static void
test_limits(void **state)
{
	static const struct { const char *head, *fill; size_t most; const char *tail, *says; } rows[] = {
		{ "* X ", "a", IMAP_TOKEN_MAX, "\r\n", "other " },
		{ "* X \"", "a", IMAP_TOKEN_MAX - 1, "\"\r\n", "other " },
		{ "* X {8192}\r\n", "a", IMAP_TOKEN_MAX, "\r\n", "other " },
		{ "* X", " a", (IMAP_RESPONSE_MAX - 5) / 2, "\r\n", "other " },
		{ "* X", " ", IMAP_RESPONSE_MAX - 5, "\r\n", "other " },
		{ "* X ", "()", (IMAP_RESPONSE_MAX - 6) / 2, "\r\n", "other " },
		{ "* X", " {1}\r\na", (IMAP_RESPONSE_MAX - 5) / 7, "\r\n", "other " },
		{ "* CAPABILITY", "  ", (IMAP_TEXT_MAX - 1) / 2, "\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++)
		for (size_t more = 0; more <= 1; more++) {
			struct buf b, out;
			struct slice wire = grown(&b, rows[i].head, rows[i].fill, rows[i].most + more, rows[i].tail);
			bool is_literal = strchr(rows[i].head, '{') != NULL;

			for (size_t piece = 1; piece < 100000; piece *= 7) {
				imap_trace(&out, wire, piece);
				if (more == 0 && rows[i].says != NULL)
					assert_true(slice_is(buf_slice(&out), rows[i].says));
				else if (more == 0)
					assert_false(slice_is(buf_slice(&out), "!"));
				else if (!is_literal)
					assert_true(slice_is(buf_slice(&out), "!"));
				buf_free(&out);
			}
			buf_free(&b);
		}
}

/* A million UIDs in one line, and a body in pieces of at most IMAP_PIECE_MAX. */
static void
test_streams(void **state)
{
	struct buf b, out;
	struct slice wire = grown(&b, "* SEARCH", " 4294967295", 1000000, "\r\n");

	(void)state;
	imap_trace(&out, wire, 65536);
	assert_int_equal(buf_len(&out), 12 * 1000000 + 6);
	buf_free(&out);
	buf_free(&b);
	wire = grown(&b, "* SEARCH", " 4294967295", 2000000, "\r\n");
	imap_trace(&out, wire, 65536);
	assert_int_equal(buf_slice(&out).at[buf_len(&out) - 1], '!');
	buf_free(&out);
	buf_free(&b);
	wire = grown(&b, "* 1 FETCH (BODY[] {10000000}\r\n", "0123456789", 1000000, " UID 7)\r\n");
	imap_trace(&out, wire, 60000);
	assert_int_equal(buf_len(&out), 14 + 10000000 + 7);
	assert_true(slice_is(slice_part(buf_slice(&out), 10000014, 100), ".(1u7) "));
	buf_free(&out);
	buf_free(&b);
}

static void
test_pieces_are_small(void **state)
{
	static char octets[60000];
	struct imap_parse parse;
	struct imap_item item;
	uint64_t got = 0;
	struct buf in;

	(void)state;
	buf_init(&in, 65536);
	imap_parse_init(&parse);
	buf_puts(&in, "* 1 FETCH (BODY[] {60000}\r\n");
	buf_put(&in, (struct slice){ octets, sizeof(octets) });
	while (imap_parse_next(&parse, &in, &item) == IMAP_STEP_ITEM)
		if (item.data.kind == IMAP_BODY_DATA) {
			assert_in_range(item.data.data.len, 1, IMAP_DATA_MAX);
			got += item.data.data.len;
		}
	assert_int_equal(got, sizeof(octets));
	buf_free(&in);
}

/* imap_parse_behind(): what was said after the last item. */
static void
test_behind(void **state)
{
	struct imap_parse parse;
	struct imap_item item;
	struct buf in;

	(void)state;
	buf_init(&in, 65536);
	imap_parse_init(&parse);
	buf_puts(&in, "g1 OK begin TLS\r\n");
	assert_int_equal(imap_parse_next(&parse, &in, &item), IMAP_STEP_ITEM);
	assert_int_equal(imap_parse_behind(&parse, &in), 0);
	buf_puts(&in, "*");
	assert_int_equal(imap_parse_behind(&parse, &in), 1);
	buf_free(&in);
}

/* Nothing brings it back. */
static void
test_bad_stays_bad(void **state)
{
	struct imap_parse parse;
	struct imap_item item;
	struct buf in;

	(void)state;
	buf_init(&in, 65536);
	imap_parse_init(&parse);
	buf_puts(&in, "nonsense\r\n* OK x\r\n");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(imap_parse_next(&parse, &in, &item), IMAP_STEP_BAD);
		assert_string_equal(imap_parse_why(&parse), "a tagged response that is neither OK, NO nor BAD");
	}
	buf_free(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_pieces_are_small),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_bad_stays_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
