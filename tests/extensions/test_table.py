"""The table of extensions in tests/README.md is what is run here, column by column."""

import pytest

from gp import env, extensions

README = env.ROOT / "tests" / "README.md"
NAMES = ["Postfix", "Exim", "OpenSMTPD", "Dovecot LMTP", "strict, all offered", "strict, nothing offered"]


@pytest.mark.parametrize("name", NAMES)
def test_column(name, certs):
    make = extensions.columns(certs).get(name)
    if make is None:
        pytest.skip("%s wants to be root: run as root, or allow sudo without a password" % name)
    column = make()
    try:
        column.start()
        cells, faults = extensions.run(column)
    finally:
        column.stop()
    assert not faults, "\n".join(faults)
    assert cells == extensions.written(README).get(name), "tests/show/extensions --write"
