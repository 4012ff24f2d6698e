"""The resolver, asked by tests/fake/resolve.c, before DNS servers that answer well and badly."""

import subprocess
import time

import pytest

from gp import env
from gp.dns import Dns, silent_port

RESOLVE = env.BIN.parent / "tests" / "fake" / "resolve"


@pytest.fixture(scope="module")
def resolve():
    assert RESOLVE.exists(), "make %s" % RESOLVE

    def ask(servers, *questions, prefix=()):
        done = subprocess.run([*prefix, RESOLVE, servers, *questions], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return sorted(done.stdout.splitlines())

    return ask


@pytest.fixture
def dns():
    with Dns() as server:
        server.set("mail.test", "A", "192.0.2.1", "192.0.2.2", ttl=300)
        server.set("mail.test", "AAAA", "2001:db8::1", "::ffff:192.0.2.3", "::ffff:192.0.2.1", ttl=100)
        yield server


def test_both_families(resolve, dns):
    assert resolve(dns.address, "a", "mail.test") == ["a mail.test found 100 192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"]
    assert {(n, k) for n, k, _ in dns.asked} == {("mail.test", "A"), ("mail.test", "AAAA")}


@pytest.mark.parametrize("name, answer", [
    ("192.0.2.9", "found 86400 192.0.2.9"),
    ("2001:db8::9", "found 86400 2001:db8::9"),
    ("::ffff:192.0.2.9", "found 86400 192.0.2.9"),
    ("MAIL.test.", "found 100 192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"),
    ("none.test", "none 1 the DNS knows no such name"),
    ("no-address.test", "none 1 the DNS has no such record"),
    ("only4.test", "found 1 192.0.2.4"),
    ("only6.test", "found 1 2001:db8::6"),
    ("alias.test", "found 7 192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"),
    ("dangling.test", "none 7 the DNS knows no such name"),
    ("circle.test", "none"),
    ("_dmarc_2.test", "found 1 192.0.2.5"),
    ("long-lived.test", "found 86400 192.0.2.6"),
    ("negative-ttl.test", "found 1 192.0.2.7"),
    ("", "failed 60 it is not the name of a host"),
    (".", "failed 60 it is not the name of a host"),
    ("a..b", "failed 60 it is not the name of a host"),
    ("a b.test", "failed 60 it is not the name of a host"),
    ("a\\.b.test", "failed 60 it is not the name of a host"),
    ("x" * 64 + ".test", "failed 60 it is not the name of a host"),
    ("x" * 63 + ".test", "none 1 the DNS knows no such name"),
    (".".join(["x" * 49] * 5) + ".test", "failed 60 it is not the name of a host"),
])
def test_names(resolve, dns, name, answer):
    dns.set("no-address.test", "TXT", "x")
    dns.set("only4.test", "A", "192.0.2.4")
    dns.set("only6.test", "AAAA", "2001:db8::6")
    dns.set("alias.test", "CNAME", "second.test", ttl=7)
    dns.set("second.test", "CNAME", "mail.test", ttl=9)
    dns.set("dangling.test", "CNAME", "none.test", ttl=7)
    dns.set("circle.test", "CNAME", "circle.test", ttl=7)
    dns.set("_dmarc_2.test", "A", "192.0.2.5")
    dns.set("long-lived.test", "A", "192.0.2.6", ttl=2**31 - 1)
    dns.set("long-lived.test", "AAAA")
    dns.set("negative-ttl.test", "A", "192.0.2.7", ttl=2**31)
    got, = resolve(dns.address, "a", name)
    assert got.startswith("a %s %s" % (name, answer))


@pytest.mark.parametrize("records, answer", [
    (["20 b.test", "10 a.test", "20 c.test", "5 d.test"], "found 1 5=d.test 10=a.test 20=b.test 20=c.test"),
    (["0 ."], "none 1 it says that it takes no mail (a null MX)"),
    (["0 .", "10 a.test"], "found 1 10=a.test"),
    (["10 a..test"], "found 1 10=a.test"),  # the table's own writing; the wire has no empty label
    (["10 a!b.test"], "failed 1 its MX records name no host"),
    (["10 a!b.test", "20 b.test"], "found 1 20=b.test"),
])
def test_mail_hosts(resolve, dns, records, answer):
    dns.set("domain.test", "MX", *records)
    assert resolve(dns.address, "mx", "domain.test") == ["mx domain.test " + answer]


def test_implicit_mail_host(resolve, dns):
    """RFC 5321 section 5.1: no MX, but the name is there; not so when it is not."""
    dns.set("alias.test", "CNAME", "mail.test", ttl=7)
    assert resolve(dns.address, "mx", "mail.test") == ["mx mail.test found 1 0=mail.test"]
    assert resolve(dns.address, "mx", "alias.test")[0].endswith(" 0=alias.test")
    assert resolve(dns.address, "mx", "none.test") == ["mx none.test none 1 the DNS knows no such name"]


def test_many_records(resolve, dns):
    """More than an answer by UDP holds, and more than we take."""
    dns.set("many.test", "A", *["198.51.100.%d" % i for i in range(200)])
    got, = resolve(dns.address, "a", "many.test")
    assert got.split()[2] == "found" and len(got.split()) == 4 + 64
    assert ("many.test", "A", "tcp") in dns.asked
    dns.set("many.test", "MX", *["%d m%d.test" % (100 - i, i) for i in range(100)])
    got, = resolve(dns.address, "mx", "many.test")
    assert len(got.split()) == 4 + 64
    preferences = [int(word.split("=")[0]) for word in got.split()[4:]]
    assert preferences == sorted(preferences)


ALL = "found 100 192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"


def test_bad_manners(resolve, dns):
    """All at once: each comes to its end, however its server behaves, and none disturbs another."""
    manners = {
        "servfail": "failed", "refused": "failed", "wrong-id": ALL,
        "wrong-question": ALL, "garbage": "failed", "short": "failed", "count": "failed",
        "silent": "failed", "only-a": "found 60 192.0.2.1 192.0.2.2",  # that counts, but not for long
    }
    questions = ["a", "mail.test"]
    for how in manners:
        for kind in ("A", "AAAA"):
            dns.set(how + ".test", kind, *dns.records["mail.test", kind][1], ttl=100)
        dns.behave(how + ".test", how)
        questions += ["a", how + ".test", "mx", how + ".test"]
    began = time.monotonic()
    got = {tuple(line.split(" ", 2)[:2]): line.split(" ", 2)[2] for line in resolve(dns.address, *questions)}
    assert 10 < time.monotonic() - began < 20  # three tries: 2, 4 and 8 seconds
    assert got["a", "mail.test"] == ALL
    for how, answer in manners.items():
        assert got["a", how + ".test"].startswith(answer), how
        if how != "only-a":
            assert got["mx", how + ".test"].startswith("found 1 0=" if answer == ALL else answer), how


@pytest.mark.parametrize("how, answer", [("truncated", ALL), ("huge", "failed")])
def test_tcp(resolve, dns, how, answer):
    dns.behave("mail.test", how)
    assert resolve(dns.address, "a", "mail.test")[0].startswith("a mail.test " + answer)


def test_no_tcp(resolve, dns):
    """To c-ares a connection that breaks is a try lost for all that this server was asked."""
    dns.behave("far.test", "no-tcp")
    assert resolve(dns.address, "a", "far.test", "a", "mail.test")[0].startswith("a far.test failed")
    assert resolve(dns.address, "a", "mail.test") == ["a mail.test " + ALL]


def test_loop(resolve, dns):
    """A name that points at itself: c-ares reads no name there, so there is no address of ours."""
    dns.behave("mail.test", "loop")
    got, = resolve(dns.address, "a", "mail.test")
    assert got.split()[2] != "found"


def test_second_server(resolve, dns):
    """A server that is silent costs two seconds, one that is broken nothing."""
    sock, port = silent_port()
    began = time.monotonic()
    with sock:
        got = resolve("127.0.0.1:%d,%s" % (port, dns.address), "a", "mail.test")
    assert got == ["a mail.test found 100 192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"]
    assert 1.5 < time.monotonic() - began < 5
    with Dns() as broken:
        broken.behave("*", "servfail")
        began = time.monotonic()
        assert resolve("%s,%s" % (broken.address, dns.address), "a", "mail.test") == got
        assert time.monotonic() - began < 1.5


def test_many_at_once(resolve, dns):
    for i in range(200):
        dns.set("n%d.test" % i, "A", "198.51.100.%d" % i)
    got = resolve(dns.address, *[word for i in range(200) for word in ("a", "n%d.test" % i)])
    assert got == sorted("a n%d.test found 1 198.51.100.%d" % (i, i) for i in range(200))


def test_no_file_is_read(resolve, dns, tmp_path):
    """Neither resolv.conf nor hosts nor what the environment names."""
    trace = tmp_path / "trace"
    if subprocess.run(["sh", "-c", "command -v strace"], capture_output=True).returncode != 0:
        pytest.skip("no strace here")
    (tmp_path / "aliases").write_text("mail.test evil.test\n")
    prefix = ["strace", "-f", "-e", "trace=open,openat", "-o", trace, "env", "HOSTALIASES=%s" % (tmp_path / "aliases"),
              "LOCALDOMAIN=evil.test", "RES_OPTIONS=ndots:5", "ASAN_OPTIONS=detect_leaks=0"]  # it traces, too
    assert resolve(dns.address, "a", "mail.test", "a", "localhost", prefix=prefix)
    opened = [line.split('"')[1] for line in trace.read_text().splitlines() if '"' in line]
    ours = [path for path in opened if path.startswith("/etc/") and "ld.so" not in path and "ssl" not in path]
    assert ours == [] and str(tmp_path / "aliases") not in opened
    assert ("localhost", "A") in {(n, k) for n, k, _ in dns.asked}


def test_numbers_differ(resolve):
    """Without /dev/urandom as well: two processes do not number their questions alike."""
    seen = set()

    class Numbers(Dns):
        def answers(self, octets, way):
            seen.add(octets[:2])
            return super().answers(octets, way)

    prefix = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    with Numbers() as dns:
        for _ in range(8):
            resolve(dns.address, "a", "mail.test", prefix=prefix)
    assert len(seen) >= 14
