"""Plays every row of tests/attacks/*.tsv; attacks.py says how."""

from pathlib import Path

import pytest

from attacks import Theatre, read_rows

# Those that share a stage stand together.
ROWS = sorted(read_rows(sorted((Path(__file__).parent / "attacks").glob("*.tsv"))), key=lambda row: row.stage())


@pytest.fixture(scope="module")
def theatre(certs):
    it = Theatre(certs)
    yield it
    assert it.close() == {}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_attack(theatre, row):
    if row.why_not():
        pytest.skip(row.why_not())
    failures = theatre.play(row)
    if failures:
        pytest.fail("%s:%d\n%s" % (row.file, row.number, "\n".join(failures)), pytrace=False)
