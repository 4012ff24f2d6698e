"""Private keys: scanners' memory holds none, neither at the start nor after a reload."""

import re
import signal
import time

import pytest

from gp import env
from gp.gatepost import Gatepost
from gp.tls_client import s_client, ticket_key_name


def times_in_memory(pid, text):
    """How often a process's memory holds these octets."""
    count = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            where, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            start, end = (int(word, 16) for word in where.split("-"))
            if end - start > 1 << 32:
                continue        # a sanitizer's shadow, terabytes of nothing
            try:
                memory.seek(start)
                count += memory.read(end - start).count(text)
            except (OSError, ValueError):
                pass            # a part that is there but cannot be read
    return count


@pytest.mark.skipif(not env.is_root(), reason="only root reads another process's memory")
def test_scanners_know_no_keys(certs):
    with Gatepost(env.free_port(), certs=certs) as gatepost:
        with open(re.search(r"key (\S+);", str(gatepost.conf))[1], "rb") as f:
            key = f.read().splitlines()[1]
        first, = gatepost.children("nursery")
        assert times_in_memory(first, key) == 0
        mark = gatepost.mark()
        gatepost.process.signal(signal.SIGHUP)
        gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)
        deadline = time.monotonic() + env.PATIENCE
        while first in gatepost.children("nursery") or not gatepost.children("nursery"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert times_in_memory(gatepost.children("nursery")[0], key) == 0
        assert times_in_memory(gatepost.children("worker")[0], key) > 0     # the look itself is good


@pytest.mark.skipif(not env.is_root(), reason="only root reads another process's memory")
def test_scanners_know_no_ticket_keys(certs, tmp_path):
    """A ticket begins with the name of its key, and the key stands beside its name where there is one."""
    with Gatepost(env.free_port(), certs=certs) as gatepost:
        mark, first = gatepost.mark(), gatepost.children("nursery")
        gatepost.process.signal(signal.SIGHUP)
        gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)
        s_client(gatepost.port("implicit"), "-tls1_2", "-sess_out", tmp_path / "session")
        name = ticket_key_name(tmp_path / "session")
        nurseries = [pid for pid in gatepost.children("nursery") if pid not in first]
        assert [times_in_memory(pid, name) for pid in nurseries] == [0]
        assert all(times_in_memory(pid, name) > 0 for pid in gatepost.children("worker"))
