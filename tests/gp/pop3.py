"""POP3: the gateway with POP3 listeners before an IMAP server, and a client that sees every octet."""

import base64
import functools
import subprocess

from . import env
from .conf import Conf
from .gatepost import Gatepost
from .wire import Peer, client_context

PASSWORD = "pa55-w0rd of alice"  # what no log may hold

CONF = """
hostname {hostname};
workers {workers};
user {user};
scan-user {scan_user};
log stderr;
log-level debug;
tmp-dir {dir}/tmp;
state-dir {state};
drain-timeout 2s;
antivirus off;
tls test {{ certificate {certificate}; key {key}; }}
"""
LISTENER = "listener {name} {{ protocol pop3; address 127.0.0.1:{port}; tls test; backend {backend}; {settings} }}"
BACKEND = "backend {name} {{ protocol imap; address 127.0.0.1:{port}; check-interval 1h; grace 1d; {settings} }}"


@functools.lru_cache(maxsize=None)
def known():
    """Whether the program under test speaks POP3: its manual says so, and it greets."""
    manual = subprocess.run([env.BIN, "check", "--manual"], capture_output=True, text=True).stdout
    if "plaintext-login" not in manual:
        return False
    with before(env.free_port()) as gate, Pop3(gate.port()) as client:
        return client.greeting.startswith(b"+OK")


class Pop3Gatepost(Gatepost):
    """`backends`: {name: (port, settings)}; `listeners`: {name: (backend, settings)}. No mail passes, none is judged."""

    def __init__(self, backends, listeners, certs=None):
        self.backends, self.listeners = backends, listeners
        super().__init__(0, certs=certs)

    def _shipped(self, *_):
        (self.dir / "tmp").mkdir()
        (self.dir / "tmp").chmod(0o1777)
        certificate, key = self.certs.leaf("gatepost", env.HOSTNAME)
        conf = Conf(CONF.format(hostname=env.HOSTNAME, workers=env.WORKERS, user=env.USER, scan_user=env.SCAN_USER,
                                dir=self.dir, state=self._state_dir(), certificate=certificate, key=key))
        for name, (port, settings) in self.backends.items():
            conf.add(BACKEND.format(name=name, port=port, settings=settings.replace("{{ca}}", str(self.certs.ca))))
        self.ports = {name: env.free_port() for name in self.listeners}
        for name, (backend, settings) in self.listeners.items():
            conf.add(LISTENER.format(name=name, port=self.ports[name], backend=backend, settings=settings))
        return conf

    def port(self, listener=None):
        return self.ports[listener or "pop"]


def offer(gatepost, port):
    """Gives a gateway that is not running yet the doors for POP3 too, before the IMAP server on this port."""
    gatepost.conf.add(BACKEND.format(name="mailboxes", port=port, settings="tls-mode none;"))
    for name, settings in DOORS.items():
        gatepost.ports[name] = env.free_port()
        gatepost.conf.add(LISTENER.format(name=name, port=gatepost.ports[name], backend="mailboxes", settings=settings))


# What most tests want: a door for plain text and STLS, and one with TLS from the first octet.
DOORS = {
    "pop": "tls-mode offer; plaintext-login on;",
    "pops": "tls-mode implicit;",
}


def before(port, settings="tls-mode none;", doors=None, certs=None):
    """A gateway with `doors` ({listener: settings}) before the IMAP server on this port."""
    return Pop3Gatepost({"store": (port, settings)}, {name: ("store", s) for name, s in (doors or DOORS).items()}, certs)


class Cut(Exception):
    """The connection ended inside of a reply of many lines; `octets` had come of it."""

    def __init__(self, octets):
        super().__init__("cut behind %d octets: %r" % (len(octets), octets[-200:]))
        self.octets = octets


class Pop3:
    """A client that hides nothing: replies as they came, octets as they stand on the wire."""

    def __init__(self, port, tls=None, receive=None):
        """`tls`: an ssl.SSLContext; TLS from the first octet. `receive`: octets that the kernel may keep for us."""
        self.peer = Peer.connect(port, receive=receive)
        if tls:
            self.peer.tls(tls, name=env.HOSTNAME)
        self.greeting = self.peer.line()

    def send(self, line):
        self.peer.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    def line(self, timeout=None):
        return self.peer.line(timeout)

    def ask(self, line, timeout=None):
        """A command and the first line of its reply, as text."""
        self.send(line)
        return self.line(timeout).decode("utf-8", "backslashreplace")

    def raw(self, timeout=None):
        """Many lines as they stand on the wire, without the last one, which is a dot. Cut where that never comes."""
        octets, at = bytearray(), 0
        while True:
            octets += self.peer.buffer
            self.peer.buffer = b""
            end = 0 if octets[:3] == b".\r\n" else octets.find(b"\r\n.\r\n", max(0, at - 4)) + 2
            if octets[:3] == b".\r\n" or end >= 2:
                self.peer.buffer = bytes(octets[end + 3:])
                return bytes(octets[:end])
            at = len(octets)
            if not self.peer.fill(timeout):
                raise Cut(bytes(octets))

    def lines(self, command):
        """The reply of many lines to a command that must succeed: (first line, the others)."""
        first = self.ask(command)
        assert first.startswith("+OK"), "%s: %s" % (command, first)
        return first, [line.decode() for line in self.raw().split(b"\r\n")[:-1]]

    def get(self, command, timeout=None):
        """A message, without dot-stuffing; None when the answer is -ERR (then `refused` has it). Cut may be raised."""
        first = self.ask(command, timeout)
        if not first.startswith("+OK"):
            assert first.startswith("-ERR"), first
            self.refused = first
            return None
        self.accepted = first
        return unstuffed(self.raw(timeout))

    def login(self, user="alice", password="secret"):
        """USER and PASS; the answer to PASS."""
        assert self.ask("USER " + user).startswith("+OK")
        return self.ask("PASS " + password)

    def log_in(self, user="alice", password="secret"):
        """The same where it must succeed; the client itself."""
        answer = self.login(user, password)
        assert answer.startswith("+OK"), answer
        return self

    def stls(self, context=None):
        assert self.ask("STLS").startswith("+OK")
        self.peer.tls(context or client_context(), name=env.HOSTNAME)
        return self

    def capa(self):
        return self.lines("CAPA")[1]

    def quit(self):
        """QUIT's answer; behind it the end must come."""
        answer = self.ask("QUIT")
        assert self.peer.until_closed() == b""
        self.peer.close()
        return answer

    def is_closed(self, timeout=None):
        """Waits for the end; whether nothing came before it."""
        return self.peer.until_closed(timeout) == b""

    def close(self):
        self.peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def unstuffed(raw):
    """RFC 1939 section 3: a line that begins with a dot loses it."""
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n")[2:]


def as_pop3(octets):
    """What POP3 must give of a message that a mailbox holds: lines end in CR LF, the last one too."""
    octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"


def assert_secret(log, user, password):
    """The password does not stand in a log, in no form in which it travels."""
    plain = base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode()
    for form in (password, plain, plain.rstrip("="), base64.b64encode(password.encode()).decode()):
        assert form not in log, "the password stands in the log as %r" % form
