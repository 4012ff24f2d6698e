#!/bin/sh
# layers.sh - the floors of the house (DESIGN section 4), made true.
#
#   tests/layers.sh              checks the C files of the tree it stands in; exit 1 with a line
#                                "file:line: sentence" for each thing that crosses a floor
#   tests/layers.sh --self-test  plants every kind of fault in a copy and sees each one found
#
# A row below is all that has to change when a floor or a library is added.
set -u
export LC_ALL=C

# floor | may include, besides itself (a folder with all below it, or one header)
# A path belongs to the longest floor that it begins with. Private headers (*_int.h) never leave
# their folder, whatever stands here; policy/facts.h and policy/findings.h are read by every floor
# above conf.
floors='
proxy/base                   |
conf                         | proxy/base/
proxy/net                    | proxy/base/ conf/
proxy/sasl                   | proxy/base/
proxy/backend                | proxy/base/ conf/ proxy/net/ proxy/sasl/ policy/keeper/keeper_client.h
proxy/scan                   | proxy/base/ proxy/net/ filters/scan_wire.h
proxy/smtp                   | proxy/base/ proxy/net/ proxy/sasl/ proxy/backend/ conf/ proxy/scan/ policy/gate/ policy/profile/ policy/keeper/keeper_client.h
proxy/pop3                   | proxy/base/ proxy/net/ proxy/sasl/ proxy/backend/ conf/ proxy/scan/ policy/gate/ policy/profile/ policy/keeper/keeper_client.h proxy/imap/imap_client.h
proxy/imap                   | proxy/base/ proxy/net/ proxy/sasl/ proxy/backend/ conf/ proxy/scan/ policy/gate/ policy/profile/ policy/keeper/keeper_client.h
proxy/proc                   | proxy/ conf/ filters/ policy/
filters                      | proxy/base/ conf/ policy/auth/
policy                       | proxy/base/ conf/
policy/profile               | proxy/base/ conf/
policy/gate                  | proxy/base/ conf/ proxy/net/ policy/profile/ policy/keeper/keeper_client.h
policy/keeper                | proxy/base/ conf/
policy/keeper/keeper_client. | proxy/base/ proxy/net/ policy/keeper/
policy/auth                  | proxy/base/
'

# A library's header, or the folder that its headers stand in | who may include it (beginnings of paths).
# The longest name counts. Headers that no row names are libc's and open to all.
libraries='
ev.h            | proxy/net/ proxy/backend/ proxy/scan/ proxy/smtp/ proxy/pop3/ proxy/imap/ proxy/proc/ policy/gate/ policy/keeper/
ev++.h          |
ares            | proxy/net/
idn2.h          | proxy/net/ filters/
openssl/        | proxy/net/tls proxy/base/digest.c policy/auth/
openssl/ssl.h   | proxy/net/tls
openssl/evp.h   | proxy/base/digest.c policy/auth/
pcre2           | filters/rules proxy/base/match.c
clamav          | filters/av
iconv.h         | filters/
hs              | filters/
lmdb.h          | policy/keeper/
hiredis/        | policy/keeper/
microhttpd.h    | proxy/proc/
seccomp.h       | proxy/proc/
systemd/        | proxy/proc/
'

# A word of the language that is used nowhere, the tests included | what to do instead
words='
getaddrinfo getaddrinfo_a gethostbyname gethostbyname2 gethostbyname_r gethostbyname2_r | asks a name server and blocks: names are asked for through c-ares in proxy/net
gethostbyaddr gethostbyaddr_r getnameinfo                            | asks a name server and blocks: names are asked for through c-ares in proxy/net
res_query res_search res_querydomain res_send res_mkquery            | asks a name server and blocks: names are asked for through c-ares in proxy/net
res_nquery res_nsearch res_nquerydomain res_nsend res_nmkquery       | asks a name server and blocks: names are asked for through c-ares in proxy/net
strcpy strcat sprintf vsprintf gets                                  | writes without knowing the room: use buf_put, buf_printf, slice_copy or snprintf
strtok strtok_r                                                      | writes into its input: use slice_cut or slice_word
atoi atol atoll                                                      | has no errors: use slice_number
'

# One pass over all files. Comments and the contents of strings are no code and are cut away first.
checker='
function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t]+$/, "", s); return s }
function begins(s, start) { return substr(s, 1, length(start)) == start }
function folder(path) { sub(/[^\/]*$/, "", path); return path }
function say(text) { print file ":" FNR ": " text; faults++ }

function load(text, into, order,    n, i, row, cell) {
	n = split(text, row, "\n")
	for (i = 1; i <= n; i++)
		if (split(row[i], cell, "|") == 2) {
			into[trim(cell[1])] = trim(cell[2])
			order[++order[0]] = trim(cell[1])
		}
}

# The longest key of the table that the path begins with; "" when none does.
function longest(path, order,    i, best) {
	best = ""
	for (i = 1; i <= order[0]; i++)
		if (begins(path, order[i]) && length(order[i]) > length(best))
			best = order[i]
	return best
}

function listed(path, list,    n, i, item) {
	n = split(list, item, " ")
	for (i = 1; i <= n; i++)
		if (begins(path, item[i]))
			return 1
	return 0
}

function floor_of(path) { return longest(path, floor_names) }

function check_ours(path, quoted,    floor) {
	floor = floor_of(file)
	if (path ~ /_int\.h$/ && folder(path) != folder(file)) {
		say(path " is private to " folder(path) ": include its door instead")
		return
	}
	if (floor_of(path) == "") {
		if (quoted)
			say("\"" path "\" is on no floor: includes begin at the top of the tree, as in \"proxy/base/buf.h\"")
		return
	}
	if (floor == "" || listed(path, floors_may[floor]))
		return
	if (begins(path, floor) && floor_of(path) == floor)
		return
	if ((path == "policy/facts.h" || path == "policy/findings.h") && floor != "proxy/base" && floor != "conf")
		return
	say(floor " may not include " path)
}

function check_library(header,    name) {
	name = longest(header, library_names)
	if (name != "" && !listed(file, libraries_may[name]))
		say("<" header "> may be included by " (libraries_may[name] != "" ? libraries_may[name] : "nobody") " only")
}

function check_include(line,    path) {
	sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
	path = substr(line, 2)
	sub(/[">].*/, "", path)
	if (in_tests)		# tests look into every room; a test of a private header is a test like others
		return
	if (line ~ /^"/ || floor_of(path) != "")
		check_ours(path, line ~ /^"/)
	else
		check_library(path)
}

# The line without comments; strings and characters lose their contents.
function code_of(line,    out, at) {
	out = ""
	while (line != "") {
		if (in_comment) {
			at = index(line, "*/")
			if (at == 0)
				return out
			line = substr(line, at + 2)
			in_comment = 0
			out = out " "
		} else if (!match(line, /\/\*|\/\/|"|\047/)) {
			return out line
		} else {
			out = out substr(line, 1, RSTART - 1)
			line = substr(line, RSTART)
			if (begins(line, "//"))
				return out
			if (begins(line, "/*")) {
				in_comment = 1
				line = substr(line, 3)
			} else if (match(line, /^"([^"\\]|\\.)*"/) || match(line, /^\047([^\047\\]|\\.)*\047/)) {
				out = out " "
				line = substr(line, RLENGTH + 1)
			} else {
				return out	# a string that goes on: what is left is text
			}
		}
	}
	return out
}

function check_words(code,    word) {
	while (match(code, /[A-Za-z_][A-Za-z0-9_]*/)) {
		word = substr(code, RSTART, RLENGTH)
		if (word in why)
			say(word " " why[word])
		code = substr(code, RSTART + RLENGTH)
	}
}

BEGIN {
	floor_names[0] = library_names[0] = word_names[0] = 0
	load(ENVIRON["floors"], floors_may, floor_names)
	load(ENVIRON["libraries"], libraries_may, library_names)
	load(ENVIRON["words"], words_why, word_names)
	for (i = 1; i <= word_names[0]; i++) {
		n = split(word_names[i], w, " ")
		for (k = 1; k <= n; k++)
			why[w[k]] = words_why[word_names[i]]
	}
}

FNR == 1 {
	file = FILENAME
	sub(/^\.\//, "", file)
	in_tests = begins(file, "tests/")
	in_comment = 0
	if (!in_tests && floor_of(file) == "")
		say("this folder is no floor of the house: DESIGN section 4 and the table in tests/layers.sh name them")
}

{
	was_comment = in_comment
	code = code_of($0)
	if (!was_comment && $0 ~ /^[ \t]*#[ \t]*include[ \t]*["<]/)
		check_include($0)
	else
		check_words(code)
}

END { exit faults > 0 }
'

check_tree() {	# DIR
	(
		cd "$1" || exit 2
		export floors libraries words
		find proxy filters policy conf tests -name '*.[ch]' -type f 2>/dev/null | sort >"$list"
		[ -s "$list" ] || { echo "layers.sh: no C files under $1" >&2; exit 2; }
		xargs awk "$checker" <"$list" || exit 1
	)
}

# file ; a line to plant in it ; what the finding must say, or "fine" where there must be none
plants='
proxy/base/plant.c;#include "proxy/net/conn.h";proxy/base may not include proxy/net/conn.h
proxy/base/plant.c;#include "conf/conf.h";proxy/base may not include conf/conf.h
proxy/base/plant.c;#include "policy/facts.h";proxy/base may not include policy/facts.h
proxy/base/plant.c;#include "proxy/base/addr.h";fine
proxy/base/plant.c;#include <proxy/net/conn.h>;proxy/base may not include
proxy/base/plant.c;	#  include "proxy/net/conn.h" /* why */;proxy/base may not include
proxy/base/plant.c;#include "buf.h";is on no floor
proxy/base/plant.c;#include "../net/conn.h";is on no floor
proxy/base/plant.c;#include "tests/fake/fake.h";is on no floor
conf/plant.c;#include "proxy/net/listen.h";conf may not include
conf/plant.c;#include "policy/facts.h";conf may not include
conf/plant.c;#include "proxy/base/buf.h";fine
proxy/net/plant.c;#include "proxy/smtp/smtp_session.h";proxy/net may not include
proxy/net/plant.c;#include "conf/conf.h";fine
proxy/sasl/plant.c;#include "proxy/net/conn.h";proxy/sasl may not include
proxy/backend/plant.c;#include "proxy/smtp/smtp_reply.h";proxy/backend may not include
proxy/backend/plant.c;#include "policy/keeper/keeper_client.h";fine
proxy/backend/plant.c;#include "policy/keeper/keeper.h";proxy/backend may not include
proxy/scan/plant.c;#include "filters/scan_wire.h";fine
proxy/scan/plant.c;#include "policy/findings.h";fine
proxy/scan/plant.c;#include "filters/mime.h";proxy/scan may not include
proxy/smtp/plant.c;#include "policy/gate/gate.h";fine
proxy/smtp/plant.c;#include "policy/profile/profile.h";fine
proxy/smtp/plant.c;#include "filters/scanner.h";proxy/smtp may not include
proxy/smtp/plant.c;#include "proxy/proc/control.h";proxy/smtp may not include
proxy/smtp/plant.c;#include "proxy/pop3/pop3_session.h";proxy/smtp may not include
proxy/pop3/plant.c;#include "proxy/imap/imap_client.h";fine
proxy/pop3/plant.c;#include "proxy/imap/imap_parse.h";proxy/pop3 may not include
proxy/imap/plant.c;#include "proxy/smtp/smtp_session.h";proxy/imap may not include
proxy/proc/plant.c;#include "filters/nursery.h";fine
proxy/proc/plant.c;#include "proxy/smtp/smtp_int.h";is private to proxy/smtp/
proxy/smtp/plant.c;#include "proxy/smtp/smtp_int.h";fine
filters/plant.c;#include "policy/auth/spf.h";fine
filters/plant.c;#include "policy/facts.h";fine
filters/plant.c;#include "proxy/net/conn.h";filters may not include
filters/plant.c;#include "policy/profile/profile.h";filters may not include
filters/plant.c;#include "policy/keeper/keeper_client.h";filters may not include
policy/plant.c;#include "proxy/base/addr.h";fine
policy/plant.c;#include "policy/gate/gate.h";policy may not include
policy/profile/plant.c;#include "conf/conf.h";fine
policy/profile/plant.c;#include "policy/findings.h";fine
policy/profile/plant.c;#include "proxy/net/conn.h";policy/profile may not include
policy/gate/plant.c;#include "policy/profile/profile.h";fine
policy/gate/plant.c;#include "filters/stages.h";policy/gate may not include
policy/keeper/plant.c;#include "proxy/net/conn.h";policy/keeper may not include
policy/keeper/keeper_client.c;#include "proxy/net/conn.h";fine
policy/keeper/keeper_client.c;#include "proxy/smtp/smtp_session.h";policy/keeper/keeper_client. may not include
policy/auth/plant.c;#include "proxy/net/resolver.h";policy/auth may not include
policy/auth/plant.c;#include "conf/conf.h";policy/auth may not include
proxy/base/plant.c;#include <ev.h>;<ev.h> may be included by
conf/plant.c;#include <ev.h>;<ev.h> may be included by
filters/plant.c;#include <ev.h>;<ev.h> may be included by
policy/profile/plant.c;#include <ev.h>;<ev.h> may be included by
policy/auth/plant.c;#include <ev.h>;<ev.h> may be included by
policy/gate/plant.c;#include <ev.h>;fine
proxy/smtp/plant.c;#include <ev.h>;fine
proxy/net/plant.c;#include <openssl/ssl.h>;<openssl/ssl.h> may be included by proxy/net/tls only
proxy/base/digest.c;#include <openssl/ssl.h>;<openssl/ssl.h> may be included by
proxy/net/tls.c;#include <openssl/ssl.h>;fine
proxy/net/tls_cert.c;#include <openssl/ssl.h>;fine
proxy/net/tls.c;#include <openssl/evp.h>;<openssl/evp.h> may be included by
proxy/smtp/plant.c;#include <openssl/err.h>;<openssl/err.h> may be included by
proxy/base/digest.c;#include <openssl/evp.h>;fine
policy/auth/plant.c;#include <openssl/evp.h>;fine
filters/plant.c;#include <openssl/evp.h>;<openssl/evp.h> may be included by
filters/plant.c;#include <clamav.h>;<clamav.h> may be included by
filters/av.c;#include <clamav.h>;fine
filters/plant.c;#include <pcre2.h>;<pcre2.h> may be included by
filters/rules_match.c;#include <pcre2.h>;fine
proxy/base/match.c;#include <pcre2.h>;fine
proxy/smtp/plant.c;#include <ares.h>;<ares.h> may be included by
proxy/net/plant.c;#include <ares.h>;fine
policy/gate/plant.c;#include <lmdb.h>;<lmdb.h> may be included by
proxy/smtp/plant.c;#include <iconv.h>;<iconv.h> may be included by
proxy/smtp/plant.c;#include <string.h>;fine
proxy/net/plant.c;	n = getaddrinfo(host, port, &hints, &list);;getaddrinfo asks a name server
proxy/net/plant.c;	h = gethostbyname(host);;gethostbyname asks a name server
proxy/net/plant.c;	h = gethostbyname2_r (host);;gethostbyname2_r asks a name server
proxy/net/plant.c;	h = gethostbyaddr(p, 4, AF_INET);;gethostbyaddr asks a name server
proxy/net/plant.c;	getnameinfo(sa, len, host, sizeof(host), NULL, 0, 0);;getnameinfo asks a name server
policy/auth/plant.c;	n = res_query(name, 1, 16, out, sizeof(out));;res_query asks a name server
policy/auth/plant.c;	int (*ask)() = res_nsearch;;res_nsearch asks a name server
tests/unit/plant.c;	getaddrinfo(host, port, &hints, &list);;getaddrinfo asks a name server
proxy/base/plant.c;	strcpy(out, in);;strcpy writes without knowing the room
proxy/base/plant.c;	strcat(out, in);;strcat writes without knowing the room
proxy/base/plant.c;	sprintf(out, "%s", in);;sprintf writes without knowing the room
proxy/base/plant.c;	gets(line);;gets writes without knowing the room
proxy/base/plant.c;	p = strtok(line, " ");;strtok writes into its input
proxy/base/plant.c;	n = atoi(word);;atoi has no errors
proxy/base/plant.c;	"a \" quote"; /* and a comment */ n = atoi(word);;atoi has no errors
proxy/base/plant.c;	/* strcpy(out, in) is what we never do */;fine
proxy/base/plant.c;	// getaddrinfo() neither;fine
proxy/base/plant.c;	say("sprintf(x) \" gets(y)", 0);fine
proxy/base/plant.c;	my_strcpy(out, in), gets_on = 1, snprintf(out, 1, "x");fine
proxy/attic/plant.c;int x;is no floor of the house
tests/unit/plant.c;#include "proxy/smtp/smtp_int.h";fine
'

self_test() {
	copy=$(mktemp -d) || exit 2
	trap 'rm -rf "$copy" "$list"' EXIT
	(cd "$root" && tar cf - $(ls -d proxy filters policy conf tests 2>/dev/null)) | tar xf - -C "$copy"
	printf '%s' "$plants" | grep . | while IFS= read -r row; do
		file=${row%%;*}
		rest=${row#*;}
		mkdir -p "$copy/$(dirname "$file")"
		printf '%s\n' "${rest%;*}" >>"$copy/$file"
		printf '%s:%s:%s\n' "$file" "$(($(wc -l <"$copy/$file")))" "${rest##*;}"
	done >"$copy/expected"
	check_tree "$copy" >"$copy/found"
	status=$?
	bad=0 n=0
	while IFS= read -r row; do
		want=${row#*:*:}
		at=${row%":$want"}
		got=$(awk -v at="$at: " 'index($0, at) == 1' "$copy/found" | head -n 1)
		n=$((n + 1))
		case "$want:$got" in
		fine:) ;;
		fine:*) echo "layers.sh: must be fine, was found: $got"; bad=1 ;;
		*) case "$got" in
			"$at: "*"$want"*) ;;
			*) echo "layers.sh: $at: expected \"$want\", found \"$got\""; bad=1 ;;
			esac ;;
		esac
	done <"$copy/expected"
	[ $status = 1 ] || { echo "layers.sh: a tree with faults must give exit 1, gave $status"; bad=1; }
	[ $bad = 0 ] || exit 1
	echo "layers.sh: $n plants, each as expected"
}

root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
list=$(mktemp) || exit 2
trap 'rm -f "$list"' EXIT
case "${1:-}" in
"") check_tree "$root" ;;
--self-test) self_test ;;
*) echo "usage: tests/layers.sh [--self-test]" >&2; exit 2 ;;
esac
