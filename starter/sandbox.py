"""`canary sandbox`: hands over to the sandbox's own program, which is a process of its own."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from starter.demo.folder import end_worker
from starter.errors import UsageError


def execute(arguments: list[str]) -> NoReturn:
    """Become `python -m sandbox`; on `down`, end the worker that a kept demo left there first."""
    if find_spec("aiohttp") is None:
        raise UsageError("The sandbox is not installed: pip install 'durable-canary[sandbox]'")
    if arguments[0] == "down":
        end_worker(folder_of(arguments))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "sandbox", *arguments])  # noqa: S606 — ourselves, no shell


def folder_of(arguments: list[str]) -> Path:
    """Read the folder from the sandbox's own options."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--dir":
            return Path(value)
        if option.startswith("--dir="):
            return Path(option.removeprefix("--dir="))
    return Path("build/sandbox")
