"""Where things are, what the caller asked for, and what this machine has."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"
SHIPPED = ROOT / "conf" / "dist" / "gatepost.conf"

BIN = Path(os.environ.get("GATEPOST_BIN", ROOT / "build" / "gatepost")).absolute()
HOOKS = BIN.with_name("gatepost-hooks")  # the same with a scanner that misbehaves on demand
WORKERS = int(os.environ.get("GATEPOST_WORKERS", "2"))
SCANNERS = int(os.environ.get("GATEPOST_SCANNERS", "3"))

# How long we wait for what must come. Sanitizers make everything slower; no test waits for its
# end unless it is failing.
PATIENCE = float(os.environ.get("GATEPOST_PATIENCE", "10"))

HOSTNAME = "mx.example.org"

# For a program built with sanitizers: what leaks elsewhere than in our own code.
os.environ.setdefault("LSAN_OPTIONS", "suppressions=%s:print_suppressions=0" % Path(__file__).with_name("lsan.supp"))

# An unprivileged account each, present on every Debian: as root Gatepost drops to them.
USER, SCAN_USER = "nobody", "daemon"


def is_root():
    return os.geteuid() == 0


def user_name():
    return pwd.getpwuid(os.geteuid()).pw_name


def as_root(command):
    """The command as it must be called to run as root, or None where that is not to be had."""
    if is_root():
        return command
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"] + command
    return None


def scratch():
    """A new directory that every account may walk through. Its name is short: sockets of UNIX
    domain end at 107 octets."""
    path = Path(tempfile.mkdtemp(prefix="gp-"))
    path.chmod(0o755)
    return path


_handed_out = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens on now. Ports below the range of outgoing connections, so that no
    client of a test takes it meanwhile; never the same one twice."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    start = 10000 + os.getpid() * 61 % max(1, first - 10100)
    for i in range(first):
        port = 10000 + (start - 10000 + i) % max(1, first - 10000)
        if port in _handed_out:
            continue
        _handed_out.add(port)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def peer(name):
    """The directory of an unpacked peer, unpacked (or, a client, installed) now if need be."""
    subprocess.run([str(ROOT / "tests" / "peers.sh"), name], check=True)
    return PEERS / name
