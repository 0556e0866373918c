"""The connection to Temporal: where it is, and one way to run a command against it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import typer
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from starter.errors import RefusedError, StarterError, UnreachableError, UsageError
from starter.options import Globals

DEFAULT_ADDRESS = "localhost:7233"
CONNECT_TIMEOUT = 10.0
"""Seconds; a port that swallows packets is then an error of ours."""

Action = Callable[[Client], Awaitable[int | None]]
"""A command's work; what it returns is the exit code, None for done."""


def run(context: typer.Context, action: Action) -> None:
    """Connect, carry the action out, and leave with its exit code."""
    settings = context.ensure_object(Globals)
    code = asyncio.run(_run(settings, action))
    if code:
        raise typer.Exit(code)


async def _run(settings: Globals, action: Action) -> int | None:
    client = await connect(settings)
    try:
        return await action(client)
    except RPCError as error:
        raise worded(error) from error


async def connect(settings: Globals) -> Client:
    """Connect to Temporal as the sandbox's folder, the environment or Temporal's own profile says."""
    options = await asyncio.to_thread(connect_options, settings)
    address = options["target_host"]
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await Client.connect(**options, data_converter=pydantic_data_converter)
    except (RuntimeError, TimeoutError) as error:
        text = f"Cannot reach Temporal at {address}; start it, or set TEMPORAL_ADDRESS or --sandbox."
        raise UnreachableError(text) from error


def connect_options(settings: Globals) -> dict[str, Any]:
    """Give the arguments of `Client.connect`."""
    if settings.sandbox is not None:
        return {"target_host": endpoints(settings.sandbox)["temporal"]}
    options: dict[str, Any] = {"target_host": DEFAULT_ADDRESS}
    options.update(ClientConfig.load_client_connect_config())
    return options


def endpoints(sandbox: Path) -> dict[str, Any]:
    """Read where the parts of a running sandbox are."""
    path = sandbox / "endpoints.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        text = (
            f"No sandbox runs in {sandbox}: {path} is not there. Start one: canary sandbox up --dir {sandbox}"
        )
        raise UsageError(text) from error
    return found


def worded(error: RPCError) -> StarterError:
    """Say what a failed call to Temporal means."""
    if error.status == RPCStatusCode.NOT_FOUND:
        return RefusedError(f"Not found: {error.message}.")
    if error.status == RPCStatusCode.INVALID_ARGUMENT and "search attribute" in error.message.lower():
        return UnreachableError("Temporal lacks our search attributes; register them: canary doctor --fix")
    return UnreachableError(f"Temporal answered {error.status.name}: {error.message}.")
