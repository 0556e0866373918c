import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.loadtester import LoadTester


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
    assert "loadtester-" in text
    assert "without it http_proxy" in text


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


async def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: ASYNC230, PTH123 — /proc does not block
            return stat.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
