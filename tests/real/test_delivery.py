"""Messages through Gatepost into real mailboxes: every octet arrives, under our Received line."""

import re
import smtplib
import socket
import ssl

import pytest

from gp import env, messages, wire
from gp.wire import Peer

counter = iter(range(10**6))


def unique(what):
    return "%s %d" % (what, next(counter))


def client(route, tls=None):
    """An smtplib session: plain, "starttls" or "implicit", the certificate verified."""
    context = wire.client_context(route.gatepost.certs.ca)
    # What is verified is the name, not the loopback address that we connect to.
    real = context.wrap_socket
    context.wrap_socket = lambda sock, server_hostname=None, **more: real(sock, server_hostname=env.HOSTNAME, **more)
    if tls == "implicit":
        return smtplib.SMTP_SSL("127.0.0.1", route.implicit, "client.example.net", context=context)
    session = smtplib.SMTP("127.0.0.1", route.port, "client.example.net", timeout=env.PATIENCE)
    if tls:
        session.starttls(context=context)
    return session


def deliver(route, subject, message, to=("alice@example.org",), tls=None, options=()):
    """Sends; returns what stands above the message in the first recipient's mailbox."""
    with client(route, tls) as session:
        refused = session.sendmail("ann@example.net", to, message, mail_options=options)
    assert refused == {}
    stored = route.store.wait_mail("Subject: " + subject + "\n", to[0].split("@")[0])
    return messages.arrived(stored, message)


@pytest.mark.parametrize("tls, protocol", [(None, "ESMTP"), ("starttls", "ESMTPS"), ("implicit", "ESMTPS")])
def test_letter(route, tls, protocol):
    subject = unique("a letter, %s," % (tls or "plain"))
    above = deliver(route, subject, messages.plain(subject), tls=tls)
    received = re.findall(r"^Received: (?:.*\r\n[ \t])*.*", above, re.MULTILINE)
    assert re.match(r"Received: from client\.example\.net \(.*127\.0\.0\.1.*\)\s+by mx\.example\.org\b", received[-1])
    assert re.search(r"\bwith %s\b" % protocol, received[-1])
    assert re.search(r";\s+\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", received[-1])
    assert all(len(line) <= 78 for line in received[-1].split("\r\n"))
    assert "X-Spam-Flag" not in above


def test_imap_sees_it(to_dovecot):
    subject = unique("over IMAP")
    message = messages.plain(subject)
    deliver(to_dovecot, subject, message, ("carol@example.org",))
    session = to_dovecot.store.login("carol")
    session.select()
    _, found = session.search(None, "SUBJECT", '"%s"' % subject)
    _, parts = session.fetch(found[0].split()[-1], "(BODY.PEEK[])")
    session.logout()
    messages.arrived(parts[0][1], message)


def test_mebibyte(route):
    subject = unique("a mebibyte")
    lines = "".join("%07d %s\r\n" % (i, "abcdefghijklmnopqrstuvwxyz .,-=" * 2) for i in range(16000))
    message = messages.plain(subject, lines)
    assert len(message) > 1 << 20
    deliver(route, subject, message)
    deliver(route, subject, message, tls="starttls")


def test_dots(route):
    subject = unique("dots")
    deliver(route, subject, messages.plain(subject, ".\r\n..\r\n.a\r\n...\r\na.\r\n.\r\n\r\n.\r\n"))


def test_eight_bits(route):
    subject = unique("8 bits")
    octets = bytes(range(0x80, 0x100)) + b"\r\n" + "größer, 日本\r\n".encode()
    deliver(route, subject, messages.plain(subject, octets), options=["BODY=8BITMIME"])


def test_long_lines(route):
    subject = unique("long lines")
    body = "\r\n".join(("x" * 997 + "|", "y" * 998, "z" * 5000, "", "short")) + "\r\n"
    deliver(route, subject, messages.plain(subject, body))


def test_many_recipients(route):
    subject = unique("to all")
    message = messages.plain(subject)
    to = ["user%d@example.org" % i for i in range(60)]
    deliver(route, subject, message, to)
    for address in to:
        messages.arrived(route.store.wait_mail("Subject: " + subject + "\n", address.split("@")[0]), message)


def test_unknown_recipient(route):
    """The store's own refusal reaches the client at RCPT; the others get the message."""
    subject = unique("to whom")
    with client(route) as session:
        refused = session.sendmail("ann@example.net", ["nobody@example.org", "bob@example.org"],
                                   messages.plain(subject))
    assert list(refused) == ["nobody@example.org"] and refused["nobody@example.org"][0] == 550
    route.store.wait_mail("Subject: " + subject + "\n", "bob")


def test_null_sender(route):
    subject = unique("a bounce")
    with client(route) as session:
        assert session.sendmail("", ["alice@example.org"], messages.plain(subject)) == {}
    route.store.wait_mail("Subject: " + subject + "\n")


def test_pipelined_session(route):
    """Three messages in one session, each envelope in one packet."""
    peer = Peer.connect(route.port)
    peer.reply()
    peer.send(b"EHLO client.example.net\r\n")
    peer.reply()
    for i in range(3):
        subject = unique("pipelined")
        message = messages.plain(subject)
        peer.send(b"MAIL FROM:<ann@example.net>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<nobody@example.org>\r\n"
                  b"RCPT TO:<bob@example.org>\r\nDATA\r\n")
        assert [peer.reply()[-1][:3] for _ in range(5)] == [b"250", b"250", b"550", b"250", b"354"]
        peer.send(message + b".\r\n")
        assert peer.reply()[-1][:3] == b"250"
        messages.arrived(route.store.wait_mail("Subject: " + subject + "\n", "bob"), message)
    peer.send(b"QUIT\r\n")
    assert peer.reply()[-1][:3] == b"221"
    assert peer.until_closed() == b""


def test_no_open_relay(route):
    with client(route) as session:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            session.sendmail("ann@example.net", ["victim@example.com"], messages.plain("relay"))
    code, text = refused.value.recipients["victim@example.com"]
    assert code == 550 and text.startswith(b"5.7.1 ")


def test_virus_in_zip(route):
    subject = unique("an invoice")
    with client(route) as session:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            session.sendmail("ann@example.net", ["alice@example.org"], messages.with_virus(subject))
    assert refused.value.smtp_code == 550 and refused.value.smtp_error.startswith(b"5.7.1 ")
    route.gatepost.wait_log(r"Gatepost\.Test\.EICAR")
    subject = unique("no virus")  # the mailbox has what came later, not what was refused
    deliver(route, subject, messages.with_attachment(subject, "harmless.zip", messages.zipped("a.txt", b"hello")))
    assert not any(b"an invoice" in mail for mail in route.store.mails())


SMUGGLED = [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r\r\n.\r\r\n"]


@pytest.mark.parametrize("end", SMUGGLED, ids=repr)
def test_smuggling(route, end):
    """One refusal, and nothing of it in any mailbox."""
    peer = Peer.connect(route.port)
    peer.reply()
    for line in (b"EHLO client.example.net", b"MAIL FROM:<ann@example.net>", b"RCPT TO:<alice@example.org>", b"DATA"):
        peer.send(line + b"\r\n")
        peer.reply()
    peer.send(b"Subject: outer shell\r\n\r\nhello" + end + b"MAIL FROM:<eve@example.net>\r\nRCPT TO:<bob@example.org>"
              b"\r\nDATA\r\nSubject: smuggled goods\r\n\r\nbye\r\n.\r\nQUIT\r\n")
    replies = peer.until_closed().split(b"\r\n")
    assert [reply[:3] for reply in replies if reply] == [b"550", b"221"], replies
    subject = unique("behind the smuggler")
    deliver(route, subject, messages.plain(subject), ("bob@example.org",))
    for user in ("alice", "bob"):
        assert not any(b"smuggled" in mail or b"outer shell" in mail for mail in route.store.mails(user))


def test_old_tls_is_refused(route):
    context = wire.client_context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", route.implicit), timeout=env.PATIENCE) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)
