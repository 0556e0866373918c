"""Alerts: one notice to every service that a canary's document names for its severity.

What was sent is remembered in the heartbeat details, so that another attempt sends only the rest. Should a
worker die between the sending and the heartbeat, that one alert is sent twice: better than not at all.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import Field
from pydantic_core import to_json
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.heartbeat import heartbeating
from canary.alert import AlertProvider, AlertSpec, AlertType
from canary.messages import Message, body_of
from canary.notice import Notice
from canary.spec import CanarySpec
from canary.status import Phase, Revision
from canary.stored import Stored

TIMEOUT = 5.0
"""Seconds for one alert, as Flagger has it."""
SLACK_API = "https://slack.com/api/chat.postMessage"
"""Where a token without an address means."""
_TAKEN = range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES)
_WITH_TOKEN = (AlertType.SLACK, AlertType.WEBHOOK)
_LONGEST_ANSWER = 4096
_CODE = re.compile(r"[a-z_]{3,60}")
"""The word a service explains itself with; any other answer may hold the address, which is a secret."""
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class AlertRequest(Stored):
    """One notice to alert of: `alert`'s input."""

    spec: CanarySpec
    revision: Revision
    phase: Phase
    notice: Notice
    settled: dict[str, str] = Field(default_factory=dict)
    """What another activity has settled already: the details of its `ApplicationError`."""


class Proxy(Protocol):
    """Sends requests on by a cluster's API server."""

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        ...


class Route(Protocol):
    """Where a service is: at the URL itself, or behind a proxy."""

    @property
    def url(self) -> str:
        """The service's URL."""
        ...

    @property
    def proxy(self) -> Proxy | None:
        """What sends the request on, where the URL means nothing here."""
        ...


class Reach(Protocol):
    """Finds the way to a service."""

    async def alert(self, cluster: str, namespace: str, url: str) -> Route:
        """Return the way to the address of an alert."""
        ...


class Secrets(Protocol):
    """Reads Secrets of member clusters."""

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return what a Secret holds; None if it is not there."""
        ...


class _NotSentError(Exception):
    """An alert was not sent: why, in our words, for an address is a secret."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class AlertActivities:
    """Sends alerts."""

    def __init__(
        self, reach: Reach, secrets: Secrets, client: httpx.AsyncClient, *, seconds: float = TIMEOUT
    ) -> None:
        self._reach = reach
        self._seconds = seconds
        self._secrets = secrets
        self._client = client

    @activity.defn
    async def alert(self, request: AlertRequest) -> None:
        """Send a notice to everybody it concerns, all at once; one that fails keeps no other from it.

        Raises:
            ApplicationError: somebody was not told; not to be tried again where nothing would change. Its
                details say what is settled, for a request that goes on with the rest.
        """
        severity = request.notice.severity
        if severity is None:
            return
        settled = request.settled | _settled_before()
        alerts = enumerate(request.spec.analysis.alerts)
        wanted = [(at, one) for at, one in alerts if one.severity.takes(severity) and str(at) not in settled]
        async with heartbeating(lambda: [settled]):
            results = await asyncio.gather(
                *(self._attempt(request, str(at), one, settled) for at, one in wanted), return_exceptions=True
            )
        failures = [
            _worded(one, result)
            for (_, one), result in zip(wanted, results, strict=True)
            if isinstance(result, BaseException)
        ]
        _conclude(failures, settled)

    async def _attempt(
        self, request: AlertRequest, position: str, alert: AlertSpec, settled: dict[str, str]
    ) -> None:
        """Send one alert and remember that it is settled: sent, or refused for good."""
        try:
            await self._send(request, alert.provider)
        except _NotSentError as error:
            if not error.is_final:
                raise
            settled[position] = _worded(alert, error)
        else:
            settled[position] = ""
        activity.heartbeat(settled)

    async def _send(self, request: AlertRequest, provider: AlertProvider | None) -> None:
        if provider is None:
            raise _NotSentError("it has never been read from the cluster", is_final=True)
        cluster = request.spec.cluster
        address, token = await self._target(cluster, provider)
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        message = Message(request.spec, request.phase, request.revision, request.notice)
        body = to_json(body_of(provider, message))
        try:
            async with asyncio.timeout(self._seconds):
                if provider.proxy:
                    status, text = await _post_by(provider.proxy, address, body, headers)
                else:
                    status, text = await self._post(cluster, provider.namespace, address, body, headers)
        except TimeoutError:
            raise _NotSentError(f"no answer within {self._seconds:g} s") from None
        except httpx.InvalidURL:
            raise _NotSentError("its address is no URL", is_final=True) from None
        except httpx.TransportError as error:
            raise _NotSentError(type(error).__name__) from None
        _check(status, text, is_slack_api=bool(token) and provider.type is AlertType.SLACK)

    async def _target(self, cluster: str, provider: AlertProvider) -> tuple[str, str]:
        """Return where to send and with which token, read anew each time."""
        secret: Mapping[str, str] = {}
        if provider.secret_ref:
            found = await self._secrets.read(cluster, provider.namespace, provider.secret_ref)
            if found is None:
                raise _NotSentError(
                    f"Secret {provider.secret_ref} not found in namespace {provider.namespace}"
                )
            secret = found
        token = secret.get("token", "").strip() if provider.type in _WITH_TOKEN else ""
        default = SLACK_API if token and provider.type is AlertType.SLACK else ""
        address = secret.get("address", "").strip() or provider.address or default
        if not address:
            raise _NotSentError("neither it nor its Secret says `address`")
        return _slack_compatible(address) if provider.type is AlertType.DISCORD else address, token

    async def _post(
        self, cluster: str, namespace: str, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        route = await self._reach.alert(cluster, namespace, address)
        if route.proxy is None:
            return await _post(self._client, route.url, body, headers)
        if "Authorization" in headers or "@" in urlsplit(route.url).netloc:
            raise _NotSentError("the API server, by which it is reached, drops credentials", is_final=True)
        return await route.proxy.send(
            route.url, body=body, headers=headers, seconds=self._seconds + 1, limit=_LONGEST_ANSWER
        )


def _settled_before() -> dict[str, str]:
    """What earlier attempts settled: an alert's position in the document to why it was refused, if it was."""
    details = activity.info().heartbeat_details
    return dict(details[0]) if details else {}


def _conclude(failures: list[str], settled: dict[str, str]) -> None:
    refusals = [why for why in settled.values() if why]
    if failures:
        raise ApplicationError(" ".join([*failures, *refusals]), settled, type="AlertNotSent")
    if refusals:
        raise ApplicationError(" ".join(refusals), settled, type="AlertRefused", non_retryable=True)


def _worded(alert: AlertSpec, error: BaseException) -> str:
    provider = alert.provider or alert.provider_ref
    by = f"{provider.namespace}/{provider.name}" if provider else "nobody"
    return f"Alert {alert.name} cannot be sent by {by}: {str(error).rstrip('.')}."


async def _post_by(proxy: str, address: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    try:
        client = httpx.AsyncClient(proxy=proxy, trust_env=False)
    except (ValueError, httpx.InvalidURL):
        raise _NotSentError("its proxy is no http:// or https:// URL", is_final=True) from None
    async with client:
        return await _post(client, address, body, headers)


async def _post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    # The time limit is the caller's, over the whole call; httpx's own would bound each read alone.
    sending = client.stream("POST", url, content=body, headers=headers, timeout=None, follow_redirects=False)
    text = b""
    async with sending as response:
        async for chunk in response.aiter_raw():
            text += chunk[:_LONGEST_ANSWER]
            if len(text) >= _LONGEST_ANSWER:
                break
    return response.status_code, text[:_LONGEST_ANSWER]


def _check(status: int, body: bytes, *, is_slack_api: bool) -> None:
    """Raise unless the answer says that the alert was taken."""
    text = body.decode(errors="replace").strip()
    if status in _TAKEN:
        if is_slack_api and (problem := _slack_problem(text)):
            raise _NotSentError(f"Slack says {problem}", is_final=problem != "ratelimited")
        return
    said = f" {text}" if _CODE.fullmatch(text) else ""
    is_final = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PASSING
    raise _NotSentError(f"it answers {status}{said}", is_final=is_final)


def _slack_problem(text: str) -> str:
    """What Slack's own API has against a message; it answers 200 in any case."""
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return "nothing readable"
    if isinstance(answer, dict) and answer.get("ok") is True:
        return ""
    error = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    return error if _CODE.fullmatch(error) else "no"


def _slack_compatible(address: str) -> str:
    """Discord reads Slack's form at the path of that name."""
    parts = urlsplit(address)
    if parts.path.endswith("/slack"):
        return address
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/slack"))
