"""POP3 clients before a real Dovecot, and before an IMAP server with quirks."""

import imaplib
import itertools
import re
import sys
from pathlib import Path

import pytest

from gp import env, pop3, wire
from gp.dovecot import Dovecot
from gp.pop3 import PASSWORD, Pop3, Pop3Gatepost, assert_secret

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fake"))

from imap_server import ImapServer  # noqa: E402

HERE = Path(__file__).parent


class Store:
    """A Dovecot of its own for these tests, as IMAP shows it."""

    # Passwords that are hard to carry: in POP3 a space is a letter of it, in IMAP some must be quoted.
    odd = {"odd0": "two  spaces ", "odd1": " leading", "odd2": 'quo"te\\back', "odd3": "gr\u00fc\u00dfe \u20ac",
           "odd4": "{5}", "odd5": "(%*]NIL", "odd6": "x" * 200}

    def __init__(self, certs):
        self.users = ("user%d" % n for n in itertools.count())
        self.server = Dovecot(["user%d" % n for n in range(400)] + list(self.odd.items()),
                              certs.leaf("store", "store.example.org"))

    def user(self, *messages):
        """A new user with these messages: the name."""
        name = next(self.users)
        if messages:
            self.put(name, *messages)
        return name

    def put(self, user, *messages):
        with self.server.login(user) as session:
            for message in messages:
                assert session.append("INBOX", None, None, message)[0] == "OK"

    def all(self, user):
        """{UID: octets} as IMAP gives them, in order."""
        with self.server.login(user) as session:
            session.select("INBOX", readonly=True)
            answer = session.uid("FETCH", "1:*", "(UID BODY.PEEK[])")[1]
        found = {}
        for part in filter(None, answer):
            if isinstance(part, tuple):
                found[int(re.search(rb"UID (\d+)", part[0])[1])] = part[1]
            else:
                empty = re.search(rb'UID (\d+) .*BODY\[\] (""|NIL)', part)
                if empty:
                    found[int(empty[1])] = b""
        return found

    def flags(self, user):
        """{UID: flags} of one user's messages."""
        with self.server.login(user) as session:
            session.select("INBOX", readonly=True)
            answer = session.uid("FETCH", "1:*", "(UID FLAGS)")[1]
        return {int(re.search(rb"UID (\d+)", part)[1]): set(map(bytes.decode, imaplib.ParseFlags(part)))
                for part in filter(None, answer)}


@pytest.fixture(scope="session")
def store(certs):
    it = Store(certs)
    with it.server:
        yield it


class Door:
    """A POP3 server: ours, or Dovecot's own, which shows that a test asks for nothing odd."""

    def __init__(self, host, port, tls_port):
        self.host, self.port, self.tls_port = host, port, tls_port

    def connect(self):
        return Pop3(self.port)

    def connect_tls(self):
        return Pop3(self.tls_port, wire.client_context())

    def log_in(self, user):
        return Pop3(self.port).log_in(user)


@pytest.fixture(scope="session")
def dovecot_gate(store, certs):
    """Ours, with TLS to the store."""
    doors = dict(pop3.DOORS, strict="tls-mode offer;", brief="tls-mode none; plaintext-login on; idle-timeout 1s;")
    with pop3.before(store.server.imap, "tls-mode require; tls-name store.example.org; tls-ca {{ca}};", doors, certs) as gate:
        yield gate


@pytest.fixture
def gate(dovecot_gate):
    yield dovecot_gate
    dovecot_gate.check()


@pytest.fixture
def own_gate(store, certs):
    """One that is not shared, to be started."""
    return pop3.before(store.server.imap, "tls-mode none;", certs=certs)


@pytest.fixture(params=["gatepost", "dovecot"])
def door(request, store):
    """Each test that asks for it runs before ours and before Dovecot's own POP3 server."""
    if request.param == "gatepost":
        gate = request.getfixturevalue("gate")
        return Door(env.HOSTNAME, gate.port("pop"), gate.port("pops"))
    return Door("store.example.org", store.server.pop3, store.server.pop3s)


class Quirks:
    """A gateway before scripted IMAP servers: plain, with STARTTLS asked for, with TLS at once."""

    TIMES = "connect-timeout 1500ms; command-timeout 1500ms; data-timeout 1500ms;"

    def __init__(self, certs):
        tls = wire.server_context(*certs.leaf("store", "store.example.org"))
        verify = "tls-name store.example.org; tls-ca {{ca}};"
        self.plain, self.require = ImapServer(), ImapServer(tls=tls)
        self.implicit = ImapServer(tls=tls, implicit=True)
        self.servers = {"plain": self.plain, "require": self.require, "implicit": self.implicit}
        self.gatepost = Pop3Gatepost({
            "plain": (self.plain.port, "tls-mode none;" + self.TIMES),
            "require": (self.require.port, "tls-mode require;" + verify + self.TIMES),
            "implicit": (self.implicit.port, "tls-mode implicit;" + verify + self.TIMES),
            "stranger": (self.implicit.port, "tls-mode implicit; tls-name vault.example.org; tls-ca {{ca}};" + self.TIMES),
        }, {name: (name, "tls-mode none; plaintext-login on;") for name in (*self.servers, "stranger")}, certs)
        self.mark = 0

    def play(self, *messages, server="plain", **script):
        return self.servers[server].play(*messages, **script)

    def connect(self, listener="plain"):
        return Pop3(self.gatepost.port(listener))

    def log_in(self, listener="plain"):
        return self.connect(listener).log_in("alice", PASSWORD)

    def session(self, server="plain"):
        """What the gateway said in its one session to the server."""
        sessions = self.servers[server].sessions
        assert len(sessions) == 1, "%d sessions to the server" % len(sessions)
        return sessions[0]


@pytest.fixture(scope="session")
def quirk_gate(certs):
    it = Quirks(certs)
    it.gatepost.start()
    yield it
    it.gatepost.stop()
    for server in it.servers.values():
        server.stop()


@pytest.fixture
def quirks(quirk_gate):
    """Behind every test its part of the log is searched for the password in each form that it travelled in."""
    quirk_gate.mark = quirk_gate.gatepost.mark()
    for server in quirk_gate.servers.values():
        server.play()
    yield quirk_gate
    quirk_gate.gatepost.check()
    assert_secret(quirk_gate.gatepost.log(quirk_gate.mark), "alice", PASSWORD)
