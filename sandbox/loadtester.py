"""The load tester: Flagger's protocol, with `hey` and every other command sent through the mesh."""

import asyncio
import dataclasses
import json
import logging
import os
import pathlib
import shlex
import signal
import sys
import tempfile
from typing import Any, Self

import pydantic
from aiohttp import web

logger = logging.getLogger(__name__)

TASK_LIMIT = 3600.0
GRACE = 1.0
# The signal that only asks whether someone is there.
NOTHING = 0
COUNTERS = {
    "loadtester_commands_started_total": "Commands started.",
    "loadtester_commands_failed_total": "Commands that ended with another exit code than 0.",
    "loadtester_commands_skipped_total": "Commands not started because the same one was running.",
}


class Payload(pydantic.BaseModel):
    """What counts of what a caller posts; gates need the name and namespace only."""

    name: str = ""
    namespace: str = ""
    metadata: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def canary(self) -> str:
        """The canary's key: gates and running commands are told apart by it."""
        return f"{self.name}.{self.namespace}"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its output, stdout and stderr in one, and None or what went wrong."""

    output: str
    error: str | None


class Commands:
    """Runs shell commands in process groups of their own, with our `hey` first on PATH."""

    def __init__(self, proxy: str | None) -> None:
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.running: dict[str, asyncio.Task[None]] = {}
        self._groups: set[int] = set()
        self._bin = tempfile.TemporaryDirectory(prefix="loadtester-")
        wrapper = pathlib.Path(self._bin.name, "hey")
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sandbox.hey "$@"\n')
        wrapper.chmod(0o755)
        self._environment = os.environ | {"PATH": f"{self._bin.name}{os.pathsep}{os.environ.get('PATH', '')}"}
        if proxy:
            self._environment |= {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}

    def start(self, canary: str, command: str, *, log_output: bool) -> None:
        """Start a command in the background, unless the same one is running for this canary."""
        key = f"{canary} {command}"
        if key in self.running:
            self.counters["loadtester_commands_skipped_total"] += 1
            logger.info("command skipped", extra={"canary": canary, "command": command})
            return
        task = asyncio.create_task(self._run_logged(canary, command, log_output=log_output))
        self.running[key] = task
        task.add_done_callback(lambda _: self.running.pop(key))

    async def run(self, shell: str, command: str) -> Ended:
        """Run a command to its end."""
        self.counters["loadtester_commands_started_total"] += 1
        process = await asyncio.create_subprocess_exec(
            shell,
            "-c",
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
        )
        self._groups.add(process.pid)
        error = None
        output = b""
        try:
            async with asyncio.timeout(TASK_LIMIT):
                output, _ = await process.communicate()
        except TimeoutError:
            error = "context deadline exceeded"
        finally:
            await self._end(process)
        if error is None and process.returncode:
            error = _exit_error(process.returncode)
        if error is not None:
            self.counters["loadtester_commands_failed_total"] += 1
        return Ended(output.decode(errors="replace"), error)

    async def stop(self) -> None:
        """End everything that runs."""
        tasks = list(self.running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for group in self._groups:
            _signal_group(group, signal.SIGKILL)
        self._bin.cleanup()

    async def _run_logged(self, canary: str, command: str, *, log_output: bool) -> None:
        ended = await self.run("sh", command)
        facts = {"canary": canary, "command": command, "error": ended.error}
        if log_output or ended.error:
            facts["output"] = ended.output
        logger.log(logging.WARNING if ended.error else logging.INFO, "command ended", extra=facts)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End a command that is not done; what a done one left in the background lives until `stop`."""
        number = signal.SIGTERM if process.returncode is None else NOTHING
        if not _signal_group(process.pid, number):
            self._groups.discard(process.pid)
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()


class LoadTester:
    """The HTTP server; made by `start`, ended by `stop` together with every command it runs."""

    def __init__(self, runner: web.AppRunner, commands: Commands, url: str) -> None:
        self.url = url
        self._runner = runner
        self._commands = commands

    @classmethod
    async def start(cls, host: str = "127.0.0.1", port: int = 0, proxy: str | None = None) -> Self:
        """Listen; commands get `proxy` as their http_proxy."""
        commands = Commands(proxy)
        runner = web.AppRunner(_application(commands), access_log=None, shutdown_timeout=GRACE)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        return cls(runner, commands, f"http://{host}:{bound}")

    async def stop(self) -> None:
        """End the commands and close the server."""
        await self._commands.stop()
        await self._runner.cleanup()


def _application(commands: Commands) -> web.Application:
    app = web.Application(middlewares=[_refuse_bad_payloads])
    launcher = Launcher(commands)
    app.router.add_route("*", "/healthz", _healthz)
    app.router.add_route("*", "/metrics", launcher.metrics)
    app.router.add_route("*", "/gate/approve", _approve)
    app.router.add_route("*", "/gate/halt", _halt)
    # A rollback gate is another than the gate of the same canary.
    for prefix in ("gate", "rollback"):
        Gates().add_to(app, prefix)
    app.router.add_route("*", "/", launcher.handle)
    return app


@web.middleware
async def _refuse_bad_payloads(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except (pydantic.ValidationError, json.JSONDecodeError) as exc:
        return web.Response(status=400, text=f"payload deserialization failed: {exc}")
    return answer


async def _payload(request: web.Request) -> Payload:
    return Payload.model_validate(json.loads(await request.text()))


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _approve(_: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _halt(_: web.Request) -> web.Response:
    return web.Response(status=403, text="Forbidden")


class Gates:
    """Gates by canary, closed unless opened; forgotten when the load tester ends."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def add_to(self, app: web.Application, prefix: str) -> None:
        """Serve the gates under a prefix."""
        app.router.add_route("*", f"/{prefix}/check", self.check)
        app.router.add_route("*", f"/{prefix}/open", self.open)
        app.router.add_route("*", f"/{prefix}/close", self.close)

    async def check(self, request: web.Request) -> web.Response:
        """Answer 200 if the canary's gate is open, else 403."""
        is_open = (await _payload(request)).canary in self._open
        return web.Response(text="Approved") if is_open else web.Response(status=403, text="Forbidden")

    async def open(self, request: web.Request) -> web.Response:
        """Open the canary's gate."""
        self._open.add((await _payload(request)).canary)
        return web.Response(status=202)

    async def close(self, request: web.Request) -> web.Response:
        """Close the canary's gate."""
        self._open.discard((await _payload(request)).canary)
        return web.Response(status=202)


class Launcher:
    """Runs what a payload's metadata asks for."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def handle(self, request: web.Request) -> web.Response:
        """Start a `cmd` in the background, or run a `bash` to its end."""
        payload = await _payload(request)
        metadata = payload.metadata
        if not metadata:
            return web.Response(status=400, text="metadata not found in payload")
        kind = metadata.get("type", "cmd")
        if kind not in {"cmd", "bash"}:
            return web.Response(status=400, text=f"unknown task type {kind}")
        command = metadata.get("cmd")
        if not command:
            return web.Response(status=400, text="cmd not found in metadata")
        if kind == "bash":
            return await self._run_bash(command, returns_output=metadata.get("returnCmdOutput") == "true")
        self._commands.start(payload.canary, command, log_output=metadata.get("logCmdOutput") == "true")
        return web.Response(status=202)

    async def metrics(self, _: web.Request) -> web.Response:
        """Serve the counters of the commands."""
        running = "loadtester_commands_running"
        lines = [
            f"# HELP {name} {text}\n# TYPE {name} counter\n{name} {self._commands.counters[name]}\n"
            for name, text in COUNTERS.items()
        ]
        lines.append(f"# TYPE {running} gauge\n{running} {len(self._commands.running)}\n")
        return web.Response(text="".join(lines), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _run_bash(self, command: str, *, returns_output: bool) -> web.Response:
        ended = await self._commands.run("bash", command)
        logger.info("bash ended", extra={"command": command, "error": ended.error, "output": ended.output})
        if ended.error:
            text = f"command {command} failed: {ended.output}: {ended.error}"
            return web.Response(status=500, text=text)
        return web.Response(text=ended.output if returns_output else "")


def _exit_error(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False if there is none any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
