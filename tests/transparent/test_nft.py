"""What `gatepost nft` prints, and what `check` says about listeners that take over. No namespaces needed."""

import os
import re
import shutil
import subprocess

import pytest

from gp import env, netns
from gp.gatepost import Gatepost


@pytest.fixture
def gatepost(certs):
    it = Gatepost(25, certs=certs)
    yield it
    it.discard()


def listener(settings):
    return "listener mx { tls test; %s }" % settings


# (the listener's settings, lines that are printed, lines that are not)
PRINTED = [
    ("address 0.0.0.0:10025 [::]:10025; mode tproxy;",
     ["meta nfproto ipv4 tcp dport 25 tproxy ip to :10025 meta mark set 1 accept",
      "meta nfproto ipv6 tcp dport 25 tproxy ip6 to :10025 meta mark set 1 accept",
      "meta l4proto tcp socket transparent 1 meta mark set 1 accept",
      "tcp dport 25 reject with tcp reset",
      "ip -4 rule add fwmark 1 lookup 100", "ip -6 rule add fwmark 1 lookup 100",
      "ip -4 route replace local 0.0.0.0/0 dev lo table 100", "ip -6 route replace local ::/0 dev lo table 100"],
     ["chain redirected {"]),
    ("address 192.0.2.1:10025 [2001:db8::1]:10025; mode tproxy; intercept-port 587; intercept-interface eth0.5;",
     ['iifname "eth0.5" meta nfproto ipv4 tcp dport 587 tproxy ip to 192.0.2.1:10025 meta mark set 1 accept',
      'iifname "eth0.5" meta nfproto ipv6 tcp dport 587 tproxy ip6 to [2001:db8::1]:10025 meta mark set 1 accept',
      'iifname "eth0.5" tcp dport 587 reject with tcp reset'], []),
    ("address 0.0.0.0:10025; mode redirect;",
     ["meta nfproto ipv4 tcp dport 25 redirect to :10025", "tcp dport 25 reject with tcp reset"],
     ["meta l4proto tcp socket transparent 1 meta mark set 1 accept", "ip -4 rule add fwmark 1 lookup 100"]),
    ("address 0.0.0.0:10025; mode tproxy; intercept-port 587;",
     ["ip -4 route replace local 0.0.0.0/0 dev lo table 100", "tcp dport 587 reject with tcp reset"],
     ["ip -6 route replace local ::/0 dev lo table 100"]),
    ("address 192.0.2.1:10025 [2001:db8::1]:10025; mode redirect; keep-source on;",
     ["meta nfproto ipv4 tcp dport 25 dnat ip to 192.0.2.1:10025",
      "meta nfproto ipv6 tcp dport 25 dnat ip6 to [2001:db8::1]:10025",
      "meta l4proto tcp socket transparent 1 meta mark set 1 accept", "ip -4 rule add fwmark 1 lookup 100"], []),
]


@pytest.mark.parametrize("settings, there, absent", PRINTED, ids=[p[0] for p in PRINTED])
def test_printed(gatepost, settings, there, absent):
    gatepost.conf.replace("listener", listener(settings))
    done = gatepost.run("nft")
    assert done.returncode == 0 and not done.stderr, done
    lines = [line.strip() for line in done.stdout.split("\n")]
    assert [line for line in there if line not in lines] == []
    assert [line for line in absent if line in lines] == []


@pytest.mark.parametrize("settings", [p[0] for p in PRINTED])
def test_the_kernel_takes_it(gatepost, network, settings):
    """Twice: the script may be run again."""
    gatepost.conf.replace("listener", listener(settings))
    script = gatepost.run("nft").stdout
    network.firewall(script)
    network.firewall(script)
    assert network.run("gateway", "/usr/sbin/nft", "list", "table", "inet", "gatepost").count("chain closed") == 1
    if "ip -4 rule" in script:
        assert network.run("gateway", "/usr/sbin/ip", "rule").count("fwmark 0x1 lookup 100") == 1


def test_nothing_to_take_over(gatepost):
    done = gatepost.run("nft")
    assert done.returncode == 1 and not done.stdout and "no listener has mode" in done.stderr


def test_help(gatepost):
    done = subprocess.run([gatepost.program, "nft", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: gatepost nft" in done.stdout


def without_rights(gatepost, command):
    """As a user that has no capabilities."""
    gatepost.write()
    words = [gatepost.program, command, "-c", gatepost.file]
    if env.is_root():
        words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] + words
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=env.PATIENCE * 3)


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("mode, keep, what", [("tproxy", False, "mode tproxy"), ("tproxy", True, "keep-source"),
                                              ("redirect", True, "keep-source")])
def test_rights_are_missing(gatepost, certs, public_dir, command, mode, keep, what):
    program = shutil.copy(gatepost.program, public_dir / "gatepost")  # a checkout may be root's alone
    gatepost.program = program
    os.chmod(program, 0o755)
    netns.gateway_of(gatepost, mode, keep)
    done = without_rights(gatepost, command)
    assert done.returncode == 1 and re.search(r"gatepost\.conf:\d+:\d+: listener mx: %s needs CAP_NET_RAW" % what, done.stderr), done


def test_redirect_needs_no_rights(gatepost, public_dir):
    gatepost.program = shutil.copy(gatepost.program, public_dir / "gatepost")
    netns.gateway_of(gatepost, "redirect", False)
    done = without_rights(gatepost, "check")
    assert done.returncode == 0, done
