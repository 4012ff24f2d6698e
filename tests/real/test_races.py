"""What comes at the same moment: a reload while scanners are replaced, a worker that hangs, a client that
does not read, a master that is killed."""

import os
import shutil
import signal
import smtplib
import socket
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


def until(true, what):
    deadline = time.monotonic() + env.PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def arrives(gatepost):
    try:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
            return session.sendmail("ann@example.net", ["bob@example.org"], messages.plain("it goes on")) == {}
    except (smtplib.SMTPException, OSError):
        return False


def nurseries(gatepost):
    """Master's children that are neither workers nor the keeper; one that was just forked is called as master still."""
    with open("/proc/%d/task/%d/children" % (gatepost.process.pid, gatepost.process.pid)) as f:
        return set(map(int, f.read().split())) - set(gatepost.children("worker")) - set(gatepost.children("keeper"))


def the_nursery(gatepost):
    until(lambda: len(gatepost.children("worker")) == env.WORKERS, "workers are missing")
    nursery, = nurseries(gatepost)
    return nursery


def stop_next_nursery(gatepost, known):
    """Stops the next nursery before it is ready; its process id."""
    until(lambda: nurseries(gatepost) - known, "no nursery came")
    pid, = nurseries(gatepost) - known
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_scanners_die_while_a_reload_fails(certs, backend):
    """Those that a reload would have brought do not come: others do."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        old = the_nursery(gatepost)
        gatepost.process.signal(signal.SIGHUP)
        coming = stop_next_nursery(gatepost, {old})
        mark = gatepost.mark()
        os.kill(old, signal.SIGKILL)
        gatepost.wait_log(r"nursery died", mark)
        time.sleep(0.1)         # master has seen that a successor is under way
        os.kill(coming, signal.SIGKILL)
        gatepost.wait_log(r"reload failed", mark)
        until(lambda: arrives(gatepost), "no scanners any more")


def test_reload_while_scanners_are_replaced(certs, backend):
    """The reload's scanners are the ones that stay, and no others."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        old = the_nursery(gatepost)
        mark = gatepost.mark()
        os.kill(old, signal.SIGKILL)
        successor = stop_next_nursery(gatepost, {old})
        gatepost.process.signal(signal.SIGHUP)
        gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)
        os.kill(successor, signal.SIGCONT)
        until(lambda: arrives(gatepost), "no scanners any more")
        until(lambda: len(nurseries(gatepost)) == 1, "a nursery that nobody needs has stayed")
        until(lambda: len(os.listdir(gatepost.dir / "tmp")) <= 2, "files have stayed")  # the killed one's, and ours


def test_reload_during_a_reload(certs, backend):
    """What was written after the first SIGHUP was read holds when the second was obeyed."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        old = the_nursery(gatepost)
        gatepost.process.signal(signal.SIGHUP)
        coming = stop_next_nursery(gatepost, {old})
        gatepost.conf.set("listener.max-size", "3M")
        gatepost.write()
        gatepost.process.signal(signal.SIGHUP)
        time.sleep(0.1)
        os.kill(coming, signal.SIGCONT)

        def is_3m():
            with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
                session.ehlo()
                return session.esmtp_features["size"] == str(3 << 20)
        until(is_3m, "the second reload was forgotten")


def test_worker_that_hangs(certs, backend):
    """Master does not wait for a worker that no longer listens: it is replaced."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        hanging = gatepost.children("worker")[0]
        os.kill(hanging, signal.SIGSTOP)
        mark = gatepost.mark()
        for _ in range(600):    # more than any socket keeps
            if hanging not in gatepost.children("worker"):
                break
            gatepost.process.signal(signal.SIGUSR1)
            time.sleep(0.002)
        gatepost.wait_log(r"worker \d died", mark)
        until(lambda: len(gatepost.children("worker")) == env.WORKERS, "no successor")
        until(lambda: all(arrives(gatepost) for _ in range(4 * env.WORKERS)), "mail stands still")


def test_client_reads_late(certs, backend):
    """Each command is answered, however late the client reads: who does not read is not listened to either."""
    with Gatepost(backend.port, certs=certs, settings=["listener.max-recipients 1"]) as gatepost:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", gatepost.port()))
        peer = Peer(sock)
        peer.line()
        sock.sendall(b"EHLO client.example.net\r\n")
        while peer.line()[3:4] == b"-":
            pass
        sock.sendall(b"MAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\n")
        assert peer.line(env.PATIENCE).startswith(b"250") and peer.line(env.PATIENCE).startswith(b"250")
        asked = b"RCPT TO:<b@example.org>\r\n" * 400000
        sock.settimeout(0.5)
        sent = 0
        try:
            while sent < len(asked):
                sent += sock.send(asked[sent:sent + 65536])
        except TimeoutError:
            pass                # it does not listen: as it should be
        commands = asked[:sent].count(b"\n")
        answers = 0
        try:
            while answers < commands:
                assert peer.line(2).startswith(b"452 4.5.3 ")
                answers += 1
        except TimeoutError:
            pass
        assert answers == commands
        peer.close()


def test_killed_scanners_leave_files(certs, backend):
    """What they left behind goes when others start; what somebody still uses, or is another's, stays."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        tmp = gatepost.dir / "tmp"
        stale, = tmp.iterdir()
        (stale / "0" / "unpacked").write_text("big")
        os.kill(the_nursery(gatepost), signal.SIGKILL)
        until(lambda: arrives(gatepost), "no scanners any more")
        living, = set(tmp.iterdir()) - {stale}
        foreign = tmp / "gatepost-abcdef"
        foreign.mkdir()
        for directory in (stale, living, foreign):
            os.utime(directory, (0, 0))
        gatepost.reload()
        until(lambda: not stale.exists(), "the killed one's files have stayed")
        assert foreign.exists() is env.is_root()    # a plain user's are all our own
        assert arrives(gatepost)


def test_master_is_killed(certs, backend, public_dir):
    """Nothing of it stays behind: no process, no temporary file."""
    for rules in (env.ROOT / "conf" / "dist" / "rules").glob("*.cf"):
        shutil.copy(rules, public_dir)
    gatepost = Gatepost(backend.port, certs=certs, rules=public_dir / "*.cf")
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if env.is_root() else []
    gatepost.start(prefix)
    try:
        assert os.listdir(gatepost.dir / "tmp")
        children = nurseries(gatepost) | set(gatepost.children("worker"))
        gatepost.process.signal(signal.SIGKILL)
        gatepost.process.wait()
        until(lambda: not os.listdir(gatepost.dir / "tmp"), "temporary files have stayed")
        until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in children), "processes have stayed")
    finally:
        gatepost.discard()


def test_master_is_killed_and_a_worker_hangs(certs, backend):
    """A worker that sees nothing any more does not outlive its master either."""
    gatepost = Gatepost(backend.port, certs=certs).start()
    the_nursery(gatepost)
    time.sleep(0.2)             # all are who they will be
    hanging = gatepost.children("worker")[0]
    os.kill(hanging, signal.SIGSTOP)
    try:
        gatepost.process.signal(signal.SIGKILL)
        gatepost.process.wait()
        until(lambda: not os.path.exists("/proc/%d/exe" % hanging) or not os.listdir("/proc/%d/fd" % hanging),
              "the worker has stayed")
    finally:
        try:
            os.kill(hanging, signal.SIGKILL)
        except ProcessLookupError:
            pass
        gatepost.discard()
