#!/bin/sh
# demo.sh - Gatepost at work in front of a real Dovecot, from nothing: `make demo`, `make demo KEEP=1`.
set -eu
cd "$(dirname "$0")/.."

echo "== What it needs: packages, and a Dovecot unpacked under build/peers (none is installed, no service started)"
tests/deps.sh build python3 openssl curl swaks libnet-ssleay-perl nftables iproute2
tests/peers.sh dovecot
echo "== Building build/gatepost"
${MAKE:-make} --no-print-directory -s ${BUILD:+BUILD="$BUILD"}
exec /usr/bin/python3 tests/demo.py
