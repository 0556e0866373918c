"""How an address is reached: as it stands, at a base URL of the cluster's own, or by its API server.

A host is in-cluster if it ends in `.svc[.domain]`, or is `name.namespace` or `name` and there is such a
Service.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from activities.cluster.api import ClusterApi
from activities.cluster.clusters import Clusters
from activities.cluster.errors import ApiError, ClusterUnreachableError
from activities.cluster.paths import is_part, one
from canary.errors import NoAnswerError

DEFAULT_PROMETHEUS = "http://prometheus.istio-system:9090"
"""Where Istio's own Prometheus is, for clusters and templates that name no other."""

_SERVICE_HOST = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(\..+)?")
DIRECT = "direct"
"""The `reach` of a worker that stands inside the cluster."""


@dataclass(frozen=True)
class ServiceProxy:
    """A Service, called through its cluster's API server."""

    api: ClusterApi
    namespace: str
    service: str
    """`name:port`, with `https:` before it where the Service speaks TLS."""

    async def send(
        self,
        url: str,
        *,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        limit: int,
    ) -> tuple[int, bytes]:
        """Send a GET, or a POST where there is a body, and return the answer's status and body.

        Raises:
            NoAnswerError: the Service did not answer in time.
            ClusterUnreachableError: the API server is away.
        """
        parts = urlsplit(url)
        path = f"{one('Service', self.namespace, self.service)}/proxy{parts.path or '/'}"
        if parts.query:
            path += f"?{parts.query}"
        try:
            return await self.api.call(path, body=body, headers=headers, seconds=seconds, limit=limit)
        except ClusterUnreachableError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            what = f"Service {self.service} in namespace {self.namespace}"
            raise NoAnswerError(what, f"nothing within {seconds:g} s") from error


@dataclass(frozen=True)
class Route:
    """Where to send a request: to the URL itself, or by the proxy in whose cluster it is."""

    url: str
    proxy: ServiceProxy | None = None
    ca: str | None = None
    """Certificates of authorities that are trusted besides the system's, as PEM."""


class Reach:
    """Finds the way to the addresses that documents name."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._services: set[tuple[str, str, str]] = set()

    async def prometheus(self, cluster: str, namespace: str, address: str | None) -> Route:
        """Return the way to a Prometheus: the one a template names, else the cluster's own."""
        api = await self._clusters.get(cluster)
        own, ca = api.settings.prometheus, api.settings.prometheus_ca
        if address is None:
            return replace(await self._route(api, namespace, own or DEFAULT_PROMETHEUS, None), ca=ca)
        return replace(await self._route(api, namespace, address, own), ca=ca)

    async def webhook(self, cluster: str, namespace: str, url: str) -> Route:
        """Return the way to a webhook."""
        api = await self._clusters.get(cluster)
        return await self._route(api, namespace, url, api.settings.load_tester)

    async def alert(self, cluster: str, namespace: str, url: str) -> Route:
        """Return the way to the address of an alert, which has nothing to do with load testers."""
        return await self._route(await self._clusters.get(cluster), namespace, url, None)

    async def _route(self, api: ClusterApi, namespace: str, url: str, base: str | None) -> Route:
        if api.settings.reach == DIRECT and not base:
            return Route(url)
        parts = _read(url)
        found = await self._service(api, namespace, parts.hostname or "")
        if found is None:
            return Route(url)
        if base:
            return await self._route(api, namespace, _rebase(parts, base), None)
        name, there = found
        scheme, port = ("https:", 443) if parts.scheme == "https" else ("", 80)
        return Route(url, ServiceProxy(api, there, f"{scheme}{name}:{parts.port or port}"))

    async def _service(self, api: ClusterApi, namespace: str, host: str) -> tuple[str, str] | None:
        """Return the name and the namespace of the Service that *host* means, if it means one."""
        if match := _SERVICE_HOST.fullmatch(host):
            return match["name"], match["namespace"]
        if _is_outside(host):
            return None
        name, _, other = host.partition(".")
        there = other or namespace
        # Only what was found is remembered: a Service may yet come.
        if (api.name, there, name) not in self._services:
            try:
                service = await api.find(one("Service", there, name))
            except ApiError as error:
                raise NoAnswerError(f"Host {host}", str(error)) from error
            if service is None:
                return None
            self._services.add((api.name, there, name))
        return name, there


def _read(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, since it is this that raises
    except ValueError:
        raise NoAnswerError("An address that is no URL", "its host or port cannot be read") from None
    if not {".", ".."}.isdisjoint(unquote(parts.path).split("/")):  # clients fold it away, out of the proxy
        raise NoAnswerError("An address with . or .. in its path", "it is not called")
    return parts


def _is_outside(host: str) -> bool:
    """Whether *host* cannot be the name of a Service."""
    if host in ("", "localhost") or host.count(".") > 1 or not is_part(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _rebase(parts: SplitResult, base: str) -> str:
    """Put the path and query of a URL behind a base URL."""
    root = urlsplit(base)
    return urlunsplit((root.scheme, root.netloc, root.path.rstrip("/") + parts.path, parts.query, ""))
