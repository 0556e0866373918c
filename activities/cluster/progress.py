"""How far a cluster was followed, as heartbeats carry it to whoever takes its watch over."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from activities.cluster.bells import Bells
from activities.cluster.streams import Memory, Stream
from canary.stored import Stored


class Followed(Stored):
    """The version that each stream was followed to: everybody was rung for all that came before it."""

    versions: dict[str, str] = Field(default_factory=dict)
    """By `<kind>`, or `<kind>/<namespace>` where a stream is a namespace's."""


class Progress:
    """What the heartbeats of a watch tell, so that another worker goes on without ringing everybody.

    A worker that is killed takes with it which bells were still to be rung: no version is told before all
    that it brought has been heard. Where nothing was told the other one greets whoever it does not know.
    """

    def __init__(self, memory: Memory, details: Sequence[Any]) -> None:
        self._memory = memory
        self._bells: Bells | None = None
        self._told = [Followed.model_validate(details[0])] if details else []
        for followed in self._told:
            _resume(memory, followed)

    @property
    def is_handed_on(self) -> bool:
        """Whether another worker has begun this watch."""
        return bool(self._told) and self._bells is None

    def begin(self, bells: Bells) -> None:
        """From now on everybody has been greeted, or is being rung by *bells*."""
        self._bells = bells

    def details(self) -> list[Followed]:
        """Give the details of a heartbeat."""
        if self._bells is not None and self._bells.are_silent:
            versions = {_name(stream): version for stream, version in self._memory.versions.items()}
            self._told = [Followed(versions=versions)]
        return self._told


def _resume(memory: Memory, followed: Followed) -> None:
    """Go on from where another worker was; a memory of one's own holds more, and goes on from there."""
    for name, version in followed.versions.items():
        kind, _, namespace = name.partition("/")
        memory.versions.setdefault(Stream(kind, namespace or None), version)


def _name(stream: Stream) -> str:
    return stream.kind if stream.namespace is None else f"{stream.kind}/{stream.namespace}"
