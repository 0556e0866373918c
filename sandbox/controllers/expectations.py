"""What a controller has done and its cache does not show yet."""

import asyncio

# A watch that lost an event must not stop a controller for ever; the real ones wait five minutes.
FORGET_AFTER = 60.0


class Expectations:
    """Per owner, the tokens (a name about to appear, a uid about to go) that the cache still owes."""

    def __init__(self) -> None:
        self._pending: dict[str, dict[str, float]] = {}

    def expect(self, owner: str, token: str) -> None:
        """Wait for `token` before the owner is looked at again."""
        self._pending.setdefault(owner, {})[token] = asyncio.get_running_loop().time()

    def observe(self, owner: str, token: str) -> None:
        """Take note that `token` was seen, or will never be."""
        self._pending.get(owner, {}).pop(token, None)

    def are_met(self, owner: str) -> bool:
        """Tell whether the cache shows all that was done for the owner."""
        horizon = asyncio.get_running_loop().time() - FORGET_AFTER
        return all(since < horizon for since in self._pending.get(owner, {}).values())

    def forget(self, owner: str) -> None:
        """Drop an owner that is gone."""
        self._pending.pop(owner, None)
