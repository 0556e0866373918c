"""What a worker prints, seen from outside, for logging is configured once for a whole process."""

import subprocess
import sys
from datetime import datetime

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


TOLD = """
import logging
from temporalio.exceptions import ApplicationError
from activities.cluster.errors import ClusterUnreachableError
from worker.logs import configure

configure("INFO")
logger = logging.getLogger("streams")
facts = {"cluster": "member1", "error": "no \\"list\\" here", "tries": 3, "announcement": object()}
logger.warning("watch refused", extra=facts)
about = {"workflow_id": "canary/shop", "activity_type": "observe", "attempt": 2, "namespace": "default"}
try:
    raise ApplicationError("backend is not ready yet.", type="NotReady")
except ApplicationError:
    logger.warning("Completing activity as failed", exc_info=True, extra={"temporal_activity": about})
try:
    raise ClusterUnreachableError("one", TimeoutError())
except ClusterUnreachableError:
    logger.warning("Completing activity as failed", exc_info=True)
try:
    raise KeyError("a mistake")
except KeyError:
    logger.warning("Completing activity as failed", exc_info=True, extra={"temporal_activity": about})
"""


def printed_lines() -> list[str]:
    ended = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, check=True)
    return ended.stderr.splitlines()


def test_a_line_holds_the_facts_that_were_given_with_it() -> None:
    line = printed_lines()[0]

    moment, said = line.split(" ", 1)
    assert datetime.fromisoformat(moment).tzinfo is not None
    assert said == 'WARNING streams watch refused cluster=member1 error="no \\"list\\" here" tries=3'


def test_what_was_put_into_words_has_no_traceback_and_a_mistake_has_one() -> None:
    _, worded, unanswered, mistake, *traceback = printed_lines()

    ours = "WARNING streams Completing activity as failed"
    about = "workflow=canary/shop activity=observe"
    assert worded.endswith(f'{ours} {about} cause="NotReady: backend is not ready yet."')
    assert unanswered.endswith(f'{ours} cause="Cluster one does not answer: TimeoutError."')
    assert mistake.endswith(f"{ours} {about}")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1] == "KeyError: 'a mistake'"
    assert sum(line.startswith("Traceback") for line in traceback) == 1
