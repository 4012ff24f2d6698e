"""The administrator's own client says the same as ours."""

import subprocess

import pytest

from gp import env, messages
from gp.dialogue import eicar

# (options, exit status, what stands in the dialogue); swaks: 0 sent, 24 no recipient left, 26 refused after the dot
CALLS = [
    ([], 0, "<-  250 2."),
    (["-tls", "--tls-verify"], 0, "<~  250 2."),
    (["-tlsc"], 0, "<~  250 2."),
    (["-tls", "--tls-protocol", "tlsv1_2"], 0, "<~  250 2."),
    (["--pipeline"], 0, "<-  250 2."),
    (["--to", "alice@example.org,bob@example.org,nobody@example.org"], 0, "<** 550 5.1.1"),
    (["--to", "victim@example.com"], 24, "<** 550 5.7.1"),
    (["--body", "{eicar}"], 26, "<** 550 5.7.1"),
    (["--helo", "client.example.net", "--attach", "hello", "--header", "X-Test: yes"], 0, "<-  250 2."),
]


@pytest.mark.parametrize("options, status, line", CALLS, ids=lambda x: " ".join(x[:2]) if isinstance(x, list) else "")
def test_swaks(route, swaks, options, status, line):
    port = route.implicit if "-tlsc" in options else route.port
    command = [swaks, "--server", "127.0.0.1:%d" % port, "--from", "ann@example.net", "--to", "alice@example.org",
               "--timeout", str(int(env.PATIENCE))]
    if "--tls-verify" in options:
        options = ["-tls", "--tls-verify", "--tls-ca-path", str(route.gatepost.certs.ca), "--tls-sni", env.HOSTNAME]
    options = [word.replace("{eicar}", eicar()) for word in options]  # only now: names of tests are printed
    done = subprocess.run(command + options, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert line in said, said


def test_swaks_data(route, swaks, tmp_path):
    message = messages.plain("by swaks on %d" % route.port)
    (tmp_path / "it").write_bytes(message.removesuffix(b"\r\n"))  # swaks ends the last line itself
    done = subprocess.run([swaks, "--server", "127.0.0.1:%d" % route.port, "--from", "ann@example.net", "--to",
                           "alice@example.org", "--data", "@%s" % (tmp_path / "it"), "-n"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    messages.arrived(route.store.wait_mail("Subject: by swaks on %d\n" % route.port), message)
