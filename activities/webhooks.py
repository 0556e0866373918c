"""Webhooks, called as Flagger calls them: a POST that passes when it is answered 200 to 204 in time.

Of our own: a hook may want a token, which is read where it is used, travels in a header, and is told nobody.
A guarded load tester that the engine deployed gets its token unasked by the document.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from pydantic_core import to_json

from canary.analysis import HookAnswer
from canary.errors import MeasurementError, NoAnswerError
from canary.hooks import event_payload, pauses, payload
from canary.loadtester import LoadTester, called_by
from canary.notice import Announcement
from canary.spec import CanarySpec, WebhookSpec
from canary.status import Phase, Revision

_LONGEST_MESSAGE = 4096
_PASSED = range(HTTPStatus.OK, HTTPStatus.NO_CONTENT + 1)
_REDIRECTED = range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST)
_AWAY = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Nobody at home. Any other failure, a 500 too, is the hook's own answer: its test failed."""
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_BY_PROXY = "X-Loadtester-Token"
"""What carries a token through an API server, which keeps `Authorization` for itself."""
_USER_INFO = re.compile(r"//[^/@\s]*@")


class Proxy(Protocol):
    """Sends requests on by a cluster's API server."""

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        ...


class Route(Protocol):
    """Where a webhook is: at the URL itself, or behind a proxy."""

    @property
    def url(self) -> str:
        """The webhook's URL."""
        ...

    @property
    def proxy(self) -> Proxy | None:
        """What sends the request on, where the URL means nothing here."""
        ...


class Reach(Protocol):
    """Finds the way to a webhook."""

    async def webhook(self, cluster: str, namespace: str, url: str) -> Route:
        """Return the way to a webhook."""
        ...


class Secrets(Protocol):
    """Reads Secrets of member clusters."""

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return what a Secret holds; None if it is not there."""
        ...


@dataclass(frozen=True)
class _Call:
    """A hook, the way to it, and what it is sent."""

    hook: WebhookSpec
    route: Route
    body: bytes
    token: str
    tester: LoadTester | None
    """The load tester of ours that it goes to, whose token is ours to read."""
    cluster: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers; a token among them where the hook wants one."""
        if not self.token:
            return _HEADERS
        if self.route.proxy is not None:
            return {**_HEADERS, _BY_PROXY: self.token}
        return {**_HEADERS, "Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class _Answer:
    status: int
    text: str

    @property
    def is_to_be_retried(self) -> bool:
        if self.status == HTTPStatus.NOT_IMPLEMENTED:
            return False
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class Webhooks:
    """Calls webhooks; the clients differ in whether they verify certificates, which httpx fixes for each."""

    def __init__(
        self,
        reach: Reach,
        secrets: Secrets,
        client: httpx.AsyncClient,
        unverified: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._reach = reach
        self._secrets = secrets
        self._client = client
        self._unverified = unverified
        self._clock = clock
        self._tokens: dict[tuple[str, LoadTester], str] = {}
        """Of each guarded load tester, as long as it lets us in."""

    async def call(self, spec: CanarySpec, hook: WebhookSpec, phase: Phase, revision: Revision) -> HookAnswer:
        """Call a webhook, again as often as its `retries` say, and return its last answer.

        Raises:
            NoAnswerError: there is no connection, or nothing but a gateway answers.
        """
        return await self._call(spec, hook, payload(spec, hook, phase, revision))

    async def announce(self, hook: WebhookSpec, announcement: Announcement) -> HookAnswer:
        """Tell an event hook what happened; otherwise as `call`."""
        return await self._call(announcement.spec, hook, event_payload(hook, announcement))

    async def _call(self, spec: CanarySpec, hook: WebhookSpec, content: dict[str, Any]) -> HookAnswer:
        route = await self._reach.webhook(spec.cluster, spec.namespace, hook.url)
        if route.proxy and "@" in urlsplit(route.url).netloc:
            return self._answer(hook, None, "the API server drops the credentials of the URL")
        try:
            answer = await self._persist(await self._prepare(spec, hook, route, content))
        except MeasurementError as error:
            return self._answer(hook, None, str(error))
        except TimeoutError:
            return self._answer(hook, None, f"no answer within {hook.timeout.total_seconds():g} s")
        except httpx.InvalidURL:
            return self._answer(hook, None, "its URL cannot be read")
        if answer.status in _AWAY:
            raise NoAnswerError(f"Webhook {hook.name}", f"{answer.status} {answer.text}", answer.status)
        return self._answer(hook, answer.status, answer.text)

    async def _prepare(
        self, spec: CanarySpec, hook: WebhookSpec, route: Route, content: dict[str, Any]
    ) -> _Call:
        """Put a call together, with the token that its document names, anew each time, or that is known."""
        tester, token = None, ""
        if hook.secret_ref is not None:
            token = await self._token(spec.cluster, spec.namespace, hook.secret_ref)
            if not token:
                raise MeasurementError(f"Secret {hook.secret_ref} in namespace {spec.namespace} not found")
        elif route.url == hook.url:  # at a base URL of the cluster's own somebody else answers
            tester = called_by(spec, hook.url)
        if tester is not None:
            token = self._tokens.get((spec.cluster, tester), "")
        return _Call(hook, route, to_json(content), token, tester, spec.cluster)

    async def _token(self, cluster: str, namespace: str, secret: str) -> str:
        """Read a token; empty where there is no such Secret."""
        found = await self._secrets.read(cluster, namespace, secret)
        if found is None:
            return ""
        name = f"Secret {secret} in namespace {namespace}"
        token = found.get("token", "").strip()
        if not token:
            raise MeasurementError(f"{name} holds no `token`")
        if not (token.isascii() and token.isprintable()):
            raise MeasurementError(f"{name} holds a `token` that no header can carry")
        return token

    def _answer(self, hook: WebhookSpec, status: int | None, text: str) -> HookAnswer:
        return HookAnswer(
            hook=hook.name,
            type=hook.type,
            passed=status in _PASSED,
            status=status,
            message=text,
            at=self._clock(),
        )

    async def _persist(self, call: _Call) -> _Answer:
        """Call until the answer is one to keep, or the retries are used up."""
        for pause in pauses(call.hook):
            with suppress(NoAnswerError, TimeoutError):  # if it stays so, the last attempt raises it
                answer = await self._once(call)
                if not answer.is_to_be_retried:
                    return answer
            await asyncio.sleep(pause.total_seconds())
        return await self._once(call)

    async def _once(self, call: _Call) -> _Answer:
        async with asyncio.timeout(call.hook.timeout.total_seconds()):
            answer = await self._send(call)
            if answer.status != HTTPStatus.UNAUTHORIZED or call.tester is None:
                return answer
            token = await self._token(call.cluster, *call.tester)
            if not token:
                return answer
            self._tokens[call.cluster, call.tester] = token
            return await self._send(replace(call, token=token))

    async def _send(self, call: _Call) -> _Answer:
        if call.route.proxy is None:
            return await self._post(call)
        status, text = await call.route.proxy.send(
            call.route.url,
            body=call.body,
            headers=call.headers,
            seconds=call.hook.timeout.total_seconds() + 1,
            limit=_LONGEST_MESSAGE,
        )
        return _worded(call, status, text)

    async def _post(self, call: _Call) -> _Answer:
        client = self._unverified if call.hook.disable_tls else self._client
        # The time limit is the caller's, over the whole call; httpx's own would bound each read alone.
        sending = client.stream(
            "POST",
            call.route.url,
            content=call.body,
            headers=call.headers,
            timeout=None,
            follow_redirects=False,
        )
        text = b""
        try:
            async with sending as response:
                async for chunk in response.aiter_raw():
                    text += chunk[:_LONGEST_MESSAGE]
                    if len(text) >= _LONGEST_MESSAGE:
                        break
                if response.status_code in _REDIRECTED:
                    text = response.headers.get("Location", "").encode()
        except httpx.TransportError as error:
            raise NoAnswerError(f"Webhook {call.hook.name}", type(error).__name__) from None
        return _worded(call, response.status_code, text)


def _worded(call: _Call, status: int, body: bytes) -> _Answer:
    """Return an answer as far as it is kept: without the user info of URLs, and without our token."""
    text = _USER_INFO.sub("//", body[:_LONGEST_MESSAGE].decode(errors="ignore").strip())
    if call.token:
        text = text.replace(call.token, "…")
    return _Answer(status, f"redirected, which is not followed: {text}" if status in _REDIRECTED else text)
