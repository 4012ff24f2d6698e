"""Gatepost in front of a real Dovecot (LMTP) and a real Postfix (SMTP)."""

import pytest

from gp import env
from gp.dovecot import Dovecot
from gp.gatepost import Gatepost
from gp.postfix import Postfix

USERS = ["alice", "bob", "carol"] + ["user%d" % i for i in range(60)]


class Route:
    """A running gateway and the store behind it."""

    def __init__(self, gatepost, store):
        self.gatepost, self.store = gatepost, store
        self.port = gatepost.port()
        self.implicit = gatepost.port("implicit")


@pytest.fixture(scope="session")
def dovecot():
    with Dovecot(USERS) as server:
        yield server


@pytest.fixture(scope="session")
def postfix(certs):
    if not Postfix.available():
        pytest.skip("Postfix's master wants to be root: run as root, or allow sudo without a password")
    with Postfix(certs.leaf("store", "store.example.org"), USERS) as server:
        yield server


@pytest.fixture(scope="session")
def to_dovecot(dovecot, certs):
    with Gatepost(dovecot.lmtp, "lmtp", certs=certs) as gatepost:
        yield Route(gatepost, dovecot)


@pytest.fixture(scope="session")
def to_postfix(postfix, certs):
    with Gatepost(postfix.port, "smtp", certs=certs) as gatepost:
        yield Route(gatepost, postfix)


@pytest.fixture(params=["dovecot", "postfix"])
def route(request):
    """Each test that asks for it runs twice, once before each store."""
    it = request.getfixturevalue("to_" + request.param)
    yield it
    it.gatepost.check()


@pytest.fixture(scope="session")
def swaks():
    env.peer("swaks")
    return "swaks"
