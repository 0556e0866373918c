"""Readiness probes."""

import asyncio
import re

from sandbox.objects import Object

DEFAULT_PORT = 9898
# `podcli check http localhost:9898/readyz` is podinfo's own way to ask by HTTP.
PODCLI = re.compile(r"podcli check http (?:http://)?[^/:\s]+(?::(?P<port>\d+))?(?P<path>/\S*)?")


class HttpProbe:
    """A GET of the pod that passes on 200 to 399."""

    def __init__(self, address: str, port: int, path: str, limit: float) -> None:
        self._address = address
        self._port = port
        self._path = path
        self._limit = limit

    async def passes(self) -> bool:
        """Ask once."""
        try:
            async with asyncio.timeout(self._limit):
                return 200 <= await self._status() < 400  # noqa: PLR2004 — the kubelet's own bounds
        except (OSError, TimeoutError, ValueError):
            return False

    async def _status(self) -> int:
        reader, writer = await asyncio.open_connection(self._address, self._port)
        try:
            writer.write(
                f"GET {self._path} HTTP/1.1\r\nHost: {self._address}:{self._port}\r\n"
                "User-Agent: kube-probe/1.35\r\nConnection: close\r\n\r\n".encode()
            )
            line = await reader.readline()
            return int(line.split(b" ")[1]) if line.count(b" ") > 1 else 0
        finally:
            writer.close()


def probe_of(container: Object, address: str) -> HttpProbe | None:
    """Return the container's readiness probe; None if it has none that the sandbox can ask."""
    probe = container.get("readinessProbe", {})
    limit = float(probe.get("timeoutSeconds", 1))
    if "httpGet" in probe:
        get = probe["httpGet"]
        return HttpProbe(
            get.get("host") or address, _port(container, get["port"]), get.get("path", "/"), limit
        )
    command = PODCLI.search(" ".join(probe.get("exec", {}).get("command", [])))
    if command:
        return HttpProbe(address, int(command["port"] or DEFAULT_PORT), command["path"] or "/", limit)
    return None


def _port(container: Object, port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = {item.get("name"): int(item["containerPort"]) for item in container.get("ports", [])}
    # A name that the container does not know never answers.
    return named.get(port, 0)
