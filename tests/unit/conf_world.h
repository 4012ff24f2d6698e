/* conf_world.h - configurations for tests: a world of a few files and a host, and real files in a scratch directory. */
#ifndef TESTS_UNIT_CONF_WORLD_H
#define TESTS_UNIT_CONF_WORLD_H

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf_load.h"
#include "proxy/base/mem.h"

#define PACKED_MAX (64u << 20)

/* A world of our own: these files, this host. The main file is "main.conf" in /gp. */
struct file {
	const char *path, *bytes;
};

static const struct file common[] = {
	{ "/gp/c.pem", "CERTIFICATE" },
	{ "/gp/k.pem", "KEY" },
	{ "/gp/ca.pem", "AUTHORITY" },
	{ "/gp/empty.pem", "" },
	{ "/gp/rules/10.cf", "ten" },
	{ "/gp/rules/20.cf", "twenty" },
	{ "/gp/newline", "\n" },
	{ "/gp/word", "secret\r\n" },
	{ "/gp/list", "# a list\r\n\nBob@example.ORG # who\r\n  .sub.example.org\t\nexample.net" },
	{ "/gp/badlist", "ann@example.org\n\n ann smith@example.org\n" },
	{ "/gp/starlist", "example.org\n*\n" },
	{ "/gp/latin1", "m\xfcller@example.org\n" },
	{ "/gp/rest.conf", "listener l { address 127.0.0.1:25; }\nbackend b { address 127.0.0.1:24; }\nroute * { backend b; }" },
	{ "/gp/more/a.conf", "route a.example { backend b; }" },
	{ "/gp/more/b.conf", "include near.inc;" },
	{ "/gp/more/near.inc", "route b.example { backend b; }" },
	{ "/gp/loop.conf", "include loop2.conf;" },
	{ "/gp/loop2.conf", "\ninclude loop.conf;" },
	{ "/gp/closing.conf", "workers 2; }" },
	{ "/gp/open.conf", "backend b {" },
	{ "/gp/bad.conf", "\n\n  workrs 2;" },
	{ "/gp/inside.conf", "max-hops 7;" },
	{ "/etc/ssl/certs/ca-certificates.crt", "STORE" },
};

struct world {
	const char *text;		/* of /gp/main.conf */
	const char *hostname, *cores;	/* NULL: box.example.net, 3 */
	bool no_store;
	unsigned asked;
};

static const char *
contents_of(const struct world *w, const char *path, size_t *which)
{
	*which = NITEMS(common);
	if (strcmp(path, "main.conf") == 0 || strcmp(path, "/gp/main.conf") == 0)
		return w->text;
	for (size_t i = 0; i < NITEMS(common); i++)
		if (strcmp(common[i].path, path) == 0) {
			*which = i;
			return w->no_store && strncmp(path, "/etc/ssl", 8) == 0 ? NULL : common[i].bytes;
		}
	return NULL;
}

static inline int
say(struct conf_answer *a, struct slice bytes)
{
	a->bytes = mem_slice(bytes);
	a->len = bytes.len;
	return 0;
}

static inline int
say_matches(struct conf_answer *a, const char *pattern)
{
	struct buf out;
	int rc;

	buf_init(&out, 4096);
	for (size_t i = 0; i < NITEMS(common); i++)
		if (fnmatch(pattern, common[i].path, FNM_PATHNAME) == 0) {
			buf_puts(&out, common[i].path);
			buf_putc(&out, '\0');
		}
	rc = say(a, buf_slice(&out));
	buf_free(&out);
	return rc;
}

static inline int
ask_table(void *arg, enum conf_question ask, const char *about, struct conf_answer *a, struct err *err)
{
	struct world *w = arg;
	const char *bytes;
	size_t which;

	w->asked++;
	switch (ask) {
	case CONF_ASK_FILE:
	case CONF_ASK_LIST:
		bytes = contents_of(w, about, &which);
		a->ino = which;
		return bytes != NULL ? say(a, slice_of(bytes)) : err_set(err, "open %s: No such file or directory", about);
	case CONF_ASK_GLOB:
		return say_matches(a, about);
	case CONF_ASK_HOSTNAME:
		return say(a, slice_of(w->hostname != NULL ? w->hostname : "box.example.net"));
	case CONF_ASK_CORES:
		return say(a, slice_of(w->cores != NULL ? w->cores : "3"));
	case CONF_ASK_FOLDER:
		return say(a, SLICE("/gp"));
	}
	return -1;
}

static inline struct conf *
read_in(struct world *w, const char *text, struct err *err)
{
	const struct conf_world world = { ask_table, w };

	w->text = text;
	err->text[0] = '\0';
	return conf_read_from("main.conf", &world, err);
}

static inline struct conf *
read_text(const char *text)
{
	struct world w = { 0 };
	struct err err;
	struct conf *conf = read_in(&w, text, &err);

	if (conf == NULL)
		fail_msg("%s\nmust load, but: %s", text, err.text);
	return conf;
}

static inline void
check(struct world *w, const char *text, const char *wanted)
{
	struct err err;
	struct conf *conf = read_in(w, text, &err);

	if (strcmp(conf != NULL ? "" : err.text, wanted != NULL ? wanted : "") != 0)
		fail_msg("%s\nexpected: %s\ngot:      %s", text, wanted != NULL ? wanted : "no error", err.text);
	conf_unref(&conf);
}

/* What every whole configuration needs; the backend and the route to it share a line. */
#define L "listener l { address 127.0.0.1:25; }\n"
#define BACKEND "backend b { address 127.0.0.1:24; }"
#define ROUTE " route rest.example { backend b; }\n"
#define B BACKEND ROUTE
#define IN_L(settings) "listener l { address 127.0.0.1:25; " settings " }\n" B
#define IN_B(settings) L "backend b { address 127.0.0.1:24; " settings " }" ROUTE
#define TAKEN(mode, address) "listener l { address 127.0.0.1:25; mode " mode "; }\nbackend b { address " address "; }" ROUTE
#define IN_P(settings) L B "profile p { " settings " }\n"
/* Real files, in a directory of their own that is also the working directory. */
static inline char *
enter_scratch(char *home, size_t size)
{
	static char path[] = "/tmp/gatepost-conf-XXXXXX";

	assert_non_null(getcwd(home, size));
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	return path;
}

static inline void
leave_scratch(const char *home, const char *path)
{
	char command[256];

	assert_int_equal(chdir(home), 0);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static inline void
write_file(const char *path, const char *bytes)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(bytes, f);
	assert_int_equal(fclose(f), 0);
}

static inline void
check_disk(const char *path, const char *text, const char *wanted)
{
	struct conf *conf;
	struct err err = { "" };

	write_file("main.conf", text);
	conf = conf_read(path, &err);
	if (strcmp(conf == NULL ? err.text : "", wanted) != 0)
		fail_msg("%s\nexpected: %s\ngot:      %s", text, wanted, err.text);
	conf_unref(&conf);
}

/* Replaces every `from`; the result belongs to the caller. */
static inline char *
substitute(const char *text, const char *from, const char *to)
{
	struct buf out;
	const char *at;
	char *result;

	buf_init(&out, 1 << 20);
	while ((at = strstr(text, from)) != NULL) {
		buf_put(&out, (struct slice){ text, (size_t)(at - text) });
		buf_puts(&out, to);
		text = at + strlen(from);
	}
	buf_puts(&out, text);
	result = mem_slice(buf_slice(&out));
	buf_free(&out);
	return result;
}

#endif
