"""Webhooks, called as Flagger calls them: a POST that passes when it is answered 200 to 204 in time."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from pydantic_core import to_json

from canary.analysis import HookAnswer
from canary.errors import NoAnswerError
from canary.hooks import event_payload, pauses, payload
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
        client: httpx.AsyncClient,
        unverified: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._reach = reach
        self._client = client
        self._unverified = unverified
        self._clock = clock

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
        body = to_json(content)
        try:
            answer = await self._persist(route, hook, body)
        except TimeoutError:
            return self._answer(hook, None, f"no answer within {hook.timeout.total_seconds():g} s")
        except httpx.InvalidURL:
            return self._answer(hook, None, "its URL cannot be read")
        if answer.status in _AWAY:
            raise NoAnswerError(f"Webhook {hook.name}", f"{answer.status} {answer.text}", answer.status)
        return self._answer(hook, answer.status, answer.text)

    def _answer(self, hook: WebhookSpec, status: int | None, text: str) -> HookAnswer:
        return HookAnswer(
            hook=hook.name,
            type=hook.type,
            passed=status in _PASSED,
            status=status,
            message=text,
            at=self._clock(),
        )

    async def _persist(self, route: Route, hook: WebhookSpec, body: bytes) -> _Answer:
        """Call until the answer is one to keep, or the retries are used up."""
        for pause in pauses(hook):
            with suppress(NoAnswerError, TimeoutError):  # if it stays so, the last attempt raises it
                answer = await self._once(route, hook, body)
                if not answer.is_to_be_retried:
                    return answer
            await asyncio.sleep(pause.total_seconds())
        return await self._once(route, hook, body)

    async def _once(self, route: Route, hook: WebhookSpec, body: bytes) -> _Answer:
        seconds = hook.timeout.total_seconds()
        async with asyncio.timeout(seconds):
            if route.proxy is None:
                return await self._post(route.url, hook, body)
            status, text = await route.proxy.send(
                route.url, body=body, headers=_HEADERS, seconds=seconds + 1, limit=_LONGEST_MESSAGE
            )
            return _Answer(status, _worded(status, text))

    async def _post(self, url: str, hook: WebhookSpec, body: bytes) -> _Answer:
        client = self._unverified if hook.disable_tls else self._client
        # The time limit is the caller's, over the whole call; httpx's own would bound each read alone.
        sending = client.stream(
            "POST", url, content=body, headers=_HEADERS, timeout=None, follow_redirects=False
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
            raise NoAnswerError(f"Webhook {hook.name}", type(error).__name__) from None
        return _Answer(response.status_code, _worded(response.status_code, text))


def _worded(status: int, body: bytes) -> str:
    """Return an answer's text, as far as it is kept, without the user info of URLs."""
    text = _USER_INFO.sub("//", body[:_LONGEST_MESSAGE].decode(errors="ignore").strip())
    return f"redirected, which is not followed: {text}" if status in _REDIRECTED else text
