"""Real clients before a real Dovecot, through the gateway: what they bring home is what IMAP shows."""

import pytest

from gp import pop3_clients
from gp.pop3_clients import CLIENTS, REMEMBER, TLS, Job, same


@pytest.mark.parametrize("delete", [False, True], ids=["keep", "delete"])
@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("client", CLIENTS)
def test_client(door, store, certs, tmp_path, client, tls, delete):
    user = store.user(*pop3_clients.mailbox())
    held = list(store.all(user).values())
    job = Job(door.host, door.tls_port if tls == "implicit" else door.port, tls, user, store.server.password, delete,
              tmp_path, certs.ca)
    fetched = CLIENTS[client](job)
    assert len(fetched) == len(held)
    for one, other in zip(fetched, held):
        assert same(client, one, other), "%r is not %r" % (one[:2000], other[:2000])
    assert len(store.all(user)) == (0 if delete else len(held))
    if client in REMEMBER and not delete:
        assert CLIENTS[client](job) == []  # nothing is fetched twice
