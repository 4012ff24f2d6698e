#!/usr/bin/python3
"""An SMTP or LMTP server that refuses what is not by the RFCs, misbehaves as a script says, and records all.

    strict_smtp.py --port N [--lmtp] [--offers "PIPELINING, SIZE 1000000, DSN"] [--script FILE] [--record FILE] [--terse]
                   [--cert FILE --key FILE [--implicit]] [--login USER:PASSWORD] [--no-users NAME,...] [--below PID]

What is offered is understood and checked to the letter (strict_rules.py); what is not offered is refused. A
fault (a parameter that was not offered, a command out of order, a bare CR or LF, 8-bit without 8BITMIME, a
group of commands that does not end where it must...) is answered 5xx and recorded. STARTTLS is offered when
there is a certificate, not inside TLS.

The script (JSON) is a list of rules; the first that fits is what happens at a step instead of the usual:

    [{"at": "rcpt", "if": "bob@", "do": ["450 4.2.1 Later"]},
     {"at": "dot", "nth": 3, "do": ["(wait 0.2)", "(usual)"]},
     {"at": "commit", "every": 500, "do": ["(die)"]}]

"at" is a step: connect, helo, starttls, auth, mail, rcpt, data, body (the first octets of a message are
there), bdat (a chunk), dot (the whole message is there), commit (it is in the record, nothing is said yet),
answer (a reply for one recipient: LMTP, PRDR), done (behind the last reply), rset, quit, other. "if": a
regular expression for the command, or at answer for the recipient; "nth": only the time that the rule's step
comes for the nth time (1 is the first), "every": each so manieth time, "chance": by lot, 0.01 in one of a
hundred times, "conn": only in the nth connection.
An action is a reply (a list of strings is a longer one), or

    (usual)            what a good server does here
    (hang)             nothing any more, until the client leaves
    (close) (reset)    the end of this connection
    (wait 0.2)         seconds
    (die)              the end of this process, as by kill -9
    (kill peer)        kill -9 for the process at the other end of this connection, if it is one below --below
    (kill TITLE)       the same for one below it whose title in ps matches this regular expression

The record has a line of JSON for each event: connect, command, auth, message, kill, end; --terse: only messages,
with a digest instead of their octets, and kills. A message is in the record before its reply is on its way; its
"cut" is what the script does instead of that reply, or to whom it goes."""

import argparse
import asyncio
import base64
import binascii
import hashlib
import hmac
import json
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

sys.path.insert(0, str(Path(__file__).resolve().parent))
import strict_rules as rules  # noqa: E402
from strict_rules import Refusal  # noqa: E402

EVERYTHING = ("PIPELINING, SIZE 104857600, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES, CHUNKING, BINARYMIME, "
              "AUTH PLAIN LOGIN CRAM-MD5, DELIVERBY 240, REQUIRETLS, PRDR, LIMITS RCPTMAX=1000 MAILMAX=1000, ETRN, VRFY, HELP, "
              "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE, XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
LINE_MAX = 16384  # octets; AUTH may bring 12,288
MARK = re.compile(rb"^X-Load-Id: *(\d+)[^\n]*\n", re.MULTILINE)  # what tests/bench/load.c writes above a message


class Gone(Exception):
    """The connection is over; the word is how."""


def below(pid):
    """All processes below one."""
    found = [pid]
    for one in found:
        try:
            with open("/proc/%d/task/%d/children" % (one, one)) as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return found[1:]


def title(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().split(b"\0")[0].decode("ascii", "replace")
    except OSError:
        return ""


def holds(pid, socket_name):
    """Whether a process has this socket among its descriptors."""
    directory = "/proc/%d/fd" % pid
    try:
        for name in os.listdir(directory):
            try:
                if os.readlink(directory + "/" + name) == socket_name:
                    return True
            except OSError:
                pass
    except OSError:
        pass
    return False


def peer_socket(peer, own):
    """The other end of a connection on 127.0.0.1, by its two ports: "socket:[4711]"."""
    ends = ("0100007F:%04X" % peer, "0100007F:%04X" % own)
    with open("/proc/net/tcp") as f:
        for line in f:
            words = line.split()
            if (words[1], words[2]) == ends:
                return "socket:[%s]" % words[9]
    return None


class Rule:
    def __init__(self, at, do, nth=None, every=None, chance=None, conn=None, **more):
        self.at, self.do, self.nth, self.every, self.chance, self.conn = at, do, nth, every, chance, conn
        self.regex = re.compile(more.pop("if")) if "if" in more else None
        self.came = 0
        if more:
            raise ValueError("a rule knows no %s" % ", ".join(more))

    def fits(self, number, text):
        if self.conn is not None and self.conn != number or self.regex is not None and not self.regex.search(text):
            return False
        self.came += 1
        return ((self.nth is None or self.nth == self.came) and (self.every is None or self.came % self.every == 0)
                and (self.chance is None or random.random() < self.chance))


class Transaction:
    def __init__(self, sender, said):
        self.sender, self.said = sender, said
        self.recipients = []  # (path, parameters), those that were accepted
        self.refused = []
        self.chunks, self.octets = [], bytearray()

    @property
    def binary(self):
        return (self.said.get("BODY") or "").upper() == "BINARYMIME"

    @property
    def eight(self):
        return (self.said.get("BODY") or "").upper() in ("8BITMIME", "BINARYMIME") or "SMTPUTF8" in self.said


class Connection(asyncio.Protocol):
    """Octets in, octets out; `session` reads from here."""

    def __init__(self, server):
        self.server, self.buffer, self.ended, self.waiting = server, bytearray(), False, None
        self.transport = self.session = None

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.session is None:
            self.session = Session(self.server, self)
            task = asyncio.get_running_loop().create_task(self.session.run())
            self.server.tasks.add(task)
            task.add_done_callback(self.server.tasks.discard)

    def data_received(self, octets):
        self.buffer += octets
        self._wake()

    def eof_received(self):
        self.ended = True
        self._wake()
        return True  # our own side stays open: who half-closes wants the answers

    def connection_lost(self, error):
        self.ended = True
        self._wake()

    def _wake(self):
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    async def more(self):
        if self.ended:
            raise Gone("closed by the client")
        self.waiting = asyncio.get_running_loop().create_future()
        await self.waiting

    async def line(self):
        start = 0
        while True:
            end = self.buffer.find(b"\n", start)
            if end >= 0:
                octets = bytes(self.buffer[:end + 1])
                del self.buffer[:end + 1]
                return octets
            start = len(self.buffer)
            if start > LINE_MAX:
                self.buffer.clear()
                return b"x" * LINE_MAX + b"\r\n"
            await self.more()

    async def octets(self, n):
        while len(self.buffer) < n:
            await self.more()
        taken = bytes(self.buffer[:n])
        del self.buffer[:n]
        return taken

    async def to_the_dot(self):
        """A message as it came, without the CRLF.CRLF's last three octets."""
        start = 0
        while True:
            if start == 0 and self.buffer.startswith(b".\r\n"):
                end = -2
            else:
                end = self.buffer.find(b"\r\n.\r\n", max(0, start - 5))
            if end != -1:
                octets = bytes(self.buffer[:end + 2])
                del self.buffer[:end + 5]
                return octets
            start = len(self.buffer)
            await self.more()

    async def tls(self, context):
        self.transport.pause_reading()
        self.transport = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_side=True)
        self.transport.resume_reading()


class Session:
    def __init__(self, server, connection):
        self.server, self.conn = server, connection
        server.connections += 1
        self.number = server.connections
        self.tls = server.implicit
        self.hello = self.user = self.transaction = None
        self.mails, self.replies, self.fault, self.step = 0, [], None, None
        self.forward, self.identity = {}, {}

    @property
    def offers(self):
        return self.server.offers

    # What goes out, and the script.

    def say(self, *lines):
        """One reply."""
        text = [line[:3] + "-" + line[4:] for line in lines[:-1]] + [lines[-1]]
        self.replies += text
        self.conn.transport.write("".join(line + "\r\n" for line in text).encode("utf-8"))

    async def at(self, step, text=""):
        """What the script says for a step; True when it has answered, so that the usual must not happen."""
        rule = self.rule(step, text)
        return rule is not None and await self.follow(step, rule)

    def rule(self, step, text=""):
        return next((rule for rule in self.server.script.get(step, ()) if rule.fits(self.number, text)), None)

    async def follow(self, step, rule):
        self.step = step
        return not await self._play(rule.do)

    async def _play(self, actions):
        """True: the usual comes next."""
        for action in actions:
            if isinstance(action, list):
                self.say(*action)
            elif not action.startswith("("):
                self.say(action)
            elif action == "(usual)":
                return True
            elif action.startswith("(wait "):
                await asyncio.sleep(float(action[6:-1]))
            elif action == "(hang)":
                while True:
                    await self.conn.more()
                    self.conn.buffer.clear()
            elif action == "(die)":
                os.kill(os.getpid(), signal.SIGKILL)
            elif action.startswith("(kill "):
                self._kill(action[6:-1])
            elif action in ("(close)", "(reset)"):
                if action == "(reset)":
                    self.conn.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                                            struct.pack("ii", 1, 0))
                    self.conn.transport.abort()
                raise Gone("closed by the script")
            else:
                raise ValueError("no action: " + action)
        return False

    def _kill(self, whom):
        """Nobody is killed when nobody fits: then no "kill" is recorded."""
        victims = below(self.server.below) if self.server.below else []
        if whom == "peer":
            sock = self.conn.transport
            name = peer_socket(sock.get_extra_info("peername")[1], sock.get_extra_info("sockname")[1])
            victims = [pid for pid in victims if name and holds(pid, name)]
            text = [title(pid) for pid in victims]
        else:
            text = {pid: title(pid) for pid in victims}
            victims = [pid for pid in victims if re.search(whom, text[pid])]
            text = [text[pid] for pid in victims]
        if victims:
            at = random.randrange(len(victims))
            os.kill(victims[at], signal.SIGKILL)
            self.record("kill", whom=text[at], step=self.step)

    def record(self, event, **more):
        self.server.write({"event": event, "conn": self.number, **more})

    # The life of a connection.

    async def run(self):
        how = None
        try:
            if self.server.implicit:
                await self.conn.tls(self.server.context)
            self.record("connect", peer="%s:%d" % self.conn.transport.get_extra_info("peername")[:2])
            if not await self.at("connect"):
                self.say("220 %s strict %s" % (self.server.hostname, "LMTP" if self.server.lmtp else "ESMTP"))
            while True:
                await self.command(await self.conn.line())
        except Gone as gone:
            how = str(gone)
        except (OSError, ssl.SSLError) as error:
            how = str(error)
        finally:
            if self.conn.buffer and how == "quit":
                how = "quit, with octets behind it"
            self.record("end", how=how, inside=self.transaction is not None)
            self.conn.transport.close()

    async def command(self, octets):
        self.replies, self.fault = [], None
        text = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
        try:
            line = rules.line(octets, self.offers)
            text = line
            verb = line.split(" ", 1)[0].upper()
            self.check_group(verb)
            handler = getattr(self, "do_" + verb.lower(), None) if verb.isalpha() else None
            if handler is None or not self.knows(verb):
                raise Refusal("500 5.5.1 No such command: %s" % verb[:40])
            await handler(line)
        except Refusal as refusal:
            self.refuse(str(refusal))
        finally:
            shown = re.sub(r"(?i)^(AUTH \S+) .*", r"\1 (secret)", text)
            self.record("command", line=shown, reply=self.replies, fault=self.fault)

    def refuse(self, reply):
        self.fault = reply
        self.server.faults += 1
        self.say(reply)

    def knows(self, verb):
        needs = {"BDAT": "CHUNKING", "ETRN": "ETRN", "VRFY": "VRFY", "EXPN": "EXPN", "HELP": "HELP", "AUTH": "AUTH",
                 "XCLIENT": "XCLIENT", "XFORWARD": "XFORWARD"}
        if verb in ("EHLO", "HELO"):
            return not self.server.lmtp
        if verb == "LHLO":
            return self.server.lmtp
        if verb == "STARTTLS":
            return self.server.context is not None and not self.server.implicit
        return verb not in needs or needs[verb] in self.offers

    def check_group(self, verb):
        """RFC 2920: who sends more before the answer must have been offered that, and end groups where they end."""
        if not self.conn.buffer:
            return
        if "PIPELINING" not in self.offers and verb != "BDAT":
            self.conn.buffer.clear()
            raise Refusal("554 5.5.0 More commands before the answer; PIPELINING is not offered")
        if verb in rules.LAST:
            self.conn.buffer.clear()
            raise Refusal("554 5.5.0 Commands behind %s in one group" % verb)

    def alone(self, line):
        if " " in line:
            raise Refusal("501 5.5.4 %s takes no argument" % line.split(" ")[0])

    def reset(self):
        self.transaction, self.forward = None, {}

    # Greetings, TLS, AUTH.

    async def hello_(self, line, extended):
        name = line[5:]
        if not rules.HELLO.fullmatch(name):
            raise Refusal("501 5.5.4 Not a name: %s" % name[:80])
        if await self.at("helo", line):
            return
        self.hello = name
        self.reset()
        words = self.server.offered(self.tls) if extended else []
        self.say(*["250 " + word for word in [self.server.hostname] + words])

    async def do_ehlo(self, line):
        await self.hello_(line, True)

    async def do_lhlo(self, line):
        await self.hello_(line, True)

    async def do_helo(self, line):
        await self.hello_(line, False)

    async def do_starttls(self, line):
        self.alone(line)
        if self.tls:
            raise Refusal("503 5.5.1 TLS is active already")
        if await self.at("starttls", line):
            return
        self.say("220 2.0.0 Go on")
        await self.conn.tls(self.server.context)
        self.tls, self.hello, self.user = True, None, None
        self.reset()

    async def do_auth(self, line):
        if self.hello is None or self.transaction is not None or self.user is not None:
            raise Refusal("503 5.5.1 AUTH is not allowed now")
        words = line.split(" ")
        mechanism = words[1].upper() if 2 <= len(words) <= 3 else ""
        if mechanism not in self.offers["AUTH"].split():
            raise Refusal("504 5.5.4 This mechanism was not offered")
        if await self.at("auth", mechanism):
            return
        initial = None if len(words) == 2 else b"" if words[2] == "=" else self.decode(words[2])
        user, password = await getattr(self, "sasl_" + mechanism.lower().replace("-", "_"), self.sasl_any)(initial)
        good = self.server.login is None or (user, password) == self.server.login
        self.user = user if good else None
        self.record("auth", mechanism=mechanism, user=user, good=good)
        self.say("235 2.7.0 Hello" if good else "535 5.7.8 Wrong")

    def decode(self, text):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal("501 5.5.2 Not base64") from None

    async def challenge(self, octets):
        self.say("334 " + base64.b64encode(octets).decode())
        answer = await self.conn.line()
        if answer == b"*\r\n":
            raise Refusal("501 5.0.0 Cancelled")
        if not answer.endswith(b"\r\n"):
            raise Refusal("500 5.5.2 A line that ends in a bare LF")
        return self.decode(answer[:-2].decode("latin-1"))

    async def sasl_plain(self, initial):
        parts = (await self.challenge(b"") if initial is None else initial).split(b"\0")
        if len(parts) != 3:
            raise Refusal("501 5.5.2 Not what PLAIN says")
        return parts[1].decode(), parts[2].decode()

    async def sasl_login(self, initial):
        user = await self.challenge(b"Username:") if initial is None else initial
        return user.decode(), (await self.challenge(b"Password:")).decode()

    async def sasl_cram_md5(self, initial):
        if initial is not None:
            raise Refusal("501 5.7.0 CRAM-MD5 has no initial response")
        challenge = b"<%d.%d@strict>" % (os.getpid(), time.monotonic_ns())
        user, _, digest = (await self.challenge(challenge)).decode().rpartition(" ")
        login = self.server.login or (user, "")
        right = user == login[0] and hmac.compare_digest(digest, hmac.new(login[1].encode(), challenge, "md5").hexdigest())
        return (login if right else (user, None)) if self.server.login else (user, "")

    async def sasl_any(self, initial):
        """A mechanism that is not understood: what is said is noted, and anybody is welcome."""
        said = await self.challenge(b"") if initial is None else initial
        return said.decode("latin-1"), ""

    # A transaction.

    async def do_mail(self, line):
        if self.hello is None:
            raise Refusal("503 5.5.1 MAIL before a greeting")
        if self.transaction is not None:
            raise Refusal("503 5.5.1 MAIL inside a transaction")
        sender, said = rules.mail(line, self.offers, self.tls)
        limit = self.server.limit("MAILMAX")
        self.mails += 1
        if limit is not None and self.mails > limit:
            raise Refusal("452 4.5.3 More than %d messages in one connection" % limit)
        if await self.at("mail", line):
            return
        most = int(self.offers.get("SIZE") or 0)
        if most and int(said.get("SIZE") or 0) > most:
            return self.say("552 5.3.4 Too big")
        self.transaction = Transaction(sender, said)
        self.say("250 2.1.0 Sender ok")

    async def do_rcpt(self, line):
        t = self.transaction
        if t is None:
            raise Refusal("503 5.5.1 RCPT without MAIL")
        if t.chunks:
            raise Refusal("503 5.5.1 RCPT behind BDAT")
        recipient, said = rules.rcpt(line, self.offers, "SMTPUTF8" in t.said)
        limit = self.server.limit("RCPTMAX")
        if limit is not None and len(t.recipients) + len(t.refused) >= limit:
            t.refused.append(recipient)
            raise Refusal("452 4.5.3 More than %d recipients" % limit)
        before = len(self.replies)
        if await self.at("rcpt", line):
            taken = self.replies[before:] and self.replies[-1].startswith("2")
        else:
            taken = recipient[1:].partition("@")[0] not in self.server.no_users
            self.say("250 2.1.5 Recipient ok" if taken else "550 5.1.1 No such user")
        (t.recipients if taken else t.refused).append((recipient, said) if taken else recipient)

    def ready(self):
        t = self.transaction
        if t is None:
            raise Refusal("503 5.5.1 No transaction")
        if not t.recipients:
            # RFC 2920 lets a client that pipelines send DATA all the same: no fault.
            self.say("554 5.5.1 No recipients")
            return None
        return t

    async def do_data(self, line):
        self.alone(line)
        t = self.ready()
        if t is None:
            return
        if t.chunks:
            raise Refusal("503 5.5.1 DATA behind BDAT")
        if t.binary:
            raise Refusal("503 5.5.1 DATA with BODY=BINARYMIME")
        if await self.at("data", line):
            return
        self.say("354 Go on")
        if "body" in self.server.script:
            while not self.conn.buffer:
                await self.conn.more()
            await self.at("body")
        octets = await self.conn.to_the_dot()
        wrong = rules.content(octets, False, t.eight, False)
        t.octets = re.sub(rb"(\A|\r\n)\.", rb"\1", octets) if octets.startswith(b".") or b"\r\n." in octets else octets
        await self.message("data", wrong)

    async def do_bdat(self, line):
        said = re.fullmatch(r"(?i)BDAT (\d{1,20})( LAST)?", line)
        if said is None:
            raise Refusal("501 5.5.4 BDAT SIZE [LAST] is expected")
        octets = await self.conn.octets(int(said[1]))
        t = self.transaction
        if t is None:
            raise Refusal("503 5.5.1 BDAT without MAIL")
        if not t.recipients:
            return self.say("554 5.5.1 No recipients")
        if await self.at("bdat", line):
            return
        t.chunks.append(len(octets))
        t.octets += octets
        if said[2] is None:
            return self.say("250 2.0.0 %d octets" % len(octets))
        await self.message("bdat", rules.content(bytes(t.octets), t.binary, t.eight, True))

    async def message(self, how, wrong):
        t, self.transaction = self.transaction, None
        most, declared = int(self.offers.get("SIZE") or 0), t.said.get("SIZE")
        if most and len(t.octets) > most:
            wrong = wrong or "552 5.3.4 Too big"
        if declared is not None and len(t.octets) > int(declared):
            wrong = wrong or "552 5.3.4 %d octets; SIZE=%s was said" % (len(t.octets), declared)
        if await self.at("dot"):
            return
        answers = await self.answers(t, wrong)
        self.server.messages += wrong is None
        commit, done = self.rule("commit"), self.rule("done")
        cut = commit or done
        self.write_message(t, how, answers, wrong, cut and {"at": cut.at, "do": cut.do})
        if commit is None or not await self.follow("commit", commit):
            self.fault = wrong
            self.server.faults += wrong is not None
            for answer in answers:
                self.say(answer)
        if done is not None:
            await self.follow("done", done)

    async def answers(self, t, wrong):
        """The replies behind the end of a message, in order."""
        one = wrong or "250 2.0.0 Taken as S%d" % (self.server.messages + 1)
        each = []
        for recipient, _ in t.recipients:
            said = next((rule.do[0] for rule in self.server.script.get("answer", ()) if rule.fits(self.number, recipient)), None)
            each.append(one if said is None else said)
        if self.server.lmtp:
            return each
        if "PRDR" in t.said and len(each) > 1 and wrong is None:
            best = min(each, key=lambda answer: answer[0])
            return ["353 One reply for each recipient", *each, best if best.startswith("2") else each[0]]
        return [one if wrong else each[0] if len(set(each)) == 1 else one]

    def write_message(self, t, how, answers, wrong, cut):
        octets = bytes(t.octets)
        if self.server.terse:
            mark = MARK.search(octets)
            head, rest = (octets[:mark.start()], octets[mark.end():]) if mark else (b"", octets)
            more = {"id": int(mark[1]) if mark else None, "head": head.decode("latin-1"), "digest": hashlib.sha256(rest).hexdigest()}
        else:
            more = {"octets": base64.b64encode(octets).decode(), "chunks": t.chunks, "forward": self.forward,
                    "identity": self.identity, "user": self.user, "tls": self.tls}
        self.record("message", sender=t.sender, said=t.said, recipients=t.recipients, how=how, size=len(octets), answers=answers,
                    fault=wrong, cut=cut, **more)

    # The others.

    async def do_rset(self, line):
        self.alone(line)
        if not await self.at("rset", line):
            self.reset()
            self.say("250 2.0.0 Forgotten")

    async def do_noop(self, line):
        if not await self.at("other", line):
            self.say("250 2.0.0 Ok")

    async def do_quit(self, line):
        self.alone(line)
        if not await self.at("quit", line):
            self.say("221 2.0.0 Bye")
            raise Gone("quit")

    async def do_vrfy(self, line):
        if not await self.at("other", line):
            self.say("252 2.1.5 Strictly, I do not know: %s" % line[5:])

    do_expn = do_vrfy

    async def do_help(self, line):
        if not await self.at("other", line):
            self.say("214 2.0.0 Strict is strict")

    async def do_etrn(self, line):
        if self.hello is None or self.transaction is not None:
            raise Refusal("503 5.5.1 ETRN is not allowed now")
        if not re.fullmatch(r"ETRN [@#]?%s" % rules.atoms(False)[1], line, re.IGNORECASE):
            raise Refusal("501 5.5.4 Not a domain")
        if not await self.at("other", line):
            self.say("250 2.0.0 Strictly nothing is waiting for %s" % line[5:])

    async def do_xforward(self, line):
        if self.hello is None or self.transaction is not None:
            raise Refusal("503 5.5.1 XFORWARD is not allowed now")
        self.forward.update(rules.attributes(line[9:], rules.XFORWARD))
        if not await self.at("other", line):
            self.say("250 2.0.0 Ok")

    async def do_xclient(self, line):
        if self.transaction is not None:
            raise Refusal("503 5.5.1 XCLIENT is not allowed now")
        self.identity.update(rules.attributes(line[8:], rules.XCLIENT))
        if not await self.at("other", line):
            self.reset()
            self.hello = self.user = None
            self.say("220 %s strict again" % self.server.hostname)


class Server:
    """`offers`: EHLO's words, separated by commas."""

    def __init__(self, offers=EVERYTHING, lmtp=False, script=(), record=None, terse=False, certificate=None, implicit=False,
                 login=None, no_users=(), below=None, hostname="strict.example.org"):
        self.offers = dict((word.split(None, 1) + [""])[:2] for word in map(str.strip, offers.split(",")) if word)
        self.lmtp, self.terse, self.implicit, self.hostname = lmtp, terse, implicit, hostname
        self.login, self.no_users, self.below = login, set(no_users), below
        self.script = {}
        for rule in script:
            self.script.setdefault(rule["at"], []).append(Rule(**rule))
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*map(str, certificate))
        self.record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644) if record else None
        self.connections = self.messages = self.faults = 0
        self.tasks = set()

    def offered(self, tls):
        """EHLO's lines; what may only stand there inside TLS, or outside, is left away."""
        words = [(name + " " + value).strip() for name, value in self.offers.items() if tls or name != "REQUIRETLS"]
        return words + (["STARTTLS"] if self.context and not tls else [])

    def limit(self, name):
        found = re.search(r"\b%s=(\d+)" % name, self.offers.get("LIMITS", ""))
        return int(found[1]) if found else None

    def write(self, event):
        if self.record is not None and not (self.terse and event["event"] not in ("message", "kill")):
            os.write(self.record, (json.dumps(dict(event, time=time.time())) + "\n").encode())

    async def serve(self, host, port):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024, reuse_address=True)
        print("listening", flush=True)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        await ended.wait()
        server.close()
        for task in list(self.tasks):
            task.cancel()
        print(json.dumps({"connections": self.connections, "messages": self.messages, "faults": self.faults}))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--host", default="127.0.0.1")
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--lmtp", action="store_true")
    words.add_argument("--offers", default=EVERYTHING)
    words.add_argument("--script")
    words.add_argument("--record")
    words.add_argument("--terse", action="store_true")
    words.add_argument("--cert")
    words.add_argument("--key")
    words.add_argument("--implicit", action="store_true")
    words.add_argument("--login", help="USER:PASSWORD; without it everybody may log in")
    words.add_argument("--no-users", default="", help="names of whom nothing is known here")
    words.add_argument("--below", type=int, help="whose children a script may kill")
    opt = words.parse_args()
    script = json.loads(Path(opt.script).read_text("utf-8")) if opt.script else ()
    server = Server(opt.offers, opt.lmtp, script, opt.record, opt.terse, (opt.cert, opt.key) if opt.cert else None, opt.implicit,
                    tuple(opt.login.split(":", 1)) if opt.login else None, filter(None, opt.no_users.split(",")), opt.below)
    asyncio.run(server.serve(opt.host, opt.port))


if __name__ == "__main__":
    main()
