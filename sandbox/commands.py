"""The commands of the load tester: each in a process group of its own, and how each ended."""

import asyncio
import dataclasses
import functools
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from sandbox import children

logger = logging.getLogger(__name__)

# What comes first on a command's PATH. It lies in the package: a folder made for each load tester would be
# left behind by one that is killed.
PROGRAMS = Path(__file__).with_name("bin")
TASK_LIMIT = 3600.0
GRACE = 1.0
# The signal that only asks whether someone is there.
NOTHING = 0
COUNTERS = {
    "loadtester_commands_started_total": "Commands started.",
    "loadtester_commands_failed_total": "Commands that ended with another exit code than 0.",
    "loadtester_commands_skipped_total": "Commands not started because the same one was running.",
}
# So many results are kept, each with so much of the end of its output.
KEPT_RESULTS = 500
KEPT_OUTPUT = 4096


@dataclasses.dataclass(frozen=True)
class Task:
    """A command and whom it runs for; the checksum tells the revisions of a canary apart."""

    canary: str
    checksum: str
    command: str
    shell: str = "sh"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its output, stdout and stderr in one, and None or what went wrong."""

    output: str
    error: str | None
    at: datetime


class Commands:
    """Runs shell commands, with our `hey` first on PATH, and keeps the last result of each."""

    def __init__(self, proxy: str | None) -> None:
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.results: dict[Task, Ended] = {}
        self._groups: set[int] = set()
        path = f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"
        self._environment = os.environ | {"PATH": path, "HEY_PYTHON": sys.executable}
        self._environment.pop("LOADTESTER_TOKEN", None)  # a command has no use for it
        if proxy:
            self._environment |= {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}

    def start(self, task: Task, *, log_output: bool) -> None:
        """Start a command in the background, unless the same one is running for this canary."""
        key = task.canary, task.command
        if key in self.running:
            self.counters["loadtester_commands_skipped_total"] += 1
            logger.info("command skipped", extra={"canary": task.canary, "command": task.command})
            return
        work = asyncio.create_task(self._run_logged(task, log_output=log_output))
        self.running[key] = work
        work.add_done_callback(lambda _: self.running.pop(key))

    async def run(self, task: Task) -> Ended:
        """Run a command to its end."""
        self.counters["loadtester_commands_started_total"] += 1
        process = await asyncio.create_subprocess_exec(
            task.shell,
            "-c",
            task.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            preexec_fn=functools.partial(children.die_with, os.getpid()),
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
        return self._kept(task, Ended(output.decode(errors="replace"), error, datetime.now(UTC)))

    async def stop(self) -> None:
        """End everything that runs."""
        tasks = list(self.running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for group in self._groups:
            _signal_group(group, signal.SIGKILL)

    def _kept(self, task: Task, ended: Ended) -> Ended:
        self.results.pop(task, None)  # the newest stand last
        self.results[task] = dataclasses.replace(ended, output=ended.output[-KEPT_OUTPUT:])
        if len(self.results) > KEPT_RESULTS:
            del self.results[next(iter(self.results))]
        return ended

    async def _run_logged(self, task: Task, *, log_output: bool) -> None:
        ended = await self.run(task)
        facts = {"canary": task.canary, "command": task.command, "error": ended.error}
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


def _exit_error(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False if there is none any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
