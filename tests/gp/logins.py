"""A real Postfix whose users may authenticate: a real Dovecot knows their passwords."""

from . import env
from .dovecot import Dovecot
from .postfix import Postfix

AUTH_SERVICE = """
auth_mechanisms = {mechanisms}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
SASL = """
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{port}
smtpd_sasl_authenticated_header = yes
smtpd_recipient_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""


class PostfixWithLogins:
    """One server of two. All mailboxes are Postfix's."""

    def __init__(self, certificate, users, mechanisms="plain login cram-md5"):
        port = env.free_port()
        self.dovecot = Dovecot(users, more=AUTH_SERVICE.format(port=port, mechanisms=mechanisms))
        self.postfix = Postfix(certificate, users, more=SASL.format(port=port))
        self.port = self.postfix.port

    def __enter__(self):
        self.dovecot.start()
        self.postfix.start()
        return self

    def __exit__(self, *error):
        self.postfix.stop()
        self.dovecot.stop()

    def __getattr__(self, name):
        return getattr(self.postfix, name)
