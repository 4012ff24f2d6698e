"""What happens when several things go wrong at once, and clients and servers that do anything (tests/fake/chaos.py)."""

import asyncio
import os
import signal
import socket
import threading
import time

import pytest

from fake import chaos
from gp import env
from gp.backend import FakeBackend
from gp.gatepost import Gatepost
from gp.wire import Peer

RULES = env.ROOT / "tests" / "dialogue" / "test.cf"
TAGGED = b"Subject: an offer\r\n\r\nThis is a gatepost test: please tag me.\r\n.\r\n"


@pytest.fixture
def backend():
    it = FakeBackend()
    yield it
    it.stop()


def greeted(gatepost):
    client = Peer.connect(gatepost.port())
    client.reply()
    say(client, b"EHLO client.example.net")
    return client


def say(client, line):
    client.send(line + b"\r\n")
    return client.reply()[-1]


def serve(session, *exchanges):
    for line, answer in exchanges:
        heard = session.line()
        assert heard.startswith(line), heard
        if answer:
            session.send(answer + b"\r\n")


def take_message(session, answer):
    serve(session, (b"DATA", b"354 go on"))
    while session.line() != b".":
        pass
    session.send(answer + b"\r\n")


def test_server_is_lost_while_a_copy_is_put_into_quarantine(backend):
    """The copy is held all the same, and the other recipient has the message from another session."""
    settings = ["workers 1", "ledger off", "backend.keep-sessions 0",
                "+ profile strict { recipient bob@example.org; quarantine-score 2; tag-score 1; }"]
    with Gatepost(backend.port, settings=settings, rules=RULES) as gatepost:
        backend.wait_probes(1)
        backend.begin()
        client = greeted(gatepost)
        client.send(b"MAIL FROM:<ann@example.net> PRDR\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<cid@example.org>\r\n")
        session = backend.sessions.get(timeout=env.PATIENCE)
        serve(session, (b"MAIL", b"250 ok"), (b"RCPT", b"250 ok"), (b"RCPT", b"250 ok"))
        assert [client.reply()[-1][:3] for _ in range(3)] == [b"250"] * 3
        assert say(client, b"DATA").startswith(b"354")
        (keeper,) = gatepost.children("keeper")
        os.kill(keeper, signal.SIGSTOP)
        try:
            client.send(TAGGED)
            client.pending(0.3)
            session.peer.close()
            gatepost.wait_log("backend: the server closed the connection")
            client.pending(0.2)
        finally:
            os.kill(keeper, signal.SIGCONT)
        session = backend.sessions.get(timeout=env.PATIENCE)
        serve(session, (b"MAIL", b"250 ok"), (b"RCPT TO:<cid@example.org>", b"250 ok"))
        take_message(session, b"250 queued")
        assert client.reply()[-1].startswith(b"250")
        listed = gatepost.run("ctl", "quarantine", "list", "--json").stdout
        assert listed.count('"to":["bob@example.org"]') == 1 and "cid" not in listed
        client.close()
        backend.end()


def test_prdr_answers_all_of_many_recipients(backend):
    """Each of a thousand recipients has its line in the answer, however long the words are."""
    settings = ["workers 1", "+ profile strict { recipient bob@example.org; refuse-score 2; tag-score 1; refuse-text \"%s\"; }"
                % ("no " * 100).strip()]
    with Gatepost(backend.port, settings=settings, rules=RULES) as gatepost:
        client = greeted(gatepost)
        client.send(b"MAIL FROM:<ann@example.net> PRDR\r\n" + b"RCPT TO:<bob@example.org>\r\n" * 999 + b"RCPT TO:<cid@example.org>\r\n")
        assert [client.reply()[-1][:3] for _ in range(1001)] == [b"250"] * 1001
        assert say(client, b"DATA").startswith(b"354")
        client.send(TAGGED)
        answers = [client.reply()[-1][:3] for _ in range(1002)]
        assert answers == [b"353"] + [b"550"] * 999 + [b"250"] * 2
        assert say(client, b"QUIT").startswith(b"221")
        client.close()


def test_client_that_does_not_read_loses_no_answer(backend):
    """Servers' answers are long, recipients many, and the client reads late and little: each answer comes, in order."""
    with Gatepost(backend.port, settings=["workers 1"], rules=RULES) as gatepost:
        backend.wait_probes(1)
        backend.begin()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", gatepost.port()))
        client = Peer(sock)
        client.reply()
        say(client, b"EHLO client.example.net")
        client.send(b"MAIL FROM:<ann@example.net>\r\n" + b"".join(b"RCPT TO:<u%d@example.org>\r\n" % i for i in range(900)))
        session = backend.sessions.get(timeout=env.PATIENCE)
        serve(session, (b"MAIL", b"250 ok"))

        def answer():
            for i in range(900):
                assert b"<u%d@" % i in session.line()
                session.send(b"250-u%d\r\n" % i + b"".join(b"250-%s\r\n" % (b"x" * 400) for _ in range(12)) + b"250 ok\r\n")

        server = threading.Thread(target=answer, daemon=True)
        server.start()
        time.sleep(0.5)  # all that has room is on its way
        client.reply()
        for i in range(900):
            lines = client.reply()
            assert lines[0][4:].endswith(b"u%d" % i), (i, lines)
        assert say(client, b"NOOP").startswith(b"250")
        server.join()
        client.close()
        backend.end()


@pytest.mark.parametrize("seed", [7, 11])
def test_anything(seed):
    """Clients and servers that do anything; see tests/fake/chaos.py, which plays more of it."""
    world = asyncio.run(chaos.play(seed, 60))
    faults = world.faults
    if not faults:
        world.gatepost.discard()
    assert not faults, "%s\n%s" % (chaos.tell(world), "\n".join(faults))
