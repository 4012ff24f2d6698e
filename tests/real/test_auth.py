"""AUTH through Gatepost: real clients in every mechanism before a real Postfix, whose users a real Dovecot knows;
wrong passwords; EXTERNAL; who goes to which backend; the throttle of all workers."""

import base64
import queue
import smtplib
import socket
import threading
import time

import pytest

from gp import env, smtp_clients
from gp.backend import OFFERS, FakeBackend
from gp.gatepost import Gatepost
from gp.logins import PostfixWithLogins
from gp.postfix import Postfix
from gp.wire import Peer, client_context

MECHANISMS = "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer"
# DIGEST-MD5: its digest-uri names the host that the client calls, which is not what the backend calls itself. (curl
# dislikes Dovecot's empty realm.)
CLIENTS = [("smtplib", "PLAIN LOGIN CRAM-MD5"), ("swaks", "PLAIN LOGIN CRAM-MD5 DIGEST-MD5"),
           ("curl", "PLAIN LOGIN CRAM-MD5 OAUTHBEARER"),
           ("msmtp", "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER")]


@pytest.fixture(scope="module")
def store(certs):
    if not Postfix.available():
        pytest.skip("Postfix's master wants to be root: run as root, or allow sudo without a password")
    with PostfixWithLogins(certs.leaf("store", "store.example.org"), ["alice", "bob"], MECHANISMS) as server:
        yield server


@pytest.fixture(scope="module")
def gate(store, certs):
    gatepost = Gatepost(store.port, certs=certs)
    smtp_clients.offer(gatepost)
    for listener in ("listener", "listener/implicit"):
        gatepost.conf.set(listener + ".auth-failures", "0")
    with gatepost:
        yield gatepost


@pytest.mark.parametrize("tls", smtp_clients.TLS)
@pytest.mark.parametrize("name, mechanism", [(n, m) for n, all_ in CLIENTS for m in all_.split()])
def test_mechanism(name, mechanism, tls, gate, store, tmp_path):
    mark = gate.mark()
    smtp_clients.play(name, smtp_clients.PROGRAMS[name], gate, store, tmp_path, tls, mechanism)
    gate.wait_log(r"user=alice mechanism=%s " % mechanism, mark)


@pytest.mark.parametrize("mechanism", CLIENTS[-1][1].split())
def test_wrong_password(mechanism, gate, tmp_path, monkeypatch):
    """The client is told, the log tells who and how, and neither password nor proof stand in it."""
    monkeypatch.setattr(smtp_clients, "MSMTPRC", smtp_clients.MSMTPRC.replace("password secret", "password verywrong"))
    mark = gate.mark()
    job = smtp_clients.Job(gate.port(), "starttls", mechanism, "ann@example.net", ["alice@example.org"], b"x\r\n", tmp_path, gate.certs.ca)
    with pytest.raises(smtp_clients.Failed):
        smtp_clients.msmtp(job)
    gate.wait_log(r'auth=failed user=alice mechanism=%s backend=\S+ answer="535 5\.7\.8"' % mechanism, mark)
    assert "verywrong" not in gate.log()


def test_offer_is_the_intersection(gate):
    """Of what Dovecot has and what the listener allows; not in the clear."""
    with smtplib.SMTP(smtp_clients.HOST, gate.port(), "client.example.net") as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        client.starttls(context=client_context(gate.certs.ca))
        client.ehlo()
        assert sorted(client.esmtp_features["auth"].split()) == sorted(MECHANISMS.upper().split())


def test_vrfy_and_etrn_are_postfix_s(store, certs):
    gatepost = Gatepost(store.port, certs=certs)
    gatepost.conf.set("listener.without", "none")
    with gatepost, smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as client:
        deadline = time.monotonic() + env.PATIENCE
        while "vrfy" not in client.esmtp_features and time.monotonic() < deadline:  # until this worker knows the server
            client.ehlo()
            time.sleep(0.05)
        assert "etrn" in client.esmtp_features
        assert client.docmd("VRFY", "alice@example.org")[0] == 252
        assert client.docmd("VRFY", "<nobody@example.org>")[0] == 550
        assert client.docmd("ETRN", "example.net")[0] in (250, 459)
        assert client.docmd("ETRN", "#nothing")[0] in (458, 459, 501)


# What follows is about the gateway alone: the backend is scripted.

PLAIN_ANN = base64.b64encode(b"\0ann\0secret")


def say(peer, line):
    peer.send(line + b"\r\n")
    return peer.reply()[-1]


def greeted(gatepost, listener=None, context=None):
    peer = Peer.connect(gatepost.port(listener))
    if context:
        peer.tls(context, name=env.HOSTNAME)
    peer.reply()
    assert say(peer, b"EHLO client.example.net").startswith(b"250")
    return peer


class Answers:
    """Answers a scripted backend's sessions; `asked` is what they heard."""

    def __init__(self, backend, answers):
        self.backend, self.answers, self.asked = backend, answers, []
        backend.begin()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                session = self.backend.sessions.get(timeout=60)
            except queue.Empty:
                return
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session):
        try:
            while True:
                line = session.line()
                self.asked.append(line)
                verb = line.split(b" ")[0]
                session.send(self.answers.get(verb, b"250 2.0.0 OK") + b"\r\n")
        except Exception:  # the session is over
            session.peer.close()


def test_throttle_is_for_all_workers(certs):
    """Eight wrong passwords at the same moment, over connections that the kernel spreads: three are tried."""
    backend = FakeBackend(offers=OFFERS + ("AUTH PLAIN",))
    gatepost = Gatepost(backend.port, settings=["listener.auth always", "listener.auth-failures 3"], certs=certs)
    answers = Answers(backend, {b"AUTH": b"535 5.7.8 No"})
    replies, times = [], []

    def attempt():
        peer, began = greeted(gatepost), time.monotonic()
        replies.append(say(peer, b"AUTH PLAIN " + PLAIN_ANN)[:9])
        times.append(time.monotonic() - began)
        peer.close()

    with gatepost:
        backend.wait_probes(env.WORKERS)
        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(replies) == [b"454 4.7.0"] * 5 + [b"535 5.7.8"] * 3
        assert len([line for line in answers.asked if line.startswith(b"AUTH")]) == 3
        assert min(times) >= 0.9 and max(times) >= 3.5, times  # 1, 2 and 4 seconds
    backend.stop()


def test_throttle_by_name(certs):
    """The name is throttled from wherever it comes; other names from elsewhere are not."""
    backend = FakeBackend(offers=OFFERS + ("AUTH PLAIN",))
    gatepost = Gatepost(backend.port, settings=["listener.auth always", "listener.auth-failures 1"], certs=certs)
    answers = Answers(backend, {b"AUTH": b"535 5.7.8 No"})

    def attempt(source, name):
        peer = Peer.connect(gatepost.port()) if source is None else from_address(source, gatepost.port())
        peer.reply()
        say(peer, b"EHLO client.example.net")
        reply = say(peer, b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0x"))
        peer.close()
        return reply[:3]

    with gatepost:
        backend.wait_probes(env.WORKERS)
        assert attempt("127.0.0.2", b"ann") == b"535"
        assert attempt("127.0.0.3", b"ANN") == b"454"
        assert attempt("127.0.0.4", b"bob") == b"535"
        assert attempt("127.0.0.4", b"cid") == b"454"
        assert len([line for line in answers.asked if line.startswith(b"AUTH")]) == 2
    backend.stop()


def test_throttle_locks_nobody_out(certs):
    """Failures in her name elsewhere do not keep Ann out from where she has been let in before."""
    backend = FakeBackend(offers=OFFERS + ("AUTH PLAIN",))
    gatepost = Gatepost(backend.port, settings=["listener.auth always", "listener.auth-failures 1"], certs=certs)
    answers = Answers(backend, {b"AUTH": b"235 2.7.0 Yes"})

    def attempt(source):
        peer = from_address(source, gatepost.port())
        peer.reply()
        say(peer, b"EHLO client.example.net")
        reply = say(peer, b"AUTH PLAIN " + PLAIN_ANN)
        peer.close()
        return reply[:3]

    with gatepost:
        backend.wait_probes(env.WORKERS)
        assert attempt("127.0.0.2") == b"235"
        answers.answers[b"AUTH"] = b"535 5.7.8 No"
        assert attempt("127.0.0.3") == b"535"
        answers.answers[b"AUTH"] = b"235 2.7.0 Yes"
        assert attempt("127.0.0.4") == b"454"
        assert attempt("127.0.0.2") == b"235"
    backend.stop()


def from_address(source, port):
    return Peer(socket.create_connection(("127.0.0.1", port), timeout=env.PATIENCE, source_address=(source, 0)))


def test_users_have_backends(certs):
    """The first route that fits the name, where the mechanism shows it at once; else the first without users."""
    ann, others = FakeBackend(offers=OFFERS + ("AUTH PLAIN LOGIN",)), FakeBackend(offers=OFFERS + ("AUTH PLAIN LOGIN CRAM-MD5",))
    gatepost = Gatepost(others.port, settings=["listener.auth always", "listener.auth-failures 0"], certs=certs)
    name = gatepost.conf.find("backend").words[1]
    profile = gatepost.conf.find("profile").words[1]
    gatepost.conf.add("backend anns { protocol smtp; address 127.0.0.1:%d; check-interval 1h; }" % ann.port)
    gatepost.conf.replace("route", "route example.org { backend anns; user ann *@corp.example; profile %s; }" % profile)
    gatepost.conf.add("route example.org .example.org { backend %s; profile %s; }" % (name, profile))
    good = {b"AUTH": b"235 2.7.0 Yes"}
    at_anns, at_others = Answers(ann, good), Answers(others, good)
    with gatepost:
        ann.wait_probes(env.WORKERS)
        others.wait_probes(env.WORKERS)
        for user, where in ((b"ann", at_anns), (b"bob", at_others), (b"joe@corp.example", at_anns), (b"anna", at_others)):
            peer = greeted(gatepost)
            peer.send(b"EHLO client.example.net\r\n")
            assert b"250-AUTH PLAIN LOGIN" in peer.reply()  # what both have
            before = len(where.asked)
            assert say(peer, b"AUTH PLAIN " + base64.b64encode(b"\0" + user + b"\0x")).startswith(b"235")
            assert len(where.asked) == before + 1
            assert say(peer, b"MAIL FROM:<ann@example.org>").startswith(b"250")
            assert say(peer, b"RCPT TO:<bob@example.org>").startswith(b"250")
            assert len(where.asked) == before + 3, "all mail goes where the client has authenticated"
            peer.close()
    ann.stop()
    others.stop()


LOGIN = [(b"AUTH LOGIN", b"334 VXNlcm5hbWU6"), (b"YW5u", b"334 UGFzc3dvcmQ6"), (b"c2VjcmV0", b"235 2.7.0 Yes")]


@pytest.fixture(scope="module")
def scripted(certs):
    backend = FakeBackend(offers=OFFERS + ("AUTH PLAIN LOGIN",))
    gatepost = Gatepost(backend.port, settings=["listener.auth always", "listener.auth-failures 0"], certs=certs)
    with gatepost:
        backend.wait_probes(env.WORKERS)
        yield gatepost, backend
        gatepost.check()
    backend.stop()


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
@pytest.mark.parametrize("who", ["client", "backend", "client, unanswered", "backend, unanswered"])
@pytest.mark.parametrize("at", range(len(LOGIN) + 1))
def test_either_side_goes(scripted, at, who, how):
    """At each step of an exchange one side goes, before or after the other has answered; the next client is served."""
    gatepost, backend = scripted
    backend.begin()
    client, session = greeted(gatepost), None
    for said, answer in LOGIN[:at]:
        client.send(said + b"\r\n")
        session = session or backend.sessions.get(timeout=env.PATIENCE)
        assert session.line() == said
        session.send(answer + b"\r\n")
        assert client.reply() == [answer]
    if "unanswered" in who:
        client.send((LOGIN + [(b"MAIL FROM:<ann@example.org>", b"")])[at][0] + b"\r\n")
        session = session or backend.sessions.get(timeout=env.PATIENCE)
        session.line()
    if who.startswith("client"):
        getattr(client, how)()
        if "unanswered" in who and how != "reset":
            session.send(b"535 5.7.8 No\r\n")  # the client may still listen: its answer is waited for
        assert session is None or session.peer.until_closed() in (b"", b"QUIT\r\n", b"RSET\r\nQUIT\r\n")
    elif session is not None:
        getattr(session.peer, how)()
        if at == len(LOGIN) or "unanswered" in who:
            assert client.reply()[0][:3] in (b"421", b"454", b"451")
        elif at > 0:
            assert say(client, b"YW5u").startswith(b"454")
    client.close()
    if session:
        session.peer.close()
    backend.begin()
    client = greeted(gatepost)
    client.send(b"AUTH PLAIN " + PLAIN_ANN + b"\r\n")
    session = backend.sessions.get(timeout=env.PATIENCE)
    assert session.line() == b"AUTH PLAIN " + PLAIN_ANN
    session.send(b"235 2.7.0 Yes\r\n")
    assert client.reply() == [b"235 2.7.0 Yes"]
    client.close()


def client_certificate(certs, name):
    context = client_context()
    context.load_cert_chain(*certs.leaf("client", name))
    return context


@pytest.fixture(scope="module")
def external(certs):
    offers = OFFERS + ("AUTH PLAIN", "XCLIENT NAME ADDR PROTO HELO LOGIN")
    backend = FakeBackend(offers=offers)
    hello = "\r\n".join(["250-store.example.org", *("250-" + offer for offer in offers), "250 HELP"])
    answers = Answers(backend, {b"XCLIENT": b"220 store.example.org ESMTP", b"EHLO": hello.encode()})
    gatepost = Gatepost(backend.port, certs=certs, settings=[
        "backend.client-identity xclient", "tls.client-certificate ask", "tls.client-ca {{ca}}", "listener.auth-failures 0",
        "listener.auth tls", "listener/implicit.auth tls", "listener/implicit.auth-failures 0"])
    with gatepost:
        backend.wait_probes(env.WORKERS)
        yield gatepost, answers
    backend.stop()


@pytest.mark.parametrize("command, code", [
    (b"AUTH EXTERNAL =", b"235"), (b"AUTH EXTERNAL " + base64.b64encode(b"printer.example.net"), b"235"),
    (b"AUTH EXTERNAL " + base64.b64encode(b"boss.example.net"), b"535"), (b"AUTH EXTERNAL !", b"501")])
def test_external(external, certs, command, code):
    """The certificate's name is who it is; the server hears it by XCLIENT."""
    gatepost, answers = external
    answers.asked.clear()
    peer = greeted(gatepost, "implicit", client_certificate(certs, "printer.example.net"))
    mark = gatepost.mark()
    peer.send(b"EHLO client.example.net\r\n")
    assert b"250-AUTH PLAIN EXTERNAL" in peer.reply()
    assert say(peer, command).startswith(code)
    if code == b"235":
        assert say(peer, b"MAIL FROM:<ann@example.net>").startswith(b"250")
        assert any(b"LOGIN=printer.example.net" in line for line in answers.asked if line.startswith(b"XCLIENT"))
        assert say(peer, b"QUIT").startswith(b"221")
        gatepost.wait_log(r"user=printer\.example\.net mechanism=EXTERNAL", mark)
    else:
        gatepost.wait_log(r"auth=failed .*mechanism=EXTERNAL", mark)
    peer.close()


def test_external_asks(external, certs):
    gatepost, _ = external
    peer = greeted(gatepost, "implicit", client_certificate(certs, "printer.example.net"))
    assert say(peer, b"AUTH EXTERNAL") == b"334 "
    assert say(peer, b"*").startswith(b"501 5.7.0")
    assert say(peer, b"AUTH EXTERNAL") == b"334 "
    assert say(peer, b"").startswith(b"235")
    peer.close()


def test_external_without_certificate(external, certs):
    gatepost, _ = external
    peer = greeted(gatepost, "implicit", client_context())
    peer.send(b"EHLO client.example.net\r\n")
    assert b"250-AUTH PLAIN" in peer.reply()
    assert say(peer, b"AUTH EXTERNAL =").startswith(b"504 5.5.4")
    peer.close()
