#!/usr/bin/python3
"""Clients and servers that do anything, valid or not, around a running Gatepost; and what must hold all the same.

    tests/fake/chaos.py [--seed N] [--worlds N] [--sessions N] [--keep] [--fix lmtp=0]

A world is a configuration, its servers and some hundred clients, all drawn from one seed. Afterwards:
  - every command was answered, in order, or the session ended; nothing hung
  - what was answered 250 is at a server or in quarantine exactly once for each recipient; what was answered 5xx,
    or never sent whole, nowhere
  - a message reached only servers, recipients and sessions (AUTH, PROXY) that it was for, with every octet
  - a recipient whose profile refuses got nothing
  - the program ended with 0, without a sanitizer's report (gp.gatepost checks that)
A failure names the world's seed, and prints what its client heard and what the log says of it."""

import argparse
import asyncio
import base64
import os
import random
import re
import signal
import socket
import ssl
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gp import env  # noqa: E402
from gp.gatepost import Gatepost  # noqa: E402
from gp.wire import client_context  # noqa: E402

PATIENCE = 25.0  # seconds for an answer: longer than any wait that the worlds configure
HERE = Path(__file__).resolve().parent
REFUSED_BY_STRICT = b"gatepost test: please tag me"
REFUSED_BY_ALL = b"gatepost test: please refuse me"
PEOPLE = ["bob", "cid", "dan", "eve", "fay"]  # bob and eve have the strict profile


class Fault(Exception):
    pass


class Delivery:
    """One recipient's copy that a server has committed itself to."""

    def __init__(self, backend, token, rcpt, sender, whole, heard, origin, user):
        self.backend, self.token, self.rcpt, self.sender, self.whole = backend, token, rcpt, sender, whole
        self.heard = heard  # Gatepost could read the 2xx
        self.origin, self.user = origin, user  # whom PROXY or AUTH named


class World:
    def __init__(self, seed):
        self.seed = seed
        r = self.random = random.Random(seed)
        pick = r.choice
        self.lmtp = r.random() < 0.35
        self.ledger = r.random() < 0.6
        self.evil = pick([0, 0.02, 0.05, 0.15])
        self.offers = ["SIZE 10000000"]
        for offer, chance in (("PIPELINING", 0.75), ("CHUNKING", 0.4), ("8BITMIME", 0.9), ("SMTPUTF8", 0.5), ("DSN", 0.5),
                              ("ENHANCEDSTATUSCODES", 0.9), ("VRFY", 0.5)):
            if r.random() < chance:
                self.offers.append(offer)
        if "CHUNKING" in self.offers and r.random() < 0.5:
            self.offers.append("BINARYMIME")
        self.auth = not self.lmtp and r.random() < 0.35
        if self.auth:
            self.offers.append("AUTH PLAIN LOGIN CRAM-MD5")
        self.in_turn = "PIPELINING" not in self.offers  # else an answer too many is the next command's
        self.identity = pick(["none", "none", "none", "xforward", "proxy-v1", "proxy-v2"])
        self.xclient = r.random() < 0.25
        self.two_servers = r.random() < 0.4   # for one route
        self.two_routes = r.random() < 0.5
        self.verify = not self.auth and r.random() < 0.2
        self.split = pick(["quarantine", "quarantine", "defer", "strictest"])
        self.max_size = pick([20000, 200000])
        self.max_sessions = pick([0, 0, 1, 2, 5])
        self.park = pick(["30ms", "5s"])
        self.small_spool = r.random() < 0.2
        self.strict_holds = r.random() < 0.3  # quarantine instead of refusal
        self.small_people = pick([1, 1, 2])
        self.few_processes = r.random() < 0.4
        self.hooks = env.HOOKS.exists() and r.random() < 0.3  # scanners that misbehave
        self.turmoil = pick(["none"] * 5 + ["reload", "reload", "scanner", "keeper", "worker", "term"])
        self.backends, self.deliveries, self.faults = [], [], []
        self.over = False
        self.stopping = False

    def settings(self):
        def backend(name, server):
            return ("+ backend %s { protocol %s; address 127.0.0.1:%d; check-interval 1s; %s }"
                    % (name, "lmtp" if self.lmtp else "smtp", server.port, " ".join(self.backend_rows())))
        lines = ["workers %d" % (1 if self.few_processes else env.WORKERS), "scanners %d" % (1 if self.few_processes else env.SCANNERS),
                 "ledger %s" % ("on" if self.ledger else "off"), "log-level debug", "antivirus off", "drain-timeout 5s",
                 "max-connections 500", "scan-timeout 500ms", "scan-budget 5s", "scan-wait 5s",
                 "listener.max-size %d" % self.max_size, "listener.park-after " + self.park, "listener.max-errors 30",
                 "listener.idle-timeout 20s", "listener.command-timeout 20s", "listener.data-timeout 20s", "listener.without ETRN",
                 "listener.max-per-address 0", "listener.auth-failures 0",
                 "backend.check-interval 1s", "profile.split " + self.split]
        lines += ["backend." + row.rstrip(";") for row in self.backend_rows()]
        if self.random.random() < 0.2:
            lines.append("listener.bare-newline normalize")
        if self.small_spool:
            lines.append("spool-memory 1M")
        if self.auth:
            lines.append("listener.auth always")
        if self.xclient:
            lines.append("listener.xclient-from 127.0.0.0/8")
        strict = "quarantine-score 2" if self.strict_holds else "refuse-score 2"
        for who in ("bob", "eve"):
            lines.append("+ profile strict-%s { recipient %s@example.org %s@example.com; %s; tag-score 1; split %s; }"
                         % (who, who, who, strict, self.split))
        if self.two_servers:
            lines.append(backend("second", self.backends[1]))
        if self.two_routes:
            lines.append(backend("other", self.backends[2]))
            lines.append("+ route example.com { backend other; profile default; }")
        if self.verify:
            lines.append(backend("known", self.backends[3]))
            lines.append("backend.verify-recipients known")
        return lines

    def backend_rows(self):
        if not hasattr(self, "rows"):
            r = self.random
            self.rows = ["keep-sessions %d;" % r.choice([0, 5, 5]), "max-sessions %d;" % self.max_sessions, "session-wait 2s;",
                         "client-identity %s;" % self.identity, "connect-timeout 3s;", "command-timeout 2s;", "data-timeout 2s;",
                         "grace 1h;", "verify-good 1s;", "verify-bad 1s;", "session-messages %d;" % r.choice([2, 100])]
        return self.rows

    async def start(self):
        for domains in (("example.org",), ("example.org",), ("example.com",), ("example.org",)):
            server = Server(self, len(self.backends), domains)
            await server.start()
            self.backends.append(server)
        self.gatepost = Gatepost(self.backends[0].port, "lmtp" if self.lmtp else "smtp", [], env.ROOT / "tests" / "dialogue" / "test.cf",
                                 env.HOOKS if self.hooks else None)
        self.gatepost.conf.unset("listener/implicit")
        for line in self.settings():
            self.gatepost.override(line)
        if self.two_servers:
            text = str(self.gatepost.conf)
            name = self.gatepost.conf.find("backend").words[1]
            self.gatepost.conf.text = re.sub(r"(route example\.org [^{]*\{ backend) %s;" % name, r"\1 %s second;" % name, text)
        await asyncio.to_thread(self.gatepost.start)
        await asyncio.sleep(0.3)

    def fault(self, what, story=""):
        self.faults.append("%s\n%s" % (what, story))


    async def stir(self):
        """What happens to the gateway meanwhile."""
        r = self.random
        for _ in range(r.choice([1, 3])):
            await asyncio.sleep(r.uniform(0.1, 2.5))
            if self.over or self.turmoil == "none":
                return
            if self.turmoil == "reload":
                self.gatepost.process.signal(signal.SIGHUP)
            elif self.turmoil == "term":
                self.stopping = True
                self.gatepost.process.signal(signal.SIGTERM)
                return
            else:
                for pid in r.sample(self.gatepost.children(self.turmoil) if self.turmoil != "scanner" else self.scanners(), 1):
                    os.kill(pid, signal.SIGKILL)

    def scanners(self):
        (nursery,) = self.gatepost.children("nursery")
        return [int(pid) for pid in open("/proc/%d/task/%d/children" % (nursery, nursery)).read().split()] or [nursery]


class Server:
    """A mail server with bad days: `evil` is how often something goes wrong at a step."""

    def __init__(self, world, number, domains):
        self.world, self.number, self.domains = world, number, domains
        self.verifies = number == 3
        self.random = random.Random(world.seed * 7 + number)
        self.max_open = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        session = ServerSession(self, reader, writer)
        try:
            await session.run()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, TimeoutError):
            pass
        finally:
            session.reset() if session.abrupt else writer.close()


class Hangup(OSError):
    pass


class ServerSession:
    def __init__(self, server, reader, writer):
        self.server, self.world, self.reader, self.writer = server, server.world, reader, writer
        self.random = server.random
        self.abrupt = False
        self.origin = self.user = None
        self.said = []
        self.clear()

    def clear(self):
        self.sender, self.rcpts, self.chunks = None, [], b""

    def reset(self):
        try:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, AttributeError):  # closed already
            pass
        self.writer.transport.abort()

    async def line(self):
        line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 120)
        self.said.append("G: " + repr(line[:-2])[2:-1])
        return line[:-2]

    async def put(self, text, evil=True, step="any"):
        """An answer, or what comes instead of it. Whether it went out whole."""
        r, world = self.random, self.world
        chance = world.evil if evil and not world.stopping else 0
        if step in ("greeting", "ehlo"):
            chance /= 5
        if r.random() < chance:
            kind = r.choice(["4", "4", "4", "5", "5", "421", "garbage", "close", "reset", "delay", "3", "twice" if world.in_turn else "4", "lines", "late-close", "pieces"])
            code = text[:3]
            if kind == "4":
                text = "451 4.3.0 %s no, not now" % text[3:].strip()
            elif kind == "5":
                text = "554 5.3.0 %s no" % text[3:].strip()
            elif kind == "421":
                await self.write("421 4.3.2 goodbye\r\n")
                raise Hangup()
            elif kind == "garbage":
                await self.write(r.choice(["nonsense\r\n", "250\n", "2500 x\r\n", "250 \x00\r\n", "1" * 9000]))
                raise Hangup()
            elif kind == "close":
                raise Hangup()
            elif kind == "reset":
                self.abrupt = True
                raise Hangup()
            elif kind == "delay":
                await asyncio.sleep(r.choice([0.05, 0.3, 0.3, 3]))
            elif kind == "3":
                text = "354 " + text[3:]
            elif kind == "twice" and step != "dot":
                await self.write(text + "\r\n" + text + "\r\n")
                return code
            elif kind == "lines":
                await self.write("".join("%s-more %d\r\n" % (code, i) for i in range(r.randrange(20))))
            elif kind == "late-close" and step != "dot":
                await self.write(text + "\r\n")
                raise Hangup()
            elif kind == "pieces":
                await self.write(text[:2])
                await asyncio.sleep(0.03)
                await self.write(text[2:] + "\r\n")
                return text[:3]
        await self.write(text + "\r\n")
        return text[:3]

    async def write(self, text):
        self.said.append("B: " + repr(text[:200])[1:-1])
        self.writer.write(text.encode("utf-8", "surrogateescape"))
        await self.writer.drain()

    async def run(self):
        if self.world.identity == "proxy-v1" or self.world.identity == "proxy-v2":
            await self.read_proxy()
        await self.put("220 store%d.example.org" % self.server.number, step="greeting")
        while True:
            line = await self.line()
            verb = line.split(b" ", 1)[0].upper().decode("latin-1")
            handler = getattr(self, "do_" + verb, None)
            if handler is None:
                self.world.fault("the server was told %r" % line)
                raise Hangup()
            await handler(line)

    async def read_proxy(self):
        if self.world.identity == "proxy-v1":
            words = (await self.line()).split()
            self.origin = words[2].decode() if words[1] == b"TCP4" else None
            return
        head = await self.reader.readexactly(16)
        body = await self.reader.readexactly(struct.unpack(">H", head[14:])[0])
        self.origin = socket.inet_ntoa(body[:4]) if head[12] == 0x21 else None

    async def do_EHLO(self, line):
        offers = list(self.world.offers) + (["XFORWARD ADDR PORT PROTO HELO"] if self.world.identity == "xforward" else [])
        self.clear()
        if self.random.random() < self.world.evil / 5:
            offers = offers[:2]
        text = "\r\n".join("250-" + o for o in ["store.example.org"] + offers[:-1]) + "\r\n250 " + offers[-1]
        if self.random.random() < self.world.evil / 5:
            return await self.put("250 store.example.org", step="ehlo")
        await self.write(text + "\r\n")

    do_LHLO = do_EHLO

    async def do_HELO(self, line):
        await self.put("250 store.example.org")

    async def do_XFORWARD(self, line):
        for word in line.split()[1:]:
            if word.startswith(b"ADDR="):
                self.origin = word[5:].decode()
        await self.put("250 ok")

    async def do_RSET(self, line):
        self.clear()
        await self.put("250 2.0.0 reset")

    async def do_NOOP(self, line):
        await self.put("250 2.0.0 ok")

    async def do_VRFY(self, line):
        await self.put("252 2.5.0 who knows")

    async def do_QUIT(self, line):
        await self.put("221 2.0.0 bye")
        raise Hangup()

    async def do_AUTH(self, line):
        words = line.decode("latin-1").split()
        if words[1] == "PLAIN":
            if len(words) < 3:
                if await self.put("334 ") != "334":
                    return
                response = await self.line()
            else:
                response = words[2].encode()
        else:
            response = b""
            for i in range(2 if words[1] == "LOGIN" and len(words) < 3 else 1):
                if await self.put("334 " + base64.b64encode(b"Username:").decode()) != "334":
                    return
                response = await self.line()
                if response == b"*":
                    break
        if response == b"*":
            return await self.put("501 5.7.0 cancelled")
        try:
            secret = base64.b64decode(response)
        except ValueError:
            return await self.put("501 5.5.2 no base64")
        if b"right" in secret and self.user is None:
            if await self.put("235 2.7.0 welcome") == "235":
                self.user = "known"
        else:
            await self.put("535 5.7.8 no")

    async def do_MAIL(self, line):
        if self.sender is not None:
            self.world.fault("nested MAIL at server %d: %r" % (self.server.number, line), "\n".join(self.said))
        sender = re.match(rb"MAIL FROM:<([^>]*)>", line).group(1).decode("utf-8")
        if (await self.put("250 2.1.0 <%s> ok" % sender))[0] == "2":
            self.sender = sender

    async def do_RCPT(self, line):
        rcpt = re.match(rb"RCPT TO:<([^>]*)>", line).group(1).decode("utf-8")
        if self.sender is None:
            return await self.write("503 5.5.1 <%s> MAIL first\r\n" % rcpt)
        if rcpt.rpartition("@")[2] not in self.server.domains and self.user is None:
            self.world.fault("server %d was asked for %s" % (self.server.number, rcpt), "\n".join(self.said))
        if rcpt.startswith("nobody"):
            return await self.put("550 5.1.1 <%s> nobody here" % rcpt)
        if (await self.put("250 2.1.5 <%s> ok" % rcpt))[0] == "2":
            self.rcpts.append(rcpt)

    async def do_DATA(self, line):
        if not self.rcpts:
            return await self.write("503 5.5.1 no recipients\r\n")
        if self.server.verifies:
            self.world.fault("DATA to the server that is only asked")
        if await self.put("354 go on") != "354":
            return
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n.\r\n"), 60)
        await self.commit(data[:-3].replace(b"\r\n..", b"\r\n."))

    async def do_BDAT(self, line):
        words = line.split()
        if "CHUNKING" not in self.world.offers:
            self.world.fault("BDAT was not offered")
        self.chunks += await self.reader.readexactly(int(words[1]))
        if not self.rcpts:
            return await self.write("503 5.5.1 no recipients\r\n")
        if words[-1] == b"LAST":
            await self.commit(self.chunks)
        else:
            await self.put("250 ok")

    async def commit(self, octets):
        """The answer to the message, one or (LMTP) many; it is decided before it is said."""
        r, world = self.random, self.world
        sender, rcpts = self.sender, self.rcpts
        self.clear()
        answers = rcpts if world.lmtp else [None]
        for i, who in enumerate(answers):
            fate = r.random()
            evil = 0 if world.stopping else world.evil
            whom = [who] if who else rcpts
            if fate < evil * 0.3:
                await self.write("451 4.2.0 <%s> not now\r\n" % whom[0])
            elif fate < evil * 0.6:
                await self.write("554 5.2.0 <%s> not wanted\r\n" % whom[0])
            elif fate < evil * 0.7:
                for w in whom:
                    self.note(octets, w, sender, False)
                what = r.choice(["close", "reset", "hang", "354"])
                if what == "hang":
                    await asyncio.sleep(3.5)
                elif what == "354":
                    await self.write("354 what?\r\n")
                self.abrupt = what == "reset"
                raise Hangup()
            elif fate < evil * 0.8:
                raise Hangup()
            else:
                if fate < evil:
                    await asyncio.sleep(0.2)
                for w in whom:
                    self.note(octets, w, sender, True)
                await self.write("250 2.0.0 <%s> saved\r\n" % whom[0])
                if r.random() < evil / 3 and i + 1 == len(answers):
                    raise Hangup()

    def note(self, octets, rcpt, sender, heard):
        token = re.search(rb"\r\nX-Token: (\S+)\r\n", b"\r\n" + octets)
        token = token.group(1).decode() if token else "?"
        at = octets.find(b"X-Token:")
        self.world.deliveries.append(Delivery(self.server.number, token, rcpt, sender, octets[at:], heard, self.origin, self.user))


class Message:
    serial = 0

    def __init__(self, client, kind):
        Message.serial += 1
        r = client.random
        self.token = "%d-%d" % (client.number, Message.serial)
        self.client, self.kind = client, kind
        self.sender = "s%s@example.net" % self.token
        body = [b"Subject: hello", b""]
        if kind == "strict":
            body.append(b"This is a " + REFUSED_BY_STRICT + b".")
        elif kind == "scanner":
            body.insert(0, b"X-Test-Scanner: " + r.choice([b"die", b"die-early", b"hang", b"nonsense", b"eof", b"oversize"]))
        elif kind == "refused":
            body.append(b"This is a " + REFUSED_BY_ALL + b".")
        for _ in range(r.choice([0, 1, 5, 50, 300, 2500 if client.world.small_spool else 300])):
            body.append(r.choice([b"", b".", b"..", b"a line", b"x" * 70, b".dot " + b"y" * 20]))
        self.octets = b"\r\n".join([b"X-Token: " + self.token.encode()] + body) + b"\r\n"
        if len(self.octets) > client.world.max_size:
            self.octets = self.octets[:client.world.max_size // 2 - 2].rstrip(b"\r") + b"\r\n"
        self.rcpts = []       # of the attempt that runs: accepted ones
        self.attempts = []    # (rcpts, outcome per rcpt): "250", "4", "5", "?" (sent whole, nothing heard), "-" (not sent whole)
        self.malformed = False
        self.user = None
        self.senders = set()  # as whom it was sent: the ledger's retries come from the same


class Gone(Exception):
    """The session has ended."""


class Client:
    def __init__(self, world, number):
        self.world, self.number = world, number
        self.random = random.Random(world.seed * 1000003 + number)
        self.address = "127.0.%d.%d" % (number % 5 + 1, number % 3 + 1)
        self.story = []
        self.again = None  # a message to be sent once more
        self.origin = self.address

    async def open(self):
        r = self.random
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.world.gatepost.port(), limit=1 << 20,
                                                                 local_addr=(self.address, 0))
        self.story.append("-- connected")
        self.origin = self.address
        self.esmtp = self.authed = self.tls = False
        reply = await self.reply()
        if reply[0] != "220":
            raise Gone()

    def send(self, octets):
        self.story.append("C: " + repr(octets[:300])[2:-1])
        self.writer.write(octets)

    async def push(self, octets):
        """Sends in one piece or in many."""
        r = self.random
        if r.random() < 0.15 and len(octets) > 1:
            for _ in range(r.randrange(1, 4)):
                cut = r.randrange(len(octets))
                self.send(octets[:cut])
                octets = octets[cut:]
                await asyncio.sleep(r.choice([0, 0.001, 0.05]))
        self.send(octets)
        try:
            await asyncio.wait_for(self.writer.drain(), PATIENCE)
        except (ConnectionError, asyncio.TimeoutError):
            pass

    async def reply(self):
        """(code, text of all lines); Gone when the session ended instead."""
        lines = []
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE)
            except asyncio.TimeoutError:
                raise Fault("no answer in time")
            except (asyncio.IncompleteReadError, ConnectionError) as e:
                if lines:
                    raise Fault("half a reply")
                self.story.append("S: (closed %s)" % type(e).__name__)
                raise Gone()
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            self.story.append("S: " + text)
            if not re.match(r"[2345]\d\d[ -]", text):
                raise Fault("no reply: " + text)
            lines.append(text)
            if text[3] == " ":
                return lines[-1][:3], "\n".join(lines)

    async def expect(self, about):
        """The reply to a command; a goodbye ends the session, and nothing stands behind it."""
        code, text = await self.reply()
        for at in re.findall(r"<([^>]*@[^>]*)>", text):
            if about is None or at not in about:
                raise Fault("an answer about <%s> to %s" % (at, about))
        if code in ("421", "221", "521") or "Improper pipelining" in text or "This is a mail server" in text:
            if code != "421" or True:
                raise Gone()
        return code

    # One session.

    async def run(self):
        try:
            await self.open()
            await self.hello()
            for _ in range(self.random.choice([1, 2, 3, 6])):
                await self.random.choice([self.message] * 8 + [self.oddities] * 4 + [self.hello, self.auth, self.auth, self.xclient,
                                         self.wild, self.chunk_nonsense])()
            if self.random.random() < 0.6:
                await self.push(b"QUIT\r\n")
                await self.expect(None)
        except Gone:
            pass
        except (ConnectionError, OSError) as e:
            self.story.append("-- %r" % e)
        except Fault:
            if self.world.turmoil not in ("worker", "term"):
                raise
        finally:
            if hasattr(self, "writer"):
                if self.random.random() < 0.3:
                    self.abort()
                else:
                    self.writer.close()

    def abort(self):
        try:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, AttributeError):  # closed already
            pass
        self.story.append("-- reset")
        try:
            self.writer.transport.abort()
        except AttributeError:
            pass

    async def command(self, text, about=None):
        await self.push(text.encode() + b"\r\n")
        return await self.expect(about)

    async def hello(self):
        self.esmtp = self.random.random() < 0.95
        code = await self.command("%s c%d.example.net" % ("EHLO" if self.esmtp else "HELO", self.number))
        if code != "250":
            raise Fault("hello: " + code)
        if not self.tls and not self.authed and self.random.random() < 0.1 and await self.command("STARTTLS") == "220":
            await asyncio.wait_for(self.writer.start_tls(client_context(), server_hostname=env.HOSTNAME), PATIENCE)
            self.tls, self.authed = True, False
            await self.hello()

    async def oddities(self):
        r = self.random
        verbs = ["NOOP", "RSET", "HELP", "HELP MAIL", "VRFY bob@example.org", "EXPN list", "ETRN example.org", "TURN", "BOGUS", "RSET x",
                 "RCPT TO:<bob@example.org>", "MAIL FROM:<>x", "MAIL FROM:<a@b> SIZE=99999999", "NOOP " + "x" * 3000, "XFORWARD ADDR=1",
                 "MAIL FROM:<é@example.net>", "EHLO", "DATA x", "AUTH", "VRFY bob", "XFORWARD HELO=x"]
        commands = [r.choice(verbs) for _ in range(r.choice([1, 1, 2, 5]))]
        if not all(c.startswith("MAIL") for c in commands[:-1]) or True:
            packet = b"".join(c.encode() + b"\r\n" for c in commands)
        # AUTH and EHLO want nothing behind them: then the session ends there.
        await self.push(packet)
        for c in commands:
            await self.expect(["bob@example.org", "list", "bob"] if c.startswith(("RCPT", "VRFY")) else None)
        await self.command("RSET")

    async def auth(self):
        r = self.random
        right = r.random() < 0.6
        secret = base64.b64encode(b"\0u%d\0%s" % (self.number, b"right" if right else b"wrong")).decode()
        how = r.choice(["plain", "plain", "login", "cancel", "junk", "half"])
        if how == "plain":
            code = await self.command("AUTH PLAIN " + secret)
        elif how == "login":
            code = await self.command("AUTH LOGIN")
            if code == "334":
                code = await self.command(base64.b64encode(b"u%d" % self.number).decode())
            if code == "334":
                code = await self.command(base64.b64encode(b"right" if right else b"wrong").decode())
        elif how == "half":
            code = await self.command("AUTH PLAIN")
            if code == "334" and r.random() < 0.5:
                if r.random() < 0.5:
                    await asyncio.sleep(0.1)
                self.abort()
                raise Gone()
            if code == "334":
                code = await self.command(secret)
        elif how == "cancel":
            code = await self.command("AUTH CRAM-MD5")
            if code == "334":
                code = await self.command("*")
        else:
            code = await self.command("AUTH LOGIN " + r.choice(["=", "!!!", secret, "*"]))
            if code == "334":
                code = await self.command(r.choice(["", "!!", secret, "*", "=" * 9]))
                if code == "334":
                    code = await self.command("*")
        if code == "235":
            self.authed = True

    async def xclient(self):
        if not self.world.xclient:
            return
        where = "192.0.2.%d" % self.random.randrange(1, 20)
        code = await self.command("XCLIENT ADDR=%s" % where)
        if code == "220":
            self.origin, self.authed = where, False
            await self.hello()

    async def wild(self):
        """Octets without a plan; every answer is good as long as one comes or the session ends."""
        r = self.random
        pieces = [b"MAIL FROM:<w@example.net>\r\n", b"RCPT TO:<fay@example.org>\r\n", b"RSET\r\n", b"\r\n", b"DATA\r\n", b".\r\n", b"BDAT 5\r\n",
                  b"BDAT 3 LAST\r\n", b"abc", b"NOOP\r\n", b"EHLO x\r\n", b"AUTH PLAIN\r\n", b"STARTTLS\r\n", b"\n", b"\0", b"VRFY fay\r\n", b"QUIT\r\n",
                  b"BDAT 99999999 LAST\r\n", b"BDAT\r\n", b"HELO y\r\n", b"x" * 5000]
        for _ in range(r.randrange(1, 12)):
            self.send(r.choice(pieces))
            if r.random() < 0.2:
                await asyncio.sleep(r.choice([0.001, 0.02, 0.1]))
        end = r.choice(["quit", "close", "reset", "half"])
        if end == "quit":
            self.send(b"\r\n.\r\nQUIT\r\n")
        if end in ("quit", "half"):
            if self.writer.can_write_eof():
                try:
                    self.writer.write_eof()
                except (OSError, NotImplementedError):
                    pass
            self.story.append("-- half-closed")
            try:
                while True:
                    await self.reply()
            except Fault as e:
                if "time" in str(e):
                    raise
        elif end == "reset":
            self.abort()
        raise Gone()

    async def chunk_nonsense(self):
        r = self.random
        n = r.choice([0, 1, 7, 3000])
        # No transaction: its octets are read and forgotten, whatever they look like.
        await self.push(b"BDAT %d%s\r\n" % (n, r.choice([b"", b" LAST"])) + (b"QUIT\r\n" * n)[:n])
        code = await self.expect(None)
        if code[0] != "5":
            raise Fault("a chunk of nothing: " + code)

    # One message.

    async def message(self):
        r = self.random
        m, self.again = self.again, None
        first = m is None
        if first:
            m = Message(self, r.choice(["plain"] * 6 + ["strict"] * 3 + ["refused"] + ["scanner"] * self.world.hooks))
            self.world.messages.append(m)
            domain = "example.com" if self.world.two_routes and r.random() < 0.4 else "example.org"
            m.wanted = ["%s@%s" % (who, domain) for who in r.sample(PEOPLE, r.choice([1, 1, 2, 3, 5]))]
            if r.random() < 0.1:
                m.wanted.insert(r.randrange(len(m.wanted) + 1), "nobody@" + domain)
            m.prdr = self.esmtp and r.random() < 0.4
            m.chunked = self.esmtp and r.random() < 0.35
        if not self.esmtp:
            m.prdr = m.chunked = False
        m.user, m.origin = self.authed, self.origin
        m.senders.add((self.authed, self.origin))
        m.rcpts = []
        attempt = {}  # outcome by recipient
        m.attempts.append(attempt)
        commands = [("MAIL FROM:<%s>%s" % (m.sender, " PRDR" if m.prdr else ""), [m.sender])]
        commands += [("RCPT TO:<%s>" % w, [w, m.sender]) for w in m.wanted]
        if r.random() < 0.1:
            commands.insert(r.randrange(1, len(commands) + 1), (r.choice(["NOOP", "HELP", "VRFY bob@example.org", "BOGUS"]), ["bob@example.org"]))
        if r.random() < 0.5:
            lead = not m.chunked and r.random() < 0.7
            await self.push(b"".join(c.encode() + b"\r\n" for c, _ in commands) + (b"DATA\r\n" if lead else b""))
            codes = [await self.expect(about) for _, about in commands]
        else:
            lead = False
            codes = []
            for c, about in commands:
                codes.append(await self.command(c, about))
                if r.random() < 0.02:
                    await asyncio.sleep(0.1)
        for (c, about), code in zip(commands, codes):
            if c.startswith("RCPT") and code == "250":
                m.rcpts.append(about[0])
        if r.random() < 0.03 and not lead:
            return await self.leave(m, attempt)
        if m.chunked:
            return await self.chunks(m, attempt)
        if not lead:
            self.send(b"DATA\r\n")
        code = await self.expect(m.wanted)
        if code != "354":
            if m.rcpts and code[0] == "2":
                raise Fault("DATA: " + code)
            await self.command("RSET")
            return self.outcome(m, attempt, "-")
        await self.octets(m, attempt, re.sub(rb"(^|\r\n)\.", rb"\1..", m.octets) + b".\r\n")

    async def leave(self, m, attempt):
        self.outcome(m, attempt, "-")
        self.abort() if self.random.random() < 0.5 else self.writer.close()
        raise Gone()

    async def octets(self, m, attempt, wire):
        r = self.random
        dice = r.random()
        if dice < 0.04:
            self.send(wire[:r.randrange(len(wire) - 3)])
            return await self.leave(m, attempt)
        if dice < 0.1:
            cut = r.randrange(len(wire))
            self.send(wire[:cut])
            await asyncio.sleep(r.choice([0.05, 0.15]))  # long enough to be parked
            wire = wire[cut:]
        self.outcome(m, attempt, "?")
        await self.push(wire)
        if r.random() < 0.04:
            if r.random() < 0.5:
                await asyncio.sleep(r.choice([0.001, 0.02, 0.1]))
            self.abort() if r.random() < 0.7 else self.writer.close()
            self.again = m if r.random() < 0.5 else None
            raise Gone()
        await self.hear(m, attempt)

    async def chunks(self, m, attempt):
        r = self.random
        cuts = sorted(r.randrange(len(m.octets) + 1) for _ in range(r.choice([0, 1, 3])))
        parts = [m.octets[a:b] for a, b in zip([0] + cuts, cuts + [len(m.octets)])]
        together = r.random() < 0.4
        self.outcome(m, attempt, "-")
        answers = []  # to come: is it one to a chunk?
        for i, part in enumerate(parts):
            last = i + 1 == len(parts)
            if last:
                self.outcome(m, attempt, "?")
            self.send(b"BDAT %d%s\r\n" % (len(part), b" LAST" if last else b"") + part)
            if not last:
                answers.append(True)
            if last or together:
                continue
            if r.random() < 0.1:
                await asyncio.sleep(0.1)
            if r.random() < 0.05:
                self.send(r.choice([b"NOOP\r\n", b"VRFY bob\r\n", b"MAIL FROM:<x@y>\r\n", b"DATA\r\n"]))
                answers.append(False)
            elif r.random() < 0.02:
                self.outcome(m, attempt, "-")
                await self.leave(m, attempt)
        # DATA in the place of a chunk would be refused; each chunk has its answer.
        refused = None
        for of_chunk in answers:
            code = await self.expect(m.wanted + ["x@y"])
            if of_chunk and code[0] != "2":
                refused = code
        await self.hear(m, attempt, refused)
        if refused or not m.rcpts:
            await self.command("RSET")

    def outcome(self, m, attempt, what):
        for w in m.rcpts:
            attempt[w] = what

    async def hear(self, m, attempt, refused=None):
        # 421 in the place of the answer is an answer.
        code, text = await self.reply()
        if code == "353":
            if not m.prdr or len(m.rcpts) < 2:
                raise Fault("353 without PRDR")
            for w in m.rcpts:
                code, text = await self.reply()
                about = re.findall(r"<([^>]*@[^>]*)>", text)
                attempt[w] = code if code[0] == "2" else code[0]
            code, text = await self.reply()
            good = any(o[0] == "2" for o in attempt.values())
            if good != (code[0] == "2"):
                raise Fault("the block ends with " + text)
        else:
            self.outcome(m, attempt, code if code[0] == "2" else code[0])
        if refused and code[0] == "2":
            raise Fault("250 behind a refused chunk")
        if code == "421":
            raise Gone()
        if any(o == "4" for o in attempt.values()) and self.random.random() < 0.6 and len(m.attempts) < 4:
            self.again = m
            m.wanted = [w for w in m.wanted if attempt.get(w, "")[:1] != "2"]  # whoever has it, has it


def check(world, held):
    """What must be true of all messages when everything is over."""
    byword = {}
    for d in world.deliveries:
        byword.setdefault(d.token, []).append(d)
    known = {m.token: m for m in world.messages}
    for token, ds in byword.items():
        m = known.get(token)
        for d in ds:
            if m is None:
                if d.sender != "w@example.net":
                    world.fault("a message that nobody sent: %r from %s: %r" % (token, d.sender, d.whole[:200]))
                continue
            story = "%s\n%s" % (m.token, "\n".join(m.client.story[-80:]))
            if d.sender != m.sender:
                world.fault("delivered from %s instead of %s" % (d.sender, m.sender), story)
            if d.whole != m.octets:
                world.fault("not the octets that were sent: %r ... %r" % (d.whole[-80:], m.octets[-80:]), story)
            if d.user is not None and not any(user for user, _ in m.senders):
                world.fault("delivered in the session of somebody who has authenticated", story)
            if world.identity.startswith("proxy") and d.origin not in [origin for _, origin in m.senders]:
                world.fault("the server was told %s instead of %s" % (d.origin, m.senders), story)
    for m in world.messages:
        story = "%s %s attempts %s\nat servers: %s\nheld: %s\n%s" % (
            m.token, m.kind, m.attempts, [(d.backend, d.rcpt, d.heard) for d in byword.get(m.token, [])],
            held.get(m.sender), "\n".join(m.client.story[-100:]))
        for rcpt in {w for a in m.attempts for w in a}:
            fates = [a[rcpt] for a in m.attempts if rcpt in a]
            ds = [d for d in byword.get(m.token, []) if d.rcpt == rcpt]
            sure, unsure = sum(d.heard for d in ds), sum(not d.heard for d in ds)
            kept = held.get(m.sender, []).count(rcpt)
            if (m.kind in ("refused", "scanner") or (m.kind == "strict" and rcpt[:3] in ("bob", "eve"))) and ds:
                world.fault("%s got what its profile refuses" % rcpt, story)
            good = sum(f[0] == "2" for f in fates)
            loose = sum(f in "?4" for f in fates)
            if good > 1:
                continue  # never: nobody sends again what was accepted
            if good and sure + kept < 1:
                world.fault("LOST: %s" % rcpt, story)
            if fates and all(f in "5-" for f in fates) and sure + kept > 0:
                world.fault("refused and delivered: %s" % rcpt, story)
            if world.turmoil in ("keeper", "worker"):
                continue  # who had to remember it was killed
            if good and loose == 0 and (sure + kept != 1 or unsure):
                world.fault("accepted once, delivered %d times (%d unsure, %d held): %s" % (sure, unsure, kept, rcpt), story)
            if world.ledger and len(m.senders) < 2 and sure + kept > 1 + fates.count("?"):
                world.fault("TWICE with a ledger: %d and %d held: %s" % (sure, kept, rcpt), story)
            if sure + kept + unsure > len([f for f in fates if f != "-"]):
                world.fault("more copies than attempts: %s" % rcpt, story)


def quarantined(world):
    """Recipients by sender, from what the log says was put there."""
    text = (world.gatepost.dir / "stderr").read_text("utf-8", "backslashreplace")
    held = {}
    listing = world.gatepost.run("ctl", "quarantine", "list", "--json")
    for sender, rcpts in re.findall(r'"from": ?"([^"]*)".*?"(?:to|rcpts|recipients)": ?\[([^\]]*)\]', listing.stdout, re.DOTALL):
        held.setdefault(sender, []).extend(re.findall(r'"([^"]+)"', rcpts))
    if listing.stdout.split() not in ([], ["[", "]"], ["[]"]) and not held:
        raise Fault("what is in quarantine cannot be read: " + listing.stdout[:500] + listing.stderr)
    return held, text


async def play(seed, sessions, at_once=40, fixed=()):
    world = World(seed)
    for name, value in fixed:
        setattr(world, name, value)
    if world.auth and "AUTH PLAIN LOGIN CRAM-MD5" not in world.offers:
        world.offers.append("AUTH PLAIN LOGIN CRAM-MD5")
    world.messages = []
    await world.start()
    gate = asyncio.Semaphore(at_once)

    async def one(number):
        client = Client(world, number)
        async with gate:
            again = None
            for _ in range(3):
                client.again = again
                try:
                    await asyncio.wait_for(client.run(), 120)
                except ssl.SSLError as e:
                    client.story.append("-- %r" % e)
                except Fault as e:
                    world.fault("%s (client %d)" % (e, number), "\n".join(client.story[-60:]))
                    return
                except asyncio.TimeoutError:
                    world.fault("a client that never ends", "\n".join(client.story[-60:]))
                    return
                again = client.again
                if again is None:
                    return

    stirring = asyncio.create_task(world.stir())
    await asyncio.gather(*[one(i) for i in range(sessions)])
    world.stopping = world.over = True
    await stirring
    if world.turmoil == "term":  # what is in quarantine can be asked no more
        return await end(world)
    await asyncio.sleep(0.1)
    # Those whose clients went away behind the dot are still being delivered.
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        log = (world.gatepost.dir / "stderr").read_text("utf-8", "backslashreplace")
        opened, ended = set(re.findall(r"(\w{13}): greeted -> ready", log)), set(re.findall(r"connection=(\w{13})", log))
        if not opened - ended or world.turmoil == "worker":
            break
        await asyncio.sleep(0.2)
    else:
        world.fault("sessions that never end: %s" % sorted(opened - ended)[:5],
                    "\n".join(line for line in log.split("\n") if sorted(opened - ended)[0][:13] in line)[-3000:])
    held, log = await asyncio.to_thread(quarantined, world)
    pids = world.turmoil in ("none", "reload") and not world.hooks and re.findall(r"[^\n]*(?:died|was killed|signal \d+)[^\n]*", log)
    if pids:
        world.fault("a process died: " + pids[0])
    check(world, held)
    return await end(world)


async def end(world):
    for server in world.backends:
        server.server.close()
    try:
        directory = world.gatepost.dir
        gone = world.gatepost.process
        await asyncio.to_thread(gone.stop, env.PATIENCE * 2)
        world.gatepost._check_sanitizer()
        if gone.child.returncode != 0:
            world.fault("ended with %s" % gone.child.returncode, gone.log()[-3000:])
    except AssertionError as e:
        world.fault("SANITIZER", str(e)[:6000])
    world.directory = directory
    return world


def tell(world):
    return "seed %d: %d messages, %d copies, %s lmtp=%d ledger=%d evil=%g identity=%s split=%s %s%s%s%s%s%s rows=%s" % (
        world.seed, len(world.messages), len(world.deliveries), ",".join(world.offers), world.lmtp, world.ledger, world.evil, world.identity,
        world.split, "two-servers " * world.two_servers, "two-routes " * world.two_routes, "verify " * world.verify, "auth " * world.auth,
        "small-spool " * world.small_spool, "few " * world.few_processes + "hooks " * world.hooks + world.turmoil, " ".join(world.backend_rows()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=150)
    parser.add_argument("--keep", action="store_true", help="leaves the directories of worlds with faults")
    parser.add_argument("--at-once", type=int, default=40)
    parser.add_argument("--fix", action="append", default=[], metavar="NAME=VALUE", help="what a world shall not draw: lmtp=0")
    args = parser.parse_args()
    fixed = [(name, type(getattr(World(0), name))(float(value) if re.fullmatch(r"[\d.]+", value) else value))
             for name, value in (each.split("=") for each in args.fix)]
    bad = total = mails = 0
    for seed in range(args.seed, args.seed + args.worlds):
        world = asyncio.run(play(seed, args.sessions, args.at_once, fixed))
        total += args.sessions
        mails += len(world.messages)
        print(("FAULTS %d " % len(world.faults) if world.faults else "good ") + tell(world), flush=True)
        for fault in world.faults[:6]:
            print("   " + fault.replace("\n", "\n      "), flush=True)
        bad += bool(world.faults)
        if world.faults and args.keep:
            print("   in", world.directory, flush=True)
        else:
            world.gatepost.discard()
    print("%d worlds, %d sessions, %d messages, %d worlds with faults" % (args.worlds, total, mails, bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
