"""TLS towards clients, with real ones: openssl s_client, curl, Python's ssl; SMTP and POP3, STARTTLS and at once."""

import smtplib
import ssl
import subprocess
import threading
import time

import pytest

from gp import env, messages, pop3
from gp.backend import OFFERS, FakeBackend
from gp.gatepost import Gatepost
from gp.tls_client import s_client
from gp.wire import Peer, server_context

# That TLS 1.0 and 1.1 are old is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")

DOORS = ("smtp", "implicit", "pop", "pops")
STARTTLS = {"smtp": "smtp", "pop": "pop3"}


class House:
    """A gateway with further tls blocks and listeners: add them, then start()."""

    def __init__(self, certs, backend, settings=()):
        self.certs = certs
        self.gatepost = Gatepost(backend.port, certs=certs, settings=settings)
        pop3.offer(self.gatepost, env.free_port())

    def tls(self, name, certificate, more=""):
        self.gatepost.conf.add("tls %s { certificate %s; key %s; %s }" % (name, certificate[0], certificate[1], more))

    def listen(self, name, tls, more=""):
        self.gatepost.ports[name] = env.free_port()
        self.gatepost.conf.add("listener %s { protocol smtp; address 127.0.0.1:%d; tls %s; %s }"
                               % (name, self.gatepost.ports[name], tls, more))

    def look(self, door, *options, **more):
        return s_client(self.gatepost.port(door), *options, starttls=STARTTLS.get(door), **more)


def reload(gatepost):
    """Until the new settings count."""
    mark = gatepost.mark()
    gatepost.reload()
    gatepost.wait_log(r"\bready:", mark, env.PATIENCE * 3)


@pytest.fixture(scope="module")
def backend():
    server = FakeBackend()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def modern(certs):
    """A server that speaks nothing older than TLS 1.3."""
    tls = server_context(*certs.leaf("store", "store.example.org"))
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    server = FakeBackend(offers=[*OFFERS, "STARTTLS"], tls=tls)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def house(certs, modern):
    """Listeners smtp, implicit, pop, pops with five certificates; old, asking, requiring. TLS 1.3 behind."""
    it = House(certs, modern, ["backend.tls-mode require", "backend.tls-name store.example.org", "backend.tls-ca {{ca}}"])
    it.tls("rsa", certs.leaf("rsa", env.HOSTNAME, kind="RSA", cn="rsa"))
    it.tls("other", certs.leaf("other", "mail.example.net", "imap.example.net", cn="other"))
    it.tls("other-rsa", certs.leaf("other-rsa", "mail.example.net", kind="RSA", cn="other-rsa"))
    it.tls("wild", certs.leaf("wild", "*.wild.example.net", cn="wild"))
    for listener in ("listener", "listener/implicit", "listener/pop", "listener/pops"):
        it.gatepost.conf.set(listener + ".tls", "test rsa other other-rsa wild")
    it.tls("old", certs.leaf("old", env.HOSTNAME, kind="RSA"), "min-version 1.0; security-level 0; ciphers DEFAULT:@SECLEVEL=0;")
    it.listen("old", "old", "tls-mode require;")
    for mode in ("ask", "require"):
        it.tls(mode, certs.leaf("gatepost", env.HOSTNAME), "client-certificate %s; client-ca %s;" % (mode, certs.ca))
        it.listen(mode, mode, "tls-mode implicit;")
    with it.gatepost:
        yield it


# (name asked for, who can verify ECDSA meets, who can only verify RSA meets)
NAMES = [
    (None, env.HOSTNAME, "rsa"),
    (env.HOSTNAME, env.HOSTNAME, "rsa"),
    ("MAIL.example.NET", "other", "other-rsa"),
    ("imap.example.net", "other", None),
    ("a.wild.example.net", "wild", None),
    ("a.b.wild.example.net", env.HOSTNAME, "rsa"),
    ("nobody.example", env.HOSTNAME, "rsa"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked, ecdsa, rsa", NAMES)
def test_names(house, door, asked, ecdsa, rsa):
    name = ["-servername", asked] if asked else ["-noservername"]
    assert house.look(door, *name).cn == ecdsa
    assert house.look(door, *name, "-sigalgs", "RSA-PSS+SHA256:RSA+SHA256").cn == rsa
    assert house.look(door, *name, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256").cn == rsa


@pytest.mark.parametrize("door, ours", [("smtp", "smtp"), ("implicit", "smtp"), ("pop", "pop3"), ("pops", "pop3")])
def test_alpn(house, door, ours):
    assert house.look(door).greeted
    for offered, chosen in ((ours, ours), ("h2,http/1.1," + ours, ours), ("h2", None), ("http/1.1", None), ("imap", None)):
        seen = house.look(door, "-alpn", offered)
        assert seen.alpn == chosen
        assert seen.alert == (None if chosen else "120")
    assert "no application protocol" in house.gatepost.log().replace("_", " ")


def test_curl(house, modern, certs):
    """curl sends ALPN only for HTTP; it verifies name and chain, by the name it was given."""
    for scheme, door in (("smtp", "smtp"), ("smtps", "implicit")):
        for name in (env.HOSTNAME, "mail.example.net", "x.wild.example.net"):
            port = house.gatepost.port(door)
            done = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", certs.ca, "--resolve", "%s:%d:127.0.0.1" % (name, port),
                                   "%s://%s:%d" % (scheme, name, port), "--mail-from", "ann@example.net",
                                   "--mail-rcpt", "bob@example.org", "-T", "-"],
                                  input=messages.plain("curl %s %s" % (scheme, name)), capture_output=True)
            assert done.returncode == 0, done.stderr
    assert len([m for m in modern.messages if b"Subject: curl " in m.octets]) == 6


@pytest.mark.parametrize("door", DOORS)
def test_versions(house, door):
    assert house.look(door, "-tls1_3").version == "TLSv1.3"
    assert house.look(door, "-tls1_2").version == "TLSv1.2"
    for version in ("-tls1_1", "-tls1"):
        seen = house.look(door, version, "-cipher", "DEFAULT:@SECLEVEL=0")
        assert seen.alert == "70" and seen.cn is None  # protocol_version


def test_no_renegotiation_no_compression(house):
    seen = house.look("implicit", "-tls1_2", say="EHLO x\r\nR\r\nQUIT\r\n")
    assert "Secure Renegotiation IS supported" in seen.text
    assert "Compression: NONE" in seen.text
    assert s_client(house.gatepost.port("implicit"), "-tls1_2", "-legacy_renegotiation").greeted
    # "R" at the start of a line asks s_client to renegotiate, unless -ign_eof makes it a word like others.
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % house.gatepost.port("implicit"), "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        time.sleep(0.3)
        client.stdin.write("R\n")
        client.stdin.flush()
        assert "no renegotiation" in client.communicate(timeout=env.PATIENCE)[0]


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_old_client(house, modern, version):
    """An old appliance has its own listener; what it sends there arrives, in TLS 1.3 behind us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with smtplib.SMTP("127.0.0.1", house.gatepost.port("old"), "old.example.net") as session:
        session.starttls(context=context)
        assert session.sock.version() == version.replace("_", ".")
        session.sendmail("ann@example.net", ["bob@example.org"], messages.plain("old " + version))
    assert any(b"Subject: old %s\r\n" % version.encode() in m.octets for m in modern.messages)
    assert {handshake[0] for handshake in modern.handshakes} == {"TLSv1.3"}
    house.gatepost.wait_log(r"^.* message=\S+ .*tls=\"(%s) \S+\" .*from=<ann@example.net>.*$" % version.replace("_", r"\."))
    if version in ("TLSv1", "TLSv1_1"):
        with smtplib.SMTP("127.0.0.1", house.gatepost.port(), "old.example.net") as session:
            with pytest.raises(ssl.SSLError):
                session.starttls(context=context)


def test_client_certificates(house, certs):
    good = certs.leaf("ann", cn="ann", email="ann@example.net")
    certs.other("elsewhere")
    foreign, old = certs.leaf("eve", cn="eve", ca="elsewhere"), certs.leaf("late", cn="late", days=-1)
    shown = lambda pair: ["-cert", pair[0], "-key", pair[1]]  # noqa: E731
    for version in ("-tls1_2", "-tls1_3"):
        for door in ("ask", "require"):
            assert house.look(door, version, *shown(good)).greeted
            for pair, alert, why in ((foreign, "48", r"signed by somebody who is not trusted \(CN=Another authority called elsewhere\): the certificate of eve"),
                                     (old, "45", r"expired on 20\d\d-\d\d-\d\d: the certificate of late")):
                mark = house.gatepost.mark()
                seen = house.look(door, version, *shown(pair))
                assert seen.alert == alert and not seen.greeted
                house.gatepost.wait_log(why, mark)
        assert house.look("ask", version).greeted
        mark = house.gatepost.mark()
        seen = house.look("require", version)
        assert seen.alert == ("116" if version == "-tls1_3" else "40") and not seen.greeted
        house.gatepost.wait_log("peer did not return a certificate", mark)
    assert "Gatepost test authority" in house.look("require", *shown(good)).text.partition("Acceptable client certificate CA names")[2]


# ---- sessions taken up again ----

class Resuming:
    """A client that keeps its session in a file."""

    def __init__(self, gatepost, directory, version, port=None):
        self.port, self.version = port or gatepost.port("implicit"), version
        self.file = directory / ("session" + version)

    def begin(self):
        assert not s_client(self.port, self.version, "-sess_out", self.file).reused
        return self

    def again(self, times=12):
        """How often it was taken up, of so many connections: the kernel deals them out over the workers."""
        return sum(s_client(self.port, self.version, "-sess_in", self.file).reused for _ in range(times))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(certs, backend, tmp_path, version):
    """In every worker, behind a reload, and in a worker's successor."""
    with Gatepost(backend.port, certs=certs) as gatepost:
        client = Resuming(gatepost, tmp_path, version).begin()
        assert client.again() == 12
        reload(gatepost)
        assert client.again() == 12
        for worker in gatepost.children("worker"):
            mark = gatepost.mark()
            subprocess.run(["kill", "-9", str(worker)], check=True)
            gatepost.wait_log("worker .* died", mark)
        deadline = time.monotonic() + env.PATIENCE
        while len(gatepost.children("worker")) < env.WORKERS and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.again() == 12


def test_rotation(certs, backend, tmp_path):
    """The key before this one still opens a ticket, the one before that does not; every worker has the same."""
    with Gatepost(backend.port, certs=certs, settings=["ticket-rotation 2s", "log-level debug"]) as gatepost:
        client = Resuming(gatepost, tmp_path, "-tls1_3")
        mark = gatepost.mark()
        gatepost.wait_log("session tickets have a new key", mark)
        client.begin()
        mark = gatepost.mark()
        assert client.again(4) == 4
        gatepost.wait_log("session tickets have a new key", mark)
        mark = gatepost.mark()
        gatepost.wait_log("session tickets have a new key", mark)
        assert client.again(4) == 0


def test_no_tickets(certs, backend, tmp_path):
    with Gatepost(backend.port, certs=certs, settings=["ticket-rotation 0s"]) as gatepost:
        for version in ("-tls1_2", "-tls1_3"):
            seen = s_client(gatepost.port("implicit"), version, "-sess_out", tmp_path / "session")
            assert seen.greeted and "TLS session ticket:" not in seen.text


def test_resumption_heeds_a_changed_client_ca(certs, backend, tmp_path):
    """A ticket vouches for a certificate that is not shown again: not when others may sign them now."""
    certs.other("elsewhere")
    ann = certs.leaf("ann", cn="ann", email="ann@example.net")
    house = House(certs, backend)
    house.tls("require", certs.leaf("gatepost", env.HOSTNAME), "client-certificate require; client-ca %s;" % certs.ca)
    house.listen("require", "require", "tls-mode implicit;")
    with house.gatepost as gatepost:
        session = tmp_path / "session"
        shown = ["-cert", ann[0], "-key", ann[1]]
        house.look("require", *shown, "-sess_out", session)
        assert house.look("require", *shown, "-sess_in", session).reused
        assert house.look("require", "-sess_in", session).greeted  # without showing it
        gatepost.conf.set("tls/require.client-ca", certs.other("elsewhere"))
        reload(gatepost)
        seen = house.look("require", *shown, "-sess_in", session)
        assert not seen.reused and not seen.greeted
        assert not house.look("implicit", "-sess_in", session).reused  # nor where nobody is asked


# ---- certificates that change ----

def test_new_certificate_under_load(certs, backend):
    """Nobody is dropped, nobody meets anything but the old or the new one, and then only the new one."""
    first, second = certs.leaf("first", env.HOSTNAME, cn="first"), certs.leaf("second", env.HOSTNAME, cn="second", kind="RSA")
    seen, failures, done = [], [], threading.Event()
    context = ssl.create_default_context(cafile=str(certs.ca))

    def run():
        while not done.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net", timeout=env.PATIENCE) as session:
                    session._host = env.HOSTNAME  # whom it is to verify
                    session.starttls(context=context)
                    seen.append(dict(pair[0] for pair in session.sock.getpeercert()["subject"])["commonName"])
                    session.sendmail("ann@example.net", ["bob@example.org"], messages.plain("under load"))
            except (OSError, smtplib.SMTPException) as error:
                failures.append(error)

    gatepost = Gatepost(backend.port, certs=certs)
    live = gatepost.dir / "live.pem", gatepost.dir / "live.key"
    for part, to in zip(first, live):
        to.write_bytes(part.read_bytes())
    gatepost.conf.set("tls.certificate", live[0])
    gatepost.conf.set("tls.key", live[1])
    with gatepost:
        old = smtplib.SMTP_SSL("127.0.0.1", gatepost.port("implicit"), "old.example.net",
                               context=ssl._create_unverified_context())
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        for _ in range(3):
            for pair in (second, first, second):
                for part, to in zip(pair, live):
                    to.write_bytes(part.read_bytes())
                reload(gatepost)
        enough, deadline = len(seen) + 12, time.monotonic() + env.PATIENCE
        while len(seen) < enough and time.monotonic() < deadline:
            time.sleep(0.02)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert set(seen) == {"first", "second"} and seen[-4:] == ["second"] * 4
        assert old.noop()[0] == 250  # it came before all of them
        old.quit()


@pytest.mark.parametrize("breaks, says", [
    ("certificate", "no certificate in PEM form found"),
    ("key", "no usable private key in PEM form"),
    ("pair", "this key does not belong to the certificate"),
])
def test_bad_new_certificate(certs, backend, breaks, says):
    other = certs.leaf("second", env.HOSTNAME, cn="second", kind="RSA")
    with Gatepost(backend.port, certs=certs) as gatepost:
        nothing = gatepost.dir / "nothing"
        nothing.write_text("nothing\n")
        gatepost.conf.set("tls.key" if breaks == "key" else "tls.certificate", other[0] if breaks == "pair" else nothing)
        mark = gatepost.mark()
        gatepost.reload()
        gatepost.wait_log("reload failed, nothing has changed: .*" + says, mark)
        assert s_client(gatepost.port("implicit")).cn == env.HOSTNAME


def test_silence_costs_nothing(certs, backend):
    """Connections to a TLS port that never say a word: no TLS session is made for them."""
    def pss():
        total = 0
        for pid in gatepost.children("worker"):
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        return total

    with Gatepost(backend.port, certs=certs) as gatepost:
        assert s_client(gatepost.port("implicit")).greeted
        before = pss()
        silent = [Peer.connect(gatepost.port("implicit")) for _ in range(400)]
        time.sleep(0.5)
        each = (pss() - before) / len(silent)
        for peer in silent:
            peer.sock.close()
        assert each < 8, "%.1f KiB each" % each
