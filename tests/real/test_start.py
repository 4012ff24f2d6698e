"""Starting: what is wrong ends in one sentence and exit 1; a plain user may run everything."""

import os
import re
import shutil
import smtplib
import socket
import subprocess
import time

import pytest

from gp import env, messages
from gp.backend import FakeBackend
from gp.gatepost import Gatepost


@pytest.fixture
def gatepost(certs):
    it = Gatepost(env.free_port(), certs=certs)
    yield it
    it.discard()


def one_sentence(done):
    """The only line on stderr, of a command that failed with exit 1."""
    assert done.returncode == 1, done
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0], done.stderr
    return lines[0]


# (a conf: line that breaks it, what the sentence names). {line}: the line of the file where it stands.
BROKEN = [
    ("listener.max-size banana", r"gatepost\.conf:{line}:\d+: .*(size|banana)"),
    ("listener.max-sise 10M", r"gatepost\.conf:{line}:\d+: .*max-sise.*max-size"),
    ("wrokers 2", r"gatepost\.conf:{line}:\d+: .*wrokers.*workers"),
    ("workers 0", r"gatepost\.conf:{line}:\d+: .*workers"),
    ("backend.address nowhere", r"gatepost\.conf:{line}:\d+: .*nowhere"),
    ("backend.protocol pigeon", r"gatepost\.conf:{line}:\d+: .*pigeon"),
    ("listener.tls nosuch", r"gatepost\.conf:{line}:\d+: .*nosuch"),
    ("tls.certificate /nonexistent/cert.pem", r"/nonexistent/cert\.pem"),
    ("tls.key /nonexistent/key.pem", r"/nonexistent/key\.pem"),
    ("tls.certificate /etc/passwd", r"/etc/passwd.*certificate|certificate.*/etc/passwd"),
    ("rules /nonexistent/rules.cf", r"/nonexistent/rules\.cf"),
    ("+ include /nonexistent/more.conf;", r"gatepost\.conf:{line}:\d+: .*/nonexistent/more\.conf"),
    ("+ route example.net { backend nosuch; profile default; }", r"gatepost\.conf:{line}:\d+: .*nosuch"),
]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("setting, sentence", BROKEN, ids=[b[0] for b in BROKEN])
def test_broken(gatepost, command, setting, sentence):
    line = gatepost.override(setting)
    assert re.search(sentence.replace("{line}", str(line)), one_sentence(gatepost.run(command)))


def test_open_block(gatepost):
    gatepost.write()
    text = str(gatepost.conf)
    gatepost.file.write_text(text + "profile open {\n\ttag-score 5;\n")
    done = subprocess.run([gatepost.program, "check", "-c", gatepost.file], capture_output=True, text=True)
    assert re.search(r"gatepost\.conf:\d+:\d+: ", one_sentence(done))


@pytest.mark.parametrize("command", ["check", "run"])
def test_no_file(command):
    done = subprocess.run([env.BIN, command, "-c", "/nonexistent/gatepost.conf"], capture_output=True, text=True)
    assert "/nonexistent/gatepost.conf" in one_sentence(done)


def test_empty_virus_database(gatepost):
    (gatepost.dir / "virus" / "test.ndb").unlink()
    assert re.search(r"install clamav-freshclam and run it, or set antivirus off", one_sentence(gatepost.run("run")))


def test_broken_virus_database(gatepost):
    (gatepost.dir / "virus" / "test.ndb").write_text("this is no signature\n")
    assert "virus" in one_sentence(gatepost.run("run"))


def test_broken_rule(gatepost):
    (gatepost.dir / "broken.cf").write_text("body OK /ok/\nbody BROKEN /(/\n")
    gatepost.conf.set("rules", gatepost.dir / "broken.cf")
    assert re.search(r"broken\.cf:2: ", one_sentence(gatepost.run("run")))


def test_port_in_use(gatepost):
    with socket.create_server(("127.0.0.1", gatepost.port())):
        assert re.search(r"127\.0\.0\.1:%d\b" % gatepost.port(), one_sentence(gatepost.run("run")))


@pytest.mark.skipif(not env.is_root(), reason="only root changes its user")
@pytest.mark.parametrize("key", ["user", "scan-user"])
def test_no_such_user(gatepost, key):
    gatepost.conf.set(key, "nosuchuser")
    assert "nosuchuser" in one_sentence(gatepost.run("run"))


def test_check_is_content(gatepost):
    done = gatepost.run("check")
    assert done.returncode == 0, done


def test_shipped_configuration_is_the_one_tested():
    """What is shipped, as it is shipped, is read without a complaint other than about this machine."""
    done = subprocess.run([env.BIN, "check", "-c", env.SHIPPED], capture_output=True, text=True)
    if done.returncode != 0:
        assert re.search(r"\.pem|/etc/gatepost|certificate|clamav", one_sentence(done))


@pytest.mark.parametrize("words, status", [(["--help"], 0), (["--version"], 0), (["run", "--help"], 0), ([], 64),
                                           (["dance"], 64), (["run", "--dance"], 64)])
def test_command_line(words, status):
    done = subprocess.run([env.BIN, *words], capture_output=True, text=True)
    assert done.returncode == status, done
    assert done.stdout if status == 0 else done.stderr


def test_plain_user(certs, public_dir):
    """Without root's rights everything still runs."""
    backend = FakeBackend()
    for rules in (env.ROOT / "conf" / "dist" / "rules").glob("*.cf"):
        shutil.copy(rules, public_dir)  # the checkout itself may be root's alone
    gatepost = Gatepost(backend.port, certs=certs, rules=public_dir / "*.cf")
    # As root we become somebody else; a plain user is one already.
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if env.is_root() else []
    gatepost.start(prefix)
    try:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
            assert session.sendmail("ann@example.net", ["bob@example.org"], messages.plain("plain user")) == {}
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
            with pytest.raises(smtplib.SMTPDataError):
                session.sendmail("ann@example.net", ["bob@example.org"], messages.with_virus("plain virus"))
        assert len(backend.messages) == 1
    finally:
        gatepost.stop()
        backend.stop()


@pytest.mark.skipif(not env.is_root(), reason="only root changes its user")
def test_root_drops(certs):
    """Started as root, no process that reads from strangers is root's, and the two kinds differ."""
    with Gatepost(env.free_port(), certs=certs) as gatepost:
        deadline = time.monotonic() + env.PATIENCE  # the youngest may still be on their way down
        while True:
            kinds = {}
            for pid in descendants(gatepost.process.pid):
                kinds.setdefault(rights(pid), []).append(pid)
            if all(uids == {uid} and uid != "0" for uid, uids, _, _ in kinds) or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        for uid, uids, groups, capabilities in kinds:
            assert uids == {uid} and uid != "0" and "0" not in groups and capabilities == 0, kinds
        assert sorted(map(len, kinds.values())) == sorted([env.WORKERS + 1, env.SCANNERS + 1]), kinds


def rights(pid):
    """A process's effective uid, all its uids, its groups, its capabilities."""
    with open("/proc/%d/status" % pid) as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    uids = status["Uid"].split("\t")
    return uids[1], frozenset(uids), tuple(status["Groups"].split()), int(status["CapEff"], 16)


def descendants(pid):
    children = []
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, thread)) as f:
            children += map(int, f.read().split())
    return children + [d for child in children for d in descendants(child)]


def test_readme_configuration(certs, public_dir):
    """The ten lines of README.md work as they stand, with this machine's paths put in."""
    text = (env.ROOT / "README.md").read_text()
    lines = re.search(r"## A configuration that works\n\n((?:    .*\n)+)", text).group(1)
    assert lines.count("\n") == 10
    certificate, key = certs.leaf("readme", "mx.example.org")
    for path, here in (("/etc/gatepost/cert.pem", certificate), ("/etc/gatepost/key.pem", key),
                       ("/usr/share/gatepost/rules", env.ROOT / "conf" / "dist" / "rules")):
        assert path in lines
        lines = lines.replace(path, str(here))
    (public_dir / "readme.conf").write_text(lines)
    done = subprocess.run([env.BIN, "check", "-c", public_dir / "readme.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "is good: 1 listeners, 1 backends, 1 routes" in done.stdout
