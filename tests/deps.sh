#!/bin/sh
# deps.sh WORD... - installs what is missing: "build" (to compile), "check" (to test too), or Debian packages.
#
# Nothing is removed, nothing but what is asked for is drawn in, and none of it starts a service.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

build="gcc make pkg-config libc6-dev libev-dev libc-ares-dev libssl-dev libpcre2-dev libclamav-dev liblmdb-dev"
check="libcmocka-dev python3 python3-pytest openssl curl swaks libnet-ssleay-perl nftables iproute2 strace"

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing=
for word; do
	case $word in
	build) list=$build ;;
	check) list=$check ;;
	*)     list=$word ;;
	esac
	for package in $list; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
done
[ -n "$missing" ] || exit 0

# Quiet unless it fails; the lists at hand may be too old to fetch from, so there is a second try.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
get() {
	# shellcheck disable=SC2086  # a list of package names
	as_root apt-get -qq -y --no-remove --no-install-recommends install $missing
}
echo "installing$missing"
get >"$log" 2>&1 || { as_root apt-get -qq update && get; } >"$log" 2>&1 || {
	cat "$log" >&2
	echo "deps.sh: cannot install$missing" >&2
	exit 1
}
