"""A server that insists on its own accounts and paths, in a root directory of its own.

Exim and OpenSMTPD look for users, a spool and modules where a package would have put them. chroot(8) shows
them a copy of what was unpacked with the libraries that it needs, a passwd file and nothing else of this
machine. It needs root; without, there is no cell (`Cell.available()`)."""

import re
import shutil
import subprocess
from pathlib import Path

from . import env
from .process import Process

# Numbers that no account of a Debian has.
FIRST_UID = 64201
DOCUMENTATION = shutil.ignore_patterns("doc", "man", "info", "locale", "bug", "lintian")


def libraries(program):
    """The files that the loader opens for a program, by the names under which it looks for them."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", said)]


class Cell:
    """put() files and start() a program. `accounts` are the names that the server asks for; `deliver` is
    added, the owner of all mailboxes, which stand as Maildirs in `mail`."""

    def __init__(self, peer, programs, accounts):
        self.dir = env.scratch()
        shutil.copytree(peer, self.dir, symlinks=True, ignore=DOCUMENTATION, dirs_exist_ok=True)
        self.process, self._owned = None, []
        self.accounts = {name: FIRST_UID + i for i, name in enumerate([*accounts, "deliver"])}
        rows = [("root", 0)] + list(self.accounts.items())
        self.put("etc/passwd", "".join("%s:x:%d:%d::/mail:/bin/sh\n" % (name, uid, uid) for name, uid in rows))
        self.put("etc/group", "".join("%s:x:%d:\n" % row for row in rows))
        self.put("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.put("etc/hosts", "127.0.0.1 localhost\n")
        self.put("etc/resolv.conf", "")
        for program in [self.dir / name for name in programs] + [Path("/bin/sh")]:
            for library in libraries(program):
                self._copy(library)
        self._copy(Path("/bin/sh"))
        self.directory("tmp", mode=0o1777)
        self.directory("mail", "deliver")

    def _copy(self, file):
        to = self.dir / str(file).lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)  # follows links: the content under the name that is asked for

    def put(self, name, content, owner=None, mode=0o644):
        file = self.dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        self._own(name, owner, mode)

    def directory(self, name, owner=None, mode=0o755, group=None):
        (self.dir / name).mkdir(parents=True, exist_ok=True)
        self._own(name, owner, mode, group)

    def _own(self, name, owner, mode, group=None):
        uid = self.accounts[owner] if owner else 0
        gid = self.accounts[group] if group else uid
        self._owned.append("chown %d:%d '%s' && chmod %o '%s'" % (uid, gid, name, mode, name))

    @staticmethod
    def available():
        return env.as_root(["true"]) is not None

    def start(self, command):
        """Runs a program of the cell in the foreground; its output is log()."""
        prepare = ["cd '%s'" % self.dir, "chown -R 0:0 .", "mkdir -p dev", "mknod -m 666 dev/null c 1 3", *self._owned]
        subprocess.run(env.as_root(["sh", "-ec", "\n".join(prepare)]), check=True)
        # Its process id is written down: what is started may be a sudo, which does not listen to us.
        run = 'echo $$ >"$0/pid"; exec chroot "$0" "$@"'
        self.process = Process(env.as_root(["sh", "-c", run, str(self.dir), *map(str, command)]), env.scratch() / "out")

    def run(self, command):
        """Runs a program of the cell to its end; what it printed."""
        return subprocess.run(env.as_root(["chroot", str(self.dir), *map(str, command)]), capture_output=True, text=True,
                              errors="replace", timeout=env.PATIENCE * 3)

    def log(self):
        return self.process.log()

    def mails(self, user):
        """The messages in a user's Maildir, as octets, oldest first."""
        new = self.dir / "mail" / user / "new"
        names = subprocess.run(env.as_root(["sh", "-c", 'ls -tr "$1" 2>/dev/null', "sh", str(new)]),
                               capture_output=True, text=True).stdout.split()
        return [subprocess.run(env.as_root(["cat", str(new / name)]), capture_output=True).stdout for name in names]

    def discard(self):
        subprocess.run(env.as_root(["rm", "-rf", str(self.dir)]))

    def stop(self):
        if self.process is not None:
            if self.process.child.poll() is None:
                subprocess.run(env.as_root(["sh", "-c", 'kill "$(cat "$0/pid")"', str(self.dir)]))
                self.process.wait()
            shutil.rmtree(self.process.log_path.parent, ignore_errors=True)
            self.process = None
        self.discard()
