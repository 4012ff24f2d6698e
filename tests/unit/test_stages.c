#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "filters/stages.h"
#include "proxy/base/mem.h"
#include "tests/unit/make_av.h"
#include "tests/unit/make_zip.h"

#define MAIL_SIZE (32u << 20)

static char rules_path[96];
static char *rules_files[] = { rules_path };
static const struct facts facts;
static struct findings found;
static struct err err;

static struct conf
conf_with(const char *rules)
{
	struct conf conf = { .rules = rules_files, .nrules = 1, .antivirus = antivirus };

	snprintf(rules_path, sizeof(rules_path), "%s/test.cf", work_dir);
	write_text(rules_path, rules);
	return conf;
}

static struct stages *
load_conf(const struct conf *conf)
{
	struct stages *stages = stages_load(conf, NULL, tmp_dir, &err);

	unlink(rules_path);
	if (stages == NULL)
		fail_msg("%s", err.text);
	return stages;
}

static struct stages *
load(const char *rules)
{
	struct conf conf = conf_with(rules);

	return load_conf(&conf);
}

static bool
has(enum finding_kind kind, const char *name)
{
	for (unsigned i = 0; i < found.n; i++)
		if (found.list[i].kind == kind && strncmp(found.list[i].name, name, strlen(name)) == 0)
			return true;
	return false;
}

static unsigned
count(enum finding_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < found.n; i++)
		n += found.list[i].kind == kind;
	return n;
}

/* Exactly these limits and this malware, separated by blanks, or none (""). */
static void
check_mail(struct stages *stages, const char *what, struct slice mail, const char *limits, const char *viruses)
{
	struct { enum finding_kind kind; struct slice names; } want[] = {
		{ FINDING_LIMIT, slice_of(limits) }, { FINDING_VIRUS, slice_of(viruses) },
	};

	memset(&found, 0xa5, sizeof(found));
	if (stages_run(stages, mail, &facts, &found, &err) == -1)
		fail_msg("%s: %s", what, err.text);
	for (size_t i = 0; i < NITEMS(want); i++) {
		struct slice name;
		unsigned n = 0;

		while ((name = slice_word(&want[i].names)).len > 0) {
			char *str = mem_slice(name);

			if (!has(want[i].kind, str))
				fail_msg("%s: no %s", what, str);
			free(str);
			n++;
		}
		for (unsigned k = 0; k < found.n; k++)
			if (found.list[k].kind == want[i].kind && count(want[i].kind) != n)
				fail_msg("%s: %u instead of %u findings, one is %s (%s)", what, count(want[i].kind), n,
				    found.list[k].name, found.list[k].text);
	}
}

/* --- loading --- */

static void
test_load(void **state)
{
	struct conf conf = conf_with("body A /a/\nbody B /b/\n");
	char *path = empty_dir;
	struct stages *stages;

	(void)state;
	stages = stages_load(&conf, NULL, tmp_dir, &err);
	assert_non_null(stages);
	assert_int_equal(stages_rules(stages), 2);
	assert_int_equal(av_signatures(stages_av(stages)), 2);
	stages_free(&stages);
	assert_null(stages);

	conf.antivirus.databases = &path;
	assert_null(stages_load(&conf, NULL, tmp_dir, &err));
	assert_non_null(strstr(err.text, "set antivirus off"));
	conf.antivirus.on = false;
	stages = stages_load(&conf, NULL, NULL, &err);
	assert_non_null(stages);
	assert_null(stages_av(stages));
	stages_free(&stages);

	conf = conf_with("body A /a/\nbody BROKEN /(/\n");
	assert_null(stages_load(&conf, NULL, tmp_dir, &err));
	assert_non_null(strstr(err.text, "test.cf:2: "));
	unlink(rules_path);
}

static void
test_unsupported(void **state)
{
	static char other_path[96];
	char *files[] = { rules_path, other_path };
	struct buf rules, log;
	struct stages *stages;
	struct conf conf;
	size_t room;
	int fd = memfd_create("log", MFD_CLOEXEC), keep = dup(STDERR_FILENO);
	char *space;
	unsigned lines = 0;

	(void)state;
	buf_init(&rules, 4096);
	for (unsigned i = 0; i < 12; i++)
		buf_printf(&rules, "body R%u eval:something()\n", i);
	conf = conf_with(buf_str(&rules));
	snprintf(other_path, sizeof(other_path), "%s/other.cf", work_dir);
	buf_puts(&rules, "body GOOD /good/\nheader S eval:other()\n");
	write_text(other_path, buf_str(&rules));
	buf_free(&rules);
	conf.rules = files;
	conf.nrules = 2;
	conf.antivirus.on = false;

	assert_true(fd >= 0 && keep >= 0);
	log_use(LOG_TO_FILE, fd);
	stages = stages_load(&conf, NULL, NULL, &err);
	assert_non_null(stages);
	buf_init(&log, 65536);
	space = buf_space(&log, 65536, &room);
	buf_filled(&log, (size_t)pread(fd, space, room, 0));
	log_use(LOG_TO_STDERR, keep);
	for (const char *p = buf_str(&log); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 10 + 1 + 10 + 1);
	assert_non_null(strstr(buf_str(&log), "test.cf:10: "));
	assert_null(strstr(buf_str(&log), "test.cf:11: "));
	assert_non_null(strstr(buf_str(&log), "test.cf: 12 lines"));
	assert_non_null(strstr(buf_str(&log), "other.cf:1: "));
	assert_non_null(strstr(buf_str(&log), "other.cf: 13 lines"));
	buf_free(&log);
	stages_free(&stages);
	unlink(rules_path);
	unlink(other_path);
}

/* --- judging --- */

#define HEAD "From: a@example.org\r\nTo: b@example.net\r\nSubject: Good day\r\nMIME-Version: 1.0\r\n"

static void
test_small(void **state)
{
	static const struct { const char *mail, *limits; } cases[] = {
		{ HEAD "\r\nWhat a day.\r\n", "" },
		{ "", "" },
		{ "\r\n", "" },
		{ HEAD "Content-Type: message/partial; id=\"x\"; number=1; total=2\r\n\r\nFrom: x\r\n", "MIME_PARTIAL" },
		{ HEAD "Content-Type: message/external-body; access-type=url\r\n\r\nContent-Type: text/plain\r\n", "" },
	};
	struct stages *stages = load("header DAY Subject =~ /good day/i\nscore DAY 1.5\n");

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++)
		check_mail(stages, cases[i].mail, slice_of(cases[i].mail), cases[i].limits, "");
	check_mail(stages, "a rule", slice_of(cases[0].mail), "", "");
	assert_true(has(FINDING_RULE, "DAY"));
	assert_int_equal(found.score, 1500);
	assert_true(found.av_us > 0 && found.mime_us < 1000000 && found.rules_us < 1000000);
	stages_free(&stages);
}

/* The caps of the reader: just kept, just passed. */
static void
test_too_much(void **state)
{
	static const struct { const char *before, *again; unsigned times; const char *after, *limits; } cases[] = {
		{ HEAD "X-Long: ", "xxxxxxxxxxxxx\r\n ", MIME_FIELD_MAX / 16 - 1, "\r\n\r\ntext\r\n", "" },
		{ HEAD "X-Long: ", "xxxxxxxxxxxxx\r\n ", MIME_FIELD_MAX / 16 + 1, "\r\n\r\ntext\r\n", "MIME_FIELD_TOO_LONG" },
		{ HEAD, "X-Field: 345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		    "012345678901234567890\r\n", MIME_HEADER_MAX / 112 + 1, "\r\ntext\r\n", "MIME_HEADER_TOO_BIG" },
		{ HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\nx\r\n", MIME_PARTS_MAX - 9, "--b--\r\n", "" },
		{ HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\nx\r\n", MIME_PARTS_MAX, "--b--\r\n",
		    "MIME_TOO_MANY_PARTS" },
		{ HEAD "\r\n", "sixteen octets\r\n", MAIL_TEXT_MAX / 16 + 1, "", "" },
	};
	struct conf conf = conf_with("");
	struct stages *stages;
	struct buf mail;

	(void)state;
	conf.antivirus.on = false;
	stages = load_conf(&conf);
	buf_init(&mail, MAIL_SIZE);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		buf_clear(&mail);
		buf_puts(&mail, cases[i].before);
		for (unsigned k = 0; k < cases[i].times; k++)
			buf_puts(&mail, cases[i].again);
		buf_puts(&mail, cases[i].after);
		check_mail(stages, cases[i].limits[0] != '\0' ? cases[i].limits : "just not", buf_slice(&mail), cases[i].limits, "");
	}
	buf_free(&mail);
	stages_free(&stages);
}

/* The antivirus has a limit here too. */
static void
test_too_deep(void **state)
{
	struct stages *stages = load("");
	struct buf mail;

	(void)state;
	buf_init(&mail, MAIL_SIZE);
	buf_puts(&mail, HEAD);
	for (unsigned i = 0; i < MIME_DEPTH_MAX + 5; i++)
		buf_printf(&mail, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
	buf_puts(&mail, "\r\ntext\r\n");
	check_mail(stages, "deep", buf_slice(&mail), "MIME_TOO_DEEP Heuristics.Limits.Exceeded.Max", "");
	buf_free(&mail);
	stages_free(&stages);
}

static void
test_malware(void **state)
{
	struct stages *stages = load("");
	struct buf mail, tricky;
	struct zipper z;
	char *at;

	(void)state;
	buf_init(&mail, MAIL_SIZE);
	put_test_mail(&mail, "application/octet-stream", "a.bin", slice_of(eicar));
	check_mail(stages, "attached", buf_slice(&mail), "", "Test.Eicar");	/* once, though seen twice */

	/* Each octet padded: readers show it, libclamav stops at the first. */
	buf_init(&tricky, 4096);
	buf_puts(&tricky, HEAD "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	for (size_t i = 0; eicar[i] != '\0'; i++)
		put_base64_lines(&tricky, (struct slice){ eicar + i, 1 });
	check_mail(stages, "padding in the middle", buf_slice(&tricky), "", "Test.Eicar");
	assert_non_null(strstr(found.list[0].text, "in part 0"));
	buf_free(&tricky);

	buf_clear(&mail);
	zip_start(&z);
	zip_add(&z, "secret", SLICE("gibberish"), true, 1);
	put_test_mail(&mail, "application/zip", "a.zip", zip_finish(&z));
	check_mail(stages, "encrypted", buf_slice(&mail), "Heuristics.Encrypted.Zip", "");
	zip_drop(&z);

	buf_clear(&mail);
	zip_start(&z);
	zip_add(&z, "e", slice_of(eicar), true, 0);
	at = mem_slice(zip_finish(&z));
	memcpy(at + buf_len(&z.out) - 6, "\xff\xff\xff\xff", 4);
	put_test_mail(&mail, "application/zip", "a.zip", (struct slice){ at, buf_len(&z.out) });
	check_mail(stages, "zip64", buf_slice(&mail), "ZIP_ZIP64", "");
	free(at);
	zip_drop(&z);
	buf_free(&mail);
	stages_free(&stages);
}

static void
test_at_most_ten(void **state)
{
	char path[128];
	struct buf text;
	struct stages *stages;

	(void)state;
	buf_init(&text, 65536);
	for (unsigned i = 0; i < 15; i++)
		buf_printf(&text, "Test.Many.%02u:0:*:6d616c7761726520736f2062616420%02x%02x%02x\n", i, 'a' + i, 'a' + i, 'a' + i);
	snprintf(path, sizeof(path), "%s/many.ndb", database);
	write_text(path, buf_str(&text));
	stages = load("");
	unlink(path);
	buf_clear(&text);
	buf_puts(&text, HEAD "Content-Type: multipart/mixed; boundary=s\r\n\r\n");
	for (unsigned i = 0; i < 15; i++)
		buf_printf(&text, "--s\r\n\r\nmalware so bad %c%c%c\r\n", 'a' + i, 'a' + i, 'a' + i);
	buf_puts(&text, "--s--\r\n");
	assert_int_equal(stages_run(stages, buf_slice(&text), &facts, &found, &err), 0);
	assert_int_equal(count(FINDING_VIRUS), 10);
	buf_free(&text);
	stages_free(&stages);
}

/* Whoever cannot judge must say so: "nothing found" would deliver it. */
static void
test_cannot_judge(void **state)
{
	struct stages *stages = load("");
	struct buf mail;
	char gone[128];

	(void)state;
	buf_init(&mail, MAIL_SIZE);
	put_test_mail(&mail, "application/octet-stream", "a.bin", SLICE("harmless"));
	snprintf(gone, sizeof(gone), "%s/gone", work_dir);
	assert_int_equal(av_set_tmp(stages_av(stages), gone, &err), 0);
	assert_int_equal(stages_run(stages, buf_slice(&mail), &facts, &found, &err), -1);
	assert_non_null(strstr(err.text, gone));
	buf_free(&mail);
	stages_free(&stages);
}

/* The parser's many realloc(3) calls become copies under the address sanitizer: no measure then. */
#ifdef __SANITIZE_ADDRESS__
#define SLOW_MALLOC true
#else
#define SLOW_MALLOC false
#endif

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Scripts that stall libclamav's HTML parser, in one piece (13 s if it is let) and in pieces that
 * are each small enough for it (0.2 s each, twice). */
static void
test_script_bomb(void **state)
{
	static const struct { const char *head; unsigned parts, times; } cases[] = {
		{ "Content-Type: text/html\r\n\r\n", 1, 80000 },
		{ "Content-Type: text/plain\r\n\r\n", 1, 80000 },
		{ "Content-Type: multipart/mixed; boundary=s\r\n\r\n", 1, 80000 },
		{ "Content-Type: multipart/mixed; boundary=s\r\n\r\n", 16, 12000 },
	};
	struct stages *stages = load("body X /never/\n");
	struct buf mail;

	(void)state;
	buf_init(&mail, MAIL_SIZE);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		double before;

		if (cases[i].parts > 1 && SLOW_MALLOC)
			continue;
		buf_clear(&mail);
		buf_puts(&mail, HEAD);
		buf_puts(&mail, cases[i].head);
		for (unsigned part = 0; part < cases[i].parts; part++) {
			buf_puts(&mail, "--s\r\nContent-Type: text/html\r\n\r\n<html><script>");
			for (unsigned k = 0; k < cases[i].times; k++)
				buf_puts(&mail, "a=unescape(\"%41%42\");");
			buf_puts(&mail, "\r\n");
		}
		before = cpu_seconds();
		check_mail(stages, "script bomb", buf_slice(&mail), "", "");
		if (cpu_seconds() - before > 2)
			fail_msg("script bomb %zu takes too long", i);
		buf_puts(&mail, eicar);	/* left out by the parser, searched all the same */
		check_mail(stages, "malware behind it", buf_slice(&mail), "", "Test.Eicar");
	}
	buf_free(&mail);
	stages_free(&stages);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_malware),
		cmocka_unit_test(test_at_most_ten),
		cmocka_unit_test(test_cannot_judge),
		cmocka_unit_test(test_script_bomb),
	};

	return cmocka_run_group_tests_name("stages", tests, make_av_files, drop_av_files);
}
