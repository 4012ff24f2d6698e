"""TLS towards the server behind: whom it must be, how it is known, and what the log says when it is somebody else."""

import smtplib
import ssl

import pytest

from gp import env, messages
from gp.backend import OFFERS, FakeBackend
from gp.gatepost import Gatepost
from gp.wire import server_context

# That TLS 1.0 and 1.1 are old is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")

NAME = "store.example.org"
BY_NAME = ("tls-name " + NAME, "tls-ca {{ca}}")


class Behind:
    """A server with this certificate and a gateway before it that insists on TLS."""

    def __init__(self, certs, leaf, settings, change=None):
        tls = server_context(*leaf)
        if change:
            change(tls)
        self.server = FakeBackend(offers=[*OFFERS, "STARTTLS"], tls=tls)
        settings = ["backend." + setting for setting in ("tls-mode require", *settings)]
        self.gatepost = Gatepost(self.server.port, certs=certs, settings=settings)

    def __enter__(self):
        self.gatepost.start()
        return self

    def __exit__(self, *error):
        self.gatepost.__exit__(*error)
        self.server.stop()

    def send(self):
        """A message: the code at MAIL, or at the dot when MAIL was taken."""
        with smtplib.SMTP("127.0.0.1", self.gatepost.port(), "client.example.net") as session:
            session.ehlo()
            code = session.mail("ann@example.net")[0]
            if code == 250:
                session.rcpt("bob@example.org")
                code = session.data(messages.plain("to the server behind"))[0]
            return code


def store(certs, **other):
    return certs.leaf("store", NAME, **other)


def refused(behind, says):
    assert behind.send() == 451
    behind.gatepost.wait_log("TLS handshake: " + says)
    assert behind.server.messages == []


def test_pin(certs):
    """The key is enough: neither its name nor who signed it matters, nor that it is out of date."""
    certs.other("elsewhere")
    for leaf in (store(certs), certs.leaf("self", "any.example", ca="elsewhere", kind="RSA"), store(certs, days=-1)):
        with Behind(certs, leaf, ["tls-pin %s %s" % (certs.pin(certs.leaf("spare", NAME)[0]), certs.pin(leaf[0]))]) as behind:
            assert behind.send() == 250
    pin = certs.pin(store(certs)[0])
    with Behind(certs, store(certs), ["tls-pin " + certs.pin(certs.leaf("spare", NAME)[0])]) as behind:
        refused(behind, "key %s is none of tls-pin" % pin.replace("+", r"\+"))


def test_refused(certs):
    certs.other("elsewhere")
    for leaf, says in (
            (certs.leaf("vault", "vault.example.org", "safe.example.org"),
             "not for store.example.org: the certificate is for vault.example.org, safe"),
            (store(certs, days=-1), r"expired on 20\d\d-\d\d-\d\d: the certificate of store.example.org"),
            (store(certs, ca="elsewhere"),
             r"signed by somebody who is not trusted \(CN=Another authority called elsewhere\)")):
        with Behind(certs, leaf, BY_NAME) as behind:
            refused(behind, says)


def test_old_server(certs):
    """A server that can do TLS 1.0 and no more is for who says so."""
    def old(tls):
        tls.set_ciphers("DEFAULT:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1

    leaf = store(certs, kind="RSA")
    with Behind(certs, leaf, [*BY_NAME, "tls-min-version 1.0"], old) as behind:
        assert behind.send() == 250
        assert {handshake[0] for handshake in behind.server.handshakes} == {"TLSv1"}
    with Behind(certs, leaf, BY_NAME, old) as behind:
        refused(behind, ".*protocol version")


def test_our_certificate(certs):
    """A server that wants to see ours sees it; without one it lets nobody in."""
    def ask(tls):
        tls.load_verify_locations(str(certs.ca))
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.maximum_version = ssl.TLSVersion.TLSv1_2  # the refusal comes inside the handshake

    own = certs.leaf("gateway", "gateway.example.org")
    behind = Behind(certs, store(certs), [*BY_NAME, "tls-client own"], ask)
    behind.gatepost.conf.add("tls own { certificate %s; key %s; }" % own)
    with behind:
        assert behind.send() == 250
        for _, _, shown in behind.server.handshakes:
            assert shown is None or shown["subject"] == ((("commonName", "gateway.example.org"),),)
        assert behind.server.handshakes[0][2]
    with Behind(certs, store(certs), BY_NAME, ask) as behind:
        refused(behind, "")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_are_taken_up(certs, version):
    """In each worker the first connection, a health check's, begins a session; all others take it up."""
    def only(tls):
        tls.minimum_version = tls.maximum_version = getattr(ssl.TLSVersion, version)

    with Behind(certs, store(certs), [*BY_NAME, "keep-sessions 0"], only) as behind:
        behind.server.wait_probes(env.WORKERS)
        for _ in range(6):
            assert behind.send() == 250
        afresh = [handshake for handshake in behind.server.handshakes if not handshake[1]]
        assert len(behind.server.handshakes) >= 6 + env.WORKERS and len(afresh) == env.WORKERS
