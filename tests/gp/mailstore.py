"""What all servers in a cell have in common: a port that opens, Maildirs, an end."""

import socket
import time

from . import env


class Mailstore:
    """`cell` and log() are the server's own."""

    def _wait_port(self, port):
        deadline = time.monotonic() + env.PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert self.cell.process.child.poll() is None, self.log()
                time.sleep(0.02)
        raise AssertionError("%s does not listen:\n%s" % (type(self).__name__, self.log()))

    def mails(self, user="alice"):
        return self.cell.mails(user)

    def wait_mail(self, text, user="alice", patience=None):
        """The first message that holds this text, waited for."""
        deadline = time.monotonic() + (patience or env.PATIENCE)
        while time.monotonic() < deadline:
            for mail in self.mails(user):
                if text.encode() in mail:
                    return mail
            time.sleep(0.05)
        raise AssertionError("no mail with %r for %s; %s says:\n%s" % (text, user, type(self).__name__, self.log()[-4000:]))

    def stop(self):
        self.cell.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
