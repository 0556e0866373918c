"""Prometheus, hooks and alerts of one scenario: answers as the recorded ones did, and tells the story."""

import re
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web

from tests.conformance.recorded.recording import Recording, which_query
from tests.conformance.recorded.story import Story

ONLINE = "vector(1)"
"""Asks whether a Prometheus is there; the recordings leave it out."""
_COUNTED = re.compile(r"\bincrease\(")


class Stub:
    """Gives the recorded answers in order, each query and hook its own, and then the last one again.

    Where the recorder changed its answers, `go_on` does the same.
    """

    def __init__(self, recording: Recording, story: Story) -> None:
        self.url = ""
        self._recording = recording
        self._story = story
        self._stage = 0
        self._asked: Counter[tuple[int, str]] = Counter()
        self.called: Counter[str] = Counter()
        """How often each hook was called."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v1/query", self._query)
        app.router.add_post("/hook/{namespace}/{name}", self._hook)
        app.router.add_post("/alert/{namespace}/{name}", self._alert)
        app.router.add_post(
            "/alert/{namespace}/{name}/slack", self._alert
        )  # Discord's door for Slack's words
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def go_on(self) -> None:
        """Answer from now on as the recorder did after its next change."""
        self._stage += 1

    async def _query(self, request: web.Request) -> web.Response:
        query = request.query["query"]
        if query == ONLINE:
            return _vector(1.0)
        is_count = bool(_COUNTED.search(query))
        key = which_query(query)
        answer = 1000.0 if is_count else self._next(key, None)
        self._story.saw_query(query, answer)
        return _vector(answer)

    async def _hook(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.called[name] += 1
        answer = self._next(name, 200)
        self._story.saw_hook(name, await request.json(), answer)
        return web.Response(status=answer)

    async def _alert(self, request: web.Request) -> web.Response:
        self._story.saw_alert(request.match_info["name"], await request.json())
        return web.Response()

    def _next(self, key: str, otherwise: Any) -> Any:
        """The next recorded answer of this stage; without one, the nearest of an earlier or a later one."""
        answers = self._recording.answers
        if answers[self._stage].get(key):
            number = self._asked[self._stage, key]
            self._asked[self._stage, key] += 1
            return answers[self._stage][key][min(number, len(answers[self._stage][key]) - 1)]
        before = [answer for stage in answers[: self._stage] for answer in stage.get(key, [])]
        after = [answer for stage in answers[self._stage + 1 :] for answer in stage.get(key, [])]
        return [*before[-1:], *after[:1], otherwise][0]


def _vector(value: float | None) -> web.Response:
    result = [] if value is None else [{"metric": {}, "value": [0, str(value)]}]
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})
