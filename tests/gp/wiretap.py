"""Stands between the gateway and a mail server: every octet passes as it is and is kept, in both directions."""

import re
import select
import socket
import threading
import time

from .wire import Closed


class Wire:
    """One connection; `heard` is what the gateway said, `answered` what the server did. What was meant is read
    out of both when somebody asks: nothing here decides where a message ends for the server."""

    fired = False

    def __init__(self, sock, server):
        self.sock, self.server = sock, server
        self.heard, self.answered = bytearray(), bytearray()
        self.dropped = threading.Event()
        self._read = None

    @property
    def idle(self):
        """Whether the server has answered all that it was asked."""
        return self._parse() is not None and not self.buffer and self._asked <= self._replies

    @property
    def commands(self):
        self._parse()
        return self._commands

    @property
    def bodies(self):
        """Messages that the server has answered with 2xx, as they stood on the wire, with a final dot."""
        self._parse()
        return self._bodies

    @property
    def queued(self):
        """How many messages the server says that it has taken."""
        return len(re.findall(rb"(?m)^250 [^\r\n]*queued as", bytes(self.answered)))

    def _parse(self):
        state = (len(self.heard), len(self.answered))
        if self._read != state:
            self._read = state
            self._parse_now(bytes(self.heard), re.findall(rb"(?m)^(\d{3})(?: [^\r\n]*)?\r\n", bytes(self.answered)))
        return self._read

    def _parse_now(self, heard, codes):
        self._commands, self._bodies = [], []
        chunks, at, asked = b"", 0, 1		# the greeting was not asked for

        def code():
            return codes[asked - 1] if len(codes) >= asked else b""

        while True:
            end = heard.find(b"\r\n", at)
            if end < 0:
                break
            line, at, asked = heard[at:end], end + 2, asked + 1
            self._commands.append(line)
            chunk = re.match(rb"BDAT (\d+)( LAST)?$", line, re.IGNORECASE)
            if line.upper() == b"DATA" and code() == b"354":
                end = at if heard.startswith(b".\r\n", at) else heard.find(b"\r\n.\r\n", at) + 2
                if end == 1:
                    break
                body, at, asked = heard[at:end + 3], end + 3, asked + 1
                if code().startswith(b"2"):
                    self._bodies.append(body)
            elif chunk:
                chunks, at = chunks + heard[at:at + int(chunk[1])], at + int(chunk[1])
                if chunk[2] and code().startswith(b"2"):
                    self._bodies.append(re.sub(rb"(?m)^\.", b"..", chunks) + b".\r\n")
                chunks = b"" if chunk[2] else chunks
        self.buffer, self._asked, self._replies = heard[at:], asked, len(codes)

    def carry(self):
        while True:
            for sock in select.select([self.sock, self.server], [], [])[0]:
                octets = sock.recv(65536)
                if not octets:
                    return
                if sock is self.sock:
                    self.heard += octets
                    self.server.sendall(octets)
                else:
                    self.answered += octets
                    self.sock.sendall(octets)

    def run(self):
        try:
            self.carry()
        except (OSError, ValueError, Closed):
            pass
        self.close()

    def close(self):
        self.dropped.set()
        for sock in (self.sock, self.server):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


class Tap:
    """Listens on `port` and passes connections on to another one."""

    def __init__(self, to):
        self.to, self.wires = to, []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            try:
                wire = Wire(sock, socket.create_connection(("127.0.0.1", self.to)))
            except OSError:
                sock.close()
                continue
            self.wires.append(wire)
            threading.Thread(target=wire.run, daemon=True).start()

    def arm(self, step, steps):
        assert step is None, "a real server does not misbehave"

    def wait_quiet(self, seconds=0.03):
        """Returns when nothing has passed for so long."""
        before = None
        while before != (now := [len(w.heard) + len(w.answered) for w in self.wires]):
            before = now
            time.sleep(seconds)

    def hang_up(self):
        for wire in self.wires:
            wire.close()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self.wires:
            wire.close()
