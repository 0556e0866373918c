"""The command line as a process: exit codes, streams, and how fast it answers."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from starter.apply import NOTHING
from starter.errors import Exit
from starter.options import hoist

CANARY = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: {name}
  namespace: {namespace}
spec:
  targetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  service: {{port: 9898}}
  analysis: {{interval: 30s, threshold: {threshold}, maxWeight: 50, stepWeight: 10}}
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


async def canary(address: str, *words: str) -> Ended:
    environment = {**os.environ, "TEMPORAL_ADDRESS": address, "CANARY_USER": "ada"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter", *words),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def document(tmp_path: Path, engine: Any) -> Any:
    """Write a Canary of this name in a namespace of the test's own."""
    namespace = engine.namespace()

    def write(name: str, threshold: int = 2) -> str:
        path = tmp_path / f"{name}-{threshold}.yaml"
        path.write_text(CANARY.format(name=name, namespace=namespace, threshold=threshold))
        return str(path)

    return write


async def test_the_version_needs_nobody() -> None:
    ended = await canary("127.0.0.1:1", "--version")

    assert (ended.code, ended.out) == (Exit.DONE, f"canary {version('durable-canary')}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_output_that_cannot_be_written_is_told_in_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "starter", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
            text=True,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (
        Exit.REFUSED,
        "error: [Errno 28] No space left on device\n",
    )


async def test_apply_says_what_it_did(engine: Any, document: Any) -> None:
    given, changed = document("backend"), document("backend", threshold=3)

    async def said(path: str) -> str:
        ended = await canary(engine.address, "apply", "-f", path, "--cluster", "one")
        assert ended.code == Exit.DONE
        assert ended.out.startswith("canary/one/ns-")
        return ended.out.rpartition("/")[2]

    assert await said(given) == "backend created\n"
    assert await said(given) == "backend unchanged\n"
    assert await said(changed) == "backend configured\n"


async def test_apply_waits_until_the_canary_is_at_rest(engine: Any, document: Any) -> None:
    ended = await canary(
        engine.address, "apply", "-f", document("backend"), "--cluster", "one", "--wait", "--timeout", "20s"
    )

    assert ended.out.splitlines()[-1].split()[1:4] == ["one", "backend", "Initialized"]
    assert ended.code == Exit.DONE


async def test_a_mistake_the_engine_finds_names_the_line(engine: Any, document: Any) -> None:
    file = document("refused")
    ended = await canary(engine.address, "apply", "-f", file, "--cluster", "one")

    assert f"{file}:7: spec.targetRef.name: Deployment refused not found in cluster one" in ended.err
    assert ended.out.endswith("refused refused\n")
    assert ended.code == Exit.USAGE


async def test_an_unreachable_cluster_has_its_own_code(engine: Any, document: Any) -> None:
    ended = await canary(engine.address, "apply", "-f", document("away"), "--cluster", "one")

    assert "Cluster one does not answer" in ended.err
    assert ended.code == Exit.UNREACHABLE


async def test_a_wrong_document_is_never_offered(tmp_path: Path) -> None:
    path = tmp_path / "canary.yaml"
    path.write_text(
        CANARY.format(name="backend", namespace="webapp", threshold=2).replace("Weight: 10", "Weight: 0")
    )
    ended = await canary("127.0.0.1:1", "apply", "-f", str(path), "--cluster", "one")

    (line,) = ended.err.splitlines()
    assert line.startswith(f"{path}:9: spec.analysis.stepWeight: ")
    assert ended.out == ""
    assert ended.code == Exit.USAGE


async def test_documents_without_a_canary_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        "apiVersion: flagger.app/v1beta1\nkind: MetricTemplate\n"
        "metadata: {name: errors, namespace: webapp}\nspec: {query: up}\n"
    )
    ended = await canary("127.0.0.1:1", "apply", "-f", str(path))

    assert ended.err == f"{NOTHING}\n"
    assert ended.code == Exit.USAGE


async def test_lint_asks_nobody(document: Any) -> None:
    ended = await canary("127.0.0.1:1", "lint", "-f", document("backend"))

    assert (ended.code, ended.err) == (Exit.DONE, "")


async def test_lint_names_mistakes_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    ended = await canary("127.0.0.1:1", "lint", "-f", str(tmp_path / "empty.yaml"))

    assert ended.out.startswith(f"{tmp_path}/empty.yaml:")
    assert (ended.code, ended.err) == (Exit.USAGE, "")


async def test_delete_takes_documents_too(engine: Any, document: Any) -> None:
    file = document("backend")
    applied = await canary(engine.address, "apply", "-f", file, "--cluster", "one")
    await engine.listed(applied.out.split()[0])
    ended = await canary(engine.address, "delete", "-f", file, "--cluster", "one")

    assert ended.out.splitlines()[-1] == "deleted for ada"


async def test_apply_without_a_worker_starts_nothing(idle: Any, document: Any) -> None:
    ended = await canary(idle.address, "apply", "-f", document("backend"), "--cluster", "one")

    assert ended.err == (
        "error: No worker is running, so nothing was applied; start one with `canary-worker`.\n"
    )
    assert ended.code == Exit.UNREACHABLE


async def test_without_temporal_one_sentence_names_the_way_out() -> None:
    ended = await canary("127.0.0.1:1", "get")

    assert ended.err.startswith("error: Cannot reach Temporal at 127.0.0.1:1; ")
    assert ended.code == Exit.UNREACHABLE


async def test_an_unknown_name_is_a_usage_error(engine: Any) -> None:
    ended = await canary(engine.address, "abort", "nothing", "-n", "webapp")

    assert ended.err == "error: No canary nothing in namespace webapp.\n"
    assert ended.code == Exit.USAGE


async def test_the_sandboxes_folder_stands_for_its_address(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(f'{{"temporal": "{engine.address}"}}')
    ended = await canary("127.0.0.1:1", "get", "-n", "empty", "--sandbox", str(tmp_path))

    assert ended.out == "No canaries in namespace empty (-A shows all).\n"


async def test_a_folder_without_a_sandbox_is_said(tmp_path: Path) -> None:
    ended = await canary("127.0.0.1:1", "get", "--sandbox", str(tmp_path))

    assert f"No sandbox runs in {tmp_path}" in ended.err
    assert ended.code == Exit.USAGE


async def test_timeouts_have_their_own_code(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, "Initializing"))

    ended = await canary(
        engine.address, "status", "backend", "-n", spec.namespace, "--watch", "--timeout", "500ms"
    )

    assert ended.code == Exit.TIMED_OUT


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            ("apply", "-f", "-", "--timeout", "5m"),
            "--timeout says how long --wait may take: give --wait as well, or neither.",
            id="apply that does not wait",
        ),
        pytest.param(
            ("status", "backend", "--timeout", "5m"),
            "--timeout says how long --watch may take: give --watch as well, or neither.",
            id="status that does not wait",
        ),
        pytest.param(
            ("status", "backend", "--watch", "--timeout", "999999999999h"),
            "--timeout 999999999999h: longer than 366 days; leave it out to wait without end.",
            id="too long",
        ),
        pytest.param(
            ("delete", "backend", "--timeout", "8785h"),
            "--timeout 8785h: longer than 366 days; leave it out to wait without end.",
            id="just too long",
        ),
    ],
)
async def test_a_timeout_that_cannot_be_is_a_usage_error(words: tuple[str, ...], told: str) -> None:
    ended = await canary("127.0.0.1:1", *words)

    assert (ended.code, ended.err) == (Exit.USAGE, f"error: {told}\n")


@pytest.mark.parametrize("words", [("lint", "-f", "-"), ("status", "backend"), ("apply", "-f", "-")])
async def test_what_no_cluster_can_be_called_is_a_usage_error(words: tuple[str, ...]) -> None:
    ended = await canary("127.0.0.1:1", *words, "--cluster", "a/../b")

    assert ended.code == Exit.USAGE
    assert ended.err.startswith("error: --cluster: a/../b is no name of a Kubernetes object: allowed are ")
    assert ended.err.endswith("first and last.\n")


async def test_watching_prints_no_json(engine: Any) -> None:
    ended = await canary(engine.address, "status", "backend", "--watch", "-o", "json")

    assert (ended.code, ended.err) == (Exit.USAGE, "error: -w prints tables, not json.\n")


async def test_a_report_is_one_page(engine: Any, tmp_path: Path) -> None:
    spec = engine.spec(namespace=engine.namespace())
    rollout = await engine.rollout(spec, engine.row(spec, "Progressing"))
    await engine.analysed(rollout)

    words = ["report", "backend", "-n", spec.namespace, "--reports", str(tmp_path), "-o", "html"]
    ended = await canary(engine.address, *words)

    assert (ended.code, ended.err) == (Exit.DONE, "")
    assert ended.out.startswith("<!doctype html>")


async def test_history_without_rollouts_names_both_places(engine: Any) -> None:
    ended = await canary(engine.address, "history", "nothing")

    text = "No rollout of nothing in namespace default is recorded, neither in Temporal nor in reports/."
    assert ended.err == f"error: {text}\n"
    assert ended.code == Exit.USAGE


async def test_a_reader_that_has_seen_enough_gets_no_traceback(engine: Any) -> None:
    command = f"{sys.executable} -m starter get --all-namespaces | head -c 0"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        env={**os.environ, "TEMPORAL_ADDRESS": engine.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()

    assert err == b""


def test_help_imports_neither_temporal_nor_kubernetes() -> None:
    code = "import sys, starter.__main__; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert not {"temporalio", "kubernetes", "rich", "pydantic"} & set(ended.stdout.split())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["get", "--no-color"], ["--no-color", "get"], id="behind the command"),
        pytest.param(["get", "--sandbox", "d", "x"], ["--sandbox", "d", "get", "x"], id="with its value"),
        pytest.param(["get", "--sandbox=d"], ["--sandbox=d", "get"], id="joined"),
        pytest.param(["get", "--", "--no-color"], ["get", "--", "--no-color"], id="not behind --"),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], expected: list[str]) -> None:
    assert hoist(given) == expected
