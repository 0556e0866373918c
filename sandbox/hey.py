"""A load generator with the flags and the report of `hey` 0.1.4 that honours `http_proxy`.

`python -m sandbox.hey [options] URL`, or `await run(URL, …)` as a library.
"""

import asyncio
import math
import os
import signal
import sys
import time
import urllib.parse
from typing import Any

import uvloop

from sandbox import children, heyoptions
from sandbox.heyclient import Answer, ClosedError, Connection, RequestError, Target
from sandbox.heyoptions import Work
from sandbox.heyreport import Report

MAX_REDIRECTS = 10
REDIRECTS = {301, 302, 303, 307, 308}
REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}


class Hey:
    """Runs the workers of one `Work` and gathers their report."""

    def __init__(self, work: Work) -> None:
        self.report = Report()
        self._work = work
        self._first = work.request(work.url)
        self._stopped = asyncio.Event()
        self._started = 0.0

    async def run(self) -> Report:
        """Send the load and return the report; what is in flight at the end is awaited."""
        self._started = time.perf_counter()
        share = math.inf if self._work.requests is None else self._work.requests // self._work.workers
        timer = None
        if self._work.duration is not None:
            timer = asyncio.get_running_loop().call_later(self._work.duration, self.stop)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._work.workers):
                group.create_task(self._run_worker(share))
        if timer is not None:
            timer.cancel()
        self.report.total = time.perf_counter() - self._started
        return self.report

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    async def _run_worker(self, share: float) -> None:
        worker = _Worker(self._work, self._first)
        sent = 0
        due = self._started
        while sent < share and not self._stopped.is_set():
            if self._work.rate:
                due = next_tick(due, time.perf_counter(), 1 / self._work.rate)
                if not await self._wait_until(due):
                    break
            await self._measure(worker)
            sent += 1
        worker.close()

    async def _wait_until(self, due: float) -> bool:
        """Wait for a moment; False when the run is stopped first."""
        try:
            async with asyncio.timeout(max(due - time.perf_counter(), 0)):
                await self._stopped.wait()
        except TimeoutError:
            return True
        return False

    async def _measure(self, worker: "_Worker") -> None:
        began = time.perf_counter()
        try:
            answer = await worker.fetch()
        except RequestError as exc:
            self.report.errors[f'{self._work.method.capitalize()} "{self._work.url}": {exc}'] += 1
            return
        report = self.report
        report.statuses[answer.status] += 1
        report.size += answer.size
        report.latencies.append(answer.finished - began)
        report.dials.append(worker.dialled)
        report.writes.append(max(answer.written - began - worker.dialled, 0.0))
        report.waits.append(answer.first_byte - answer.written)
        report.reads.append(answer.finished - answer.first_byte)
        report.codes.append(answer.status)
        report.offsets.append(began - self._started)


def next_tick(last: float, now: float, period: float) -> float:
    """Return the tick after the last; of several missed ones only the latest counts, as with Go's ticker."""
    missed = int((now - last) / period)
    return last + period * max(missed, 1)


async def run(url: str, **options: Any) -> Report:
    """Send load to a URL and return what came of it; the options are the fields of `Work`."""
    return await Hey(Work(url, **options)).run()


async def _run_until_interrupted(work: Work) -> Report:
    hey = Hey(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hey.stop)
    return await hey.run()


def main() -> None:
    """Run as `hey` does: the report on stdout, exit code 0 even if every request failed."""
    if "HEY_PARENT" in os.environ:  # the shell of a load tester, which may be killed
        children.die_with(int(os.environ["HEY_PARENT"]))
    try:
        work, output = heyoptions.parse(sys.argv[1:], os.environ)
    except heyoptions.UsageError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(exc.code)
    report = uvloop.run(_run_until_interrupted(work))
    sys.stdout.write(report.as_csv() if output == "csv" else report.as_text())


class _Worker:
    """One worker: its connection, kept between requests."""

    def __init__(self, work: Work, first: bytes) -> None:
        self.dialled = 0.0
        self._work = work
        self._first = first
        self._connection: Connection | None = None
        self._target: Target | None = None

    async def fetch(self) -> Answer:
        """Send the request and follow its redirects."""
        url = self._work.url
        answer = await self._exchange(url, self._first)
        for _ in range(MAX_REDIRECTS):
            if answer.status not in REDIRECTS or not self._work.redirects or "location" not in answer.headers:
                return answer
            url = urllib.parse.urljoin(url, answer.headers["location"])
            answer = await self._exchange(url, self._work.request(url))
        raise RequestError(f"stopped after {MAX_REDIRECTS} redirects")

    async def _exchange(self, url: str, request: bytes) -> Answer:
        connection = await self._connect(self._work.target(url))
        reused = connection.requests > 0
        try:
            return await self._send(connection, request)
        except ClosedError:
            # A kept connection that the server closed meanwhile is no failure: Go's client sends again too.
            if not reused or self._work.method not in REPEATABLE:
                raise
        return await self._send(await self._connect(self._work.target(url)), request)

    async def _send(self, connection: Connection, request: bytes) -> Answer:
        return await connection.send(
            request, has_body=self._work.method != "HEAD", timeout=self._work.timeout
        )

    async def _connect(self, target: Target) -> Connection:
        self.dialled = 0.0
        if self._connection is not None and self._connection.is_open and self._target == target:
            return self._connection
        self.close()
        began = time.perf_counter()
        self._connection = await Connection.open(target, self._work.timeout)
        self._target = target
        self.dialled = time.perf_counter() - began
        return self._connection

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()


if __name__ == "__main__":
    main()
