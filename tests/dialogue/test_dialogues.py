"""Plays every tests/dialogue/*.txt. Dialogues with the same settings share one gateway."""

from pathlib import Path

import pytest

from gp import env, wire
from gp.backend import OFFERS, FakeBackend
from gp.dialogue import Dialogue, Runner
from gp.gatepost import Gatepost

HERE = Path(__file__).parent
# Those that share a gateway stand together, so that only one runs at a time.
DIALOGUES = sorted((Dialogue(path) for path in HERE.glob("*.txt")), key=lambda d: (d.key, d.path))

# One dialogue's connections, and what it has delivered, shall not be the next one's; those about keeping set it themselves.
USUAL = ["backend.keep-sessions 0", "ledger off"]


class Stage:
    """The gateway and the backend that the next dialogue wants."""

    def __init__(self, certs):
        self.certs, self.key, self.gatepost, self.backend = certs, None, None, None

    def set_for(self, dialogue):
        if self.key == dialogue.key:
            return
        self.clear()
        tls = wire.server_context(*self.certs.leaf("store", "store.example.org"))
        self.backend = FakeBackend(dialogue.protocol, OFFERS if dialogue.offers is None else dialogue.offers, tls)
        gatepost = Gatepost(self.backend.port, dialogue.protocol, [*USUAL, *dialogue.settings], HERE / "test.cf",
                            env.HOOKS if dialogue.hooks else env.BIN, self.certs)
        self.gatepost = gatepost.start()
        self.backend.wait_probes(env.WORKERS)
        self.key = dialogue.key

    def clear(self):
        gatepost, backend, self.key, self.gatepost, self.backend = self.gatepost, self.backend, None, None, None
        if backend:
            backend.stop()
        if gatepost:
            gatepost.stop()


@pytest.fixture(scope="module")
def stage(certs):
    it = Stage(certs)
    yield it
    it.clear()


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda d: d.path.stem)
def test_dialogue(stage, dialogue):
    stage.set_for(dialogue)
    failure = Runner(dialogue, stage.gatepost, stage.backend).run()
    if failure:
        pytest.fail(failure, pytrace=False)  # the conversation tells more than our stack
    stage.gatepost.check()
