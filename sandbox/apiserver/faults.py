"""Faults switched on while the server runs, and the log of what was asked of it."""

import asyncio
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.apiserver.errors import StatusError, expired

Object = dict[str, Any]
Deed = Literal["latency", "status", "hang", "closeWatches", "gone"]
_LOG_SIZE = 20_000
_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass
class Rule:
    """One fault: which requests it meets, and what it does to them."""

    id: str
    do: Deed
    method: str = ""
    path: str = ""
    user_agent: str = ""
    seconds: float = 0
    status: int = 500
    times: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def meets(self, method: str, path: str, user_agent: str) -> bool:
        """Tell whether a request is meant; one that is uses up one of `times`."""
        if self.times == 0 or (self.method and self.method.upper() != method):
            return False
        if not re.search(self.path, path) or not re.search(self.user_agent, user_agent):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def written(self) -> Object:
        """Give the rule as JSON."""
        found = {name: value for name, value in vars(self).items() if name not in ("released", "user_agent")}
        return found | {"userAgent": self.user_agent}


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._ids = itertools.count(1)

    def listed(self) -> list[Object]:
        """Give the rules as JSON."""
        return [rule.written() for rule in self._rules]

    def replace(self, wanted: Any) -> list[Rule]:
        """Put these rules in force instead of the present ones; hung requests of those that go are let go."""
        if not isinstance(wanted, list):
            raise StatusError(400, "BadRequest", "a list of rules is expected")
        rules = [self._rule(entry) for entry in wanted]
        kept = {rule.id for rule in rules}
        for rule in self._rules:
            if rule.id not in kept:
                rule.released.set()
        known = {rule.id: rule for rule in self._rules}
        for rule in rules:
            if rule.id in known:
                rule.released = known[rule.id].released
        self._rules = rules
        return rules

    def _rule(self, entry: Object) -> Rule:
        entry = dict(entry)
        entry["user_agent"] = entry.pop("userAgent", None) or ""
        entry = {name: value for name, value in entry.items() if value is not None}
        entry.setdefault("id", f"rule-{next(self._ids)}")
        if entry.get("do") not in ("latency", "status", "hang", "closeWatches", "gone"):
            raise StatusError(400, "BadRequest", f"do: unknown fault {entry.get('do')!r}")
        try:
            return Rule(**entry)
        except TypeError as error:
            raise StatusError(400, "BadRequest", f"unknown field in a rule: {error}") from error

    async def meet(self, method: str, path: str, user_agent: str) -> None:
        """Do to a request what the rules say: delay it, hold it, or raise the failure that it gets."""
        for rule in [rule for rule in self._rules if rule.do != "closeWatches"]:
            if not rule.meets(method, path, user_agent):
                continue
            if rule.do == "latency":
                await asyncio.sleep(rule.seconds)
            elif rule.do == "hang":
                await rule.released.wait()
            elif rule.do == "gone":
                raise expired("too old resource version (a fault that was asked for)")
            else:
                reason = _REASONS.get(rule.status, "")
                raise StatusError(rule.status, reason, "a fault that was asked for")


class RequestLog:
    """What was asked, newest last; bounded."""

    def __init__(self) -> None:
        self._entries: deque[Object] = deque(maxlen=_LOG_SIZE)
        self._counts: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._held: list[Object] = []

    @contextmanager
    def holding(self, entry: Object) -> Iterator[None]:
        """Show a request as held while a fault delays it."""
        self._held.append(entry)
        try:
            yield
        finally:
            self._held.remove(entry)

    def begin(self, entry: Object) -> Object:
        """Remember a request, and give the entry, which gets its `status` when it is `done`."""
        numbered = {"n": next(self._numbers), **entry, "status": None}
        self._entries.append(numbered)
        self._counts[f"{entry['method']} {entry['userAgent']}"] += 1
        return numbered

    def since(self, number: int) -> Object:
        """Give the requests after a number, those held, and counts by method and user agent."""
        found = [entry for entry in self._entries if entry["n"] > number]
        return {"requests": found, "held": list(self._held), "counters": dict(self._counts)}
