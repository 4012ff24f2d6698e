#!/usr/bin/python3
"""An IMAP server that does what a script tells it, and else what a good one does (RFC 3501, 4315, 4959, 7888).

    tests/fake/imap_server.py --script FILE --port N

A script (in tests an object, in a FILE the same as JSON) holds the mailbox, and for each step of a
session what happens there instead of the usual:

    {"capability": "IMAP4rev1 UIDPLUS",
     "messages": [{"uid": 7, "octets": "Subject: x\\r\\n\\r\\n", "size": 129, "flags": "\\\\Seen"}],
     "steps": {"body": ["* {{seq}} FETCH (UID {{uid}} {{section}} {{literal}})\\r\\n", "* BYE\\r\\n", "(close)"]}}

The steps: greeting, capability, starttls, id, login (LOGIN and AUTHENTICATE), select, list (the first
FETCH, of sizes), body, store, search, expunge, noop, logout. An action is text that is sent, or

    (usual)             what a good server does here
    (hang)              nothing any more, until the client leaves
    (close) (reset)     the end
    (wait 0.2)          seconds
    (lose)              what has come meanwhile is thrown away (and kept in `lost`), as by a server that changes hands
    (drip 3 0.01)       what is sent next goes out 3 octets at a time, so many seconds apart
    (vanish)            the message that is asked for is taken out of the mailbox, by somebody else

Text knows {{tag}}, {{rep 5 text}} and, in the step body, {{seq}} {{uid}}, {{section}} (BODY[] or BODY[]<0>),
{{octets}}, {{literal}} {{literal8}} {{quoted}} (the octets as such), {{announce}} (a literal's beginning),
{{first 10}} {{rest 10}} {{but 10}} (the first octets; those behind them; all but the last)."""

import argparse
import base64
import json
import re
import select
import socket
import ssl
import threading
import time

CAPABILITY = "IMAP4rev1 SASL-IR LITERAL+ ID UIDPLUS UNSELECT AUTH=PLAIN"
COMMAND_MAX = 1 << 20
PIECE = 65536
BODY_FORM = "* {{seq}} FETCH (UID {{uid}} {{section}} {{literal}})\r\n"
VANISHED = "* {{seq}} FETCH (UID {{uid}} BODY[] NIL)\r\n"  # as Dovecot says it


class Message:
    def __init__(self, octets=b"", uid=None, size=None, flags=""):
        self.octets = octets.encode("latin-1") if isinstance(octets, str) else octets
        self.uid, self.flags = uid, set(flags.split())
        self.size = len(self.octets) if size is None else size  # what RFC822.SIZE says


class Script:
    """`password`: what a login must bring; None: any. `exists`: what SELECT says instead of the truth."""

    def __init__(self, messages=(), steps=None, capability=CAPABILITY, after_tls=None, after_login=None, uidvalidity=1,
                 password=None, exists=None):
        self.messages = [m if isinstance(m, Message) else Message(**m) if isinstance(m, dict) else Message(m)
                         for m in messages]
        for number, message in enumerate(self.messages, 1):
            message.uid = number if message.uid is None else message.uid
        self.steps = {step: [action.encode("latin-1") if isinstance(action, str) else action for action in actions]
                      for step, actions in (steps or {}).items()}
        self.capability, self.after_tls = capability, after_tls or capability
        self.after_login = after_login or self.after_tls
        self.uidvalidity, self.password, self.exists = uidvalidity, password, exists
        self.sent = 0  # octets that the other side has taken
        self.lock = threading.Lock()

    def settles(self):
        """Waits until nothing more is taken; how many octets were."""
        before = -1
        while before != self.sent:
            before = self.sent
            time.sleep(0.3)
        return before

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            return cls(**json.load(f))

    def find(self, uid):
        return next((m for m in self.messages if m.uid == uid), None)

    def remove(self, uids):
        with self.lock:
            self.messages = [m for m in self.messages if m.uid not in uids]


class Gone(Exception):
    """The client has left, or the script closes."""


class Session:
    """One connection. What came is kept for the test: `commands` (without passwords), `user`, `password`."""

    def __init__(self, server, sock):
        self.server, self.script, self.sock = server, server.script, sock
        self.commands, self.user, self.password = [], None, None
        self.how = None  # LOGIN, AUTHENTICATE
        self.literals = []  # how they were announced: b"{3}" or b"{3+}"
        self.starttls = False
        self.ended = False
        self.seen = []  # the UIDs by sequence number, as the client knows them
        self.buffer = self.lost = b""
        self.drip = None

    # What comes: a command, its literals within.

    def fill(self):
        try:
            octets = self.sock.recv(65536)
        except (OSError, ValueError):
            octets = b""
        if not octets:
            raise Gone
        self.buffer += octets
        if len(self.buffer) > COMMAND_MAX:
            raise Gone

    def waiting(self):
        """What has come and was not read yet (in plain text)."""
        return self.sock.recv(65536) if select.select([self.sock], [], [], 0)[0] else b""

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def words(self):
        """The next command's words; strings stand for themselves, parentheses stay where they are."""
        words, line = [], self.line()
        while True:
            literal = re.search(rb"\{(\d+)(\+?)\}$", line)
            words += split(line[:literal.start()] if literal else line)
            if not literal:
                return words
            self.literals.append(literal[0])
            if not literal[2]:
                self.send(b"+ go on\r\n")
            size = int(literal[1])
            while len(self.buffer) < size:
                self.fill()
            words.append(self.buffer[:size])
            self.buffer = self.buffer[size:]
            line = self.line()

    # What goes.

    def send(self, octets):
        try:
            if self.drip is None:
                for at in range(0, len(octets), PIECE):
                    self.sock.sendall(octets[at:at + PIECE])
                    self.script.sent += len(octets[at:at + PIECE])
                return
            step, pause = self.drip
            for at in range(0, len(octets), step):
                self.sock.sendall(octets[at:at + step])
                time.sleep(pause)
        except (OSError, ValueError):
            raise Gone from None

    def play(self, step, usual, **names):
        """What the script says happens in this step. `usual` is called for (usual)."""
        for action in self.script.steps.get(step, [b"(usual)"]):
            word, *values = action.strip(b"()").split() if action.startswith(b"(") else [b""]
            if word == b"usual":
                usual()
            elif word == b"hang":
                while True:
                    self.buffer = b""
                    self.fill()
            elif word == b"close":
                raise Gone
            elif word == b"reset":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                raise Gone
            elif word == b"wait":
                time.sleep(float(values[0]))
            elif word == b"lose":
                self.lost, self.buffer = self.lost + self.buffer + self.waiting(), b""
            elif word == b"drip":
                self.drip = int(values[0]), float(values[1])
            elif word == b"vanish":
                self.script.remove({int(names["uid"])})
            else:
                self.send(expand(action, names))

    def end(self, last=b""):
        """From outside: says this and closes."""
        try:
            self.sock.sendall(last)
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    # A session from its beginning to its end.

    def run(self):
        try:
            if self.server.implicit:
                self.wrap()
            self.play("greeting", lambda: self.send(b"* OK [CAPABILITY %s] fake\r\n" % self.capability()))
            while self.command():
                pass
        except (Gone, OSError, ssl.SSLError):
            pass
        self.ended = True
        self.sock.close()

    def wrap(self):
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)

    def command(self):
        words = self.words()
        tag, verb, args = words[0], words[1].upper() if len(words) > 1 else b"", words[2:]
        if verb == b"UID" and args:
            verb, args = b"UID " + args[0].upper(), args[1:]
        self.commands.append(b" ".join([verb] + (args if verb not in (b"LOGIN", b"AUTHENTICATE") else [])))
        run = {
            b"CAPABILITY": self.do_capability, b"STARTTLS": self.do_starttls, b"ID": self.do_id, b"LOGIN": self.do_login,
            b"AUTHENTICATE": self.do_authenticate, b"SELECT": self.do_select, b"EXAMINE": self.do_select,
            b"UID FETCH": self.do_fetch, b"UID STORE": self.do_store, b"UID SEARCH": self.do_search,
            b"UID EXPUNGE": self.do_expunge, b"EXPUNGE": self.do_expunge, b"CLOSE": self.do_expunge,
            b"NOOP": self.do_noop, b"UNSELECT": self.do_noop, b"LOGOUT": self.do_logout,
        }.get(verb)
        if run is None:
            self.send(tag + b" BAD what is " + verb + b"?\r\n")
            return True
        return run(tag, verb, args) is not False

    def capability(self):
        if self.user is not None:
            return self.script.after_login.encode()
        return (self.script.after_tls if isinstance(self.sock, ssl.SSLSocket) else self.script.capability).encode()

    def do_capability(self, tag, verb, args):
        self.play("capability", lambda: self.send(b"* CAPABILITY %s\r\n%s OK done\r\n" % (self.capability(), tag)), tag=tag)

    def do_starttls(self, tag, verb, args):
        self.starttls = True
        self.play("starttls", lambda: self.send(tag + b" OK begin TLS\r\n"), tag=tag)
        if self.server.tls is not None:
            self.wrap()

    def do_id(self, tag, verb, args):
        self.play("id", lambda: self.send(b'* ID ("name" "fake")\r\n%s OK\r\n' % tag), tag=tag)

    def do_login(self, tag, verb, args):
        self.how = verb
        if len(args) != 2:
            self.send(tag + b" BAD two words, please\r\n")
            return
        self.user, self.password = args
        self.answer_login(tag)

    def do_authenticate(self, tag, verb, args):
        self.how = verb
        if len(args) == 1:
            self.send(b"+ \r\n")
            args.append(self.line())
        _, self.user, self.password = base64.b64decode(args[1]).split(b"\0")
        self.answer_login(tag)

    def answer_login(self, tag):
        right = self.script.password is None or self.password == self.script.password.encode()

        def usual():
            if right:
                self.send(b"%s OK [CAPABILITY %s] welcome\r\n" % (tag, self.capability()))
            else:
                self.send(tag + b" NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
        self.play("login", usual, tag=tag)

    def do_select(self, tag, verb, args):
        self.seen = [m.uid for m in self.script.messages]

        def usual():
            exists = len(self.seen) if self.script.exists is None else self.script.exists
            self.send(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
                      b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Flags\r\n"
                      b"* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] UIDs valid\r\n* OK [UIDNEXT %d] next\r\n"
                      b"%s OK [READ-WRITE] selected\r\n"
                      % (exists, self.script.uidvalidity, max(self.seen or [0]) + 1, tag))
        self.play("select", usual, tag=tag)

    def do_fetch(self, tag, verb, args):
        what = b" ".join(args[1:])
        section = re.search(rb"BODY(?:\.PEEK)?\[\](?:<(\d+)\.(\d+)>)?", what, re.IGNORECASE)
        if section is None:
            self.play("list", lambda: self.send(self.list(args[0]) + tag + b" OK fetched\r\n"), tag=tag)
            return
        for uid in self.chosen(args[0]):
            names = self.names(uid, section)
            names["tag"] = tag
            form = VANISHED if self.script.find(uid) is None else BODY_FORM
            if len(self.chosen(args[0])) > 1:
                self.send(expand(form.encode(), names))
                continue
            self.play("body", lambda: self.send(expand(form.encode() + b"{{tag}} OK fetched\r\n", names)), **names)
            return
        self.send(tag + b" OK fetched\r\n")

    def list(self, chosen):
        messages, numbers = {m.uid: m for m in self.script.messages}, {uid: n for n, uid in enumerate(self.seen, 1)}
        return b"".join(b"* %d FETCH (UID %d RFC822.SIZE %d FLAGS (%s))\r\n" % (
            numbers[uid], uid, messages[uid].size, " ".join(sorted(messages[uid].flags)).encode())
            for uid in self.chosen(chosen) if uid in messages)

    def names(self, uid, section):
        message = self.script.find(uid)
        octets, label = message.octets if message else b"", b"BODY[]"
        if section[1] is not None:
            octets = octets[int(section[1]):int(section[1]) + int(section[2])]
            label = b"BODY[]<%s>" % section[1]
        return {"seq": b"%d" % (self.seen.index(uid) + 1), "uid": b"%d" % uid, "section": label, "octets": octets,
                "announce": b"{%d}\r\n" % len(octets), "literal": b"{%d}\r\n%s" % (len(octets), octets),
                "literal8": lambda: b"~{%d}\r\n%s" % (len(octets), octets),
                "quoted": lambda: b'"%s"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')}

    def chosen(self, text):
        """The UIDs of a set, of those that the client knows (RFC 3501 section 9, sequence-set)."""
        known, uids = self.seen, set()
        for part in text.decode().split(","):
            first, _, last = part.partition(":")
            ends = [max(known or [0]) if end == "*" else int(end) for end in (first, last or first)]
            uids.update(uid for uid in known if min(ends) <= uid <= max(ends))
        return [uid for uid in known if uid in uids]

    def do_store(self, tag, verb, args):
        flags = {word.strip(b"()").decode() for word in args[2:]}

        def usual():
            for message in filter(None, map(self.script.find, self.chosen(args[0]))):
                if args[1].startswith(b"-"):
                    message.flags -= flags
                else:
                    message.flags |= flags
            self.send(tag + b" OK stored\r\n")
        self.play("store", usual, tag=tag)

    def do_search(self, tag, verb, args):
        def usual():
            found = b"".join(b" %d" % m.uid for m in self.script.messages if "\\Deleted" in m.flags)
            self.send(b"* SEARCH%s\r\n%s OK searched\r\n" % (found, tag))
        self.play("search", usual, tag=tag)

    def do_expunge(self, tag, verb, args):
        def usual():
            chosen = set(self.chosen(args[0])) if verb == b"UID EXPUNGE" else set(self.seen)
            self.script.remove({m.uid for m in self.script.messages if "\\Deleted" in m.flags and m.uid in chosen})
            self.say_expunged()
            self.send(tag + b" OK expunged\r\n")
        self.play("expunge", usual, tag=tag)

    def do_noop(self, tag, verb, args):
        def usual():
            self.say_expunged()
            self.send(tag + b" OK done\r\n")
        self.play("noop", usual, tag=tag)

    def say_expunged(self):
        for uid in [uid for uid in self.seen if self.script.find(uid) is None]:
            self.send(b"* %d EXPUNGE\r\n" % (self.seen.index(uid) + 1))
            self.seen.remove(uid)

    def do_logout(self, tag, verb, args):
        self.play("logout", lambda: self.send(b"* BYE\r\n%s OK bye\r\n" % tag), tag=tag)
        return False


WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"|[^\s"]+')


def split(line):
    """The words of a command line, quoted ones without their quotes."""
    return [re.sub(rb"\\(.)", rb"\1", m[1]) if m[1] is not None else m[0] for m in WORD.finditer(line)]


def expand(text, names):
    """What stands in double braces in an action's text."""
    def value(match):
        word, _, rest = match[1].partition(b" ")
        if word == b"rep":
            number, _, what = rest.partition(b" ")
            return what * int(number)
        if word == b"first":
            return names["octets"][:int(rest)]
        if word == b"rest":
            return names["octets"][int(rest):]
        if word == b"but":
            return names["octets"][:-int(rest)]
        known = names[word.decode()]
        return known() if callable(known) else known
    return re.sub(rb"\{\{(.*?)\}\}", value, text, flags=re.DOTALL)


class ImapServer:
    """Listens on `port`; `implicit`: TLS from the first octet. `tls`: an ssl.SSLContext, for STARTTLS too.

    `script` may be exchanged at any time: a session keeps the one that it began with."""

    def __init__(self, script=None, port=0, tls=None, implicit=False, host="127.0.0.1"):
        self.script, self.tls, self.implicit = script or Script(), tls, implicit
        self.all = []
        self._listener = socket.create_server((host, port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, *messages, **more):
        """A new script from now on; the sessions so far are forgotten."""
        self.script = Script(messages, **more)
        return self.script

    @property
    def sessions(self):
        """The connections of this script that said anything but what a health check says."""
        polite = {b"LOGOUT", b"CAPABILITY", b"ID", b"STARTTLS"}
        return [s for s in self.all if s.script is self.script and set(s.commands) - polite]

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock)
            self.all = [s for s in self.all if s.script is self.script] + [session]
            threading.Thread(target=session.run, daemon=True).start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self.all:
            try:
                session.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--script", help="JSON; without it an empty mailbox")
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--certificate", help="offers STARTTLS (name it in the script's capability)")
    words.add_argument("--key")
    words.add_argument("--implicit", action="store_true", help="TLS from the first octet")
    opt = words.parse_args()
    tls = None
    if opt.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(opt.certificate, opt.key)
    server = ImapServer(Script.load(opt.script) if opt.script else None, opt.port, tls, opt.implicit)
    print("listening on 127.0.0.1:%d" % server.port, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
