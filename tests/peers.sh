#!/bin/sh
# peers.sh NAME... - real servers and clients for the tests, without installing a server.
#
# Debian's mail servers conflict with each other, and an administrator's own must stay. So a peer's
# packages are downloaded and unpacked under build/peers/NAME, where nothing starts them and nothing
# else sees them; of what they depend on only libraries are installed. Run again, it does nothing.
set -eu
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() {
	echo "peers.sh: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Quiet unless it fails; one package list update if the lists at hand are too old to fetch from.
# A download as root is not handed to the user _apt, who may not write here.
fetch() {
	set -- apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@"
	"$@" >.log 2>&1 && return
	as_root apt-get -qq update >>.log 2>&1 || true
	"$@" >.log 2>&1 || { cat .log >&2; return 1; }
}

# The libraries that the unpacked programs ask for.
libraries() {
	for deb in "$@"; do
		dpkg-deb -f "$deb" Pre-Depends Depends
	done | sed 's/^[A-Za-z-]*: //' | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/ //g' | grep '^lib' | sort -u
}

unpack() {	# unpack NAME PACKAGE...
	peer=build/peers/$1
	shift
	[ "$(cat "$peer/.unpacked" 2>/dev/null)" = "$*" ] && return 0
	rm -rf "$peer"
	mkdir -p "$peer/debs"
	(cd "$peer/debs" && fetch "$@") || say "cannot download $*"
	# shellcheck disable=SC2046  # a list of package names
	tests/deps.sh $(libraries "$peer"/debs/*.deb)
	for deb in "$peer"/debs/*.deb; do
		dpkg -x "$deb" "$peer"
	done
	rm -rf "$peer/debs"
	echo "$*" >"$peer/.unpacked"
}

# Dovecot looks for its modules where it was built to be installed. The same number of octets makes
# that a place below its base_dir (its working directory), where tests/gp/dovecot.py puts a link.
relocate_dovecot() {
	lib=build/peers/dovecot/usr/lib/dovecot
	sed -i 's|/usr/lib/dovecot/modules|././././././././/modules|g' "$lib"/libdovecot.so.0.0.0 "$lib"/auth
}

mkdir -p build/peers
exec 9>build/peers/.lock	# two test runs may start at once
flock 9
for name; do
	case $name in
	dovecot) unpack dovecot dovecot-core dovecot-imapd dovecot-lmtpd dovecot-pop3d; relocate_dovecot ;;
	postfix) unpack postfix postfix; tests/deps.sh libsasl2-modules ;;	# with which it authenticates as a client
	exim)    unpack exim exim4-daemon-light ;;
	nginx)   unpack nginx nginx libnginx-mod-mail ;;
	haproxy | opensmtpd) unpack "$name" "$name" ;;
	# Clients, but fetchmail brings an account and a boot script, mpop and msmtp rules for what they may read.
	fetchmail | mpop | msmtp | s-nail) unpack "$name" "$name" ;;
	# A client is no server and conflicts with nothing: it may be installed.
	swaks)   tests/deps.sh swaks libnet-ssleay-perl libauthen-sasl-perl libdigest-hmac-perl ;;	# the last two for DIGEST-MD5
	*)       say "no peer called $name" ;;
	esac
done
