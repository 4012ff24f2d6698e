"""A real Postfix hears who the client is: by a PROXY header, by XCLIENT, by XFORWARD."""

import re
import smtplib
import time

import pytest

from gp import env, messages
from gp.gatepost import Gatepost

CLIENT = "127.0.0.9"  # another one of this machine's, so that it can be told from the gateway


def send(port, subject, source=CLIENT, number=1):
    with smtplib.SMTP("127.0.0.1", port, "client.example.net", timeout=env.PATIENCE, source_address=(source, 0)) as session:
        for _ in range(number):
            session.sendmail("ann@example.net", ["bob@example.org"], messages.plain(subject))


@pytest.fixture
def gateway(postfix, certs):
    """Starts a gateway in front of that Postfix, with settings."""
    started = []

    def start(settings, port=postfix.port):
        it = Gatepost(port, "smtp", settings, certs=certs)
        started.append(it.start())
        return it

    yield start
    for it in started:
        it.check()
        it.stop()


def wait_log(postfix, mark, pattern):
    deadline = time.monotonic() + env.PATIENCE
    while True:
        said = postfix.log()[mark:]
        if re.search(pattern, said):
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["proxy-v1", "proxy-v2"])
def test_proxy(postfix, gateway, how):
    gate = gateway(["backend.client-identity " + how], postfix.proxy_port)
    mark = len(postfix.log())
    send(gate.port(), "by " + how)
    said = wait_log(postfix, mark, r"client=\S*\[127\.0\.0\.9\]")
    assert "warning" not in said  # nor did the health checks before it make Postfix complain
    postfix.wait_mail("Subject: by %s\n" % how, "bob")


@pytest.mark.parametrize("tls", ["none", "require"])
def test_xclient(postfix, gateway, certs, tls):
    settings = ["backend.client-identity xclient", "backend.tls-mode " + tls]
    if tls == "require":
        settings += ["backend.tls-name store.example.org", "backend.tls-ca %s" % certs.ca]
    gate = gateway(settings)
    mark = len(postfix.log())
    send(gate.port(), "by XCLIENT, TLS " + tls, number=2)
    said = wait_log(postfix, mark, r"client=\S*\[127\.0\.0\.9\]")
    assert "orig_client" not in said
    mail = postfix.wait_mail("Subject: by XCLIENT, TLS %s\n" % tls, "bob").decode()
    assert re.search(r"^Received: from client\.example\.net \(\S+ \[127\.0\.0\.9\]\)", mail, re.MULTILINE)


def test_xforward(postfix, gateway):
    """The session is the gateway's own; each message's client stands in the log, though the session is the same."""
    gate = gateway(["backend.client-identity xforward", "workers 1"])
    mark = len(postfix.log())
    send(gate.port(), "by XFORWARD, 9", "127.0.0.9")
    send(gate.port(), "by XFORWARD, 8", "127.0.0.8")
    said = wait_log(postfix, mark, r"orig_client=\S*\[127\.0\.0\.8\]")
    said = re.findall(r"smtpd\[(\d+)\]: \S+: client=\S*\[127\.0\.0\.1\], orig_queue_id=(\S+), orig_client=\S*\[127\.0\.0\.(\d)\]", said)
    assert [client for _, _, client in said] == ["9", "8"]
    assert said[0][0] == said[1][0]  # one smtpd: one session
