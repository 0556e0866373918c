"""How the tests are shared out among processes, so that none is left with much to do; what they prove."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.conformance.proof import Proof

CONFORMANCE = "tests/conformance/"
WORKFLOWS = "tests/workflows/"
SHARING_A_SERVER = ("test_application.py", "test_cluster_watch.py")
"""Of the workflows' tests those that have a server of their own file; each of the others may go anywhere."""


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps together what shares a server, a sandbox or a world; the largest shares are begun with."""

    def _split_scope(self, nodeid: str) -> str:
        """Name the share that a test belongs to: its file, all whole rollouts, or itself."""
        file: str = super()._split_scope(nodeid)
        if file.startswith(CONFORMANCE):
            return CONFORMANCE
        return nodeid if file.startswith(WORKFLOWS) and not file.endswith(SHARING_A_SERVER) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Share out as we do; the groups of `--dist=loadgroup` are lost on pytest 9.2."""
    return Sharing(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Print what was proven; what is started hears of Ctrl-C, even where a shell's `&` has us ignore it."""
    config.pluginmanager.register(Proof())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 — pluggy finds arguments by their names
    call: pytest.CallInfo[None],
) -> Iterator[None]:
    """Say of a test that took too long where each of its tasks stood; the stack of a loop tells nothing."""
    report: Any = yield
    if call.excinfo and "from pytest-timeout" in str(call.excinfo.value):
        report.sections.append(("asyncio tasks", _stacks()))
    return report


def _stacks() -> str:
    tasks = [one for one in gc.get_objects() if type(one) is asyncio.Task and not one.done()]
    return "\n".join(f"{task.get_name()}: {' > '.join(_places(task.get_coro()))}" for task in tasks)


def _places(awaited: Any) -> Iterator[str]:
    """Where a coroutine stands, and where those that it awaits do."""
    while frame := getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None):
        yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
