"""A real Dovecot, unpacked, on loopback ports: LMTP in, IMAP and POP3 out, Maildirs in a scratch directory."""

import grp
import imaplib
import os
import pwd
import shutil
import time

from . import env
from .process import Process

CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
libexec_dir = {peer}/usr/lib/dovecot
mail_plugin_dir = {peer}/usr/lib/dovecot/modules
auth_mechanisms = plain
import_environment = TZ LD_LIBRARY_PATH
log_path = /dev/stderr
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login_user}
first_valid_uid = 1
first_valid_gid = 1
default_vsz_limit = 0
auth_failure_delay = 0
protocols = imap lmtp pop3
{tls}
disable_plaintext_auth = no
mail_location = {location}
mail_fsync = never
mail_max_userip_connections = 1000
pop3_delete_type = expunge
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
hostname = store.example.org
postmaster_address = postmaster@example.org
passdb {{
  driver = passwd-file
  args = username_format=%n {dir}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {dir}/users
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  user = {user}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service stats {{
  chroot =
}}
"""


TLS = """ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2"""

# Its POP3 server with another IMAP server as its store: the peer that does what we do.
IMAPC = """imapc_host = 127.0.0.1
imapc_port = {port}
imapc_features = rfc822.size fetch-headers
"""


class Dovecot:
    """Users get their mail under NAME@any.domain. A user is a name, whose password is `password`, or (name, password).

    `certificate`: (certificate, key) files; then STARTTLS and STLS are offered, and there are `imaps` and
    `pop3s`. `imapc`: the port of an IMAP server, where all mail stays instead of in Maildirs here.
    `more`: further settings."""

    password = "secret"

    def __init__(self, users=("alice", "bob", "carol"), certificate=None, imapc=None, more=""):
        self.peer = env.peer("dovecot")
        self.dir = env.scratch()
        self.lmtp, self.imap, self.pop3 = env.free_port(), env.free_port(), env.free_port()
        self.imaps, self.pop3s = (env.free_port(), env.free_port()) if certificate else (0, 0)
        # As root the mail belongs to an account without rights, for Dovecot refuses to serve root's.
        user = "mail" if env.is_root() else env.user_name()
        account = pwd.getpwnam(user)
        for name in ("run", "state", "mail"):
            (self.dir / name).mkdir()
            if env.is_root():
                os.chown(self.dir / name, account.pw_uid, account.pw_gid)
        (self.dir / "run").chmod(0o755)
        (self.dir / "run" / "modules").symlink_to(self.peer / "usr/lib/dovecot/modules")
        (self.dir / "users").write_text("".join(
            "%s:{PLAIN}%s:%d:%d::%s/mail/%s::%s\n" % (
                name, password, account.pw_uid, account.pw_gid, self.dir, name,
                "userdb_imapc_user=%s userdb_imapc_password=%s" % (name, password) if imapc else "")
            for name, password in ((u, self.password) if isinstance(u, str) else u for u in users)))
        (self.dir / "dovecot.conf").write_text(CONF.format(
            dir=self.dir, peer=self.peer, user=user, group=grp.getgrgid(account.pw_gid).gr_name,
            login_user="nobody" if env.is_root() else user, imap=self.imap, lmtp=self.lmtp, imaps=self.imaps,
            pop3=self.pop3, pop3s=self.pop3s, location="imapc:~/imapc" if imapc else "maildir:%s/mail/%%n" % self.dir,
            tls=TLS.format(certificate=certificate[0], key=certificate[1]) if certificate else "ssl = no")
            + (IMAPC.format(port=imapc) if imapc else "") + more)
        self.process = None

    def start(self):
        environ = dict(os.environ, LD_LIBRARY_PATH=str(self.peer / "usr/lib/dovecot"))
        # The program itself would look for doveconf where it is not; called by doveconf it need not.
        self.process = Process([self.peer / "usr/bin/doveconf", "-f", "service=master", "-c", self.dir / "dovecot.conf",
                                "-m", "master", "-e", self.peer / "usr/sbin/dovecot", "-F", "-c",
                                self.dir / "dovecot.conf"], self.dir / "log", environ)
        self.process.wait_log(r"starting up")
        return self

    def mails(self, user="alice"):
        """The messages in a user's Maildir, as octets, oldest first."""
        new = self.dir / "mail" / user / "new"
        files = sorted(new.iterdir(), key=lambda f: f.stat().st_mtime_ns) if new.is_dir() else []
        return [f.read_bytes() for f in files]

    def wait_mail(self, text, user="alice"):
        """The first message that holds this text, waited for."""
        deadline = time.monotonic() + env.PATIENCE
        while time.monotonic() < deadline:
            for mail in self.mails(user):
                if text.encode() in mail:
                    return mail
            time.sleep(0.01)
        raise AssertionError("no mail with %r for %s; Dovecot says:\n%s" % (text, user, self.process.log()[-4000:]))

    def login(self, user="alice"):
        """An IMAP session of this user."""
        session = imaplib.IMAP4("127.0.0.1", self.imap)
        session.login(user, self.password)
        return session

    def stop(self):
        if self.process is None:
            return
        status = self.process.stop()
        assert status == 0, "dovecot ended with %s:\n%s" % (status, self.process.log()[-4000:])
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
