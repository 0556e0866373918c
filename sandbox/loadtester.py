"""The load tester: Flagger's protocol, with `hey` and every other command sent through the mesh."""

import hmac
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pydantic
from aiohttp import web

from sandbox.commands import COUNTERS, GRACE, Commands, Ended, Task
from sandbox.gates import Gates
from sandbox.serving import LOCALHOST, listen, runner_of

logger = logging.getLogger(__name__)

SHELLS = {"cmd": "sh", "bash": "bash"}
# What runs something, tells what ran, or lets a canary pass.
GUARDED = {"/", "/results", "/gate/open", "/gate/close", "/rollback/open", "/rollback/close"}


class Payload(pydantic.BaseModel):
    """What counts of what a caller posts; gates need the name and namespace only."""

    name: str = ""
    namespace: str = ""
    checksum: str = ""
    metadata: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def canary(self) -> str:
        """The canary's key: gates and running commands are told apart by it."""
        return f"{self.name}.{self.namespace}"


@dataclass(frozen=True)
class Rules:
    """Who may do what.

    With a `token`, commands, their results and the moving of gates are for those who carry it; `namespaces`
    is a pattern that a canary's namespace has to match, `state` the file that gates are kept in.
    """

    token: str = ""
    namespaces: str = ""
    state: Path | None = None


class LoadTester:
    """The HTTP server; made by `start`, ended by `stop` together with every command it runs."""

    def __init__(self, runner: web.AppRunner, commands: Commands, url: str) -> None:
        self.url = url
        self._runner = runner
        self._commands = commands

    @classmethod
    async def start(
        cls, host: str = LOCALHOST, port: int = 0, proxy: str | None = None, rules: Rules | None = None
    ) -> Self:
        """Listen; commands get `proxy` as their http_proxy."""
        rules = rules or Rules()
        door, gates = Door(rules), Gates(rules.state)  # first, as both may be refused
        commands = Commands(proxy)
        runner = runner_of(_application(commands, door, gates), GRACE)
        return cls(runner, commands, await listen(runner, host, port))

    async def stop(self) -> None:
        """End the commands and close the server."""
        await self._commands.stop()
        await self._runner.cleanup()


def _application(commands: Commands, door: "Door", gates: Gates) -> web.Application:
    app = web.Application(middlewares=[_answer_for_errors, door.admit])
    launcher = Launcher(commands, door)
    app.router.add_route("*", "/healthz", _ok)
    app.router.add_route("*", "/metrics", launcher.metrics)
    app.router.add_route("*", "/gate/approve", _ok)
    app.router.add_route("*", "/gate/halt", _forbidden)
    app.router.add_route("*", "/{kind:gate|rollback}/{verb:check|open|close}", Keeper(gates, door).handle)
    app.router.add_route("*", "/results", launcher.results)
    app.router.add_route("*", "/", launcher.handle)
    return app


@web.middleware
async def _answer_for_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except (pydantic.ValidationError, json.JSONDecodeError) as exc:
        return web.Response(status=400, text=f"payload deserialization failed: {exc}")
    return answer


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _forbidden(_: web.Request) -> web.Response:
    return web.Response(status=403, text="Forbidden")


class Door:
    """Lets in who carries the token, and the payloads of allowed namespaces."""

    def __init__(self, rules: Rules) -> None:
        self._token = rules.token.encode()
        self._namespaces = re.compile(rules.namespaces)

    async def payload(self, request: web.Request) -> Payload:
        """Read the payload of a request."""
        payload = Payload.model_validate(json.loads(await request.text()))
        if not self._namespaces.search(payload.namespace):
            raise web.HTTPForbidden(text=f"namespace {payload.namespace} is not allowed")
        return payload

    @web.middleware
    async def admit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuse what is guarded to those without the token."""
        if request.path in GUARDED and self._token and not self._carries_token(request):
            text = "Send the load tester's token as `Authorization: Bearer` or `X-Loadtester-Token`."
            return web.Response(status=401, text=text, headers={"WWW-Authenticate": "Bearer"})
        answer: web.StreamResponse = await handler(request)
        return answer

    def _carries_token(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        carried = (bearer, request.headers.get("X-Loadtester-Token", ""))
        return any(hmac.compare_digest(one.strip().encode(), self._token) for one in carried)


class Keeper:
    """Serves the gates: a rollback gate is another than the gate of the same canary."""

    def __init__(self, gates: Gates, door: Door) -> None:
        self._gates = gates
        self._door = door

    async def handle(self, request: web.Request) -> web.Response:
        """Open or close a canary's gate, or answer 200 if it is open, else 403."""
        kind, verb = request.match_info["kind"], request.match_info["verb"]
        canary = (await self._door.payload(request)).canary
        if verb == "check":
            is_open = self._gates.is_open(kind, canary)
            return web.Response(text="Approved") if is_open else await _forbidden(request)
        move = self._gates.open if verb == "open" else self._gates.close
        move(kind, canary)
        return web.Response(status=202)


class Launcher:
    """Runs what a payload's metadata asks for."""

    def __init__(self, commands: Commands, door: Door) -> None:
        self._commands = commands
        self._door = door

    async def handle(self, request: web.Request) -> web.Response:
        """Start a `cmd` in the background, or run a `bash` to its end."""
        payload = await self._door.payload(request)
        metadata = payload.metadata
        if not metadata:
            return web.Response(status=400, text="metadata not found in payload")
        kind = metadata.get("type", "cmd")
        if kind not in SHELLS:
            return web.Response(status=400, text=f"unknown task type {kind}")
        command = metadata.get("cmd")
        if not command:
            return web.Response(status=400, text="cmd not found in metadata")
        task = Task(payload.canary, payload.checksum, command, SHELLS[kind])
        if kind == "bash":
            return await self._run(task, returns_output=metadata.get("returnCmdOutput") == "true")
        last = self._commands.results.get(task) if metadata.get("count") == "true" else None
        self._commands.start(task, log_output=metadata.get("logCmdOutput") == "true")
        # A failure stands until the command has ended well, so that a repeated request changes no answer.
        return _failure(task, last) if last and last.error else web.Response(status=202)

    async def results(self, request: web.Request) -> web.Response:
        """List the last result of each command, the newest last; `name`, `namespace` and `cmd` choose."""
        wanted = {key: request.query[key] for key in ("name", "namespace", "cmd") if key in request.query}
        found = [_shown(task, ended) for task, ended in self._commands.results.items()]
        return web.json_response({"results": [one for one in found if wanted.items() <= one.items()]})

    async def metrics(self, _: web.Request) -> web.Response:
        """Serve the counters of the commands."""
        running = "loadtester_commands_running"
        lines = [
            f"# HELP {name} {text}\n# TYPE {name} counter\n{name} {self._commands.counters[name]}\n"
            for name, text in COUNTERS.items()
        ]
        lines.append(f"# TYPE {running} gauge\n{running} {len(self._commands.running)}\n")
        return web.Response(text="".join(lines), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _run(self, task: Task, *, returns_output: bool) -> web.Response:
        ended = await self._commands.run(task)
        logger.info(
            "bash ended", extra={"command": task.command, "error": ended.error, "output": ended.output}
        )
        if ended.error:
            return _failure(task, ended)
        return web.Response(text=ended.output if returns_output else "")


def _failure(task: Task, ended: Ended) -> web.Response:
    text = f"command {task.command} failed: {ended.output}: {ended.error}"
    return web.Response(status=500, text=text)


def _shown(task: Task, ended: Ended) -> dict[str, Any]:
    name, _, namespace = task.canary.rpartition(".")
    who = {"name": name, "namespace": namespace, "checksum": task.checksum, "cmd": task.command}
    return who | {"at": ended.at.isoformat(), "output": ended.output, "error": ended.error}
