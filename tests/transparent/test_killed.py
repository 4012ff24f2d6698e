"""With the gateway gone nothing reaches the server past it."""

import pytest

from gp import netns
from gp.gatepost import Gatepost

from test_take_over import talk

HOSTS = [host for hosts in (netns.SERVER, netns.STORE) for host in hosts.values()]


def reached(network, servers, host):
    """Whether a client comes through to the server itself."""
    before = len(servers[host].peers)
    try:
        sock = network.connect("client", host, 25)
        sock.settimeout(2)
        said = sock.recv(100)
        sock.close()
    except OSError:
        said = b""
    return len(servers[host].peers) > before or said.startswith(b"220 old")


@pytest.fixture
def gateway(network, servers, certs):
    """Starts one with such a mode; whatever becomes of it, it is gone behind the test."""
    them = []

    def start(mode, keep):
        them.append(netns.gateway_of(Gatepost(25, certs=certs), mode, keep))
        return netns.start(them[0], network)

    yield start
    for it in them:
        it.process.stop()
        it.discard()


@pytest.mark.parametrize("mode", ["tproxy", "redirect"])
@pytest.mark.parametrize("keep", [True, False], ids=["keep", "ours"])
def test_nothing_passes(network, fresh, gateway, mode, keep):
    it = gateway(mode, keep)
    for host in netns.SERVER.values():
        talk(network, host)
    it.process.child.kill()
    it.process.wait()
    assert [host for host in HOSTS if reached(network, fresh, host)] == []
    # The test would notice: without its chain "closed" tproxy lets them pass, redirect does not even then.
    network.run("gateway", "sh", "-c", "PATH=/usr/sbin:/sbin:$PATH nft flush chain inet gatepost closed")
    assert [host for host in HOSTS if reached(network, fresh, host)] == (HOSTS if mode == "tproxy" else [])


def test_stopped_in_order(network, fresh, gateway):
    it = gateway("tproxy", True)
    talk(network, netns.SERVER[4])
    it.process.stop()
    assert not reached(network, fresh, netns.SERVER[4])
