"""A small DNS server on a loopback port, UDP and TCP, that answers from a table and misbehaves on demand.

    with Dns() as dns:
        dns.set("mail.test", "A", "127.0.0.1", "127.0.0.2", ttl=1)
        dns.set("test", "MX", "10 mail.test", "20 other.test")
        dns.behave("mail.test", "servfail")

A name that has records of another type is answered "no such record", any other "no such name"; both with an SOA
record. Aliases (CNAME) are followed inside the table. `asked` tells what came: (name, type, "udp" or "tcp").

How a name (or "*", any) can behave: silent, only-a (silent to all but A), servfail, refused, truncated (UDP has nothing, TCP all), no-tcp
(truncated, and TCP is closed at once), wrong-id, wrong-question, garbage, short (the header alone), loop (a name that
points at itself), count (more records announced than there are), huge (records up to 64 KB, by TCP)."""

import ipaddress
import random
import socket
import socketserver
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
UDP_MAX = 1232


def name_octets(name):
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in name.split(".") if label) + b"\0"


def data_octets(kind, text):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind == "MX":
        preference, host = text.split()
        return struct.pack(">H", int(preference)) + name_octets("" if host == "." else host)
    if kind == "TXT":
        return bytes([len(text)]) + text.encode()
    return name_octets(text)


def record(name, kind, ttl, data):
    return name_octets(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


class Question:
    def __init__(self, octets):
        self.id, self.flags = struct.unpack(">HH", octets[:4])
        labels, at = [], 12
        while octets[at]:
            labels.append(octets[at + 1:at + 1 + octets[at]].decode("latin-1"))
            at += 1 + octets[at]
        self.name = ".".join(labels).lower()
        self.type, _ = struct.unpack(">HH", octets[at + 1:at + 5])
        self.octets = octets[12:at + 5]
        self.kind = NAMES.get(self.type, str(self.type))


def reply(question, rcode=NOERROR, answers=(), authority=(), truncated=False, number=None, asked=None, announced=None):
    flags = 0x8180 | rcode | (0x0200 if truncated else 0) | (question.flags & 0x0100)
    return struct.pack(">HHHHHH", question.id if number is None else number, flags, 1,
                       len(answers) if announced is None else announced, len(authority), 0) \
        + (question.octets if asked is None else asked) + b"".join(answers) + b"".join(authority)


class Dns:
    def __init__(self, host="127.0.0.1", port=0):
        self.records, self.manners, self.asked = {}, {}, []
        self.negative_ttl = 1
        self.lock = threading.Lock()
        dns = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                for octets in dns.answers(self.request[0], "udp"):
                    self.request[1].sendto(octets, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(10)
                while True:
                    head = self._read(2)
                    octets = self._read(struct.unpack(">H", head)[0]) if head else b""
                    if not octets:
                        return
                    for answer in dns.answers(octets, "tcp"):
                        if answer is None:
                            return
                        self.request.sendall(struct.pack(">H", len(answer)) + answer)

            def _read(self, size):
                octets = b""
                try:
                    while len(octets) < size:
                        more = self.request.recv(size - len(octets))
                        if not more:
                            return b""
                        octets += more
                except OSError:
                    return b""
                return octets

        class UdpServer(socketserver.ThreadingUDPServer):
            daemon_threads = True

        class TcpServer(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        for _ in range(100):  # one port for both
            self.udp = UdpServer((host, port), Udp)
            self.port = self.udp.server_address[1]
            try:
                self.tcp = TcpServer((host, self.port), Tcp)
                break
            except OSError:
                self.udp.server_close()
        self.address = "%s:%d" % (host, self.port)
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def set(self, name, kind, *data, ttl=1):
        """These records and no others of this type; none: it has none."""
        with self.lock:
            self.records.pop((name.lower(), kind), None)
            if data:
                self.records[name.lower(), kind] = (ttl, data)

    def behave(self, name, how=None):
        with self.lock:
            if how is None:
                self.manners.pop(name, None)
            else:
                self.manners[name] = how

    def count(self, name, kind=None):
        return sum(asked[0] == name and kind in (None, asked[1]) for asked in list(self.asked))

    def answers(self, octets, way):
        """What is sent back, in order; None: the connection is closed."""
        try:
            question = Question(octets)
        except (IndexError, struct.error):
            return []
        with self.lock:
            self.asked.append((question.name, question.kind, way))
            how = self.manners.get(question.name, self.manners.get("*"))
        return self._misbehave(question, way, how) if how else [self._answer(question, way)]

    def _misbehave(self, question, way, how):
        good = self._answer(question, "tcp")
        if how in ("silent", "only-a"):
            return [good] if how == "only-a" and question.kind == "A" else []
        if how in ("servfail", "refused"):
            return [reply(question, SERVFAIL if how == "servfail" else REFUSED)]
        if how == "truncated":
            return [reply(question, truncated=True) if way == "udp" else good]
        if how == "no-tcp":
            return [reply(question, truncated=True) if way == "udp" else None]
        if how == "wrong-id":
            return [reply(question, answers=[record(question.name, "A", 60, bytes([203, 0, 113, 66]))],
                          number=question.id ^ 1), good]
        if how == "wrong-question":
            return [reply(question, answers=[record("evil.test", "A", 60, bytes([203, 0, 113, 66]))],
                          asked=name_octets("evil.test") + struct.pack(">HH", question.type, 1)), good]
        if how == "garbage":
            return [struct.pack(">H", question.id) + b"\x81\x80\0\1\0\7\0\0\0\0" + random.randbytes(200)]
        if how == "short":
            return [struct.pack(">HHHHHH", question.id, 0x8180, 1, 1, 0, 0)]
        if how == "loop":
            at = 12 + len(question.octets)
            return [reply(question, answers=[struct.pack(">H", 0xc000 | at) + struct.pack(">HHIH", question.type, 1, 60, 4)
                                             + b"\x7f\0\0\1"])]
        if how == "count":
            return [reply(question, answers=[record(question.name, "A", 60, b"\x7f\0\0\1")], announced=65535)]
        if how == "huge":
            one = b"\xc0\x0c" + struct.pack(">HHIHI", question.type, 1, 60, 4, 0x7f000001)
            return [reply(question, truncated=True) if way == "udp" else reply(question, answers=[one] * 4080)]
        raise ValueError(how)

    def _answer(self, question, way):
        answers, name, known = [], question.name, False
        with self.lock:
            for _ in range(8):
                known = any(name == there for there, _ in self.records)
                ttl, data = self.records.get((name, question.kind), (0, ()))
                answers += [record(name, question.kind, ttl, data_octets(question.kind, text)) for text in data]
                ttl, alias = self.records.get((name, "CNAME"), (0, ()))
                if data or not alias:
                    break
                answers.append(record(name, "CNAME", ttl, data_octets("CNAME", alias[0])))
                name = alias[0].lower()
        authority = []
        if not any(name == there and kind == question.kind for there, kind in self.records):
            soa = name_octets("ns.test") + name_octets("root.test") + struct.pack(">5I", 1, 2, 3, 4, self.negative_ttl)
            authority = [record("test", "SOA", 3600, soa)]
        octets = reply(question, NOERROR if known else NXDOMAIN, answers, authority)
        if way == "udp" and len(octets) > UDP_MAX:
            return reply(question, truncated=True)
        return octets

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def silent_port():
    """A UDP socket that takes questions and answers none: (socket, port). Closed by the caller."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]
