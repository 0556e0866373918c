import asyncio
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.loadtester import LoadTester, Rules

ROOT = Path(__file__).parents[2]


class Caller:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def post(self, path: str, body: Any) -> tuple[int, str]:
        async with self._session.post(self._url + path, json=body) as answer:
            return answer.status, await answer.text()

    async def run(self, name: str = "backend", **metadata: str) -> tuple[int, str]:
        payload = {"name": name, "namespace": "webapp", "phase": "Progressing", "checksum": "1"}
        return await self.post("/", payload | {"metadata": metadata})

    async def results(self, **chosen: str) -> list[dict[str, Any]]:
        async with self._session.get(f"{self._url}/results", params=chosen) as answer:
            found: list[dict[str, Any]] = (await answer.json())["results"]
        return found

    async def counter(self, name: str) -> int:
        async with self._session.get(f"{self._url}/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith(f"loadtester_commands_{name} "):
                    return int(line.split()[1])
        raise AssertionError(name)

    async def until_idle(self) -> None:
        while await self.counter("running"):  # noqa: ASYNC110 — another process ends it
            await asyncio.sleep(0.01)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    tester = await LoadTester.start("127.0.0.1", 0, proxy="http://127.0.0.1:15001")
    async with aiohttp.ClientSession() as session:
        yield Caller(session, tester.url)
    await tester.stop()


async def test_healthz_says_ok(caller: Caller) -> None:
    assert await caller.post("/healthz", {}) == (200, "OK")


async def test_approve_is_always_open_and_halt_always_closed(caller: Caller) -> None:
    assert await caller.post("/gate/approve", {}) == (200, "OK")
    assert await caller.post("/gate/halt", {}) == (403, "Forbidden")


@pytest.mark.parametrize("kind", ["gate", "rollback"])
async def test_a_gate_is_closed_until_it_is_opened(caller: Caller, kind: str) -> None:
    payload = {"name": "backend", "namespace": "webapp"}

    assert await caller.post(f"/{kind}/check", payload) == (403, "Forbidden")
    assert await caller.post(f"/{kind}/open", payload) == (202, "")
    assert await caller.post(f"/{kind}/check", payload) == (200, "Approved")
    assert await caller.post(f"/{kind}/check", payload | {"namespace": "other"}) == (403, "Forbidden")
    assert await caller.post(f"/{kind}/close", payload) == (202, "")
    assert await caller.post(f"/{kind}/check", payload) == (403, "Forbidden")


async def test_a_rollback_gate_is_another_than_the_gate(caller: Caller) -> None:
    payload = {"name": "backend", "namespace": "webapp"}
    await caller.post("/rollback/open", payload)

    assert await caller.post("/gate/check", payload) == (403, "Forbidden")
    assert await caller.post("/rollback/check", payload) == (200, "Approved")


async def test_a_command_is_accepted_at_once_and_runs_in_the_background(
    caller: Caller, tmp_path: Any
) -> None:
    assert await caller.run(cmd=f"echo $http_proxy > {tmp_path}/out") == (202, "")
    await caller.until_idle()

    assert (tmp_path / "out").read_text() == "http://127.0.0.1:15001\n"


async def test_the_same_command_of_a_canary_runs_once_at_a_time(caller: Caller, tmp_path: Any) -> None:
    gate = tmp_path / "gate"
    command = f"until test -e {gate}; do sleep 0.02; done"
    for _ in range(3):
        assert (await caller.run(cmd=command))[0] == 202
    await caller.run("frontend", cmd=command)

    assert await caller.counter("running") == 2
    assert await caller.counter("skipped_total") == 2
    gate.touch()
    await caller.until_idle()
    await caller.run(cmd=command)
    assert await caller.counter("skipped_total") == 2


async def test_bash_answers_with_its_output_only_if_asked(caller: Caller) -> None:
    assert await caller.run(type="bash", cmd="echo hello") == (200, "")
    assert await caller.run(type="bash", cmd="echo hello", returnCmdOutput="true") == (200, "hello\n")


async def test_bash_answers_a_failure_with_500_and_its_output(caller: Caller) -> None:
    status, text = await caller.run(type="bash", cmd="echo broken; exit 3")

    assert (status, text) == (500, "command echo broken; exit 3 failed: broken\n: exit status 3")
    assert await caller.counter("failed_total") == 1


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        pytest.param({}, "metadata not found in payload", id="no metadata"),
        pytest.param({"type": "cmd"}, "cmd not found in metadata", id="no command"),
        pytest.param({"type": "bash"}, "cmd not found in metadata", id="no bash command"),
        pytest.param({"type": "helm", "cmd": "x"}, "unknown task type helm", id="unknown type"),
    ],
)
async def test_refuses_what_it_cannot_run(caller: Caller, metadata: dict[str, str], text: str) -> None:
    assert await caller.run(**metadata) == (400, text)


@pytest.mark.parametrize("body", ["text", {"metadata": {"cmd": 1}}, ["a"]])
async def test_refuses_a_payload_that_is_none(caller: Caller, body: Any) -> None:
    for path in ("/", "/gate/check"):
        assert (await caller.post(path, body))[0] == 400


async def test_hey_is_ours_and_needs_no_path(caller: Caller) -> None:
    status, text = await caller.run(type="bash", cmd="command -v hey; hey", returnCmdOutput="true")

    assert status == 500
    assert text.startswith(f"command command -v hey; hey failed: {ROOT}/sandbox/bin/hey\n")
    assert "Requests go through http_proxy" in text


@pytest.mark.parametrize("rest", ["wait", "exit"])
async def test_stop_ends_every_command_and_its_children(tmp_path: Any, rest: str) -> None:
    tester = await LoadTester.start("127.0.0.1", 0, proxy=None)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with aiohttp.ClientSession() as session:
        caller = Caller(session, tester.url)
        child = f"sleep 600 >/dev/null 2>&1 & echo $! > {tmp_path}/child; echo > {fifo}; {rest}"
        await caller.run(cmd=child)
        await asyncio.to_thread(fifo.read_text)
        if rest == "exit":
            await caller.until_idle()
    child = int((tmp_path / "child").read_text())

    os.kill(child, 0)
    await tester.stop()
    while await _is_running(child):  # noqa: ASYNC110 — another process ends it
        await asyncio.sleep(0.01)


async def test_the_last_result_of_a_command_is_kept(caller: Caller) -> None:
    await caller.run(cmd="echo fine")
    await caller.until_idle()
    await caller.run(cmd="echo broken; exit 3")
    await caller.until_idle()
    fine, broken = await caller.results(name="backend", namespace="webapp")

    assert (fine["cmd"], fine["output"], fine["error"]) == ("echo fine", "fine\n", None)
    assert (broken["output"], broken["error"], broken["checksum"]) == ("broken\n", "exit status 3", "1")
    assert await caller.results(cmd="echo fine") == [fine]
    assert await caller.results(name="frontend") == []


@pytest.mark.proves("T17")
async def test_a_failure_counts_until_the_command_has_ended_well(caller: Caller, tmp_path: Path) -> None:
    """A command of Flagger's load tester cannot fail a check: its answer is 202 before it has run.

    T17: Flagger's pkg/loadtester.
    """
    command = f"test -e {tmp_path}/well"
    assert await caller.run(cmd=command, count="true") == (202, "")
    await caller.until_idle()
    assert await caller.run(cmd=command, count="true") == (500, f"command {command} failed: : exit status 1")
    await caller.until_idle()
    assert (await caller.run(cmd=command, count="true"))[0] == 500  # of the second failure, or of a retry
    await caller.until_idle()
    (tmp_path / "well").touch()
    await caller.run(cmd=command, count="true")
    await caller.until_idle()

    assert await caller.run(cmd=command, count="true") == (202, "")


async def test_a_failure_counts_for_its_own_revision_only_and_only_if_asked(caller: Caller) -> None:
    await caller.run(cmd="false", count="true")
    await caller.until_idle()
    other = {"name": "backend", "namespace": "webapp", "checksum": "2", "metadata": {"cmd": "false"}}

    assert await caller.run(cmd="false") == (202, "")
    await caller.until_idle()
    assert await caller.post("/", other | {"metadata": {"cmd": "false", "count": "true"}}) == (202, "")


GUARDED = ["/", "/results", "/gate/open", "/gate/close", "/rollback/open", "/rollback/close"]
BODY = {"name": "a", "namespace": "webapp", "metadata": {"cmd": "true"}}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    rules = Rules(token="let me in", namespaces="^webapp$", state=tmp_path / "gates.json")
    tester = await LoadTester.start(rules=rules)
    yield tester.url
    await tester.stop()


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.proves("T17")
async def test_who_does_not_carry_the_token_moves_nothing(guarded: str, path: str) -> None:
    """Flagger's load tester runs a shell for whoever reaches its address (T17: Flagger's pkg/loadtester)."""
    for headers, expected in (
        ({}, False),
        ({"Authorization": "Bearer let me"}, False),
        ({"Authorization": "Bearer let me in"}, True),
        ({"X-Loadtester-Token": "let me in"}, True),
    ):
        async with aiohttp.ClientSession(headers=headers) as session:
            status, text = await Caller(session, guarded).post(path, BODY)

        assert (status in (200, 202)) is expected
        assert expected or (status == 401 and "Authorization: Bearer" in text)


async def test_gates_are_asked_without_the_token(guarded: str) -> None:
    async with aiohttp.ClientSession() as session:
        caller = Caller(session, guarded)

        assert await caller.post("/gate/check", BODY) == (403, "Forbidden")
        assert await caller.post("/gate/approve", BODY) == (200, "OK")
        assert (await caller.post("/healthz", {}))[0] == 200


async def test_a_canary_of_another_namespace_is_not_served(guarded: str) -> None:
    async with aiohttp.ClientSession(headers={"X-Loadtester-Token": "let me in"}) as session:
        caller = Caller(session, guarded)
        for path in ("/", "/gate/check", "/gate/open"):
            status, text = await caller.post(path, BODY | {"namespace": "webapp-2"})

            assert (status, text) == (403, "namespace webapp-2 is not allowed")


@pytest.mark.proves("T17")
async def test_gates_outlive_a_restart(tmp_path: Path) -> None:
    """Flagger's load tester keeps its gates in memory (T17: Flagger's pkg/loadtester)."""
    rules = Rules(state=tmp_path / "gates.json")
    statuses = []
    async with aiohttp.ClientSession() as session:
        for moves in (["/gate/open"], ["/rollback/open", "/gate/close"], []):
            tester = await LoadTester.start(rules=rules)
            caller = Caller(session, tester.url)
            statuses += [(await caller.post(f"/{one}/check", BODY))[0] for one in ("gate", "rollback")]
            for path in moves:
                await caller.post(path, BODY)
            await tester.stop()

    assert statuses == [403, 403, 200, 403, 403, 200]


async def test_gates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    state = tmp_path / "gates.json"
    state.write_text("[]")

    with pytest.raises(LookupError, match=r"gates\.json holds no gates"):
        await LoadTester.start(rules=Rules(state=state))


def test_the_image_has_what_a_load_tester_imports(tmp_path: Path) -> None:
    """The rest of the sandbox, an Envoy and all, is not in it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    blocked = sorted(_packages(extras["sandbox"]) - _packages(extras["loadtester"]))
    (tmp_path / "gates.json").write_text("[]")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); "
        f"sys.argv[1:] = ['loadtester', '--port=0', '--state={tmp_path}/gates.json']; "
        "from sandbox.__main__ import main; main()"
    )
    started = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert blocked
    assert "holds no gates" in started.stderr  # so far it came
    assert '--editable ".[loadtester]"' in (ROOT / "Dockerfile").read_text()


def _packages(extra: list[str]) -> set[str]:
    return {re.split(r"[=><~]", one)[0].replace("-", "_") for one in extra}


async def test_a_killed_load_tester_leaves_no_hey_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "scratch").mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "loadtester", "--host", "127.0.0.1", "--port", "0"),
        *("--token-file", str(tmp_path / "token")),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path / "scratch")},
    )
    assert process.stdout
    found = re.search(r"http://\S+", (await process.stdout.readline()).decode())
    assert found
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with aiohttp.ClientSession(headers={"X-Loadtester-Token": "secret"}) as session:
        # The shell waits for hey, and says its number, which is that of the subshell it replaces.
        command = f"(exec sh -c 'echo $$ > {fifo}; exec hey -z 600s http://127.0.0.1:9/'); true"
        assert (await Caller(session, found[0]).run(cmd=command))[0] == 202
        hey = int(await asyncio.to_thread(fifo.read_text))
        while "sandbox.hey" not in Path(f"/proc/{hey}/cmdline").read_text():  # noqa: ASYNC110, ASYNC240 — another process
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()

    while await _is_running(hey):  # noqa: ASYNC110 — another process ends it
        await asyncio.sleep(0.01)
    assert not list((tmp_path / "scratch").iterdir())


async def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: ASYNC230, PTH123 — /proc does not block
            return stat.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second where it goes while it is read
        return False
