"""What every POP3 server owes its clients, before ours and before Dovecot's own: RFC 1939, 2449, 2595, 5034."""

import base64
import poplib
import re

import pytest

from gp import env, messages, wire
from gp.pop3 import Pop3, as_pop3

LETTER = messages.plain("A letter")
THREE = [messages.plain("Number %d" % n, "x" * 10 ** n + "\r\n") for n in (1, 2, 3)]


def sasl(user, password):
    return base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode()


# ---- before the login ----

def test_greeting(door):
    with door.connect() as client:
        assert client.greeting.startswith(b"+OK ") and len(client.greeting) <= 510
        assert b"<" not in client.greeting  # some take any <...@...> for an invitation to APOP
        assert client.quit().startswith("+OK")


ALWAYS = {"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"}


def test_capa(door, store):
    """It says what is usable now: STLS in plain text only, USER and SASL before the login."""
    with door.connect() as client:
        assert ALWAYS | {"STLS", "USER", "SASL PLAIN"} <= set(client.capa())
        client.stls()
        offered = set(client.capa())
        assert ALWAYS | {"USER", "SASL PLAIN"} <= offered and "STLS" not in offered
        client.log_in(store.user())
        offered = set(client.capa())
        assert {"TOP", "UIDL", "PIPELINING", "RESP-CODES"} <= offered and "STLS" not in offered
        assert client.quit().startswith("+OK")
    with door.connect_tls() as client:
        assert "STLS" not in client.capa()


def test_auth_plain(door, store):
    user = store.user(LETTER)
    word = sasl(user, store.server.password)
    with door.connect() as client:  # with an initial response
        assert client.ask("AUTH PLAIN " + word).startswith("+OK")
        assert client.ask("STAT").startswith("+OK 1 ")
    with door.connect() as client:  # and without
        assert re.fullmatch(r"\+ ?", client.ask("auth plain"))
        assert client.ask(word).startswith("+OK")
        assert client.ask("STAT").startswith("+OK 1 ")


def test_auth_goes_wrong(door, store):
    user = store.user(LETTER)
    with door.connect() as client:
        assert client.ask("AUTH PLAIN").startswith("+")
        assert client.ask("*").startswith("-ERR")
        assert client.ask("AUTH PLAIN !!!").startswith("-ERR")
        assert client.ask("AUTH NONSENSE").startswith("-ERR")
        assert client.ask("AUTH PLAIN " + sasl(user, "wrong")).startswith("-ERR [AUTH]")
        assert client.ask("STAT").startswith("-ERR")
        assert client.ask("AUTH PLAIN " + sasl(user, store.server.password)).startswith("+OK")


def test_auth_alone_lists(door):
    """What old Outlooks ask."""
    with door.connect() as client:
        assert client.lines("AUTH")[1] == ["PLAIN"]


def test_wrong_password(door, store):
    user = store.user(LETTER)
    with door.connect() as client:
        assert client.login(user, "wrong").startswith("-ERR [AUTH]")
        assert client.ask("PASS secret").startswith("-ERR")  # the name is forgotten
        assert client.log_in(user).ask("STAT").startswith("+OK 1 ")


def test_unknown_user(door):
    """USER tells nothing about who exists."""
    with door.connect() as client:
        assert client.ask("USER nobody-of-that-name").startswith("+OK")
        assert client.ask("PASS secret").startswith("-ERR [AUTH]")


@pytest.mark.parametrize("user", ["odd%d" % n for n in range(7)])
def test_odd_passwords(door, store, user):
    """All behind PASS's one space is the password; so it is behind the second NUL of PLAIN."""
    password = store.odd[user]
    with door.connect() as client:
        client.log_in(user, password)
    with door.connect() as client:
        assert client.ask("AUTH PLAIN " + sasl(user, password)).startswith("+OK")


def test_states(door, store):
    user = store.user(LETTER)
    for command in ("STAT", "LIST", "UIDL", "RETR 1", "TOP 1 0", "DELE 1"):
        with door.connect() as client:
            assert client.ask(command).startswith("-ERR"), command
    with door.connect() as client:
        assert client.ask("PASS secret").startswith("-ERR")
        client.log_in(user)
        for command in ("USER x", "PASS x", "STLS", "AUTH PLAIN"):
            assert client.ask(command).startswith("-ERR"), command
        assert client.ask("NOOP").startswith("+OK")


# ---- TLS ----

def test_stls(door, store):
    user = store.user(LETTER)
    with door.connect() as client:
        client.stls().log_in(user)
        assert client.get("RETR 1") == LETTER


def test_stls_twice(door):
    with door.connect() as client:
        assert client.stls().ask("STLS").startswith("-ERR")


def test_stls_forgets_the_user(gate, store):
    """As all that was said before TLS; Dovecot's own does not."""
    with Pop3(gate.port()) as client:
        client.ask("USER " + store.user())
        assert client.stls().ask("PASS " + store.server.password).startswith("-ERR")


def test_implicit_tls(door, store):
    user = store.user(LETTER)
    with door.connect_tls() as client:
        assert client.log_in(user).get("RETR 1") == LETTER


def test_stls_with_octets_behind(door):
    """What was said before TLS is not obeyed behind it: the end comes, or the handshake fails."""
    with door.connect() as client:
        client.send(b"STLS\r\nCAPA")
        answer = client.line()
        if answer.startswith(b"+OK"):
            with pytest.raises(OSError):
                client.peer.tls(wire.client_context(), name=env.HOSTNAME)
                client.peer.sock.settimeout(1)
                assert client.peer.sock.recv(1) != b"", "closed"
        else:
            assert client.is_closed()


# ---- the maildrop ----

def test_stat_list_uidl(door, store):
    user = store.user(*THREE)
    sizes = [len(m) for m in THREE]
    with door.log_in(user) as client:
        assert client.ask("STAT") == "+OK 3 %d" % sum(sizes)
        assert client.lines("LIST")[1] == ["%d %d" % (n, size) for n, size in enumerate(sizes, 1)]
        assert client.ask("LIST 2") == "+OK 2 %d" % sizes[1]
        uidls = client.lines("UIDL")[1]
        assert [line.split(" ")[0] for line in uidls] == ["1", "2", "3"]
        assert all(re.fullmatch(r"\d+ [!-~]{1,70}", line) for line in uidls) and len(set(uidls)) == 3
        assert client.ask("UIDL 2") == "+OK " + uidls[1]
    with door.log_in(user) as client:
        assert client.lines("UIDL")[1] == uidls


def test_empty_maildrop(door, store):
    with door.log_in(store.user()) as client:
        assert client.ask("STAT").startswith("+OK 0 0")
        assert client.lines("LIST")[1] == [] and client.lines("UIDL")[1] == []
        assert client.ask("RETR 1").startswith("-ERR")
        assert client.quit().startswith("+OK")


def test_uidl_is_dovecots(gate, store):
    """A client that moves from Dovecot's POP3 to ours fetches nothing again."""
    user = store.user(*THREE)
    with Pop3(store.server.pop3).log_in(user) as theirs, Pop3(gate.port()).log_in(user) as ours:
        assert theirs.lines("UIDL")[1] == ours.lines("UIDL")[1]


def test_many(door, store):
    user = store.user()
    with store.server.login(user) as session:
        for n in range(1500):
            session.append("INBOX", None, None, b"Subject: %d\r\n\r\n" % n)
    with door.log_in(user) as client:
        count, size = map(int, client.ask("STAT").split()[1:3])
        assert count == 1500
        sizes = [int(line.split()[1]) for line in client.lines("LIST")[1]]
        assert len(sizes) == 1500 and sum(sizes) == size
        assert len(client.lines("UIDL")[1]) == 1500
        assert client.get("RETR 1500") == b"Subject: 1499\r\n\r\n"
        for n in range(1, 1501):
            client.send("DELE %d" % n)
        assert all(client.line().startswith(b"+OK") for _ in range(1500))
        assert client.quit().startswith("+OK")
    assert store.all(user) == {}


BODIES = {
    "plain": LETTER,
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
    "no newline at the end": b"Subject: x\r\n\r\nthe end",
    "header only": b"Subject: x\r\n",
    "header without an end": b"Subject: x",
    "eight bits": b"Subject: x\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    "a long line": b"Subject: x\r\n\r\n" + b"x" * 300000 + b"\r\n",
    "many lines": b"Subject: x\r\n\r\n" + b"\r\n" * 70000,
    "many dots": b"Subject: x\r\n\r\n" + b".\r\n" * 70000,
    "five megabytes": b"Subject: x\r\n\r\n" + b"0123456789abcdef.\r\n.\r\n" * 250000,
    "bare LF": b"Subject: x\n\n.\nLF\r\nCRLF\n",
    "spaces": b"Subject: x\r\n\r\n \r\n\t\r\n   \r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_retr(door, store, name):
    user = store.user(BODIES[name])
    held, = store.all(user).values()
    with door.log_in(user) as client:
        assert client.get("RETR 1") == as_pop3(held)
        assert client.get("TOP 1 99999999") == as_pop3(held)  # how fetchmail retrieves
        assert client.get("retr 1") == as_pop3(held)
        assert client.ask("NOOP").startswith("+OK")


TOP = messages.plain("Lines", "".join("line %d\r\n" % n for n in range(1, 2001)))
TOP_HEAD = TOP[:TOP.index(b"line 1\r\n")]


@pytest.mark.parametrize("lines", [0, 1, 2, 1000, 1999, 2000, 2001, 2 ** 31, 2 ** 32])
def test_top(door, store, lines):
    user = store.user(TOP)
    with door.log_in(user) as client:
        got = client.get("TOP 1 %d" % lines)
        assert got == TOP_HEAD + b"".join(b"line %d\r\n" % n for n in range(1, min(lines, 2000) + 1))
        assert client.ask("NOOP").startswith("+OK")


def test_top_of_headers_only(door, store):
    with door.log_in(store.user(b"Subject: x\r\nTo: y\r\n")) as client:
        assert client.get("TOP 1 5").rstrip(b"\r\n") == b"Subject: x\r\nTo: y"


def test_top_leaves_unseen(door, store):
    """TOP is a look, no reading."""
    user = store.user(LETTER)
    with door.log_in(user) as client:
        client.get("TOP 1 10")
        client.quit()
    assert "\\Seen" not in store.flags(user)[1]


WRONG = ["RETR", "RETR 0", "RETR 4", "RETR x", "RETR -1", "RETR 99999999999999999999999", "RETR 4294967297",
         "TOP", "TOP 1", "TOP 0 1", "TOP 1 x", "TOP 4 1", "LIST 0", "LIST 4", "LIST x", "UIDL 0", "UIDL 4", "UIDL x",
         "DELE", "DELE 0", "DELE 4", "DELE x", "LAST x", "XYZZY", "APOP alice c4c9334bac560ecc979e58001b3e22fb"]


@pytest.mark.parametrize("command", WRONG)
def test_wrong_commands(door, store, command):
    user = store.user(*THREE)
    with door.log_in(user) as client:
        assert client.ask(command).startswith("-ERR"), command
        assert client.ask("STAT").startswith("+OK 3 ")
        assert client.quit().startswith("+OK")
    assert len(store.all(user)) == 3


@pytest.mark.parametrize("command", ["RETR +1", "RETR 0x1", "RETR 1x", "TOP 1 -1", "TOP 1 +1", "DELE 1 2", "RETR 1 2",
                                     "STAT 1", ""])
def test_wrong_commands_strictly(gate, store, command):
    """Where Dovecot's own is more lenient."""
    with Pop3(gate.port()).log_in(store.user(*THREE)) as client:
        assert client.ask(command).startswith("-ERR"), command
        assert client.ask("STAT").startswith("+OK 3 ")


# ---- deleting ----

def test_delete(door, store):
    """Numbers stay what they are; what is marked is hidden; QUIT removes it."""
    user = store.user(*THREE)
    with door.log_in(user) as client:
        uidls = client.lines("UIDL")[1]
        assert client.ask("DELE 2").startswith("+OK")
        for command in ("DELE 2", "RETR 2", "TOP 2 0", "LIST 2", "UIDL 2"):
            assert client.ask(command).startswith("-ERR"), command
        assert client.ask("STAT").startswith("+OK 2 %d" % (len(THREE[0]) + len(THREE[2])))
        assert [line.split()[0] for line in client.lines("LIST")[1]] == ["1", "3"]
        assert client.lines("UIDL")[1] == [uidls[0], uidls[2]]
        assert client.get("RETR 3") == THREE[2]
        assert len(store.all(user)) == 3  # nothing is gone before QUIT
        assert client.quit().startswith("+OK")
    assert list(store.all(user)) == [1, 3]


def test_reset(door, store):
    user = store.user(*THREE)
    with door.log_in(user) as client:
        for n in (1, 2, 3):
            assert client.ask("DELE %d" % n).startswith("+OK")
        assert client.ask("STAT").startswith("+OK 0 0")
        assert client.ask("RSET").startswith("+OK")
        assert client.ask("STAT").startswith("+OK 3 ")
        assert client.ask("DELE 1").startswith("+OK")
        assert client.quit().startswith("+OK")
    assert list(store.all(user)) == [2, 3]


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_lost_without_quit(door, store, how):
    """Who leaves without QUIT has deleted nothing (RFC 1939 section 6)."""
    user = store.user(*THREE)
    client = door.log_in(user)
    client.get("RETR 1")
    assert client.ask("DELE 1").startswith("+OK")
    getattr(client.peer, how)()
    if how == "half_close":
        client.is_closed()
    with door.log_in(user) as other:
        assert other.ask("STAT").startswith("+OK 3 ")
    assert len(store.all(user)) == 3


def test_delete_all(door, store):
    user = store.user(*THREE)
    with door.log_in(user) as client:
        for n in (3, 1, 2):
            assert client.ask("DELE %d" % n).startswith("+OK")
        assert client.quit().startswith("+OK")
    assert store.all(user) == {}


def test_new_mail_comes_later(door, store):
    """The maildrop is what it was at the login."""
    user = store.user(*THREE)
    with door.log_in(user) as client:
        store.put(user, LETTER)
        assert client.ask("STAT").startswith("+OK 3 ")
        assert len(client.lines("UIDL")[1]) == 3
    with door.log_in(user) as client:
        assert client.ask("STAT").startswith("+OK 4 ")


def test_vanished(door, store):
    """Another client takes a message away meanwhile: it stays listed, RETR fails, the others are what they were."""
    user = store.user(*THREE)
    with door.log_in(user) as client:
        before = client.lines("UIDL")[1]
        with store.server.login(user) as session:
            session.select("INBOX")
            session.uid("STORE", "2", "+FLAGS", "\\Deleted")
            session.expunge()
        assert client.get("RETR 2") is None
        assert client.lines("UIDL")[1] == before
        assert client.get("RETR 3") == THREE[2]
        assert client.ask("DELE 1").startswith("+OK")
        client.ask("QUIT")
    assert list(store.all(user)) == [3]


def test_others_marks(gate, store):
    """What another client has marked \\Deleted belongs to its undo: hidden, and not removed by our QUIT."""
    user = store.user(*THREE)
    with store.server.login(user) as session:
        session.select("INBOX")
        session.uid("STORE", "2", "+FLAGS", "\\Deleted")
        session.unselect()
    with Pop3(gate.port()).log_in(user) as client:
        assert client.ask("STAT").startswith("+OK 2 ")
        assert client.get("RETR 2") == THREE[2]
        assert client.ask("DELE 1").startswith("+OK")
        assert client.quit().startswith("+OK")
    assert list(store.all(user)) == [2, 3]


# ---- how it comes ----

def test_pipelined(door, store):
    """All in one packet, from the login on (RFC 2449 section 6.6)."""
    user = store.user(*THREE)
    with door.connect() as client:
        client.send("USER %s\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nLIST\r\nNONSENSE\r\nTOP 2 0\r\nRETR 3\r\nDELE 2\r\nQUIT"
                    % (user, store.server.password))
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")
        assert client.line().startswith(b"+OK 3 ")
        assert client.line().startswith(b"+OK") and client.raw() == THREE[0]
        assert client.line().startswith(b"+OK") and len(client.raw().split(b"\r\n")) == 4
        assert client.line().startswith(b"-ERR")
        assert client.line().startswith(b"+OK") and client.raw() == THREE[1][:THREE[1].index(b"\r\n\r\n") + 4]
        assert client.line().startswith(b"+OK") and client.raw() == THREE[2]
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")
        assert client.is_closed()
    assert list(store.all(user)) == [1, 3]


def test_pipelined_deeply(door, store):
    """Five hundred RETR of 40 KB each while nothing is read; then all of it."""
    body = messages.plain("Deep", "0123456789abcde\r\n" * 2400)
    user = store.user(body)
    with door.log_in(user) as client:
        client.send("RETR 1\r\n" * 499 + "RETR 1")
        for _ in range(500):
            assert client.line().startswith(b"+OK") and client.raw() == body


def test_in_pieces(door, store):
    user = store.user(*THREE)
    with door.connect() as client:
        for octet in ("USER %s\r\nPASS %s\r\nSTAT\r\nQUIT\r\n" % (user, store.server.password)).encode():
            client.peer.send(bytes([octet]))
        answers = [client.line() for _ in range(4)]
        assert all(a.startswith(b"+OK") for a in answers) and answers[2].startswith(b"+OK 3 "), answers
        assert client.is_closed()


def test_half_closed(door, store):
    """Who says all and then no more still gets his answers."""
    user = store.user(*THREE)
    with door.connect() as client:
        client.send("USER %s\r\nPASS %s\r\nSTAT\r\nRETR 3\r\nQUIT" % (user, store.server.password))
        client.peer.half_close()
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")
        assert client.line().startswith(b"+OK 3 ")
        assert client.line().startswith(b"+OK") and client.raw() == THREE[2]
        assert client.line().startswith(b"+OK") and client.is_closed()


def test_two_at_once(door, store):
    user = store.user(*THREE)
    with door.log_in(user) as one, door.log_in(user) as two:
        assert one.get("RETR 3") == two.get("RETR 3") == THREE[2]
        assert one.ask("DELE 3").startswith("+OK") and one.quit().startswith("+OK")
        assert two.lines("UIDL")[1][2].startswith("3 ")
        two.quit()


def test_poplib(door, store):
    user = store.user(*THREE)
    client = poplib.POP3("127.0.0.1", door.port, timeout=env.PATIENCE)
    client.stls(wire.client_context())
    client.user(user)
    client.pass_(store.server.password)
    assert client.stat() == (3, sum(map(len, THREE)))
    assert [b"\r\n".join(client.retr(n)[1] + [b""]) for n in (1, 2, 3)] == THREE
    client.dele(1)
    client.rset()
    client.dele(2)
    client.quit()
    assert list(store.all(user)) == [1, 3]
