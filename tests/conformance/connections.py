"""Connections of TCP to a workload, each asking one question."""

import asyncio
import json
import re
from collections import Counter
from urllib.parse import urlsplit

REFUSED = "refused"
TIMEOUT = 10.0
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


async def connect(proxy: str, host: str, times: int) -> Counter[str]:
    """Connect so many times through a proxy, one after the other: which version answered how often."""
    return Counter([await _ask(proxy, host) for _ in range(times)])


async def _ask(proxy: str, host: str) -> str:
    """Open a connection, ask by HTTP who is there, and close it."""
    address = urlsplit(proxy)
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                return REFUSED
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            # Whoever waited for the end of the connection would wait for a second.
            body = await reader.readexactly(int(_LENGTH.findall(head)[0]))
        finally:
            writer.close()
    return str(json.loads(body)["version"])
