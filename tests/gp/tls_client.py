"""openssl s_client as a test's client: what it was shown, what it agreed on, and why it was sent away."""

import re
import subprocess

from . import env


class Shown:
    """What s_client printed."""

    def __init__(self, text):
        self.text = text
        self.version = self._find(r"^ *Protocol *: (\S+)$") or self._find(r"^New, (\S+), Cipher")
        self.reused = "\nReused, " in text
        self.subject = self._find(r"^subject=(.*)$") or ""
        self.cn = self._find(r"^subject=.*CN *= *([^,\n]+)")
        self.alpn = self._find(r"^ALPN protocol: (.*)$")
        self.alert = self._find(r"SSL alert number (\d+)")
        self.kind = self._find(r"^Peer signature type: (\S+)")
        self.greeted = re.search(r"^(\+OK|[245]\d\d) ", text, re.MULTILINE) is not None

    def _find(self, pattern):
        found = re.search(pattern, self.text, re.MULTILINE)
        return found[1] if found else None


def s_client(port, *options, starttls=None, say="QUIT\r\n"):
    """Connects, shakes hands, says its words slowly enough that tickets and alerts come, ends. Never fails by itself."""
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-crlf", "-ign_eof", *map(str, options)]
    if starttls:
        command += ["-starttls", starttls]
    done = subprocess.run(command, input=say.replace("\r\n", "\n"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=env.PATIENCE)
    return Shown(done.stdout)


def ticket_key_name(session):
    """The first 16 octets of the ticket in a session that s_client kept: which key of the server's sealed it."""
    text = subprocess.run(["openssl", "sess_id", "-in", str(session), "-text", "-noout"], check=True, capture_output=True,
                          text=True, errors="replace").stdout
    return bytes.fromhex(re.search(r"TLS session ticket:\s+0000 - ([0-9a-f -]{47})", text)[1].replace("-", " "))
