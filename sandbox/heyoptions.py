"""What the load generator is asked to send, and how `hey`'s flags say it."""

import argparse
import dataclasses
import re
import urllib.parse
from collections.abc import Mapping
from typing import NoReturn

from sandbox.durations import seconds
from sandbox.heyclient import RequestError, Target

USER_AGENT = "hey/0.0.1"
HEADER = re.compile(r"([\w-]+):\s*(.+)", re.DOTALL)

USAGE = """Usage: hey [options...] <url>

  -n N        how many requests to send (200); a multiple of -c is sent
  -c N        how many workers send them (50)
  -q RATE     requests per second of each worker (no limit)
  -z TIME     how long to send, such as 10s or 3m; -n is ignored then

  -m METHOD   GET, POST, PUT, DELETE, HEAD, OPTIONS
  -H HEADER   "Name: value", may be repeated
  -t SECONDS  time limit of a request (20; 0: none)
  -d BODY     request body
  -T TYPE     Content-Type (text/html)
  -host HOST  Host header

  -disable-keepalive
  -disable-compression, -disable-redirects, -cpus N: accepted; redirects are never followed

Requests go through http_proxy or HTTP_PROXY, if set.
"""


@dataclasses.dataclass(frozen=True)
class Work:
    """What to send, how often, and for how long."""

    url: str
    requests: int | None = None
    duration: float | None = None
    workers: int = 50
    rate: float = 0.0
    method: str = "GET"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    timeout: float | None = 20.0
    host: str | None = None
    proxy: str | None = None
    keepalive: bool = True

    @property
    def target(self) -> Target:
        """Where to dial."""
        return Target.of(self.proxy or self.url)

    @property
    def request(self) -> bytes:
        """The bytes of a request."""
        parts = urllib.parse.urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # A proxy is given the whole URL; with -host it must route by that host, as Go's transport does it.
        host = self.host or parts.netloc.rpartition("@")[2]
        address = f"{parts.scheme}://{host}{path}" if self.proxy else path
        headers = {"Host": host, "User-Agent": USER_AGENT, **self.headers}
        if self.body or self.method in {"POST", "PUT"}:
            headers["Content-Length"] = str(len(self.body))
        if not self.keepalive:
            headers["Connection"] = "close"
        lines = [
            f"{self.method} {address} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class UsageError(Exception):
    """A command line that cannot be run, with the exit code `hey` ends with."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(f"{message}\n\n{USAGE}")
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse a command line as Go's `flag` does."""
        raise UsageError(message, 2)


def parse(arguments: list[str], environment: Mapping[str, str]) -> Work:
    """Return the work that a command line asks for."""
    flags = _parser().parse_args(arguments)
    if not flags.z and flags.n < flags.c:
        raise UsageError("-n cannot be less than -c.")
    if flags.c < 1:
        raise UsageError("-c cannot be smaller than 1.")
    return Work(
        url=_url(flags.url),
        requests=None if flags.z else flags.n,
        duration=flags.z or None,
        workers=flags.c,
        rate=flags.q,
        method=flags.m.upper(),
        headers=_headers(flags.T, flags.H),
        body=flags.d.encode(),
        timeout=flags.t or None,
        host=flags.host or None,
        proxy=_proxy(environment),
        keepalive=not flags.disable_keepalive,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="hey", add_help=False, allow_abbrev=False)
    parser.add_argument("url")
    for name, kind, default in (("n", int, 200), ("c", int, 50), ("t", int, 20), ("cpus", int, 0)):
        parser.add_argument(f"-{name}", type=kind, default=default)
    for name, text in (("m", "GET"), ("d", ""), ("T", "text/html"), ("host", "")):
        parser.add_argument(f"-{name}", default=text)
    parser.add_argument("-q", type=float, default=0.0)
    parser.add_argument("-z", type=_duration, default=0.0)
    parser.add_argument("-H", action="append", default=[])
    for switch in ("keepalive", "compression", "redirects"):
        parser.add_argument(f"-disable-{switch}", action="store_true")
    return parser


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _headers(content_type: str, given: list[str]) -> dict[str, str]:
    headers = {"Content-Type": content_type}
    for text in given:
        match = HEADER.fullmatch(text)
        if match is None:
            raise UsageError(f"could not parse the provided input; input = {text}")
        headers[match[1].title()] = match[2]
    if agent := headers.get("User-Agent"):
        headers["User-Agent"] = f"{agent} {USER_AGENT}"
    return headers


def _url(text: str) -> str:
    try:
        Target.of(text)
    except (RequestError, ValueError) as exc:
        raise UsageError(f'parse "{text}": {exc}') from exc
    return text


def _proxy(environment: Mapping[str, str]) -> str | None:
    address = environment.get("http_proxy") or environment.get("HTTP_PROXY") or ""
    if address and "://" not in address:
        address = f"http://{address}"
    return _url(address) if address else None
