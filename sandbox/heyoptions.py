"""What the load generator is asked to send, and how `hey`'s flags say it."""

import base64
import dataclasses
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Mapping

from sandbox.heyclient import RequestError, Target

USER_AGENT = "hey/0.0.1"
HEADER = re.compile(r"([\w-]+):\s*(.+)", re.DOTALL)
AUTH = re.compile(r"(.+):(\S.*)", re.DOTALL)
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

USAGE = """Usage: hey [options...] <url>

  -n N        how many requests to send (200); a multiple of -c is sent
  -c N        how many workers send them (50)
  -q RATE     requests per second of each worker (no limit)
  -z TIME     how long to send, such as 10s or 3m; -n is ignored then
  -o csv      one line a request instead of the summary

  -m METHOD   GET, POST, PUT, DELETE, HEAD, OPTIONS
  -H HEADER   "Name: value", may be repeated
  -t SECONDS  time limit of a request (20; 0: none)
  -A TYPE     Accept header
  -d BODY     request body
  -D FILE     request body from a file
  -T TYPE     Content-Type (text/html)
  -a USER:PASSWORD
  -x URL      HTTP proxy; without it http_proxy or HTTP_PROXY, if set
  -host HOST  Host header

  -disable-compression, -disable-keepalive, -disable-redirects
  -cpus N     accepted, without effect
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
    redirects: bool = True

    def target(self, url: str) -> Target:
        """Return where to dial for a URL."""
        direct = Target.of(url)
        if self.proxy is None:
            return direct
        if direct.tls:
            raise RequestError("https through a proxy is not supported")
        return Target.of(self.proxy)

    def request(self, url: str) -> bytes:
        """Return the bytes of the request for a URL."""
        parts = urllib.parse.urlsplit(url)
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
        super().__init__(f"{message}\n\n{USAGE}" if message else USAGE)
        self.code = code


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration such as `1m30s`."""
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("parse error")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


VALUED: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(["o", "m", "A", "d", "D", "T", "a", "x", "host", "H"], str),
    **dict.fromkeys(["n", "c", "t", "cpus"], int),
    "q": float,
    "z": parse_duration,
}
SWITCHES = {"h2", "disable-compression", "disable-keepalive", "disable-redirects"}


@dataclasses.dataclass
class Flags:
    """The flags as given: their defaults are `hey`'s."""

    values: dict[str, object] = dataclasses.field(default_factory=dict)
    headers: list[str] = dataclasses.field(default_factory=list)
    switches: set[str] = dataclasses.field(default_factory=set)
    rest: list[str] = dataclasses.field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        """Return a flag of text."""
        return str(self.values.get(name, default))

    def number(self, name: str, default: float) -> float:
        """Return a flag that is a number."""
        value = self.values.get(name, default)
        assert isinstance(value, int | float)
        return value


def parse(arguments: list[str], environment: Mapping[str, str]) -> tuple[Work, str]:
    """Return the work that a command line asks for, and the output format."""
    flags = _read(arguments)
    if not flags.rest:
        raise UsageError("")
    if "h2" in flags.switches:
        raise UsageError("-h2 is not supported: this hey speaks HTTP/1.1.")
    output = flags.text("o")
    if output not in {"", "csv"}:
        raise UsageError("-o must be csv.")
    workers, requests, duration = _amounts(flags)
    work = Work(
        url=_url(flags.rest[0]),
        requests=requests,
        duration=duration,
        workers=workers,
        rate=flags.number("q", 0.0),
        method=flags.text("m", "GET").upper(),
        headers=_headers(flags),
        body=_body(flags),
        timeout=flags.number("t", 20) or None,
        host=flags.text("host") or None,
        proxy=_proxy(flags, environment),
        keepalive="disable-keepalive" not in flags.switches,
        redirects="disable-redirects" not in flags.switches,
    )
    return work, output


def _read(arguments: list[str]) -> Flags:
    """Read flags as Go's `flag` does: `-n 5`, `-n=5` or `--n 5`, up to the first argument without a dash."""
    flags = Flags()
    left = list(arguments)
    while left and left[0].startswith("-") and left[0] not in {"-", "--"}:
        name, has_value, value = left.pop(0).removeprefix("-").removeprefix("-").partition("=")
        if name in SWITCHES:
            flags.switches.add(name)
            continue
        if name not in VALUED:
            raise UsageError(f"flag provided but not defined: -{name}", 2)
        if not has_value:
            if not left:
                raise UsageError(f"flag needs an argument: -{name}", 2)
            value = left.pop(0)
        _store(flags, name, value)
    flags.rest = left
    return flags


def _store(flags: Flags, name: str, value: str) -> None:
    if name == "H":
        flags.headers.append(value)
        return
    try:
        flags.values[name] = VALUED[name](value)
    except ValueError as exc:
        raise UsageError(f'invalid value "{value}" for flag -{name}: parse error', 2) from exc


def _amounts(flags: Flags) -> tuple[int, int | None, float | None]:
    workers, requests, duration = (
        int(flags.number("c", 50)),
        int(flags.number("n", 200)),
        flags.number("z", 0),
    )
    if duration > 0:
        if workers < 1:
            raise UsageError("-c cannot be smaller than 1.")
        return workers, None, duration
    if workers < 1 or requests < 1:
        raise UsageError("-n and -c cannot be smaller than 1.")
    if requests < workers:
        raise UsageError("-n cannot be less than -c.")
    return workers, requests, None


def _headers(flags: Flags) -> dict[str, str]:
    headers = {"Content-Type": flags.text("T", "text/html")}
    for text in flags.headers:
        name, value = _match(HEADER, text)
        headers[name.title()] = value
    if accept := flags.text("A"):
        headers["Accept"] = accept
    if auth := flags.text("a"):
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(_match(AUTH, auth)).encode()).decode()
    if agent := headers.get("User-Agent"):
        headers["User-Agent"] = f"{agent} {USER_AGENT}"
    if "disable-compression" not in flags.switches:
        headers.setdefault("Accept-Encoding", "gzip")
    return headers


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise UsageError(f"could not parse the provided input; input = {text}")
    return match[1], match[2]


def _body(flags: Flags) -> bytes:
    path = flags.text("D")
    if not path:
        return flags.text("d").encode()
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as exc:
        raise UsageError(f"open {path}: {exc.strerror}") from exc


def _url(text: str) -> str:
    try:
        Target.of(text)
    except (RequestError, ValueError) as exc:
        raise UsageError(f'parse "{text}": {exc}') from exc
    return text


def _proxy(flags: Flags, environment: Mapping[str, str]) -> str | None:
    if address := flags.text("x"):
        return _url(address)
    address = environment.get("http_proxy") or environment.get("HTTP_PROXY") or ""
    if address and "://" not in address:
        address = f"http://{address}"
    return _url(address) if address else None
