"""A load generator with the flags and the report of `hey` 0.1.4 that honours `http_proxy`."""

import asyncio
import math
import os
import signal
import sys
import time

import uvloop

from sandbox import children, heyoptions
from sandbox.heyclient import Answer, ClosedError, Connection, RequestError
from sandbox.heyoptions import Work
from sandbox.heyreport import Report

REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}


class Hey:
    """Runs the workers of one `Work` and gathers their report."""

    def __init__(self, work: Work) -> None:
        self.report = Report()
        self._work = work
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
        worker = _Worker(self._work)
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


def next_tick(last: float, now: float, period: float) -> float:
    """Return the tick after the last; of several missed ones only the latest counts, as with Go's ticker."""
    missed = int((now - last) / period)
    return last + period * max(missed, 1)


async def _run_until_interrupted(work: Work) -> Report:
    hey = Hey(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hey.stop)
    return await hey.run()


def main() -> None:
    """Run as `hey` does: the report on stdout, exit code 0 even if every request failed."""
    if "HEY_PARENT" in os.environ:  # the shell of a load tester, which may be killed
        children.die_with(int(os.environ["HEY_PARENT"]))
    try:
        work = heyoptions.parse(sys.argv[1:], os.environ)
    except heyoptions.UsageError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(exc.code)
    sys.stdout.write(uvloop.run(_run_until_interrupted(work)).as_text())


class _Worker:
    """One worker: its connection, kept between requests."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._request = work.request
        self._connection: Connection | None = None

    async def fetch(self) -> Answer:
        """Send the request and read its answer."""
        connection = await self._connect()
        reused = connection.requests > 0
        try:
            return await self._send(connection)
        except ClosedError:
            # A kept connection that the server closed meanwhile is no failure: Go's client sends again too.
            if not reused or self._work.method not in REPEATABLE:
                raise
        return await self._send(await self._connect())

    async def _send(self, connection: Connection) -> Answer:
        return await connection.send(
            self._request, has_body=self._work.method != "HEAD", timeout=self._work.timeout
        )

    async def _connect(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            self.close()
            self._connection = await Connection.open(self._work.target, self._work.timeout)
        return self._connection

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()


if __name__ == "__main__":
    main()
