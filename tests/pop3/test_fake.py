"""The scripted IMAP server is a good one where no script says otherwise: Python's IMAP client agrees."""

import imaplib
import json
import re
import subprocess
import sys

import pytest

from gp import env
from gp.wire import Peer
from imap_server import ImapServer, Script

MAILS = [b"Subject: %d\r\n\r\n.\r\n" % n for n in (1, 2, 3)]


@pytest.fixture
def server():
    it = ImapServer(Script(MAILS, password="se cret"))
    yield it
    it.stop()


def log_in(server, user="alice", password="se cret"):
    session = imaplib.IMAP4("127.0.0.1", server.port)
    session.login(user, password)
    session.select()
    return session


def test_usual(server):
    session = log_in(server)
    assert session.uid("FETCH", "1:*", "(RFC822.SIZE FLAGS)")[1][2] == b"3 (UID 3 RFC822.SIZE %d FLAGS ())" % len(MAILS[2])
    assert session.uid("FETCH", "2", "(BODY.PEEK[])")[1][0] == (b"2 (UID 2 BODY[] {%d}" % len(MAILS[1]), MAILS[1])
    assert session.uid("FETCH", "2", "(BODY.PEEK[]<3.4>)")[1][0] == (b"2 (UID 2 BODY[]<3> {4}", MAILS[1][3:7])
    session.uid("STORE", "1:2", "+FLAGS.SILENT", "(\\Deleted)")
    assert session.uid("SEARCH", "DELETED")[1] == [b"1 2"]
    session.uid("EXPUNGE", "2:3")
    assert session.response("EXPUNGE")[1] == [b"2"]
    session.logout()
    assert [m.uid for m in server.script.messages] == [1, 3]
    assert server.sessions[0].commands[-2:] == [b"UID EXPUNGE 2:3", b"LOGOUT"]


def test_password(server):
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        log_in(server, password="wrong")
    session = imaplib.IMAP4("127.0.0.1", server.port)
    session.authenticate("PLAIN", lambda _: b"\0alice\0se cret")
    assert server.sessions[-1].how == b"AUTHENTICATE"


def test_vanished(server):
    session = log_in(server)
    server.script.remove({2})
    assert session.uid("FETCH", "2", "(BODY.PEEK[])")[1] == [b"2 (UID 2 BODY[] NIL)"]
    session.noop()
    assert session.response("EXPUNGE")[1] == [b"2"]


def test_file(tmp_path):
    """Started alone, with a script in a file."""
    (tmp_path / "script").write_text(json.dumps({
        "messages": [{"uid": 7, "octets": "Subject: x\r\n\r\n", "size": 129, "flags": "\\Seen"}],
        "steps": {"greeting": ["(drip 4 0)", "* OK {{rep 2 hello }}\r\n"]}}))
    program = env.ROOT / "tests" / "fake" / "imap_server.py"
    child = subprocess.Popen([sys.executable, program, "--script", tmp_path / "script", "--port", "0"],
                             stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)$", child.stdout.readline())[1])
        peer = Peer.connect(port)
        assert peer.line() == b"* OK hello hello "
        peer.send(b"a LOGIN {5}\r\n")
        assert peer.line() == b"+ go on"
        peer.send(b"alice {2+}\r\n\"\\\r\nb EXAMINE INBOX\r\nc UID FETCH 1:* (UID RFC822.SIZE FLAGS)\r\n")
        assert peer.line().startswith(b"a OK")
        while not (line := peer.line()).startswith(b"b OK"):
            assert line.startswith(b"* ")
        assert peer.line() == b"* 1 FETCH (UID 7 RFC822.SIZE 129 FLAGS (\\Seen))"
        peer.close()
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()
