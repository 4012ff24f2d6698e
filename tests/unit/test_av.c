#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "filters/av_int.h"
#include "proxy/base/mem.h"
#include "tests/unit/make_av.h"
#include "tests/unit/make_zip.h"

#define TREASURE "there lies a harmless treasure"

static struct av *av;
static struct err err;
static char found[AV_FOUND_MAX];

static const char *const words[] = { "clean", "found", "limit", "error" };

static void
load(const struct conf_antivirus *conf)
{
	av = av_load(conf, tmp_dir, &err);
	if (av == NULL)
		fail_msg("%s", err.text);
}

static void
check_piece(const char *what, struct slice bytes, bool is_mail, enum av_result want, const char *name)
{
	enum av_result got;

	err.text[0] = '\0';
	got = av_scan(av, bytes, is_mail, is_mail ? "message/rfc822" : "application/octet-stream",
	    is_mail ? "" : "test.bin", found, sizeof(found), &err);
	if (got != want)
		fail_msg("%s: %s (%s%s)", what, words[got], found, err.text);
	if (name != NULL && strncmp(found, name, strlen(name)) != 0)
		fail_msg("%s: named %s", what, found);
	if ((got == AV_ERROR) != (err.text[0] != '\0'))
		fail_msg("%s: error text \"%s\"", what, err.text);
}

/* The piece by itself, as an attachment in a mail, and that mail in a mail's attachment. */
static void
check_everywhere(const char *what, struct slice bytes, enum av_result want, const char *name)
{
	struct buf mail, outer;

	buf_init(&mail, 32u << 20);
	buf_init(&outer, 32u << 20);
	check_piece(what, bytes, false, want, name);
	put_test_mail(&mail, "application/octet-stream", "test.bin", bytes);
	check_piece(what, buf_slice(&mail), true, want, name);
	put_test_mail(&outer, "application/octet-stream", "test.eml", buf_slice(&mail));
	check_piece(what, buf_slice(&outer), true, want, name);
	buf_free(&mail);
	buf_free(&outer);
}

static void
check_zip(const char *what, const char *contents, bool deflate, unsigned flags, enum av_result want, const char *name)
{
	struct zipper z;

	zip_start(&z);
	zip_add(&z, "readme.txt", SLICE("nothing to see here"), true, 0);
	zip_add(&z, "inside.bin", slice_of(contents), deflate, flags);
	check_everywhere(what, zip_finish(&z), want, name);
	zip_drop(&z);
}

static void
test_finds(void **state)
{
	(void)state;
	load(&antivirus);
	assert_int_equal(av_signatures(av), 2);
	check_everywhere("eicar", slice_of(eicar), AV_FOUND, "Test.Eicar");
	check_everywhere("clean", SLICE("Good day, nothing is the matter."), AV_CLEAN, NULL);
	check_everywhere("nothing", SLICE(""), AV_CLEAN, NULL);
	check_zip("stored", eicar, false, 0, AV_FOUND, "Test.Eicar");
	check_zip("deflated", eicar, true, 0, AV_FOUND, "Test.Eicar");
	check_zip("clean zip", "nothing here either", true, 0, AV_CLEAN, NULL);
	av_free(&av);
	assert_null(av);
}

static void
test_canary(void **state)
{
	struct buf bytes;

	(void)state;
	load(&antivirus);
	assert_int_equal(av_canary(av, &err), 0);
	buf_init(&bytes, 64);
	buf_put(&bytes, (struct slice){ (const char *)av->canary, sizeof(av->canary) });
	check_everywhere("the canary in a real mail", buf_slice(&bytes), AV_FOUND, AV_CANARY_NAME);
	buf_free(&bytes);

	/* A canary that no signature knows any more must be missed. */
	av->canary[0] ^= 1;
	assert_int_equal(av_canary(av, &err), -1);
	assert_non_null(strstr(err.text, "called clean"));
	av_free(&av);
}

static void
test_databases(void **state)
{
	char missing[128], broken[128];
	const struct { char *path; const char *words; } cases[] = {
		{ empty_dir, "install clamav-freshclam and run it, or set antivirus off" },
		{ missing,   "install clamav-freshclam and run it, or set antivirus off" },
		{ broken,    "Malformed database" },
	};
	struct conf_antivirus conf = antivirus;

	(void)state;
	snprintf(missing, sizeof(missing), "%s/missing", work_dir);
	snprintf(broken, sizeof(broken), "%s/broken.ndb", work_dir);
	write_text(broken, "this is no signature\n");
	for (size_t i = 0; i < NITEMS(cases); i++) {
		char *path = cases[i].path;

		conf.databases = &path;
		av = av_load(&conf, tmp_dir, &err);
		assert_null(av);
		if (strstr(err.text, cases[i].words) == NULL || strstr(err.text, path) == NULL)
			fail_msg("%s: %s", path, err.text);
	}
	unlink(broken);
	conf.ndatabases = 0;
	assert_null(av_load(&conf, tmp_dir, &err));
	snprintf(missing, sizeof(missing), "%s/test.ndb", database);	/* one file by its name */
	conf = antivirus;
	conf.databases = (char *[]){ missing };
	load(&conf);
	av_free(&av);
}

/* Each of these made libclamav answer "clean". */
static void
test_no_tmp(void **state)
{
	char gone[128];

	(void)state;
	load(&antivirus);
	make_dir(gone, sizeof(gone), "gone");
	assert_int_equal(av_set_tmp(av, gone, &err), 0);
	check_piece("another directory", slice_of(eicar), false, AV_FOUND, NULL);
	assert_int_equal(av_canary(av, &err), 0);
	rmdir(gone);
	check_everywhere("directory removed", slice_of(eicar), AV_ERROR, NULL);
	assert_int_equal(av_canary(av, &err), -1);
	/* The piece is never looked at: it would not fit. */
	assert_int_equal(av_set_tmp(av, tmp_dir, &err), 0);
	check_piece("no room", (struct slice){ eicar, SIZE_MAX / 4 }, false, AV_ERROR, NULL);
	assert_non_null(strstr(err.text, "is full"));
	/* There is a directory and it is not full, but nobody can make a file in it, not even root. */
	assert_int_equal(av_set_tmp(av, "/proc", &err), 0);
	check_everywhere("directory that takes nothing", slice_of(eicar), AV_ERROR, NULL);
	assert_non_null(strstr(err.text, "temporary directory"));
	/* libclamav's cache, if it were on, would now know it as clean. */
	assert_int_equal(av_set_tmp(av, tmp_dir, &err), 0);
	check_everywhere("after the failure", slice_of(eicar), AV_FOUND, NULL);
	assert_int_equal(av_canary(av, &err), 0);
	av_free(&av);
	assert_null(av_load(&antivirus, gone, &err));
}

static void
test_encrypted(void **state)
{
	struct conf_antivirus conf = antivirus;
	struct zipper z;

	(void)state;
	load(&conf);
	check_zip("encrypted", "gibberish", true, 1, AV_LIMIT, "Heuristics.Encrypted.Zip");
	zip_start(&z);
	zip_add(&z, "secret", SLICE("gibberish"), true, 1);
	zip_add(&z, "open", slice_of(eicar), true, 0);
	check_everywhere("malware beside it", zip_finish(&z), AV_FOUND, "Test.Eicar");
	zip_drop(&z);
	av_free(&av);
	conf.alert_encrypted = false;
	load(&conf);
	check_zip("encrypted, allowed", "gibberish", true, 1, AV_CLEAN, NULL);
	av_free(&av);
}

static void
test_nested(void **state)
{
	struct buf inner;

	(void)state;
	load(&antivirus);
	buf_init(&inner, ZIP_TEST_MAX);
	buf_puts(&inner, eicar);
	for (unsigned depth = 1; depth <= 30; depth++) {
		struct zipper z;

		zip_start(&z);
		zip_add(&z, "in.zip", buf_slice(&inner), depth == 1, 0);
		buf_clear(&inner);
		buf_put(&inner, zip_finish(&z));
		zip_drop(&z);
		if (depth == 6)
			check_piece("6 deep", buf_slice(&inner), false, AV_FOUND, "Test.Eicar");
	}
	check_everywhere("30 deep", buf_slice(&inner), AV_LIMIT, "Heuristics.Limits.Exceeded.MaxRecursion");
	buf_free(&inner);
	av_free(&av);
}

/* What libclamav would unpack in part or not at all, saying nothing. */
static void
test_unseen(void **state)
{
	size_t size = antivirus.max_file + 100000;
	char *zeros = mem_new(size), *copy;
	struct zipper z;
	struct slice s;

	(void)state;
	load(&antivirus);
	memcpy(zeros + size - 100, eicar, strlen(eicar));
	zip_start(&z);
	zip_add(&z, "large", (struct slice){ zeros, size }, true, 0);
	s = zip_finish(&z);
	check_piece("member over the limit", s, false, AV_LIMIT, "ZIP_MEMBER_TOO_BIG");
	copy = mem_slice(s);
	for (size_t at = 0; at + 4 < s.len; at++)	/* the same, but it says that it has one octet */
		if (memcmp(copy + at, "PK\1\2", 4) == 0)
			memcpy(copy + at + 24, "\1\0\0\0", 4);
	check_piece("member over the limit, denied", (struct slice){ copy, s.len }, false, AV_LIMIT,
	    "Heuristics.Limits.Exceeded.MaxFileSize");
	free(copy);
	check_piece("piece over the limit", (struct slice){ zeros, size }, false, AV_LIMIT,
	    "Heuristics.Limits.Exceeded.MaxFileSize");
	zip_drop(&z);

	zip_start(&z);
	zip_add(&z, "e", slice_of(eicar), true, 0);
	s = zip_finish(&z);
	copy = mem_slice(s);
	memcpy(copy + s.len - 6, "\xff\xff\xff\xff", 4);
	check_everywhere("zip64", (struct slice){ copy, s.len }, AV_LIMIT, "ZIP_ZIP64");
	free(copy);
	free(zeros);
	zip_drop(&z);
	av_free(&av);
}

/* A mail may be larger than the limit for files inside. */
static void
test_large_mail(void **state)
{
	size_t size = antivirus.max_file * 3 / 2;
	char *text = mem_new(size + 1);
	struct buf mail;

	(void)state;
	load(&antivirus);
	buf_init(&mail, 32u << 20);
	put_test_mail(&mail, "application/octet-stream", "test.bin", slice_of(eicar));
	memset(text, 'x', size);
	for (size_t i = 70; i < size; i += 70)
		text[i] = '\n';
	buf_puts(&mail, text);
	check_piece("eicar in a large mail", buf_slice(&mail), true, AV_FOUND, "Test.Eicar");
	buf_clear(&mail);
	put_test_mail(&mail, "application/octet-stream", "test.bin", SLICE("fine"));
	buf_puts(&mail, text);
	check_piece("a large mail", buf_slice(&mail), true, AV_CLEAN, NULL);
	buf_free(&mail);
	free(text);
	av_free(&av);
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* HTML that is too large for its parser: it must not stall, nor go unsearched. */
static void
test_large_html(void **state)
{
	struct buf bomb;
	double before;
	struct zipper z;

	(void)state;
	load(&antivirus);
	buf_init(&bomb, 4u << 20);
	buf_puts(&bomb, "<html><script>");
	for (unsigned i = 0; i < 80000; i++)
		buf_puts(&bomb, "a=unescape(\"%41%42\");");
	before = cpu_seconds();
	check_everywhere("script bomb", buf_slice(&bomb), AV_CLEAN, NULL);
	zip_start(&z);
	zip_add(&z, "bomb.html", buf_slice(&bomb), true, 0);
	check_everywhere("script bomb in a zip", zip_finish(&z), AV_CLEAN, NULL);
	zip_drop(&z);
	assert_true(cpu_seconds() - before < 2);
	buf_puts(&bomb, eicar);
	check_everywhere("malware behind it", buf_slice(&bomb), AV_FOUND, "Test.Eicar");
	buf_clear(&bomb);
	buf_puts(&bomb, "<html><p>there lies<!-- -->\n a <b>harmless</b> treasure");
	check_everywhere("small HTML is taken apart", buf_slice(&bomb), AV_FOUND, "Test.Treasure");
	buf_free(&bomb);
	av_free(&av);
}

/* A forked scanner works with the engine and its own directory. */
static void
test_forked(void **state)
{
	char own[128];
	int status = 0;
	pid_t pid;

	(void)state;
	load(&antivirus);
	make_dir(own, sizeof(own), "own");
	if ((pid = fork()) == 0) {
		if (av_set_tmp(av, own, &err) == -1 || av_canary(av, &err) == -1)
			_exit(1);
		if (av_scan(av, slice_of(eicar), false, "", "", found, sizeof(found), &err) != AV_FOUND)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(rmdir(own), 0);	/* nothing is left behind */
	av_free(&av);
}

static void
say_nothing(enum cl_msg severity, const char *full, const char *text, void *context)
{
	(void)severity, (void)full, (void)text, (void)context;
}

/* The canary also finds out that libclamav's complaints do not arrive. The last test: it leaves
 * the process deaf. */
static void
test_deaf(void **state)
{
	(void)state;
	load(&antivirus);
	cl_set_clcb_msg(say_nothing);
	assert_int_equal(av_canary(av, &err), -1);
	assert_non_null(strstr(err.text, "does not notice"));
	av_free(&av);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_canary),
		cmocka_unit_test(test_databases),
		cmocka_unit_test(test_no_tmp),
		cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_large_mail),
		cmocka_unit_test(test_large_html),
		cmocka_unit_test(test_forked),
		cmocka_unit_test(test_deaf),
	};

	return cmocka_run_group_tests_name("av", tests, make_av_files, drop_av_files);
}
