"""`canary sandbox`: hands over to the sandbox's own program, which is a process of its own."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from starter.demo.folder import end_worker
from starter.errors import UsageError

OF_EXTRA = ("envoy", "promql_parser")
"""What nothing but the extra `sandbox` brings."""
WITHOUT_EXTRA = ("down", "status", "loadtester", "--help")
"""What of the sandbox an install without it can do; the load tester has an extra of its own."""


def execute(arguments: list[str]) -> NoReturn:
    """Become `python -m sandbox`; on `down`, end the worker that a kept demo left there first."""
    if arguments[0] not in WITHOUT_EXTRA:
        require_extra()
    if arguments[0] == "down":
        end_worker(folder_of(arguments))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "sandbox", *arguments])  # noqa: S606 — ourselves, no shell


def require_extra() -> None:
    """Refuse what needs the sandbox where it was not installed with the engine."""
    if any(find_spec(name) is None for name in OF_EXTRA):
        raise UsageError("The sandbox is not installed: pip install 'durable-canary[sandbox]'")


def folder_of(arguments: list[str]) -> Path:
    """Read the folder from the sandbox's own options."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--dir":
            return Path(value)
        if option.startswith("--dir="):
            return Path(option.removeprefix("--dir="))
    return Path("build/sandbox")
