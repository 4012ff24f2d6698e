"""The extensions of SMTP through Gatepost, before each kind of server: what a client that uses one gets to see,
and what the server behind.

A cell of the table is run, and says

    passed       the server has the extension and got it as the client said it
    ours         Gatepost does it itself; the server need not have it
    not offered  not in the answer to EHLO, and whoever says it all the same hears 5xx

What is expected follows from what the server offers when it is spoken to directly in the same run. Anything
else is a Fault: an extension that is offered and not kept, one that the server has and that is not offered, a
message that is not what was sent, a word to a strict server that is not by the RFCs."""

import contextlib
import re
import time

from . import env
from .dovecot import Dovecot
from .exim import Exim
from .gatepost import Gatepost
from .logins import PostfixWithLogins
from .messages import plain
from .opensmtpd import OpenSmtpd
from .postfix import Postfix
from .strict import Strict
from .tap import Tap
from .wire import Peer, client_context

PASSED, OURS, NOT_OFFERED = "passed", "ours", "not offered"
BEGIN, END = "<!-- the table of extensions: tests/show/extensions --write -->", "<!-- end of the table -->"
PASSWORD = "secret"


class Fault(AssertionError):
    pass


def must(good, text, *more):
    if not good:
        raise Fault(text % more if more else text)


class Client:
    """A client at one door: replies as text, EHLO's words as a dict."""

    def __init__(self, port, lmtp=False, tls=False):
        self.peer, self.verb = Peer.connect(port), "LHLO" if lmtp else "EHLO"
        self.greeting = self.read()
        self.offers = self.hello()
        if tls:
            must(self.say("STARTTLS")[0].startswith("220"), "STARTTLS was refused")
            self.peer.tls(client_context(), name=env.HOSTNAME)
            self.offers = self.hello()

    def read(self):
        return [line.decode("utf-8", "replace") for line in self.peer.reply()]

    def say(self, *lines):
        """Sends these lines in one packet; the reply to the first. read() brings the others."""
        self.peer.send("".join(line + "\r\n" for line in lines).encode("utf-8"))
        return self.read()

    def hello(self):
        lines = self.say(self.verb + " client.example.net")
        must(lines[0].startswith("250"), "%s: %s", self.verb, lines)
        return dict((line[4:].upper().split(None, 1) + [""])[:2] for line in lines[1:])

    def message(self, octets):
        """DATA and a message; the reply to its dot."""
        answer = self.say("DATA")
        must(answer[0].startswith("354"), "DATA: %s", answer)
        self.peer.send(re.sub(rb"(\A|\n)\.", rb"\1..", octets) + b".\r\n")
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            self.peer.send(b"QUIT\r\n")
        self.peer.close()


class Column:
    """A server with Gatepost in front of it. `has`: what it offers when spoken to directly."""

    def __init__(self, name, server, certs, lmtp=False, tls=False, user="alice"):
        """`tls`: Gatepost speaks TLS to it (then it must record by itself, not by a tap)."""
        self.name, self.server, self.lmtp, self.user = name, server, lmtp, user
        self.strict = isinstance(server, Strict)
        self.certs, self.tls, self.number = certs, tls, 0
        self.stack = contextlib.ExitStack()

    def start(self):
        stack = self.stack
        stack.enter_context(self.server)
        port = self.server.lmtp if isinstance(self.server, Dovecot) else self.server.port
        with Client(port, self.lmtp, self.tls) as direct:
            self.has, self.direct = direct.offers, {}
            for line in ("ETRN example.org", "VRFY " + self.user):
                self.direct[line] = direct.say(line)[0][:3]
        self.tap = None if self.strict else stack.enter_context(Tap(port))
        settings = ["antivirus off", "listener.auth tls", "listener.without EXPN", "listener.allow any",
                    "backend.tls-mode %s" % ("offer" if self.tls else "none")]
        self.gate = Gatepost(self.tap.port if self.tap else port, "lmtp" if self.lmtp else "smtp", settings, certs=self.certs)
        self.gate.conf.add("route * { backend %s; }" % self.gate.conf.find("backend").words[1])
        stack.callback(self.gate.stop)
        self.gate.start()
        self.offers = self._learned()
        return self

    def _learned(self):
        """What Gatepost offers once every worker has learned what the server can."""
        deadline, same, last = time.monotonic() + env.PATIENCE, 0, None
        while time.monotonic() < deadline and same < 8:
            with Client(self.gate.port(), tls=True) as client:
                # A worker that has not asked the server yet offers the bare minimum.
                same = same + 1 if client.offers == last and ("8BITMIME" in client.offers) >= ("8BITMIME" in self.has) else 0
                last = client.offers
            time.sleep(0.02)
        return last

    def stop(self):
        self.stack.close()

    def client(self, tls=True):
        return Client(self.gate.port(), tls=tls)

    def text(self, body="Dear Alice,\r\n\r\n.\r\n..hello\r\n"):
        self.number += 1
        return plain("%s %d" % (re.sub(r"\W", "", self.name), self.number), body)

    def heard(self, what):
        """The server's lines from Gatepost, or its messages, up to now."""
        if self.tap:
            return list(getattr(self.tap, what))
        if what == "messages":
            return [message["octets"] for message in self.server.messages()]
        return [event["line"] for event in self.server.events("command")]

    def wait(self, what, since, good):
        deadline = time.monotonic() + env.PATIENCE / 2
        while True:
            found = self.heard(what)[since:]
            if good(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.01)

    def arrived(self, sent, since):
        """The message that arrived must be what was sent below fields of ours."""
        found = self.wait("messages", since, lambda found: any(m.endswith(sent) for m in found))
        must(any(m.endswith(sent) for m in found), "the message did not arrive as it was sent: %r", found)

    def deliver(self, mail="", rcpt="", sender="ann@example.net", octets=None, send=None):
        """One whole transaction with parameters; Gatepost's lines to the server in it."""
        octets = self.text() if octets is None else octets
        messages, commands = len(self.heard("messages")), len(self.heard("commands"))
        with self.client() as client:
            answer = client.say("MAIL FROM:<%s>%s" % (sender, mail))
            must(answer[0].startswith("250"), "MAIL%s: %s", mail, answer)
            answer = client.say("RCPT TO:<%s@example.org>%s" % (self.user, rcpt))
            must(answer[0].startswith("250"), "RCPT%s: %s", rcpt, answer)
            answer = (send or Client.message)(client, octets)
            must(answer[0].startswith("250"), "the message: %s", answer)
        self.arrived(octets, messages)
        return self.wait("commands", commands, lambda found: any(re.match("DATA|BDAT.* LAST", line) for line in found))

    def refused(self, mail="", rcpt="", codes=("501", "504", "550", "553", "555")):
        """The parameter must be refused, and no word of it go to the server."""
        commands = len(self.heard("commands"))
        with self.client() as client:
            answer = client.say("MAIL FROM:<ann@example.net>" + mail)
            if not mail:
                must(answer[0].startswith("250"), "MAIL: %s", answer)
                answer = client.say("RCPT TO:<%s@example.org>%s" % (self.user, rcpt))
            must(answer[0][:3] in codes, "not offered, but%s was answered %s", mail + rcpt, answer)
        word = (mail + rcpt).split("=")[0].strip()
        must(not any(re.search(r"\b%s\b" % word, line) for line in self.heard("commands")[commands:]),
             "not offered, but the server heard of%s", mail + rcpt)
        return NOT_OFFERED

    def parameter(self, name, has, mail="", rcpt="", **more):
        """An extension that is a parameter, which goes to a server that has it."""
        must((name in self.offers) == has, "%s is %soffered; the server has it%s", name,
             "" if name in self.offers else "not ", "" if has else " not")
        if not has:
            return self.refused(mail, rcpt)
        said = self.deliver(mail, rcpt, **more)
        for verb, words in (("MAIL", mail), ("RCPT", rcpt)):
            line = next(line for line in said if line.upper().startswith(verb))
            for word in words.split():
                must(word in line.split(" "), "the server did not hear %s: %s", word, line)
        return PASSED


# Each row: (name, what is done in one column). What it returns is the cell.

def pipelining(c):
    must("PIPELINING" in c.offers, "not offered")
    octets, messages = c.text(), len(c.heard("messages"))
    with c.client() as client:
        answers = [client.say("MAIL FROM:<ann@example.net>", "RCPT TO:<%s@example.org>" % c.user,
                              "RCPT TO:<nobody@example.org> FOO=BAR", "DATA")] + [client.read() for _ in range(3)]
        must([a[0][0] for a in answers] == list("2253"), "a group was answered %s", answers)
        client.peer.send(re.sub(rb"(\A|\n)\.", rb"\1..", octets) + b".\r\nNOOP\r\n")
        must([client.read()[0][0], client.read()[0][0]] == ["2", "2"], "behind the message")
    c.arrived(octets, messages)
    return PASSED if "PIPELINING" in c.has else OURS


def size(c):
    must(re.fullmatch(r"\d+", c.offers.get("SIZE", "")) is not None, "offered is SIZE %s", c.offers.get("SIZE"))
    theirs, ours = int(c.has.get("SIZE") or 0), int(c.offers["SIZE"])
    must(not theirs or 0 < ours < theirs, "%d octets are offered; the server takes %d, and our fields need room", ours, theirs)
    c_refused = ours + 1
    with c.client() as client:
        answer = client.say("MAIL FROM:<ann@example.net> SIZE=%d" % c_refused)
        must(answer[0].startswith("552"), "MAIL SIZE=%d: %s", c_refused, answer)
    octets = c.text()
    said = c.deliver(" SIZE=%d" % len(octets), octets=octets)
    line = next(line for line in said if line.startswith("MAIL"))
    if "SIZE" not in c.has:
        must("SIZE=" not in line, "the server has no SIZE and heard: %s", line)
        return OURS
    found = re.search(r" SIZE=(\d+)", line)
    must(found is not None, "the server did not hear SIZE: %s", line)
    whole = next(m for m in c.heard("messages") if m.endswith(octets))
    must(int(found[1]) >= len(whole), "the server heard SIZE=%s; the message had %d octets", found[1], len(whole))
    return PASSED


def eightbit(c):
    return c.parameter("8BITMIME", "8BITMIME" in c.has, " BODY=8BITMIME", octets=c.text(bytes(range(0xa0, 0x100)) + b"\r\n"))


def smtputf8(c):
    has = "SMTPUTF8" in c.has
    if not has:
        c.refused(" SMTPUTF8")
        with c.client() as client:
            answer = client.say("MAIL FROM:<j\u00f6rg@example.net>")
            must(answer[0][:1] == "5", "an address in UTF-8 was answered %s", answer)
        return c.parameter("SMTPUTF8", False, " SMTPUTF8")
    sender = "j\u00f6rg@example.net"
    octets = c.text("Gr\u00fc\u00dfe\r\n").replace(b"Subject: ", b"Subject: \xc3\xb6 ", 1)
    said = c.deliver(" BODY=8BITMIME SMTPUTF8", sender=sender, octets=octets)
    must("SMTPUTF8" in c.offers, "not offered, but taken")
    line = next(line for line in said if line.startswith("MAIL"))
    must("SMTPUTF8" in line.split(" ") and "<%s>" % sender in line, "the server heard: %s", line)
    return PASSED


def dsn(c):
    return c.parameter("DSN", "DSN" in c.has, " RET=HDRS ENVID=QQ+2B314159",
                       " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Alice+2Btag@example.org")


def enhanced(c):
    must("ENHANCEDSTATUSCODES" in c.offers, "not offered")
    with c.client() as client:
        for line in ("MAIL FROM:<ann@example.net>", "RCPT TO:<%s@example.org>" % c.user, "RCPT TO:<nobody-%s@example.org>" % c.user,
                     "RCPT TO:<x@>", "NOOP", "FOO", "MAIL FROM:<a@example.net>", "RSET", "VRFY x"):
            for said in client.say(line):
                must(re.match(r"([245])\d\d[ -](?:\1\.\d{1,3}\.\d{1,3} )|3\d\d[ -]", said) is not None, "%s is answered %s", line, said)
    return PASSED if "ENHANCEDSTATUSCODES" in c.has else OURS


def in_chunks(client, octets):
    """BDAT in three chunks, the middle one in the middle of a line, the last one empty."""
    half = len(octets) // 2
    for chunk, word in ((octets[:half], ""), (octets[half:], ""), (b"", " LAST")):
        client.peer.send(b"BDAT %d%s\r\n" % (len(chunk), word.encode()) + chunk)
        answer = client.read()
        must(answer[0].startswith("250") or word, "BDAT: %s", answer)
    return answer


def chunking(c):
    must("CHUNKING" in c.offers, "not offered")
    said = c.deliver(octets=c.text("one\r\n.\r\n..two\r\n.\r\n"), send=in_chunks)
    out = any(line.startswith("BDAT ") for line in said)
    must(out == ("CHUNKING" in c.has), "the server has%s CHUNKING and heard %s", "" if "CHUNKING" in c.has else " no",
         [line for line in said if line[:4] in ("BDAT", "DATA")])
    return PASSED if out else OURS


def binarymime(c):
    has = "BINARYMIME" in c.has and "CHUNKING" in c.has
    octets = c.text(b"\0\n\r.\r\n" + bytes(range(256)))
    return c.parameter("BINARYMIME", has, " BODY=BINARYMIME", octets=octets, send=in_chunks)


def auth(c):
    import base64
    has = "PLAIN" in c.has.get("AUTH", "").split()
    must(("AUTH" in c.offers) == has, "offered is AUTH %s; the server has AUTH %s", c.offers.get("AUTH"), c.has.get("AUTH"))
    with c.client(tls=False) as client:
        must("AUTH" not in client.offers, "AUTH is offered without TLS")
    word = base64.b64encode(b"\0alice\0%s" % PASSWORD.encode()).decode()
    commands = len(c.heard("commands"))
    with c.client() as client:
        answer = client.say("AUTH PLAIN " + word)
        if not has:
            must(answer[0][:3] in ("502", "503", "504", "500"), "not offered, but AUTH was answered %s", answer)
            return NOT_OFFERED
        must(answer[0].startswith("235"), "AUTH: %s", answer)
    wrong = base64.b64encode(b"\0alice\0wrong").decode()
    with c.client() as client:
        answer = client.say("AUTH PLAIN " + wrong)
        must(answer[0][:1] in "45", "a wrong password was answered %s", answer)
    must(any(line.startswith("AUTH ") for line in c.heard("commands")[commands:]), "the server heard no AUTH")
    return PASSED


def deliverby(c):
    return c.parameter("DELIVERBY", "DELIVERBY" in c.has, " BY=120;R")


def requiretls(c):
    return c.parameter("REQUIRETLS", "REQUIRETLS" in c.has, " REQUIRETLS")


def prdr(c):
    must("PRDR" in c.offers, "not offered")
    octets, messages = c.text(), len(c.heard("messages"))
    with c.client() as client:
        answer = client.say("MAIL FROM:<ann@example.net> PRDR")
        must(answer[0].startswith("250"), "MAIL PRDR: %s", answer)
        for user in (c.user, "bob"):
            answer = client.say("RCPT TO:<%s@example.org>" % user)
            must(answer[0].startswith("250"), "RCPT: %s", answer)
        answer = client.message(octets)
        # One answer may stand for all when it is the same (draft-hall-prdr section 4.4).
        if answer[0].startswith("353"):
            answers = [client.read() for _ in range(3)]
            must(all(a[0].startswith("250") for a in answers), "behind 353: %s", answers)
        else:
            must(answer[0].startswith("250"), "the message: %s", answer)
    c.arrived(octets, messages)
    return OURS


def limits(c):
    said = dict(word.split("=", 1) for word in c.offers.get("LIMITS", "").split() if "=" in word)
    must(said.get("RCPTMAX", "").isdigit(), "offered is LIMITS %s", c.offers.get("LIMITS"))
    return OURS


def starttls(c):
    with c.client(tls=False) as client:
        must("STARTTLS" in client.offers, "not offered")
    must("STARTTLS" not in c.offers, "offered inside of TLS")
    c.deliver()
    return OURS


def command(c, name, line, refusals):
    """A command that is passed on where the server has it and the listener does not leave it out."""
    has, commands = name in c.has, len(c.heard("commands"))
    must((name in c.offers) == has, "%soffered; the server has it%s", "" if name in c.offers else "not ", "" if has else " not")
    with c.client() as client:
        answer = client.say(line)
        must(answer[0][:3] in (refusals if not has else (c.direct[line],)), "%s was answered %s", line, answer)
    passed = line in c.wait("commands", commands, lambda found: not has or line in found)
    must(passed == has, "%s reached the server: %s", line, passed)
    return PASSED if has else NOT_OFFERED


def etrn(c):
    return command(c, "ETRN", "ETRN example.org", ("500", "502"))


def vrfy(c):
    return command(c, "VRFY", "VRFY " + c.user, ("500", "502", "252"))


def help_(c):
    with c.client() as client:
        answer = client.say("HELP")
        must(answer[-1].startswith("214"), "HELP: %s", answer)
    return OURS


ROWS = [("PIPELINING", pipelining), ("SIZE", size), ("8BITMIME", eightbit), ("SMTPUTF8", smtputf8), ("DSN", dsn),
        ("ENHANCEDSTATUSCODES", enhanced), ("CHUNKING", chunking), ("BINARYMIME", binarymime), ("AUTH", auth),
        ("DELIVERBY", deliverby), ("REQUIRETLS", requiretls), ("PRDR", prdr), ("LIMITS", limits), ("STARTTLS", starttls),
        ("ETRN", etrn), ("VRFY", vrfy), ("HELP", help_)]


def strict_column(name, offers, certs, certificate):
    return Column(name, Strict(offers, certificate=certificate, options=["--login", "alice:" + PASSWORD]), certs,
                  tls=certificate is not None)


def columns(certs):
    """{name: a function that makes the column}; those that need root and are not to be had are left away."""
    leaf = certs.leaf("store", "store.example.org")
    found = {}
    if Postfix.available():
        found["Postfix"] = lambda: Column("Postfix", PostfixWithLogins(leaf, ["alice", "bob"]), certs)
        found["Exim"] = lambda: Column("Exim", Exim(leaf), certs)
        found["OpenSMTPD"] = lambda: Column("OpenSMTPD", OpenSmtpd(), certs)
    found["Dovecot LMTP"] = lambda: Column("Dovecot LMTP", Dovecot(["alice", "bob"]), certs, lmtp=True)
    found["strict, all offered"] = lambda: strict_column("strict, all offered", None, certs, leaf)
    found["strict, nothing offered"] = lambda: strict_column("strict, nothing offered", "", certs, None)
    return found


def run(column):
    """All rows of one column: ({row: cell}, faults as text)."""
    cells, faults = {}, []
    for name, row in ROWS:
        seen = len(column.server.faults()) if column.strict else 0
        try:
            cells[name] = row(column)
        except (Fault, OSError, EOFError) as error:
            cells[name] = "FAULT"
            faults.append("%s before %s: %s" % (name, column.name, error))
        except Exception as error:  # Closed, StopIteration...: what it was about is the row
            cells[name] = "FAULT"
            faults.append("%s before %s: %s: %s" % (name, column.name, type(error).__name__, error))
        for event in (column.server.faults()[seen:] if column.strict else ()):
            faults.append("%s: the strict server disliked %s: %s" % (name, event.get("line", "a message"), event["fault"]))
    try:
        column.gate.check()
    except AssertionError as error:
        faults.append(str(error))
    return cells, faults


def render(table):
    """{column: {row: cell}} as lines of Markdown."""
    names = list(table)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for row, _ in ROWS:
        lines.append("| %s | " % row + " | ".join(table[name][row] for name in names) + " |")
    return "\n".join(lines)


def written(readme):
    """{column: {row: cell}} as it stands between the marks."""
    text = readme.read_text("utf-8")
    lines = text[text.index(BEGIN):text.index(END)].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {name: {row[0]: row[i] for row in rows[2:]} for i, name in enumerate(rows[0]) if i > 0} if rows else {}


def write(readme, table):
    text = readme.read_text("utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    readme.write_text(text[:begin] + "\n\n" + render(table) + "\n\n" + text[end:], "utf-8")
