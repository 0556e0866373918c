"""How the tests are shared out among processes: by files, but whole rollouts all to one; what they prove."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.conformance.proof import Proof

CONFORMANCE = "tests/conformance/"


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps together what shares a server, a sandbox or a world."""

    def _split_scope(self, nodeid: str) -> str:
        """Name the share that a test belongs to."""
        return CONFORMANCE if nodeid.startswith(CONFORMANCE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Share out as we do; the groups of `--dist=loadgroup` are lost on pytest 9.2."""
    return Sharing(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Print what was proven."""
    config.pluginmanager.register(Proof())
