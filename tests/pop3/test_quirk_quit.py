"""What becomes of DELE at QUIT, before servers that can and servers that cannot: nobody else's mail is removed."""

import contextlib
import time

import pytest

from gp import env
from gp.wire import Closed

MAILS = [b"Subject: %d\r\n\r\nnumber %d\r\n" % (n, n) for n in range(1, 7)]
FOREIGN = {"octets": MAILS[3], "flags": "\\Deleted", "uid": 4}
NO_UIDPLUS = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+"


def commands(session, *verbs):
    """Those of the session's commands that begin so."""
    return [c for c in map(bytes.decode, session.commands) if c.startswith(verbs)]


def left(script):
    return [m.uid for m in script.messages]


def marked(script):
    return [m.uid for m in script.messages if "\\Deleted" in m.flags]


def delete(client, *numbers):
    for n in numbers:
        assert client.ask("DELE %d" % n).startswith("+OK")


def test_at_quit_only(quirks):
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        delete(client, 1, 2, 3, 5)
        client.ask("NOOP")
        client.lines("LIST")
        assert not commands(quirks.session(), "UID STORE", "UID EXPUNGE", "EXPUNGE", "CLOSE")
        assert client.quit().startswith("+OK")
    session = quirks.session()
    assert left(script) == [4, 6]
    assert commands(session, "UID STORE") == ["UID STORE 1:3,5 +FLAGS.SILENT (\\Deleted)"]
    assert commands(session, "UID EXPUNGE", "EXPUNGE", "CLOSE") == ["UID EXPUNGE 1:3,5"]


def test_ranges_do_not_cross_strangers(quirks):
    """A range names only what the client has seen: mail between two UIDs of ours may be new."""
    script = quirks.play(*({"octets": MAILS[0], "uid": uid} for uid in (10, 20, 21, 22, 30)))
    with quirks.log_in() as client:
        script.messages.insert(1, type(script.messages[0])(b"late", uid=15))
        delete(client, 1, 2, 3, 4, 5)
        assert client.quit().startswith("+OK")
    assert left(script) == [15]


def test_hidden_ones_stay(quirks):
    """Between two of ours stands one that another client has marked: it is not ours to remove."""
    script = quirks.play(*MAILS[:3], FOREIGN, {"octets": MAILS[4], "uid": 5})
    with quirks.log_in() as client:
        delete(client, 1, 2, 3, 4)
        assert client.quit().startswith("+OK")
    assert left(script) == [4]


def test_nothing_marked(quirks):
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        delete(client, 1, 2)
        assert client.ask("RSET").startswith("+OK")
        assert client.quit().startswith("+OK")
    assert left(script) == [1, 2, 3, 4, 5, 6] and marked(script) == []
    assert not commands(quirks.session(), "UID EXPUNGE", "EXPUNGE", "CLOSE")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_lost_client(quirks, how):
    script = quirks.play(*MAILS)
    client = quirks.log_in()
    client.get("RETR 1")
    delete(client, 1, 2)
    getattr(client.peer, how)()
    session = quirks.session()
    deadline = time.monotonic() + env.PATIENCE
    while not session.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session.ended
    assert left(script) == [1, 2, 3, 4, 5, 6] and marked(script) == []
    assert not commands(session, "UID EXPUNGE", "EXPUNGE", "CLOSE")


# ---- without UIDPLUS ----

def test_plain_expunge(quirks):
    """When all that is \\Deleted is ours, EXPUNGE removes only ours."""
    script = quirks.play(*MAILS, capability=NO_UIDPLUS)
    with quirks.log_in() as client:
        delete(client, 2, 3)
        assert client.quit().startswith("+OK")
    assert left(script) == [1, 4, 5, 6]
    assert not commands(quirks.session(), "CLOSE", "UID EXPUNGE")


def test_no_expunge_of_foreign_marks(quirks):
    """Somebody else has marked a message before us: it survives; ours is marked, and hidden from now on."""
    script = quirks.play(*MAILS[:3], FOREIGN, capability=NO_UIDPLUS)
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 3 ")
        delete(client, 2)
        client.ask("QUIT")
    assert left(script) == [1, 2, 3, 4] and marked(script) == [2, 4]
    assert not commands(quirks.session(), "CLOSE", "EXPUNGE", "UID EXPUNGE")
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 2 ")


def test_no_expunge_of_marks_made_meanwhile(quirks):
    script = quirks.play(*MAILS, capability=NO_UIDPLUS)
    with quirks.log_in() as client:
        delete(client, 2)
        script.find(5).flags.add("\\Deleted")
        client.ask("QUIT")
    assert left(script) == [1, 2, 3, 4, 5, 6] and marked(script) == [2, 5]


def test_no_expunge_of_new_marked_mail(quirks):
    script = quirks.play(*MAILS, capability=NO_UIDPLUS)
    with quirks.log_in() as client:
        delete(client, 2)
        script.messages.append(type(script.messages[0])(b"late", uid=77, flags="\\Deleted"))
        client.ask("QUIT")
    assert 77 in left(script)


@pytest.mark.parametrize("search", ["{{tag}} NO Sorry\r\n", "{{tag}} BAD Sorry\r\n", "* SEARCH 2 x\r\n{{tag}} OK\r\n"])
def test_no_expunge_when_unsure(quirks, search):
    script = quirks.play(*MAILS, capability=NO_UIDPLUS, steps={"search": [search]})
    with quirks.log_in() as client:
        delete(client, 2)
        with contextlib.suppress(Closed):
            client.ask("QUIT")
    assert left(script) == [1, 2, 3, 4, 5, 6]


# ---- servers that will not ----

FAILING = {
    "STORE NO": {"store": ["{{tag}} NO Sorry\r\n"]},
    "STORE BAD": {"store": ["{{tag}} BAD Sorry\r\n"]},
    "STORE BYE": {"store": ["* BYE Sorry\r\n", "(close)"]},
    "STORE closes": {"store": ["(close)"]},
    "STORE hangs": {"store": ["(hang)"]},
    "EXPUNGE NO": {"expunge": ["{{tag}} NO Sorry\r\n"]},
    "EXPUNGE BAD": {"expunge": ["{{tag}} BAD Sorry\r\n"]},
    "EXPUNGE closes": {"expunge": ["(close)"]},
    "EXPUNGE hangs": {"expunge": ["(hang)"]},
}


@pytest.mark.parametrize("how", FAILING)
def test_not_removed(quirks, how):
    """+OK to QUIT means that they are gone (RFC 1939 section 6)."""
    quirks.play(*MAILS, steps=FAILING[how])
    with quirks.log_in() as client:
        delete(client, 1, 3)
        said = client.ask("QUIT")
        assert said.startswith("-ERR"), said
        assert client.is_closed()


@pytest.mark.parametrize("step", ["logout", "noop"])
@pytest.mark.parametrize("action", ["(hang)", "(close)", "{{tag}} NO Sorry\r\n"])
def test_removed_all_the_same(quirks, step, action):
    """How the server says goodbye is none of the client's business."""
    script = quirks.play(*MAILS, steps={step: [action]})
    with quirks.log_in() as client:
        delete(client, 1)
        assert client.quit().startswith("+OK")
    assert left(script) == [2, 3, 4, 5, 6]


def test_gone_already(quirks):
    """Another client was faster with one of them: the others go, and the end is good."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        delete(client, 1, 2)
        script.remove({1})
        assert client.quit().startswith("+OK")
    assert left(script) == [3, 4, 5, 6]


def test_set_is_cut_into_lines(quirks):
    """Two thousand single UIDs: no command line is longer than servers take (8,000 octets)."""
    script = quirks.play(*({"octets": b"x", "uid": 1000001 + 2 * n} for n in range(2000)))
    with quirks.log_in() as client:
        client.send("\r\n".join("DELE %d" % n for n in range(1, 2001)))
        assert all(client.line().startswith(b"+OK") for _ in range(2000))
        assert client.quit().startswith("+OK")
    assert left(script) == []
    assert max(map(len, quirks.session().commands)) <= 8192


def test_seen(quirks):
    """What RETR gave is \\Seen behind QUIT; what TOP gave is not; and never BODY[], which would mark at once."""
    script = quirks.play(*MAILS)
    with quirks.log_in() as client:
        client.get("RETR 2")
        client.get("TOP 3 1")
        assert not script.find(2).flags
        assert client.quit().startswith("+OK")
    assert [m.uid for m in script.messages if "\\Seen" in m.flags] == [2]
    assert all(b"PEEK" in c for c in quirks.session().commands if b"BODY" in c)
