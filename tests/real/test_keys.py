"""Private keys: scanners' memory holds none, neither at the start nor after a reload."""

import re
import signal
import time

import pytest

from gp import env
from gp.gatepost import Gatepost


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
