"""The podinfo-like application: its routes, over one handler that all of a container's ports share."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote

from sandbox.node.behaviour import Behaviour
from sandbox.node.http11 import TEXT, Answer, Request
from sandbox.node.telemetry import AppMetrics, SidecarMetrics

# Health and metrics are not what a bad version breaks: its pods stay in rotation.
SPARED = ("/healthz", "/readyz", "/metrics", "/version")
# Probes never pass a sidecar, nor do scrapes: Istio turns them to the port of its agent.
PAST_THE_SIDECAR = (b"kube-probe/", b"Prometheus/")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Podinfo:
    """One container's application."""

    hostname: str
    behaviour: Behaviour
    env: Mapping[str, str]
    sidecar: SidecarMetrics | None
    is_ready: bool = True
    metrics: AppMetrics = field(default_factory=AppMetrics)
    _debt: float = 0.0
    _routes: dict[str, Callable[[Request], Answer]] = field(init=False)

    def __post_init__(self) -> None:
        info = Answer(HTTPStatus.OK, self._info())
        version = Answer(HTTPStatus.OK, _json({"commit": "unknown", "version": self.behaviour.version}))
        self._routes = {
            "": lambda _: info,
            "api": lambda _: info,
            "version": lambda _: version,
            "healthz": lambda _: Answer(HTTPStatus.OK, _json({"status": "OK"})),
            "readyz": self._readyz,
            "metrics": lambda _: Answer(HTTPStatus.OK, self.metrics.text().encode(), METRICS_TYPE),
            "status": self._status,
            "delay": self._delay,
            "env": lambda _: Answer(HTTPStatus.OK, _json([f"{k}={v}" for k, v in self.env.items()])),
            "headers": self._headers,
            "echo": self._echo,
        }

    def answer(self, request: Request) -> Answer:
        """Answer as podinfo would, worse if the image asks for it."""
        path = request.target.partition("?")[0]
        route = self._routes.get(_route(path))
        if route is None:
            return Answer(HTTPStatus.NOT_FOUND, b"404 page not found\n", TEXT)
        if path.startswith(SPARED):
            return route(request)
        if self._is_failing():
            body = _json({"code": 500, "message": "Internal Server Error"})
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, body, delay=self.behaviour.latency)
        found = route(request)
        return found._replace(delay=found.delay + self.behaviour.latency) if self.behaviour.latency else found

    def observe(self, request: Request, status: int, seconds: float) -> None:
        """Count a request, in the sidecar too if it came through it."""
        route = _route(request.target.partition("?")[0])
        name = route or "root" if route in self._routes else "unknown"
        self.metrics.observe(request.method, name, status, seconds)
        if self.sidecar and not any(agent in request.head for agent in PAST_THE_SIDECAR):
            self.sidecar.observe(status, seconds)

    def become_ready(self) -> None:
        """Pass the readiness probe from now on."""
        self.is_ready = True

    def _is_failing(self) -> bool:
        """Fail every n-th request, evenly: ten per cent of ten is one."""
        if not self.behaviour.error_rate:
            return False
        self._debt += self.behaviour.error_rate
        # A sum of tenths stays just below one: without the margin the tenth request would be spared.
        if self._debt < 1 - 1e-9:
            return False
        self._debt -= 1
        return True

    def _info(self) -> bytes:
        version = self.behaviour.version
        return _json(
            {
                "hostname": self.hostname,
                "version": version,
                "revision": "unknown",
                "color": self.env.get("PODINFO_UI_COLOR", "#34577c"),
                "message": self.env.get("PODINFO_UI_MESSAGE", f"greetings from podinfo v{version}"),
            }
        )

    def _readyz(self, request: Request) -> Answer:
        switch = request.target.removeprefix("/readyz").strip("/")
        if switch in ("enable", "disable") and request.method == "POST":
            self.is_ready = switch == "enable"
            return Answer(HTTPStatus.ACCEPTED, b"")
        if self.is_ready:
            return Answer(HTTPStatus.OK, _json({"status": "OK"}))
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, _json({"status": "not ready"}))

    def _status(self, request: Request) -> Answer:
        code = _argument(request)
        if not code.isdigit() or not 200 <= int(code) <= 599:  # noqa: PLR2004 — what a client takes for final
            return Answer(HTTPStatus.BAD_REQUEST, _json({"code": 400, "message": "no HTTP status"}))
        return Answer(int(code), _json({"status": int(code)}))

    def _delay(self, request: Request) -> Answer:
        seconds = _argument(request)
        if not seconds.replace(".", "", 1).isdigit():
            return Answer(HTTPStatus.BAD_REQUEST, _json({"code": 400, "message": "no seconds"}))
        return Answer(HTTPStatus.OK, _json({"delay": float(seconds)}), delay=float(seconds))

    def _headers(self, request: Request) -> Answer:
        found: dict[str, list[str]] = {}
        for name, value in request.headers():
            found.setdefault(name.title(), []).append(value)
        return Answer(HTTPStatus.OK, _json(found))

    def _echo(self, request: Request) -> Answer:
        return Answer(HTTPStatus.ACCEPTED, request.body or b"{}")


def _route(path: str) -> str:
    return path.strip("/").partition("/")[0]


def _argument(request: Request) -> str:
    return unquote(request.target.partition("?")[0].strip("/").partition("/")[2])


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()
