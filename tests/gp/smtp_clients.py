"""What people send their mail with: swaks, curl, msmtp, s-nail, Python's smtplib, and the clients of Postfix and Exim.

A client is a function: (job) -> the message as it gave it away, which is the one it was told to send unless
the client insists on composing its own. The two servers keep a queue; they are started once and get their
messages by `send`."""

import collections
import re
import smtplib
import subprocess
import time

from . import env
from .exim import Exim
from .messages import plain
from .pop3_clients import Failed
from .postfix import Postfix
from .wire import client_context

HOST = "localhost"  # the name on the certificate: clients find it in any machine's hosts file
USER, PASSWORD = "alice", "secret"

# tls: starttls or implicit; auth: a mechanism or None; dir: an empty directory; ca: whom to trust
Job = collections.namedtuple("Job", "port tls auth sender recipients message dir ca")


def run(words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=60, **more)
    if done.returncode != 0:
        raise Failed("%s ended with %d: %s" % (words[0], done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")))
    return done.stdout


def file(job):
    path = job.dir / "message"
    path.write_bytes(job.message)
    return path


def smtplib_(job):
    context = client_context(job.ca)
    if job.tls == "implicit":
        client = smtplib.SMTP_SSL(HOST, job.port, "client.example.net", timeout=env.PATIENCE, context=context)
    else:
        client = smtplib.SMTP(HOST, job.port, "client.example.net", timeout=env.PATIENCE)
        client.starttls(context=context)
    with client:
        client.ehlo()
        if job.auth:
            client.user, client.password = USER, PASSWORD
            client.auth(job.auth, getattr(client, "auth_" + job.auth.lower().replace("-", "_")))
        client.sendmail(job.sender, job.recipients, job.message)
    return job.message


def swaks(job):
    env.peer("swaks")
    words = ["swaks", "--server", "%s:%d" % (HOST, job.port), "--helo", "client.example.net", "--from", job.sender,
             "--to", ",".join(job.recipients), "--timeout", str(int(env.PATIENCE)), "--tls-verify", "--tls-ca-path", job.ca,
             "--tls-sni", HOST, "--tls-on-connect" if job.tls == "implicit" else "--tls", "--suppress-data",
             "--data", "@%s" % file(job)]
    if job.auth:
        words += ["--auth", job.auth, "--auth-user", USER, "--auth-password", PASSWORD]
    file(job).write_bytes(job.message.removesuffix(b"\r\n"))  # it ends the last line itself
    run(words)
    return job.message


def curl(job):
    words = ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", job.ca, "--mail-from", job.sender,
             "--upload-file", file(job)]
    for recipient in job.recipients:
        words += ["--mail-rcpt", recipient]
    if job.auth == "OAUTHBEARER":
        words += ["--user", USER, "--oauth2-bearer", PASSWORD, "--login-options", "AUTH=" + job.auth]
    elif job.auth:
        words += ["--user", "%s:%s" % (USER, PASSWORD), "--login-options", "AUTH=" + job.auth]
    run(words + ["%s://%s:%d/client.example.net" % ("smtps" if job.tls == "implicit" else "smtp", HOST, job.port)])
    return job.message


MSMTPRC = """
account default
host {host}
port {port}
domain client.example.net
from {sender}
tls on
tls_starttls {starttls}
tls_trust_file {ca}
timeout 20
auth {auth}
user alice
password secret
"""


def msmtp(job):
    rc = job.dir / "msmtprc"
    rc.write_text(MSMTPRC.format(host=HOST, port=job.port, sender=job.sender, ca=job.ca,
                                 starttls="off" if job.tls == "implicit" else "on", auth=job.auth.lower() if job.auth else "off"))
    rc.chmod(0o600)
    with open(file(job), "rb") as message:
        run([env.peer("msmtp") / "usr/bin/msmtp", "-C", rc, "--", *job.recipients], stdin=message)
    return job.message


def s_nail(job):
    """It composes its own header; what it sent it also writes to a file, with the line "From " of an mbox."""
    record = job.dir / "record"
    scheme = "smtps" if job.tls == "implicit" else "smtp"
    login = "%s:%s@" % (USER, PASSWORD) if job.auth else ""
    settings = ["v15-compat", "mta=%s://%s%s:%d" % (scheme, login, HOST, job.port), "hostname=client.example.net",
                "smtp-auth=%s" % (job.auth.lower() if job.auth else "none"), "tls-verify=strict", "tls-ca-no-defaults",
                "tls-ca-file=%s" % job.ca, "from=%s" % job.sender, "record=%s" % record, "DEAD=%s" % (job.dir / "dead"),
                "sendwait", "ttycharset=utf-8"]
    settings += [] if job.tls == "implicit" else ["smtp-use-starttls"]
    subject, body = job.message.partition(b"Subject: ")[2].split(b"\r\n", 1)[0], job.message.partition(b"\r\n\r\n")[2]
    words = [env.peer("s-nail") / "usr/bin/s-nail", "-:/"]
    for setting in settings:
        words += ["-S", setting]
    run(words + ["-s", subject.decode(), *job.recipients], input=body.replace(b"\r\n", b"\n"), env={"HOME": str(job.dir), "LC_ALL": "C"})
    kept = record.read_bytes().partition(b"\n")[2]
    return kept.removesuffix(b"\n").replace(b"\n", b"\r\n")


POSTFIX = """
virtual_mailbox_domains =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
sender_dependent_default_transport_maps = texthash:{dir}/ways
smtp_host_lookup = native
smtp_tls_CAfile = {ca}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = {host}
smtp_tls_loglevel = 1
smtp_sasl_password_maps = texthash:{dir}/logins
smtp_sasl_security_options = noanonymous
smtp_helo_name = client.example.net
"""
POSTFIX_WAY = """
{name} unix - - n - - smtp
  -o smtp_tls_wrappermode={implicit}
  -o smtp_sasl_auth_enable={auth}
  -o smtp_sasl_mechanism_filter={mechanism}
"""


class PostfixClient:
    """A Postfix whose queue delivers through Gatepost; the sender's name says which way: starttls, implicit-plain..."""

    def __init__(self, certificate, ports, ca):
        """`ports`: {"starttls": PORT, "implicit": PORT} of Gatepost."""
        self.ports = ports
        ways = "".join(POSTFIX_WAY.format(name=way(tls, auth), implicit="yes" if tls == "implicit" else "no",
                                          auth="yes" if auth else "no", mechanism=(auth or "plain").lower())
                       for tls in ports for auth in (None, *AUTH["postfix"]))
        self.server = Postfix(certificate, (), more="", master=ways)
        directory = self.server.dir
        with open(directory / "main.cf", "a") as f:
            f.write(POSTFIX.format(dir=directory, ca=ca, host=HOST))
        (directory / "ways").write_text("".join(
            "%s@example.net %s:[127.0.0.1]:%d\n" % (way(tls, auth), way(tls, auth), ports[tls])
            for tls in ports for auth in (None, *AUTH["postfix"])))
        (directory / "logins").write_text("".join("[127.0.0.1]:%d %s:%s\n" % (port, USER, PASSWORD) for port in ports.values()))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *error):
        self.server.stop()

    def __call__(self, job):
        with smtplib.SMTP("127.0.0.1", self.server.port, "client.example.net", timeout=env.PATIENCE * 3) as client:
            client.sendmail("%s@example.net" % way(job.tls, job.auth), job.recipients, job.message)
        return job.message

    def log(self):
        return self.server.log()


EXIM_ROUTER = """
{word}:
  driver = manualroute
  senders = {name}@example.net
  route_list = * {host} byname
  self = send
  transport = {word}
"""
EXIM_TRANSPORT = """
{word}:
  driver = smtp
  allow_localhost
  protocol = {protocol}
  port = {port}
  helo_data = client.example.net
  hosts_require_tls = *
  hosts_require_auth = {auth}
  hosts_try_auth = {auth}
  hosts_try_prdr = *
  tls_verify_certificates = /etc/ca.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
"""
EXIM_LOGIN = """
client_plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""


class EximClient:
    """An Exim that knows no domain as its own and sends all on, with PRDR where that is offered."""

    def __init__(self, certificate, ports, ca):
        routers, transports = "", ""
        for tls, port in ports.items():
            for auth in (None, *AUTH["exim"]):
                name = way(tls, auth)
                word = name.replace("-", "_")  # what Exim calls it
                routers += EXIM_ROUTER.format(name=name, word=word, host=HOST)
                transports += EXIM_TRANSPORT.format(word=word, port=port, protocol="smtps" if tls == "implicit" else "smtp",
                                                     auth="*" if auth else "")
        self.server = Exim(certificate, (), routers, transports, EXIM_LOGIN.format(user=USER, password=PASSWORD),
                           domains="client.example.net")
        self.server.cell.put("etc/ca.pem", ca.read_bytes())

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *error):
        self.server.stop()

    def __call__(self, job):
        self.server.send("%s@example.net" % way(job.tls, job.auth), job.recipients, job.message)
        return job.message

    def log(self):
        return self.server.log()


def way(tls, auth):
    return "%s-%s" % (tls, auth.lower()) if auth else tls


# How each can authenticate.
AUTH = {"swaks": ("PLAIN", "LOGIN", "CRAM-MD5"), "curl": ("PLAIN", "LOGIN", "CRAM-MD5"), "msmtp": ("PLAIN", "LOGIN", "CRAM-MD5"),
        "s-nail": ("PLAIN", "LOGIN", "CRAM-MD5"), "smtplib": ("PLAIN", "LOGIN", "CRAM-MD5"),
        "postfix": ("PLAIN", "LOGIN", "CRAM-MD5"), "exim": ("PLAIN",)}
PROGRAMS = {"swaks": swaks, "curl": curl, "msmtp": msmtp, "s-nail": s_nail, "smtplib": smtplib_}
SERVERS = {"postfix": PostfixClient, "exim": EximClient}
TLS = ("starttls", "implicit")
BODY = ".\r\n..\r\nFrom here\r\n\r\nan ordinary line\r\n.dot\r\n" + "x" * 900 + "\r\n"


def ways(name):
    return [(tls, auth) for tls in TLS for auth in (None, *AUTH[name])]


def delivered(store, sent, recipients, patience=None):
    """Waits until every recipient has the message as it was sent; what stands above it. Failed with what differs."""
    deadline = time.monotonic() + (patience or env.PATIENCE)
    lf = sent.replace(b"\r\n", b"\n")
    above = {}
    while True:
        for user in set(recipients) - set(above):
            for mail in store.mails(user.partition("@")[0]):
                if mail.endswith(lf):
                    above[user] = mail[:-len(lf)].decode("utf-8", "replace")
        if len(above) == len(set(recipients)):
            return above
        if time.monotonic() > deadline:
            raise Failed("not delivered to %s as it was sent" % ", ".join(sorted(set(recipients) - set(above))))
        time.sleep(0.05)


def offer(gate):
    """Makes a gateway that is not running yet fit for them: AUTH, and a certificate for the name that they call it."""
    for listener in ("listener", "listener/implicit"):
        gate.conf.set(listener + ".auth", "tls")
    for key, path in zip(("certificate", "key"), gate.certs.leaf("clients", HOST)):
        gate.conf.set("tls." + key, path)
    rules = gate.dir / "clients.cf"
    rules.write_text("header GP_CLIENT X-Client =~ /refused by some/\nscore GP_CLIENT 4\n")
    gate.conf.set("rules", rules)
    gate.conf.add("profile strict { recipient carol@example.org; tag-score 1; refuse-score 3; }")


def play(name, client, gate, store, directory, tls, auth):
    """One client sends one message one way to two recipients. Failed when it does not arrive as it was sent."""
    recipients, by = ["alice@example.org", "bob@example.org"], way(tls, auth)
    place = directory / ("%s-%s" % (name, by))
    place.mkdir()
    job = Job(gate.port("smtp" if tls == "starttls" else "implicit"), tls, auth, by + "@example.net", recipients,
              plain("%s by %s" % (name, by), BODY), place, gate.certs.ca)
    mark = gate.mark()
    try:
        above = delivered(store, client(job), recipients)
        if not all("by %s" % env.HOSTNAME in head for head in above.values()):
            raise Failed("it bears no Received of ours: %s" % above)
        if auth and not all("(Authenticated sender: %s)" % USER in head for head in above.values()):
            raise Failed("the server behind did not learn who sent it: %s" % above)
    except (Failed, OSError, smtplib.SMTPException, subprocess.TimeoutExpired) as error:
        theirs = client.log()[-1000:] if hasattr(client, "log") else ""
        raise Failed("%s, %s: %s\n%s\n%s" % (name, by, error, gate.log(mark)[-1500:], theirs)) from error


def play_prdr(exim, gate, store):
    """Exim sends one message to alice, who takes it, and to carol, whose profile refuses it: with PRDR each has her own
    answer, and Exim's log says that it went so."""
    mark = gate.mark()
    message = plain("exim with PRDR").replace(b"Subject: ", b"X-Client: refused by some\r\nSubject: ", 1)
    exim.server.send("starttls@example.net", ["alice@example.org", "carol@example.org"], message)
    try:
        delivered(store, message, ["alice@example.org"])
    except Failed as error:
        raise Failed("exim with PRDR: %s\n%s\n%s" % (error, gate.log(mark)[-1500:], exim.log()[-1500:])) from error
    log = exim.log()
    if not (re.search(r"[=-]> alice@example.org .* PRDR", log) and re.search(r"\*\* carol@example.org .* 550 ", log)):
        raise Failed("Exim did not hear of PRDR: %s\n%s" % (gate.log(mark)[-1500:], log[-1500:]))
    if any(b"exim with PRDR" in mail for mail in store.mails("carol")):
        raise Failed("carol, whose profile refuses it, has it")
