"""The strict server is as strict as it says: a table of what a client says, and what it must hear."""

import os
import signal
import subprocess

import pytest

from gp.strict import Strict
from gp.wire import Closed, Peer

EHLO = b"EHLO client.example.net\r\n"
MAIL = b"MAIL FROM:<ann@example.net>\r\n"
RCPT = b"RCPT TO:<bob@example.org>\r\n"

# (what is offered, what is sent packet by packet, the codes of the replies)
ROWS = [
    ("", [EHLO, MAIL, RCPT, b"DATA\r\n", b"Subject: x\r\n\r\n..x\r\n.\r\n", b"QUIT\r\n"], "250 250 250 354 250 221"),
    ("", [b"MAIL FROM:<a@b.c>\r\n"], "503"),
    ("", [b"LHLO client.example.net\r\n"], "500"),
    ("", [b"EHLO under_score\r\n"], "501"),
    ("", [b"EHLO [127.0.0.1]\r\n", b"EHLO [IPv6:::1]\r\n"], "250 250"),
    ("", [EHLO, b"NOOP\n"], "250 500"),
    ("", [EHLO, b"NO\rOP\r\n"], "250 500"),
    ("", [EHLO, b"NOOP \0\r\n"], "250 500"),
    ("", [EHLO, b"NOOP " + b"x" * 505 + b"\r\n", b"NOOP " + b"x" * 506 + b"\r\n"], "250 250 500"),
    ("", [EHLO, b"MAIL FROM: <a@b.c>\r\n", b"MAIL FROM:a@b.c\r\n", b"MAIL FROM:<a@b.c> \r\n", b"MAIL FROM:<>\r\n"], "250 501 501 501 250"),
    ("", [EHLO, MAIL, MAIL], "250 250 503"),
    ("", [EHLO, RCPT, b"DATA\r\n"], "250 503 503"),
    ("", [EHLO, MAIL, b"DATA\r\n"], "250 250 554"),
    ("", [EHLO, MAIL, b"RCPT TO:<>\r\n", b"RCPT TO:<postmaster>\r\n", b'RCPT TO:<"a b"@example.org>\r\n'], "250 250 501 250 250"),
    ("", [EHLO, MAIL, b"RCPT TO:<@a:b@c.d>\r\n"], "250 250 501"),
    ("", [EHLO, MAIL + RCPT], "250 554"),
    ("PIPELINING", [EHLO, MAIL + RCPT + b"DATA\r\n"], "250 250 250 354"),
    ("PIPELINING", [EHLO, MAIL + RCPT + b"DATA\r\nSubject: too early\r\n"], "250 250 250 554"),
    ("PIPELINING", [EHLO + MAIL], "554"),
    ("", [EHLO, b"MAIL FROM:<a@b.c> SIZE=1\r\n"], "250 555"),
    ("SIZE 1000", [EHLO, b"MAIL FROM:<a@b.c> SIZE=1001\r\n", b"MAIL FROM:<a@b.c> SIZE=x\r\n", b"MAIL FROM:<a@b.c> SIZE=1 SIZE=1\r\n"],
     "250 552 501 501"),
    ("SIZE 1000", [EHLO, b"MAIL FROM:<a@b.c> SIZE=10\r\n", RCPT, b"DATA\r\n", b"12345678\r\n.\r\n"], "250 250 250 354 250"),
    ("SIZE 1000", [EHLO, b"MAIL FROM:<a@b.c> SIZE=9\r\n", RCPT, b"DATA\r\n", b"12345678\r\n.\r\n"], "250 250 250 354 552"),
    ("8BITMIME", [EHLO, b"MAIL FROM:<a@b.c> BODY=8BITMIME\r\n", RCPT, b"DATA\r\n", b"\xff\r\n.\r\n"], "250 250 250 354 250"),
    ("8BITMIME", [EHLO, MAIL, RCPT, b"DATA\r\n", b"\xff\r\n.\r\n"], "250 250 250 354 554"),
    ("8BITMIME", [EHLO, b"MAIL FROM:<a@b.c> BODY=BINARYMIME\r\n"], "250 501"),
    ("", [EHLO, MAIL, RCPT, b"DATA\r\n", b"a\rb\r\n.\r\n"], "250 250 250 354 550"),
    ("", [EHLO, MAIL, RCPT, b"DATA\r\n", b"a\n.\nb\r\n.\r\n"], "250 250 250 354 550"),
    ("", [EHLO, MAIL, RCPT, b"DATA\r\n", b".a\r\n.\r\n"], "250 250 250 354 550"),
    ("", [EHLO, MAIL, RCPT, b"DATA\r\n", b".\r\n", b"DATA\r\n"], "250 250 250 354 250 503"),
    ("", [EHLO, MAIL, RCPT, b"BDAT 3 LAST\r\na\r\n"], "250 250 250 500 500"),  # the chunk is a command then
    ("CHUNKING", [EHLO, MAIL, RCPT, b"BDAT 3\r\n.\r\n", b"BDAT 0 LAST\r\n"], "250 250 250 250 250"),
    ("CHUNKING", [EHLO, MAIL, RCPT, b"BDAT 3\r\na\r\n", b"DATA\r\n"], "250 250 250 250 503"),
    ("CHUNKING", [EHLO, b"BDAT 3 LAST\r\na\r\n", b"BDAT x\r\n", b"BDAT\r\n"], "250 503 501 501"),
    ("CHUNKING, BINARYMIME, 8BITMIME", [EHLO, b"MAIL FROM:<a@b.c> BODY=BINARYMIME\r\n", RCPT, b"DATA\r\n", b"BDAT 2 LAST\r\n\0\n"],
     "250 250 250 503 250"),
    ("CHUNKING", [EHLO, MAIL, RCPT, b"BDAT 2 LAST\r\n\0\n"], "250 250 250 550"),
    ("SMTPUTF8", [EHLO, b"MAIL FROM:<\xc3\xb6@b.c>\r\n", b"MAIL FROM:<\xc3\xb6@b.c> SMTPUTF8\r\n", b"RCPT TO:<\xc3\xb6@b.c>\r\n"],
     "250 553 250 250"),
    ("", [EHLO, b"MAIL FROM:<\xc3\xb6@b.c>\r\n"], "250 500"),
    ("DSN", [EHLO, b"MAIL FROM:<a@b.c> RET=FULL ENVID=x+2By\r\n", b"RCPT TO:<b@c.d> NOTIFY=NEVER,DELAY\r\n",
             b"RCPT TO:<b@c.d> NOTIFY=DELAY ORCPT=rfc822;b+40c\r\n", b"RCPT TO:<b@c.d> ORCPT=b@c.d\r\n"], "250 250 501 250 501"),
    ("DSN", [EHLO, b"MAIL FROM:<a@b.c> ENVID=x+y\r\n"], "250 501"),
    ("AUTH PLAIN", [EHLO, b"AUTH LOGIN\r\n", b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", b"AUTH PLAIN\r\n"], "250 504 235 503"),
    ("AUTH PLAIN", [EHLO, b"AUTH PLAIN\r\n", b"*\r\n", b"AUTH PLAIN AGFsaWNlAHdyb25n\r\n", b"AUTH PLAIN !\r\n"], "250 334 501 535 501"),
    ("AUTH CRAM-MD5", [EHLO, b"AUTH CRAM-MD5\r\n", b"YWxpY2UgMTIz\r\n"], "250 334 535"),
    ("REQUIRETLS", [EHLO, b"MAIL FROM:<a@b.c> REQUIRETLS\r\n"], "250 555"),
    ("PRDR", [EHLO, b"MAIL FROM:<a@b.c> PRDR\r\n", RCPT, b"DATA\r\n", b".\r\n"], "250 250 250 354 250"),
    ("PRDR", [EHLO, b"MAIL FROM:<a@b.c> PRDR\r\n", RCPT, b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", b".\r\n", b"NOOP\r\n"],
     "250 250 250 250 354 353 250 250 250 250"),
    ("LIMITS RCPTMAX=1 MAILMAX=1", [EHLO, MAIL, RCPT, b"RCPT TO:<c@d.e>\r\n", b"RSET\r\n", MAIL], "250 250 250 452 250 452"),
    ("XFORWARD NAME ADDR", [EHLO, b"XFORWARD NAME=a ADDR=1.2.3.4\r\n", b"XFORWARD FOO=a\r\n", MAIL, b"XFORWARD NAME=b\r\n"],
     "250 250 501 250 503"),
    ("", [EHLO, b"XCLIENT NAME=a\r\n", b"VRFY a\r\n", b"ETRN a.b\r\n", b"HELP\r\n", b"FOO\r\n", b"RSET x\r\n"],
     "250 500 500 500 500 500 501"),
    ("VRFY, ETRN, HELP", [EHLO, b"VRFY a\r\n", b"ETRN a.b\r\n", b"HELP\r\n"], "250 252 250 214"),
]


def play(server, packets, count):
    """The codes of so many replies to what is sent, a packet when the ones before have their answers."""
    client, codes = Peer.connect(server.port), []
    try:
        client.reply()
        for packet in packets:
            client.send(packet)
            codes.append(client.reply()[-1][:3].decode())
            while client.pending(0.01):
                codes.append(client.reply()[-1][:3].decode())
        while len(codes) < count:
            codes.append(client.reply()[-1][:3].decode())
    except Closed:
        pass
    finally:
        client.close()
    return " ".join(codes)


@pytest.fixture(scope="module")
def servers():
    """One server for each list of offers."""
    made = {}
    try:
        for offers in {row[0] for row in ROWS}:
            made[offers] = Strict(offers, options=["--login", "alice:secret"])
            made[offers].start()
        yield made
    finally:
        for server in made.values():
            server.stop()


@pytest.mark.parametrize("offers, packets, codes", ROWS)
def test_row(servers, offers, packets, codes):
    assert play(servers[offers], packets, codes.count(" ") + 1) == codes


SCRIPTED = [
    ({"at": "rcpt", "if": "bob@", "do": ["450 4.2.1 Later"]}, "250 250 450 554"),
    ({"at": "connect", "conn": 2, "do": ["421 4.3.2 No"]}, "250 250 250 354 250"),
    ({"at": "dot", "do": ["(close)"]}, "250 250 250 354"),
    ({"at": "dot", "nth": 2, "do": ["(close)"]}, "250 250 250 354 250"),
    ({"at": "dot", "do": ["(wait 0.1)", "(usual)"]}, "250 250 250 354 250"),
    ({"at": "commit", "do": ["(reset)"]}, "250 250 250 354"),
    ({"at": "body", "do": ["(close)"]}, "250 250 250 354"),
    ({"at": "mail", "do": [["250 2.1.0 Two", "250 2.1.0 lines"]]}, "250 250 503 503"),
    ({"at": "answer", "if": "bob@", "do": ["452 4.2.2 Full"]}, "250 250 250 354 452"),
]


@pytest.mark.parametrize("rule, codes", SCRIPTED)
def test_script(rule, codes):
    packets = [EHLO, MAIL, RCPT, b"DATA\r\n"] + ([b"\r\n.\r\n"] if "354" in codes else [])
    with Strict("8BITMIME", script=[rule]) as server:
        assert play(server, packets, codes.count(" ") + 1) == codes
        committed = 1 if codes.endswith("250") or rule["at"] in ("commit", "answer") else 0
        assert len(server.messages()) == committed


def test_lmtp():
    """One reply for each recipient that was taken, in order."""
    script = [{"at": "answer", "if": "carol@", "do": ["550 5.7.1 No"]}]
    packets = [b"LHLO client.example.net\r\n", MAIL, RCPT, b"RCPT TO:<nobody@example.org>\r\n", b"RCPT TO:<carol@example.org>\r\n",
               b"DATA\r\n", b"\r\n.\r\n"]
    with Strict("PIPELINING", script, lmtp=True, options=["--no-users", "nobody"]) as server:
        assert play(server, packets, 8) == "250 250 250 550 250 354 250 550"
        assert server.messages()[0]["answers"] == ["250 2.0.0 Taken as S1", "550 5.7.1 No"]
        assert not server.faults()


def test_kill():
    """A script kills whom it names, and only below the process that it was given: not us, who hold the connection."""
    victim = subprocess.Popen(["gp-victim", "60"], executable="/bin/sleep")
    script = [{"at": "mail", "do": ["(kill peer)", "(kill ^gp-victim$)", "(usual)"]}]
    with Strict("", script, options=["--below", str(os.getpid())]) as server:
        assert play(server, [EHLO, MAIL], 2) == "250 250"
        assert victim.wait(5) == -signal.SIGKILL
        assert [(e["whom"], e["step"]) for e in server.events("kill")] == [("gp-victim", "mail")]
