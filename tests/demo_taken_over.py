"""The demo's steps with connections that are taken over: a client, a gateway and a server in network namespaces."""

import subprocess

from gp import messages, netns
from gp.backend import FakeBackend
from gp.gatepost import Gatepost

SERVER, CLIENT = netns.SERVER[4], netns.CLIENT[4]


class TakenOver:
    def __init__(self, network, show, dialogue):
        self.network, self.show, self.dialogue = network, show, dialogue
        self.server = FakeBackend(offers=("PIPELINING", "SIZE 10000000"), hostname="old.example.org",
                                  listener=network.listen("server", SERVER, 25))
        self.gatepost = netns.gateway_of(Gatepost(25), "tproxy", keep_source=True)

    def swaks(self, subject, *options):
        """What a client on its own machine hears from "the server"."""
        file = self.gatepost.dir / "message"
        file.write_bytes(messages.plain(subject))
        words = ["swaks", "--server", SERVER, "--helo", "client.example.net", "--from", "ann@example.net",
                 "--to", "alice@example.org", *options]
        print("   client$ " + " ".join(words) + " --data MESSAGE")
        done = subprocess.run(self.network.prefix("client") + words + ["--data", "@%s" % file, "-n", "--timeout", "20"],
                              capture_output=True, text=True, errors="replace")
        said = "\n".join(self.dialogue(done.stdout + done.stderr))
        self.show(said, 24)
        return done.returncode, said

    def before(self):
        status, said = self.swaks("Without TLS", "-tls")
        return status == 29 and "220 old.example.org" in said and not self.server.messages

    def between(self):
        netns.start(self.gatepost, self.network)
        listener = str(self.gatepost.conf)
        self.show(listener[listener.index("listener mx"):].split("}")[0] + "}\nbackend store { address original; }")
        status, said = self.swaks("Taken over", "-tls")
        if not self.server.messages:
            return False
        print("   The server's view: a connection from %s port %d; the message:" % self.server.peers[-1])
        self.show("\n".join(self.server.messages[-1].octets.decode().split("\r\n")[:8]) + "\n...")
        return status == 0 and "TLS started" in said and "mx.example.org ESMTP Gatepost" in said \
            and self.server.peers[-1][0] == CLIENT

    def killed(self):
        before = len(self.server.peers)
        self.gatepost.process.child.kill()
        self.gatepost.process.wait()
        status, said = self.swaks("Past a dead gateway")
        return status == 2 and "refused" in said and len(self.server.peers) == before

    def close(self):
        if self.gatepost.process:
            self.gatepost.process.stop()
        self.gatepost.discard()
        self.server.stop()
        self.network.close()


def steps(demo, show, dialogue):
    """Plays them as steps of the demo, where this machine has namespaces."""
    try:
        network = netns.Network()
    except netns.NotHere as why:
        print("\n== not run: connections taken over between two machines: %s" % why)
        return
    it = TakenOver(network, show, dialogue)
    try:
        demo.step("Three machines (network namespaces): the server at %s:25 has no TLS" % SERVER, it.before)
        demo.step("Gatepost in between: the same address now has TLS, and the server sees the client's own", it.between)
        demo.step("Gatepost killed: nothing passes it unfiltered", it.killed)
    finally:
        it.close()
