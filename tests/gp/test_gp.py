"""The tests' own tools: truths about them that do not need Gatepost."""

import smtplib

import pytest

from gp.backend import FakeBackend
from gp.conf import Conf
from gp.dialogue import Dialogue, Runner, matches, octets

EDITS = [
    # the text, the path, the value, what becomes of it (None: must fail)
    ("a 1; # note\n", "a", "2", "a 2; # note\n"),
    ("a 1;\na 2;\nb 3;\n", "a", "9", "a 9;\n\nb 3;\n"),
    ("# only words\n", "a", "2", "\na 2;\n# only words\n"),
    ("x one { k \"}\"; }\n", "x.k", "v", "x one { k v; }\n"),
    ("x one { k 1; }\nx two { k 1; }\n", "x/two.k", "2", "x one { k 1; }\nx two { k 2; }\n"),
    ("x one { }\n", "x.k", "v", "x one {\nk v; }\n"),
    ("# x one { k 1; }\n", "x.k", "v", None),
    ("x one { k 1; }\n", "y.k", "v", None),
]


@pytest.mark.parametrize("text, path, value, result", EDITS)
def test_conf(text, path, value, result):
    conf = Conf(text)
    if result is None:
        with pytest.raises(KeyError):
            conf.set(path, value)
    else:
        conf.set(path, value)
        assert str(conf) == result


@pytest.mark.parametrize("text", ["x {", "x", "x 1; y \"open"])
def test_conf_broken(text):
    with pytest.raises(ValueError):
        Conf(text)


MATCHES = [
    ("250 *", b"250 2.0.0 Ok", True),
    ("250 *", b"2500", False),
    ("250 2.0.0 Ok", b"250 2.0.0 Ok.", False),
    ("/25[01] .*/", b"251 x", True),
    ("/25[01]/", b"251 x", False),
    ("a.c", b"abc", False),
    (r"a\*c", b"abc", False),
    (r"a\*c", b"a*c", True),
    (r"\xe4*", b"\xe4\xf6", True),
]


@pytest.mark.parametrize("pattern, line, answer", MATCHES)
def test_matches(pattern, line, answer):
    assert matches(pattern, line) == answer


def test_octets():
    assert octets(r"a\r\n\0\x7f\\{{rep 3 xy}}") == b"a\r\n\0\x7f\\xyxyxy"


class NoGateway:
    """Where a dialogue expects Gatepost stands the backend itself."""

    def __init__(self, backend):
        self.backend = backend

    def port(self, listener):
        return self.backend.port

    def mark(self):
        return 0

    def log(self, since=0):
        return ""


GREETING = "S: 220 *\nC: EHLO a.example.net\nS: ...\nS+ 250*PIPELINING\n"

DIALOGUES = [
    # what is played, whether it is as expected
    (GREETING + "C: MAIL FROM:<a@b>\nB: MAIL FROM:<a@b>\nR: 250 ok\nS: 250 ok\n", True),
    (GREETING + "C: MAIL FROM:<a@b>\nB: MAIL FROM:<x@b>\nR: 250 ok\nS: 250 ok\n", False),
    (GREETING + "C: MAIL FROM:<a@b>\nB: MAIL FROM:<a@b>\nR: 250 ok\nS: 251 ok\n", False),
    (GREETING + "C: MAIL FROM:<a@b>\nB: MAIL *\nR: 250 ok\nR: 250 more\nS: 250 ok\nS: 250 more\n", True),
    (GREETING + "C: MAIL FROM:<a@b>\nB: MAIL *\nR: (close)\nS: (closed)\n", True),
    (GREETING + "C: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nB: MAIL *\n", False),  # RCPT was not expected
    (GREETING + "C: MAIL FROM:<a@b>\nB: (nothing)\n", False),
    (GREETING + "B: (nothing)\nS: (nothing)\n", True),
    (GREETING + "S- 250*PIPELINING\n", False),
    # A message: fields are unfolded, "..." leaps, the dot ends it.
    (GREETING + "C: DATA\nB: DATA\nR: 354 go\nS: 354 go\nC: A: b\nC:  c\nC:\nC: x\nC: y\nC: .\n"
     "B: A: b c\nB:\nB: ...\nB: y\nB: .\nR: 250 ok\nS: 250 ok\n", True),
    (GREETING + "C: DATA\nB: DATA\nR: 354 go\nS: 354 go\nC: A: b\nC:\nC: x\nC: .\nB: ...\nB: z\n", False),
    (GREETING + "C*3: NOOP\nS*3: 250 *\n", True),
    ("backend: raw\nC: (connect)\nB: (connect)\nR: 554 no\nS: 554 no\nC: (close)\nB: (closed)\n", True),
]


@pytest.mark.parametrize("text, good", DIALOGUES)
def test_runner(tmp_path, monkeypatch, text, good):
    monkeypatch.setattr("gp.env.PATIENCE", 0.5)
    (tmp_path / "it.txt").write_text(text)
    backend = FakeBackend()
    runner = Runner(Dialogue(tmp_path / "it.txt"), NoGateway(backend), backend)
    try:
        assert (runner.run() is None) == good
    finally:
        backend.stop()


def test_backend_alone():
    backend = FakeBackend()
    with smtplib.SMTP("127.0.0.1", backend.port) as client:
        client.sendmail("a@b", ["c@d", "e@f"], "Subject: x\r\n\r\n.dot\r\n")
    with smtplib.SMTP("127.0.0.1", backend.port) as client:
        client.ehlo()
    backend.wait_probes(1)
    assert [(m.recipients, m.octets) for m in backend.messages] == \
        [(["<c@d>", "<e@f>"], b"Subject: x\r\n\r\n.dot\r\n")]
    assert backend.probes == 1
    backend.stop()
