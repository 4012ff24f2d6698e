"""Three machines on one: a client, a gateway, a server, in network namespaces.

    client 10.1.0.2 -- 10.1.0.1 gateway 10.2.0.1 -- 10.2.0.2, .3, .4 server

and the same with fd01:: and fd02::. As a plain user all of it is inside a user namespace."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ENTER = [sys.executable, str(Path(__file__).with_name("enter.py"))]

CLIENT = {4: "10.1.0.2", 6: "fd01::2"}
GATEWAY = {4: "10.1.0.1", 6: "fd01::1"}  # as the client sees it
BEHIND = {4: "10.2.0.1", 6: "fd02::1"}  # as the server sees it
SERVER = {4: "10.2.0.2", 6: "fd02::2"}  # where clients go
STORE = {4: "10.2.0.3", 6: "fd02::3"}  # a backend that has a name
NOBODY = {4: "10.2.0.4", 6: "fd02::4"}  # the server's, too; nobody listens


# What the kernel must be able to do, tried once and taken away.
NEEDED = """nft -f - <<'END'
table inet needed {
	chain mangle {
		type filter hook prerouting priority mangle;
		meta l4proto tcp socket transparent 1 meta mark set 1 accept
		fib daddr type local accept
		meta nfproto ipv4 tcp dport 1 tproxy ip to :1 meta mark set 1 accept
		meta nfproto ipv6 tcp dport 1 tproxy ip6 to :1 meta mark set 1 accept
	}
	chain nat {
		type nat hook prerouting priority dstnat;
		tcp dport 1 redirect to :1
	}
	chain closed {
		type filter hook forward priority filter;
		tcp dport 1 reject with tcp reset
	}
}
delete table inet needed
END
"""


class NotHere(Exception):
    """This machine has no network namespaces for us, or lacks what they need."""


class Network:
    def __init__(self):
        for program in "ip", "nft":
            if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
                raise NotHere("there is no %s (install iproute2 and nftables)" % program)
        self.holder = subprocess.Popen(ENTER + ["hold", "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        pids = self.holder.stdout.readline().split()
        if len(pids) != 3:
            raise NotHere("no network namespaces: %s" % self.holder.communicate()[1].split("\n")[0])
        self.pids = dict(zip(("client", "gateway", "server"), pids))
        try:
            self._wire()
            self.firewall(NEEDED)
        except NotHere:
            self.close()
            raise

    def close(self):
        self.holder.communicate()

    def prefix(self, where, capabilities="all"):
        """What to put before a command so that it runs there; `raw`: a plain user's has CAP_NET_RAW only."""
        return ENTER + ["run", self.pids[where], capabilities]

    def run(self, where, *command, **more):
        done = subprocess.run(self.prefix(where) + list(command), capture_output=True, text=True, **more)
        if done.returncode != 0:
            raise NotHere("%s: %s" % (" ".join(command), done.stderr.strip()))
        return done.stdout

    def _wire(self):
        pids = self.pids
        self.run("gateway", "sh", "-ec", """
            PATH=/usr/sbin:/sbin:$PATH
            ip link set lo up
            ip link add g0 type veth peer name c0 netns %s
            ip link add g1 type veth peer name s0 netns %s
            ip address add 10.1.0.1/24 dev g0
            ip address add 10.2.0.1/24 dev g1
            ip address add fd01::1/64 dev g0 nodad
            ip address add fd02::1/64 dev g1 nodad
            ip link set g0 up
            ip link set g1 up
            echo 1 >/proc/sys/net/ipv4/ip_forward
            echo 1 >/proc/sys/net/ipv6/conf/all/forwarding""" % (pids["client"], pids["server"]))
        for where, link, net, hosts in ("client", "c0", 1, (2,)), ("server", "s0", 2, (2, 3, 4)):
            addresses = "".join("ip address add 10.%d.0.%d/24 dev %s\nip address add fd0%d::%d/64 dev %s nodad\n"
                                % (net, host, link, net, host, link) for host in hosts)
            self.run(where, "sh", "-ec", "PATH=/usr/sbin:/sbin:$PATH\nip link set lo up\nip link set %s up\n%s"
                     "ip route add default via 10.%d.0.1\nip -6 route add default via fd0%d::1\n"
                     % (link, addresses, net, net))

    def _socket(self, where, host, port, what):
        ours, theirs = socket.socketpair()
        family = "AF_INET6" if ":" in host else "AF_INET"
        with ours, theirs:
            done = subprocess.run(ENTER + ["socket", self.pids[where], str(theirs.fileno()), family, host, str(port), what],
                                  pass_fds=[theirs.fileno()], capture_output=True, text=True)
            if done.returncode != 0:
                raise ConnectionError(done.stderr.strip())
            fds = socket.recv_fds(ours, 1, 1)[1]
        return socket.socket(fileno=fds[0])

    def listen(self, where, host, port):
        """A listening socket of that machine; here, to be used from here."""
        return self._socket(where, host, port, "listen")

    def connect(self, where, host, port):
        """A socket of that machine, connected. ConnectionError with the reason when it cannot be."""
        return self._socket(where, host, port, "connect")

    def firewall(self, script):
        """Runs on the gateway what `gatepost nft` has printed."""
        self.run("gateway", "sh", input="PATH=/usr/sbin:/sbin:$PATH\n" + script)


def check_possible():
    """Raises NotHere with the reason when it cannot be had on this machine."""
    Network().close()


def gateway_of(gatepost, mode, keep_source=False, backend="original", port=10025):
    """Bends the configuration of a Gatepost so that it stands on our gateway."""
    conf = gatepost.conf
    conf.unset("rules")
    conf.replace("antivirus", "antivirus off;")
    conf.replace("listener", """listener mx { address 0.0.0.0:%d [::]:%d; tls test; mode %s; keep-source %s; intercept-interface g0; max-per-address 0; }"""
                 % (port, port, mode, "on" if keep_source else "off"))
    named = " ".join("%s:25" % ("[%s]" % host if ":" in host else host) for host in STORE.values())
    conf.set("backend.address", "original" if backend == "original" else named)
    conf.set("listener.max-per-address", "0")  # its crowds come from one address
    conf.set("backend.keep-sessions", "0")  # and each test looks for its own connection
    return gatepost


def start(gatepost, network):
    """Starts it on the gateway, behind the firewall's rules that it asks for itself."""
    done = gatepost.run("nft")
    assert done.returncode == 0, done
    network.firewall(done.stdout)
    return gatepost.start(prefix=network.prefix("gateway", "raw"))




CROWD = """
import collections, json, select, socket, sys
host, number = sys.argv[1], int(sys.argv[2])
waiting = {}
for _ in range(number):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((host, 25))
    waiting[s.fileno()] = s
poll = select.poll()
for fd in waiting:
    poll.register(fd, select.POLLIN)
heard, kept = collections.Counter(), []
while waiting:
    ready = poll.poll(20000)
    if not ready:
        heard["nothing"] += len(waiting)
        break
    for fd, _ in ready:
        poll.unregister(fd)
        kept.append(waiting.pop(fd))
        try:
            heard[kept[-1].recv(3).decode() or "end"] += 1
        except OSError as why:
            heard[str(why)] += 1
print(json.dumps(heard))
"""


def crowd(network, host, number):
    """So many clients that connect at the same moment: how many heard which code first."""
    return json.loads(network.run("client", sys.executable, "-c", CROWD, host, str(number)))
