"""The checks that a rollout keeps at hand: the newest, and no more of them than can be answered at once."""

import json
from collections import deque
from collections.abc import Iterable

from canary.analysis import CheckRecord

MOST = 500
LARGEST = 1_000_000
"""Bytes of a report's payload. Temporal takes none over two megabytes: a larger one would hold its rollout up
for good."""


class Evidence:
    """The newest checks of a rollout; its history holds them all."""

    def __init__(self, records: Iterable[CheckRecord] = ()) -> None:
        self._kept: deque[tuple[CheckRecord, int]] = deque()
        self._size = 0
        for record in records:
            self.add(record)

    @property
    def records(self) -> tuple[CheckRecord, ...]:
        """Those that are kept, in their order."""
        return tuple(record for record, _ in self._kept)

    def add(self, record: CheckRecord) -> None:
        """Keep a check; the oldest go where there are too many, or they have become too large."""
        size = _size(record)
        self._kept.append((record, size))
        self._size += size
        while len(self._kept) > MOST or (self._size > LARGEST and len(self._kept) > 1):
            self._size -= self._kept.popleft()[1]


def _size(record: CheckRecord) -> int:
    """How large a check is where a report is a text in a payload: what answers quote is escaped twice."""
    return len(json.dumps(record.model_dump_json(), ensure_ascii=False).encode())
