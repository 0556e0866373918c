"""Recorded histories, replayed under several hash seeds: what iterates a set breaks here and nowhere else.

Recorded by `make histories`; from the first released version on they are only ever added to.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from worker.assembly import WORKFLOWS
from workflows.doctor import DoctorWorkflow

HISTORIES = Path(__file__).with_name("histories")
REPLAY = """
import asyncio, pathlib, sys, urllib.parse
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from worker.assembly import WORKFLOWS
from worker.runner import build_runner

async def main():
    replayer = Replayer(
        workflows=WORKFLOWS, workflow_runner=build_runner(), data_converter=pydantic_data_converter
    )
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        identity = urllib.parse.unquote(path.stem)  # a workflow may look at its own id
        await replayer.replay_workflow(WorkflowHistory.from_json(identity, path.read_text()))
        print(path.stem, flush=True)

asyncio.run(main())
import os
sys.stdout.flush()
os._exit(0)  # a Temporal client may abort the interpreter's own exit
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_recorded_histories_replay(seed: str) -> None:
    recorded = sorted(path.stem for path in HISTORIES.glob("*.json"))

    done = subprocess.run(
        [sys.executable, "-c", REPLAY, str(HISTORIES)],
        env={"PYTHONHASHSEED": seed, "PATH": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == recorded
    assert len(recorded) >= 4


def test_every_workflow_that_lasts_has_a_recorded_history() -> None:
    begun = [json.loads(path.read_text())["events"][0] for path in HISTORIES.glob("*.json")]
    recorded = {event["workflowExecutionStartedEventAttributes"]["workflowType"]["name"] for event in begun}

    # A look of the doctor is over before a worker of another version comes.
    assert recorded == {each.__name__ for each in WORKFLOWS} - {DoctorWorkflow.__name__}


def test_recorded_histories_name_no_folder_of_a_machine() -> None:
    for recorded in HISTORIES.glob("*.json"):
        assert "stackTrace" not in recorded.read_text(), f"{recorded.name}: record it with `make histories`"
