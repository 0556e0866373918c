"""A webhook of the test's own, which passes, fails or hangs as it is told."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web


class Hook:
    """Answers 200, or 403 while it is closed, and holds every call while it hangs."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self.is_closed = is_closed
        self.calls: list[dict[str, Any]] = []
        self.url = ""
        self.called = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.let_go()
        await self._stack.aclose()

    def hang(self) -> None:
        """Answer no call from now on."""
        self._open.clear()
        self.called.clear()

    def let_go(self) -> None:
        """Answer what hangs, and every call from now on."""
        self._open.set()

    def document(self, timeout: str = "30s", type_: str = "rollout") -> dict[str, Any]:
        """The hook as a Canary names it; a rollout hook is the check of a story."""
        name = "check" if type_ == "rollout" else type_
        return {"name": name, "type": type_, "url": self.url, "timeout": timeout}

    def provider(self, place: str, name: str) -> dict[str, Any]:
        """An AlertProvider that tells it, as it stands in a document."""
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "AlertProvider",
            "metadata": {"name": name, "namespace": place},
            "spec": {"type": "slack", "address": self.url},
        }

    async def has_calls(self, count: int) -> bool:
        """Whether it was called so often."""
        return len(self.calls) >= count

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls.append(await request.json())
        self.called.set()
        await self._open.wait()
        return web.Response(
            status=403 if self.is_closed else 200, text="closed" if self.is_closed else "passed"
        )
