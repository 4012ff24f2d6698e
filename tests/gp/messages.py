"""Messages that the tests send, and what must have become of them."""

import base64
import io
import re
import zipfile

from .dialogue import eicar

HEADER = ("From: Ann <ann@example.net>\r\n"
          "To: Alice <alice@example.org>\r\n"
          "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
          "Message-ID: <%s@example.net>\r\n"
          "Subject: %s\r\n")


def plain(subject, body="Dear Alice,\r\n\r\nhow are you?\r\n\r\nAnn\r\n"):
    """An ordinary letter; the subject, which should be unique, is its Message-ID too."""
    text = (HEADER % (re.sub(r"\W+", "-", subject), subject)).encode("utf-8") + b"\r\n"
    return text + (body if isinstance(body, bytes) else body.encode("utf-8"))


def with_attachment(subject, name, octets):
    """A letter with one attachment in base64."""
    head = (HEADER % (re.sub(r"\W+", "-", subject), subject)) + (
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=\"=_part\"\r\n"
        "\r\n"
        "--=_part\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "\r\n"
        "See the attachment.\r\n"
        "--=_part\r\n"
        "Content-Type: application/octet-stream; name=\"%s\"\r\n"
        "Content-Disposition: attachment; filename=\"%s\"\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n" % (name, name))
    body = base64.encodebytes(octets).decode().replace("\n", "\r\n")
    return (head + body + "--=_part--\r\n").encode()


def zipped(name, octets):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return out.getvalue()


def with_virus(subject):
    """The antivirus test string as a file in a zip."""
    return with_attachment(subject, "invoice.zip", zipped("invoice.com", eicar().encode()))


def arrived(stored, sent):
    """What stands above a message that arrived as it was sent; AssertionError when an octet of it differs.
    Mailboxes keep lines with LF: `stored` may."""
    if b"\r\n" not in stored:
        stored = stored.replace(b"\n", b"\r\n")
    if not stored.endswith(sent):
        raise AssertionError("the message is not what was sent; it is:\n%r" % stored[:4000])
    return stored[:len(stored) - len(sent)].decode("utf-8")
