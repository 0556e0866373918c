"""`python -m sandbox`: start, stop and show the sandbox, or run one part of it alone."""

# ruff: noqa: T201 — a command line prints
import argparse
import asyncio
import gc
import logging
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sandbox import children
from sandbox.handover import read_endpoints
from sandbox.occupancy import SUBNETS, AlreadyRunningError, holder, is_running

READY_WITHIN = 60.0
ENDS_WITHIN = 20.0
INTERRUPTED = 130
DIRECTORY = Path("build/sandbox")
ABOUT = "Start, stop and show the sandbox, or run one part of it alone; `python -m sandbox` is the same."
RARELY = (20_000, 50, 100)
"""When garbage is looked for among the youngest objects, the younger, and all.

With 500 canaries that last look takes over a second, in which nothing is answered, and finds next to nothing.
"""


def main() -> int:
    """Run the command line."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        status: int = options.run(options)
    except (AlreadyRunningError, LookupError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}" if error.filename else error, file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        return status
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="canary sandbox", description=ABOUT)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _command(commands, "up", _up, "start everything and stay until ended")
    up.add_argument(
        "--clusters",
        type=_count,
        default=2,
        metavar="N",
        help="member clusters, beside the host; default: %(default)s",
    )
    up.add_argument("--no-temporal", action="store_true", help="start no Temporal server")
    up.add_argument("--temporal-port", type=_port, default=0, metavar="PORT", help="default: a free port")
    up.add_argument("--ui-port", type=_port, default=0, metavar="PORT", help="default: a free port")
    up.add_argument(
        "--propagation",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long the mesh takes to hear of a change",
    )
    up.add_argument("--no-mesh", action="store_true", help="start no Envoys: no user is led anywhere")
    up.add_argument(
        "--assets",
        type=Path,
        default=os.environ.get("KUBEBUILDER_ASSETS"),
        help="folder with etcd and kube-apiserver, to use them instead of ours; default: $KUBEBUILDER_ASSETS",
    )
    up.add_argument("--detach", action="store_true", help="return when it is ready; end it with `down`")
    down = _command(commands, "down", _down, "end what `up` started")
    status = _command(commands, "status", _status, "show where the parts are")
    for one in (up, down, status):
        one.add_argument("--dir", type=Path, default=DIRECTORY, help="default: %(default)s")
    for name in ("controllers", "node", "mesh", "metrics"):
        part = _command(commands, name, _part, f"run the {name} alone, in front of any API server")
        part.add_argument("--kubeconfig", type=Path, required=True)
        part.add_argument("--context", help="default: the current one")
        part.set_defaults(part=name)
        if name == "node":
            part.add_argument("--subnet", type=int, default=250, help="pods get addresses 127.SUBNET.x.y")
            part.add_argument("--mesh-proxy", help="the mesh listener, for load testers")
        if name == "mesh":
            part.add_argument("--dir", type=Path, default=DIRECTORY / "mesh", help="default: %(default)s")
        if name == "metrics":
            part.add_argument("--port", type=_port, default=0, help="default: a free port")
    front = _command(commands, "front", _front, "put the request log and the faults before any API server")
    front.add_argument("--kubeconfig", type=Path, required=True)
    front.add_argument("--context", help="default: the current one")
    _add_load_tester(commands)
    return parser


def _add_load_tester(commands: Any) -> None:
    tester = _command(commands, "loadtester", _load_tester, "run the load tester alone, also in production")
    tester.add_argument("--host", default="0.0.0.0", help="default: %(default)s")
    tester.add_argument("--port", type=_port, default=8080, help="default: %(default)s; 0 for a free one")
    tester.add_argument(
        "--token-file",
        type=Path,
        help="whoever runs commands has to carry this token; default: $LOADTESTER_TOKEN",
    )
    tester.add_argument("--state", type=Path, help="file that keeps the gates")
    tester.add_argument("--namespace-regexp", default="", help="the namespaces whose canaries are served")


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _count(text: str) -> int:
    """Read how many clusters there are to be: each takes addresses of its own, of which there are so many."""
    return _within(range(len(SUBNETS)), text)


def _port(text: str) -> int:
    return _within(range(2**16), text)


def _within(allowed: range, text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if number not in allowed:
        raise argparse.ArgumentTypeError(f"{text} is no number from {allowed[0]} to {allowed[-1]}")
    return number


def _up(options: argparse.Namespace) -> int:
    if options.detach:
        return _detach(options.dir)
    from sandbox.up import Sandbox

    box = Sandbox(
        options.dir,
        clusters=options.clusters,
        temporal=None if options.no_temporal else (options.temporal_port, options.ui_port),
        propagation=None if options.no_mesh else options.propagation,
        assets=options.assets,
    )

    async def serve() -> None:
        began = time.monotonic()
        async with box:
            print(f"ready in {time.monotonic() - began:.2f} s: {box.directory}/endpoints.json", flush=True)
            await box.wait()
            raise LookupError("A part of the sandbox ended by itself; see the logs in its directory.")

    return _until_signalled(serve())


def _part(options: argparse.Namespace) -> int:
    from sandbox import alone

    return _until_signalled(alone.run_part(options))


def _front(options: argparse.Namespace) -> int:
    from sandbox import alone

    return _until_signalled(alone.run_front(options.kubeconfig, options.context))


def _load_tester(options: argparse.Namespace) -> int:
    from sandbox import alone
    from sandbox.loadtester import Rules

    token = os.environ.get("LOADTESTER_TOKEN", "")
    if options.token_file:
        token = options.token_file.read_text().strip()
        if not token:
            raise LookupError(
                f"{options.token_file} is empty; write a token into it, or leave --token-file out."
            )
    try:
        rules = Rules(token, options.namespace_regexp, options.state)
        return _until_signalled(alone.run_load_tester(options.host, options.port, rules))
    except re.error as error:
        raise LookupError(f"--namespace-regexp is no regular expression: {error}.") from error


def _until_signalled(work: Coroutine[Any, Any, None]) -> int:
    """Run until the work ends or the first SIGTERM or SIGINT, which cancels it."""
    import uvloop

    gc.freeze()
    gc.set_threshold(*RARELY)

    async def run() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, _cancel_once, task, loop)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return 0


def _cancel_once(task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, lambda: None)  # stopping takes a moment, and is not to be cut short
    task.cancel()


def _detach(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    if is_running(directory):
        raise AlreadyRunningError(f"A sandbox is running in {directory}.")
    (directory / "endpoints.json").unlink(missing_ok=True)
    arguments = [one for one in sys.argv[1:] if one != "--detach"]
    with (directory / "sandbox.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    endpoints = directory / "endpoints.json"
    until = time.monotonic() + READY_WITHIN
    try:
        while not endpoints.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    if not endpoints.exists():
        child.terminate()
        logged = directory / "sandbox.log"
        raise LookupError(f"The sandbox did not start; see {logged}: {children.last_line(logged)}")
    return _show(directory)


def _down(options: argparse.Namespace) -> int:
    pid = holder(options.dir)
    if pid is None:
        print(f"No sandbox is running in {options.dir}.")
        return 0
    if not pid:
        raise LookupError(f"The sandbox in {options.dir} is being started this very moment; try again.")
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGTERM)
    ended, _, _ = select.select([process], [], [], ENDS_WITHIN)
    if not ended:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
    return 0


def _status(options: argparse.Namespace) -> int:
    if not is_running(options.dir):
        print(f"No sandbox is running in {options.dir}.")
        return 1
    return _show(options.dir)


def _show(directory: Path) -> int:
    endpoints = read_endpoints(directory)
    if endpoints is None:
        print(f"The sandbox in {directory} is starting.")
        return 1
    print(f"kubeconfig  {directory.absolute()}/kubeconfig")
    for name in ("temporal", "ui", "git"):
        print(f"{name:11} {endpoints[name] or '-'}")
    for name, cluster in endpoints["clusters"].items():
        print(name)
        for part in ("api", "prometheus", "gateway", "mesh", "services", "loadTester"):
            print(f"  {part:11} {cluster.get(part, '-')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
