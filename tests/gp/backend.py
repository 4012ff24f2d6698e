"""A mail server that does what a test tells it, over SMTP or LMTP.

Left alone it accepts everything and keeps it (`messages`). While a script holds it, it still greets and
answers EHLO and QUIT by itself, because Gatepost's health checks come when they like; a connection
becomes the script's with its first command of a transaction. A script that is about the greeting
itself asks for connections raw."""

import queue
import socket
import ssl
import threading
import time

from . import env
from .wire import Closed, Peer

OFFERS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")


class Message:
    """What was delivered: MAIL's and RCPTs' arguments, the octets without dot-stuffing."""

    def __init__(self, sender):
        self.sender, self.recipients, self.octets = sender, [], b""


class Session:
    """A connection from Gatepost, as a script sees it: lines, with header fields unfolded."""

    def __init__(self, peer):
        self.peer = peer
        self.first = None  # the command that made it the script's
        self.in_header = self.in_data = False

    def line(self):
        if self.first is not None:
            line, self.first = self.first, None
            return line
        line = self.peer.line()
        if self.in_header:
            while line not in (b"", b".") and self._next_octet() in (b" ", b"\t"):
                line += b" " + self.peer.line().lstrip(b" \t")
            self.in_header = line not in (b"", b".")
        if line == b".":
            self.in_data = False
        return line

    def _next_octet(self):
        while not self.peer.buffer:
            if not self.peer.fill():
                raise Closed("closed inside the header")
        return self.peer.buffer[:1]

    def send(self, octets):
        if octets.startswith(b"354"):
            self.in_header = self.in_data = True
        self.peer.send(octets)

    def pending(self, timeout=0.0):
        return self.first is not None or self.peer.pending(timeout)


class FakeBackend:
    def __init__(self, protocol="smtp", offers=OFFERS, tls=None, hostname="store.example.org", listener=None):
        """`tls`: an ssl.SSLContext; then STARTTLS is offered (list it in `offers`) and (tls) of a script works.
        `listener`: a socket of another network namespace."""
        self.protocol, self.offers, self.tls, self.hostname = protocol, list(offers), tls, hostname
        self.messages = []
        self.answers = {}  # to RCPT, by address: "550 5.1.1 Who?", or None: silence
        self.asked = []  # recipients that RCPT named
        self.peers = []  # (address, port) of each connection
        self.handshakes = []  # of each one of TLS: (version, whether a session was taken up, the client's certificate)
        self.probes = 0  # connections that greeted and left
        self.sessions = queue.Queue()  # those that are the script's
        self.mode = "alone"  # or "scripted", or "raw"
        self._peers = set()
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, raw=False):
        """A script takes over the connections that come from now on."""
        self.mode = "raw" if raw else "scripted"

    def end(self):
        """The script is over: what it left behind is answered and let go."""
        self.mode = "alone"
        while not self.sessions.empty():
            self.sessions.get().peer.close()

    def wait_probes(self, number, timeout=1.0):
        """Waits until so many health checks have been here; it is no failure when they have not."""
        deadline = time.monotonic() + timeout
        while self.probes < number and time.monotonic() < deadline:
            time.sleep(0.002)

    def let_go(self, session):
        """Ends a session of a script with good manners, aside."""
        if session.in_data:
            session.peer.close()
        else:
            threading.Thread(target=self._serve, args=(session.peer, False), daemon=True).start()

    def hang_up(self):
        """Closes our side of what is idle; returns when Gatepost has closed its own."""
        for peer in list(self._peers):
            peer.half_close()
        deadline = time.monotonic() + env.PATIENCE
        while self._peers and time.monotonic() < deadline:
            time.sleep(0.002)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in list(self._peers):
            peer.close()

    def _accept(self):
        while True:
            try:
                sock, address = self._listener.accept()
            except OSError:
                return
            self.peers.append(address[:2])
            peer = Peer(sock)
            self._peers.add(peer)
            if self.mode == "raw":
                self.sessions.put(Session(peer))
            else:
                threading.Thread(target=self._serve, args=(peer, True), daemon=True).start()

    def _serve(self, peer, greet):
        try:
            if self._converse(peer, greet):
                return  # a script has it now
        except (Closed, OSError, ssl.SSLError, ValueError):
            pass
        self._peers.discard(peer)
        peer.close()

    def _converse(self, peer, greet):
        if greet:
            self._say(peer, "220 %s %s fake" % (self.hostname, "LMTP" if self.protocol == "lmtp" else "ESMTP"))
        message, greeted = None, False
        while True:
            line = peer.line(timeout=3600)
            verb = line.split(b" ", 1)[0].upper()
            if verb in (b"EHLO", b"LHLO", b"HELO"):
                greeted = True
                self._say(peer, *self._capabilities(verb))
            elif verb == b"STARTTLS" and self.tls and not isinstance(peer.sock, ssl.SSLSocket):
                self._say(peer, "220 2.0.0 Go ahead")
                peer.tls(self.tls, server_side=True)
                self.handshakes.append((peer.sock.version(), peer.sock.session_reused, peer.sock.getpeercert()))
            elif verb == b"QUIT":
                self.probes += greeted and message is None
                self._say(peer, "221 2.0.0 Bye")
                return False
            elif verb in (b"RSET", b"NOOP"):
                self._say(peer, "250 2.0.0 OK")
            elif self.mode == "scripted":
                session = Session(peer)
                session.first = line
                self.sessions.put(session)
                return True
            elif verb == b"MAIL":
                message = Message(line[10:].decode("latin-1"))
                self._say(peer, "250 2.1.0 OK")
            elif verb == b"RCPT" and message and self._answer(peer, line):
                pass
            elif verb == b"RCPT" and message:
                message.recipients.append(line[8:].decode("latin-1"))
                self._say(peer, "250 2.1.5 OK")
            elif verb == b"DATA" and message and message.recipients:
                self._say(peer, "354 Go ahead")
                message.octets = self._data(peer)
                self.messages.append(message)
                queued = "250 2.0.0 OK queued as FAKE%d" % len(self.messages)
                self._say(peer, *[queued] * (len(message.recipients) if self.protocol == "lmtp" else 1))
            else:
                self._say(peer, "503 5.5.1 Not now")

    def _answer(self, peer, line):
        """Whether this recipient has an answer of its own."""
        address = line[9:].split(b">")[0].decode("latin-1")
        self.asked.append(address)
        if address not in self.answers:
            return False
        if self.answers[address] is not None:
            self._say(peer, self.answers[address])
        return True

    def _capabilities(self, verb):
        if (verb == b"LHLO") != (self.protocol == "lmtp"):
            return ["500 5.5.1 This is %s" % self.protocol.upper()]
        if verb == b"HELO":
            return ["250 " + self.hostname]
        return ["250-" + line for line in [self.hostname] + self.offers[:-1]] + ["250 " + self.offers[-1]] \
            if self.offers else ["250 " + self.hostname]

    def _say(self, peer, *lines):
        peer.send("".join(line + "\r\n" for line in lines).encode())

    def _data(self, peer):
        octets = []
        while True:
            line = peer.line()
            if line == b".":
                return b"".join(octets)
            octets.append((line[1:] if line.startswith(b".") else line) + b"\r\n")
