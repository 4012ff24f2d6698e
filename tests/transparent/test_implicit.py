"""TLS from the first octet in front of a server that has none: the client's first words wait for the server."""

import pytest

from gp import env, netns
from gp.backend import FakeBackend
from gp.gatepost import Gatepost
from gp.wire import Peer, client_context


@pytest.fixture(scope="module", params=["tproxy", "redirect"])
def gateway(request, network, certs):
    it = netns.gateway_of(Gatepost(25, certs=certs), request.param, keep_source=True)
    it.conf.set("listener.tls-mode", "implicit")
    it.conf.set("listener.intercept-port", "465")
    netns.start(it, network)
    yield it
    it.stop()


@pytest.fixture(scope="module")
def servers465(network):
    them = {host: FakeBackend(offers=("SIZE 1000000",), listener=network.listen("server", host, 465))
            for host in netns.SERVER.values()}
    yield them
    for one in them.values():
        one.stop()


@pytest.mark.parametrize("family", [4, 6])
def test_tls_at_once(gateway, network, servers465, family):
    peer = Peer(network.connect("client", netns.SERVER[family], 465))
    peer.tls(client_context(gateway.certs.ca), name=env.HOSTNAME)  # its first words are on their way at once
    assert peer.reply()[0].startswith(b"220 " + env.HOSTNAME.encode())
    peer.send(b"EHLO client.example.net\r\n")
    assert b"250-SIZE 995904" in peer.reply()
    assert servers465[netns.SERVER[family]].peers[-1][0] == netns.CLIENT[family]
    peer.close()


def test_server_down(gateway, network):
    """There is nothing that could be said in the clear."""
    peer = Peer(network.connect("client", netns.NOBODY[4], 465))
    assert peer.until_closed() == b""
