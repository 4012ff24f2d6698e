"""While it runs: reload under traffic, logs reopened, processes replaced, a clean end."""

import os
import signal
import smtplib
import threading
import time

import pytest

from gp import env, messages
from gp.backend import FakeBackend
from gp.gatepost import Gatepost
from gp.wire import Peer


@pytest.fixture
def backend():
    it = FakeBackend()
    yield it
    it.stop()


def send(gatepost, subject, message=None, to="bob@example.org"):
    with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
        return session.sendmail("ann@example.net", [to], message or messages.plain(subject))


class Traffic:
    """Clients that send one message after the other until they are stopped."""

    def __init__(self, gatepost, clients=4):
        self.gatepost, self.errors, self.sent, self.stopped = gatepost, [], 0, False
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]

    def _run(self, number):
        count = 0
        while not self.stopped:
            count += 1
            try:
                send(self.gatepost, "traffic %d of client %d" % (count, number))
                self.sent += 1
            except (smtplib.SMTPException, OSError) as error:
                self.errors.append(error)
                time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def test_reload_under_traffic(certs, backend):
    """New settings hold for new sessions, running ones keep theirs, nobody is dropped."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as old:
            old.ehlo()
            before = old.esmtp_features["size"]
            with Traffic(gatepost) as traffic:
                for size in ("3M", "4M", "5M"):
                    time.sleep(0.2)
                    gatepost.conf.set("listener.max-size", size)
                    gatepost.reload()
                time.sleep(0.2)
            assert traffic.errors == [] and traffic.sent > 10
            assert len(backend.messages) == traffic.sent
            deadline = time.monotonic() + env.PATIENCE  # "ready" is said when the workers are told
            while True:
                with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as new:
                    new.ehlo()
                    if new.esmtp_features["size"] == str(5 << 20):
                        break
                assert time.monotonic() < deadline, new.esmtp_features
            old.ehlo()
            assert old.esmtp_features["size"] == before


def test_reload_rules(certs, backend, public_dir):
    """Changed rules hold after a reload: a new nursery has taken over."""
    rules = public_dir / "test.cf"
    rules.write_text("body NOTHING /matches nothing of it/\n")
    with Gatepost(backend.port, certs=certs, rules=rules) as gatepost:
        send(gatepost, "before")
        rules.write_text("body LETTER /how are you/\nscore LETTER 100\n")
        gatepost.reload()
        deadline = time.monotonic() + env.PATIENCE
        with pytest.raises(smtplib.SMTPDataError) as refused:
            while time.monotonic() < deadline:
                send(gatepost, "after")
                time.sleep(0.05)
        assert refused.value.smtp_code == 550


BROKEN = [
    ("max-sise 10M", lambda conf: conf.set("listener.max-sise", "10M")),
    ("a certificate that is not there", lambda conf: conf.set("tls.certificate", "/nonexistent/cert.pem")),
    ("rules that are not there", lambda conf: conf.set("rules", "/nonexistent/rules.cf")),
]


@pytest.mark.parametrize("breaks", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_reload_broken(certs, backend, breaks):
    """A reload that fails half-way has changed nothing, and says why."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        send(gatepost, "before")
        mark = gatepost.mark()
        breaks(gatepost.conf)
        gatepost.write()
        gatepost.process.signal(signal.SIGHUP)
        gatepost.wait_log(r"gatepost\.conf:\d+|/nonexistent/", mark)
        send(gatepost, "after")
        assert len(backend.messages) == 2


def test_log_reopened(certs, backend):
    """SIGUSR1: the old file may be moved away, the new one gets what comes."""
    gatepost = Gatepost(backend.port, certs=certs)
    log = gatepost.dir / "gatepost.log"
    gatepost.conf.set("log", "file %s" % log)
    gatepost.start(log=log)
    try:
        send(gatepost, "one")
        gatepost.wait_log(r"verdict=accept")
        log.rename(log.with_suffix(".1"))
        gatepost.process.signal(signal.SIGUSR1)
        deadline = time.monotonic() + env.PATIENCE
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        send(gatepost, "two")
        gatepost.wait_log(r"verdict=accept")
        assert log.with_suffix(".1").read_text().count("verdict=accept") == 1
    finally:
        gatepost.stop()


def kill_and_see(gatepost, backend, role):
    """Kills a child by its process id; it is replaced and mail goes on."""
    deadline = time.monotonic() + env.PATIENCE
    while not gatepost.children(role):  # a child says what it is a moment after it was started
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(gatepost.children(role)[0], signal.SIGKILL)
    gatepost.wait_log(role + r"\b.* died")  # master has noticed, and says so
    while True:
        try:
            send(gatepost, "after a %s was killed" % role)
            break
        except (smtplib.SMTPException, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    while len(gatepost.children(role)) < (env.WORKERS if role == "worker" else 1):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(backend.messages) == 1


@pytest.mark.parametrize("role", ["worker", "nursery", "keeper"])
def test_replaced(certs, backend, role):
    with Gatepost(backend.port, certs=certs) as gatepost:
        kill_and_see(gatepost, backend, role)


def test_scanner_cannot_push_descriptors(certs, backend):
    """A scanner that sends descriptors with its findings fills no worker's table."""
    with Gatepost(backend.port, certs=certs, program=env.HOOKS) as gatepost:
        def open_files():
            return sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in gatepost.children("worker"))

        send(gatepost, "before")
        before = open_files()
        for i in range(10):
            send(gatepost, "pushed", b"X-Test-Scanner: fdpush\r\n" + messages.plain("pushed"))
        assert open_files() < before + 10


def test_spool_memory_is_one_for_all(certs, backend):
    """Room for one message of 40 MB in the whole gateway: whichever worker, the others hear 452 at MAIL."""
    with Gatepost(backend.port, certs=certs, settings=["spool-memory 50M"]) as gatepost:
        sessions = [smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") for _ in range(8)]
        for session in sessions:
            session.ehlo()
        answers = [session.mail("ann@example.net", ["SIZE=40000000"]) for session in sessions]
        assert sorted(code for code, _ in answers) == [250] + 7 * [452], answers
        assert all(text.startswith(b"4.3.1 ") for code, text in answers if code == 452)
        first = next(session for session, (code, _) in zip(sessions, answers) if code == 250)
        first.rset()  # its room is free again
        assert sessions[-1].mail("ann@example.net", ["SIZE=40000000"])[0] == 250
        for session in sessions:
            session.close()


def test_connections_are_counted(certs, backend):
    """More connections than allowed: 421 at the door, over all workers."""
    with Gatepost(backend.port, certs=certs, settings=["max-connections 10"]) as gatepost:
        peers = [Peer.connect(gatepost.port()) for _ in range(25)]
        greetings = [peer.reply()[0][:3] for peer in peers]
        assert greetings.count(b"220") == 10 and greetings.count(b"421") == 15, greetings
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + env.PATIENCE
        while Peer.connect(gatepost.port()).reply()[0][:3] != b"220":
            assert time.monotonic() < deadline


def test_end_lets_transactions_finish(certs, backend):
    """SIGTERM: the idle hear 421, a message under way is still delivered, then it ends with 0."""
    gatepost = Gatepost(backend.port, certs=certs, settings=["drain-timeout 10s"])
    gatepost.start()
    idle = smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net")
    busy = smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net")
    busy.ehlo()
    busy.mail("ann@example.net")
    busy.rcpt("bob@example.org")
    busy.putcmd("DATA")
    assert busy.getreply()[0] == 354
    gatepost.process.signal(signal.SIGTERM)
    assert idle.getreply()[0] == 421
    busy.send(messages.plain("the last one") + b".\r\n")
    assert busy.getreply()[0] == 250
    idle.close()
    busy.close()
    gatepost.stop()
    assert len(backend.messages) == 1
