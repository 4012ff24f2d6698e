/* make_av.h - a signature database of two for tests, and what it finds.
 *
 * The EICAR test string is put together here from two halves, so that no antivirus takes this
 * source for an infected file. */
#ifndef TESTS_UNIT_MAKE_AV_H
#define TESTS_UNIT_MAKE_AV_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "proxy/base/buf.h"

static char eicar[128];
static char work_dir[64];			/* what a test makes goes in here */
static char tmp_dir[96], database[96], empty_dir[96];
static char *databases[] = { database };

static const struct conf_antivirus antivirus = {
	.on = true,
	.databases = databases,
	.ndatabases = 1,
	.max_file = 2u << 20,
	.max_scan = 64u << 20,
	.max_recursion = 10,
	.max_files = 1000,
	.max_time = 20,
	.alert_encrypted = true,
};

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void
make_dir(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", work_dir, name);
	if (mkdir(path, 0700) == -1) {
		perror(path);
		exit(1);
	}
}

static int
make_av_files(void **state)
{
	char line[512], path[128];
	size_t n;

	(void)state;
	snprintf(eicar, sizeof(eicar), "%s%s", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD",
	    "-ANTIVIRUS-TEST-FILE!$H+H*");
	snprintf(work_dir, sizeof(work_dir), "/tmp/test-av-XXXXXX");
	if (mkdtemp(work_dir) == NULL)
		return -1;
	make_dir(tmp_dir, sizeof(tmp_dir), "tmp");
	make_dir(database, sizeof(database), "database");
	make_dir(empty_dir, sizeof(empty_dir), "empty");
	n = (size_t)snprintf(line, sizeof(line), "Test.Eicar:0:*:");
	for (size_t i = 0; eicar[i] != '\0'; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%02x", (unsigned char)eicar[i]);
	/* "there lies a harmless treasure" */
	snprintf(line + n, sizeof(line) - n,
	    "\nTest.Treasure:0:*:7468657265206c6965732061206861726d6c657373207472656173757265\n");
	snprintf(path, sizeof(path), "%s/test.ndb", database);
	write_text(path, line);
	return 0;
}

static int
drop_av_files(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/test.ndb", database);
	unlink(path);
	rmdir(tmp_dir);
	rmdir(database);
	rmdir(empty_dir);
	return rmdir(work_dir);		/* fails when something was left behind */
}

static void
put_base64_lines(struct buf *out, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < s.len; i += 3) {
		unsigned v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < s.len ? (unsigned char)s.at[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_putc(out, i + k > s.len ? '=' : digits[v >> (18 - 6 * k) & 63]);
		if (i / 3 % 19 == 18 || i + 3 >= s.len)
			buf_puts(out, "\r\n");
	}
}

/* A mail of a text and one attachment of this type. */
static void
put_test_mail(struct buf *mail, const char *type, const char *name, struct slice attachment)
{
	buf_printf(mail,
	    "From: a@example.org\r\nTo: b@example.net\r\nSubject: test\r\nMessage-ID: <1@example.org>\r\n"
	    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/mixed; boundary=sep\r\n\r\n"
	    "--sep\r\nContent-Type: text/plain\r\n\r\nGood day.\r\n"
	    "--sep\r\nContent-Type: %s; name=\"%s\"\r\nContent-Disposition: attachment; filename=\"%s\"\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n", type, name, name);
	put_base64_lines(mail, attachment);
	buf_puts(mail, "--sep--\r\n");
}

#endif
