"""`temporal server start-dev`, as a child."""

import asyncio
import sys
from pathlib import Path
from typing import Self

import aiohttp

from sandbox import children
from sandbox.occupancy import free_ports

LOCALHOST = "127.0.0.1"
KEYWORDS = ("Cluster", "Namespace", "Target", "Application", "Phase", "Revision")
SEARCH_ATTRIBUTES = (*(f"Canary{name}=Keyword" for name in KEYWORDS), "CanaryWeight=Int")
# The default batches timers by the second, which short intervals would show.
TIMERS = 'history.timerProcessorMaxTimeShift="10ms"'
# A killed server loses nothing by either, only one whose machine lost power. The first makes all a third
# faster, the second takes a fifth of the server's processor time away.
PRAGMAS = ("synchronous=0", "journal_mode=wal")
RETENTION = "2592000s"  # 30 days; start-dev makes its namespace with one
READY_WITHIN = 30.0


class TemporalServer:
    """A Temporal server whose state is a file."""

    def __init__(self, child: asyncio.subprocess.Process, address: str, ui_url: str) -> None:
        self.address = address
        self.ui_url = ui_url
        self._child = child

    @classmethod
    async def start(cls, directory: Path, port: int = 0, ui_port: int = 0) -> Self:
        """Start the server and wait until its namespace is there; ports that are 0 are chosen."""
        port, ui_port, http, metrics = free_ports(port, ui_port, 0, 0)
        ui_url = f"http://{LOCALHOST}:{ui_port}"
        attributes = [text for one in SEARCH_ATTRIBUTES for text in ("--search-attribute", one)]
        pragmas = [text for one in PRAGMAS for text in ("--sqlite-pragma", one)]
        log = directory / "temporal.log"
        child = await children.start(
            *(str(Path(sys.executable).with_name("temporal")), "server", "start-dev", "--ip", LOCALHOST),
            *("--port", str(port), "--ui-port", str(ui_port)),
            *("--http-port", str(http), "--metrics-port", str(metrics)),
            *("--db-filename", str(directory / "temporal.db"), "--log-level", "warn"),
            *("--dynamic-config-value", TIMERS, *pragmas, *attributes),
            log=log,
        )
        async with aiohttp.ClientSession() as session:
            api = f"http://{LOCALHOST}:{http}"
            await children.ready(child, lambda: _is_prepared(session, api, ui_url), log, READY_WITHIN)
        return cls(child, f"{LOCALHOST}:{port}", ui_url)

    async def wait(self) -> None:
        """Return when the server has ended."""
        await self._child.wait()

    async def stop(self) -> None:
        """End the server."""
        await children.stop(self._child)


async def _is_prepared(session: aiohttp.ClientSession, api: str, ui: str) -> bool:
    """Have the default namespace keep its histories for 30 days; tell whether it does, and the UI answers."""
    body = {"config": {"workflowExecutionRetentionTtl": RETENTION}}
    async with session.post(f"{api}/api/v1/namespaces/default/update", json=body) as kept:
        if not kept.ok:
            return False
    async with session.get(f"{ui}/api/v1/namespaces/default") as shown:
        return shown.ok
