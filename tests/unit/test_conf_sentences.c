/* test_conf_sentences.c - what is understood, and the sentence for what is not. */
#include "tests/unit/conf_world.h"

#define LABEL63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"

#define IN_T0 "tls t { certificate c.pem; key k.pem; }"
#define IN_T(settings) L B "tls t { certificate c.pem; key k.pem; " settings " }"
#define PIN "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

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
	  "main.conf:3:19: virus: expected tag, quarantine, defer or refuse, not \"accept\"" },
	{ IN_P("virus refuze;"),
	  "main.conf:3:19: virus: expected tag, quarantine, defer or refuse, not \"refuze\", did you mean \"refuse\"?" },
	{ IN_P("unscannable reject;"),
	  "main.conf:3:25: unscannable: expected accept, tag, quarantine, defer or refuse, not \"reject\"" },
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
	{ L "backend b { address unix:/run/lmtp.sock; protocol lmtp; }" ROUTE, NULL },
	{ IN_B("address [::1]:24 unix:/run/lmtp.sock;"), NULL },
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
	  "main.conf:1:39: min-version 1.1 needs security-level 0: OpenSSL's higher ones have no ciphers for it" },
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

	/* TLS: certificates of clients, old versions, pins */
	{ IN_T("ciphers ECDHE+AESGCM:!aNULL; security-level 3;"), NULL },
	{ IN_T("min-version 1.0; security-level 0;"), NULL },
	{ IN_T("client-certificate ask; client-ca ca.pem;"), NULL },
	{ "tls t { certificate c.pem; key k.pem; } tls u { certificate c.pem; key k.pem; }" IN_L("tls t u; tls-mode require;"), NULL },
	{ IN_T("security-level 1; min-version 1.0;"),
	  "main.conf:3:57: min-version 1.0 needs security-level 0: OpenSSL's higher ones have no ciphers for it" },
	{ IN_T("ciphers \"\";"),
	  "main.conf:3:47: ciphers: expected a list of ciphers as OpenSSL writes it, not \"\": it is empty" },
	{ IN_T("ciphers a/b;"),
	  "main.conf:3:47: ciphers: expected a list of ciphers as OpenSSL writes it, not \"a/b\": it is made of ciphers' names and "
	  "\":\", \"+\", \"-\", \"!\", \"@\", \"=\"" },
	{ IN_T("client-certificate require;"),
	  "main.conf:3:39: client-certificate require needs the setting client-ca: a file with who may have signed them" },
	{ IN_T("client-ca ca.pem;"),
	  "main.conf:3:39: client-ca is for client-certificate ask or require" },
	{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t u;"),
	  "main.conf:1:81: there is no tls block called \"u\"" },
	{ IN_B("tls-mode implicit; tls-pin " PIN ";"), NULL },
	{ IN_B("tls-mode require; tls-pin " PIN " " PIN "; tls-pin " PIN "; tls-client t;") IN_T0, NULL },
	{ IN_B("tls-pin " PIN ";"),
	  "main.conf:2:35: tls-pin is for tls-mode require or implicit" },
	{ IN_B("tls-mode require; tls-verify off; tls-pin " PIN ";"),
	  "main.conf:2:53: tls-pin and tls-verify off contradict each other" },
	{ IN_B("tls-pin sha256//c2hvcnQ=;"),
	  "main.conf:2:43: tls-pin: expected sha256//BASE64, not \"sha256//c2hvcnQ=\": it is made of sha256// and the 44 characters "
	  "that 32 octets are in base64" },
	{ IN_B("tls-pin 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"),
	  "main.conf:2:43: tls-pin: expected sha256//BASE64, not \"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\": it is made of "
	  "sha256// and the 44 characters that 32 octets are in base64" },

	/* listeners: extensions, authentication, who is believed */
	{ IN_L("without chunking Etrn; without VRFY;"), NULL },
	{ IN_L("without none;"), NULL },
	{ IN_L("without CHUNKNG;"),
	  "main.conf:1:44: without: expected any of none, PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES, CHUNKING, "
	  "BINARYMIME, AUTH, DELIVERBY, REQUIRETLS, PRDR, LIMITS, ETRN, VRFY, EXPN, HELP or STARTTLS, not \"CHUNKNG\", did you mean "
	  "\"CHUNKING\"?" },
	{ IN_L("without none AUTH;"),
	  "main.conf:1:44: without: none stands alone" },
	{ IN_L("without AUTH;\n\twithout none;"),
	  "main.conf:2:10: without: none stands alone" },
	{ IN_L("auth always; auth-required on; auth-mechanisms plain scram-sha-256-plus NTLM;"), NULL },
	{ IN_L("auth-mechanisms MAGIC;"),
	  "main.conf:1:52: auth-mechanisms: expected any of PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256, "
	  "SCRAM-SHA-512, XOAUTH2, OAUTHBEARER, EXTERNAL, SCRAM-SHA-1-PLUS, SCRAM-SHA-256-PLUS, GSSAPI or NTLM, not \"MAGIC\"" },
	{ IN_L("auth tls;"),
	  "main.conf:1:36: nobody could authenticate here: set tls, or auth always" },
	{ IN_L("auth always; without AUTH;"),
	  "main.conf:1:49: without AUTH and auth always contradict each other" },
	{ IN_L("auth-required on;"),
	  "main.conf:1:36: auth-required on needs the setting auth: tls or always" },
	{ "tls t { certificate c.pem; key k.pem; }" IN_L("tls t; tls-mode require; without STARTTLS;"),
	  "main.conf:1:100: without STARTTLS and tls-mode require contradict each other" },
	{ IN_L("proxy-from 127.0.0.1 ::1; xclient-from 10.0.0.0/8; bare-newline normalize;"), NULL },
	{ IN_L("proxy-from 127.0.0.1 any;"),
	  "main.conf:1:57: this would let everyone say who they are: name the addresses of your proxies" },
	{ IN_L("xclient-from ::/0;"),
	  "main.conf:1:49: this would let everyone say who they are: name the addresses of your relays" },

	/* backends: places, names, weights, logins */
	{ IN_B("address Mail.Example.ORG:25 weight=3 mx:example.org mx:example.net:2525 [::1]:24 weight=1000;"), NULL },
	{ IN_B("address unix:/run/lmtp weight=2;"), NULL },
	{ IN_B("address weight=2;"), NULL },	/* of the address in the setting before */
	{ L "backend b { address weight=2 127.0.0.1:24; }" ROUTE,
	  "main.conf:2:21: address: expected an address before \"weight=2\"" },
	{ IN_B("address [::1]:24 weight=2 weight=3;"),
	  "main.conf:2:61: address: expected an address before \"weight=3\"" },
	{ IN_B("address [::1]:24 weight=0;"),
	  "main.conf:2:52: address: expected weight=1 to weight=1000 behind an address, not \"weight=0\"" },
	{ IN_B("address [::1]:24 weight=1001;"),
	  "main.conf:2:52: address: expected weight=1 to weight=1000 behind an address, not \"weight=1001\"" },
	{ IN_B("address mail.example.org;"),
	  "main.conf:2:43: address: \"mail.example.org\" needs a port from 1 to 65535, as in mail.example.org:25" },
	{ IN_B("address mail.example.org:70000;"),
	  "main.conf:2:43: address: \"mail.example.org:70000\" needs a port from 1 to 65535, as in mail.example.org:25" },
	{ IN_B("address mx:example.org:;"),
	  "main.conf:2:43: address: \"mx:example.org:\" needs a port from 1 to 65535, as in mail.example.org:25" },
	{ IN_B("address mail_1.example.org:25;"),
	  "main.conf:2:43: address: \"mail_1.example.org:25\" is neither an address nor a name: only letters, digits, \"-\" and \".\" "
	  "may stand in it" },
	{ IN_B("address 192.0.2.256:25;"),
	  "main.conf:2:43: address: \"192.0.2.256:25\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path" },
	{ IN_B("address 192.0.2.1;"),
	  "main.conf:2:43: address: \"192.0.2.1\" needs a port from 1 to 65535, as in 192.0.2.1:25" },
	{ IN_B("address unix:run/lmtp;"),
	  "main.conf:2:43: address: \"unix:run/lmtp\" is not an absolute path of at most 107 characters" },
	{ L "backend b { protocol lmtp; address mail.example.org:24 weight=2 mx:example.org; }" ROUTE,
	  "main.conf:2:65: mx: is for protocol smtp: MX records name SMTP servers" },
	{ IN_B("login-user gate; login-password k.pem;"), NULL },
	{ L "backend b { address 192.0.2.1:25 [::1]:25; tls-mode require; tls-name b.example; login-user gate; login-password k.pem; }"
	  ROUTE, NULL },
	{ L "backend b { address 192.0.2.1:25 [::1]:25; tls-mode offer; login-user gate; login-password k.pem; }" ROUTE,
	  "main.conf:2:60: the password would be readable on its way: set tls-mode require or implicit, or an address on this machine" },
	{ L "backend b { address b.example:25; login-user gate; login-password k.pem; }" ROUTE,
	  "main.conf:2:35: the password would be readable on its way: set tls-mode require or implicit, or an address on this machine" },
	{ IN_B("login-user gate;"),
	  "main.conf:2:35: login-user and login-password need each other" },
	{ IN_B("login-password k.pem;"),
	  "main.conf:2:35: login-user and login-password need each other" },
	{ IN_B("login-user gate; login-password list;"),
	  "main.conf:2:52: expected a file with one line of 1 to 255 octets" },
	{ IN_B("login-user gate; login-password newline;"),
	  "main.conf:2:52: expected a file with one line of 1 to 255 octets" },
	{ IN_B("login-user \"\"; login-password k.pem;"),
	  "main.conf:2:46: login-user: expected a user's name, not \"\": a user's name has 1 to 255 octets" },
	{ IN_B("client-identity xforward; verify-recipients v;") "backend v { address 127.0.0.1:25; }", NULL },
	{ IN_B("verify-recipients b;"),
	  "main.conf:2:35: verify-recipients names another backend: this one is asked for every recipient anyway" },
	{ IN_B("verify-recipients v;") "backend v { protocol imap; address 127.0.0.1:143; }",
	  "main.conf:2:35: verify-recipients is for backends that speak smtp or lmtp and names one with addresses of its own" },
	{ IN_B("") "backend v { protocol imap; address 127.0.0.1:143; login-user x; login-password word; }",
	  "main.conf:3:51: login-user is for protocol smtp or lmtp" },
	{ IN_B("client-identity proxy;"),
	  "main.conf:2:51: client-identity: expected none, proxy-v1, proxy-v2, xclient or xforward, not \"proxy\", did you mean "
	  "\"proxy-v1\"?" },

	/* routes: addresses, lists, conditions, several backends */
	{ L B "backend c { address 127.0.0.1:26; } route example.org { backend b c; backend c; }", NULL },
	{ L B "backend c { protocol lmtp; address 127.0.0.1:26; } route example.org { backend b c; }",
	  "main.conf:3:82: all backends of a route speak the same protocol, but b speaks smtp and c lmtp" },
	{ "listener l { address 127.0.0.1:25; mode tproxy; }" BACKEND ROUTE "backend c { address original; } route example.org { backend b c; }",
	  "main.conf:2:63: a backend with address original stands alone in its route" },
	{ L B "route Bob@Example.ORG J\xc3\xb6rg@example.org { backend b; }", NULL },
	{ L B "route \"bob smith@example.org\" { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"bob smith@example.org\": write what stands before the \"@\" without quotes, "
	  "blanks and signs" },
	{ L B "route @example.org { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"@example.org\": 1 to 64 octets stand before the \"@\"" },
	{ L B "route bob@ { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"bob@\": a name between two dots is missing" },
	{ L B "route bob@.example.org { backend b; }",
	  "main.conf:3:7: route: expected domains, not \"bob@.example.org\": a name between two dots is missing" },
	{ L B "route file:list { backend b; }", NULL },
	{ L B "route file:/gp/list ann@example.net { backend b; }", NULL },
	{ L B "route file:empty.pem { backend b; }", NULL },
	{ L B "route file: { backend b; }",
	  "main.conf:3:7: expected the path of a file behind \"file:\"" },
	{ L B "route file:none { backend b; }",
	  "main.conf:3:7: open /gp/none: No such file or directory" },
	{ L B "route file:badlist { backend b; }",
	  "/gp/badlist:3:2: route: expected domains, not \"ann smith@example.org\": write what stands before the \"@\" without quotes, "
	  "blanks and signs" },
	{ L B "route file:starlist { backend b; }",
	  "/gp/starlist:2:1: route: expected domains, not \"*\": only letters, digits, \"-\" and \".\" may stand in it" },
	{ L B "route file:latin1 { backend b; }",
	  "/gp/latin1:1:1: route: expected domains, not \"m\xfcller@example.org\": it is not UTF-8" },
	{ L B "route file:list BOB@example.org { backend b; }",
	  "main.conf:3:17: the route of bob@example.org stands in two places: first at /gp/list:3:1" },
	{ L B "route bob@example.org { backend b; } route file:list { backend b; }",
	  "/gp/list:3:1: the route of bob@example.org stands in two places: first at main.conf:3:7" },
	{ L B "route x.example { backend b; listener l; } route x.example { backend b; user *; }\n"
	  "route x.example { backend b; user ann *@example.org; listener l; } route x.example { backend b; }", NULL },
	{ L B "route x.example { backend b; user ann bob; listener l; }\nroute x.example { backend b; listener l; user Bob; user ann; }",
	  "main.conf:4:7: the route of x.example stands in two places: first at main.conf:3:7" },
	{ L B "route x.example { backend b; user ann; } route x.example { backend b; }\nroute x.example { backend b; user bob; }",
	  "main.conf:4:7: this route of x.example would never be taken: the one at main.conf:3:48 has no listener and no user and "
	  "always fits; write it behind this one" },
	{ L B "route x.example { backend b; listener m; }",
	  "main.conf:3:39: there is no listener block called \"m\"" },
	{ L B "route x.example { backend b; user ann*; }",
	  "main.conf:3:35: user: expected users, not \"ann*\": write *@example.org for all of a domain, or * alone for any user" },

	/* profiles: from whom, for whom, the quarantine */
	{ IN_P("quarantine-score 7; virus quarantine; unscannable quarantine; split strictest;"), NULL },
	{ IN_P("quarantine-score none;"), NULL },
	{ IN_P("quarantine-score 20;"), NULL },
	{ IN_P("quarantine-score 4;"),
	  "main.conf:3:13: quarantine-score is below tag-score: nothing could be tagged" },
	{ IN_P("quarantine-score never;"),
	  "main.conf:3:30: quarantine-score: expected a score from -1000 to 1000 or none, not \"never\"" },
	{ IN_P("tag-score none;"),
	  "main.conf:3:23: tag-score: expected a score from -1000 to 1000, not \"none\"" },
	{ IN_P("refuse-text \"{id} {from} {to} {host} { } {ID} {a b} {{id}}\";"), NULL },
	{ IN_P("refuse-text \"write to {sender}\";"),
	  "main.conf:3:25: refuse-text: expected a text in ASCII, in quotes when it has blanks, not \"write to {sender}\": what can be "
	  "filled in is {id}, {from}, {to} and {host}" },
	{ IN_P("recipient bob@example.org example.net .example.net; user ann *@x.example *; listener l;"), NULL },
	{ IN_P("recipient *;"),
	  "main.conf:3:23: recipient: expected addresses and domains, not \"*\": only letters, digits, \"-\" and \".\" may stand in it" },
	{ IN_P("recipient *@example.org;"),
	  "main.conf:3:23: recipient: expected addresses and domains, not \"*@example.org\": write example.org for all recipients of a domain" },
	{ IN_P("recipient Bob@example.org;") "profile q { recipient ann@example.org bob@EXAMPLE.org; }",
	  "main.conf:4:39: the profile for recipient bob@example.org stands in two places: first at main.conf:3:23" },
	{ IN_P("user Ann;") "profile q { user ann; }",
	  "main.conf:4:18: the profile for user ann stands in two places: first at main.conf:3:18" },
	{ IN_P("listener l;") "profile q { listener l; }",
	  "main.conf:4:22: the profile for listener l stands in two places: first at main.conf:3:22" },
	{ IN_P("from p;"),
	  "main.conf:3:13: the profile p comes from itself in the end: leave one \"from\" of the circle away" },
	{ L B "profile o { from p; }\nprofile p { from q; } profile q { from r; } profile r { from p; }",
	  "main.conf:4:13: the profile p comes from itself in the end: leave one \"from\" of the circle away" },
	{ L B "profile default { from p; } profile p { }",
	  "main.conf:3:19: the profile default comes from no other: all others come from it" },
	{ IN_P("from defualt;"),
	  "main.conf:3:18: there is no profile block called \"defualt\", did you mean \"default\"?" },
	{ L B "profile a { tag-score 20; refuse-score 30; }\nprofile b { from a; refuse-score 19; }",
	  "main.conf:4:21: refuse-score is below tag-score: nothing could be tagged" },
	{ L B "profile default { refuse-score 30; }\nprofile a { tag-score 20; }", NULL },
	{ L B "profile a { refuse-score 6; }\nprofile b { from a; tag-score 7; }",
	  "main.conf:4:21: refuse-score is below tag-score: nothing could be tagged" },

	/* the whole gateway */
	{ "resolver 127.0.0.53 [::1]:5353 192.0.2.1:53;" L B, NULL },
	{ "resolver ns.example.org;" L B,
	  "main.conf:1:10: resolver: \"ns.example.org\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path" },
	{ "resolver ::1;" L B,
	  "main.conf:1:10: resolver: \"::1\" is not an address: expected 192.0.2.1:25, [2001:db8::1]:25 or unix:/path" },
	{ "resolver 127.0.0.1 unix:/run/dns;" L B,
	  "main.conf:1:20: a DNS server has no UNIX socket" },
	{ "resolver 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8\n 1.1.1.9;" L B,
	  "main.conf:2:2: resolver: expected at most 8 of them" },
	{ "state-dir state; ledger off; ticket-rotation 0s;" L B, NULL },
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_worlds),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
