"""What is offered does not flicker: a client that comes just behind the start, or a reload, hears all extensions."""

import signal
import smtplib

from gp import env
from gp.backend import OFFERS, FakeBackend
from gp.gatepost import Gatepost


def offers_dsn(gatepost):
    with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
        session.ehlo()
        return session.has_extn("dsn")


def test_extensions_stay(certs):
    backend = FakeBackend(offers=[*OFFERS, "DSN"])
    gatepost = Gatepost(backend.port, certs=certs)
    with gatepost:
        assert all(offers_dsn(gatepost) for _ in range(4 * env.WORKERS))
        for _ in range(5):
            mark = gatepost.mark()
            gatepost.process.signal(signal.SIGHUP)
            heard = []
            while "ready:" not in gatepost.log(mark):
                heard.append(offers_dsn(gatepost))
            heard += [offers_dsn(gatepost) for _ in range(2 * env.WORKERS)]
            assert all(heard), heard
    backend.stop()
