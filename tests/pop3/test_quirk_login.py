"""IMAP servers that go wrong before the maildrop stands: what a POP3 client hears instead of "+OK".

[AUTH] makes a client ask its user for another password, [SYS/TEMP] makes it come again; and a maildrop
that is empty or short without being so makes it fetch everything again, or forget it (RFC 2449, 3206)."""

import contextlib

import pytest

from gp.pop3 import PASSWORD
from gp.wire import Closed

MAILS = [b"Subject: %d\r\n\r\nnumber %d\r\n" % (n, n) for n in (1, 2, 3)]
AUTH, TEMP, PERM, SYS = "-ERR [AUTH]", "-ERR [SYS/TEMP]", "-ERR [SYS/PERM]", "-ERR [SYS/"


def login_says(text):
    return {"login": [text]}


LIST = "* 1 FETCH (UID 1 RFC822.SIZE 23 FLAGS ())\r\n* 2 FETCH (UID 2 RFC822.SIZE 23 FLAGS ())\r\n"
THIRD = "* 3 FETCH (UID 3 RFC822.SIZE 23 FLAGS ())\r\n"
DONE = "{{tag}} OK done\r\n"

REFUSED = [
    # what the server does, in which steps, what PASS is answered with
    ("NO without a code", login_says("{{tag}} NO Sorry\r\n"), AUTH),
    ("AUTHENTICATIONFAILED", login_says("{{tag}} NO [AUTHENTICATIONFAILED] Sorry\r\n"), AUTH),
    ("authenticationfailed", login_says("{{tag}} no [authenticationfailed] Sorry\r\n"), AUTH),
    ("AUTHORIZATIONFAILED", login_says("{{tag}} NO [AUTHORIZATIONFAILED] Sorry\r\n"), AUTH),
    ("EXPIRED", login_says("{{tag}} NO [EXPIRED] Sorry\r\n"), AUTH),
    ("CONTACTADMIN", login_says("{{tag}} NO [CONTACTADMIN] Sorry\r\n"), AUTH),
    ("UNAVAILABLE", login_says("{{tag}} NO [UNAVAILABLE] LDAP is down\r\n"), TEMP),
    ("LIMIT", login_says("{{tag}} NO [LIMIT] Too many connections\r\n"), TEMP),
    ("INUSE", login_says("{{tag}} NO [INUSE] Locked\r\n"), SYS),
    ("PRIVACYREQUIRED", login_says("{{tag}} NO [PRIVACYREQUIRED] Not without TLS\r\n"), SYS),
    ("SERVERBUG", login_says("{{tag}} NO [SERVERBUG] Oops\r\n"), TEMP),
    ("BAD at login", login_says("{{tag}} BAD What?\r\n"), TEMP),
    ("BYE at login", login_says("* BYE Going down\r\n"), TEMP),
    ("BYE and NO at login", login_says("* BYE [UNAVAILABLE] Going down\r\n{{tag}} NO Sorry\r\n"), "-ERR ["),
    ("closes at login", login_says("(close)"), TEMP),
    ("resets at login", login_says("(reset)"), TEMP),
    ("hangs at login", login_says("(hang)"), TEMP),
    ("another tag at login", login_says("zzz9 OK welcome\r\n"), TEMP),
    ("half an answer at login", {"login": ["{{tag}} O", "(close)"]}, TEMP),
    ("a continuation too many at login", {"login": ["+ \r\n" * 5, "(hang)"]}, TEMP),

    ("BYE as greeting", {"greeting": ["* BYE Too busy\r\n", "(close)"]}, TEMP),
    ("BAD as greeting", {"greeting": ["* BAD what\r\n", "(hang)"]}, TEMP),
    ("SMTP as greeting", {"greeting": ["220 mx ESMTP\r\n", "(hang)"]}, TEMP),
    ("no greeting", {"greeting": ["(hang)"]}, TEMP),
    ("an endless greeting", {"greeting": ["{{rep 3000000 x}}", "(hang)"]}, TEMP),
    ("closes at once", {"greeting": ["(close)"]}, TEMP),
    ("hangs at CAPABILITY", {"greeting": ["* OK hi\r\n"], "capability": ["(hang)"]}, TEMP),
    ("PREAUTH", {"greeting": ["* PREAUTH [CAPABILITY IMAP4rev1 UIDPLUS] welcome, root\r\n"]}, SYS),

    ("SELECT NO", {"select": ["{{tag}} NO No such thing\r\n"]}, SYS),
    ("SELECT NONEXISTENT", {"select": ["{{tag}} NO [NONEXISTENT] No INBOX\r\n"]}, SYS),
    ("SELECT BAD", {"select": ["{{tag}} BAD User is authenticated but not connected.\r\n"]}, TEMP),
    ("closes at SELECT", {"select": ["(close)"]}, TEMP),
    ("hangs at SELECT", {"select": ["(hang)"]}, TEMP),
    ("SELECT without EXISTS", {"select": ["* OK [UIDVALIDITY 1] ok\r\n{{tag}} OK [READ-WRITE] ok\r\n"]}, TEMP),
    ("SELECT without UIDVALIDITY", {"select": ["* 3 EXISTS\r\n{{tag}} OK [READ-WRITE] ok\r\n"]}, SYS),
    ("UIDVALIDITY 0", {"select": ["* 3 EXISTS\r\n* OK [UIDVALIDITY 0] ok\r\n{{tag}} OK [READ-WRITE] ok\r\n"]}, SYS),
    ("EXISTS too large", {"select": ["* 99999999999999 EXISTS\r\n", "(usual)"]}, SYS),

    ("list NO", {"list": ["{{tag}} NO Sorry\r\n"]}, TEMP),
    ("list BAD", {"list": ["{{tag}} BAD Sorry\r\n"]}, TEMP),
    ("list closes", {"list": ["(close)"]}, TEMP),
    ("list hangs", {"list": [LIST, "(hang)"]}, TEMP),
    ("list BYE", {"list": [LIST, "* BYE Sorry\r\n", "(close)"]}, TEMP),
    ("list stays empty", {"list": [DONE]}, TEMP),
    ("list is one short", {"list": [LIST + DONE]}, TEMP),
    ("list is NO behind all", {"list": [LIST + THIRD + "{{tag}} NO Some messages could not be fetched\r\n"]}, TEMP),
    ("a message without size", {"list": [LIST + "* 3 FETCH (UID 3 FLAGS ())\r\n" + DONE]}, TEMP),
    ("a message without UID", {"list": [LIST + "* 3 FETCH (RFC822.SIZE 3 FLAGS ())\r\n" + DONE]}, TEMP),
    ("UID 0", {"list": [LIST + "* 3 FETCH (UID 0 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("UID twice", {"list": [LIST + "* 3 FETCH (UID 2 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("UID too large", {"list": [LIST + "* 3 FETCH (UID 4294967296 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("UID negative", {"list": [LIST + "* 3 FETCH (UID -3 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("size too large", {"list": [LIST + "* 3 FETCH (UID 3 RFC822.SIZE 99999999999999999999 FLAGS ())\r\n" + DONE]}, TEMP),
    ("size negative", {"list": [LIST + "* 3 FETCH (UID 3 RFC822.SIZE -1 FLAGS ())\r\n" + DONE]}, TEMP),
    ("sequence number 0", {"list": [LIST + "* 0 FETCH (UID 3 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("a literal for an atom", {"list": [LIST + "* 3 FETCH ({3}\r\nUID 3 RFC822.SIZE 23 FLAGS ())\r\n" + DONE]}, TEMP),
    ("parentheses 100,000 deep", {"list": [LIST + "* 3 FETCH (FLAGS {{rep 100000 (}}{{rep 100000 )}} UID 3)\r\n", DONE]}, TEMP),
    ("a line of 3 MB", {"list": [LIST + "* 3 FETCH (FLAGS ({{rep 300000 \\Flag-9999}}) UID 3 RFC822.SIZE 23)\r\n", DONE]}, TEMP),
    ("a line without an end", {"list": [LIST + "* 3 FETCH (FLAGS ({{rep 300000 \\Flag-9999}}", "(hang)"]}, TEMP),
    ("a flood of untagged lines", {"list": ["{{rep 200000 * OK Still here\r\n}}", "(hang)"]}, TEMP),
    ("nonsense for an answer", {"list": ["\x00\xff\xfe)(*&^%\r\n" * 20, "(hang)"]}, TEMP),
]


@pytest.mark.parametrize("steps, answer", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_login_refused(quirks, steps, answer):
    quirks.play(*MAILS, steps=steps)
    with quirks.connect() as client:
        said = client.login("alice", PASSWORD)
        assert said.startswith(answer), said
        assert len(said) <= 510
        # Either it is over, or another try is made; but there is no maildrop.
        with contextlib.suppress(Closed, OSError):
            assert client.ask("STAT").startswith("-ERR")
    quirks.play(*MAILS)  # and the next one is served
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 3 ")


def test_right_after_wrong(quirks):
    """A wrong password ends nothing; the right one is tried on a session that knows nothing of it."""
    quirks.play(*MAILS, password=PASSWORD)
    with quirks.connect() as client:
        assert client.login("alice", "wrong").startswith(AUTH)
        assert client.log_in("alice", PASSWORD).ask("STAT").startswith("+OK 3 ")


def test_server_text_stays_there(quirks):
    """What a server says to a failed login may name its users and hosts, or forge replies."""
    quirks.play(*MAILS, steps=login_says("{{tag}} NO alice is unknown at ldap.internal\r\n"))
    with quirks.connect() as client:
        said = client.login("alice", PASSWORD)
        assert said.startswith(AUTH) and "ldap" not in said


@pytest.mark.parametrize("word", ["NO", "BAD", "NO [UNAVAILABLE]"])
def test_server_repeats_the_password(quirks, word):
    """Some answer with the command that they did not like. The log and the client must not have it."""
    quirks.play(*MAILS, steps=login_says('{{tag}} %s Unknown command: LOGIN alice "%s"\r\n' % (word, PASSWORD)))
    with quirks.connect() as client:
        assert PASSWORD not in client.login("alice", PASSWORD)


# ---- what is no fault ----

SERVED = [
    ("noise everywhere", {step: ["* OK Still here\r\n* NO [ALERT] Disk almost full\r\n* BAD odd\r\n", "(usual)"]
                          for step in ("capability", "login", "select", "list", "body", "store", "expunge")}),
    ("new mail during the list", {"list": ["* 4 EXISTS\r\n* 1 RECENT\r\n", "(usual)"]}),
    ("unasked flags", {"list": ["* 2 FETCH (FLAGS (\\Seen))\r\n", "(usual)"]}),
    ("unasked flags behind", {"list": [LIST + THIRD + "* 2 FETCH (FLAGS (\\Seen))\r\n" + DONE]}),
    ("another client reads meanwhile", {"list": ["* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n", "(usual)"]}),
    ("or just now", {"list": [LIST + THIRD + "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n" + DONE]}),
    ("any order of messages", {"list": [THIRD + LIST + DONE]}),
    ("any order of items", {"list": ["".join("* %d FETCH (FLAGS (\\Seen $x) RFC822.SIZE 23 MODSEQ (9) UID %d)\r\n" % (n, n)
                                             for n in (1, 2, 3)) + DONE]}),
    ("lower case", {"list": ["".join("* %d fetch (uid %d rfc822.size 23 flags ())\r\n" % (n, n) for n in (1, 2, 3))
                             + "{{tag}} ok done\r\n"]}),
    ("one message in two responses", {"list": [LIST + "* 3 FETCH (UID 3 FLAGS ())\r\n"
                                              "* 3 FETCH (UID 3 RFC822.SIZE 23)\r\n" + DONE]}),
    ("in drops", {"greeting": ["(drip 3 0.0002)", "(usual)"]}),
    ("no capabilities in the greeting", {"greeting": ["* OK hi\r\n"]}),
    ("nor behind the login", {"greeting": ["* OK hi\r\n"], "login": ["{{tag}} OK\r\n"]}),
    ("capabilities untagged at login", {"login": ["* CAPABILITY IMAP4rev1 UIDPLUS\r\n{{tag}} OK\r\n"]}),
    ("a code that nobody knows", {"login": ["{{tag}} OK [X-ODD (a \"b]\" {1})] hi\r\n"]}),
    ("an answer without text", {"select": ["* 3 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n{{tag}} OK\r\n"]}),
    ("read-only", {"select": ["* 3 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n{{tag}} OK [READ-ONLY] x\r\n"]}),
]


@pytest.mark.parametrize("steps", [s[1] for s in SERVED], ids=[s[0] for s in SERVED])
def test_login_served(quirks, steps):
    quirks.play(*MAILS, steps=steps)
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 3 ")
        assert client.lines("UIDL")[1] == ["%d %08x00000001" % (n, n) for n in (1, 2, 3)]


def test_uids_that_do_not_rise(quirks):
    """UIDs that do not rise (RFC 3501 section 2.3.1.1 says they must): refused, or still in order and whole."""
    quirks.play(*MAILS, steps={"list": ["* 1 FETCH (UID 3 RFC822.SIZE 23)\r\n* 2 FETCH (UID 1 RFC822.SIZE 23)\r\n"
                                        "* 3 FETCH (UID 2 RFC822.SIZE 23)\r\n" + DONE]})
    with quirks.connect() as client:
        said = client.login("alice", PASSWORD)
        if said.startswith("+OK"):
            assert client.lines("UIDL")[1] == ["%d %08x00000001" % (n, n) for n in (1, 2, 3)]
        else:
            assert said.startswith(TEMP)


def test_gone_during_the_list(quirks):
    """A message that is expunged while the list comes was never there for us."""
    quirks.play(*MAILS, steps={"list": [LIST + "* 3 EXPUNGE\r\n" + DONE]})
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 2 ")


def test_empty_mailbox(quirks):
    """1:* of nothing is an error on some servers: it is not asked."""
    quirks.play(steps={"list": ["{{tag}} BAD Invalid sequence set\r\n"]})
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 0 0")


def test_large_numbers(quirks):
    """Sizes and their sum are 64 bits wide, UIDs 32."""
    size = 5 << 40
    quirks.play({"octets": "x", "uid": 4294967294, "size": size}, {"octets": "x", "uid": 4294967295, "size": size},
                uidvalidity=4294967295)
    with quirks.log_in() as client:
        assert client.ask("STAT") == "+OK 2 %d" % (2 * size)
        assert client.ask("LIST 2") == "+OK 2 %d" % size
        assert client.ask("UIDL 2") == "+OK 2 ffffffffffffffff"


def test_uidvalidity_changes(quirks):
    """Another UIDVALIDITY: these are other messages, so every UIDL is another one."""
    quirks.play(*MAILS, uidvalidity=5)
    with quirks.log_in() as client:
        before = client.lines("UIDL")[1]
    quirks.play(*MAILS, uidvalidity=6)
    with quirks.log_in() as client:
        assert not set(before) & set(client.lines("UIDL")[1])


def test_deleted_is_hidden(quirks):
    quirks.play(MAILS[0], {"octets": MAILS[1].decode(), "flags": "\\Seen \\Deleted"}, MAILS[2])
    with quirks.log_in() as client:
        assert client.ask("STAT").startswith("+OK 2 ")
        assert client.lines("UIDL")[1] == ["1 0000000100000001", "2 0000000300000001"]
        assert client.get("RETR 2") == MAILS[2]


def test_one_fetch_lists_all(quirks):
    """The maildrop costs one question, whatever it holds; LIST and UIDL of one message none."""
    quirks.play(*[b"Subject: %d\r\n\r\n" % n for n in range(500)])
    with quirks.log_in() as client:
        client.lines("LIST")
        client.lines("UIDL")
        for n in range(1, 500):
            client.ask("UIDL %d" % n)
    commands = quirks.session().commands
    assert len([c for c in commands if b"FETCH" in c]) == 1, commands


# ---- how the name and the password travel ----

WAYS = {
    "AUTHENTICATE with SASL-IR": ("IMAP4rev1 SASL-IR AUTH=PLAIN", b"AUTHENTICATE"),
    "AUTHENTICATE": ("IMAP4rev1 AUTH=PLAIN", b"AUTHENTICATE"),
    "AUTHENTICATE, LOGIN disabled": ("IMAP4rev1 LOGINDISABLED AUTH=LOGIN AUTH=PLAIN", b"AUTHENTICATE"),
    "LOGIN": ("IMAP4rev1", b"LOGIN"),
    "LOGIN, LITERAL+": ("IMAP4rev1 LITERAL+", b"LOGIN"),
    "LOGIN, LITERAL-": ("IMAP4rev1 LITERAL-", b"LOGIN"),
    "LOGIN, other mechanisms": ("IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=CRAM-MD5", b"LOGIN"),
}
PASSWORDS = ["pa55-w0rd", "two  words ", " leading", 'quo"te', "back\\slash\\",
             "gr\u00fc\u00dfe \u20ac", "{5}", "{3+}", "NIL", "x" * 240]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("way", WAYS)
def test_password_arrives(quirks, way, password):
    capability, how = WAYS[way]
    quirks.play(*MAILS, capability=capability)
    with quirks.connect() as client:
        client.log_in('al"i\\ce', password)
    session = quirks.session()
    assert (session.how, session.user, session.password) == (how, b'al"i\\ce', password.encode())
    if "LITERAL" not in capability:
        assert not [literal for literal in session.literals if b"+" in literal]
    if not password.isascii() and how == b"LOGIN":
        assert session.literals


def test_login_disabled(quirks):
    """Nothing that we may use: the password stays here."""
    quirks.play(*MAILS, capability="IMAP4rev1 LOGINDISABLED AUTH=GSSAPI")
    with quirks.connect() as client:
        assert client.login("alice", PASSWORD).startswith(SYS)
    assert not [s for s in quirks.plain.all if s.password is not None]


def test_nothing_behind_login(quirks):
    """Some servers lose what is sent before the login is answered."""
    quirks.play(*MAILS, steps={"login": ["(wait 0.2)", "(lose)", "(usual)"]})
    with quirks.connect() as client:
        client.send("USER alice\r\nPASS %s\r\nSTAT" % PASSWORD)
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")
        assert client.line().startswith(b"+OK 3 ")
    assert quirks.session().lost == b""


# ---- TLS to the server ----

TLS_REFUSED = [
    ("STARTTLS is not offered", "require", {"capability": "IMAP4rev1 AUTH=PLAIN"}),
    ("STARTTLS is refused", "require", {"steps": {"starttls": ["{{tag}} NO not now\r\n"]}}),
    ("STARTTLS is BAD", "require", {"steps": {"starttls": ["{{tag}} BAD what\r\n"]}}),
    ("STARTTLS hangs", "require", {"steps": {"starttls": ["(hang)"]}}),
    ("octets behind its OK", "require", {"steps": {"starttls": ["{{tag}} OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"]}}),
    ("one octet behind its OK", "require", {"steps": {"starttls": ["{{tag}} OK go\r\n*"]}}),
    ("PREAUTH", "require", {"steps": {"greeting": ["* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n"]}}),
    ("closes at STARTTLS", "require", {"steps": {"starttls": ["(close)"]}}),
    ("another name on the certificate", "stranger", {}),
]


@pytest.mark.parametrize("listener, script", [t[1:] for t in TLS_REFUSED], ids=[t[0] for t in TLS_REFUSED])
def test_tls_refused(quirks, listener, script):
    """Where TLS is asked for no password leaves without it."""
    server = "implicit" if listener == "stranger" else listener
    script = dict({"capability": "IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN"}, **script)
    quirks.play(*MAILS, server=server, **script)
    with quirks.connect(listener) as client:
        assert client.login("alice", PASSWORD).startswith(SYS)
    assert not [s for s in quirks.servers[server].all if s.password is not None]


@pytest.mark.parametrize("listener", ["require", "implicit"])
def test_tls(quirks, listener):
    quirks.play(*MAILS, server=listener, capability="IMAP4rev1 STARTTLS LOGINDISABLED",
                after_tls="IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS")
    with quirks.log_in(listener) as client:
        assert client.get("RETR 2") == MAILS[1]
        assert client.ask("DELE 1").startswith("+OK") and client.quit().startswith("+OK")
    session = quirks.session(listener)
    assert session.password == PASSWORD.encode() and session.starttls == (listener == "require")
    assert [m.uid for m in session.script.messages] == [2, 3]


def test_capabilities_before_tls_are_forgotten(quirks):
    """What stood there in plain text may be forged (RFC 3501 section 6.2.1)."""
    quirks.play(*MAILS, server="require", capability="IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN LITERAL+",
                after_tls="IMAP4rev1")
    with quirks.connect("require") as client:
        client.log_in("alice", "gr\u00fc\u00dfe")
    session = quirks.session("require")
    assert session.how == b"LOGIN" and not [literal for literal in session.literals if b"+" in literal]
