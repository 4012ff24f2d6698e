"""Connections that were going elsewhere: taken over, given TLS, and brought to where they were going."""

import pytest

from gp import env, messages, netns
from gp.wire import Peer, client_context

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])


class Client:
    """An SMTP client on the client's machine; it believes that it talks to `host`."""

    def __init__(self, network, host, port=25):
        self.peer = Peer(network.connect("client", host, port))
        self.address = self.peer.sock.getsockname()[:2]

    def ask(self, line):
        self.peer.send(line.encode() + b"\r\n")
        return [one.decode() for one in self.peer.reply()]

    def send(self, subject):
        """The rest of a conversation: one message, QUIT; the reply to its dot."""
        assert self.ask("MAIL FROM:<ann@example.net>")[0].startswith("250")
        assert self.ask("RCPT TO:<alice@example.org>")[0].startswith("250")
        assert self.ask("DATA")[0].startswith("354")
        self.peer.send(messages.plain(subject) + b".\r\n")
        reply = self.peer.reply()[0].decode()
        self.ask("QUIT")
        return reply


def talk(network, host, subject="Hello"):
    """A whole conversation without TLS."""
    client = Client(network, host)
    assert client.peer.reply()[0].startswith(b"220 " + env.HOSTNAME.encode())
    client.ask("EHLO client.example.net")
    assert client.send(subject).startswith("250")
    return client


def expected_peer(how, client, family):
    """The address (and port, where it is certain) that the server must have seen."""
    mode, keep, _ = how
    if not keep:
        return netns.BEHIND[family], None
    return client.address[0], client.address[1] if mode == "tproxy" else None


@FAMILIES
def test_delivered(gateway, network, fresh, family):
    client = Client(network, netns.SERVER[family])
    assert client.peer.reply()[0].startswith(b"220 %s ESMTP Gatepost" % env.HOSTNAME.encode())
    offered = client.ask("EHLO client.example.net")
    assert "250-STARTTLS" in offered
    assert client.ask("STARTTLS")[0].startswith("220")
    client.peer.tls(client_context(gateway.certs.ca), name=env.HOSTNAME)
    client.ask("EHLO client.example.net")
    assert client.send("Taken over").startswith("250 2.0.0 OK queued as FAKE")
    there = netns.SERVER if gateway.how[2] == "original" else netns.STORE
    received = {host: len(server.messages) for host, server in fresh.items() if server.messages}
    assert received == {there[family] if gateway.how[2] == "original" or gateway.how[1] else there[4]: 1}
    server = fresh[next(iter(received))]
    assert b"with ESMTPS" in server.messages[0].octets and b"Subject: Taken over" in server.messages[0].octets
    address, port = server.peers[-1]
    wanted = expected_peer(gateway.how, client, 6 if ":" in next(iter(received)) else 4)
    assert (address, port if wanted[1] else None) == wanted


@FAMILIES
def test_offers_what_the_server_has(gateway, network, fresh, family):
    """No 8BITMIME where the server has none; room for our own fields is left of its SIZE. A named backend is known
    by its health checks, whichever server was meant."""
    client = Client(network, netns.SERVER[family])
    client.peer.reply()
    offered = client.ask("EHLO client.example.net")
    assert "250-8BITMIME" not in offered and "250-STARTTLS" in offered
    assert "250-SIZE 995904" in offered or gateway.how[2] == "named"
    client.ask("QUIT")


@FAMILIES
def test_server_down(gateway, network, fresh, family):
    """With the original destination down the client hears 421 instead of a greeting; a named one is another's matter."""
    client = Client(network, netns.NOBODY[family])
    reply = client.peer.reply()[0]
    if gateway.how[2] == "original":
        assert reply.startswith(b"421 ") and not client.peer.until_closed()
    else:
        assert reply.startswith(b"220 ")


@FAMILIES
def test_loop(gateway, network, fresh, family):
    """Whoever connects to the listening address itself was not going anywhere."""
    mark = gateway.mark()
    client = Client(network, netns.GATEWAY[family], 10025)
    assert client.peer.until_closed() == b""
    gateway.wait_log(r"client=\S+ listener=mx original=\S+:10025 closed=\"a loop", mark)
    assert not any(fresh[host].peers for host in netns.SERVER.values())


def test_burst(gateway, network, fresh):
    """More at once than the workers have sockets in stock: the dialer keeps up."""
    assert netns.crowd(network, netns.SERVER[4], 400) == {"220": 400}


def test_reload(gateway, network, fresh):
    before = Client(network, netns.SERVER[4])
    before.peer.reply()
    gateway.conf.set("listener.max-size", "%dK" % (100 if "100K" not in str(gateway.conf) else 101))
    gateway.reload()
    gateway.wait_log(r"\bready:")
    talk(network, netns.SERVER[4], "Behind the reload")
    before.ask("EHLO client.example.net")
    assert before.send("Since before the reload").startswith("250")


def test_rights(gateway):
    """Workers have no capability at all, the dialer CAP_NET_RAW; who keeps no source has no dialer."""
    def rights(pid):
        with open("/proc/%d/status" % pid) as f:
            return {line.split()[1] for line in f if line.startswith(("CapPrm", "CapEff", "CapInh", "CapAmb"))}

    assert all(rights(pid) == {"0" * 16} for pid in gateway.children("worker"))
    dialers = gateway.children("dialer")
    assert len(dialers) == (1 if gateway.how[1] else 0)
    for pid in dialers:
        assert rights(pid) == {"0" * 16, "%016x" % (1 << 13)}


@FAMILIES
def test_server_hangs_up(gateway, network, fresh, family):
    """Between greeting and MAIL the server's connection may end: the next one bears the client's address, too."""
    client = Client(network, netns.SERVER[family])
    client.peer.reply()
    client.ask("EHLO client.example.net")
    for server in fresh.values():
        server.hang_up()
    assert client.send("On a second connection").startswith("250")
    server = next(server for server in fresh.values() if server.messages)
    if gateway.how[2] == "original":
        assert len(server.peers) == 2
    seen = 6 if ":" in server.peers[-1][0] else 4
    assert {address for address, _ in server.peers[-2:]} <= {expected_peer(gateway.how, client, seen)[0], netns.BEHIND[seen]}
    assert server.peers[-1][0] == expected_peer(gateway.how, client, seen)[0]
