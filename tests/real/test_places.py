"""Where backends are: names in the DNS, domains with MX records, weights, UNIX sockets."""

import os
import signal
import smtplib
import socket
import time

import pytest

from gp import env, messages
from gp.backend import FakeBackend
from gp.dns import Dns
from gp.dovecot import Dovecot
from gp.gatepost import Gatepost
from gp.postfix import Postfix

counter = iter(range(10**6))


class Servers:
    """A mail server on each of several loopback addresses, all with the same port."""

    def __init__(self, count):
        self.port = env.free_port()
        self.at = {}
        for i in range(count):
            self.start("127.0.0.%d" % (2 + i))

    def start(self, address):
        listener = socket.create_server((address, self.port), backlog=64)
        self.at[address] = FakeBackend(listener=listener, hostname="s%s.test" % address[-1])
        return self.at[address]

    def stop(self, address):
        self.at.pop(address).stop()

    def counts(self):
        return [len(self.at[address].messages) for address in sorted(self.at)]

    def stop_all(self):
        for address in list(self.at):
            self.stop(address)


def put_off(gatepost, to="bob@example.org"):
    """Whether a letter is answered 451, at whichever command."""
    with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)) as refused:
        send(gatepost, to=to)
    error = refused.value
    return (error.smtp_code if isinstance(error, smtplib.SMTPSenderRefused) else error.recipients[to][0]) == 451


def send_at_last(gatepost, to):
    """Behind a reload: a worker that has not read the new configuration yet puts it off, when the old path is gone."""
    deadline = time.monotonic() + env.PATIENCE
    while True:
        try:
            return send(gatepost, to=to)
        except smtplib.SMTPSenderRefused as refused:
            if refused.smtp_code != 451 or time.monotonic() > deadline:
                raise


@pytest.fixture
def servers():
    servers = Servers(3)
    yield servers
    servers.stop_all()


@pytest.fixture
def dns():
    with Dns() as server:
        yield server


def gateway(dns, address, certs, *settings, protocol="smtp", port=1):
    return Gatepost(port, protocol, certs=certs, settings=[
        "backend.address " + address, "backend.keep-sessions 0", "backend.connect-timeout 5s",
        "listener.max-per-address 0", *settings,
        *(["resolver " + dns.address] if dns else [])])


def send(gatepost, subject=None, to="bob@example.org"):
    subject = subject or "letter %d" % next(counter)
    with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE * 3) as session:
        session.sendmail("ann@example.net", [to], messages.plain(subject))
    return subject


def test_addresses_of_a_name(servers, dns, certs):
    """In the order of the DNS's answer; the next one when one is gone, and the first again when it is back."""
    dns.set("mail.test", "A", "127.0.0.2", "127.0.0.3", ttl=300)
    with gateway(dns, "mail.test:%d" % servers.port, certs, "backend.check-interval 1s") as gatepost:
        for _ in range(4):
            send(gatepost)
        assert servers.counts() == [4, 0, 0]
        servers.stop("127.0.0.2")
        send(gatepost)
        assert servers.counts() == [1, 0]
        assert dns.count("mail.test", "A") == env.WORKERS
        back = servers.start("127.0.0.2")
        deadline = time.monotonic() + env.PATIENCE
        while len(back.messages) < 4 and time.monotonic() < deadline:  # each worker finds out by itself
            send(gatepost)
            time.sleep(0.1)
        assert len(back.messages) == 4 and len(servers.at["127.0.0.3"].messages) < 30
        gatepost.check()


def test_mail_hosts(servers, dns, certs):
    """By preference; among equals by chance."""
    dns.set("domain.test", "MX", "20 b.test", "10 a.test", "20 c.test", ttl=300)
    for i, name in enumerate("abc"):
        dns.set(name + ".test", "A", "127.0.0.%d" % (2 + i), ttl=300)
    with gateway(dns, "mx:domain.test:%d" % servers.port, certs) as gatepost:
        for _ in range(3):
            send(gatepost)
        assert servers.counts() == [3, 0, 0]
        servers.stop("127.0.0.2")
        for _ in range(40):
            send(gatepost)
        assert sum(servers.counts()) == 40 and min(servers.counts()) >= 6
        gatepost.check()


def test_no_mail_there(dns, certs):
    """RFC 7505, and a name that is not there: the client hears 4xx at once, the log says why."""
    dns.set("null.test", "MX", "0 .")
    for address, why in (("mx:null.test", "null MX"), ("none.test:25", "none.test has no address in the DNS")):
        with gateway(dns, address, certs) as gatepost:
            assert put_off(gatepost)
            gatepost.wait_log(why)
            gatepost.check()


def test_answers_change(servers, dns, certs):
    """When an answer's time is over the next one counts, for sessions that are kept, too; while the DNS is down, what
    was known."""
    dns.set("mail.test", "A", "127.0.0.2", ttl=1)
    with gateway(dns, "mail.test:%d" % servers.port, certs, "backend.keep-sessions 20") as gatepost:
        send(gatepost)
        mark = gatepost.mark()
        dns.set("mail.test", "A", "127.0.0.3", ttl=1)
        for _ in range(env.WORKERS):
            mark += gatepost.wait_log(r"mail\.test is now 127\.0\.0\.3:", mark).end()
        send(gatepost)
        assert servers.counts() == [1, 1, 0]
        dns.behave("*", "servfail")
        for _ in range(env.WORKERS):
            mark += gatepost.wait_log(r"mail\.test: .*1 addresses that were known are kept", mark).end()
        for _ in range(4):
            send(gatepost)
        assert servers.counts() == [1, 5, 0]
        dns.set("mail.test", "A", "127.0.0.4", ttl=1)
        dns.behave("*")
        for _ in range(env.WORKERS):
            mark += gatepost.wait_log(r"mail\.test is now 127\.0\.0\.4:", mark).end()
        send(gatepost)
        assert servers.counts() == [1, 5, 1]
        gatepost.check()


def test_dns_is_late(servers, dns, certs):
    """A client that comes before the first answer waits for it."""
    dns.set("mail.test", "A", "127.0.0.2", ttl=300)
    dns.behave("*", "silent")
    with gateway(dns, "mail.test:%d" % servers.port, certs) as gatepost:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE * 3) as session:
            session.ehlo()
            dns.behave("*")  # the next try is answered
            session.sendmail("ann@example.net", ["bob@example.org"], messages.plain("late"))
        assert servers.counts() == [1, 0, 0]
        gatepost.check()


def test_dns_never_answers(dns, certs):
    dns.behave("*", "silent")
    with gateway(dns, "mail.test:25", certs, "backend.connect-timeout 1s") as gatepost:
        began = time.monotonic()
        assert put_off(gatepost)
        assert time.monotonic() - began < 5
        gatepost.check()


@pytest.mark.parametrize("weights, shares", [((3, 1, 0), (45, 15, 0)), ((1, 1, 2), (15, 15, 30))])
def test_weights(servers, certs, weights, shares):
    words = " ".join("127.0.0.%d:%d weight=%d" % (2 + i, servers.port, w) for i, w in enumerate(weights) if w)
    with gateway(None, words, certs) as gatepost:
        for _ in range(60):
            send(gatepost)
        for got, share in zip(servers.counts(), shares):
            assert abs(got - share) <= 2 * env.WORKERS
        gatepost.check()


def test_name_and_certificate(dns, postfix, certs):
    """Without tls-name the certificate must bear the host's name that was written."""
    dns.set("store.example.org", "A", "127.0.0.1", ttl=300)
    dns.set("other.example.org", "A", "127.0.0.1", ttl=300)
    tls = ["backend.tls-mode require", "backend.tls-ca {{ca}}"]
    with gateway(dns, "store.example.org:%d" % postfix.port, certs, *tls) as gatepost:
        postfix.wait_mail("Subject: " + send(gatepost, to="alice@example.org") + "\n")
        gatepost.check()
    with gateway(dns, "other.example.org:%d" % postfix.port, certs, *tls) as gatepost:
        assert put_off(gatepost, "alice@example.org")
        gatepost.wait_log(r"127\.0\.0\.1:\d+ is down: .*(certificate|verify)")
        gatepost.check()


def reload(gatepost):
    """Returns when the new configuration counts."""
    mark = gatepost.mark()
    gatepost.reload()
    gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)


LMTP = """
service lmtp {
  unix_listener %s {
    mode = 0666
  }
}
"""


def test_unix_lmtp(certs):
    """Dovecot's LMTP, by way of the dialer: which may be killed, and a reload names another path."""
    with Dovecot(["alice"], more=LMTP % "lmtp-one" + LMTP % "lmtp-two") as dovecot:
        run = dovecot.dir / "run"
        with gateway(None, "unix:%s" % (run / "lmtp-one"), certs, protocol="lmtp") as gatepost:
            dovecot.wait_mail("Subject: " + send(gatepost, to="alice@example.org") + "\n")
            dialer, = gatepost.children("dialer")
            status = open("/proc/%d/status" % dialer).read()
            assert "CapEff:\t0000000000000000" in status and "CapPrm:\t0000000000000000" in status
            mark = gatepost.mark()
            os.kill(dialer, signal.SIGKILL)
            gatepost.wait_log("dialer", mark)
            dovecot.wait_mail("Subject: " + send(gatepost, to="alice@example.org") + "\n")
            assert gatepost.children("dialer") != [dialer]
            before = gatepost.children("dialer")
            reload(gatepost)
            assert gatepost.children("dialer") == before  # nothing has changed for it
            gatepost.conf.set("backend.address", "unix:%s" % (run / "lmtp-two"))
            (run / "lmtp-one").unlink()
            reload(gatepost)
            dovecot.wait_mail("Subject: " + send_at_last(gatepost, "alice@example.org") + "\n")
            assert gatepost.children("dialer") != before
            # Nobody listens there; then somebody does.
            gatepost.conf.set("backend.address", "unix:%s" % (run / "nowhere"))
            reload(gatepost)
            assert put_off(gatepost, "alice@example.org")
            gatepost.wait_log(r"unix:\S+/nowhere is down: No such file or directory")
            (run / "nowhere").symlink_to(run / "lmtp-two")
            dovecot.wait_mail("Subject: " + send_at_last(gatepost, "alice@example.org") + "\n")
            # And no dialer without a path.
            gatepost.conf.set("backend.address", "127.0.0.1:%d" % dovecot.lmtp)
            reload(gatepost)
            assert gatepost.children("dialer") == []
            dovecot.wait_mail("Subject: " + send_at_last(gatepost, "alice@example.org") + "\n")
            gatepost.check()


def test_unix_smtp(certs):
    """Postfix's smtpd on a UNIX socket of its own."""
    if not Postfix.available():
        pytest.skip("Postfix's master wants to be root: run as root, or allow sudo without a password")
    postfix = Postfix(certs.leaf("store", "store.example.org"), ["alice"])
    master = postfix.dir / "master.cf"
    master.write_text(master.read_text() + "gatepost unix n - n - - smtpd\n")
    with postfix, gateway(None, "unix:%s" % (postfix.dir / "queue/public/gatepost"), certs) as gatepost:
        os.chmod(postfix.dir / "queue/public", 0o755)
        postfix.wait_mail("Subject: " + send(gatepost, to="alice@example.org") + "\n")
        gatepost.check()


def test_many_at_once_by_unix(certs):
    """More clients at once than the dialer is asked about at once."""
    with Dovecot(["alice"], more=LMTP % "lmtp-one") as dovecot:
        with gateway(None, "unix:%s" % (dovecot.dir / "run" / "lmtp-one"), certs, protocol="lmtp") as gatepost:
            sessions = [smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=60) for _ in range(80)]
            for session in sessions:
                session.ehlo()
                session.send(b"MAIL FROM:<ann@example.net>\r\nRCPT TO:<alice@example.org>\r\n")
            for session in sessions:
                assert session.getreply()[0] == 250
                assert session.getreply()[0] == 250, gatepost.log()[-3000:]
                session.close()
            gatepost.check()
