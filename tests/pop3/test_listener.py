"""What our listeners do with clients that err, wait or attack; what is kept secret."""

import base64
import time

import pytest

from gp import env, messages, pop3, wire
from gp.pop3 import Pop3, assert_secret
from gp.wire import Closed

LETTER = messages.plain("A letter")


# ---- logins before TLS ----

def test_no_login_in_plain_text(gate, store):
    """Refused as soon as the name is said, so that a password does not follow; it works behind STLS."""
    user = store.user(LETTER)
    with Pop3(gate.port("strict")) as client:
        offered = client.capa()
        assert "STLS" in offered and "USER" not in offered and not any(c.startswith("SASL") for c in offered)
        assert client.ask("USER " + user).startswith("-ERR")
        assert client.ask("PASS " + store.server.password).startswith("-ERR")
        assert client.ask("AUTH PLAIN").startswith("-ERR")
        assert client.ask("AUTH PLAIN " + base64.b64encode(b"\0%s\0secret" % user.encode()).decode()).startswith("-ERR")
        assert client.ask("STAT").startswith("-ERR")
        client.stls()
        offered = client.capa()
        assert "STLS" not in offered and "USER" in offered and "SASL PLAIN" in offered
        assert client.log_in(user).get("RETR 1") == LETTER


def test_refused_login_does_not_reach_the_server(gate, store):
    user = store.user(LETTER)
    mark = store.server.process.mark()
    with Pop3(gate.port("strict")) as client:
        client.ask("USER " + user)
        client.ask("PASS " + store.server.password)
        client.ask("QUIT")
    assert "Login: user=<%s>" % user not in store.server.process.log(mark)


def test_no_tls(gate):
    with Pop3(gate.port("brief")) as client:
        assert "STLS" not in client.capa()
        assert client.ask("STLS").startswith("-ERR")
        assert client.ask("NOOP").startswith("-ERR") and client.quit().startswith("+OK")


def test_stls_injection(gate, store):
    """A whole login behind STLS in plain text: the end, and nothing of it was done."""
    user = store.user(LETTER)
    mark = store.server.process.mark()
    with Pop3(gate.port()) as client:
        client.send("STLS\r\nUSER %s\r\nPASS %s\r\nDELE 1\r\nQUIT" % (user, store.server.password))
        client.line()
        client.peer.until_closed()
    assert "Login: user=<%s>" % user not in store.server.process.log(mark)
    assert len(store.all(user)) == 1


def test_stls_then_silence_then_plain(gate):
    """Plain text where the handshake should be is no handshake."""
    with Pop3(gate.port()) as client:
        assert client.ask("STLS").startswith("+OK")
        client.send("CAPA")
        client.peer.until_closed()


# ---- lines ----

ENDS = [
    # who comes, what it sends
    ("a NUL", b"NOOP\0\r\n"),
    ("a bare LF", b"CAPA\nQUIT\r\n"),
    ("a bare CR", b"CAPA\rQUIT\r\n"),
    ("20,000 octets", b"USER " + b"x" * 20000 + b"\r\nQUIT\r\n"),
    ("a line without an end", b"x" * 100000),
    ("GET", b"GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\nUSER alice\r\n"),
    ("POST", b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nUSER alice\r\nPASS x\r\n"),
    ("EHLO", b"EHLO client.example.net\r\nMAIL FROM:<x@example.net>\r\n"),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500 + b"\r\n"),
]


@pytest.mark.parametrize("sent", [e[1] for e in ENDS], ids=[e[0] for e in ENDS])
def test_who_is_no_client(gate, sent):
    """One refusal at most for each line, nothing granted, and the end."""
    with Pop3(gate.port()) as client:
        client.peer.send(sent)
        for line in client.peer.until_closed().split(b"\r\n")[:-1]:
            assert line.startswith(b"-ERR"), line


def test_lengths(gate, store):
    """255 octets are every client's right (RFC 2449 section 4), AUTH may be far longer."""
    user = store.user(LETTER)
    with Pop3(gate.port()) as client:
        assert client.ask("USER " + "x" * 248).startswith("+OK")  # 255 with CR LF
        assert client.ask("PASS " + "x" * 248).startswith("-ERR [AUTH]")
        assert client.ask("AUTH PLAIN " + base64.b64encode(b"\0%s\0" % user.encode() + b"x" * 6000).decode()) \
            .startswith("-ERR [AUTH]")
        assert client.log_in(user).ask("STAT").startswith("+OK 1 ")


def test_pass_after_a_long_line_is_no_login(gate):
    with Pop3(gate.port()) as client:
        client.ask("USER alice")
        try:
            assert client.ask("PASS " + "x" * 5000).startswith("-ERR")
        except Closed:
            pass


def test_errors_end(gate):
    """Endless nonsense is not answered for ever."""
    with Pop3(gate.port()) as client:
        client.send("NONSENSE\r\n" * 999 + "NONSENSE")
        answers = client.peer.until_closed().split(b"\r\n")[:-1]
        assert 3 <= len(answers) < 200 and all(a.startswith(b"-ERR") for a in answers)


def test_guessing_ends(gate, store):
    """Nobody tries a thousand passwords in one connection."""
    user, tried = store.user(), 0
    with Pop3(gate.port()) as client:
        with pytest.raises((Closed, OSError)):
            while tried < 200:
                client.ask("USER " + user)
                client.ask("PASS wrong%d" % tried)
                tried += 1
    assert 1 <= tried < 200


def test_behind_quit(gate, store):
    user = store.user(LETTER)
    with Pop3(gate.port()).log_in(user) as client:
        client.send("QUIT\r\nNOOP\r\nRETR 1")
        assert client.line().startswith(b"+OK") and client.is_closed()


# ---- time ----

def test_idle(gate):
    """Silence ends; with one refusal at most."""
    with Pop3(gate.port("brief")) as client:
        began = time.monotonic()
        rest = client.peer.until_closed()
        assert 0.8 < time.monotonic() - began < 5
        assert rest == b"" or (rest.startswith(b"-ERR") and rest.count(b"\r\n") == 1)


def test_idle_deletes_nothing(gate, store):
    user = store.user(LETTER)
    with Pop3(gate.port("brief")).log_in(user) as client:
        assert client.ask("DELE 1").startswith("+OK")
        client.peer.until_closed()
    assert len(store.all(user)) == 1


def test_slow_reader_who_stops(gate, store):
    """Who reads nothing more of a message is let go, and the message ends without its dot."""
    user = store.user(messages.plain("Large", "0123456789abcdef\r\n" * 1000000))
    with Pop3(gate.port("brief")).log_in(user) as client:
        assert client.ask("RETR 1").startswith("+OK")
        gate.wait_log(r"\btimeout\b", gate.mark())
        with pytest.raises(pop3.Cut):
            client.raw()


def test_slow_reader_who_goes_on(gate, store):
    """Who reads slowly is not idle, as long as the client's own buffer is small: all comes, and the session goes on."""
    body = messages.plain("Large", "0123456789abcdef\r\n" * 100000)
    user = store.user(body)
    with Pop3(gate.port("brief"), receive=16384).log_in(user) as client:
        client.send("RETR 1")
        got, ended = client.peer.buffer, False
        while not ended:
            time.sleep(0.02)
            octets = client.peer.sock.recv(8192)
            got += octets
            ended = not octets or got.endswith(b"\r\n.\r\n")
        assert got[got.index(b"\r\n") + 2:] == body + b".\r\n"
        assert client.ask("NOOP").startswith("+OK")


# ---- secrets ----

def test_passwords_are_not_logged(gate, store):
    """Not at log-level debug, not when right, not when wrong, not in an error's text."""
    mark = gate.mark()
    for user, password in (*store.odd.items(), (store.user(), "wrong-passw0rd")):
        with Pop3(gate.port()) as client:
            client.login(user, password)
        with Pop3(gate.port("strict")) as client:
            client.ask("PASS " + password)
            client.ask("PASSWORD " + password)
        word = base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode()
        with Pop3(gate.port()) as client:
            client.ask("AUTH PLAIN " + word)
        with Pop3(gate.port()) as client:
            client.ask("AUTH PLAIN")
            client.ask(word)
        with Pop3(gate.port()) as client:
            client.peer.send(b"USER x\r\nPASS " + password.encode() + b"\n\0\r\n")
            client.peer.until_closed()
        if len(password) > 5:
            assert_secret(gate.log(mark), user, password.strip())


def test_session_line(gate, store):
    """One line for each session tells who, how and how much."""
    user = store.user(LETTER, LETTER)
    mark = gate.mark()
    with Pop3(gate.port("pops"), wire.client_context()).log_in(user) as client:
        client.get("RETR 1")
        client.ask("DELE 2")
        client.quit()
    gate.wait_log(r"user=\"?%s\b" % user, mark)


def test_ends_with_the_gateway(own_gate, store):
    """SIGTERM: an idle session ends politely, one that is reading may finish."""
    user = store.user(messages.plain("Large", "0123456789abcdef\r\n" * 300000))
    with own_gate as gate:
        idle, reading = Pop3(gate.port()).log_in(user), Pop3(gate.port()).log_in(user)
        assert idle.ask("DELE 1").startswith("+OK")
        reading.send("RETR 1")
        assert reading.line().startswith(b"+OK")
        gate.process.child.terminate()
        assert idle.peer.until_closed().startswith(b"-ERR [SYS/TEMP]")
        assert len(reading.raw()) > 5000000
        reading.close()
    assert len(store.all(user)) == 1


def test_reload_keeps_sessions(own_gate, store):
    user = store.user(LETTER)
    with own_gate as gate:
        with Pop3(gate.port()).log_in(user) as client:
            gate.conf.set("listener/pop.plaintext-login", "off")
            gate.reload()
            assert client.get("RETR 1") == LETTER
        deadline = time.monotonic() + env.PATIENCE
        while time.monotonic() < deadline:
            with Pop3(gate.port()) as client:
                if client.ask("USER x").startswith("-ERR"):
                    return
        raise AssertionError("the new settings do not hold")
