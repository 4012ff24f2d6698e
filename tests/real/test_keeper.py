"""The keeper: its directory, its death, and what administrators do with held messages."""

import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import threading
import time

import pytest

from gp import env, messages
from gp.backend import FakeBackend
from gp.gatepost import Gatepost

SETTINGS = ["profile.virus quarantine"]


@pytest.fixture
def backend():
    it = FakeBackend()
    yield it
    it.stop()


@pytest.fixture
def gatepost(backend, certs):
    it = Gatepost(backend.port, settings=SETTINGS, certs=certs)
    it.start()
    yield it
    it.stop()


@pytest.fixture
def idle(certs):
    it = Gatepost(env.free_port(), certs=certs)
    yield it
    it.discard()


def send(gatepost, message, rcpts=("bob@example.org",)):
    with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
        return session.sendmail("ann@example.net", list(rcpts), message)


def ctl(gatepost, *words, **more):
    return subprocess.run([gatepost.program, "ctl", "-c", gatepost.file, *words], capture_output=True, timeout=env.PATIENCE * 3, **more)


def listed(gatepost):
    done = ctl(gatepost, "quarantine", "list", "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def status(gatepost):
    wait(lambda: ctl(gatepost, "status").returncode == 0)
    done = ctl(gatepost, "status")
    assert done.returncode == 0, done
    return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines())


def wait(what):
    deadline = time.monotonic() + env.PATIENCE
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def the_keeper(gatepost):
    wait(lambda: gatepost.children("keeper"))  # it says what it is a moment after it was started
    (keeper,) = gatepost.children("keeper")
    return keeper


def kill_keeper(gatepost):
    keeper = the_keeper(gatepost)
    os.kill(keeper, signal.SIGKILL)
    wait(lambda: gatepost.children("keeper") not in ([], [keeper]) and ctl(gatepost, "status").returncode == 0)


# --- its directory

def sentence(done):
    lines = done.stderr.strip().split("\n")
    assert done.returncode == 1 and len(lines) == 1, done
    return lines[0]


@pytest.mark.parametrize("command", ["check", "run"])
def test_no_directory_above(idle, command):
    idle.conf.set("state-dir", "/nonexistent/deep/state")
    assert re.search(r"state-dir /nonexistent/deep/state .*set state-dir", sentence(idle.run(command)))


@pytest.mark.parametrize("command", ["check", "run"])
def test_directory_is_a_file(idle, command):
    (idle.dir / "file").touch()
    idle.conf.set("state-dir", idle.dir / "file")
    assert "is no directory" in sentence(idle.run(command))


@pytest.mark.parametrize("command", ["check", "run"])
def test_plain_user_without_a_directory(idle, command):
    idle.write()
    shutil.rmtree(idle.dir / "state")
    if not env.is_root():
        idle.dir.chmod(0o555)
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if env.is_root() else []
    done = subprocess.run([*prefix, idle.program, command, "-c", idle.file], capture_output=True, text=True, timeout=env.PATIENCE * 3)
    idle.dir.chmod(0o755)
    assert re.search(r"state-dir .*/state is not there and cannot be made.*set state-dir", sentence(done))


@pytest.mark.skipif(not env.is_root(), reason="only root gives directories away")
@pytest.mark.parametrize("command", ["check", "run"])
def test_directory_of_somebody_else(idle, command):
    shutil.chown(idle.dir / "state", "daemon")
    assert re.search(r"belongs to uid 1\b.*chown -R 65534", sentence(idle.run(command)))
    shutil.chown(idle.dir / "state", "root")
    (idle.dir / "state" / "precious").touch()
    assert re.search(r"belongs to uid 0\b.*chown -R", sentence(idle.run(command)))


@pytest.mark.skipif(not env.is_root(), reason="a plain user makes it as well, but cannot see whose it would be")
def test_directory_is_made(idle):
    shutil.rmtree(idle.dir / "state")
    assert idle.run("check").returncode == 0
    assert not (idle.dir / "state").exists()  # check makes nothing
    with idle:
        made = (idle.dir / "state").stat()
        assert made.st_mode & 0o7777 == 0o700 and made.st_uid == 65534


def test_two_gateways_in_one_directory(gatepost, idle):
    idle.conf.set("state-dir", gatepost.dir / "state")
    assert "is in use by another gatepost" in sentence(idle.run("run"))
    assert idle.run("check").returncode == 0  # it says nothing about who runs


# --- its life

def test_killed_and_replaced(gatepost, backend):
    wait(lambda: len(gatepost.children("worker")) == env.WORKERS)  # each says what it is
    workers = sorted(gatepost.children("worker"))
    for round in range(3):
        mark = gatepost.mark()
        kill_keeper(gatepost)
        gatepost.wait_log(r"keeper died: signal 9", mark)
        assert send(gatepost, messages.plain("round %d" % round)) == {}
        assert send(gatepost, messages.with_virus("virus %d" % round)) == {}
        assert len(listed(gatepost)) == round + 1
    assert sorted(gatepost.children("worker")) == workers
    assert len(backend.messages) == 3


def test_worker_killed(gatepost, backend):
    wait(lambda: len(gatepost.children("worker")) == env.WORKERS)
    for worker in gatepost.children("worker"):
        os.kill(worker, signal.SIGKILL)
    wait(lambda: len(gatepost.children("worker")) == env.WORKERS and status(gatepost)["workers"] == str(env.WORKERS))
    assert send(gatepost, messages.with_virus("after")) == {}
    assert len(listed(gatepost)) == 1


def test_reload(gatepost):
    before = status(gatepost)
    gatepost.conf.set("quarantine-size", "5M")
    assert gatepost.reload()
    wait(lambda: status(gatepost)["held-octets"] == "0 of 5242880")
    assert int(status(gatepost)["generation"]) == int(before["generation"]) + 1
    mark = gatepost.mark()
    done = ctl(gatepost, "reload")
    assert done.returncode == 0 and b"reloads" in done.stdout, done
    gatepost.wait_log(r"reloading", mark)
    wait(lambda: int(status(gatepost)["generation"]) == int(before["generation"]) + 2)
    assert status(gatepost)["keeper"] == before["keeper"]


def remembers(pid, secret):
    """Whether a process has these octets in memory that it may write to."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            if not re.search(r"^\S+ rw.*(\[heap\]|\[stack\]| 0 *$)", line):
                continue
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if end - start <= 1 << 28:  # larger ones are a sanitizer's own
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
    return False


@pytest.mark.skipif(not env.is_root(), reason="only root may read another process's memory")
def test_it_has_no_keys(gatepost):
    status(gatepost)
    with open(re.search(r"key (\S+);", str(gatepost.conf))[1], "rb") as key:
        secret = key.read().split(b"\n")[1]
    assert remembers(gatepost.process.pid, secret)  # master has it, so we would see it
    assert not remembers(the_keeper(gatepost), secret)


# --- what administrators do

def test_nobody_runs(idle):
    idle.write()
    done = ctl(idle, "status")
    assert done.returncode == 1 and b"no gateway is running with state-dir" in done.stderr, done


@pytest.mark.skipif(not env.is_root(), reason="needs a second user")
def test_not_for_everyone(gatepost):
    words = [gatepost.program, "ctl", "--state-dir", gatepost.dir / "state", "status"]
    status(gatepost)
    done = subprocess.run(["setpriv", "--reuid", "1", "--regid", "1", "--clear-groups", *words], capture_output=True)
    assert done.returncode == 1 and b"become root" in done.stderr, done
    (gatepost.dir / "state").chmod(0o755)
    (gatepost.dir / "state" / "control").chmod(0o666)  # even then
    done = subprocess.run(["setpriv", "--reuid", "1", "--regid", "1", "--clear-groups", *words], capture_output=True)
    assert done.returncode == 1 and b"refused to talk" in done.stderr, done
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words], capture_output=True)
    assert done.returncode == 0, done


def test_quarantine(gatepost, backend):
    mail = messages.with_virus("held")
    assert send(gatepost, b"X-Spam-Flag: forged\r\n" + mail, ["bob@example.org", "carl@example.org"]) == {}
    assert backend.messages == []
    (held,) = listed(gatepost)
    assert held["from"] == "ann@example.net" and held["to"] == ["bob@example.org", "carl@example.org"]
    assert held["verdict"] == "quarantine" and "EICAR" in held["why"] and held["attempts"] == 0
    line = ctl(gatepost, "quarantine", "list").stdout.decode()
    assert line.startswith(held["id"] + "  ") and "<ann@example.net> -> <bob@example.org> <carl@example.org>" in line
    raw = ctl(gatepost, "quarantine", "show", "--raw", held["id"]).stdout
    assert raw.startswith(b"Received: ") and b"forged" not in raw and len(raw) == held["size"]
    messages.arrived(raw, mail)
    shown = ctl(gatepost, "quarantine", "show", held["id"]).stdout
    assert shown.endswith(b"\n\n" + raw) and b"to        carl@example.org\n" in shown

    done = ctl(gatepost, "quarantine", "release", held["id"])
    assert done.returncode == 0 and done.stdout.startswith(b"250 "), done
    (message,) = backend.messages
    assert message.octets == raw
    assert "ann@example.net" in message.sender and len(message.recipients) == 2
    assert listed(gatepost) == [] and os.listdir(gatepost.dir / "state" / "quarantine") == []
    assert status(gatepost)["held"] == "0"
    done = ctl(gatepost, "quarantine", "release", held["id"])
    assert done.returncode == 1 and b"no message with this id is held" in done.stderr


def test_delete(gatepost, backend):
    send(gatepost, messages.with_virus("deleted"))
    (held,) = listed(gatepost)
    assert ctl(gatepost, "quarantine", "delete", held["id"]).stdout == b"deleted\n"
    assert listed(gatepost) == [] and backend.messages == []
    assert ctl(gatepost, "quarantine", "delete", held["id"]).returncode == 1


# What the backend says at each step of a release: it stays, with the reply shown.
REFUSALS = [
    [("MAIL*", "550 5.7.1 no mail from ann"), ],
    [("MAIL*", "250 ok"), ("RCPT*", "450 4.2.1 later, bob")],
    [("MAIL*", "250 ok"), ("RCPT*", "250 ok"), ("DATA", "554 5.5.1 not now")],
    [("MAIL*", "250 ok"), ("RCPT*", "250 ok"), ("DATA", "354 go"), (".", "552 5.2.2 too big for bob")],
]


@pytest.mark.parametrize("steps", REFUSALS, ids=["mail", "rcpt", "data", "dot"])
def test_refused_release(gatepost, backend, steps):
    send(gatepost, messages.with_virus("refused"))
    (held,) = listed(gatepost)
    backend.begin()
    asking = subprocess.Popen([gatepost.program, "ctl", "-c", gatepost.file, "quarantine", "release", held["id"]],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    session = backend.sessions.get(timeout=env.PATIENCE)
    for pattern, answer in steps:
        while not re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), session.line().decode()):
            pass
        session.send(answer.encode() + b"\r\n")
    out, err = asking.communicate(timeout=env.PATIENCE)
    assert asking.returncode == 1 and answer in err.decode(), (out, err)
    (held,) = listed(gatepost)
    assert held["attempts"] == 1 and held["last"] == answer
    assert answer in ctl(gatepost, "quarantine", "list").stdout.decode()
    assert "answer    " + answer in ctl(gatepost, "quarantine", "show", held["id"]).stdout.decode()
    kill_keeper(gatepost)
    assert listed(gatepost) == [held]


def test_release_without_a_backend(certs):
    backend = FakeBackend()
    with Gatepost(backend.port, settings=SETTINGS, certs=certs) as gatepost:
        send(gatepost, messages.with_virus("nowhere"))
        (held,) = listed(gatepost)
        backend.stop()
        done = ctl(gatepost, "quarantine", "release", held["id"])
        assert done.returncode == 1 and done.stderr, done
        assert listed(gatepost)[0]["attempts"] == 1


def test_worker_killed_while_it_releases(gatepost, backend):
    send(gatepost, messages.with_virus("lost"))
    (held,) = listed(gatepost)
    backend.begin()
    asking = subprocess.Popen([gatepost.program, "ctl", "-c", gatepost.file, "quarantine", "release", held["id"]],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    session = backend.sessions.get(timeout=env.PATIENCE)
    assert session.line().startswith(b"MAIL")
    again = ctl(gatepost, "quarantine", "delete", held["id"])
    assert again.returncode == 1 and b"is being released" in again.stderr
    for worker in gatepost.children("worker"):
        os.kill(worker, signal.SIGKILL)
    out, err = asking.communicate(timeout=env.PATIENCE)
    assert asking.returncode == 1 and b"outcome unknown" in err and b"still held" in err, (out, err)
    assert listed(gatepost)[0]["attempts"] == 1


def test_full(backend, certs):
    with Gatepost(backend.port, settings=SETTINGS + ["quarantine-size 1M"], certs=certs) as gatepost:
        big = messages.with_virus("big") + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 9000
        assert send(gatepost, big) == {}
        mark = gatepost.mark()
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(gatepost, big)
        assert refused.value.smtp_code == 451
        gatepost.wait_log(r"the quarantine is full.*gatepost ctl quarantine list", mark)
        assert len(listed(gatepost)) == 1


def send_all(gatepost, number):
    """So many letters, each with a subject of its own, from eight clients at once."""
    def client(first):
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
            for i in range(first, number, 8):
                session.sendmail("ann@example.net", ["bob@example.org"], "Subject: letter %d\r\n\r\n" % i)

    clients = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()


def test_answers_heard_while_the_keeper_is_away(gatepost, backend):
    """Whoever heard his 250 and sends the same again gets a second delivery, also when nobody was there to be told."""
    keeper, = gatepost.children("keeper")
    killer = threading.Timer(0.2, os.kill, (keeper, signal.SIGKILL))
    killer.start()
    send_all(gatepost, 600)
    killer.join()
    wait(lambda: gatepost.children("keeper") not in ([], [keeper]))
    assert len(backend.messages) == 600
    send_all(gatepost, 600)
    assert len(backend.messages) == 1200, gatepost.log().count("delivered before")
