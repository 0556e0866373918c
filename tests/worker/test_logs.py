"""What a worker prints, seen from outside, for logging is configured once for a whole process."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, logging
import httpx
from worker.herald import listening
from worker.logs import configure

async def call():
    answers = httpx.MockTransport(lambda _: httpx.Response(200))
    async with httpx.AsyncClient(transport=answers) as client:
        await client.post("https://chat.example/s3cr3t")

configure("{level}")
asyncio.run(call())
with listening(logging.NullHandler()):
    logging.getLogger("temporalio.workflow").debug("decided")
    logging.getLogger("temporalio.workflow").warning("announced")
"""


@pytest.mark.parametrize(("level", "is_printed"), [("INFO", False), ("DEBUG", True)])
def test_prints_no_address_and_nothing_below_its_level(level: str, is_printed: bool) -> None:  # noqa: FBT001 — a parameter
    script = SCRIPT.format(level=level)
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stderr

    assert "s3cr3t" not in printed
    assert "announced" in printed
    assert ("decided" in printed) == is_printed
