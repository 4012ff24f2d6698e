"""Recipients that another server is asked about (verify-recipients), before a backend that accepts everything."""

import re
import smtplib
import time

import pytest

from gp import env, messages
from gp.backend import FakeBackend
from gp.gatepost import Gatepost


@pytest.fixture
def directory():
    """The server that knows the recipients."""
    server = FakeBackend()
    server.answers = {
        "nobody@example.org": "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown",
        "later@example.org": "451 4.3.0 Try again",
        "plain@example.org": "550 Who is that?",
        "silent@example.org": None,
    }
    yield server
    server.stop()


@pytest.fixture
def store():
    server = FakeBackend()
    yield server
    server.stop()


def gateway(store, directory, certs, *settings):
    return Gatepost(store.port, "smtp", certs=certs, settings=[
        "workers 1", "listener.max-per-address 0", "backend.verify-recipients directory",
        "+ backend directory { address 127.0.0.1:%d; check-interval 1h; connect-timeout 2s; command-timeout 3s; }"
        % directory.port, *settings])


def rcpt(session, address):
    code, text = session.rcpt(address)
    return "%d %s" % (code, text.decode())


def client(gatepost):
    session = smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=60)
    session.ehlo()
    assert session.mail("ann@example.net")[0] == 250
    return session


def test_answers(store, directory, certs):
    with gateway(store, directory, certs) as gatepost:
        with client(gatepost) as session:
            assert rcpt(session, "bob@example.org").startswith("250 ")
            assert rcpt(session, "nobody@example.org") == \
                "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown"
            assert re.match(r"550 5\.\d\.\d Who is that\?$", rcpt(session, "plain@example.org"))
            assert rcpt(session, "later@example.org") == \
                "450 4.1.1 This recipient cannot be verified now, please try again later"
            assert session.data(messages.plain("verified"))[0] == 250
        assert store.messages[0].recipients == ["<bob@example.org>"]
        assert "nobody@example.org" not in store.asked
        # Remembered, in whichever case the domain is written; what was a doubt is asked again.
        with client(gatepost) as session:
            for address in ("bob@EXAMPLE.org", "nobody@Example.org", "plain@example.org", "later@example.org"):
                rcpt(session, address)
            rcpt(session, "Bob@example.org")  # another one, to a server that tells cases apart
        assert directory.asked == ["bob@example.org", "nobody@example.org", "plain@example.org", "later@example.org",
                                   "later@example.org", "Bob@example.org"]
        assert directory.messages == []
        gatepost.check()


def test_time_is_over(store, directory, certs):
    with gateway(store, directory, certs, "backend.verify-good 1s", "backend.verify-bad 0s") as gatepost:
        with client(gatepost) as session:
            for _ in range(2):
                assert rcpt(session, "bob@example.org").startswith("250 ")
                assert rcpt(session, "nobody@example.org").startswith("550 ")
            assert directory.asked == ["bob@example.org", "nobody@example.org", "nobody@example.org"]
            time.sleep(1.1)
            assert rcpt(session, "bob@example.org").startswith("250 ")
            assert directory.asked[3:] == ["bob@example.org"]
        gatepost.check()


def test_server_is_gone(store, certs):
    """What is known stays known; the rest is put off."""
    directory = FakeBackend()
    with gateway(store, directory, certs) as gatepost:
        with client(gatepost) as session:
            assert rcpt(session, "bob@example.org").startswith("250 ")
        directory.stop()
        with client(gatepost) as session:
            assert rcpt(session, "bob@example.org").startswith("250 ")
            assert rcpt(session, "carol@example.org").startswith("450 4.1.1 ")
        gatepost.wait_log("recipient check at directory: ")
        gatepost.check()


def test_reload_keeps_what_is_known(store, directory, certs):
    with gateway(store, directory, certs) as gatepost:
        with client(gatepost) as session:
            rcpt(session, "bob@example.org")
        mark = gatepost.mark()
        gatepost.reload()
        gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)
        with client(gatepost) as session:
            assert rcpt(session, "bob@example.org").startswith("250 ")
        assert directory.asked == ["bob@example.org"]
        gatepost.check()


def test_flood(store, directory, certs):
    """Clients that guess at names: the server has few sessions at a time, and one question for one name."""
    with gateway(store, directory, certs) as gatepost:
        sessions = [client(gatepost) for _ in range(60)]
        for i, session in enumerate(sessions):
            session.send(b"RCPT TO:<%s@example.org>\r\n" % (b"silent" if i < 30 else b"guess%d" % i))
        for session in sessions[30:]:
            assert session.getreply()[0] == 250
        assert directory.asked.count("silent@example.org") == 1
        # One that has just been let go is still counted until the server has noticed.
        deadline = time.monotonic() + env.PATIENCE
        while len(directory._peers) > 21 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(directory._peers) <= 21
        # Half of those who wait give up, then all: the question ends with them.
        for session in sessions[:30]:
            session.close()
        deadline = time.monotonic() + env.PATIENCE
        while len(directory._peers) > 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        with client(gatepost) as session:
            assert rcpt(session, "bob@example.org").startswith("250 ")
        gatepost.check()


def test_silent_server(store, directory, certs):
    """A client does not wait for ever."""
    with gateway(store, directory, certs) as gatepost:
        with client(gatepost) as session:
            began = time.monotonic()
            assert rcpt(session, "silent@example.org").startswith("450 4.1.1 ")
            assert 2 < time.monotonic() - began < 10
        gatepost.check()
