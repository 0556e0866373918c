"""Scrapes the pods of a cluster into the store."""

import asyncio
import logging
import time
from collections.abc import Iterable

import aiohttp

from sandbox.client import KubeClient, Reflector
from sandbox.metrics import exposition
from sandbox.metrics.labels import Labels, labels_of
from sandbox.metrics.targets import Target, targets_of
from sandbox.metrics.tsdb import STALE, Tsdb
from sandbox.objects import Object, key_of

logger = logging.getLogger(__name__)

# Prometheus' default; a scrape never takes longer than the interval either.
LONGEST_SCRAPE = 10.0
HOUSEKEEPING = 30.0


class Pace:
    """The scrape interval, which may change while scrapers wait for the next round."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._changed = asyncio.Event()

    def change(self, interval: float) -> None:
        """Set the interval; who waits begins a new round by it."""
        self.interval = interval
        self._changed.set()
        self._changed = asyncio.Event()

    async def next_round(self, since: float) -> None:
        """Wait until an interval after `since` (of the event loop's clock) has passed."""
        loop = asyncio.get_running_loop()
        while (left := since + self.interval - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return


class TargetScraper:
    """Scrapes one target and marks the end of its series."""

    def __init__(self, target: Target, db: Tsdb, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._db = db
        self._session = session
        self._spelt: dict[str, Labels] = {}
        self._alive: set[Labels] = set()

    async def run(self, pace: Pace) -> None:
        """Scrape until cancelled, then end every series."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                since = loop.time()
                await self._scrape(min(pace.interval, LONGEST_SCRAPE))
                await pace.next_round(since)
        finally:
            # A mark of the same millisecond as the last sample would be dropped.
            self._store(_now() + 1, [], [])

    async def _scrape(self, limit: float) -> None:
        began, at = time.perf_counter(), _now()
        try:
            text = await self._fetch(limit)
            found = [(self._labels(series), value) for series, value in exposition.samples(text)]
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            logger.debug("scrape failed", extra={"url": self._target.url, "error": str(exc)})
            found, is_up = [], 0.0
        else:
            is_up = 1.0
        about = [
            ("up", is_up),
            ("scrape_duration_seconds", time.perf_counter() - began),
            ("scrape_samples_scraped", float(len(found))),
        ]
        self._store(at, found, [(self._labels(name), value) for name, value in about])

    async def _fetch(self, limit: float) -> str:
        async with self._session.get(self._target.url, timeout=aiohttp.ClientTimeout(limit)) as answer:
            answer.raise_for_status()
            return await answer.text()

    def _store(
        self, at: int, found: Iterable[tuple[Labels, float]], about: Iterable[tuple[Labels, float]]
    ) -> None:
        alive = set()
        for labels, value in (*found, *about):
            self._db.append(labels, at, value)
            alive.add(labels)
        for labels in self._alive - alive:
            self._db.append(labels, at, STALE)
        self._alive = alive

    def _labels(self, series: str) -> Labels:
        """Return the labels of a series: where the target's own clash, the scraped ones are renamed."""
        known = self._spelt.get(series)
        if known is None:
            ours = dict(self._target.labels)
            scraped = exposition.series_labels(series)
            renamed = {f"exported_{name}" if name in ours else name: value for name, value in scraped.items()}
            known = self._spelt[series] = labels_of(renamed | ours)
        return known


class Scraper:
    """Follows the pods of a cluster and scrapes each as long as it runs."""

    def __init__(self, client: KubeClient, db: Tsdb, interval: float) -> None:
        self.pace = Pace(interval)
        self._db = db
        self._pods = Reflector(client, "/api/v1/pods", self._on_change)
        self._tasks: dict[str, dict[Target, asyncio.Task[None]]] = {}
        self._session: aiohttp.ClientSession
        """While it runs: one that is ended before it has begun leaves none open."""

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"User-Agent": "Prometheus/3.5"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as self._session:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pods.run())
                    group.create_task(self._keep_house())
            finally:
                for key in list(self._tasks):
                    await self._follow(key, frozenset())

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            self._db.forget_old(_now())

    async def _on_change(self, kind: str, pod: Object) -> None:
        await self._follow(key_of(pod), frozenset() if kind == "DELETED" else targets_of(pod))

    async def _follow(self, key: str, wanted: frozenset[Target]) -> None:
        running = self._tasks.setdefault(key, {})
        ended = [running.pop(target) for target in running.keys() - wanted]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        for target in wanted - running.keys():
            scraper = TargetScraper(target, self._db, self._session)
            running[target] = asyncio.create_task(scraper.run(self.pace))
            running[target].add_done_callback(report_failure)
        if not running:
            del self._tasks[key]


def report_failure(task: asyncio.Task[None]) -> None:
    """Say when a scraper ended by a mistake of ours: its series would just be missing."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("scraper failed", exc_info=error)


def _now() -> int:
    return round(time.time() * 1000)
