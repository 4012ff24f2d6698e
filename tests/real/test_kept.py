"""Sessions to a real Postfix that are kept from one client to the next, in one worker and between several."""

import re
import smtplib
import time

import pytest

from gp import env, messages
from gp.gatepost import Gatepost


def send(port, subject):
    with smtplib.SMTP("127.0.0.1", port, "client.example.net", timeout=env.PATIENCE) as session:
        session.sendmail("ann@example.net", ["bob@example.org"], messages.plain(subject))


def connections(postfix, mark):
    return len(re.findall(r"smtpd\[\d+\]: connect from", postfix.log()[mark:]))


@pytest.fixture
def gateway(postfix, certs):
    started = []

    def start(*settings):
        it = Gatepost(postfix.port, "smtp", settings, certs=certs)
        started.append(it.start())
        return it

    yield start
    for it in started:
        it.check()
        it.stop()


def test_one_worker(postfix, gateway):
    """Twenty clients one behind the other are one client to Postfix."""
    gate = gateway("workers 1")
    mark = len(postfix.log())
    for number in range(20):
        send(gate.port(), "kept %d" % number)
    for number in range(20):
        postfix.wait_mail("Subject: kept %d\n" % number, "bob")
    assert connections(postfix, mark) <= 2  # one of them may be a health check


def test_other_workers(postfix, gateway):
    """Four workers, one session for all: what one of them keeps idle it gives up soon when another one wants it."""
    gate = gateway("workers 4", "backend.max-sessions 1", "backend.keep-time 10m", "backend.session-wait 5s")
    slowest = 0
    for number in range(24):
        begun = time.monotonic()
        send(gate.port(), "shared %d" % number)
        slowest = max(slowest, time.monotonic() - begun)
    for number in range(24):
        postfix.wait_mail("Subject: shared %d\n" % number, "bob")
    assert slowest < 3


def test_reload(postfix, gateway):
    """A new configuration's sessions are new ones; those of the old one are let go."""
    gate = gateway("workers 1")
    send(gate.port(), "before the reload")
    mark = len(postfix.log())
    gate.reload()
    deadline = time.monotonic() + env.PATIENCE
    while not re.search(r"disconnect from \S+ .*\bquit=1", postfix.log()[mark:]):
        assert time.monotonic() < deadline, postfix.log()[mark:]
        time.sleep(0.02)
    send(gate.port(), "behind the reload")
    postfix.wait_mail("Subject: behind the reload\n", "bob")
