"""A tap in the line between Gatepost and a real server: passes on every octet and keeps what the client said.

A real server does not tell which parameters a command bore when it came; on the way to it they can be read.
Plain text only."""

import re
import select
import socket
import threading

from . import env


class Heard:
    """One connection: what its client says goes to the lists `commands` (text) and `messages` (octets; dots
    undoubled, BDAT's chunks joined)."""

    def __init__(self, commands, messages):
        self.commands, self.messages = commands, messages
        self._buffer, self._state, self._left, self._chunks, self._last = b"", "command", 0, b"", False
        self._data = False  # DATA waits for its answer

    def server(self, octets):
        # 354 comes only behind DATA, and alone: a client that has its message ready waits for it.
        if self._state == "command" and re.search(rb"(?:\A|\n)354[ -]", octets) and self._data:
            self._state = "data"
            self._data = False

    def client(self, octets):
        self._buffer += octets
        while self._step():
            pass

    def _step(self):
        if self._state == "chunk":
            taken, self._buffer = self._buffer[:self._left], self._buffer[self._left:]
            self._chunks += taken
            self._left -= len(taken)
            if self._left > 0:
                return False
            self._state = "command"
            if self._last:
                self.messages.append(self._chunks)
                self._chunks = b""
            return True
        if self._state == "data":
            end = -2 if self._buffer.startswith(b".\r\n") else self._buffer.find(b"\r\n.\r\n")
            if end == -1:
                return False
            whole, self._buffer = self._buffer[:end + 2], self._buffer[end + 5:]
            self.messages.append(re.sub(rb"(\A|\r\n)\.", rb"\1", whole))
            self._state = "command"
            return True
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return False
        self._buffer = rest
        self.commands.append(line.decode("utf-8", "backslashreplace"))
        self._data = line.upper() == b"DATA"
        chunk = re.fullmatch(rb"(?i)BDAT (\d+)( LAST)?", line)
        if chunk:
            self._state, self._left, self._last = "chunk", int(chunk[1]), chunk[2] is not None
        return True


class Tap:
    """Listens on `port` before a server on `to`. `commands`, `messages`: what all clients said, in that order."""

    def __init__(self, to):
        self.to, self.commands, self.messages, self._socks = to, [], [], set()
        self.port = env.free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)

    def start(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client):
        heard = Heard(self.commands, self.messages)
        try:
            with client, socket.create_connection(("127.0.0.1", self.to)) as server:
                self._socks |= {client, server}
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_ = {client: server, server: client}
                while open_:
                    for sock in select.select(list(open_), [], [])[0]:
                        octets = sock.recv(65536)
                        if octets:
                            (heard.client if sock is client else heard.server)(octets)
                            (server if sock is client else client).sendall(octets)
                        else:
                            open_.pop(sock).shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            sock.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
