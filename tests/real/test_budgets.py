"""What all clients share, and what one of them may have of it: memory for messages, connections."""

import smtplib
import socket
import time

import pytest

from gp import env
from gp.backend import FakeBackend
from gp.gatepost import Gatepost
from gp.wire import Peer

MIB = 1 << 20
LINE = b"A line of a letter that does not get to its end so soon.\r\n"


@pytest.fixture
def backend():
    it = FakeBackend()
    yield it
    it.stop()


class Sender:
    """A client in the middle of DATA."""

    def __init__(self, gatepost, number):
        self.number, self.answer, self.sent = number, None, 0
        self.session = smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net")
        self.session.ehlo()
        self.mail = self.session.mail("ann@example.net")[0]
        if self.mail == 250:
            assert self.session.rcpt("bob@example.org")[0] == 250
            assert self.session.docmd("DATA")[0] == 354
            self.send(b"Subject: letter %d\r\n\r\n" % number)

    def send(self, octets):
        if self.answer is None:
            try:
                self.session.sock.sendall(octets)
                self.sent += len(octets)
            except OSError:
                pass
            self.look(0)

    def look(self, seconds):
        """Whether an answer came without our asking."""
        self.session.sock.settimeout(seconds or 0.001)
        try:
            if self.answer is None and self.session.sock.recv(1, socket.MSG_PEEK):
                self.session.sock.settimeout(env.PATIENCE)
                self.answer = self.session.getreply()
        except TimeoutError:
            pass
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            self.answer = (0, repr(error).encode())
        self.session.sock.settimeout(env.PATIENCE)

    def finish(self):
        self.send(b".\r\n")
        self.look(env.PATIENCE)
        return self.answer[0]


def test_oldest_message_finishes(certs, backend):
    """More messages at once than there is memory for: the newest give way (421), the oldest always comes through, and
    nobody waits for anybody."""
    settings = ["workers 1", "spool-memory 8M", "listener.max-size 4M", "listener/implicit.max-size 4M",
                "listener.park-after 0s"]
    with Gatepost(backend.port, certs=certs, settings=settings) as gatepost:
        senders = [Sender(gatepost, number) for number in range(20)]
        assert all(sender.mail == 250 for sender in senders)
        for _ in range(30):  # each 3 MB, all of them a little at a time
            for sender in senders:
                sender.send(LINE * (100000 // len(LINE)))
        cut = [sender for sender in senders if sender.answer is not None]
        assert all(sender.answer[0] == 421 and b"4.3.1" in sender.answer[1] for sender in cut), [s.answer for s in cut]
        whole = [sender for sender in senders if sender.answer is None]
        assert senders[0] in whole and len(whole) >= 3, [sender.number for sender in whole]
        assert max(sender.number for sender in whole) < min(sender.number for sender in cut)
        assert [sender.finish() for sender in whole] == [250] * len(whole)
        again = Sender(gatepost, 99)  # all the room is there again
        again.send(LINE * (3 * MIB // len(LINE)))
        assert again.finish() == 250


def test_idle_strangers_spend_nothing(certs, backend):
    """MAIL alone takes little: many times as many as there are MiB may say it, and mail still passes."""
    with Gatepost(backend.port, certs=certs, settings=["workers 1", "spool-memory 8M", "listener.max-size 4M",
                                                       "listener/implicit.max-size 4M"]) as gatepost:
        idle = [smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") for _ in range(40)]
        for session in idle:
            session.ehlo()
            assert session.mail("ann@example.net")[0] == 250
        sender = Sender(gatepost, 1)
        sender.send(LINE * (3 * MIB // len(LINE)))
        assert sender.finish() == 250
        for session in idle:
            session.close()


def test_a_promise_that_is_not_kept_lapses(certs, backend):
    """SIZE= keeps another large message from being begun in vain; but not for long, if nothing comes."""
    with Gatepost(backend.port, certs=certs, settings=["spool-memory 50M"]) as gatepost:
        first, second = (smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") for _ in range(2))
        first.ehlo()
        second.ehlo()
        assert first.mail("ann@example.net", ["SIZE=40000000"])[0] == 250
        assert second.mail("ann@example.net", ["SIZE=40000000"])[0] == 452
        assert second.mail("ann@example.net", ["SIZE=1000"])[0] == 250  # an ordinary one is not kept away
        second.rset()
        deadline = time.monotonic() + 10 + env.PATIENCE
        while second.mail("ann@example.net", ["SIZE=40000000"])[0] != 250:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        first.close()
        second.close()


def test_connections_of_one_address(certs, backend):
    """So many of one address over all workers and no more, at each listener; when one has gone there is room again."""
    with Gatepost(backend.port, certs=certs, settings=["listener.max-per-address 10"]) as gatepost:
        peers = [Peer.connect(gatepost.port()) for _ in range(30)]
        greetings = [peer.reply()[0] for peer in peers]
        assert sum(greeting.startswith(b"220") for greeting in greetings) == 10, greetings
        assert sum(greeting.startswith(b"421 4.7.0") for greeting in greetings) == 20, greetings
        other = Peer.connect(gatepost.port("implicit"))  # another door has its own count
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + env.PATIENCE
        while not (peer := Peer.connect(gatepost.port())).reply()[0].startswith(b"220"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        peer.close()
        other.close()
