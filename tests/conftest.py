"""How the tests are shared out among processes: by files, but whole rollouts all to one."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CONFORMANCE = TESTS / "conformance"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a server, a sandbox or a cluster; `--dist=loadgroup` heeds it."""
    for item in items:
        share = CONFORMANCE if CONFORMANCE in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(share.relative_to(TESTS))))
