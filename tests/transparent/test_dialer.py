"""The dialer: replaced when it dies; nobody gets an unflagged socket meanwhile."""

import os
import signal
import time

import pytest

from gp import env, netns
from gp.gatepost import Gatepost

from test_take_over import Client, talk


@pytest.fixture(params=["tproxy", "redirect"])
def keeper(request, network, servers, certs):
    it = netns.gateway_of(Gatepost(25, certs=certs), request.param, keep_source=True)
    netns.start(it, network)
    yield it
    it.stop()


def other_dialer(gatepost, pid):
    """The one that has taken its place."""
    deadline = time.monotonic() + env.PATIENCE
    while time.monotonic() < deadline:
        try:
            now = gatepost.children("dialer")
        except FileNotFoundError:  # one that ended while we looked
            continue
        if now and now != [pid]:
            return now[0]
        time.sleep(0.01)
    raise AssertionError("no other dialer:\n%s" % gatepost.log())


def test_killed(keeper, network, fresh):
    first = keeper.children("dialer")[0]
    for _ in range(2):
        os.kill(first, signal.SIGKILL)
        first = other_dialer(keeper, first)
        # More than what the workers may have had in stock.
        assert netns.crowd(network, netns.SERVER[4], 200) == {"220": 200}
    fresh[netns.SERVER[4]].peers.clear()
    client = talk(network, netns.SERVER[4])
    assert fresh[netns.SERVER[4]].peers[-1][0] == client.address[0]
    assert "dialer died: signal 9" in keeper.log()


def test_silent(keeper, network, fresh):
    """Sockets in stock are used up; then clients hear 421, and never come in under another address."""
    assert netns.crowd(network, netns.SERVER[4], 20) == {"220": 20}  # from here on there is a stock
    dialer = keeper.children("dialer")[0]
    os.kill(dialer, signal.SIGSTOP)
    try:
        heard = netns.crowd(network, netns.SERVER[4], 64 * env.WORKERS + 50)
        assert set(heard) == {"220", "421"} and heard["220"] <= 64 * env.WORKERS, heard
    finally:
        os.kill(dialer, signal.SIGCONT)
    assert {address for address, _ in fresh[netns.SERVER[4]].peers} == {netns.CLIENT[4]}
    deadline = time.monotonic() + env.PATIENCE
    while netns.crowd(network, netns.SERVER[4], 20) != {"220": 20}:
        assert time.monotonic() < deadline, keeper.log()


def test_worker_killed(keeper, network, fresh):
    """A new worker has a channel to the same dialer."""
    dialer, mark = keeper.children("dialer"), keeper.mark()
    time.sleep(0.6)  # one that dies sooner after its start is replaced later
    for pid in keeper.children("worker"):
        os.kill(pid, signal.SIGKILL)
    keeper.wait_log(r"worker %d died" % env.WORKERS, mark)
    assert netns.crowd(network, netns.SERVER[4], 100) == {"220": 100}
    assert keeper.children("dialer") == dialer


def test_reload_changes_its_mind(keeper, network, fresh):
    """keep-source off and on again: the dialer goes and comes."""
    keeper.conf.set("listener.keep-source", "off")
    mark = keeper.mark()
    keeper.reload()
    keeper.wait_log(r"\bready:", mark)
    assert keeper.children("dialer") == []
    talk(network, netns.SERVER[4])
    assert fresh[netns.SERVER[4]].peers[-1][0] == netns.BEHIND[4]
    keeper.conf.set("listener.keep-source", "on")
    mark = keeper.mark()
    keeper.reload()
    keeper.wait_log(r"\bready:", mark)
    assert len(keeper.children("dialer")) == 1
    client = Client(network, netns.SERVER[6])
    client.peer.reply()
    assert fresh[netns.SERVER[6]].peers[-1][0] == client.address[0]
