/* test_conf.c - truths about conf/: what is understood, and the sentence for what is not. */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf_load.h"
#include "conf/conf_units.h"
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

static int
say(struct conf_answer *a, struct slice bytes)
{
	a->bytes = mem_slice(bytes);
	a->len = bytes.len;
	return 0;
}

static int
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

static int
ask_table(void *arg, enum conf_ask ask, const char *about, struct conf_answer *a, struct err *err)
{
	struct world *w = arg;
	const char *bytes;
	size_t which;

	w->asked++;
	switch (ask) {
	case CONF_ASK_FILE:
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

static struct conf *
read_in(struct world *w, const char *text, struct err *err)
{
	const struct conf_world world = { ask_table, w };

	w->text = text;
	err->text[0] = '\0';
	return conf_read_from("main.conf", &world, err);
}

static struct conf *
read_text(const char *text)
{
	struct world w = { 0 };
	struct err err;
	struct conf *conf = read_in(&w, text, &err);

	if (conf == NULL)
		fail_msg("%s\nmust load, but: %s", text, err.text);
	return conf;
}

static void
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
#define LABEL63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"

static const struct { const char *text, *error; } cases[] = {	/* error NULL: must load */
	{ "hostname mx.example.org;" L B, NULL },
	{ L B, NULL },
	{ "include rest.conf;", NULL },
	{ "include rest.conf; include more/*.conf;", NULL },
	{ "include more/*.conf rest.conf;", NULL },
	{ "include nothing/*.conf; include rest.conf;", NULL },
	{ IN_L("include inside.conf;"), NULL },
	{ "\xef\xbb\xbf" "workers 2;\r\n" L B, NULL },
	{ "# a comment; { \xff\n" L "#\n" B "# without an end", NULL },
	{ IN_P("refuse-text \"a \\\"b\\\" \\\\ \\$ # ; { } c\";"), NULL },
	{ "workers 2;" L B "antivirus off;", NULL },
	{ L B "antivirus on;", NULL },
	{ L B "antivirus { }", NULL },
	{ "user 65534; scan-user 65534:65534;" L B, NULL },
	{ "user user; scan-user\nnobody;" L B, NULL },
	{ "log syslog;" L B, NULL },
	{ "log file /var/log/g.log;" L B, NULL },
	{ "rules rules/*.cf rules/none*.cf; rules rules/10.cf;" L B, NULL },
	{ "tls t { certificate c.pem; key /gp/k.pem; }" IN_L("tls t;"), NULL },
	{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t; tls-mode none;"), NULL },
	{ IN_B("tls-mode require; tls-name b.example;"), NULL },
	{ IN_B("tls-mode require; tls-verify off;"), NULL },
	{ IN_B("tls-mode offer;"), NULL },
	{ L B "route Example.ORG .example.org * { backend b; }", NULL },
	{ L B "profile default { tag-score 4; } route example.org { backend b; }", NULL },
	{ L "backend b { address 127.0.0.1:${GP_TEST_PORT}; }" ROUTE, NULL },
	{ L BACKEND "route * { backend b; }", NULL },
	{ IN_L("relay-from 10.0.0.0/8 ::1 0.0.0.0/1;"), NULL },
	{ IN_L("allow any; deny 0.0.0.0/0 ::/0;"), NULL },	/* only relaying is never for everyone */
	{ "spool-memory 1M;" IN_L("max-size 1M;"), NULL },
	{ IN_L("mode plain; keep-source off;"), NULL },
	{ IN_L("mode tproxy; keep-source on; intercept-port 587; intercept-interface eth0.5;"), NULL },
	{ IN_L("mode redirect; keep-source on;"), NULL },
	{ TAKEN("tproxy", "original"), NULL },
	{ TAKEN("redirect", "original"), NULL },
	{ IN_P("tag-score 7; refuse-score 7;"), NULL },
	{ IN_P("tag-score 15;"), NULL },
	{ IN_P("refuse-score 5;"), NULL },
	{ L B "antivirus { max-file 64K; max-recursion 1; max-files 1; }", NULL },
	{ L B "antivirus { max-file 2047M; }", NULL },
	{ "workers ${GP_TEST_UNSET:-2}; scanners \"${GP_TEST_EMPTY:-3}\";" L B, NULL },
	{ IN_P("refuse-text \"at ${GP_TEST_PORT} and ${GP_TEST_UNSET:-nowhere; {}\";"), NULL },

	/* connections that are taken over */
	{ IN_L("mode transparent;"),
	  "main.conf:1:41: mode: expected plain, tproxy or redirect, not \"transparent\"" },
	{ IN_L("keep-source on;"),
	  "main.conf:1:36: keep-source is for listeners with mode tproxy or redirect" },
	{ IN_L("mode plain; intercept-port 25;"),
	  "main.conf:1:48: intercept-port is for listeners with mode tproxy or redirect" },
	{ IN_L("intercept-interface g0;"),
	  "main.conf:1:36: intercept-interface is for listeners with mode tproxy or redirect" },
	{ IN_L("mode tproxy; intercept-port 0;"),
	  "main.conf:1:64: intercept-port: expected a number from 1 to 65535, not \"0\"" },
	{ IN_L("mode tproxy; intercept-interface \"g0\\\" accept\";"),
	  "main.conf:1:69: intercept-interface: expected a name, not \"g0\" accept\": "
	  "a name is made of letters, digits, \"-\", \"_\" and \".\"" },
	{ IN_L("mode tproxy; intercept-interface abcdefghijklmnop;"),
	  "main.conf:1:49: the name of an interface has at most 15 characters" },
	{ TAKEN("plain", "original"),
	  "main.conf:2:54: this backend has address original, but clients of the listener l were on their way to nobody else: "
	  "it has mode plain, not tproxy or redirect" },
	{ TAKEN("tproxy", "127.0.0.1:24 original"), "main.conf:2:34: address original stands alone" },
	{ TAKEN("tproxy", "original original"), "main.conf:2:30: address original stands alone" },
	{ "listener l { address original; }" B,
	  "main.conf:1:22: address: \"original\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path" },
	{ L "backend b { address; }" ROUTE, "main.conf:2:20: address: expected addresses with ports or original" },
	{ "listener l { protocol pop3; address 127.0.0.1:110; mode tproxy; keep-source on; backend b; plaintext-login on; }\n"
	  "backend b { protocol imap; address 127.0.0.1:143; }",
	  "main.conf:1:65: keep-source is supported for protocol smtp only" },
	{ "listener l { protocol pop3; address 127.0.0.1:110; mode tproxy; backend b; plaintext-login on; }\n"
	  "backend b { protocol imap; address original; }",
	  "main.conf:1:65: a backend with address original is supported for protocol smtp only" },

	/* the lexer */
	{ "workers ${GP_TEST_UNSET};" L B,
	  "main.conf:1:9: expected the environment variable GP_TEST_UNSET to be set (or ${GP_TEST_UNSET:-default} here)" },
	{ "workers ${GP_TEST_EMPTY};" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"\"" },
	{ "workers ${GP_TEST_BAD};" L B,
	  "main.conf:1:9: expected no control characters, not 0x0a" },
	{ "workers ${1X};" L B,
	  "main.conf:1:9: expected ${NAME} or ${NAME:-default}, NAME of letters, digits and _" },
	{ "workers ${GP_TEST_PORT:2};" L B,
	  "main.conf:1:9: expected ${NAME} or ${NAME:-default}, NAME of letters, digits and _" },
	{ "workers ${GP_TEST_PORT\n};" L B,
	  "main.conf:1:9: expected a \"}\" in the same line: ${NAME}" },
	{ "workers \"2;\n" L B,
	  "main.conf:1:9: expected a closing quote in the same line" },
	{ "workers \"2\"x;" L B,
	  "main.conf:1:12: expected a blank, \";\" or \"{\" behind the closing quote" },
	{ "workers 2\"3\";" L B,
	  "main.conf:1:10: expected a blank before the quote" },
	{ "workers \"\\n\";" L B,
	  "main.conf:1:10: expected \\\", \\\\ or \\$ behind the backslash" },
	{ "wor\x01kers 2;" L B,
	  "main.conf:1:4: expected no control characters, not 0x01" },
	{ "\xc3\xa4\xc3\xb6 \xff;" L B,
	  "main.conf:1:4: expected UTF-8, not the octet 0xff" },
	{ "workers \xc2\x85;" L B,
	  "main.conf:1:9: expected no control characters, not 0x85" },

	/* the tree */
	{ "workers 2" ,
	  "main.conf:1:10: expected \";\" before the end of the file" },
	{ "workers 2 }" ,
	  "main.conf:1:11: expected \";\" before \"}\"" },
	{ "workers 2;\n}",
	  "main.conf:2:1: expected a setting or a block: no block of this file is open here that \"}\" could close" },
	{ "workers 2;\n;",
	  "main.conf:2:1: expected the name of a setting or block before \";\"" },
	{ "{ }",
	  "main.conf:1:1: expected the name of a setting or block before \"{\"" },
	{ L "backend b {\n\taddress 127.0.0.1:24;\n",
	  "main.conf:4:1: expected \"}\": the block backend b, opened in line 2, is never closed" },
	{ "a { a { a { a { a { a { a { a { a { } } } } } } } } }",
	  "main.conf:1:33: expected blocks to be nested at most 8 deep" },
	{ "include;",
	  "main.conf:1:1: expected include PATH" },
	{ "include more/none.conf;",
	  "main.conf:1:9: open /gp/more/none.conf: No such file or directory" },
	{ "include loop.conf;",
	  "/gp/loop2.conf:2:9: /gp/loop.conf includes itself" },
	{ "include closing.conf;",
	  "/gp/closing.conf:1:12: expected a setting or a block: no block of this file is open here that \"}\" could close" },
	{ "include open.conf; }",
	  "/gp/open.conf:1:12: expected \"}\": the block backend b, opened in line 1, is never closed" },
	{ "include bad.conf;" L B,
	  "/gp/bad.conf:3:3: there is no setting called \"workrs\", did you mean \"workers\"?" },
	{ "include { }",
	  "main.conf:1:1: there is no block called \"include\"" },

	/* names in wrong places */
	{ "workrs 2;" L B,
	  "main.conf:1:1: there is no setting called \"workrs\", did you mean \"workers\"?" },
	{ "frobnicate 2;" L B,
	  "main.conf:1:1: there is no setting called \"frobnicate\"" },
	{ "max-size 5M;" L B,
	  "main.conf:1:1: the setting max-size belongs into the block listener" },
	{ "command-timeout 5m;" L B,
	  "main.conf:1:1: the setting command-timeout belongs into the block listener or backend" },
	{ "tls corp;" L B,
	  "main.conf:1:1: the setting tls belongs into the block listener" },
	{ "backend b;" L B,
	  "main.conf:1:1: the setting backend belongs into the block listener or route" },
	{ "profile b;" L B,
	  "main.conf:1:1: the setting profile belongs into the block route" },
	{ "route example.org;" L B,
	  "main.conf:1:1: route is a block: expected route DOMAIN... { ... }" },
	{ IN_L("hostname mx.example.org;"),
	  "main.conf:1:36: the setting hostname belongs outside of any block" },
	{ IN_L("max-sise 5M;"),
	  "main.conf:1:36: there is no setting called \"max-sise\" in the block listener, did you mean \"max-size\"?" },
	{ IN_L("virus tag;"),
	  "main.conf:1:36: the setting virus belongs into the block profile" },
	{ "lisener l { }",
	  "main.conf:1:1: there is no block called \"lisener\", did you mean \"listener\"?" },
	{ "tsl t { }",
	  "main.conf:1:1: there is no block called \"tsl\", did you mean \"tls\"?" },
	{ "foo bar { }",
	  "main.conf:1:1: there is no block called \"foo\"" },
	{ "workers 2 { }" L B,
	  "main.conf:1:13: expected \";\" and no block: workers is a setting" },
	{ L "backend b {\n\taddress 127.0.0.1:24;\n\nroute example.org { backend b; }\n"  "}",
	  "main.conf:5:1: the block route belongs outside of any block, but the backend of line 2 is still open: is its \"}\" missing?" },
	{ IN_L("max-size { }"),
	  "main.conf:1:47: expected \";\" and no block: max-size is a setting" },
	{ IN_L("foo { }"),
	  "main.conf:1:36: there is no block called \"foo\"" },
	{ "hostname mx.example.org\nworkers 2;" L B,
	  "main.conf:2:1: expected \";\" before \"workers\"" },
	{ "workers\nscanners 2;" L B,
	  "main.conf:2:1: expected \";\" before \"scanners\"" },
	{ "hostname mx.example.org\n" L B,
	  "main.conf:2:1: expected \";\" before \"listener\"" },
	{ "listener l { address 127.0.0.1:25\n\tmax-hops 5; }" B,
	  "main.conf:2:2: expected \";\" before \"max-hops\"" },
	{ "rules rules/*.cf\nuser nobody;" L B,
	  "main.conf:2:1: expected \";\" before \"user\"" },
	{ "workers 2 3;" L B,
	  "main.conf:1:11: expected \";\" before \"3\"" },
	{ "log stderr now;" L B,
	  "main.conf:1:12: expected \";\" before \"now\"" },
	{ "log file /a b;" L B,
	  "main.conf:1:13: expected \";\" before \"b\"" },
	{ "listener l m { address 127.0.0.1:25; }" B,
	  "main.conf:1:12: expected \"{\" before \"m\"" },
	{ "listener { address 127.0.0.1:25; }" B,
	  "main.conf:1:1: expected listener NAME {" },
	{ "route { backend b; }" L B,
	  "main.conf:1:1: expected route DOMAIN... {" },
	{ "antivirus on { }" L B,
	  "main.conf:1:11: expected \"{\" before \"on\"" },
	{ "workers 2;\nworkers 2;" L B,
	  "main.conf:2:1: workers is set twice: first at main.conf:1:1" },
	{ "antivirus off;\nantivirus { }" L B,
	  "main.conf:2:1: antivirus is set twice: first at main.conf:1:1" },
	{ "antivirus { }\nantivirus { }" L B,
	  "main.conf:2:1: antivirus is set twice: first at main.conf:1:1" },
	{ "antivirus { }\nantivirus off;" L B,
	  "main.conf:2:1: antivirus is set twice: first at main.conf:1:1" },
	{ IN_L("max-hops 5;\n\tmax-hops 5;"),
	  "main.conf:2:2: max-hops is set twice: first at main.conf:1:36" },
	{ "workers 2;\ninclude closing.conf;" L B,
	  "/gp/closing.conf:1:12: expected a setting or a block: no block of this file is open here that \"}\" could close" },

	/* values */
	{ "workers;" L B,
	  "main.conf:1:8: workers: expected auto or a number from 1 to 256" },
	{ "workers two;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"two\"" },
	{ "workers 0;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"0\"" },
	{ "workers -1;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"-1\"" },
	{ "workers 257;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"257\"" },
	{ "workers 4294967297;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"4294967297\"" },
	{ "workers 99999999999999999999;" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"99999999999999999999\"" },
	{ "workers \"\";" L B,
	  "main.conf:1:9: workers: expected auto or a number from 1 to 256, not \"\"" },
	{ "antivirus of;" L B,
	  "main.conf:1:11: antivirus: expected on or off, not \"of\"" },
	{ "antivirus yes;" L B,
	  "main.conf:1:11: antivirus: expected on or off, not \"yes\"" },
	{ "scan-timeout 30;" L B,
	  "main.conf:1:14: scan-timeout: expected a time from 10ms to 1h, not \"30\": a unit is missing (ms, s, m, h or d)" },
	{ "scan-timeout 30 s;" L B,
	  "main.conf:1:17: expected \";\" before \"s\"" },
	{ "scan-timeout 1.5s;" L B,
	  "main.conf:1:14: scan-timeout: expected a time from 10ms to 1h, not \"1.5s\"" },
	{ "scan-timeout 30S;" L B,
	  "main.conf:1:14: scan-timeout: expected a time from 10ms to 1h, not \"30S\"" },
	{ "scan-timeout 9223372036854775807d;" L B,
	  "main.conf:1:14: scan-timeout: expected a time from 10ms to 1h, not \"9223372036854775807d\"" },
	{ IN_L("max-size 50MB;"),
	  "main.conf:1:45: max-size: expected a size from 1K to 4G, not \"50MB\"" },
	{ IN_L("max-size 5G;"),
	  "main.conf:1:45: max-size: expected a size from 1K to 4G, not \"5G\"" },
	{ IN_L("max-size 1;"),
	  "main.conf:1:45: max-size: expected a size from 1K to 4G, not \"1\"" },
	{ IN_L("max-size -5M;"),
	  "main.conf:1:45: max-size: expected a size from 1K to 4G, not \"-5M\"" },
	{ IN_L("max-size 18446744073709551615G;"),
	  "main.conf:1:45: max-size: expected a size from 1K to 4G, not \"18446744073709551615G\"" },
	{ L B "antivirus { max-file 65535; }",
	  "main.conf:3:22: max-file: expected a size from 64K to 2047M, not \"65535\"" },
	{ L B "antivirus { max-file 2G; }",
	  "main.conf:3:22: max-file: expected a size from 64K to 2047M, not \"2G\"" },
	{ L B "antivirus { max-recursion 0; }",
	  "main.conf:3:27: max-recursion: expected a number from 1 to 100, not \"0\"" },
	{ L B "antivirus { max-files 0; }",
	  "main.conf:3:23: max-files: expected a number from 1 to 1000000, not \"0\"" },
	{ IN_P("tag-score 1.2345;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"1.2345\"" },
	{ IN_P("tag-score 1.;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"1.\"" },
	{ IN_P("tag-score .5;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \".5\"" },
	{ IN_P("tag-score +5;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"+5\"" },
	{ IN_P("tag-score 1000.001;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"1000.001\"" },
	{ IN_P("tag-score five;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"five\"" },
	{ IN_P("virus accept;"),
	  "main.conf:3:19: virus: expected tag, defer or refuse, not \"accept\"" },
	{ IN_P("virus refuze;"),
	  "main.conf:3:19: virus: expected tag, defer or refuse, not \"refuze\", did you mean \"refuse\"?" },
	{ IN_P("unscannable reject;"),
	  "main.conf:3:25: unscannable: expected accept, tag, defer or refuse, not \"reject\"" },
	{ IN_P("refuse-text \"\";"),
	  "main.conf:3:25: refuse-text: expected a text in ASCII, in quotes when it has blanks, not \"\": it must have 1 to 400 octets, because it stands in a line of SMTP" },
	{ IN_P("refuse-text Nicht-erw\xc3\xbcnscht;"),
	  "main.conf:3:25: refuse-text: expected a text in ASCII, in quotes when it has blanks, not \"Nicht-erw\xc3" "\xbc" "nscht\": it must be ASCII, because it stands in a line of SMTP" },
	{ IN_P("refuse-text \"a\tb\";"),
	  "main.conf:3:27: expected no control characters, not 0x09" },
	{ "log-level warn;" L B,
	  "main.conf:1:11: log-level: expected error, warning, info or debug, not \"warn\", did you mean \"warning\"?" },
	{ "log-level notice;" L B,
	  "main.conf:1:11: log-level: expected error, warning, info or debug, not \"notice\"" },
	{ "log stdrr;" L B,
	  "main.conf:1:5: log: expected stderr, syslog or file PATH, not \"stdrr\", did you mean \"stderr\"?" },
	{ "log file;" L B,
	  "main.conf:1:9: log file: expected a path" },
	{ "log file \"\";" L B,
	  "main.conf:1:10: log: expected stderr, syslog or file PATH, not \"\"" },
	{ "tmp-dir \"\";" L B,
	  "main.conf:1:9: tmp-dir: expected a path, not \"\"" },
	{ "hostname mx_1.example.org;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"mx_1.example.org\": only letters, digits, \"-\" and \".\" may stand in it" },
	{ "hostname m\xc3\xbcller.example;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"m\xc3" "\xbc" "ller.example\": write the domain in its xn-- form" },
	{ "hostname mx..example.org;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"mx..example.org\": a name between two dots is missing" },
	{ "hostname -mx.example.org;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"-mx.example.org\": no name between two dots may begin or end with \"-\"" },
	{ "hostname mx.example.org.;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"mx.example.org.\": write it without the dot at the end" },
	{ "hostname \"\";" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"\": a name between two dots is missing" },
	{ "hostname " LABEL63 ";" L B, NULL },
	{ "hostname " LABEL63 "9;" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789\": a name between two dots may have 63 octets at most" },
	{ "hostname " LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ";" L B,
	  "main.conf:1:10: hostname: expected a host's name, not \"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678.abcdefghijklmnop\": it may have 253 octets at most" },
	{ "user -x;" L B,
	  "main.conf:1:6: user: expected a user: NAME, UID or UID:GID, not \"-x\": a user's name has 1 to 32 octets and begins with a letter or \"_\"" },
	{ "user 65534:;" L B,
	  "main.conf:1:6: user: expected a user: NAME, UID or UID:GID, not \"65534:\": numbers are written UID or UID:GID, as in 65534:65534" },
	{ "user 4294967295;" L B,
	  "main.conf:1:6: user: expected a user: NAME, UID or UID:GID, not \"4294967295\": numbers are written UID or UID:GID, as in 65534:65534" },
	{ "user a:b;" L B,
	  "main.conf:1:6: user: expected a user: NAME, UID or UID:GID, not \"a:b\": a user's name is made of letters, digits, \"-\", \"_\" and \".\"" },
	{ "listener a/b { address 127.0.0.1:25; }" B,
	  "main.conf:1:10: listener: expected a name, not \"a/b\": a name is made of letters, digits, \"-\", \"_\" and \".\"" },
	{ "listener " LABEL63 "x { address 127.0.0.1:25; }" B,
	  "main.conf:1:10: listener: expected a name, not \"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678x\": a name has 1 to 63 octets" },
	{ "listener l { address 127.0.0.1; }" B,
	  "main.conf:1:22: address: \"127.0.0.1\" needs a port from 1 to 65535, as in 192.0.2.1:25" },
	{ "listener l { address localhost:25; }" B,
	  "main.conf:1:22: address: \"localhost:25\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path" },
	{ "listener l { address unix:/run/x; }" B,
	  "main.conf:1:22: a listener's address cannot be a UNIX socket" },
	{ "listener l { address 127.0.0.1:25;\n\taddress [::1]:25 unix:/run/x; }" B,
	  "main.conf:2:19: a listener's address cannot be a UNIX socket" },
	{ L "backend b { address unix:/run/lmtp.sock; protocol lmtp; }" ROUTE,
	  "main.conf:2:21: UNIX sockets are not supported yet: give the backend a port on 127.0.0.1" },
	{ IN_B("address [::1]:24 unix:/run/lmtp.sock;"),
	  "main.conf:2:52: UNIX sockets are not supported yet: give the backend a port on 127.0.0.1" },
	{ IN_L("relay-from any;"),
	  "main.conf:1:47: this would let everyone send anywhere: name the networks of your own clients" },
	{ IN_L("relay-from 10.0.0.0/8 0.0.0.0/0;"),
	  "main.conf:1:58: this would let everyone send anywhere: name the networks of your own clients" },
	{ IN_L("relay-from ::1;\n\trelay-from ::/0;"),
	  "main.conf:2:13: this would let everyone send anywhere: name the networks of your own clients" },
	{ IN_L("allow 10.0.0.1/8;"),
	  "main.conf:1:42: allow: \"10.0.0.1/8\" has bits set behind its prefix: the network itself is meant, as in 10.0.0.0/8" },
	{ IN_L("deny everyone;"),
	  "main.conf:1:41: deny: \"everyone\" is not a network: expected 10.0.0.0/8, 2001:db8::/32, an address or any" },
	{ IN_L("protocol imap;"),
	  "main.conf:1:45: protocol imap in a listener block is not supported yet" },
	{ IN_L("protocol imap;"),
	  "main.conf:1:45: protocol imap in a listener block is not supported yet" },
	{ IN_L("protocol lmtp;"),
	  "main.conf:1:45: protocol lmtp in a listener block is not supported yet" },
	{ IN_B("protocol imap;"),
	  "main.conf:2:73: a route's backend speaks smtp or lmtp, not imap" },
	{ IN_B("protocol pop3;"),
	  "main.conf:2:44: protocol pop3 in a backend block is not supported yet" },
	{ "listener l { protocol pop3; address 127.0.0.1:110; plaintext-login on; backend b; }\n"
	  "backend b { protocol imap; address 127.0.0.1:143; }", NULL },
	{ "listener l { protocol pop3; address 127.0.0.1:110; plaintext-login on; }\n"
	  "backend b { protocol imap; address 127.0.0.1:143; }",
	  "main.conf:1:1: a listener with protocol pop3 needs the setting backend: a backend block with protocol imap" },
	{ "listener l { protocol pop3; address 127.0.0.1:110; plaintext-login on; backend b; }\n"
	  "backend b { protocol smtp; address 127.0.0.1:143; }",
	  "main.conf:1:72: a listener with protocol pop3 needs the setting backend: a backend block with protocol imap" },
	{ "listener l { protocol pop3; address 127.0.0.1:110; backend b; }\n"
	  "backend b { protocol imap; address 127.0.0.1:143; }",
	  "main.conf:1:14: nobody could log in here: set tls, or plaintext-login on" },
	{ "listener l { protocol smtp; address 127.0.0.1:110; backend b; }\n"
	  "backend b { protocol smtp; address 127.0.0.1:143; } route example.org { backend b; }",
	  "main.conf:1:52: a listener with protocol smtp has no backend of its own: routes say where mail goes" },
	{ "listener l { protocol smtp; address 127.0.0.1:110; }\n"
	  "backend b { protocol imap; address 127.0.0.1:143; } route example.org { backend b; }",
	  "main.conf:2:73: a route's backend speaks smtp or lmtp, not imap" },
	{ IN_B("protocol http;"),
	  "main.conf:2:44: protocol: expected smtp, lmtp or imap, not \"http\"" },
	{ "tls t { certificate c.pem; key k.pem; min-version 1.1; }" L B,
	  "main.conf:1:51: min-version: expected 1.2 or 1.3, not \"1.1\", did you mean \"1.2\"?" },
	{ "tls t { certificate none.pem; key k.pem; }" L B,
	  "main.conf:1:21: open /gp/none.pem: No such file or directory" },
	{ "tls t { certificate c.pem; key empty.pem; }" L B,
	  "main.conf:1:32: /gp/empty.pem is empty" },
	{ "tls t { certificate \"\"; key k.pem; }" L B,
	  "main.conf:1:21: certificate: expected a file, not \"\"" },
	{ "rules rules/30.cf;" L B,
	  "main.conf:1:7: rules: there is no file \"rules/30.cf\"" },
	{ L B "route m\xc3\xbcller.example { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"m\xc3" "\xbc" "ller.example\": write the domain in its xn-- form" },
	{ L B "route *.example.org { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"*.example.org\": write .example.org for what is below a domain, or * alone for all others" },
	{ L B "route . { backend b; }",
	  "main.conf:3:7: route: expected domains, not \".\": a name between two dots is missing" },

	/* blocks that need each other, and the whole */
	{ "tls t { certificate c.pem; }" L B,
	  "main.conf:1:1: this tls block needs the setting key: a file" },
	{ "listener l { }" B,
	  "main.conf:1:1: this listener block needs the setting address: addresses with ports" },
	{ L "backend b { }",
	  "main.conf:2:1: this backend block needs the setting address: addresses with ports or original" },
	{ L B "route example.org { }",
	  "main.conf:3:1: this route block needs the setting backend: the name of a backend block" },
	{ L B "route example.org { profile p; }",
	  "main.conf:3:1: this route block needs the setting backend: the name of a backend block" },
	{ L,
	  "main.conf:2:1: expected at least one block backend NAME { ... }" },
	{ B,
	  "main.conf:2:1: expected at least one block listener NAME { ... }" },
	{ "",
	  "main.conf:1:1: expected at least one block listener NAME { ... }" },
	{ L BACKEND "\n",
	  "main.conf:3:1: expected at least one block route DOMAIN { ... }: without one no mail could be taken" },
	{ IN_P("tag-score 7; refuse-score 6.999;"),
	  "main.conf:3:26: refuse-score is below tag-score: nothing could be tagged" },
	{ IN_P("refuse-score -1; tag-score 0;"),
	  "main.conf:3:13: refuse-score is below tag-score: nothing could be tagged" },
	{ IN_P("refuse-score 4;"),
	  "main.conf:3:13: refuse-score is below tag-score: nothing could be tagged" },
	{ IN_P("virus tag; tag-score 15.001;"),
	  "main.conf:3:24: refuse-score is below tag-score: nothing could be tagged" },
	{ "spool-memory 1M;" IN_L("max-size 1025K;"),
	  "main.conf:1:52: this listener's max-size is more than spool-memory: such a message could never be taken" },
	{ "spool-memory 49M;\n" L B,	/* the default is too large */
	  "main.conf:2:1: this listener's max-size is more than spool-memory: such a message could never be taken" },
	{ "spool-memory 50M;\n" L B "listener m { address 127.0.0.1:26; max-size 51M; }",
	  "main.conf:4:36: this listener's max-size is more than spool-memory: such a message could never be taken" },
	{ L B "listener l { address 127.0.0.1:26; }",
	  "main.conf:3:1: there are two listener blocks called l: the first at main.conf:1:1" },
	{ L B "profile p { }\nprofile p { }",
	  "main.conf:4:1: there are two profile blocks called p: the first at main.conf:3:1" },
	{ "listener l { address 127.0.0.1:25 127.0.0.1:25; }" B,
	  "main.conf:1:35: the listener address 127.0.0.1:25 stands in two places: first at main.conf:1:22" },
	{ L B "listener m {\n\taddress 127.0.0.1:26;\n\taddress [::ffff:127.0.0.1]:25; }",
	  "main.conf:5:10: the listener address 127.0.0.1:25 stands in two places: first at main.conf:1:22" },
	{ L B "route example.org { backend bb; }",
	  "main.conf:3:29: there is no backend block called \"bb\"" },
	{ L "backend store { address 127.0.0.1:24; }\nroute example.org { backend stroe; }",
	  "main.conf:3:29: there is no backend block called \"stroe\", did you mean \"store\"?" },
	{ L B "route example.org { backend b; profile defualt; }",
	  "main.conf:3:40: there is no profile block called \"defualt\", did you mean \"default\"?" },
	{ IN_L("tls corp;"),
	  "main.conf:1:40: there is no tls block called \"corp\"" },
	{ L B "route a.example { backend b; }\nroute b.example A.example { backend b; }",
	  "main.conf:4:17: the route of a.example stands in two places: first at main.conf:3:7" },
	{ L B "route * * { backend b; }",
	  "main.conf:3:9: the route of * stands in two places: first at main.conf:3:7" },
	{ IN_L("tls-mode offer;"),
	  "main.conf:1:36: tls-mode other than none needs the setting tls in this listener: the name of a tls block" },
	{ IN_L("tls-mode implicit;"),
	  "main.conf:1:36: tls-mode other than none needs the setting tls in this listener: the name of a tls block" },
	{ IN_L("tls-mode none;"), NULL },
	{ IN_B("tls-mode require;"),
	  "main.conf:2:35: tls-mode require with tls-verify on needs the setting tls-name: the name that the backend's certificate bears" },
	{ IN_B("tls-mode implicit; tls-verify on; tls-ca ca.pem;"),
	  "main.conf:2:35: tls-mode implicit with tls-verify on needs the setting tls-name: the name that the backend's certificate bears" },
};

static void
test_sentences(void **state)
{
	(void)state;
	setenv("GP_TEST_PORT", "2525", 1);
	setenv("GP_TEST_EMPTY", "", 1);
	setenv("GP_TEST_BAD", "a\nb", 1);
	unsetenv("GP_TEST_UNSET");
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct world w = { 0 };

		check(&w, cases[i].text, cases[i].error);
	}
}

/* A host that does not know its whole name, one without a store of authorities, a very large one. */
static void
test_worlds(void **state)
{
	struct world short_name = { .hostname = "box" }, odd_name = { .hostname = "b_x.example" }, no_store = { .no_store = true };
	struct world large = { .cores = "1000" }, none = { .cores = "0" };
	struct conf *conf;
	struct err err;

	(void)state;
	check(&short_name, L B, "main.conf:1:1: expected hostname to be set: this machine calls itself \"box\", which is "
	    "no whole name like mx.example.org");
	check(&odd_name, L B, "main.conf:1:1: expected hostname to be set: this machine calls itself \"b_x.example\", which is "
	    "no whole name like mx.example.org");
	check(&short_name, "hostname box;" L B, NULL);
	check(&no_store, IN_B("tls-mode require; tls-name b.example; tls-ca ca.pem;"), NULL);
	check(&no_store, IN_B("tls-mode offer;"), NULL);
	check(&no_store, IN_B("tls-mode require; tls-name b.example;"), "main.conf:2:35: open /etc/ssl/certs/ca-certificates.crt: "
	    "No such file or directory (install ca-certificates or set tls-ca)");
	check(&none, L B, "main.conf:1:1: the number of processors cannot be told: set workers and scanners");
	check(&none, "workers 2; scanners 2;" L B, NULL);
	conf = read_in(&large, L B, &err);
	assert_int_equal(conf->workers, 256);
	assert_int_equal(conf->scanners, 1024);
	conf_unref(&conf);
}

static void
test_tls_mode(void **state)
{
	static const struct { const char *text; enum conf_tls_mode want; } modes[] = {
		{ IN_L(""), CONF_TLS_NONE },
		{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t;"), CONF_TLS_OFFER },
		{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t; tls-mode none;"), CONF_TLS_NONE },
		{ IN_L("tls-mode implicit; tls t;") "tls t { certificate c.pem; key k.pem; }", CONF_TLS_IMPLICIT },
	};

	(void)state;
	for (size_t i = 0; i < NITEMS(modes); i++) {
		struct conf *conf = read_text(modes[i].text);

		assert_int_equal(conf->listeners[0]->tls_mode, modes[i].want);
		conf_unref(&conf);
	}
}

static void
test_defaults(void **state)
{
	struct conf *conf = read_text(L B);
	const struct conf_listener *l = conf->listeners[0];
	const struct conf_backend *b = conf->backends[0];
	const struct conf_profile *p = conf->routes[0]->profile;

	(void)state;
	assert_string_equal(conf->hostname, "box.example.net");
	assert_int_equal(conf->workers, 3);
	assert_int_equal(conf->scanners, 12);
	assert_string_equal(conf->user, "gatepost");
	assert_string_equal(conf->scan_user, "gatepost-scan");
	assert_int_equal(conf->log_kind, LOG_TO_STDERR);
	assert_null(conf->log_path);
	assert_int_equal(conf->log_level, LOG_LEVEL_INFO);
	assert_string_equal(conf->tmp_dir, "/tmp");
	assert_int_equal(conf->nrules, 0);
	assert_int_equal(conf->max_connections, 2000);
	assert_int_equal(conf->spool_memory, 256 << 20);
	assert_true(conf->scan_timeout == 30 && conf->scan_wait == 30 && conf->drain_timeout == 30);

	assert_true(conf->antivirus.on && !conf->antivirus.alert_encrypted);
	assert_int_equal(conf->antivirus.ndatabases, 1);
	assert_string_equal(conf->antivirus.databases[0], "/var/lib/clamav");
	assert_int_equal(conf->antivirus.max_file, 25 << 20);
	assert_int_equal(conf->antivirus.max_scan, 100 << 20);
	assert_int_equal(conf->antivirus.max_recursion, 16);
	assert_int_equal(conf->antivirus.max_files, 10000);
	assert_true(conf->antivirus.max_time == 20);

	assert_string_equal(l->name, "l");
	assert_int_equal(l->protocol, CONF_SMTP);
	assert_null(l->tls);
	assert_int_equal(l->tls_mode, CONF_TLS_NONE);
	assert_int_equal(l->nallow + l->ndeny + l->nrelay_from, 0);
	assert_true(l->idle_timeout == 300 && l->command_timeout == 60 && l->data_timeout == 180);
	assert_int_equal(l->max_size, 50 << 20);
	assert_int_equal(l->max_recipients, 1000);
	assert_int_equal(l->max_errors, 20);
	assert_int_equal(l->max_hops, 100);

	assert_int_equal(b->tls_mode, CONF_TLS_NONE);
	assert_true(b->tls_verify && b->tls_name == NULL && b->tls_ca.bytes == NULL);
	assert_true(b->connect_timeout == 30 && b->command_timeout == 300 && b->data_timeout == 600);
	assert_true(b->check_interval == 30 && b->grace == 60);

	assert_string_equal(p->name, "default");
	assert_int_equal(p->tag_score, 5000);
	assert_int_equal(p->refuse_score, 15000);
	assert_int_equal(p->virus, CONF_REFUSE);
	assert_int_equal(p->unscannable, CONF_REFUSE);
	assert_string_equal(p->refuse_text, "Message refused");
	conf_unref(&conf);
}

/* Everything that can be said, said differently from its default. */
static const char whole[] =
    "hostname mx.example.org; workers 2; scanners 5; user 65534:65534; scan-user nobody;\n"
    "log file log/g.log; log-level debug; tmp-dir /var/tmp;\n"
    "rules rules/*.cf; rules none/*.cf /gp/rules/10.cf;\n"
    "max-connections 7; spool-memory 1g; scan-timeout 250ms; scan-wait 2m; drain-timeout 1h;\n"
    "antivirus { database /db virus; max-file 64k; max-scan 65K; max-recursion 3; max-files 4; max-time 5s; alert-encrypted on; }\n"
    "tls corp { certificate c.pem; key k.pem; min-version 1.3; }\n"
    "listener mx-in {\n"
    "	protocol smtp; address 0.0.0.0:25 [::]:25; address 127.0.0.1:2525;\n"
    "	tls corp; tls-mode require;\n"
    "	allow any; deny 192.0.2.0/24; relay-from 127.0.0.1 10.0.0.0/8;\n"
    "	idle-timeout 1s; command-timeout 2s; data-timeout 3s;\n"
    "	max-size 4K; max-recipients 5; max-errors 6; max-hops 7;\n"
    "}\n"
    "backend store { protocol lmtp; address 127.0.0.1:24 [::1]:24; tls-mode require; tls-name store.example.org; tls-ca ca.pem;\n"
    "	connect-timeout 1s; command-timeout 2s; data-timeout 3s; check-interval 4s; grace 0s; }\n"
    "backend smarthost { address 192.0.2.25:25; tls-mode implicit; tls-name smtp.example.net; }\n"
    "backend lax { address 192.0.2.26:25; tls-mode require; tls-verify off; }\n"
    "route Example.ORG .Example.org { backend store; profile strict; }\n"
    "route * { backend smarthost; }\n"
    "profile strict { tag-score -0.5; refuse-score 7.125; virus tag; unscannable accept; refuse-text \"Not \\\"this\\\" one\"; }\n"
    "include more/*.conf;\n"
    "backend b { address 127.0.0.1:26; }\n";

static void
check_whole(const struct conf *conf)
{
	const struct conf_listener *l = conf->listeners[0];
	const struct conf_backend *b = conf->backends[0];
	const struct conf_profile *p = conf->routes[0]->profile;
	char text[ADDR_TEXT_MAX];

	assert_string_equal(conf->hostname, "mx.example.org");
	assert_int_equal(conf->workers, 2);
	assert_int_equal(conf->scanners, 5);
	assert_string_equal(conf->user, "65534:65534");
	assert_string_equal(conf->scan_user, "nobody");
	assert_int_equal(conf->log_kind, LOG_TO_FILE);
	assert_string_equal(conf->log_path, "/gp/log/g.log");
	assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf->tmp_dir, "/var/tmp");
	assert_int_equal(conf->nrules, 3);
	assert_string_equal(conf->rules[0], "/gp/rules/10.cf");
	assert_string_equal(conf->rules[1], "/gp/rules/20.cf");
	assert_string_equal(conf->rules[2], "/gp/rules/10.cf");
	assert_int_equal(conf->max_connections, 7);
	assert_int_equal(conf->spool_memory, 1 << 30);
	assert_true(conf->scan_timeout == 0.25 && conf->scan_wait == 120 && conf->drain_timeout == 3600);

	assert_true(conf->antivirus.on && conf->antivirus.alert_encrypted);
	assert_int_equal(conf->antivirus.ndatabases, 2);
	assert_string_equal(conf->antivirus.databases[0], "/db");
	assert_string_equal(conf->antivirus.databases[1], "/gp/virus");
	assert_int_equal(conf->antivirus.max_file, 64 << 10);
	assert_int_equal(conf->antivirus.max_scan, 65 << 10);
	assert_int_equal(conf->antivirus.max_recursion, 3);
	assert_int_equal(conf->antivirus.max_files, 4);
	assert_true(conf->antivirus.max_time == 5);

	assert_int_equal(conf->ntls, 1);
	assert_ptr_equal(l->tls, conf->tls[0]);
	assert_string_equal(l->tls->certificate.path, "/gp/c.pem");
	assert_string_equal(l->tls->certificate.bytes, "CERTIFICATE");
	assert_int_equal(l->tls->key.len, 3);
	assert_memory_equal(l->tls->key.bytes, "KEY", 3);
	assert_int_equal(l->tls->min_version, CONF_TLS_1_3);

	assert_string_equal(l->where.file, "main.conf");
	assert_int_equal(l->where.line, 7);
	assert_int_equal(l->where.column, 1);
	assert_int_equal(l->naddresses, 3);
	addr_text(&l->addresses[1], text);
	assert_string_equal(text, "[::]:25");
	addr_text(&l->addresses[2], text);
	assert_string_equal(text, "127.0.0.1:2525");
	assert_int_equal(l->tls_mode, CONF_TLS_REQUIRE);
	assert_int_equal(l->nallow, 1);
	assert_int_equal(l->allow[0].family, AF_UNSPEC);
	assert_int_equal(l->ndeny, 1);
	assert_int_equal(l->deny[0].bits, 24);
	assert_int_equal(l->nrelay_from, 2);
	assert_true(l->idle_timeout == 1 && l->command_timeout == 2 && l->data_timeout == 3);
	assert_int_equal(l->max_size, 4096);
	assert_int_equal(l->max_recipients, 5);
	assert_int_equal(l->max_errors, 6);
	assert_int_equal(l->max_hops, 7);

	assert_int_equal(conf->nbackends, 4);
	assert_int_equal(b->protocol, CONF_LMTP);
	assert_int_equal(b->naddresses, 2);
	addr_text(&b->addresses[1], text);
	assert_string_equal(text, "[::1]:24");
	assert_int_equal(b->tls_mode, CONF_TLS_REQUIRE);
	assert_string_equal(b->tls_name, "store.example.org");
	assert_string_equal(b->tls_ca.bytes, "AUTHORITY");
	assert_true(b->connect_timeout == 1 && b->command_timeout == 2 && b->data_timeout == 3);
	assert_true(b->check_interval == 4 && b->grace == 0);
	assert_string_equal(conf->backends[1]->tls_ca.bytes, "STORE");
	assert_string_equal(conf->backends[1]->tls_ca.path, "/etc/ssl/certs/ca-certificates.crt");
	assert_false(conf->backends[2]->tls_verify);
	assert_null(conf->backends[2]->tls_ca.bytes);

	assert_int_equal(conf->nroutes, 4);
	assert_string_equal(conf->routes[0]->domains[0], "example.org");
	assert_string_equal(conf->routes[0]->domains[1], ".example.org");
	assert_ptr_equal(conf->routes[0]->backend, b);
	assert_ptr_equal(conf->routes[3]->backend, conf->backends[3]);
	assert_string_equal(conf->routes[3]->where.file, "/gp/more/near.inc");
	assert_string_equal(conf->routes[1]->profile->name, "default");
	assert_int_equal(conf->nprofiles, 2);
	assert_int_equal(p->tag_score, -500);
	assert_int_equal(p->refuse_score, 7125);
	assert_int_equal(p->virus, CONF_TAG);
	assert_int_equal(p->unscannable, CONF_ACCEPT);
	assert_string_equal(p->refuse_text, "Not \"this\" one");
}

static void
test_whole(void **state)
{
	struct conf *conf = read_text(whole), *second = conf_ref(conf);

	(void)state;
	check_whole(conf);
	conf_unref(&conf);
	assert_null(conf);
	check_whole(second);	/* still there: it was counted */
	conf_unref(&second);
	conf_unref(&second);
}

/* What must stand beside a setting for its limits to be allowed: some settings bound each other. */
static const char *
beside(const struct conf_row *row)
{
	static const struct { enum conf_block block; const char *name, *text; } bounds[] = {
		{ CONF_IN_PROFILE, "tag-score", "refuse-score 1000;" },
		{ CONF_IN_PROFILE, "refuse-score", "tag-score -1000;" },
		{ CONF_IN_LISTENER, "keep-source", "mode tproxy;" },
		{ CONF_IN_LISTENER, "intercept-port", "mode redirect;" },
	};

	for (size_t i = 0; i < NITEMS(bounds); i++)
		if (row->block == bounds[i].block && strcmp(row->name, bounds[i].name) == 0)
			return bounds[i].text;
	return "";
}

/* Puts "NAME VALUE;" where the row wants it; whether that loads. */
static bool
accepts(const struct conf_row *row, const char *value)
{
	static const char *const around[CONF_BLOCKS][2] = {
		[CONF_IN_MAIN] = { IN_L("max-size 1M;"), "" },
		[CONF_IN_ANTIVIRUS] = { L B "antivirus { ", " }" },
		[CONF_IN_LISTENER] = { "spool-memory 4G;" B "listener l { address 127.0.0.1:25; ", " }" },
		[CONF_IN_BACKEND] = { L "backend b { address 127.0.0.1:24; ", " }" ROUTE },
		[CONF_IN_PROFILE] = { L B "profile p { ", " }" },
	};
	struct world w = { 0 };
	struct conf *conf;
	struct err err;
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s %s;%s", around[row->block][0], beside(row), row->name, value, around[row->block][1]);
	conf = read_in(&w, text, &err);
	conf_unref(&conf);
	return err.text[0] == '\0';
}

static void
check_limits(const struct conf_row *row, void (*text)(int64_t, char *))
{
	char value[CONF_UNITS_TEXT_MAX];
	const struct { int64_t n; bool good; } tries[] = {
		{ row->min, true }, { row->max, true }, { row->min - 1, false }, { row->max + 1, false },
	};

	for (size_t i = 0; i < NITEMS(tries); i++) {
		text(tries[i].n, value);
		if (accepts(row, value) != tries[i].good)
			fail_msg("%s %s must %s", row->name, value, tries[i].good ? "load" : "be refused");
	}
}

static void
number_text(int64_t n, char *out)
{
	snprintf(out, CONF_UNITS_TEXT_MAX, "%lld", (long long)n);
}

/* Every row that has limits, at them and one beyond; every word of every enum. */
static void
check_taken(const struct conf *conf)
{
	const struct conf_listener *l = conf->listeners[0], *pop = conf->listeners[1];

	assert_true(conf_keeps_source(conf));
	assert_int_equal(l->mode, CONF_TPROXY);
	assert_true(l->keep_source);
	assert_int_equal(l->intercept_port, 25);
	assert_null(l->intercept_interface);
	assert_int_equal(pop->mode, CONF_REDIRECT);
	assert_false(pop->keep_source);
	assert_int_equal(pop->intercept_port, 110);
	assert_string_equal(pop->intercept_interface, "g0");
	assert_true(conf->backends[0]->original);
	assert_int_equal(conf->backends[0]->naddresses, 0);
	assert_false(conf->backends[1]->original);
	assert_int_equal(conf->backends[1]->naddresses, 1);
}

/* Connections that are taken over: what is written, and what follows from it; the same behind a pack. */
static void
test_taken_over(void **state)
{
	struct conf *conf = read_text("listener l { address 127.0.0.1:25; mode tproxy; keep-source on; }\n"
				      "listener p { protocol pop3; address 127.0.0.1:110; mode redirect; intercept-interface g0; backend i; plaintext-login on; }\n"
				      "backend b { address original; }\nbackend i { protocol imap; address 127.0.0.1:143; }" ROUTE), *copy;
	struct buf bytes;
	struct err err;

	(void)state;
	check_taken(conf);
	buf_init(&bytes, PACKED_MAX);
	assert_true(conf_pack(conf, &bytes));
	copy = conf_unpack(buf_slice(&bytes), &err);
	assert_non_null(copy);
	check_taken(copy);
	conf_unref(&copy);
	conf_unref(&conf);
	buf_free(&bytes);
	conf = read_text(L B);
	assert_false(conf_keeps_source(conf));
	assert_int_equal(conf->listeners[0]->mode, CONF_PLAIN);
	assert_int_equal(conf->listeners[0]->intercept_port, 0);
	conf_unref(&conf);
}

static void
test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < conf_nrows; i++) {
		const struct conf_row *row = &conf_rows[i];

		switch (row->type) {
		case CONF_TYPE_NUMBER:
		case CONF_TYPE_AUTO:
			check_limits(row, number_text);
			break;
		case CONF_TYPE_SIZE:
			check_limits(row, conf_units_size_text);
			break;
		case CONF_TYPE_TIME:
			check_limits(row, conf_units_time_text);
			break;
		case CONF_TYPE_SCORE:
			check_limits(row, conf_units_score_text);
			break;
		case CONF_TYPE_ON_OFF:
			assert_true(accepts(row, "on") && accepts(row, "off") && !accepts(row, "On"));
			break;
		default:
			break;
		}
	}
}

static void
test_units(void **state)
{
	static const struct { const char *text; int64_t want; } sizes[] = {
		{ "0", 0 }, { "1", 1 }, { "1k", 1024 }, { "1K", 1024 }, { "1023", 1023 }, { "1025", 1025 }, { "3M", 3 << 20 },
		{ "2g", (int64_t)2 << 30 }, { "8589934591G", (int64_t)8589934591 << 30 },
		{ "8589934592G", -1 }, { "9223372036854775808", -1 }, { "", -1 }, { "K", -1 }, { "1T", -1 }, { "1 K", -1 },
		{ "1KB", -1 }, { "-1", -1 }, { "1.5K", -1 }, { "0x10", -1 },
	}, times[] = {
		{ "0ms", 0 }, { "1ms", 1 }, { "1s", 1000 }, { "90s", 90000 }, { "5m", 300000 }, { "1h", 3600000 }, { "1d", 86400000 },
		{ "5", -1 }, { "s", -1 }, { "5M", -1 }, { "1h30m", -1 }, { "1 s", -1 }, { "106751991168d", -1 },
	}, scores[] = {
		{ "0", 0 }, { "5", 5000 }, { "0.1", 100 }, { "0.01", 10 }, { "0.001", 1 }, { "15.250", 15250 }, { "-3", -3000 },
	};
	int64_t n;
	char text[CONF_UNITS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < NITEMS(sizes); i++) {
		assert_int_equal(conf_units_size(slice_of(sizes[i].text), &n) ? n : -1, sizes[i].want);
		conf_units_size_text(sizes[i].want, text);
		assert_true(sizes[i].want == -1 || (conf_units_size(slice_of(text), &n) && n == sizes[i].want));
	}
	for (size_t i = 0; i < NITEMS(times); i++) {
		assert_int_equal(conf_units_time(slice_of(times[i].text), &n) ? n : -1, times[i].want);
		conf_units_time_text(times[i].want, text);
		assert_true(times[i].want == -1 || (conf_units_time(slice_of(text), &n) && n == times[i].want));
	}
	for (size_t i = 0; i < NITEMS(scores); i++) {
		assert_true(conf_units_score(slice_of(scores[i].text), &n) && n == scores[i].want);
		conf_units_score_text(scores[i].want, text);
		assert_true(conf_units_score(slice_of(text), &n) && n == scores[i].want);
	}
	conf_units_time_text(90000, text);
	assert_string_equal(text, "90s");
	conf_units_score_text(-250, text);
	assert_string_equal(text, "-0.25");
}

static void
test_route_for(void **state)
{
	static const struct { const char *domain; int route; bool ours; } lookups[] = {	/* route -1: none */
		{ "example.org", 0, true },
		{ "EXAMPLE.org.", 0, true },
		{ "a.example.org", 1, true },
		{ "a.b.example.org", 1, true },
		{ "sub.example.org", 2, true },		/* exact wins over .example.org */
		{ "a.deep.example.org", 3, true },	/* the longest parent wins */
		{ "deep.example.org", 1, true },
		{ "xexample.org", 4, false },
		{ "org", 4, false },
		{ "example.org.example", 4, false },
		{ "example.org..", 4, false },
		{ ".example.org", 4, false },		/* patterns are not found by their name */
		{ "*", 4, false },
		{ "[192.0.2.1]", 4, false },
		{ "", -1, false },
		{ ".", -1, false },
	};
	struct conf *conf = read_text(L BACKEND "route example.org { backend b; } route .example.org { backend b; }"
	    "route sub.example.org { backend b; } route .deep.example.org { backend b; } route * { backend b; }");
	char longest[300];
	bool ours;

	(void)state;
	for (size_t i = 0; i < NITEMS(lookups); i++) {
		const struct conf_route *route = conf_route_for(conf, slice_of(lookups[i].domain), &ours);

		if (route != (lookups[i].route >= 0 ? conf->routes[lookups[i].route] : NULL) || ours != lookups[i].ours)
			fail_msg("\"%s\" finds another route", lookups[i].domain);
	}
	memset(longest, 'a', sizeof(longest));
	assert_null(conf_route_for(conf, (struct slice){ longest, 254 }, &ours));
	assert_ptr_equal(conf_route_for(conf, (struct slice){ longest, 253 }, &ours), conf->routes[4]);
	assert_null(conf_route_for(conf, SLICE("example.org\0.net"), &ours));
	assert_ptr_equal(conf_listener_named(conf, SLICE("l")), conf->listeners[0]);
	assert_null(conf_listener_named(conf, SLICE("L")));
	assert_null(conf_listener_named(conf, SLICE("")));
	conf_unref(&conf);

	conf = read_text(L BACKEND "route example.org { backend b; }");
	assert_null(conf_route_for(conf, SLICE("example.net"), &ours));
	conf_unref(&conf);
}

/* What is taken is taken as it stands: nothing in it was overlooked or read as something else. */
static void
check_packs_as(const struct conf *conf, struct slice bytes)
{
	struct buf packed;

	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	assert_true(slice_same(buf_slice(&packed), bytes));
	buf_free(&packed);
}

static void
test_pack(void **state)
{
	struct world w = { 0 };
	struct err err;
	struct conf *conf = read_in(&w, whole, &err), *copy;
	struct buf packed;
	unsigned asked = w.asked;

	(void)state;
	assert_non_null(conf);
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	conf_unref(&conf);
	copy = conf_unpack(buf_slice(&packed), &err);
	if (copy == NULL)
		fail_msg("%s", err.text);
	check_whole(copy);
	assert_int_equal(w.asked, asked);	/* nobody was asked again */
	check_packs_as(copy, buf_slice(&packed));
	conf_unref(&copy);
	buf_free(&packed);
}

/* What "auto" and the host's own name were on the machine that read it. */
static void
test_pack_answers(void **state)
{
	struct conf *conf = read_text(L B), *copy;
	struct buf packed;
	struct err err;

	(void)state;
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	copy = conf_unpack(buf_slice(&packed), &err);
	assert_non_null(copy);
	assert_string_equal(copy->hostname, "box.example.net");
	assert_int_equal(copy->workers, 3);
	assert_int_equal(copy->scanners, 12);
	conf_unref(&copy);
	buf_free(&packed);
	for (size_t max = 0; max < 200; max++) {	/* a buf that is too small: false, never half */
		buf_init(&packed, max);
		assert_int_equal(conf_pack(conf, &packed), false);
		buf_free(&packed);
	}
	conf_unref(&conf);
}

static void
test_unpack_damaged(void **state)
{
	struct conf *conf = read_text(whole), *copy;
	struct buf packed;
	struct slice bytes;
	struct err err;
	char *damaged;

	(void)state;
	buf_init(&packed, PACKED_MAX);
	assert_true(conf_pack(conf, &packed));
	bytes = buf_slice(&packed);
	for (size_t len = 0; len < bytes.len; len++) {
		damaged = mem_slice(slice_part(bytes, 0, len));	/* its own memory: reading past the end is seen */
		assert_null(conf_unpack((struct slice){ damaged, len }, &err));
		assert_string_equal(err.text, "the packed configuration is damaged, or from another version of gatepost");
		free(damaged);
	}
	for (size_t i = 0; i < bytes.len; i++)
		for (unsigned how = 0; how < 4; how++) {
			static const unsigned flips[] = { 1, 8, 64, 0 };	/* 0: the octet becomes NUL */

			damaged = mem_slice(bytes);
			damaged[i] = (char)(flips[how] != 0 ? (unsigned char)damaged[i] ^ flips[how] : 0);
			copy = conf_unpack((struct slice){ damaged, bytes.len }, &err);
			if (copy != NULL)
				check_packs_as(copy, (struct slice){ damaged, bytes.len });
			conf_unref(&copy);
			free(damaged);
		}
	assert_true(buf_putc(&packed, 'x'));
	assert_null(conf_unpack(buf_slice(&packed), NULL));
	buf_free(&packed);
	conf_unref(&conf);
}

/* The caps, passed by one. */
static void
test_caps(void **state)
{
	static const struct { const char *piece; size_t times; const char *end, *error; } caps[] = {
		{ "x", CONF_WORD_MAX + 1, ";", "main.conf:1:4097: expected a word of at most 4096 octets" },
		{ "a;", CONF_NODES_MAX + 1, "", "main.conf:1:200001: expected at most 100000 settings and blocks altogether" },
		{ "\n", CONF_TEXT_MAX, "\n", "main.conf is larger than 1048576 octets" },
		{ "include more/a.conf;", CONF_FILES_MAX, "", "main.conf:1:19989: expected at most 1000 files altogether" },
	};
	struct world w = { 0 };
	struct buf text;

	(void)state;
	for (size_t i = 0; i < NITEMS(caps); i++) {
		buf_init(&text, 4 << 20);
		for (size_t n = 0; n < caps[i].times; n++)
			buf_puts(&text, caps[i].piece);
		buf_puts(&text, caps[i].end);
		check(&w, buf_str(&text), caps[i].error);
		buf_free(&text);
	}
}

/* Thousands of names must not take minutes: every lookup is by halving. */
static void
test_many_names(void **state)
{
	struct world w = { 0 };
	struct buf text;

	(void)state;
	buf_init(&text, CONF_TEXT_MAX);
	buf_puts(&text, L B);
	for (unsigned i = 0; i < 14000; i++)
		buf_printf(&text, "profile p%u{}route d%u.example{backend b;profile p%u;}\n", i, i, 13999 - i);
	check(&w, buf_str(&text), NULL);
	buf_free(&text);
}

static void
test_manual(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	conf_manual(f);
	fclose(f);
	for (size_t i = 0; i < conf_nrows; i++)
		assert_non_null(strstr(text, conf_rows[i].sentence));
	assert_non_null(strstr(text, "\n  max-size\n      a size from 1K to 4G; default: 50M\n      Octets of a message; not more than spool-memory.\n"));
	free(text);
}

/* From here on real files, in a directory of their own that is also the working directory. */
static char *
enter_scratch(char *home, size_t size)
{
	static char path[] = "/tmp/gatepost-conf-XXXXXX";

	assert_non_null(getcwd(home, size));
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	return path;
}

static void
leave_scratch(const char *home, const char *path)
{
	char command[256];

	assert_int_equal(chdir(home), 0);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static void
write_file(const char *path, const char *bytes)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(bytes, f);
	assert_int_equal(fclose(f), 0);
}

static void
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
static char *
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

#define HOST "hostname mx.example.org;\n" L B

static void
test_disk(void **state)
{
	char home[4096], text[512], wanted[512], *here = enter_scratch(home, sizeof(home));
	struct conf *conf;

	(void)state;
	assert_int_equal(mkdir("conf.d", 0700) | mkdir("r[1]", 0700) | mkfifo("fifo", 0600), 0);
	assert_int_equal(symlink("main.conf", "same.conf"), 0);
	write_file("conf.d/2.conf", "rules *.cf;");
	write_file("conf.d/1.conf", "include ../r[1]*/x.conf;");
	write_file("conf.d/b.cf", "");
	write_file("conf.d/a.cf", "");
	write_file("r[1]/x.conf", "rules x.cf y*;");	/* the folder's own [ ] are no pattern */
	write_file("r[1]/x.cf", "");
	write_file("r[1]/y.cf", "");
	check_disk("main.conf", HOST "include conf.d/*.conf;", "");
	write_file("conf.d/1.conf", "include ../r[[]1]/x.conf;");
	check_disk("main.conf", HOST "include conf.d/*.conf;", "");
	conf = conf_read("main.conf", NULL);
	assert_int_equal(conf->nrules, 4);
	snprintf(text, sizeof(text), "%s/conf.d/../r[1]/x.cf", here);
	assert_string_equal(conf->rules[0], text);
	snprintf(text, sizeof(text), "%s/conf.d/b.cf", here);
	assert_string_equal(conf->rules[3], text);
	conf_unref(&conf);

	snprintf(wanted, sizeof(wanted), "main.conf:4:9: %s/same.conf includes itself", here);
	check_disk("main.conf", HOST "include same.conf;", wanted);
	leave_scratch(home, here);
}

static void
test_disk_errors(void **state)
{
	static const struct { const char *file, *why; } blobs[] = {
		{ "none.pem", "main.conf:4:13: open HERE/none.pem: No such file or directory" },
		{ "fifo", "main.conf:4:13: HERE/fifo is not a regular file" },
		{ "folder", "main.conf:4:13: HERE/folder is not a regular file" },
		{ "empty.pem", "main.conf:4:13: HERE/empty.pem is empty" },
		{ "huge.pem", "main.conf:4:13: HERE/huge.pem is larger than 4194304 octets" },
	};
	char home[4096], text[512], wanted[1024], path[512], *here = enter_scratch(home, sizeof(home));
	struct err err;

	(void)state;
	assert_int_equal(mkdir("folder", 0700) | mkfifo("fifo", 0600), 0);
	write_file("empty.pem", "");
	write_file("huge.pem", "");
	assert_int_equal(truncate("huge.pem", (4 << 20) + 1), 0);
	for (size_t i = 0; i < NITEMS(blobs); i++) {
		char *why = substitute(blobs[i].why, "HERE", here);

		snprintf(text, sizeof(text), HOST "tls t { key %s; }", blobs[i].file);
		check_disk("main.conf", text, why);
		free(why);
	}
	for (unsigned i = 1; i <= CONF_INCLUDE_MAX; i++) {
		snprintf(path, sizeof(path), "%u.conf", i);
		snprintf(text, sizeof(text), "include %u.conf;", i + 1);
		write_file(path, i < CONF_INCLUDE_MAX ? text : "");
	}
	check_disk("main.conf", HOST "include 2.conf;", "");
	snprintf(wanted, sizeof(wanted), "%s/15.conf:1:9: expected includes to be nested at most 16 deep", here);
	check_disk("main.conf", HOST "include 1.conf;", wanted);
	assert_null(conf_read("nothing.conf", &err));
	assert_string_equal(err.text, "open nothing.conf: No such file or directory");
	assert_null(conf_read("folder", NULL));
	leave_scratch(home, here);
}

/* What we ship loads as it is, with its paths put elsewhere, and relays for nobody. */
static void
test_shipped(void **state)
{
	struct conf_answer *shipped;
	char home[4096], *here, *text;
	struct conf *conf;
	struct err err;
	bool ours;

	(void)state;
	shipped = conf_world_ask(&conf_disk, CONF_ASK_FILE, "conf/dist/gatepost.conf", &err);
	if (shipped == NULL)
		fail_msg("%s (tests run in the top directory)", err.text);
	here = enter_scratch(home, sizeof(home));
	assert_int_equal(mkdir("rules", 0700) | mkdir("tls", 0700), 0);
	write_file("rules/a.cf", "");
	write_file("tls/certificate.pem", "C");
	write_file("tls/key.pem", "K");
	text = substitute(shipped->bytes, "/etc/gatepost/", "");
	write_file("gatepost.conf", text);
	conf = conf_read("gatepost.conf", &err);
	if (conf == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(conf->nrules, 1);
	assert_int_equal(conf->nlisteners, 1);
	assert_int_equal(conf->listeners[0]->tls_mode, CONF_TLS_OFFER);
	assert_int_equal(conf->listeners[0]->nrelay_from, 0);
	assert_non_null(conf_route_for(conf, SLICE("example.org"), &ours));
	assert_true(ours);
	assert_null(conf_route_for(conf, SLICE("example.net"), &ours));
	conf_unref(&conf);
	free(text);
	conf_answer_free(&shipped);
	leave_scratch(home, here);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_worlds),
		cmocka_unit_test(test_tls_mode),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_route_for),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_pack_answers),
		cmocka_unit_test(test_unpack_damaged),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_errors),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
