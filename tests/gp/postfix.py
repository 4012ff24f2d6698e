"""A real Postfix, unpacked: smtpd on a loopback port, mail for example.org into Maildirs, its own queue.

Its accounts are ones that every Debian has, because Postfix insists on some that nothing else uses.
Its master must be root's: as another user it is started through sudo, or not to be had."""

import grp
import pwd
import socket
import subprocess
import time

from . import env
from .process import Process

OWNER, GROUP, DELIVER = "uucp", "lp", "games"

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = {peer}/usr/sbin
daemon_directory = {peer}/usr/lib/postfix/sbin
shlib_directory = {peer}/usr/lib/postfix
meta_directory = {dir}
import_environment = TZ LD_LIBRARY_PATH MAIL_CONFIG
mail_owner = {owner}
setgid_group = {group}
default_privs = nobody
maillog_file = {dir}/log/mail
maillog_file_prefixes = {dir}
myhostname = store.example.org
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_database_type = texthash
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = texthash:{dir}/users
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
message_size_limit = 104857600
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = {tls}
smtpd_tls_loglevel = 1
smtp_dns_support_level = disabled
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_authorized_xforward_hosts = 127.0.0.1
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{proxy_port} inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
postlog   unix-dgram n - n - 1 postlogd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
virtual   unix - n n - - virtual
error     unix - - n - - error
smtp      unix - - n - - smtp
anvil     unix - - n - 1 anvil
tlsmgr    unix - - n 1000? 1 tlsmgr
scache    unix - - n - 1 scache
proxymap  unix - - n - - proxymap
"""


class Postfix:
    """Accepts mail for the users of example.org; knows nobody else (550)."""

    def __init__(self, certificate, users=("alice", "bob", "carol"), tls="may", more="", master="", files=None):
        """`certificate`: (certificate, key) files; `tls`: Postfix's smtpd_tls_security_level; `more`, `master`: further
        settings of main.cf, where {dir} is the folder that holds `files` ({name: text}), and services of master.cf."""
        self.peer = env.peer("postfix")
        self.dir = env.scratch()
        self.port, self.tls_port = env.free_port(), env.free_port()  # STARTTLS; implicit TLS
        self.proxy_port = env.free_port()  # wants a PROXY header first
        owner, deliver = pwd.getpwnam(OWNER), pwd.getpwnam(DELIVER)
        self.commands = []
        for name in ("queue", "queue/pid", "mail", "log", "data"):
            (self.dir / name).mkdir()
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
                     "saved", "trace"):
            (self.dir / "queue" / name).mkdir()
            self._give("queue/" + name, owner.pw_uid, 0, 0o700)
        self._give("queue/private", owner.pw_uid, 0, 0o755)
        for name, mode in (("maildrop", 0o1730), ("public", 0o2710)):
            (self.dir / "queue" / name).mkdir()
            self._give("queue/" + name, owner.pw_uid, grp.getgrnam(GROUP).gr_gid, mode)
        self._give("data", owner.pw_uid, owner.pw_gid, 0o700)
        self._give("queue", 0, 0, 0o755)
        self._give("queue/pid", 0, 0, 0o755)
        self._give("mail", deliver.pw_uid, deliver.pw_gid, 0o755)
        (self.dir / "users").write_text("".join("%s@example.org %s/\n" % (name, name) for name in users))
        (self.dir / "main.cf").write_text(MAIN.lstrip().format(
            dir=self.dir, peer=self.peer, owner=OWNER, group=GROUP, uid=deliver.pw_uid, gid=deliver.pw_gid,
            cert=certificate[0], key=certificate[1], tls=tls) + more.replace("{dir}", str(self.dir)))
        for name, text in (files or {}).items():
            (self.dir / name).write_text(text)
        (self.dir / "master.cf").write_text(
            MASTER.lstrip().format(port=self.port, tls_port=self.tls_port, proxy_port=self.proxy_port) + master)
        self.process = None

    def _give(self, name, uid, gid, mode):
        self.commands.append(["chown", "%d:%d" % (uid, gid), str(self.dir / name)])
        self.commands.append(["chmod", "%o" % mode, str(self.dir / name)])

    @staticmethod
    def available():
        return env.as_root(["true"]) is not None

    def start(self):
        for command in self.commands:
            subprocess.run(env.as_root(command), check=True)
        library = "LD_LIBRARY_PATH=%s" % (self.peer / "usr/lib/postfix")
        master = ["env", library, "MAIL_CONFIG=%s" % self.dir, str(self.peer / "usr/lib/postfix/sbin/master"),
                  "-c", str(self.dir), "-d"]
        self.process = Process(env.as_root(master), self.dir / "out")
        self._wait_port()
        return self

    def _wait_port(self):
        deadline = time.monotonic() + env.PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.child.poll() is None, self.log()
                time.sleep(0.02)
        raise AssertionError("postfix does not listen:\n" + self.log())

    def log(self):
        log = self.dir / "log" / "mail"
        done = subprocess.run(env.as_root(["cat", str(log)]), capture_output=True, text=True, errors="replace")
        return done.stdout + self.process.log()

    def mails(self, user="alice"):
        """The messages in a user's Maildir, as octets, oldest first."""
        new = self.dir / "mail" / user / "new"
        names = subprocess.run(env.as_root(["sh", "-c", 'ls -tr "$1" 2>/dev/null', "sh", str(new)]),
                               capture_output=True, text=True).stdout.split()
        return [subprocess.run(env.as_root(["cat", str(new / name)]), capture_output=True).stdout for name in names]

    def wait_mail(self, text, user="alice"):
        deadline = time.monotonic() + env.PATIENCE
        while time.monotonic() < deadline:
            for mail in self.mails(user):
                if text.encode() in mail:
                    return mail
            time.sleep(0.02)
        raise AssertionError("no mail with %r for %s; Postfix says:\n%s" % (text, user, self.log()[-4000:]))

    def stop(self):
        if self.process is None:
            return
        # By the id in its own file: what was started may be a sudo, which does not listen to us.
        subprocess.run(env.as_root(["sh", "-c", 'kill $(cat "$1")', "sh", str(self.dir / "queue/pid/master.pid")]))
        self.process.wait()
        subprocess.run(env.as_root(["rm", "-rf", str(self.dir)]))

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
