"""What the tests of taken-over connections share: three machines, and a gateway between two of them."""

import os

import pytest

from gp import netns
from gp.backend import FakeBackend
from gp.gatepost import Gatepost


@pytest.fixture(scope="session")
def network(request):
    try:
        it = netns.Network()
    except netns.NotHere as why:
        text = "not run: %s" % why
        request.config.pluginmanager.getplugin("terminalreporter").write_line("\ntests/transparent: " + text)
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    yield it
    it.close()


# What the server behind can do: no STARTTLS, no 8BITMIME, and less room than we have.
OLD = ("PIPELINING", "SIZE 1000000")


@pytest.fixture(scope="session")
def servers(network):
    """By address: the servers that clients go to, and those that the configuration names."""
    them = {host: FakeBackend(offers=OLD, hostname="old.example.org", listener=network.listen("server", host, 25))
            for hosts in (netns.SERVER, netns.STORE) for host in hosts.values()}
    yield them
    for one in them.values():
        one.stop()


@pytest.fixture
def fresh(servers):
    """The servers, with nothing on record."""
    for one in servers.values():
        one.messages.clear()
        one.peers.clear()
    return servers


@pytest.fixture(scope="module", params=[(mode, keep, backend) for mode in ("tproxy", "redirect") for keep in (True, False)
                                        for backend in ("original", "named")],
                ids=lambda p: "%s-%s-%s" % (p[0], "keep" if p[1] else "ours", p[2]))
def gateway(request, network, servers, certs):
    """One that runs. `it.how`: its mode, whether it keeps the client's address, its backend."""
    it = netns.gateway_of(Gatepost(25, certs=certs), *request.param)
    it.how = request.param
    netns.start(it, network)
    yield it
    it.stop()
