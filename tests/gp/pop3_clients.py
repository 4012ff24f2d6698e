"""What people fetch their mail with: curl, fetchmail, mpop and Python's poplib, each as a user would call it.

A client is a function: (job) -> the messages that it fetched, as it left them. What it did to the ends of
lines is its own business; `same` undoes that."""

import collections
import os
import poplib
import re
import subprocess

from . import env, messages
from .pop3 import as_pop3
from .wire import client_context

# host: the name on the certificate (all is on 127.0.0.1); tls: stls or implicit; delete: fetched mail is
# removed; dir: an empty directory; ca: whom to trust
Job = collections.namedtuple("Job", "host port tls user password delete dir ca")


class Failed(Exception):
    """The client ended with an error."""


def run(words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=60, **more)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace")
        raise Failed("%s ended with %d: %s" % (words[0], done.returncode, said))
    return done.stdout


def poplib_(job):
    context = client_context(job.ca)
    context.check_hostname = False  # we say 127.0.0.1
    if job.tls == "implicit":
        client = poplib.POP3_SSL("127.0.0.1", job.port, context=context, timeout=env.PATIENCE)
    else:
        client = poplib.POP3("127.0.0.1", job.port, timeout=env.PATIENCE)
        client.stls(context)
    poplib._MAXLINE = 1 << 20  # its 2,048 octets are fewer than mail may have in a line
    client.user(job.user)
    client.pass_(job.password)
    count = client.stat()[0]
    assert len(client.list()[1]) == len(client.uidl()[1]) == count
    found = []
    for n in range(1, count + 1):
        found.append(b"".join(line + b"\r\n" for line in client.retr(n)[1]))
        if job.delete:
            client.dele(n)
    client.quit()
    return found


def curl(job):
    scheme = "pop3s" if job.tls == "implicit" else "pop3"
    url = "%s://%s:%d/" % (scheme, job.host, job.port)
    base = ["--silent", "--show-error", "--ssl-reqd", "--cacert", job.ca, "--user", "%s:%s" % (job.user, job.password),
            "--resolve", "%s:%d:127.0.0.1" % (job.host, job.port)]
    count = len(run(["curl", *base, url]).split(b"\r\n")) - 1
    words, files = [], [job.dir / ("%d.eml" % n) for n in range(1, count + 1)]
    for n, file in enumerate(files, 1):
        words += (["--next"] if words else []) + base + ["--output", file, url + str(n)]
        if job.delete:
            words += ["--next", *base, "--list-only", "--request", "DELE", "--output", os.devnull, url + str(n)]
    if words:
        run(["curl", *words])
    return [file.read_bytes() for file in files]


FETCHMAILRC = """
set invisible
set no syslog
poll {host} via 127.0.0.1 protocol pop3 port {port} timeout 20 uidl bad-header accept
  user "{user}" password "{password}" is "{user}" here
  {tls} sslcertck sslcertfile "{ca}" sslcommonname "{host}"
  {keep} no rewrite no mimedecode no dropstatus
  mda "sh {dir}/deliver"
"""
DELIVER = """n=$(ls {dir}/new | wc -l)
cat >{dir}/new/$(printf %06d "$n")
"""


def fetchmail(job):
    (job.dir / "new").mkdir(exist_ok=True)
    for old in (job.dir / "new").iterdir():
        old.unlink()
    (job.dir / "deliver").write_text(DELIVER.format(dir=job.dir))
    rc = job.dir / "fetchmailrc"
    rc.write_text(FETCHMAILRC.format(host=job.host, port=job.port, user=job.user, password=job.password, ca=job.ca,
                                     dir=job.dir, keep="nokeep" if job.delete else "keep",
                                     tls="ssl" if job.tls == "implicit" else 'sslproto "TLS1.2+"'))
    rc.chmod(0o600)
    words = [env.peer("fetchmail") / "usr/bin/fetchmail", "-f", rc,
             "--pidfile", job.dir / "fetchmail.pid"]
    done = subprocess.run(words, capture_output=True, timeout=60, env=dict(os.environ, FETCHMAILHOME=str(job.dir), LC_ALL="C"))
    if done.returncode not in (0, 1):  # 1: no (new) mail
        raise Failed("fetchmail ended with %d: %s" % (done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")))
    return [file.read_bytes() for file in sorted((job.dir / "new").iterdir())]


MPOPRC = """
account default
host 127.0.0.1
port {port}
tls on
tls_starttls {starttls}
tls_trust_file {ca}
tls_host_override {host}
user {user}
password {password}
keep {keep}
delivery mbox {dir}/mbox
received_header off
uidls_file {dir}/uidls
"""


def mpop(job):
    rc, mbox = job.dir / "mpoprc", job.dir / "mbox"
    mbox.unlink(missing_ok=True)
    rc.write_text(MPOPRC.format(port=job.port, starttls="off" if job.tls == "implicit" else "on", ca=job.ca, host=job.host,
                                user=job.user, password=job.password, keep="off" if job.delete else "on", dir=job.dir))
    rc.chmod(0o600)
    run([env.peer("mpop") / "usr/bin/mpop", "--quiet", "-C", rc], env=dict(os.environ, HOME=str(job.dir)))
    text = mbox.read_bytes() if mbox.exists() else b""
    # "From " begins a message; in messages it was quoted with ">", and an empty line stands behind each.
    found = re.split(rb"(?:\A|\n)From [^\n]*\n", text)[1:]
    return [re.sub(rb"^>(>*From )", rb"\1", one, flags=re.MULTILINE) for one in found]


CLIENTS = {"curl": curl, "fetchmail": fetchmail, "mpop": mpop, "poplib": poplib_}
REMEMBER = {"fetchmail", "mpop"}  # which messages they have had, by UIDL
EXACT = {"curl", "poplib"}  # keep what comes as it came
TLS = ("stls", "implicit")


def mailbox():
    """Messages such as these clients must carry; all have fields, and none is empty, which clients treat as they please."""
    return [
        messages.plain("An ordinary letter"),
        messages.plain("Dots", ".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n"),
        messages.plain("A dot at the end", "text\r\n."),
        messages.plain("No newline at the end", "the end"),
        messages.plain("From inside", "From here on\r\n>From there\r\n\r\nFrom\r\n"),
        messages.plain("Empty lines", "\r\n\r\n\r\na\r\n\r\n\r\n"),
        messages.plain("No body", ""),
        messages.plain("Eight bits", bytes(range(0xa0, 0x100)) + b"\r\n"),
        messages.plain("Gr\u00fc\u00dfe \u20ac", "\u00fc\u20ac\r\n" * 50),
        messages.plain("A long line", "x" * 990 + "\r\n"),
        messages.plain("Spaces", " \r\n\t\r\nend \t\r\n"),
        messages.with_attachment("An attachment", "figures.bin", bytes(range(256)) * 400),
        messages.plain("A megabyte", "0123456789 abcdef ghijkl\r\n.\r\n" * 40000),
    ]


def same(client, fetched, held):
    """Whether it is the message that the mailbox holds: to the octet, or with those clients that write mail files,
    but for the ends of lines and empty lines behind the last one."""
    if client in EXACT:
        return fetched == as_pop3(held)
    return fetched.replace(b"\r\n", b"\n").rstrip(b"\n") == held.replace(b"\r\n", b"\n").rstrip(b"\n")
