"""The files that bring Durable Canary up, and a real Temporal server to run their scripts against."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from temporalio.testing import WorkflowEnvironment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_VARIABLE = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


@dataclass(frozen=True)
class Ended:
    """What a script said."""

    code: int
    output: str


async def run_script(name: str, environment: Mapping[str, str], *, path: Path = BIN) -> Ended:
    """Run a script of deploy/ by `sh`, with nothing of this environment but what is given."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        str(ROOT / "deploy" / name),
        env={"PATH": f"{path}:/usr/bin:/bin", "HOME": "/nonexistent", "CANARY_PATIENCE": "20", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), 40)
    except TimeoutError:
        child.kill()
        raise
    return Ended(child.returncode or 0, output.decode())


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """A server as `start-dev` starts it: without our search attributes, histories kept for a day."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal")
    ) as server:
        yield server


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml with its merges made and every variable at its default."""
    text = _VARIABLE.sub(r"\1", (ROOT / "docker-compose.yml").read_text())
    document: dict[str, Any] = YAML(typ="safe").load(text)
    return document
