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
ENDPOINTS = "endpoints.json"
"""The file in which a sandbox says where its parts are."""
CONNECT_TIMEOUT = 10.0
"""Seconds; a port that swallows packets is then an error of ours."""
NO_URL = "an address is HOST:PORT, without a scheme"

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
        if "://" in address:  # the SDK warns, and means to refuse it one day
            raise ValueError(NO_URL)  # noqa: TRY301 — one of several addresses that cannot be
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await Client.connect(**options, data_converter=pydantic_data_converter)
    except ValueError as error:
        where = "TEMPORAL_ADDRESS, such as localhost:7233, and TEMPORAL_TLS_*"
        if settings.sandbox is not None:
            where = str(settings.sandbox / ENDPOINTS)
        text = f"Cannot connect to Temporal at {address}: {_worded(error)}; see {where}."
        raise UsageError(text) from error
    except (RuntimeError, TimeoutError) as error:
        text = f"Cannot reach Temporal at {address}; start it, or set TEMPORAL_ADDRESS or --sandbox."
        raise UnreachableError(text) from error


def connect_options(settings: Globals) -> dict[str, Any]:
    """Give the arguments of `Client.connect`."""
    if settings.sandbox is not None:
        return {"target_host": address_of(settings.sandbox)}
    options: dict[str, Any] = {"target_host": DEFAULT_ADDRESS}
    try:
        options.update(ClientConfig.load_client_connect_config())
    except (RuntimeError, ValueError, OSError) as error:
        names = "TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and TEMPORAL_TLS_*"
        raise UsageError(f"Temporal's settings cannot be read: {_worded(error)}; see {names}.") from error
    return options


def address_of(sandbox: Path) -> str:
    """Read where the Temporal of a running sandbox is."""
    path = sandbox / ENDPOINTS
    try:
        match json.loads(path.read_text()):
            case {"temporal": str(address)}:
                return address
            case _:
                why = "it does not say where Temporal is"
    except (FileNotFoundError, NotADirectoryError) as error:
        text = (
            f"No sandbox runs in {sandbox}: {path} is not there. Start one: canary sandbox up --dir {sandbox}"
        )
        raise UsageError(text) from error
    except (OSError, ValueError) as error:
        why = _worded(error)
    anew = f"canary sandbox down --dir {sandbox}, then canary sandbox up --dir {sandbox}"
    raise UsageError(f"{path} cannot be used: {why}; start that sandbox anew: {anew}")


def _worded(error: Exception) -> str:
    """Say in one line what another's error says in several."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).splitlines()[0]


def worded(error: RPCError) -> StarterError:
    """Say what a failed call to Temporal means."""
    if error.status == RPCStatusCode.NOT_FOUND:
        return RefusedError(f"Not found: {error.message}.")
    if error.status == RPCStatusCode.INVALID_ARGUMENT and "search attribute" in error.message.lower():
        return UnreachableError("Temporal lacks our search attributes; register them: canary doctor --fix")
    return UnreachableError(f"Temporal answered {error.status.name}: {error.message}.")
