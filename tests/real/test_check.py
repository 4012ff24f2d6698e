"""gatepost check: what it says of a configuration that is good."""

import subprocess

import pytest

from gp import env
from gp.gatepost import Gatepost


@pytest.fixture
def gatepost(certs):
    it = Gatepost(env.free_port(), certs=certs)
    it.conf.add("profile strict { quarantine-score 8; recipient bob@example.org; }")
    it.write()
    yield it
    it.discard()


def check(gatepost, *options):
    return subprocess.run([gatepost.program, "check", "-c", gatepost.file, *options], capture_output=True, text=True)


def test_one_line_then_advice(gatepost):
    done = check(gatepost)
    assert done.returncode == 0 and not done.stderr, done
    first, *advice = done.stdout.strip().split("\n")
    assert " is good: " in first
    assert any("descriptors" in line for line in advice)
    assert all(line.startswith(("On the backend ", "max-connections ")) for line in advice), advice


def test_profile(gatepost):
    done = check(gatepost, "--profile", "Bob@Example.org", "--listener", "mx", "--user", "ann")
    assert done.returncode == 0 and not done.stderr, done
    assert done.stdout.startswith("Mail for Bob@Example.org at the listener mx, of the user ann:\n")
    assert 'profile strict, because of "recipient bob@example.org" (%s:' % gatepost.file in done.stdout
    assert "quarantine-score  8 " in done.stdout and "profile strict\n" in done.stdout
    assert "split             quarantine              default value\n" in done.stdout


@pytest.mark.parametrize("options, status", [(["--profile", "bob"], 64), (["--user", "ann"], 64), (["--listener", "mx"], 64),
                                             (["--profile", "a@b.example", "--listener", "nosuch"], 1)])
def test_wrong_questions(gatepost, options, status):
    done = check(gatepost, *options)
    assert done.returncode == status and done.stderr.count("\n") == 1 and not done.stdout, done
