"""People's clients deliver through Gatepost to a real Postfix; tests/show/clients does so in every way they know."""

import pytest

from gp import smtp_clients
from gp.gatepost import Gatepost
from gp.logins import PostfixWithLogins
from gp.postfix import Postfix

WAYS = [("starttls", "PLAIN"), ("implicit", None)]


@pytest.fixture(scope="module")
def store(certs):
    if not Postfix.available():
        pytest.skip("Postfix's master wants to be root: run as root, or allow sudo without a password")
    with PostfixWithLogins(certs.leaf("store", "store.example.org"), ["alice", "bob", "carol"]) as server:
        yield server


@pytest.fixture(scope="module")
def gate(store, certs):
    gatepost = Gatepost(store.port, certs=certs)
    smtp_clients.offer(gatepost)
    with gatepost:
        yield gatepost


@pytest.fixture(scope="module")
def queues(gate, certs):
    """The clients that keep a queue, started when they are first asked for."""
    started = {}
    ports = {"starttls": gate.port(), "implicit": gate.port("implicit")}

    def start(name):
        if name not in started:
            started[name] = smtp_clients.SERVERS[name](certs.leaf("client", "client.example.net"), ports, certs.ca)
            started[name].__enter__()
        return started[name]

    yield start
    for server in started.values():
        server.__exit__()


@pytest.mark.parametrize("tls, auth", WAYS)
@pytest.mark.parametrize("name", [*smtp_clients.PROGRAMS, *smtp_clients.SERVERS])
def test_client(name, tls, auth, gate, store, queues, tmp_path):
    client = smtp_clients.PROGRAMS.get(name) or queues(name)
    smtp_clients.play(name, client, gate, store, tmp_path, tls, auth)


def test_exim_uses_prdr(gate, store, queues):
    smtp_clients.play_prdr(queues("exim"), gate, store)
