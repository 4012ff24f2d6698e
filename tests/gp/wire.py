"""One end of a conversation in lines, plain or TLS, that says what it waited for when it gives up."""

import select
import socket
import ssl
import struct
import time

from . import env


class Closed(Exception):
    """The other side closed or reset where a line was expected."""


class Peer:
    """Owns a connected socket. Lines are octets without their CRLF; a line that ends in a bare LF
    keeps what it is: the tests must see it."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.ended = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, port, host="127.0.0.1", receive=None):
        """`receive`: how many octets the kernel may keep for us unread."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.settimeout(env.PATIENCE)
        sock.connect((host, port))
        return cls(sock)

    def send(self, octets):
        self.sock.settimeout(env.PATIENCE)
        self.sock.sendall(octets)

    def pending(self, timeout=0.0):
        """Whether something (or the end) is there to be read within so many seconds."""
        if self.buffer or self.ended:
            return True
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        return bool(select.select([self.sock], [], [], timeout)[0])

    def fill(self, timeout=None):
        """Reads once; False at the end. TimeoutError when nothing comes."""
        self.sock.settimeout(env.PATIENCE if timeout is None else timeout)
        try:
            octets = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            octets = b""
        self.buffer += octets
        self.ended = not octets
        return bool(octets)

    def line(self, timeout=None):
        while True:
            end = self.buffer.find(b"\r\n")
            if end >= 0:
                line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
                return line
            if self.ended or not self.fill(timeout):
                raise Closed("closed" + (" behind %r" % self.buffer if self.buffer else ""))

    def reply(self, timeout=None):
        """A whole SMTP reply: its lines."""
        lines = [self.line(timeout)]
        while lines[-1][3:4] == b"-":
            lines.append(self.line(timeout))
        return lines

    def until_closed(self, timeout=None):
        """What comes before the other side closes."""
        deadline = time.monotonic() + (timeout or env.PATIENCE)
        while not self.ended:
            self.fill(max(0.01, deadline - time.monotonic()))
        rest, self.buffer = self.buffer, b""
        return rest

    def tls(self, context, server_side=False, name=None):
        if self.buffer:
            raise AssertionError("octets in plain text before the TLS handshake: %r" % self.buffer)
        self.sock.settimeout(env.PATIENCE)
        self.sock = context.wrap_socket(self.sock, server_side=server_side, server_hostname=name,
                                        suppress_ragged_eofs=True)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def client_context(ca=None):
    """For a client of Gatepost: verifies when it is given an authority."""
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(cert), str(key))
    return context
