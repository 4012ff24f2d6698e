"""IMAP servers that go wrong inside of RETR and TOP, and messages that few have seen.

A message that did not come whole never ends with its dot: the client would keep it and delete the original."""

import base64
import random
import re
import time

import pytest

from gp.pop3 import PASSWORD, Cut, Pop3, as_pop3, unstuffed
from gp.wire import Closed

MAILS = [b"Subject: %d\r\n\r\nnumber %d\r\n.\r\n..\r\nend\r\n" % (n, n) for n in (1, 2, 3)]
FORGED = (b"From: System Administrator\r\nTo: undisclosed\r\nSubject: message unavailable\r\n\r\n"
          b"This message is no longer available.\r\n")
OK = "{{tag}} OK done\r\n"
ONE = "* {{seq}} FETCH (UID {{uid}} {{section}} "


# ---- how a body may be written ----

FORMS = {
    "a literal": [ONE + "{{literal}})\r\n" + OK],
    "literal8": [ONE + "{{literal8}})\r\n" + OK],
    "the body first": ["* {{seq}} FETCH ({{section}} {{literal}} UID {{uid}})\r\n" + OK],
    "items on both sides": ["* {{seq}} FETCH (FLAGS (\\Seen $odd) MODSEQ (77) UID {{uid}} {{section}} {{literal}}"
                            " INTERNALDATE \"22-Nov-2026 10:00:00 +0000\" FLAGS () X (1 (2 NIL \"a)\") 3))\r\n" + OK],
    "lower case": ["* {{seq}} fetch (uid {{uid}} {{section}} {{literal}})\r\n{{tag}} ok\r\n"],
    "noise before it": ["* OK Still here\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 9 EXISTS\r\n* 1 RECENT\r\n" + ONE
                        + "{{literal}})\r\n" + OK],
    "noise behind it": [ONE + "{{literal}})\r\n* 9 EXISTS\r\n* OK Still here\r\n* 2 FETCH (FLAGS ())\r\n" + OK],
    "flags of its own first": ["* {{seq}} FETCH (UID {{uid}} FLAGS (\\Recent))\r\n" + ONE + "{{literal}})\r\n" + OK],
    "flags of its own behind": [ONE + "{{literal}})\r\n* {{seq}} FETCH (UID {{uid}} FLAGS (\\Seen))\r\n" + OK],
    "drops": ["(drip 5 0.0005)", "(usual)"],
    "a pause in the literal": [ONE + "{{announce}}{{first 20}}", "(wait 0.4)", "{{rest 20}})\r\n" + OK],
    "a pause behind the literal": [ONE + "{{literal}}", "(wait 0.4)", ")\r\n", "(wait 0.2)", OK],
}


@pytest.mark.parametrize("form", FORMS)
def test_form(quirks, form):
    quirks.play(*MAILS, steps={"body": FORMS[form]})
    with quirks.log_in() as client:
        for n in (2, 1, 3):
            assert client.get("RETR %d" % n) == MAILS[n - 1]
        assert client.get("TOP 2 99999999") == MAILS[1]
        assert client.quit().startswith("+OK")


QUOTED = [b"Subject: quoted", b'"', b"\\", b'a "b" \\c', b"()", b"{5}", b".", b".."]


@pytest.mark.parametrize("octets", QUOTED)
def test_quoted(quirks, octets):
    quirks.play(octets, steps={"body": [ONE + "{{quoted}})\r\n" + OK]})
    with quirks.log_in() as client:
        assert client.get("RETR 1") == octets + b"\r\n"
        assert client.ask("NOOP").startswith("+OK")


@pytest.mark.parametrize("form", ["{{literal}}", "{{quoted}}", "{{literal8}}"])
def test_empty(quirks, form):
    """Cyrus sends "" for it. It is a message, only an empty one."""
    quirks.play(b"", MAILS[1], steps={"body": [ONE + form + ")\r\n" + OK]})
    with quirks.log_in() as client:
        assert client.ask("LIST 1") == "+OK 1 0"
        assert client.get("RETR 1") in (b"", b"\r\n")
        assert client.get("TOP 1 0") in (b"", b"\r\n")
        assert client.ask("NOOP").startswith("+OK")


# ---- what a message may hold ----

NOISE = bytes(random.Random(3).choices(b"\r\n.\0ab ", k=20000))
CONTENTS = {
    "a dot first": b".\r\n+OK forged\r\n",
    "two dots first": b"..\r\n",
    "only a dot": b".",
    "only CR LF": b"\r\n",
    "dot CR LF": b".\r\n",
    "dots everywhere": b"a\r\n.\r\n..\r\n...\r\n.",
    "bare LF": b"Subject: x\n\n.\na\nb.\n..\n",
    "bare LF and dots": b"\n.\n\n.\r\n.\n",
    "no newline at the end": b"Subject: x\r\n\r\nend",
    "a CR at the end": b"Subject: x\r\n\r\nend\r",
    "CR CR LF": b"Subject: x\r\r\n\r\nend\r\r\n",
    "NULs": b"Subject: x\r\n\r\n\0\0a\0\r\n\0.\r\n",
    "eight bits": bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
    "a long line": b"x" * 1000000,
    "short lines": b"\n" * 100000,
    "dots of 100,000 lines": b".\r\n" * 100000,
    "noise": NOISE.replace(b"\r.", b"\r,"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents(quirks, name):
    quirks.play(CONTENTS[name], MAILS[1])
    with quirks.log_in() as client:
        for command in ("RETR 1", "TOP 1 99999999"):
            assert client.get(command) == as_pop3(CONTENTS[name])
        assert client.get("RETR 2") == MAILS[1]


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_contents_in_pieces(quirks, step):
    """The end of a line may fall between any two octets."""
    octets = b"".join(CONTENTS[name] for name in CONTENTS if len(CONTENTS[name]) < 1000)
    octets = octets.replace(b"\r.", b"\r,")
    quirks.play(octets, steps={"body": ["(drip %d 0.0003)" % step, "(usual)"]})
    with quirks.log_in() as client:
        assert client.get("RETR 1") == as_pop3(octets)


def test_dot_behind_a_bare_cr(quirks):
    """Some clients take a CR for the end of a line: they must not see the end of the message there."""
    quirks.play(b"Subject: x\r\n\r\na\r.\r\nb\r.\rc\r\n", MAILS[1])
    with quirks.log_in() as client:
        client.send("RETR 1")
        assert client.line().startswith(b"+OK")
        raw = client.raw()
        assert not re.search(rb"[\r\n]\.[\r\n]", raw), raw
        assert client.get("RETR 2") == MAILS[1]


TOPS = [
    (b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 0, b"A: b\r\nC: d\r\n\r\n"),
    (b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 2, b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n"),
    (b"A: b\n\n1\n2\n3\n", 1, b"A: b\r\n\r\n1\r\n"),
    (b"A: b\r\n\r\n.\r\n..\r\n", 1, b"A: b\r\n\r\n.\r\n"),
    (b"A: b\r\n\r\n1", 1, b"A: b\r\n\r\n1\r\n"),
    (b"A: b\r\n\r\n\r\n\r\n2\r\n", 1, b"A: b\r\n\r\n\r\n"),
    (b"\r\n1\r\n2\r\n", 1, b"\r\n1\r\n"),
    (b"A: b\r\nC: d", 3, b"A: b\r\nC: d\r\n"),
    (b"A: " + b"x" * 20000 + b"\r\n\r\n" + b"y" * 20000 + b"\r\n2\r\n", 1,
     b"A: " + b"x" * 20000 + b"\r\n\r\n" + b"y" * 20000 + b"\r\n"),
    (b"A: " + b"x" * 16378 + b"\r\n\r\n1\r\n2\r\n", 1, b"A: " + b"x" * 16378 + b"\r\n\r\n1\r\n"),
]


@pytest.mark.parametrize("number", range(len(TOPS)))
def test_top(quirks, number):
    octets, lines, top = TOPS[number]
    quirks.play(octets, MAILS[1])
    with quirks.log_in() as client:
        assert client.get("TOP 1 %d" % lines) == top
        assert client.get("RETR 2") == MAILS[1]


def test_top_takes_a_part(quirks):
    """The header of a large message is not paid for with all of it."""
    octets = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 500000
    script = quirks.play(octets)
    with quirks.log_in() as client:
        assert client.get("TOP 1 0") == b"Subject: large\r\n\r\n"
        assert client.ask("NOOP").startswith("+OK")
    assert script.sent < len(octets) / 10


# ---- sizes that are not true ----

@pytest.mark.parametrize("size", [1, 10, 19189, 2 ** 33])
def test_size_is_an_estimate(quirks, size):
    """Exchange: what comes is longer or shorter than was listed, and is the message all the same."""
    quirks.play({"octets": MAILS[0], "size": size}, MAILS[1])
    with quirks.log_in() as client:
        assert client.ask("LIST 1") == "+OK 1 %d" % size
        assert client.get("RETR 1") == MAILS[0]
        assert str(size) not in client.accepted  # if octets are named they are the true ones
        assert client.get("TOP 1 99999999") == MAILS[0]
        assert len(client.lines("LIST")[1]) == 2
        assert client.get("RETR 2") == MAILS[1]


def test_forged_message(quirks):
    """Courier gives a message of its own in place of one that is gone, and says so only when asked again."""
    forged = "* {{seq}} FETCH (UID {{uid}} RFC822.SIZE 129 {{section}} {%d}\r\n%s)\r\n" % (len(FORGED), FORGED.decode())
    quirks.play({"octets": b"x" * 1000}, MAILS[1], steps={"body": ["(vanish)", forged + OK]})
    with quirks.log_in() as client:
        try:
            assert client.get("RETR 1") is None
        except Cut:
            return  # no dot: it is not kept
        assert client.ask("STAT").startswith("+OK")
        assert client.ask("DELE 1").startswith(("+OK", "-ERR"))
        client.ask("QUIT")
    assert [m.uid for m in quirks.plain.script.messages if "\\Deleted" in m.flags] == []


# ---- messages that are not there ----

GONE = {
    "NIL": [ONE + "NIL)\r\n" + OK],
    "NIL and EXPUNGE": [ONE + "NIL)\r\n* {{seq}} EXPUNGE\r\n{{tag}} OK [EXPUNGEISSUED] gone\r\n"],
    "EXPUNGE": ["* {{seq}} EXPUNGE\r\n{{tag}} OK [EXPUNGEISSUED] gone\r\n"],
    "nothing": [OK],
    "NO": ["{{tag}} NO Sorry\r\n"],
    "NO EXPUNGEISSUED": ["{{tag}} NO [EXPUNGEISSUED] Sorry\r\n"],
    "BAD": ["{{tag}} BAD Sorry\r\n"],
    "flags only": ["* {{seq}} FETCH (UID {{uid}} FLAGS (\\Deleted))\r\n" + OK],
}


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("command", ["RETR 2", "TOP 2 0"])
def test_gone(quirks, how, command):
    """-ERR, and all else stays as it was: numbers, STAT, LIST and UIDL."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        before = client.ask("STAT"), client.lines("LIST")[1], client.lines("UIDL")[1]
        script.steps["body"] = [action.encode() for action in GONE[how]]
        assert client.get(command) is None
        del script.steps["body"]
        assert client.get("RETR 3") == MAILS[2]
        assert (client.ask("STAT"), client.lines("LIST")[1], client.lines("UIDL")[1]) == before
        assert client.get("RETR 1") == MAILS[0]


@pytest.mark.parametrize("command", ["RETR 2", "TOP 2 0"])
def test_another_message(quirks, command):
    """A server that gives a message that was not asked for is not to be worked with: -ERR, and the end."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        script.steps["body"] = [("* 3 FETCH (UID 3 BODY[] {5}\r\nother)\r\n" + OK).encode()]
        assert client.get(command) is None
        client.peer.until_closed()


def test_vanishes(quirks):
    """Between the list and RETR: the scripted server does what Dovecot does."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        script.remove({2})
        assert client.get("RETR 2") is None
        assert client.get("RETR 3") == MAILS[2]
        assert client.ask("DELE 2").startswith(("+OK", "-ERR"))
        assert client.ask("DELE 1").startswith("+OK")
        client.ask("QUIT")
    assert [m.uid for m in script.messages] == [3]


# ---- messages that do not come whole ----

HEAD = ONE + "{{announce}}{{first 30}}"
CUTS = {
    "EOF in the literal": [HEAD, "(close)"],
    "reset in the literal": [HEAD, "(reset)"],
    "BYE in the literal": [HEAD + "\r\n* BYE Going down\r\n", "(close)"],
    "BYE where it should go on": [ONE + "{{announce}}* BYE Going down\r\n", "(close)"],
    "silence in the literal": [HEAD, "(hang)"],
    "EOF before the last octet": [ONE + "{{announce}}{{but 1}}", "(close)"],
    "nothing of the literal": [ONE + "{{announce}}", "(close)"],
    "EOF at the brace": [ONE + "{80", "(close)"],
    "too short, then the tag": [ONE + "{{announce}}{{but 5}})\r\n" + OK, "(close)"],
    "a literal of 4 GB": [ONE + "{4294967296}\r\n{{octets}}{{octets}}", "(close)"],
    "a literal of 8 EB": [ONE + "{9223372036854775807}\r\n{{octets}}{{octets}}", "(close)"],
    "another message": ["* 3 FETCH (UID 3 {{section}} {5}\r\nother)\r\n" + OK],
    "2^64": [ONE + "{18446744073709551616}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "2^64 and 80": [ONE + "{18446744073709551696}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "40 digits": [ONE + "{" + "9" * 40 + "}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "negative": [ONE + "{-1}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "hexadecimal": [ONE + "{0x20}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "no number": [ONE + "{}\r\n{{octets}})\r\n" + OK, "(hang)"],
    "no newline behind the brace": [ONE + "{45}{{octets}})\r\n" + OK, "(hang)"],
    "an open quoted string": [ONE + "\"Subject: {{rep 300000 xxxxxxxxxx}}", "(hang)"],
    "parentheses without end": [ONE + "({{rep 100000 (}}", "(hang)"],
    "an unknown form": [ONE + "[octets])\r\n", "(hang)"],
    "a flood before it": ["{{rep 200000 * OK Still here\r\n}}", "(hang)"],
    "silence": ["(hang)"],
    "EOF": ["(close)"],
    "BYE": ["* BYE Going down\r\n", "(close)"],
}


@pytest.mark.parametrize("how", CUTS)
def test_cut(quirks, how):
    """No dot ever. -ERR where nothing of the message was sent yet, else the end of the connection."""
    quirks.play(*MAILS, steps={"body": CUTS[how]})
    with quirks.log_in() as client:
        assert client.ask("DELE 2").startswith("+OK")
        try:
            assert client.get("RETR 1") is None
            assert client.refused.startswith("-ERR")
        except Cut as cut:
            assert MAILS[0].startswith(unstuffed(cut.octets)[:30]) or "BYE" in how or "literal of" in how
            assert b"\r\n.\r\n" not in cut.octets[-5:]
        except Closed:
            pass
        assert all("\\Deleted" not in m.flags for m in quirks.plain.script.messages)


@pytest.mark.parametrize("how", ["EOF in the literal", "BYE in the literal", "silence in the literal", "a literal of 4 GB"])
def test_cut_top(quirks, how):
    quirks.play(*MAILS, steps={"body": CUTS[how]})
    with quirks.log_in() as client:
        try:
            assert client.get("TOP 1 99999999") is None
        except (Cut, Closed):
            pass


def test_cut_once(quirks):
    """Who goes on where it was cut gives the whole message; who does not gives no dot."""
    octets = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 5000
    script = quirks.play(octets)
    with quirks.log_in() as client:
        script.steps["body"] = [action.encode() for action in (ONE + "{{announce}}{{first 50000}}", "(close)")]
        client.send("RETR 1")
        assert client.line().startswith((b"+OK", b"-ERR"))
        del script.steps["body"]
        try:
            assert unstuffed(client.raw()) == octets
        except Cut:
            pass


def test_cut_deletes_nothing(quirks):
    """A session whose server is gone cannot delete at QUIT, and must not say that it has."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        assert client.ask("DELE 1").startswith("+OK")
        quirks.session().end()
        try:
            said = client.ask("QUIT")
        except (Closed, OSError):
            said = ""
    if said.startswith("+OK"):
        assert [m.uid for m in script.messages] == [2, 3]
    else:
        assert said == "" or said.startswith("-ERR")


def test_goes_away_while_idle(quirks):
    """BYE while the client thinks: the next command that needs the server says so, with no forged answer."""
    quirks.play(*MAILS)
    with quirks.log_in() as client:
        quirks.session().end(b"* BYE Autologout\r\n")
        try:
            got = client.get("RETR 1")
            assert got is None or got == MAILS[0]
        except (Cut, Closed, OSError):
            pass


def test_lost_during_a_listing(quirks):
    """The server goes while UIDL's 200,000 lines are on their way: no word of ours stands among them."""
    quirks.play(*({"octets": "x"} for _ in range(200000)))
    with Pop3(quirks.gatepost.port("plain"), receive=16384).log_in("alice", PASSWORD) as client:
        client.send("UIDL")
        assert client.line().startswith(b"+OK")
        time.sleep(0.3)
        quirks.session().end(b"* BYE\r\n")
        try:
            lines = client.raw().split(b"\r\n")[:-1]
        except Cut as cut:
            lines = cut.octets.split(b"\r\n")[:-1]
        assert not [line for line in lines if not re.fullmatch(rb"\d+ [0-9a-f]{16}", line)]


def test_everything_vanishes(quirks):
    """Another client empties a large mailbox: the news are taken in no time worth speaking of."""
    quirks.play(*({"octets": "x"} for _ in range(50000)),
                steps={"body": ["{{rep 50000 * 1 EXPUNGE\r\n}}{{tag}} OK [EXPUNGEISSUED] gone\r\n"]})
    with quirks.log_in() as client:
        began = time.monotonic()
        assert client.get("RETR 7") is None
        assert time.monotonic() - began < 1
        assert client.ask("STAT").startswith("+OK 50000 ")


# ---- large ones ----

def test_large_and_slow(quirks):
    """What the client does not read yet is not read from the server either."""
    octets = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 5000000
    script = quirks.play(octets)
    with quirks.log_in() as client:
        client.send("RETR 1")
        assert client.line().startswith(b"+OK")
        taken = script.settles()
        assert taken < 30 << 20, "%d MB were taken from the server, none was read" % (taken >> 20)
        assert client.raw(30) == octets


def test_many_sessions(quirks):
    """Forty at once, commands pipelined, each sees its own."""
    quirks.play(*MAILS)
    clients = [quirks.log_in() for _ in range(40)]
    for n, client in enumerate(clients):
        client.send("RETR %d\r\nDELE %d\r\nRSET\r\nUIDL %d" % (n % 3 + 1, n % 3 + 1, n % 3 + 1))
    for n, client in enumerate(clients):
        assert client.line().startswith(b"+OK") and unstuffed(client.raw()) == MAILS[n % 3]
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")
        assert client.line() == b"+OK %d %08x00000001" % (n % 3 + 1, n % 3 + 1)
        assert client.quit().startswith("+OK")


def test_sasl_word_is_wiped_from_answers(quirks):
    """AUTH PLAIN with rubbish behind it is refused without repeating it."""
    quirks.play(*MAILS)
    word = base64.b64encode(b"\0alice\0" + PASSWORD.encode()).decode()
    with quirks.connect() as client:
        assert word not in client.ask("AUTH PLAIN %s more" % word)
        assert word not in client.ask("AUTHPLAIN " + word)
