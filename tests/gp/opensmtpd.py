"""A real OpenSMTPD on a loopback port, with mail for example.org into Maildirs.

Debian 12's cannot do TLS: its handshakes end with "missing private key" since it is linked to OpenSSL 3
(OpenSMTPD/OpenSMTPD issues 1171 and 1239), and it authenticates nobody without TLS. So it listens in plain
text: a server that a gateway gives a modern face."""

from . import env
from .cell import Cell
from .mailstore import Mailstore

CONF = """
smtp max-message-size 100M
smtp limit max-mails 100000
table users file:/etc/users
listen on 127.0.0.1 port {port} hostname store.example.org
action store mda "/usr/libexec/opensmtpd/mail.maildir /mail/%{{rcpt.user}}" virtual <users>
match from any for domain "example.org" action store
"""


class OpenSmtpd(Mailstore):
    """Accepts mail for the users of example.org; knows nobody else (550)."""

    def __init__(self, users=("alice", "bob", "carol")):
        self.port = env.free_port()
        self.cell = cell = Cell(env.peer("opensmtpd"), ["usr/sbin/smtpd", "usr/libexec/opensmtpd/mail.maildir"],
                                ["opensmtpd", "opensmtpq"])
        cell.put("etc/smtpd.conf", CONF.format(port=self.port))
        cell.put("etc/users", "".join("%s: deliver\n" % user for user in users))
        cell.put("etc/mailname", "store.example.org\n")
        cell.directory("var/lib/opensmtpd/empty")
        cell.directory("var/run")
        cell.directory("var/spool/smtpd", mode=0o711)

    available = staticmethod(Cell.available)

    def start(self):
        self.cell.start(["/usr/sbin/smtpd", "-d"])
        self._wait_port(self.port)
        return self

    def log(self):
        return self.cell.log()
