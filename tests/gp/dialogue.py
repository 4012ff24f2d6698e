"""Reads and runs a dialogue: client, backend and verdict in one text. tests/README.md has the format."""

import base64
import queue
import re
import time
from pathlib import Path

from . import env
from .wire import Closed, Peer, client_context

QUIET = 0.05  # seconds in which "nothing" must have happened


class Step:
    def __init__(self, line_number, source, who, number, operator, text, times):
        self.line_number, self.source = line_number, source
        self.who, self.number, self.operator, self.text, self.times = who, number, operator, text, times
        act = re.fullmatch(r"\((connect|tls|close|reset|half-close)(?: (\S+))?\)", text) if operator == ":" else None
        self.act = act.groups() if act else None


class Dialogue:
    """`settings` (conf: lines) together with `program` and `protocol` decide which gateways may be shared."""

    STEP = re.compile(r"(?P<who>[CSBR])(?P<number>\d?)(?:\*(?P<times>\d+))?(?P<operator>[:<+-])(?: (?P<text>.*)|)$")

    def __init__(self, path):
        self.path = Path(path)
        self.title, self.settings, self.steps = "", [], []
        self.hooks = self.raw = False
        self.protocol, self.offers = "smtp", None
        self._read(self.path)

    def _read(self, path):
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            if line.startswith("#") and not self.steps:
                self.title += line[1:].strip() + " "
            elif line and not line.startswith("#"):
                self._line(number, line)

    def _line(self, number, line):
        word, _, rest = line.partition(" ")
        if word == "given:":
            return self._read(self.path.parent / "given" / (rest + ".txt"))
        step = self.STEP.match(line)
        if step:
            self.steps.append(Step(number, line, step["who"], int(step["number"] or 1), step["operator"],
                                   step["text"] or "", int(step["times"] or 1)))
        elif word in ("L:", "L-", "V:", "wait"):
            self.steps.append(Step(number, line, word[0], 1, word[-1], rest, 1))
        elif word == "conf:":
            self.settings.append(rest)
        elif line == "program: hooks":
            self.hooks = True
        elif line == "backend: raw":
            self.raw = True
        elif line == "backend: lmtp":
            self.protocol = "lmtp"
        elif word == "backend:" and rest.startswith("offers"):
            self.offers = tuple(offer.strip() for offer in rest[6:].split(",") if offer.strip())
        else:
            raise ValueError("%s:%d: not a line of a dialogue: %s" % (self.path, number, line))

    @property
    def key(self):
        """Dialogues with the same key may run through the same gateway."""
        return (self.hooks, self.protocol, self.offers or (), tuple(self.settings))


ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", "*": b"*"}


def octets(text):
    """A C: or R: line's text as octets: C escapes, {{rep N TEXT}}, {{eicar}}."""
    text = text.replace("{{eicar}}", eicar().replace("\\", "\\\\"))
    text = text.replace("{{eicar-base64}}", base64.b64encode(eicar().encode()).decode())
    text = re.sub(r"\{\{rep (\d+) (.*?)\}\}", lambda m: m[2] * int(m[1]), text)
    out = b""
    for m in re.finditer(r"\\x([0-9A-Fa-f]{2})|\\(.)|([^\\]+)", text, re.DOTALL):
        out += bytes([int(m[1], 16)]) if m[1] else ESCAPES[m[2]] if m[2] else m[3].encode("utf-8")
    return out


def eicar():
    """The antivirus test string; put together here so that no scanner dislikes this file."""
    return "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS" + "-TEST-FILE!$H+H*"


def matches(pattern, line):
    """Whether a line is what a pattern says: /a regular expression/, or a text in which * is anything."""
    text = line.decode("utf-8", "surrogateescape")
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        return re.fullmatch(pattern[1:-1], text, re.DOTALL) is not None
    parts = re.split(r"(?<!\\)\*", pattern)
    return re.fullmatch(".*".join(re.escape(octets(part).decode("utf-8", "surrogateescape")) for part in parts),
                        text, re.DOTALL) is not None


class Failed(AssertionError):
    pass


class Runner:
    """Plays one dialogue against a running gateway and its fake backend."""

    def __init__(self, dialogue, gatepost, backend):
        self.dialogue, self.gatepost, self.backend = dialogue, gatepost, backend
        self.clients, self.sessions = {}, {}
        self.replies = {}  # per client: the lines of the last reply
        self.packet = b""  # what the client will send next
        self.verdicts = []
        self.transcript = []

    def run(self):
        """None, or what went wrong and all that was said until then."""
        mark = self.gatepost.mark()
        self.backend.begin(raw=self.dialogue.raw)
        gap = False
        try:
            for step, following in zip(self.dialogue.steps, self.dialogue.steps[1:] + [None]):
                if step.who == "C":
                    self._client_line(step, following)
                elif step.who == "B" and step.text == "...":
                    gap = True
                elif step.who == "B":
                    self._backend_line(step, gap)
                    gap = False
                elif step.who in "LV":
                    self._note(step, mark)
                else:
                    {"S": self._server_line, "R": self._backend_says, "w": self._wait}[step.who](step)
            step = None
            self._nothing_left()
            self._check_verdicts(mark)
        except (Failed, Closed, TimeoutError, queue.Empty, OSError) as error:
            self._note_unread()
            return self._story(step, error, mark)
        finally:
            for client in self.clients.values():
                client.close()
            for session in self.sessions.values():
                self.backend.let_go(session)
            self.backend.end()

    # The client's side.

    def _client_line(self, step, following):
        if step.act:
            return self._client_act(step.number, *step.act)
        self.packet += (octets(step.text) + (b"\r\n" if step.operator == ":" else b"")) * step.times
        # Neighbouring lines of one client travel in one packet.
        if following and following.who == "C" and following.number == step.number and not following.act:
            return
        packet, self.packet = self.packet, b""
        self._trace("C", packet)
        try:
            self._client(step.number).send(packet)
        except (ConnectionError, TimeoutError):
            pass  # closed on us: what it said before is what counts, and the next S: reads that

    def _client_act(self, number, word, what):
        self._trace("C", b"(%s)" % word.encode())
        if word == "connect":
            self.clients[number] = Peer.connect(self.gatepost.port(what))
            return
        client = self._client(number)
        if word == "tls":
            client.tls(client_context(), name=env.HOSTNAME)
        elif word == "half-close":
            client.half_close()
        else:
            del self.clients[number]
            client.reset() if word == "reset" else client.close()

    def _client(self, number):
        if number not in self.clients:
            self.clients[number] = Peer.connect(self.gatepost.port(None))
        return self.clients[number]

    def _server_line(self, step):
        client = self._client(step.number)
        if step.operator in "+-":
            here = any(matches(step.text, line) for line in self.replies[step.number])
            if here != (step.operator == "+"):
                raise Failed("the last reply was\n\t%s" % "\n\t".join(map(show, self.replies[step.number])))
        elif step.text == "(closed)":
            rest = client.until_closed()
            if rest:
                raise Failed("before it closed came %s" % show(rest))
        elif step.text == "(nothing)":
            if client.pending(QUIET):
                client.fill()
                raise Failed("came %s" % (show(client.buffer) or "the end"))
        elif step.text == "...":
            lines = self.replies.get(step.number, [])
            if not lines or lines[-1][3:4] != b"-":
                lines = []
            self.replies[step.number] = lines + client.reply()
            self._trace("S", *self.replies[step.number][len(lines):])
        else:
            for _ in range(step.times):
                line = client.line()
                self._trace("S", line)
                before = self.replies.get(step.number, [])
                self.replies[step.number] = (before if before and before[-1][3:4] == b"-" else []) + [line]
                if not matches(step.text, line):
                    raise Failed("came %s" % show(line))

    # The backend's side.

    def _session(self, number):
        while number not in self.sessions:
            try:
                session = self.backend.sessions.get(timeout=env.PATIENCE)
            except queue.Empty:
                raise Failed("no connection to the backend") from None
            self.sessions[len(self.sessions) + 1] = session
        return self.sessions[number]

    def _backend_line(self, step, gap):
        if step.text == "(nothing)" or step.text == "(no more)":
            deadline = time.monotonic() + QUIET
            while time.monotonic() < deadline:
                self._look_for_more(polite=step.text == "(no more)")
                time.sleep(0.01)
            return
        session = self._session(step.number)
        if step.text == "(connect)":
            return
        if step.text == "(tls)":
            return session.peer.tls(self.backend.tls, server_side=True)
        if step.text == "(tls refused)":
            return self._tls_refused(session)
        if step.text == "(closed)":
            # A gateway that leaves a transaction may say so first.
            while True:
                try:
                    line = session.line()
                except Closed:
                    return
                self._trace("B", line)
                if line.upper() not in (b"QUIT", b"RSET"):
                    raise Failed("before it closed came %s" % show(line))
        for _ in range(step.times):
            while True:
                line = session.line()
                self._trace("B", line)
                if matches(step.text, line):
                    break
                if not gap or (line == b"." and not session.in_data):
                    raise Failed("came %s" % show(line))

    def _tls_refused(self, session):
        """Gatepost must not like our certificate: it says so in the handshake or right behind it (TLS 1.3)."""
        try:
            session.peer.tls(self.backend.tls, server_side=True)
            line = session.line()
        except (OSError, Closed):
            return
        raise Failed("it liked the certificate and says %s" % show(line))

    def _backend_says(self, step):
        session = self._session(step.number)
        self._trace("R", step.text.encode())
        if step.text == "(close)":
            session.peer.close()
            session.peer.ended = True
        elif step.text == "(reset)":
            session.peer.reset()
            session.peer.ended = True
        else:
            session.send(octets(step.text) + (b"\r\n" if step.operator == ":" else b""))

    def _look_for_more(self, polite):
        """Fails when Gatepost says anything to the backend; `polite`: but RSET, QUIT and the end."""
        if not self.backend.sessions.empty():
            line = self.backend.sessions.get().line()
            raise Failed("a further connection to the backend says %s" % show(line))
        for session in self.sessions.values():
            while session.peer.sock.fileno() >= 0 and session.pending():
                try:
                    line = session.line()
                except Closed:
                    break
                self._trace("B", line)
                if not polite or line.upper() not in (b"RSET", b"QUIT"):
                    raise Failed("to the backend goes %s" % show(line))
                try:
                    session.send(b"221 2.0.0 Bye\r\n" if line.upper() == b"QUIT" else b"250 2.0.0 OK\r\n")
                except OSError:
                    break  # nobody waits for the answer to QUIT

    # The log, the clock, the end.

    def _note(self, step, mark):
        if step.who == "V":
            self.verdicts.append(step.text)
        elif step.operator == ":":
            self.gatepost.wait_log(step.text, mark)
        elif re.search(step.text, self.gatepost.log(mark)):
            raise Failed("the log has it")

    def _check_verdicts(self, mark):
        """The n-th V: is the verdict in the log's n-th line about a message."""
        if not self.verdicts:
            return
        deadline = time.monotonic() + env.PATIENCE
        while True:
            said = re.findall(r"\bverdict=(\S+)", self.gatepost.log(mark))
            if len(said) >= len(self.verdicts) or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        if said != self.verdicts:
            raise Failed("the verdicts in the log: %s" % said)

    def _wait(self, step):
        time.sleep(float(step.text.removesuffix("ms")) / 1000)

    def _nothing_left(self):
        """What neither side was told to expect must not have come."""
        for number, client in self.clients.items():
            if client.buffer:
                raise Failed("client %d was sent more: %s" % (number, show(client.buffer)))
        self._look_for_more(polite=True)

    def _note_unread(self):
        """What the client was sent while something else was waited for often says why."""
        for client in self.clients.values():
            if client.pending() and not client.buffer:
                client.fill()
            if client.buffer:
                self._trace("S, not asked for", client.buffer)

    def _trace(self, who, *lines):
        self.transcript += ["%s: %s" % (who, show(line)) for line in lines]

    def _story(self, step, error, mark):
        where = "%s:%d: %s" % (self.dialogue.path.name, step.line_number, step.source) if step \
            else "%s: at the end" % self.dialogue.path.name
        what, said = str(error) or type(error).__name__, "\n".join(self.transcript[-60:])
        return "%s\n%s\n\nwhat was said:\n%s\n\nwhat the log says:\n%s" % (
            where, what, said, self.gatepost.log(mark)[-4000:])


def show(line, most=400):
    text = line.decode("utf-8", "backslashreplace").replace("\r\n", "\\r\\n")
    return text if len(text) <= most else text[:most] + "..."
