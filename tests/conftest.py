"""pytest's view of tests/: what all tests share."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gp import env  # noqa: E402
from gp.certs import Certs  # noqa: E402


@pytest.fixture
def public_dir():
    """A directory that the scanners' account may walk through, which pytest's tmp_path is not."""
    directory = env.scratch()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def certs():
    directory = env.scratch()
    yield Certs(directory / "certs")
    shutil.rmtree(directory, ignore_errors=True)
