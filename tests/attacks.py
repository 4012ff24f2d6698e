#!/usr/bin/python3
"""Attacks on a running gateway, one in each row of a table: tests/attacks.py [-v] [-k WORD] [-n TIMES] [--backend postfix] FILE...

Prints each row that fails with what came, each row that cannot be judged with the reason, and at last how many
there were. The exit status is 0 when no row failed. Rows with the same needs share one gateway and one backend that
records every octet. A row that waits for minutes has its own, beside the others, with timeouts and waits divided by HASTE.
With --backend postfix a real Postfix with its defaults stands behind the gateway; what passes to it is recorded on the way,
and what counts as a message is what Postfix has taken for one and delivered to a recorder behind it.

A file is a table with tabs; lines that begin with # are comments, the first other line names the columns.

  name      unique; what begins with "smtps" goes to the listener whose TLS begins at once
  bytes     what is sent, in C escapes (\\r \\n \\t \\0 \\\\ \\xHH), with
            {{reply}} wait for a reply   {{wait MS}}   {{close}} end of sending   {{rst}} reset   {{drip MS TEXT}} octet by octet
            {{rep N TEXT}}   {{seq N TEXT}} %d is 0..N-1   {{rseq N TEXT}} N-1..0   {{conns N}} the row on N connections at once
            {{tls}} handshake now; {{tls alpn=X sni=X max=tls1.1}}   {{eicar}} {{eicar64}} {{eicarqp}} the antivirus test string
            {{gen NAME}} made by one of RECIPES
            What stands between two {{...}} that take time is one packet, inside TLS one record.
  expected  KEY=VALUE;KEY=VALUE...: all must hold; of a key given twice the last
            codes=RE       the reply codes since the bytes began, with commas     close=yes|no|any   the gateway closed
            accepted=N     messages for which the client heard 2xx               within=MS          all of it took no longer
            backend=N      whole messages that the backend has                   never=RE never_be=RE  not sent to the client;
            same=yes       the message there is what was sent, below our fields                     in no command and no message
            clean=yes      to the backend went no bare CR or LF, no NUL, and stuffed dots only
            quiet_tls=yes  inside TLS nothing comes before the row has sent something there
            be_seen=RE     a command that the backend heard     be_state=closed  the gateway dropped the backend, the client
            verdict=RE     pass, tag, reject or tempfail                         being there still
            log_has=RE log_not=RE   rss_mb=N cpu_ms=N  what all processes took more (not under a sanitizer)
            opt=implicit|small|backend-tls|pipelining  that listener; tight limits; a backend with TLS; a driven client that
                           sends MAIL, RCPT and DATA in one packet
            opt=extended|normalize|auth  a backend that offers all there is; bare-newline normalize; AUTH without TLS
            opt=proxy|xclient  we are a proxy whose header is awaited (each phase but conn sends one); a relay
  phase     conn: before the banner is read; cmd: behind it; helo: behind EHLO; rcpt: when MAIL and RCPT are accepted;
            data: behind the 354; be-smtp@STEP: the backend sends the bytes in place of its reply, while a normal client is
            served (banner, ehlo, starttls, ehlo-tls, mail, rcpt, data, body: in the middle of 16 MB, dot, bdat)
            pop3: behind the greeting of a POP3 listener; pop3u: behind USER and PASS, with three messages; be-imap@STEP: the
            IMAP server sends them while a normal POP3 client reads its mail (greet, starttls, login, select, fetch).
            What begins with "pop3s" goes to the POP3 listener whose TLS begins at once
  source    why, or whose idea it was

Implied for each row: no process ends, no sanitizer speaks, and an ordinary message passes within AFTERWARDS seconds."""

import argparse
import base64
import binascii
import collections
import io
import os
import re
import resource
import select
import shutil
import ssl
import struct
import sys
import tarfile
import threading
import time
import traceback
import warnings
import zipfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gp import env  # noqa: E402
from gp.backend import FakeBackend  # noqa: E402
from gp.certs import Certs  # noqa: E402
from gp.dialogue import eicar  # noqa: E402
from gp import pop3  # noqa: E402
from gp.gatepost import Gatepost  # noqa: E402
from gp.postfix import Postfix  # noqa: E402
from gp.wiretap import Tap  # noqa: E402
from gp.wire import Closed, Peer, client_context, server_context  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent / "fake"))

from imap_server import ImapServer  # noqa: E402

QUIET = 0.06	 # seconds of silence behind what was expected that are its end
SILENCE = 1.0	 # the same where nothing in particular is expected
AFTERWARDS = 2.0 # seconds in which an ordinary message must pass behind every row
HASTE = 20	 # what long waits are divided by
LINES = 250000	 # of a letter that is more than all socket buffers hold: 16 MB
LONG = 20.0	 # seconds of waiting that make a row one of those
GROWTH_MB = 256	 # what all processes together may have grown when the rows are over: heaps keep their peak
SPARE = 2	 # descriptors more that are no leak: a worker just asks whether its server is there again
SENDER, RECIPIENT = "a@c.test", "b@t.test"

# What stands in the reference's rows and is not there yet: found in the name, the phase or the bytes.
NOT_YET = [
    (r"^name:(dkim_|spf_|ar_forged)", "SPF, DKIM and DMARC are not supported yet"),
    (r"^name:from_(two_addr|b64|route|bare_then_angle)", "a verdict of DMARC, which is not supported yet"),
]

# Rows that are about a server as the recorder is one, and why.
NOT_POSTFIX = {
    "mail_param_not_offered": "Postfix offers DSN",
    "mail_refused_flood": "Postfix accepts every sender and refuses at RCPT",
    "received_100": "Postfix refuses 50 hops itself",
}

# Rows of the reference that are judged by another expectation, and why: {name: (expected, reason)}.
OTHERWISE = {
    "eod_CRLF.CRLF-LF-cmd": ("accepted=1;backend=1;clean=yes;codes=^250,250,250,554$",
                             "what is sent behind DATA without waiting for the 354 ends the session (RFC 2920 section 3.1)"),
}

# What an administrator reads in our log, in the words of the rows.
VERDICTS = {"accept": "pass", "tag": "tag", "refuse": "reject", "defer": "tempfail"}


# The rows.

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def unescape(text):
    out = bytearray()
    for m in re.finditer(r"\\x([0-9A-Fa-f]{2})|\\(.)|([^\\]+)", text, re.DOTALL):
        out += bytes([int(m[1], 16)]) if m[1] else ESCAPES[m[2]] if m[2] else m[3].encode()
    return bytes(out)


def wrapped(octets):
    """base64 in lines."""
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def each_as_qp(octets):
    return b"".join(b"=%02X" % octet for octet in octets)


def numbered(text, numbers):
    return b"".join(unescape(text.replace("%d", str(i))) for i in numbers)


def directive(word, rest):
    """Octets, or a step as a tuple."""
    count, _, text = rest.partition(" ")
    if word == "rep":
        return unescape(text) * int(count)
    if word == "seq":
        return numbered(text, range(int(count)))
    if word == "rseq":
        return numbered(text, reversed(range(int(count))))
    if word == "eicar":
        return eicar().encode()
    if word == "eicar64":
        return wrapped(eicar().encode())
    if word == "eicarqp":
        return each_as_qp(eicar().encode()) + b"\r\n"
    if word == "gen":
        return generated(rest)
    if word == "drip":
        return ("drip", int(count) / 1000, unescape(text))
    if word in ("wait", "conns"):
        return (word, int(rest) / 1000 if word == "wait" else int(rest))
    if word in ("reply", "close", "rst"):
        return (word,)
    if word == "tls":
        return ("tls", dict(option.partition("=")[::2] for option in rest.split()))
    raise ValueError("no such directive: {{%s %s}}" % (word, rest))


class Row:
    """One row: `steps` are octets to send, or tuples (what to do, ...). The bytes are read when the row
    runs: some are 60 MB."""

    def __init__(self, file, number, fields):
        self.file, self.number = Path(file).name, number
        self.name, self.text, expected, self.phase = fields[:4]
        expected = OTHERWISE.get(self.name, (expected,))[0]
        # A key given twice: the later one is the more precise.
        self.expected = dict(pair.partition("=")[::2] for pair in expected.split(";"))
        unknown = self.expected.keys() - {"accepted", "backend", "clean", "same", "codes", "close", "within", "never",
                                          "never_be", "quiet_tls", "log_has", "log_not", "be_state", "be_seen",
                                          "rss_mb", "cpu_ms", "verdict", "opt"}
        if unknown:
            raise ValueError("%s: unknown: %s" % (self.name, ", ".join(unknown)))

    def __str__(self):
        return self.name

    def steps(self):
        steps = []
        for m in re.finditer(r"\{\{(\w+) ?(.*?)\}\}|((?:(?!\{\{).)+)", self.text, re.DOTALL):
            step = unescape(m[3]) if m[3] is not None else directive(m[1], m[2])
            if steps and isinstance(step, bytes) and isinstance(steps[-1], bytes):
                steps[-1] += step
            else:
                steps.append(step)
        return steps

    @property
    def injected(self):
        """Where the backend misbehaves, or None."""
        return self.phase[8:] if self.phase.startswith(("be-smtp@", "be-imap@")) else None

    @property
    def implicit(self):
        return self.name.startswith("smtps") or self.expected.get("opt") == "implicit"

    @property
    def pop3(self):
        return self.phase.startswith(("pop3", "be-imap@")) or self.name.startswith("pop3s")

    def waits(self):
        return sum(int(m[2]) if m[1] == "wait" else int(m[2]) * len(unescape(m[3]))
                   for m in re.finditer(r"\{\{(wait|drip) (\d+) ?(.*?)\}\}", self.text)) / 1000

    def why_not(self, backend="recorder"):
        """Why it cannot be judged, or None."""
        for pattern, reason in NOT_YET:
            if re.search(pattern, "name:" + self.name) or re.search(pattern, "phase:" + self.phase):
                return reason
        if self.expected.get("opt", "implicit") not in Stage.OPTIONS:
            return "it needs opt=%s" % self.expected["opt"]
        if backend == "postfix" and (self.phase.startswith("be-smtp@") or self.expected.get("opt") == "backend-tls"):
            return "a real server does not do that"
        if backend == "postfix" and self.name in NOT_POSTFIX:
            return NOT_POSTFIX[self.name]
        if backend == "postfix" and self.stage() in ("auth", "extended"):
            return "Postfix does not offer that by itself"
        return None

    def stage(self):
        """The name of the stage that it plays on."""
        if self.waits() > LONG:
            return "hasty " + self.name
        if self.pop3:
            return "pop3-tls" if self.phase == "be-imap@starttls" else "pop3"
        if self.injected in ("starttls", "ehlo-tls"):
            return "backend-tls"
        if "hang_trigger" in self.text:
            return "hooks"
        if "{{conns" in self.text and self.phase in ("helo", "rcpt", "data"):
            return "crowded"
        if self.text.startswith("AUTH ") and not re.search("530|538|503|502", self.expected.get("codes", "")):
            return "auth"
        return self.expected["opt"] if self.expected.get("opt", "implicit") not in ("implicit", "pipelining") else "plain"


def read_rows(files):
    rows = []
    for file in files:
        lines = [(number, line) for number, line in enumerate(Path(file).read_text("utf-8").split("\n"), 1)
                 if line and not line.startswith("#")]
        rows += [Row(file, number, line.split("\t")) for number, line in lines[1:]]
    twice = [name for name, count in collections.Counter(row.name for row in rows).items() if count > 1]
    if twice:
        raise ValueError("not unique: " + ", ".join(twice))
    return rows


# What {{gen NAME}} makes.

def mail_with(octets, kind="application/octet-stream", name="file.bin"):
    """A whole message with its end."""
    return (b"From: a@c.test\r\nTo: b@t.test\r\nSubject: made\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            b"Message-ID: <made@c.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=made\r\n\r\n"
            b"--made\r\nContent-Type: %s; name=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            % (kind.encode(), name.encode())) + wrapped(octets) + b"--made--\r\n.\r\n"


def zipped(octets, name="eicar.com"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return out.getvalue()


def zip_in_zip(depth):
    octets = eicar().encode()
    for _ in range(depth):
        octets = zipped(octets, "inner.zip")
    return octets


def zip64_small():
    """A stored member whose sizes are 0xFFFFFFFF, the true ones in the zip64 extra field."""
    octets, name = eicar().encode(), b"a"
    extra = struct.pack("<HHQQ", 1, 16, len(octets), len(octets))
    common = struct.pack("<HHHHHLLLHH", 45, 0, 0, 0, 0x21, zlib.crc32(octets), 0xFFFFFFFF, 0xFFFFFFFF, len(name),
                         len(extra))
    local = b"PK\3\4" + common + name + extra + octets
    central = b"PK\1\2" + struct.pack("<H", 45) + common + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name + extra
    return local + central + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local), 0)


def pdf(objects):
    """Objects without a filter, or of a few octets, are not looked at and count for nothing."""
    body = b"".join(b"%d 0 obj\n<</Length 17/Filter/ASCIIHexDecode>>\nstream\n6162636465666768>\nendstream\nendobj\n" % i
                    for i in range(1, objects + 1))
    return b"%PDF-1.4\n" + body + b"trailer <</Root 1 0 R>>\n%%EOF\n"


def urlsafe_base64():
    """In the alphabet of RFC 4648 section 5, with octets before the string that need its two letters."""
    return base64.urlsafe_b64encode(b"\xfb\xff\xbe" * 3 + eicar().encode()) + b"\r\n"


def star_every_10():
    text = base64.b64encode(eicar().encode()).decode()
    return "".join(text[i:i + 10] + "*" for i in range(0, len(text), 10)).encode() + b"\r\n"


def tarred(octets):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("eicar.com")
        member.size = len(octets)
        archive.addfile(member, io.BytesIO(octets))
    return out.getvalue()


def spread(octets, every, text):
    """A text of its own behind so many octets each."""
    return b"".join(octets[i:i + every] + text for i in range(0, len(octets), every))


def uuencoded():
    octets = eicar().encode()
    return b"begin 644 eicar.com\r\n" + b"".join(binascii.b2a_uu(octets[i:i + 45]).replace(b"\n", b"\r\n")
                                               for i in range(0, len(octets), 45)) + b"`\r\nend\r\n"


def message_in_base64():
    return wrapped(b"From: a@c.test\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
                   b"Content-Transfer-Encoding: base64\r\n\r\n" + wrapped(eicar().encode()))


def hang_trigger():
    return (b"From: a@c.test\r\nTo: b@t.test\r\nSubject: made\r\nX-Test-Scanner: hang\r\n\r\nx\r\n.\r\n")


RECIPES = {
    "eicar_b64_each_byte_padded": lambda: b"".join(base64.b64encode(bytes([o])) for o in eicar().encode()) + b"\r\n",
    "eicar_b64_star_every_10": star_every_10,
    "eicar_b64_urlsafe": urlsafe_base64,
    "eicar_qp_soft_break_space": lambda: eicar().replace("=", "=3D").replace("EICAR", "EI= \t\r\nCAR").encode() + b"\r\n",
    "eicar_qp_one_line_after_2000": lambda: b"A" * 2000 + each_as_qp(eicar().encode()) + b"\r\n",
    "mail_with zip64_172_bytes_eicar": lambda: mail_with(zip64_small(), "application/zip", "a.zip"),
    "mail_with zip_in_zip_40": lambda: mail_with(zip_in_zip(40), "application/zip", "a.zip"),
    "mail_with html_script_unescape_1680023_bytes":
        lambda: mail_with(b"<script>" + b'a=unescape("%41%42");' * 80000 + b"</script>\r\n", "text/html", "a.html"),
    "mail_with pdf_60000_objects": lambda: mail_with(pdf(60000), "application/pdf", "a.pdf"),
    "mail_with hang_trigger": hang_trigger,
    "mail_with tar_gz_eicar": lambda: mail_with(tarred(eicar().encode()), "application/gzip", "a.tgz"),
    "mail_with zip_behind_4096_octets": lambda: mail_with(b"MZ" * 2048 + zipped(eicar().encode()), "application/zip"),
    "mail_with zip_as_image": lambda: mail_with(zipped(eicar().encode()), "image/png", "a.png"),
    "mail_with zip_of_200_mb": lambda: mail_with(zipped(bytes(200 << 20), "zeros"), "application/zip", "a.zip"),
    "eicar_b64_one_a_line": lambda: spread(base64.b64encode(eicar().encode()), 1, b"\r\n"),
    "eicar_b64_indented": lambda: spread(base64.b64encode(eicar().encode()), 10, b"\r\n \t ") + b"\r\n",
    "eicar_b64_behind_padding": lambda: b"AA==\r\n" + wrapped(eicar().encode()),
    "eicar_b64_unpadded": lambda: base64.b64encode(eicar().encode()).rstrip(b"=") + b"\r\n",
    "eicar_b64_behind_text": lambda: b"-- see below --\r\n\r\n" + wrapped(eicar().encode()),
    "eicar_qp_lower": lambda: each_as_qp(eicar().encode()).lower() + b"\r\n",
    "eicar_qp_soft_break_each": lambda: spread(eicar().replace("=", "=3D").encode(), 1, b"=\r\n") + b"\r\n",
    "eicar_uu": uuencoded,
    "eicar_message_b64": message_in_base64,
}


def generated(name):
    if name not in RECIPES:
        raise ValueError("no recipe for {{gen %s}}" % name)
    return RECIPES[name]()


# The backend.

class Recorded(Peer):
    """A connection from the gateway, and all that was heard on it."""

    def __init__(self, sock):
        super().__init__(sock)
        self.heard = bytearray()
        self.commands, self.bodies = [], []	 # a body: as it stood on the wire, with its final dot
        self.chunks = b""			 # of BDAT
        self.idle = False			 # it waits for a command
        self.fired = False			 # the row's bytes went out here
        self.dropped = threading.Event()	 # the gateway ended it

    def fill(self, timeout=None):
        before = len(self.buffer)
        more = super().fill(timeout)
        self.heard += self.buffer[before:]
        if not more:
            self.dropped.set()
        return more

    def body(self):
        """Up to the final dot."""
        octets = bytearray(b"\r\n")
        while True:
            octets += self.buffer
            self.buffer = b""
            end = octets.find(b"\r\n.\r\n", max(0, len(octets) - 70000))
            if end >= 0:
                self.buffer = bytes(octets[end + 5:])
                return bytes(octets[2:end + 5])
            if not self.fill(3600):
                raise Closed("closed in the message")


PLAIN_OFFERS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
ALL_OFFERS = PLAIN_OFFERS + ("SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME", "DELIVERBY", "VRFY", "EXPN", "ETRN",
                             "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2")


class Recorder(FakeBackend):
    """Accepts all mail but that from or for nosuch*; keeps every octet. arm() makes it misbehave at one step."""

    def __init__(self, tls=None, wrong_tls=None, offers=PLAIN_OFFERS):
        self.wires, self.step, self.bytes, self.wrong_tls = [], None, [], wrong_tls
        super().__init__("smtp", list(offers) + (["STARTTLS"] if tls else []), tls, "store.t.test")

    def arm(self, step, steps):
        self.step, self.bytes = step, steps
        for wire in self.wires if step else []:
            wire.fired = False

    def _serve(self, peer, greet):
        wire = Recorded(peer.sock)
        self._peers.discard(peer)
        self._peers.add(wire)
        self.wires.append(wire)
        try:
            self._converse(wire, greet)
            wire.until_closed(5)
        except (Closed, OSError, ssl.SSLError, ValueError, AssertionError):
            pass
        self._peers.discard(wire)
        wire.close()

    def _answer(self, wire, step, *lines):
        """The reply at a step, or what the row says in place of it."""
        if self.step == step and not wire.fired:
            wire.fired = True
            self._misbehave(wire)
        else:
            self._say(wire, *lines)

    def _misbehave(self, wire):
        try:
            self._say_steps(wire)
        except (ConnectionError, ssl.SSLError):
            wire.dropped.set()
            raise

    def _say_steps(self, wire):
        for step in self.bytes:
            if isinstance(step, bytes):
                for at in range(0, len(step), 65536):
                    wire.send(step[at:at + 65536])
            elif step[0] == "wait":
                time.sleep(step[1])
            elif step[0] == "drip":
                for octet in step[2]:
                    wire.send(bytes([octet]))
                    time.sleep(step[1])
            elif step[0] == "tls":
                wire.send(b"220 2.0.0 Go ahead\r\n")
                wire.tls(self.wrong_tls, server_side=True)
            elif step[0] == "rst":
                wire.reset()
                raise Closed("reset")
            else:
                raise Closed("by the row")

    def _converse(self, wire, greet):
        self._answer(wire, "banner", "220 %s ESMTP fake" % self.hostname)
        while True:
            wire.idle = not wire.buffer
            line = wire.line(timeout=3600)
            wire.idle = False
            wire.commands.append(line)
            verb = line.split(b" ", 1)[0].upper()
            if verb in (b"EHLO", b"HELO"):
                step = "ehlo-tls" if isinstance(wire.sock, ssl.SSLSocket) else "ehlo"
                self._answer(wire, step, *self._capabilities(verb))
            elif verb == b"STARTTLS" and self.tls:
                self._answer(wire, "starttls", "220 2.0.0 Go ahead")
                if not wire.fired:
                    wire.tls(self.tls, server_side=True)
            elif verb == b"MAIL" and b"<nosuch" in line.lower():
                self._say(wire, "550 5.7.1 Not from there")
            elif verb == b"MAIL":
                self._answer(wire, "mail", "250 2.1.0 OK")
            elif verb == b"RCPT" and b"<nosuch" in line.lower():
                self._say(wire, "550 5.1.1 No such user")
            elif verb == b"RCPT":
                self._answer(wire, "rcpt", "250 2.1.5 OK")
            elif verb == b"DATA":
                self._answer(wire, "data", "354 Go ahead")
                if not wire.fired or self.step != "data" or self.bytes[0][:3] == b"354":
                    self._take(wire)
            elif verb == b"BDAT":
                self._take_chunk(wire, line)
            elif verb == b"AUTH":
                self._refuse_login(wire, line)
            elif verb == b"QUIT":
                self._answer(wire, "quit", "221 2.0.0 Bye")
                return
            elif verb in (b"RSET", b"NOOP"):
                self._answer(wire, verb.lower().decode(), "250 2.0.0 OK")
            else:
                self._say(wire, "503 5.5.1 Not now")

    def _take(self, wire):
        if self.step == "body" and not wire.fired:
            while len(wire.buffer) < 65536:  # the gateway will have to wait before it can send the dot
                if not wire.fill():
                    raise Closed("closed in the message")
            self._answer(wire, "body")
        wire.bodies.append(wire.body())
        self._answer(wire, "dot", "250 2.0.0 OK queued")


    def _take_chunk(self, wire, line):
        words = line.split()
        while len(wire.buffer) < int(words[1]):
            if not wire.fill(3600):
                raise Closed("closed in a chunk")
        wire.chunks += wire.buffer[:int(words[1])]
        wire.buffer = wire.buffer[int(words[1]):]
        if len(words) > 2:
            wire.bodies.append(stuffed(wire.chunks))
            wire.chunks = b""
        self._answer(wire, "bdat", "250 2.0.0 OK")

    def _refuse_login(self, wire, line):
        if len(line.split()) < 3:
            self._say(wire, "334 ")
            wire.commands.append(wire.line(timeout=3600))
        self._say(wire, "535 5.7.8 Not with that")


class ImapWire:
    """The same of a connection to the IMAP server."""

    fired, idle, buffer, bodies, heard = True, True, b"", (), b""

    def __init__(self, session):
        self.session, self.sock = session, session.sock

    @property
    def commands(self):
        return self.session.commands

    @property
    def dropped(self):
        return self

    def is_set(self):
        return self.session.ended

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.session.ended and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.session.ended


class Mailboxes(ImapServer):
    """An IMAP server with three messages; arm() as above."""

    STEPS = {"greet": "greeting", "fetch": "body"}
    LETTERS = tuple(b"From: a@c.test\r\nSubject: %d\r\n\r\n..one\r\n.\r\nletter\r\n" % n for n in range(3))

    def __init__(self, tls=None):
        super().__init__(tls=tls)
        self.row_script = self.play(*self.LETTERS)

    @property
    def wires(self):
        """Those of the row: of its script."""
        return [ImapWire(session) for session in self.all if session.script is self.row_script]

    def arm(self, step, steps):
        actions = [b"(close)" if not isinstance(s, bytes) else s for s in steps]
        script = self.play(*self.LETTERS, steps={self.STEPS.get(step, step): actions} if step else None)
        if step:
            self.row_script = script

    def hang_up(self):
        pass


def stuffed(message):
    """A message that came in chunks, as DATA would have it on the wire."""
    return re.sub(rb"(^|\r\n)\.", rb"\1..", message) + b".\r\n"


def unstuffed(body):
    """A message as it was meant, from what stood on the wire up to and with the final dot."""
    return re.sub(rb"(^|\r\n)\.", rb"\1", body[:-3])


def why_unclean(heard, bodies):
    """What is wrong with what the gateway has sent to the backend, or None."""
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", heard)
    if bare:
        return "%r on the way to the backend" % bytes(heard[max(0, bare.start() - 20):bare.end() + 20])
    for body in bodies:
        dot = re.search(rb"(?:^|\n)\.(?!\.)", body[:-3])
        if dot:
            return "a dot that is not stuffed: %r" % body[max(0, dot.start() - 20):dot.end() + 20]
    return None


# The gateway.

class Stage:
    """A running gateway with the backend that it wants. `haste`: what its timeouts are divided by."""

    OPTIONS = ("implicit", "pipelining", "small", "backend-tls", "extended", "normalize", "auth", "proxy", "xclient")

    def __init__(self, name, certs, backend="recorder"):
        self.name = name
        self.haste = HASTE if name.startswith("hasty ") else 1
        good = server_context(*certs.leaf("store", "store.t.test"))
        wrong = server_context(*certs.leaf("other", "other.example"))
        tls = name == "backend-tls"
        self.postfix = self.sink = self.mailboxes = None
        if backend == "postfix" and not name.startswith("pop3"):
            self.backend = self._real(certs)
        else:
            self.backend = Recorder(good if tls else None, wrong, ALL_OFFERS if name in ("extended", "auth") else PLAIN_OFFERS)
        program = env.HOOKS if name == "hooks" else env.BIN
        self.gatepost = Gatepost(self.backend.port, program=program, certs=certs)
        self._settings(name, self.gatepost.conf)
        self.greeting = b"PROXY TCP4 192.0.2.7 198.51.100.2 40000 25\r\n" if name == "proxy" else b""
        if name.startswith("pop3"):
            self.mailboxes = Mailboxes(good if name == "pop3-tls" else None)
            pop3.offer(self.gatepost, self.mailboxes.port)
            for key in ("connect", "command", "data"):
                self.gatepost.conf.set("backend/mailboxes.%s-timeout" % key, "1500ms")
        if name == "pop3-tls":
            for key, value in (("mode", "require"), ("name", "store.t.test"), ("ca", self.gatepost.certs.ca)):
                self.gatepost.conf.set("backend/mailboxes.tls-" + key, value)
        self.sanitized = b"__asan_init" in program.read_bytes()
        self.gatepost.start()
        for _ in range(2 * env.SCANNERS):  # what grows with the first messages has grown then
            self.ordinary_message()
        self.backend.hang_up()
        self.base_rss = self.rss()
        self.base_fds, self.base_files = self.fds(), self.files()

    def _real(self, certs):
        """Postfix, with a tap before it and a recorder behind it."""
        self.sink = FakeBackend(hostname="behind.t.test")
        self.postfix = Postfix(certs.leaf("store", "store.t.test"), more=POSTFIX % self.sink.port,
                               files={"refused": "/^nosuch/ 550 5.1.1 No such user\n"}).start()
        return Tap(self.postfix.port)

    def _settings(self, name, conf):
        backend, profile = conf.find("backend").words[1], conf.find("profile").words[1]
        conf.replace("route", "route t.test { backend %s; profile %s; }" % (backend, profile))
        conf.set("backend.connect-timeout", "5s")
        conf.set("ledger", "off")  # rows send the same message again and again
        if name == "backend-tls":
            conf.set("backend.tls-mode", "require")
            conf.set("backend.tls-name", "store.t.test")
            conf.set("backend.tls-ca", self.gatepost.certs.ca)
        if name == "hooks":
            conf.set("scan-timeout", "1s")
        if name == "crowded":
            conf.set("listener.max-per-address", "0")  # all of them come from one
        if name == "normalize":
            conf.set("listener.bare-newline", "normalize")
        if name == "auth":
            conf.set("listener.auth", "always")
            conf.set("listener.auth-failures", "1000")
        if name in ("proxy", "xclient"):
            conf.set("listener.%s-from" % name, "127.0.0.1")
        if name == "small":
            conf.set("listener.max-size", "64K")
            conf.set("listener.max-recipients", "5")
        if self.haste > 1:
            for listener in ("listener", "listener/implicit"):
                for key, seconds in (("idle", 300), ("command", 60), ("data", 180)):
                    conf.set("%s.%s-timeout" % (listener, key), "%dms" % (seconds * 1000 // self.haste))

    def processes(self):
        """Master and all below it."""
        found, queue = [], [self.gatepost.process.pid]
        while queue:
            pid = queue.pop()
            try:
                for task in os.listdir("/proc/%d/task" % pid):
                    queue += map(int, Path("/proc/%d/task/%s/children" % (pid, task)).read_text().split())
                found.append(pid)
            except OSError:
                pass
        return found

    def _sum(self, count):
        total = 0
        for pid in self.processes():
            try:
                total += count(pid)
            except OSError:
                pass
        return total

    def rss(self):
        """MB of all processes together."""
        return self._sum(lambda pid: self.rss_of(pid))

    @staticmethod
    def rss_of(pid):
        return int(Path("/proc/%d/statm" % pid).read_text().split()[1]) * resource.getpagesize() / 1e6

    def cpu(self):
        """Milliseconds that all processes, also those that ended, have computed."""
        return self._sum(lambda pid: sum(map(int, Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[11:15]))) \
            * 1000 / os.sysconf("SC_CLK_TCK")

    def fds(self):
        return self._sum(lambda pid: len(os.listdir("/proc/%d/fd" % pid)))

    def files(self):
        return sum(len(files) for _, _, files in os.walk(self.gatepost.dir / "tmp"))

    def ordinary_message(self):
        """Sends one; the last reply."""
        peer = Peer.connect(self.gatepost.port("smtp"))
        try:
            peer.send(self.greeting)
            reply = peer.reply()
            for line in (b"EHLO c.test", b"MAIL FROM:<%s>" % SENDER.encode(), b"RCPT TO:<%s>" % RECIPIENT.encode(), b"DATA",
                         b"From: a@c.test\r\nTo: b@t.test\r\nSubject: an ordinary message\r\n"
                         b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <ordinary@c.test>\r\n\r\nhello\r\n.", b"QUIT"):
                if line == b"QUIT" and reply[-1][:1] == b"2":
                    peer.send(b"QUIT\r\n")
                    return reply[-1]
                if reply[-1][:1] not in b"23":
                    break
                peer.send(line + b"\r\n")
                reply = peer.reply()
            return reply[-1]
        except (Closed, OSError) as error:
            return ("%s: %s" % (type(error).__name__, error)).encode()
        finally:
            peer.close()

    def why_unwell(self):
        """What a row has left broken, or None."""
        try:
            self.gatepost.check()
        except AssertionError as error:
            return str(error)
        began = time.monotonic()
        while True:
            last = self.ordinary_message()
            took = time.monotonic() - began
            if took > AFTERWARDS * (4 if self.sanitized else 1):
                return "afterwards an ordinary message hears %r after %.1f s" % (last, took)
            if last.startswith(b"250"):
                return None
            time.sleep(0.1)

    def why_grown(self):
        """Whether descriptors, temporary files or memory stay behind all rows; or None."""
        deadline = time.monotonic() + 6
        self.backend.hang_up()
        while time.monotonic() < deadline:
            fds, files, rss = self.fds() - self.base_fds, self.files() - self.base_files, self.rss() - self.base_rss
            if fds <= SPARE and files <= 0 and (self.sanitized or rss < GROWTH_MB):
                return None
            time.sleep(0.2)
        return "it has grown by %d descriptors, %d temporary files, %d MB" % (fds, files, rss)

    def stop(self):
        try:
            self.gatepost.stop()
        finally:
            for server in (self.backend, self.postfix, self.sink, self.mailboxes):
                if server:
                    server.stop()


# What a Postfix that receives for t.test has in its main.cf; all else is as it comes, but for the pause that it makes
# behind each error: rows are not so patient.
POSTFIX = """
smtpd_error_sleep_time = 0
mynetworks = 127.0.0.0/8
relay_domains = t.test
relay_transport = smtp:[127.0.0.1]:%d
smtpd_sender_restrictions = check_sender_access regexp:{dir}/refused
smtpd_recipient_restrictions = check_recipient_access regexp:{dir}/refused, reject_unauth_destination
"""


# A row at work.

def ready(sock, events, timeout):
    """What of it can be done within so many seconds; select() ends at descriptor 1024."""
    poll = select.poll()
    poll.register(sock, events)
    found = poll.poll(timeout * 1000)
    return found[0][1] if found else 0


class Client:
    """One connection to the gateway: all that was said to it, when it ended, what inside TLS came unasked."""

    def __init__(self, port):
        self.peer = Peer.connect(port)
        self.said = bytearray()
        self.taken = 0			# replies that {{reply}} has waited for
        self.ended = self.ended_at = None
        self.unasked = bytearray()	# inside TLS, before we sent anything there
        self.fresh_tls = False
        self.shut = False

    def pump(self, timeout=0.0):
        """Reads what is there; whether anything came."""
        if self.ended:
            return False
        if not self._pending(timeout):
            return False
        try:
            more = self.peer.fill(0.5)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            more = False
        if not more:
            self.end()
            return False
        if self.fresh_tls:
            self.unasked += self.peer.buffer
        self.said += self.peer.buffer
        self.peer.buffer = b""
        return True

    def _pending(self, timeout):
        sock = self.peer.sock
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0 or bool(ready(sock, select.POLLIN, timeout))

    def end(self):
        self.ended, self.ended_at = True, time.monotonic()

    def send(self, octets):
        self.fresh_tls = False
        if isinstance(self.peer.sock, ssl.SSLSocket):
            try:
                self.peer.send(octets)
            except OSError:
                self.pump(0.05)
            return
        view = memoryview(octets)
        self.peer.sock.setblocking(False)
        while view and not self.ended:
            events = ready(self.peer.sock, select.POLLIN | select.POLLOUT, env.PATIENCE)
            if not events:
                return
            if events & ~select.POLLOUT:
                self.pump()
            try:
                if events & select.POLLOUT and not self.ended:
                    view = view[self.peer.sock.send(view[:262144]):]
            except BlockingIOError:
                pass
            except OSError:
                while self.pump(0.05):
                    pass
                self.end()
        if not self.ended:
            self.peer.sock.settimeout(env.PATIENCE)

    def replies(self):
        """The whole replies so far, each as its lines."""
        replies, lines = [], []
        for line in bytes(self.said).split(b"\r\n")[:-1]:
            lines.append(line)
            if line[3:4] != b"-":
                replies.append(lines)
                lines = []
        return replies

    def codes(self):
        return [reply[-1][:3].decode("latin-1") for reply in self.replies()]

    def wait_reply(self):
        self.taken += 1
        deadline = time.monotonic() + env.PATIENCE
        while len(self.replies()) < self.taken and not self.ended and time.monotonic() < deadline:
            self.pump(0.2)

    def begin(self):
        """What is said from here on is the row's."""
        self.said.clear()
        self.taken = 0

    def tls(self, options):
        context = client_context()
        if "alpn" in options:
            context.set_alpn_protocols([options["alpn"]])
        if "max" in options:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the old ones are what we are about
                context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                context.maximum_version = {"tls1.0": ssl.TLSVersion.TLSv1, "tls1.1": ssl.TLSVersion.TLSv1_1,
                                           "tls1.2": ssl.TLSVersion.TLSv1_2}[options["max"]]
        while self.pump(0.02 if self.said else 0):	# plain octets that are no TLS would end it: they are kept as said
            pass
        if self.ended:
            return
        try:
            self.peer.tls(context, name=options.get("sni", env.HOSTNAME))
            self.fresh_tls = True
        except (OSError, ValueError):
            self.end()

    def close(self):
        try:
            self.peer.close()
        except OSError:
            pass

    def rst(self):
        try:
            self.peer.reset()
        except OSError:
            pass
        self.ended = True  # by us: ended_at stays None


class Pop3Client(Client):
    """The same for POP3: a reply is a line, and all up to a dot where the command asks for many."""

    def __init__(self, port):
        self.asked, self.greeted = [], False
        super().__init__(port)

    def send(self, octets):
        self.asked += octets.split(b"\r\n")[:-1]
        super().send(octets)

    def begin(self):
        super().begin()
        self.asked, self.greeted = [], True

    def replies(self):
        replies, inside = [], False
        for line in bytes(self.said).split(b"\r\n")[:-1]:
            if inside:
                replies[-1].append(line)
                inside = line != b"."
                continue
            number = len(replies) - (not self.greeted)
            words = self.asked[number].upper().split() if 0 <= number < len(self.asked) else []
            replies.append([line])
            inside = line.startswith(b"+OK") and bool(words) and (
                words[0] in (b"RETR", b"TOP", b"CAPA") or words in ([b"LIST"], [b"UIDL"]))
        return replies

    def codes(self):
        return [reply[0].split(b" ")[0].lstrip(b"+-").decode("latin-1") for reply in self.replies()]


class Part:
    """What a row has caused on a connection to the backend, which may be older than the row."""

    def __init__(self, wire, mark=(0, 0, 0)):
        self.bodies, self.commands = wire.bodies[mark[0]:], wire.commands[mark[1]:]
        self.heard = wire.heard[mark[2]:]
        self.buffer = wire.buffer if self.heard else b""

    @staticmethod
    def mark(wire):
        return len(wire.bodies), len(wire.commands), len(wire.heard)


class Sampler(threading.Thread):
    """The most memory that a stage takes meanwhile."""

    def __init__(self, stage):
        super().__init__(daemon=True)
        self.stage, self.most, self.over = stage, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, self.stage.rss())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()


class Attack:
    """Plays one row on a stage; `failures` says what was not as expected."""

    def __init__(self, row, stage):
        self.row, self.stage, self.expected = row, stage, row.expected
        self.clients, self.failures = [], []
        self.backend = stage.mailboxes if row.phase.startswith("be-imap@") else stage.backend
        self.full_codes = None  # of a driven session, from its begin

    def run(self):
        gatepost, backend = self.stage.gatepost, self.backend
        if self.row.injected:
            backend.hang_up()		# what it does, it does on a connection that begins now
        marks = {id(wire): (wire, Part.mark(wire)) for wire in backend.wires}
        self.mark, self.sunk, self.queued = gatepost.mark(), 0, 0
        if self.stage.sink:
            self._wait_sink()		# for what came before
            self.sunk = len(self.stage.sink.messages)
        rss, cpu = self.stage.rss(), self.stage.cpu()
        try:
            with Sampler(self.stage) as self.sampler:
                self._play()
                self.took = time.monotonic() - self.began
                self._wait_dropped()
        finally:
            backend.arm(None, [])
            for client in self.clients:
                client.close()
        self._wait_backend()
        self.wires = [Part(wire, marks[id(wire)][1] if id(wire) in marks else (0, 0, 0)) for wire in backend.wires]
        self._judge_client()
        self._judge_backend()
        self._judge_log()
        self._judge_cost(rss, cpu)
        unwell = self.stage.why_unwell()
        if unwell:
            self.failures.append(unwell)
        if self.failures:
            self.failures.append("said: %s" % self._story())
        return self.failures

    def _play(self):
        steps = self.row.steps()
        self.began = time.monotonic()
        if self.row.injected:
            self.backend.arm(self.row.injected, steps)
            return self._drive_pop3() if self.row.pop3 else self._drive()
        count = 1
        for step in [s for s in steps if s[0] == "conns"]:
            count = step[1]
            steps.remove(step)
        listener = "implicit" if self.row.implicit else "smtp"
        if self.row.pop3:
            listener = "pops" if self.row.name.startswith("pop3s") else "pop"
        port = self.stage.gatepost.port(listener)
        for at in range(0, count, 1000):  # so many at once as we have descriptors for
            clients = [(Pop3Client if self.row.pop3 else Client)(port) for _ in range(min(1000, count - at))]
            self.clients += clients
            if count == 1 or self.row.phase != "cmd":
                for client in clients:
                    self._reach_phase(client)
            self.began = time.monotonic()
            for step in steps:
                for number, client in enumerate(clients, at):
                    self._step(client, step, number)
            if at + 1000 < count and self.row.phase == "cmd":
                for client in clients:
                    client.close()
        self._hear_out()

    def _reach_phase(self, client):
        lines = {"conn": [], "cmd": [], "pop3": [], "pop3u": ["USER alice", "PASS secret"], "helo": ["EHLO c.test"],
                 "rcpt": ["EHLO c.test", "MAIL FROM:<%s>" % SENDER, "RCPT TO:<%s>" % RECIPIENT],
                 "data": ["EHLO c.test", "MAIL FROM:<%s>" % SENDER, "RCPT TO:<%s>" % RECIPIENT, "DATA"]}[self.row.phase]
        if self.row.phase == "conn":
            return
        client.send(self.stage.greeting)
        client.wait_reply()
        for line in lines:
            client.send(line.encode() + b"\r\n")
            client.wait_reply()
            if not client.codes() or client.codes()[-1][0] not in "23O":
                raise AssertionError("before the row %s was answered %s" % (line, client.codes()))
        client.begin()

    def _step(self, client, step, number):
        if isinstance(step, bytes):
            client.send(step.replace(b"%d", b"%d" % number) if len(self.clients) > 1 else step)
        elif step[0] == "reply":
            client.wait_reply()
        elif step[0] == "wait":
            self._pause(client, step[1] / self.stage.haste)
        elif step[0] == "drip":
            for octet in step[2]:
                if client.ended:
                    break
                client.send(bytes([octet]))
                self._pause(client, step[1] / self.stage.haste)
        elif step[0] == "tls":
            client.tls({key: value.replace("%d", str(number)) for key, value in step[1].items()})
        elif step[0] == "close":
            client.shut = True
            try:
                client.peer.half_close()
            except OSError:
                pass
        elif step[0] == "rst":
            client.rst()

    def _pause(self, client, seconds):
        until = time.monotonic() + seconds
        while not client.ended and time.monotonic() < until:
            client.pump(max(0, until - time.monotonic()))

    def _drive(self):
        """A normal client's session, as far as it goes; the codes from the step on are the row's."""
        client = Client(self.stage.gatepost.port("smtp"))
        self.clients.append(client)
        client.wait_reply()
        line = b"A line of the letter, so long as lines are on an ordinary day.\r\n"
        letter = b"Subject: t\r\nFrom: a@c.test\r\n\r\n" + line * (LINES if self.row.injected == "body" else 1) + b".\r\n"
        skip = {"rcpt": 3, "data": 5, "body": 5, "dot": 5}.get(self.row.injected, 2)  # replies before the step
        commands = [[b"EHLO c.test\r\n"], [b"MAIL FROM:<%s>\r\n" % SENDER.encode(), b"RCPT TO:<%s>\r\n" % RECIPIENT.encode(),
                                           b"DATA\r\n"], [letter]]
        if self.expected.get("opt") != "pipelining":
            commands = [[command] for group in commands for command in group]
        for group in commands:
            self.began = time.monotonic()
            client.send(b"".join(group))
            for _ in group:
                client.wait_reply()
            if client.ended or client.codes()[-1][:1] not in "23":
                break
        if self.row.injected in ("rset", "quit"):
            client.send(b"RSET\r\n" if self.row.injected == "rset" else b"QUIT\r\n")
            client.wait_reply()
        self._pause(client, QUIET)
        self.full_codes = client.codes()
        replies = client.replies()[skip:]
        client.begin()
        client.said += b"".join(text + b"\r\n" for reply in replies for text in reply)

    def _drive_pop3(self):
        """The same of somebody who reads his mail."""
        client = Pop3Client(self.stage.gatepost.port("pop"))
        self.clients.append(client)
        client.wait_reply()
        skip = {"fetch": 3}.get(self.row.injected, 2)  # greeting, USER, PASS
        for command in (b"USER alice\r\n", b"PASS secret\r\n", b"RETR 1\r\n", b"QUIT\r\n"):
            self.began = time.monotonic()
            client.send(command)
            client.wait_reply()
            if client.ended or client.codes()[-1] != "OK":
                break
        self._pause(client, QUIET)
        self.full_codes = client.codes()
        client.codes = lambda codes=self.full_codes[skip:]: codes

    def _sent(self):
        return b"".join(step for step in self.row.steps() if isinstance(step, bytes))

    def _chunked(self):
        """Of a row with BDAT: (messages for which the client heard 2xx, the octets of the chunks that were accepted)."""
        codes, sent, at, accepted, octets = [c for client in self.clients for c in client.codes()], self._sent(), 0, 0, b""
        for code in codes:
            end = sent.find(b"\r\n", at)
            chunk = re.match(rb"BDAT (\d{1,9})( LAST)?$", sent[at:end if end >= 0 else at], re.IGNORECASE)
            at = end + 2
            if chunk:
                if code[0] == "2":
                    accepted, octets = accepted + bool(chunk[2]), octets + sent[at:at + int(chunk[1])]
                at += int(chunk[1])
            if end < 0:
                break
        return accepted, octets

    def _codes(self):
        return ",".join(code for client in self.clients for code in client.codes())

    def _accepted(self):
        count = self._chunked()[0] if self.row.phase != "data" else 0
        for client in self.clients:
            inside = self.row.phase == "data"
            for code in self.full_codes or client.codes():
                count += inside and code[0] == "2"
                inside = code == "354"
        return count

    def _as_expected(self):
        """Whether the client has heard what it should."""
        expected = self.expected
        if "codes" in expected and not re.search(expected["codes"], self._codes()):
            return False
        if "verdict" in expected and not self._codes():
            return False
        if self._accepted() < int(expected.get("accepted", 0)):
            return False
        return expected.get("close") != "yes" or all(client.ended for client in self.clients)

    def _within(self):
        return int(self.expected["within"]) / 1000 / self.stage.haste if "within" in self.expected else None

    def _hear_out(self):
        """Listens until all is as expected and it is quiet, or the patience is at its end."""
        deadline = max(time.monotonic(), self.began + (self._within() or 0)) + env.PATIENCE * (1 if not self._within() else 0.1)
        if len(self.clients) > 1 and "close" not in self.expected:
            deadline = min(deadline, time.monotonic() + 3)
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            open_ones = [client for client in self.clients if not client.ended]
            came = False
            for client in open_ones if len(open_ones) > 1 else []:
                came |= client.pump()
            if len(open_ones) == 1:
                came = open_ones[0].pump(0.03)
            elif not came:
                time.sleep(0.02)
            if came:
                quiet_since = time.monotonic()
            heard = any(client.said for client in self.clients)
            if self._as_expected() and (not open_ones or
                                        time.monotonic() - quiet_since > (QUIET if heard else SILENCE)):
                break
        self._ask_for_the_rest()

    def _ask_for_the_rest(self):
        """The end of our sending makes it answer whatever it still holds."""
        for client in self.clients if len(self.clients) == 1 else []:
            self.closed = client.ended and client.ended_at is not None
            if not client.ended and not client.shut and not isinstance(client.peer.sock, ssl.SSLSocket):
                ended_at = client.ended_at
                try:
                    client.peer.half_close()
                except OSError:
                    return
                until = time.monotonic() + 1
                while not client.ended and time.monotonic() < until:
                    client.pump(0.1)
                client.ended, client.ended_at = False, ended_at

    def _wait_dropped(self):
        """be_state=closed: the connection on which the row's bytes came ends while the client is still there."""
        if self.expected.get("be_state") != "closed":
            return
        fired = [wire for wire in self.backend.wires if wire.fired]
        if not fired:
            self.failures.append("the backend was never asked so far")
        deadline = time.monotonic() + 3
        for wire in fired:
            if not wire.dropped.wait(max(0, deadline - time.monotonic())) and wire.sock.fileno() >= 0:
                self.failures.append("the connection to the backend is still up")

    def _wait_backend(self):
        """Until every connection has ended or waits for a command."""
        deadline = time.monotonic() + 3
        for wire in self.backend.wires:
            while wire.sock.fileno() >= 0 and not wire.dropped.is_set() and not wire.idle and time.monotonic() < deadline:
                time.sleep(0.005)
        time.sleep(0.02)
        if self.stage.sink:
            before = self.queued
            self.backend.wait_quiet()
            self._wait_sink()
            self.queued -= before
            self.sunk = self.stage.sink.messages[self.sunk:]

    def _wait_sink(self):
        """Until all that Postfix has queued has come out behind it."""
        self.queued = sum(wire.queued for wire in self.stage.backend.wires)
        deadline = time.monotonic() + env.PATIENCE
        while len(self.stage.sink.messages) < self.queued and time.monotonic() < deadline:
            time.sleep(0.01)

    # What was it?

    def _expect(self, condition, text):
        if not condition:
            self.failures.append(text)

    def _judge_client(self):
        expected, codes = self.expected, self._codes()
        said = b"".join(bytes(client.said) for client in self.clients)
        ends = [client.ended_at for client in self.clients if client.ended and client.ended_at]
        if "codes" in expected:
            self._expect(re.search(expected["codes"], codes), "codes=%s" % short(codes))
        if "accepted" in expected:
            self._expect(self._accepted() == int(expected["accepted"]), "accepted=%d" % self._accepted())
        if expected.get("close") == "yes":
            self._expect(len(ends) == len(self.clients), "%d of %d connections are still up"
                         % (len(self.clients) - len(ends), len(self.clients)))
        if expected.get("close") == "no":
            self._expect(not ends, "the connection was closed")
        if self._within():
            took = max(ends) - self.began if ends and "close" in expected else self.took
            self._expect(took <= self._within() + 0.25, "it took %.2f s of %.2f" % (took, self._within()))
        if "never" in expected:
            self._expect(not re.search(expected["never"].encode("latin-1"), said), "the client was sent it")
        if expected.get("quiet_tls") == "yes":
            unasked = b"".join(bytes(client.unasked) for client in self.clients)
            self._expect(not unasked, "inside TLS came unasked %r" % unasked[:100])

    def _judge_backend(self):
        expected = self.expected
        bodies = [body for wire in self.wires for body in wire.bodies]
        commands = [command for wire in self.wires for command in wire.commands]
        if self.stage.sink:
            self._judge_sunk(bodies)
        if "backend" in expected:
            self._expect(len(bodies) == int(expected["backend"]), "backend=%d" % len(bodies))
        if expected.get("clean") == "yes":
            for wire in self.wires:
                unclean = why_unclean(wire.heard, wire.bodies)
                self._expect(unclean is None, unclean)
        if expected.get("same") == "yes":
            sent = (b"\r\n" + self._sent()).split(b"\r\n.\r\n")[0]
            sent = unstuffed(sent[2:] + b"\r\n.\r\n") if self.row.phase == "data" else self._chunked()[1]
            self._expect(len(bodies) == 1 and unstuffed(bodies[0]).endswith(sent), "the message at the backend is another")
        if "never_be" in expected:
            pattern = re.compile(expected["never_be"].encode("latin-1"))
            rests = [wire.buffer for wire in self.wires]  # what was no line
            for text in commands + rests + [b"\r\n" + body for body in bodies]:
                self._expect(not pattern.search(text), "the backend was sent it: %r" % text[:300])
        if "be_seen" in expected:
            pattern = re.compile(expected["be_seen"].encode("latin-1"))
            self._expect(any(map(pattern.search, commands)), "the backend heard only %r" % commands)

    def _judge_sunk(self, bodies):
        """What Postfix has made of it: as many messages as passed through the tap, each with the same words, or the same last one. It
        folds long lines, adds fields behind a header, and ends a header where a line is no field."""
        def words(octets):
            return re.sub(rb"\s", b"", octets.partition(b"\r\n\r\n")[2]), octets.split()[-1][-100:]

        came = [words(message.octets) for message in self.sunk]
        self._expect(len(came) == self.queued == len(bodies), "Postfix has queued %d and delivered %d messages of %d"
                     % (self.queued, len(came), len(bodies)))
        for text, end in (words(unstuffed(body)) for body in bodies):
            self._expect(any(text == t or end == e for t, e in came), "what Postfix delivered are other words")

    def _judge_log(self):
        expected, gatepost = self.expected, self.stage.gatepost
        if "log_has" in expected:
            try:
                gatepost.wait_log(expected["log_has"], self.mark, 1.0)
            except AssertionError:
                self.failures.append("the log has it not")
        with open(gatepost.process.log_path, "rb") as log:
            log.seek(self.mark)
            octets = log.read()
        if "log_not" in expected:
            self._expect(not re.search(expected["log_not"].encode("latin-1"), octets), "the log has it")
        if "verdict" in expected:
            words = re.findall(rb"\bverdict=(\S+)", octets)
            word = words[-1].decode() if words else "none"
            self._expect(re.search(expected["verdict"], VERDICTS.get(word, word)), "verdict=%s" % word)

    def _judge_cost(self, rss, cpu):
        if self.stage.sanitized:
            return
        if "rss_mb" in self.expected:
            grown = self.sampler.most - rss
            self._expect(grown <= int(self.expected["rss_mb"]), "rss_mb=%.1f" % grown)
        if "cpu_ms" in self.expected:
            used = self.stage.cpu() - cpu
            self._expect(used <= int(self.expected["cpu_ms"]), "cpu_ms=%d" % used)

    def _story(self):
        said = b" ".join(bytes(client.said) for client in self.clients).decode("latin-1").replace("\r\n", "|")
        commands = [short(c.decode("latin-1"), 80) for wire in self.wires for c in wire.commands][:30]
        log = [line for line in self.stage.gatepost.log(self.mark).split("\n") if "ordinary" not in line]
        return "%s\n      backend heard: %s\n      log: %s" % (short(said, 300), short(repr(commands), 400),
                                                            "\n           ".join(line[:400] for line in log[:4]))


def short(text, most=120):
    return text if len(text) <= most else "%s... (%d)" % (text[:most], len(text))


class Theatre:
    """Stages by name, started when they are wanted."""

    def __init__(self, certs=None, backend="recorder"):
        self.dir, self.backend = None, backend
        if certs is None:
            self.dir = env.scratch()
            certs = Certs(self.dir / "certs")
        self.certs, self.stages, self.lock = certs, {}, threading.Lock()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def stage(self, name):
        with self.lock:
            if name not in self.stages:
                self.stages[name] = Stage(name, self.certs, self.backend)
            return self.stages[name]

    def play(self, row):
        """None, or the list of what was not as expected."""
        try:
            return Attack(row, self.stage(row.stage())).run()
        except Exception as error:
            return ["%s: %s" % (type(error).__name__, error), traceback.format_exc()]

    def close(self):
        """Ends all stages; what is wrong with them then, by name."""
        wrong = {}
        for name, stage in self.stages.items():
            grown = stage.why_grown()
            if grown:
                wrong[name] = grown
            try:
                stage.stop()
            except AssertionError as error:
                wrong[name] = str(error)
        self.stages = {}
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
        return wrong


def main():
    parser = argparse.ArgumentParser(usage="%(prog)s [-v] [-k WORD] [-n TIMES] [--backend postfix] FILE...")
    parser.add_argument("-v", action="store_true", help="name the rows that passed, too")
    parser.add_argument("-k", default="", help="only rows with this in their name (a regular expression)")
    parser.add_argument("-n", type=int, default=1, help="so many times each")
    parser.add_argument("--backend", choices=("recorder", "postfix"), default="recorder", help="what stands behind the gateway")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    rows = [row for row in read_rows(args.files) if re.search(args.k, row.name)]
    unjudged = [row for row in rows if row.why_not(args.backend)]
    by_stage = collections.defaultdict(list)
    for row in rows:
        if not row.why_not(args.backend):
            by_stage[row.stage()].extend([row] * args.n)
    theatre, counts, lock = Theatre(backend=args.backend), collections.Counter(), threading.Lock()

    def play_all(rows):
        for row in rows:
            began = time.monotonic()
            failures = theatre.play(row)
            with lock:
                counts["failed" if failures else "passed"] += 1
                if failures:
                    print("FAILED %s (%s:%d, %s)\n    expected: %s\n    %s" % (
                        row.name, row.file, row.number, row.phase,
                        ";".join("%s=%s" % pair for pair in row.expected.items()), "\n    ".join(failures)))
                elif args.v:
                    print("passed %s (%.1f s)" % (row.name, time.monotonic() - began))
                sys.stdout.flush()

    threads = [threading.Thread(target=play_all, args=(rows,)) for rows in by_stage.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, why in theatre.close().items():
        counts["failed"] += 1
        print("FAILED afterwards (stage %s)\n    %s" % (name, why))
    for row in unjudged:
        print("not judged: %s: %s" % (row.name, row.why_not(args.backend)))
    for row in rows:
        if row.name in OTHERWISE:
            print("judged otherwise: %s: %s" % (row.name, OTHERWISE[row.name][1]))
    print("attacks: %d passed, %d failed, %d not judged" % (counts["passed"], counts["failed"], len(unjudged)))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
