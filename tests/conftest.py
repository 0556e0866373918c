"""How the tests are shared out among processes: whole files, and whole rollouts all in one process."""

from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).with_name("conformance")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share what is dear to start, the longest first."""
    items.sort(key=lambda item: CONFORMANCE not in item.path.parents)
    for item in items:
        share = CONFORMANCE if CONFORMANCE in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(share.relative_to(CONFORMANCE.parent))))
