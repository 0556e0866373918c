"""Prometheus: one query, one value."""

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.adapters import BaseAdapter

from activities.transport import TIMEOUT, BoundedAdapter, Proxy, ProxyAdapter
from canary.errors import MeasurementError, NoAnswerError
from canary.spec import CanarySpec, MetricProvider, MetricSpec

DEFAULT_NAMESPACE = "default"
"""Where a cluster's own Prometheus is looked for if its address says no namespace."""
_LONGEST_MESSAGE = 4096
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
_NO_CONNECTION = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError, TimeoutError)
_USER_INFO = re.compile(r"//[^/@\s]*@")


class Route(Protocol):
    """Where a Prometheus is: at the URL itself, or behind a proxy."""

    @property
    def url(self) -> str:
        """The base URL of its API."""
        ...

    @property
    def proxy(self) -> Proxy | None:
        """What sends the requests on, where the URL means nothing here."""
        ...

    @property
    def ca(self) -> str | None:
        """Certificates of authorities that are trusted besides the system's, as PEM."""
        ...


class Reach(Protocol):
    """Finds the way to a Prometheus."""

    async def prometheus(self, cluster: str, namespace: str, address: str | None) -> Route:
        """Return the way to the Prometheus at *address*, or to the cluster's own."""
        ...


class Secrets(Protocol):
    """Reads Secrets of member clusters."""

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return what a Secret holds; None if it is not there."""
        ...


class Prometheus:
    """Asks the Prometheus of a metric, in threads because its client blocks."""

    def __init__(self, reach: Reach, secrets: Secrets, executor: Executor) -> None:
        self._reach = reach
        self._secrets = secrets
        self._executor = executor

    async def query(self, spec: CanarySpec, metric: MetricSpec, query: str) -> float | None:
        """Return the value of *query*; None where there is no value, or it is not a number.

        Raises:
            MeasurementError: the query was refused, or its answer is not one value.
            NoAnswerError: the Prometheus is away.
        """
        provider = metric.template.provider if metric.template else MetricProvider()
        namespace = metric.template.namespace if metric.template else spec.namespace
        address = provider.address or spec.metrics_server
        route = await self._reach.prometheus(spec.cluster, namespace, address)
        credentials = await self._credentials(spec, namespace, provider)
        if route.proxy and (credentials or _has_credentials(route.url, provider)):
            raise MeasurementError(
                f"Prometheus {_plain(route.url)} is reached through the API server, which drops credentials: "
                f"give cluster {spec.cluster} a `prometheus:` URL in the clusters file"
            )
        return await self._send(route, _session(provider, credentials), query)

    async def ask(self, cluster: str, query: str) -> float | None:
        """Return the value of a query that the cluster's own Prometheus answers; raises as `query` does."""
        route = await self._reach.prometheus(cluster, DEFAULT_NAMESPACE, None)
        return await self._send(route, _session(MetricProvider(), None), query)

    async def _send(self, route: Route, session: requests.Session, query: str) -> float | None:
        loop = asyncio.get_running_loop()
        way: Callable[[], BaseAdapter] = partial(BoundedAdapter, route.ca if session.verify else None)
        if route.proxy is not None:
            way = partial(ProxyAdapter, route.proxy, loop)
        return await loop.run_in_executor(self._executor, _ask, session, way, route.url, query)

    async def _credentials(
        self, spec: CanarySpec, namespace: str, provider: MetricProvider
    ) -> dict[str, str] | None:
        if provider.secret_ref is None:
            return None
        found = await self._secrets.read(spec.cluster, namespace, provider.secret_ref)
        if found is None:
            raise MeasurementError(f"Secret {provider.secret_ref} not found in namespace {namespace}")
        if "token" not in found and not {"username", "password"} <= found.keys():
            raise MeasurementError(
                f"Secret {provider.secret_ref} in namespace {namespace} holds neither `token` nor "
                "`username` and `password`"
            )
        return found


def _session(provider: MetricProvider, credentials: Mapping[str, str] | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # neither a proxy nor a .netrc of the environment comes between
    session.hooks["response"].append(_refuse)
    session.headers.clear()
    session.headers.update({name: ", ".join(values) for name, values in provider.headers.items()})
    if provider.insecure_skip_verify:
        session.verify = False
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the document asks for it
    if credentials and "token" in credentials:
        session.headers["Authorization"] = f"Bearer {credentials['token']}"
    elif credentials:
        session.auth = (credentials["username"], credentials["password"])
    return session


def _ask(session: requests.Session, way: Callable[[], BaseAdapter], url: str, query: str) -> float | None:
    """Ask a Prometheus in a thread; our own words only, since the client's hold URLs with user info."""
    name = f"Prometheus {_plain(url)}"
    with PrometheusConnect(url=url.rstrip("/"), session=session, timeout=TIMEOUT) as prometheus:
        session.mount(url.rstrip("/"), way())
        try:
            return _value(prometheus.custom_query(query))
        except _NO_CONNECTION as error:
            raise NoAnswerError(name, type(error).__name__) from None
        except (requests.RequestException, PrometheusApiClientException, ValueError, LookupError) as error:
            raise MeasurementError(f"{name} gave no readable answer ({type(error).__name__})") from None


def _refuse(response: requests.Response, **_: Any) -> None:
    """Turn every answer but a success into an error of ours, with the server's own words."""
    if response.is_redirect:
        raise MeasurementError(f"Prometheus redirects to {_plain(response.headers['Location'])}")
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return
    text = f"{response.status_code} {_message(response.content)}".strip()
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status_code == _TOO_MANY:
        raise NoAnswerError("Prometheus", text, response.status_code)
    raise MeasurementError(f"Prometheus answered {text}")


def _message(body: bytes) -> str:
    text = body[:_LONGEST_MESSAGE].decode(errors="replace")
    try:
        answer = json.loads(body)
    except ValueError:
        return _plain(text)
    if isinstance(answer, dict):
        text = str(answer.get("error") or answer.get("message") or text)
    return _plain(text[:_LONGEST_MESSAGE])


def _value(series: Any) -> float | None:
    """Return the value of the last series of an instant vector; NaN is no value."""
    if not isinstance(series, list) or not all(isinstance(one, dict) for one in series):
        raise MeasurementError("the query answers a scalar or a string where a vector is needed")
    if any("values" in one for one in series):
        raise MeasurementError("the query answers a range vector: several values where one is needed")
    if not series:
        return None
    value = float(series[-1]["value"][1])
    if math.isinf(value):
        raise MeasurementError(f"the query answers {value:+}, which no bound can be compared with")
    return None if math.isnan(value) else value


def _has_credentials(url: str, provider: MetricProvider) -> bool:
    return "@" in urlsplit(url).netloc or any(name.lower() == "authorization" for name in provider.headers)


def _plain(text: str) -> str:
    """Take the user info out of the URLs in a text."""
    return _USER_INFO.sub("//", text)
