/* What zip_unseen must see, one archive of two members with single octets changed. The layout:
 * local header 0 (name "a"), its data, local header 1 (name "b"), its data, two entries, end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/zip.h"
#include "proxy/base/mem.h"
#include "tests/unit/make_zip.h"

#define MAX_FILE 1000000

enum place { LOCAL, ENTRY, END };	/* of the second member */

static const struct {
	const char *what;
	struct { enum place in; unsigned at; const char *octets; unsigned n; } change[3];
	const char *unseen;
} cases[] = {
	{ "as it should be",            { { LOCAL, 0, "PK", 2 } },                       NULL },
	{ "encrypted, says so twice",   { { LOCAL, 6, "\1", 1 }, { ENTRY, 8, "\1", 1 } }, NULL },
	{ "its method when encrypted",  { { LOCAL, 6, "\1", 1 }, { ENTRY, 8, "\1", 1 }, { LOCAL, 8, "\x63", 1 } }, NULL },
	{ "sizes behind the data",      { { LOCAL, 6, "\10", 1 }, { ENTRY, 8, "\10", 1 },
	                                  { LOCAL, 18, "\0\0\0\0\0\0\0\0", 8 } }, NULL },
	{ "count of members too big",   { { END, 10, "\xff\xff", 2 } },                  NULL },
	{ "packed size in zip64",       { { ENTRY, 20, "\xff\xff\xff\xff", 4 } },        "ZIP_ZIP64" },
	{ "unpacked size in zip64",     { { ENTRY, 24, "\xff\xff\xff\xff", 4 } },        "ZIP_ZIP64" },
	{ "place in zip64",             { { ENTRY, 42, "\xff\xff\xff\xff", 4 } },        "ZIP_ZIP64" },
	{ "local sizes in zip64",       { { LOCAL, 18, "\xff\xff\xff\xff\xff\xff\xff\xff", 8 } }, "ZIP_ZIP64" },
	{ "directory's place in zip64", { { END, 16, "\xff\xff\xff\xff", 4 } },          "ZIP_ZIP64" },
	{ "as large as the limit",      { { ENTRY, 24, "\x40\x42\x0f\0", 4 } },          NULL },
	{ "over the file limit",        { { ENTRY, 24, "\x41\x42\x0f\0", 4 } },          "ZIP_MEMBER_TOO_BIG" },
	{ "PPMd",                       { { LOCAL, 8, "\x62", 1 }, { ENTRY, 10, "\x62", 1 } }, "ZIP_METHOD" },
	{ "Zstandard, locally",         { { LOCAL, 8, "\x5d", 1 } },                     "ZIP_METHOD" },
	{ "another packed size",        { { LOCAL, 18, "\1\0\0\0", 4 } },                "ZIP_INCONSISTENT" },
	{ "no packed size",             { { LOCAL, 18, "\0\0\0\0", 4 } },                "ZIP_INCONSISTENT" },
	{ "encrypted only locally",     { { LOCAL, 6, "\1", 1 } },                       "ZIP_INCONSISTENT" },
	{ "masked",                     { { LOCAL, 7, "\x20", 1 } },                     "ZIP_INCONSISTENT" },
	{ "no local header",            { { LOCAL, 2, "\5", 1 } },                       "ZIP_INCONSISTENT" },
	{ "no local header there",      { { ENTRY, 42, "\xff\xff\xff\x7f", 4 } },        "ZIP_INCONSISTENT" },
	{ "directory nowhere",          { { END, 12, "\1\0\0\0\1\0\0\0", 8 } },          "ZIP_INCONSISTENT" },
	{ "directory elsewhere",        { { END, 16, "\1\0\0\0", 4 } },                  "ZIP_INCONSISTENT" },
	{ "no end record",              { { END, 2, "\1", 1 } },                         "ZIP_INCONSISTENT" },
};

static struct slice
archive(struct zipper *z)
{
	zip_start(z);
	zip_add(z, "a", SLICE("first"), true, 0);
	zip_add(z, "b", SLICE("second"), true, 0);
	return zip_finish(z);
}

/* The last place of a signature; on the heap, exactly as long as it is, so that a sanitizer sees
 * every octet read too many. */
static size_t
last(struct slice s, const char *signature)
{
	size_t at = s.len;

	while (at-- > 0)
		if (s.len - at >= 4 && memcmp(s.at + at, signature, 4) == 0)
			return at;
	fail_msg("no %s", signature);
	return 0;
}

static void
check(const char *what, struct slice bytes, const char *want)
{
	char *copy = malloc(bytes.len + 1);
	const char *got;

	memcpy(copy + 1, bytes.at, bytes.len);
	got = zip_unseen((struct slice){ copy + 1, bytes.len }, MAX_FILE);
	if (got != want && (got == NULL || want == NULL || strcmp(got, want) != 0))
		fail_msg("%s: %s instead of %s", what, got != NULL ? got : "nothing", want != NULL ? want : "nothing");
	free(copy);
}

static void
test_changes(void **state)
{
	static const char *const signatures[] = { [LOCAL] = "PK\3\4", [ENTRY] = "PK\1\2", [END] = "PK\5\6" };

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct zipper z;
		struct slice s = archive(&z);
		char *bytes = mem_slice(s);

		for (size_t c = 0; c < NITEMS(cases[i].change) && cases[i].change[c].n > 0; c++)
			memcpy(bytes + last(s, signatures[cases[i].change[c].in]) + cases[i].change[c].at,
			    cases[i].change[c].octets, cases[i].change[c].n);
		check(cases[i].what, (struct slice){ bytes, s.len }, cases[i].unseen);
		free(bytes);
		zip_drop(&z);
	}
}

static void
test_surroundings(void **state)
{
	struct zipper z;
	struct slice s = archive(&z);
	struct buf b;

	(void)state;
	buf_init(&b, ZIP_TEST_MAX);
	buf_puts(&b, "MZ something in front of it");
	buf_put(&b, s);
	check("a self-extractor", buf_slice(&b), NULL);
	buf_clear(&b);
	buf_put(&b, s);
	buf_puts(&b, "PK\5\6 and more behind it");
	check("a comment nobody counted", buf_slice(&b), NULL);
	buf_clear(&b);
	buf_put(&b, s);
	buf_put(&b, SLICE("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	check("an end record that leads nowhere", buf_slice(&b), "ZIP_INCONSISTENT");
	buf_clear(&b);
	buf_put(&b, s);
	buf_put(&b, s);
	check("two archives, one behind the other", buf_slice(&b), "ZIP_INCONSISTENT");
	buf_clear(&b);
	buf_put(&b, SLICE("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	check("an empty archive", buf_slice(&b), NULL);
	check("no archive", SLICE("Dear Sir, PK\5\6 is not a zip archive"), NULL);
	check("nothing", SLICE(""), NULL);
	buf_free(&b);
	zip_drop(&z);
}

/* Cut anywhere it is no longer wholly visible to libclamav, and no octet outside is read. */
static void
test_cut(void **state)
{
	struct zipper z;
	struct slice s = archive(&z);

	(void)state;
	for (size_t len = 4; len < s.len; len++)
		check("cut", slice_part(s, 0, len), "ZIP_INCONSISTENT");
	for (size_t from = 1; from < s.len; from++)
		(void)zip_unseen(slice_part(s, from, s.len), MAX_FILE);
	zip_drop(&z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests_name("zip", tests, NULL, NULL);
}
