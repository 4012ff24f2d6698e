"""The program under test, with the shipped configuration bent to loopback ports and a scratch directory."""

import grp
import pwd
import re
import shutil
import signal
import subprocess
import time

from . import env
from .certs import Certs
from .conf import Conf
from .dialogue import eicar
from .process import Process

# How a sanitizer's report begins; our own log lines may name one.
SANITIZER = re.compile(r"^==\d+==.*Sanitizer|^\w*Sanitizer:DEADLYSIGNAL|^\S+: runtime error: ", re.MULTILINE)


def virus_database(directory):
    """A database of one signature: the antivirus test string, put together now."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    (directory / "test.ndb").write_text("Gatepost.Test.EICAR:0:*:%s\n" % eicar().encode().hex())
    return directory


class Gatepost:
    """start(), talk to port(), stop(). `conf` may be edited before start() and before reload()."""

    def __init__(self, backend_port, protocol="smtp", settings=(), rules=None, program=None, certs=None):
        self.dir = env.scratch()
        self.program = program or env.BIN
        self.certs = certs or Certs(self.dir / "certs")
        self.process = None
        self.ports = {"smtp": env.free_port(), "implicit": env.free_port()}
        self.file = self.dir / "gatepost.conf"
        self.conf = self._shipped(backend_port, protocol, rules or env.ROOT / "conf" / "dist" / "rules" / "*.cf")
        for setting in settings:
            self.override(setting)

    def _shipped(self, backend_port, protocol, rules):
        conf = Conf(env.SHIPPED.read_text("utf-8"))
        (self.dir / "tmp").mkdir()
        (self.dir / "tmp").chmod(0o1777)
        for key, value in {
            "hostname": env.HOSTNAME,
            "workers": env.WORKERS,
            "scanners": env.SCANNERS,
            "user": env.USER,
            "scan-user": env.SCAN_USER,
            "log": "stderr",
            "tmp-dir": self.dir / "tmp",
            "state-dir": self._state_dir(),
            "rules": rules,
            "drain-timeout": "2s",
            "antivirus.database": virus_database(self.dir / "virus"),
            "backend.protocol": protocol,
            "backend.address": "127.0.0.1:%d" % backend_port,
            "backend.tls-mode": "none",
            "backend.check-interval": "1h",
        }.items():
            conf.set(key, value)
        certificate, key = self.certs.leaf("gatepost", env.HOSTNAME)
        backend, profile = conf.find("backend").words[1], conf.find("profile").words[1]
        conf.replace("tls", "tls test { certificate %s; key %s; }" % (certificate, key))
        conf.set("listener.address", "127.0.0.1:%d" % self.ports["smtp"])
        conf.set("listener.tls", "test")
        conf.set("listener.tls-mode", "offer")
        conf.unset("listener.relay-from")  # a test is a stranger
        conf.add("listener implicit { protocol smtp; address 127.0.0.1:%d; tls test; tls-mode implicit; }"
                 % self.ports["implicit"])
        conf.replace("route", "route example.org .example.org { backend %s; profile %s; }" % (backend, profile))
        return conf

    def _state_dir(self):
        """The keeper's directory. As root it belongs to whom it becomes, so a plain user's tests may use it, too."""
        state = self.dir / "state"
        state.mkdir(mode=0o700)
        if env.is_root():
            shutil.chown(state, env.USER, grp.getgrgid(pwd.getpwnam(env.USER).pw_gid).gr_name)
        return state

    def _file_with(self, line):
        path = self.dir / ("line-%d" % sum(1 for _ in self.dir.glob("line-*")))
        path.write_text(line + "\n")
        return path

    def override(self, setting):
        """A conf: line of a dialogue: "PATH VALUE", or "+ TEXT" for a block of its own. The line where it stands."""
        setting = setting.replace("{{closed-port}}", str(env.free_port()))
        setting = setting.replace("{{backend-port}}", self._backend_port())
        setting = setting.replace("{{ca}}", str(self.certs.ca))
        setting = re.sub(r"\{\{file (.*?)\}\}", lambda m: str(self._file_with(m[1])), setting)
        path, _, value = setting.partition(" ")
        if path == "+":
            return self.conf.add(value)
        if path == "antivirus":
            return self.conf.replace("antivirus", "antivirus %s;" % value)
        return self.conf.set(path, value)

    def _backend_port(self):
        return re.search(r"address 127\.0\.0\.1:(\d+)", str(self.conf)[self.conf.find("backend").start:])[1]

    def port(self, listener=None):
        return self.ports[listener or "smtp"]

    def write(self):
        self.file.write_text(str(self.conf), "utf-8")
        return self.file

    def run(self, *words, **more):
        """A command that ends by itself: `gatepost WORDS -c FILE`; subprocess's result."""
        self.write()
        return subprocess.run([self.program, *words, "-c", self.file], capture_output=True, text=True,
                              timeout=env.PATIENCE * 3, **more)

    def start(self, prefix=(), log=None):
        """Runs it until "ready:" stands in its log. `prefix`: a command that runs it (setpriv...); `log`: the
        file that it logs to, when not to stderr."""
        self.write()
        self.process = Process([*prefix, self.program, "run", "-c", self.file], self.dir / "stderr")
        if log:
            log.touch()
            self.process.log_path = log
        self.process.wait_log(r"\bready:", timeout=env.PATIENCE * 3)
        return self

    def log(self, since=0):
        return self.process.log(since)

    def mark(self):
        return self.process.mark()

    def wait_log(self, pattern, since=0, timeout=None):
        return self.process.wait_log(pattern, since, timeout)

    def reload(self):
        """New settings by SIGHUP; returns when the log says so."""
        mark = self.mark()
        self.write()
        self.process.signal(signal.SIGHUP)
        return self.wait_log(r"reload\w*", mark, env.PATIENCE * 3)

    def children(self, role):
        """The process ids of master's children that call themselves so ("worker", "nursery") in ps. One that was just
        forked is called as master is for a moment: it is waited for."""
        deadline = time.monotonic() + env.PATIENCE
        while True:
            titles = self._titles()
            if self._title(self.process.pid) not in titles.values() or time.monotonic() > deadline:
                return [pid for pid, title in titles.items() if title.startswith(b"gatepost: " + role.encode())]
            time.sleep(0.002)

    def _titles(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            return {pid: self._title(pid) for pid in map(int, f.read().split())}

    @staticmethod
    def _title(pid):
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read()

    def check(self):
        """Fails when it has ended, or a sanitizer has reported anything."""
        assert self.process.child.poll() is None, "gatepost ended with %s:\n%s" % (
            self.process.child.returncode, self.log()[-8000:])
        self._check_sanitizer()

    def _check_sanitizer(self):
        said = (self.dir / "stderr").read_text("utf-8", "backslashreplace")
        report = SANITIZER.search(said)
        assert report is None, said[report.start():][:8000]

    def stop(self):
        """SIGTERM by process id; it must end by itself with 0 and without a sanitizer's report."""
        if self.process is None:
            return
        status = self.process.stop(env.PATIENCE * 2)
        self._check_sanitizer()
        assert status == 0, "gatepost ended with %s:\n%s" % (status, self.log()[-8000:])
        self.discard()

    def discard(self):
        """Takes the scratch directory away; stop() does, and whoever never starts it must."""
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.stop()
        else:  # the first failure is the one to be read
            self.process.stop()
