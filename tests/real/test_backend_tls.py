"""TLS to a real Postfix: its certificate is verified, or the mail stays where it is."""

import smtplib

import pytest

from gp import messages
from gp.gatepost import Gatepost

# (tls-mode, tls-name, which port, the code at MAIL)
CASES = [
    ("require", "store.example.org", "port", 250),
    ("implicit", "store.example.org", "tls_port", 250),
    ("require", "vault.example.org", "port", 451),
    ("implicit", "vault.example.org", "tls_port", 451),
    ("offer", "store.example.org", "port", 250),
    ("implicit", "store.example.org", "port", 451),  # who is not ready for TLS cannot be spoken to in TLS
]


@pytest.mark.parametrize("mode, name, port, code", CASES)
def test_verification(postfix, certs, mode, name, port, code):
    settings = ["backend.tls-mode " + mode, "backend.tls-name " + name, "backend.tls-ca {{ca}}",
                "backend.connect-timeout 2s", "backend.command-timeout 2s"]
    with Gatepost(getattr(postfix, port), settings=settings, certs=certs) as gatepost:
        subject = "TLS behind, %s, %d" % (mode, gatepost.port())
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
            session.ehlo()
            assert session.mail("ann@example.net")[0] == code
            if code == 250:
                assert session.rcpt("alice@example.org")[0] == 250
                assert session.data(messages.plain(subject))[0] == 250
                assert b"ESMTPS" in postfix.wait_mail("Subject: " + subject + "\n")


def test_unknown_authority(postfix, certs):
    """Without our little authority the certificate is nobody's: the system's store does not know it."""
    settings = ["backend.tls-mode require", "backend.tls-name store.example.org"]
    with Gatepost(postfix.port, settings=settings, certs=certs) as gatepost:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
            session.ehlo()
            assert session.mail("ann@example.net")[0] == 451


def test_verification_off(postfix, certs):
    settings = ["backend.tls-mode require", "backend.tls-verify off"]
    with Gatepost(postfix.port, settings=settings, certs=certs) as gatepost:
        with smtplib.SMTP("127.0.0.1", gatepost.port(), "client.example.net") as session:
            session.ehlo()
            assert session.mail("ann@example.net")[0] == 250
